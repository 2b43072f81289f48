//! What people are to be told, and how far the telling got.

use crate::change::{Change, index, table};
use crate::columns::{counter, id, long_text, text, text_null, time, time_null};

pub(crate) fn changes() -> Vec<Change> {
    vec![
        table("notifications", |t| {
            t.col(id())
                .col(text("kind", 32))
                // what it is about: `channel:12`
                .col(text("subject", 191))
                .col(text("title", 191))
                .col(long_text("content"))
                .col(long_text("values"))
                .col(time("created_at"))
                .col(counter("attempts"))
                // null: it is not sent, or not again
                .col(time_null("next_attempt_at"))
                .col(time_null("delivered_at"))
                // why the last attempt failed
                .col(text_null("failure", 255));
        }),
        index("notifications", &["next_attempt_at"]),
        index("notifications", &["created_at"]),
    ]
}
