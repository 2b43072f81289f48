//! What administrators have relays try, and what the last trial of each channel brought.

use sea_orm_migration::sea_query::Index;

use crate::change::{Change, index, table};
use crate::columns::{counter, flag, id, long, long_null, long_text_null, text, text_null, time, time_null};

pub(crate) fn changes() -> Vec<Change> {
    vec![
        table("errands", |t| {
            t.col(id())
                // test, models, balance
                .col(text("kind", 16))
                .col(long("channel_id"))
                // null: the channel has no keys
                .col(long_null("key_id"))
                // of a test
                .col(text_null("model", 191))
                // config sequence from which on the channel is as it was meant to be
                .col(long("config_seq"))
                // null: Sluice by itself
                .col(long_null("asked_by"))
                .col(time("asked_at"))
                // the relay that has it, and since when
                .col(text_null("node", 63))
                .col(time_null("claimed_at"))
                .col(time_null("done_at"))
                // what came of it, as JSON
                .col(long_text_null("result"));
        }),
        index("errands", &["done_at", "id"]),
        index("errands", &["asked_at"]),
        index("errands", &["channel_id", "id"]),
        table("channel_checks", |t| {
            t.col(long("channel_id"))
                .col(time_null("tested_at"))
                .col(flag("test_ok"))
                .col(counter("test_ms"))
                .col(text_null("test_model", 191))
                // why it failed
                .col(text_null("test_message", 255))
                .col(time_null("balance_at"))
                // decimal text
                .col(text_null("balance_amount", 64))
                .col(text_null("balance_currency", 3))
                .primary_key(Index::create().col("channel_id"));
        }),
    ]
}
