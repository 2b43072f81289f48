//! The SQL of what is remembered of channels.

use sea_orm::sea_query::{Expr, ExprTrait, LockType, OnConflict, Order, Query};
use sea_orm::{ConnectionTrait, DbErr};
use sluice_domain::{ChannelId, ChannelKeyId, UnixMillis};

use crate::db::{Insert, Tx};

/// In the place of a key: the channel with all its keys.
pub(super) const WHOLE: ChannelKeyId = ChannelKeyId::new(0);
const KEY: [&str; 2] = ["channel_id", "key_id"];

/// What is remembered of a key of these channels, by channel. Other replicas wait until it is written.
pub(super) async fn lock(
    tx: &Tx,
    channels: &[ChannelId],
    key: ChannelKeyId,
    now: UnixMillis,
) -> Result<Vec<(ChannelId, String)>, DbErr> {
    let found = locked(tx, channels, key).await?;
    if found.len() == channels.len() {
        return Ok(found);
    }
    let once = OnConflict::columns(KEY).do_nothing_on(KEY).to_owned();
    let nothing = channels.iter().map(|channel| (*channel, String::new()));
    insert(tx, nothing, key, once, now).await?;
    locked(tx, channels, key).await
}

async fn locked(tx: &Tx, channels: &[ChannelId], key: ChannelKeyId) -> Result<Vec<(ChannelId, String)>, DbErr> {
    let select = Query::select()
        .columns(["channel_id", "remembered"])
        .from("channel_watch")
        .and_where(Expr::col("channel_id").is_in(channels.iter().map(|channel| channel.get())))
        .and_where(Expr::col("key_id").eq(key.get()))
        .order_by("channel_id", Order::Asc)
        .lock(LockType::Update)
        .to_owned();
    let rows = tx.query_all(&select).await?;
    rows.iter().map(|row| Ok((ChannelId::new(row.try_get("", "channel_id")?), row.try_get("", "remembered")?))).collect()
}

/// Remembers this of a key of these channels, which this transaction has locked.
pub(super) async fn write(
    tx: &Tx,
    rows: impl IntoIterator<Item = (ChannelId, String)>,
    key: ChannelKeyId,
    now: UnixMillis,
) -> Result<(), DbErr> {
    let instead = OnConflict::columns(KEY).update_columns(["remembered", "at"]).to_owned();
    insert(tx, rows, key, instead, now).await
}

async fn insert(
    tx: &Tx,
    rows: impl IntoIterator<Item = (ChannelId, String)>,
    key: ChannelKeyId,
    on_conflict: OnConflict,
    now: UnixMillis,
) -> Result<(), DbErr> {
    let mut insert = Insert::into("channel_watch").longs(&["channel_id", "key_id", "at"]).texts(&["remembered"]);
    insert = insert.on_conflict(on_conflict);
    for (channel, remembered) in rows {
        insert.push(vec![channel.get().into(), key.get().into(), now.0.into(), remembered.into()]);
    }
    insert.run(tx).await.map(drop)
}
