//! The site itself: its history of configuration, its settings, its replicas and relays.

use sea_orm_migration::sea_query::Index;

use crate::change::{Change, index, table};
use crate::columns::{id, int, long, long_text, long_text_null, text, text_null, time};

pub(crate) fn changes() -> Vec<Change> {
    vec![
        // single values the site is known by: check of the master key, digest of the set-up secret, ...
        table("site", |t| {
            t.col(text("name", 64).primary_key()).col(long_text("value"));
        }),
        table("settings", |t| {
            t.col(text("name", 64).primary_key()).col(long_text("value")).col(long("rev")).col(time("updated_at"));
        }),
        // one row (id 1): every change of configuration counts `seq` up inside its own transaction, so commit order is seq order
        table("config_head", |t| {
            t.col(int("id").primary_key()).col(text("lineage", 36)).col(long("seq"));
        }),
        // what each of those transactions changed: names of resources, never their content
        table("config_log", |t| {
            t.col(long("seq"))
                .col(int("ordinal"))
                .col(text("kind", 16))
                .col(text("name", 191))
                .col(time("at"))
                .primary_key(Index::create().col("seq").col("ordinal"));
        }),
        // what prices were at each seq: body is JSON, null when it was deleted
        table("rate_history", |t| {
            t.col(text("kind", 16))
                .col(text("name", 191))
                .col(long("seq"))
                .col(long_text_null("body"))
                .col(time("at"))
                .primary_key(Index::create().col("kind").col("name").col("seq"));
        }),
        table("nodes", |t| {
            t.col(text("node_id", 63).primary_key())
                .col(long("epoch"))
                .col(text("boot_id", 36))
                .col(text("build", 64))
                .col(text("address", 191))
                .col(time("registered_at"))
                .col(time("last_seen_at"))
                .col(long_text("status"));
        }),
        // who may run a job of which there must be one
        table("leader", |t| {
            t.col(text("name", 32).primary_key()).col(text("holder", 64)).col(long("fence")).col(time("expires_at"));
        }),
        table("audit", |t| {
            t.col(id())
                .col(time("at"))
                .col(crate::columns::long_null("actor_id"))
                .col(text("action", 64))
                .col(text("target", 191))
                .col(long_text("detail"))
                .col(text_null("client_ip", 45));
        }),
        index("audit", &["at"]),
    ]
}
