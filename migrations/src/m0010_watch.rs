//! What the control plane remembers of channels between two tellings of the relays, for all replicas alike.

use sea_orm_migration::sea_query::Index;

use crate::change::{Change, index, table};
use crate::columns::{long, long_text, time};

pub(crate) fn changes() -> Vec<Change> {
    vec![
        table("channel_watch", |t| {
            t.col(long("channel_id"))
                // 0: the channel with all its keys
                .col(long("key_id"))
                // of a channel its last results, of a key when words came in its errors
                .col(long_text("remembered"))
                .col(time("at"))
                .primary_key(Index::create().col("channel_id").col("key_id"));
        }),
        index("channel_watch", &["at"]),
    ]
}
