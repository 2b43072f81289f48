//! Ways to providers, groups, and what models cost.

use crate::change::{Change, index, table};
use crate::columns::{id, int, long, long_text, text, text_null, time, time_null};

pub(crate) fn changes() -> Vec<Change> {
    vec![
        table("channels", |t| {
            t.col(id())
                .col(text("name", 64))
                .col(text("provider", 64))
                .col(text_null("base_url", 255))
                .col(text_null("api_version", 64))
                .col(long_text("models"))
                .col(long_text("groups"))
                .col(long("priority"))
                .col(int("weight"))
                .col(int("status"))
                .col(text_null("status_reason", 255))
                .col(long_text("model_mapping"))
                .col(text_null("cache_read_ratio", 64))
                .col(long("rev"))
                .col(time("created_at"))
                .col(time("updated_at"))
                .col(time_null("deleted_at"));
        }),
        table("channel_keys", |t| {
            t.col(id())
                .col(long("channel_id"))
                .col(int("position"))
                .col(long_text("sealed_key"))
                // what it is sealed to: a random name, known before the row has an id
                .col(text("seal_name", 32))
                .col(text("hint", 16))
                .col(int("status"));
        }),
        index("channel_keys", &["channel_id", "position"]),
        table("user_groups", |t| {
            t.col(text("name", 64).primary_key())
                .col(text("ratio", 64))
                .col(long_text("usable"))
                .col(text("description", 255))
                .col(long("rev"))
                .col(time("created_at"))
                .col(time("updated_at"));
        }),
        table("prices", |t| {
            t.col(text("model", 191).primary_key())
                .col(long_text("body"))
                // shipped, admin
                .col(text("source", 32))
                .col(long("rev"))
                .col(time("created_at"))
                .col(time("updated_at"));
        }),
    ]
}
