//! Settled requests, how far each relay's reports were taken, and what could not be settled.

use sea_orm_migration::sea_query::Index;

use crate::change::{Change, index, table};
use crate::columns::{counter, flag, id, int, long, long_text, text, text_null, time, time_null};

pub(crate) fn changes() -> Vec<Change> {
    vec![
        table("usage_cursors", |t| {
            t.col(text("node_id", 63))
                .col(long("epoch"))
                .col(long("next_seq"))
                .col(flag("ended"))
                .col(time("updated_at"))
                .primary_key(Index::create().col("node_id").col("epoch"));
        }),
        requests(),
        index("requests", &["request_id"]),
        index("requests", &["node_id", "epoch", "seq"]),
        index("requests", &["user_id", "id"]),
        index("requests", &["token_id", "id"]),
        index("requests", &["channel_id", "id"]),
        index("requests", &["finished_at"]),
        // price formula and attempts of one request, for a few days
        table("request_explanations", |t| {
            t.col(text("request_id", 64).primary_key()).col(long_text("body")).col(time("at"));
        }),
        index("request_explanations", &["at"]),
        table("usage_hourly", |t| {
            t.col(time("hour_at"))
                .col(long("user_id"))
                .col(long("channel_id"))
                .col(text("model", 191))
                .col(counter("requests"))
                .col(counter("failed"))
                .col(counter("quota"))
                .col(counter("input"))
                .col(counter("output"))
                .primary_key(Index::create().col("hour_at").col("user_id").col("channel_id").col("model"));
        }),
        table("quarantine", |t| {
            t.col(id())
                .col(text("node_id", 63))
                .col(long("epoch"))
                .col(long("seq"))
                .col(text("request_id", 64))
                .col(text("reason", 64))
                .col(long_text("body"))
                .col(time("at"))
                .col(time_null("resolved_at"));
        }),
        index("quarantine", &["resolved_at", "id"]),
    ]
}

/// The settled row is the request-log row.
fn requests() -> Change {
    table("requests", |t| {
        t.col(id())
            .col(text("request_id", 64))
            .col(text("node_id", 63))
            .col(long("epoch"))
            .col(long("seq"))
            .col(long("user_id"))
            .col(long("token_id"))
            .col(text("model", 191))
            .col(text("upstream_model", 191))
            .col(text("group_name", 64))
            .col(long("channel_id"))
            .col(text("outcome", 16))
            .col(text("error_code", 64))
            .col(int("status"))
            .col(text("dialect", 16))
            .col(text("path", 64))
            .col(flag("stream"))
            .col(counter("input"))
            .col(counter("output"))
            .col(counter("reasoning"))
            .col(counter("cache_read"))
            .col(counter("cache_write_5m"))
            .col(counter("cache_write_1h"))
            .col(counter("image_input"))
            .col(counter("audio_input"))
            .col(counter("audio_output"))
            .col(flag("usage_estimated"))
            .col(long("quota"))
            .col(long("held"))
            // the relay's own figure differed
            .col(flag("repriced"))
            .col(long("config_seq"))
            .col(time("started_at"))
            .col(time("finished_at"))
            .col(long("total_ms"))
            .col(long("first_byte_ms"))
            .col(int("attempts"))
            .col(text_null("client_ip", 45))
            .col(text_null("upstream_request_id", 128));
    })
}
