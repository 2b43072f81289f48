//! The SQL of settlement.

use std::collections::{BTreeMap, HashMap, HashSet};

use sea_orm::sea_query::{Expr, ExprTrait, LockType, OnConflict, Order, Query};
use sea_orm::{ConnectionTrait, DatabaseBackend, DbErr};
use sluice_domain::{AccountId, ChannelId, RequestRecord, TokenId, UnixMillis, UserId};

use super::explain::explanation;
use super::take::Orphan;
use crate::db::{Insert, Tx};
use crate::leases::Life;

/// Ids in one statement.
const IDS_AT_ONCE: usize = 1_000;
const HOUR_MILLIS: i64 = 3_600_000;
/// Characters kept of a record that is set aside.
const MOST_QUARANTINED: usize = 65_535;

/// How far a life's reports are settled.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Cursor {
    /// Everything below it is settled.
    pub next_seq: i64,
    /// The life is over, and everything of it is settled.
    pub ended: bool,
}

/// Locks the cursor of a life; makes it when the life reports for the first time. Answers also how many statements wrote.
pub(super) async fn lock_cursor(tx: &Tx, life: &Life, now: UnixMillis) -> Result<(Cursor, u64), DbErr> {
    if let Some(cursor) = locked_cursor(tx, life).await? {
        return Ok((cursor, 0));
    }
    let insert = Query::insert()
        .into_table("usage_cursors")
        .columns(["node_id", "epoch", "next_seq", "updated_at"])
        .values_panic([life.node.as_str().into(), life.epoch.0.into(), 1_i64.into(), now.0.into()])
        .on_conflict(OnConflict::columns(["node_id", "epoch"]).do_nothing_on(["node_id", "epoch"]).to_owned())
        .to_owned();
    tx.execute(&insert).await?;
    let cursor = locked_cursor(tx, life).await?;
    cursor.map(|cursor| (cursor, 1)).ok_or(DbErr::RecordNotInserted)
}

async fn locked_cursor(tx: &Tx, life: &Life) -> Result<Option<Cursor>, DbErr> {
    let select = Query::select()
        .columns(["next_seq", "ended"])
        .from("usage_cursors")
        .and_where(Expr::col("node_id").eq(life.node.as_str()))
        .and_where(Expr::col("epoch").eq(life.epoch.0))
        .lock(LockType::Update)
        .to_owned();
    let Some(row) = tx.query_one(&select).await? else { return Ok(None) };
    Ok(Some(Cursor { next_seq: row.try_get("", "next_seq")?, ended: row.try_get("", "ended")? }))
}

/// Moves the cursor of a life, which this transaction has locked.
pub(super) async fn move_cursor(tx: &Tx, life: &Life, cursor: Cursor, now: UnixMillis) -> Result<(), DbErr> {
    let update = Query::update()
        .table("usage_cursors")
        .value("next_seq", cursor.next_seq)
        .value("ended", cursor.ended)
        .value("updated_at", now.0)
        .and_where(Expr::col("node_id").eq(life.node.as_str()))
        .and_where(Expr::col("epoch").eq(life.epoch.0))
        .to_owned();
    tx.execute(&update).await.map(drop)
}

/// How far a life's reports are settled, for those who only want to know. 1 when it never reported.
pub(crate) async fn next_seq(db: &impl ConnectionTrait, life: &Life) -> Result<i64, DbErr> {
    let select = Query::select()
        .column("next_seq")
        .from("usage_cursors")
        .and_where(Expr::col("node_id").eq(life.node.as_str()))
        .and_where(Expr::col("epoch").eq(life.epoch.0))
        .to_owned();
    db.query_one(&select).await?.map_or(Ok(1), |row| row.try_get("", "next_seq"))
}

/// Whose a token is, and the accounts of its cap and its uses. None ever changes, except that uses may begin to be counted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Payer {
    pub(super) user: UserId,
    pub(super) cap: AccountId,
    pub(super) uses: Option<AccountId>,
}

/// The payers behind tokens. Unknown ones are left out.
pub(super) async fn payers(db: &impl ConnectionTrait, tokens: &[TokenId]) -> Result<HashMap<TokenId, Payer>, DbErr> {
    let mut found = HashMap::new();
    for chunk in tokens.chunks(IDS_AT_ONCE) {
        let select = Query::select()
            .columns(["id", "user_id", "account_id", "uses_account_id"])
            .from("tokens")
            .and_where(Expr::col("id").is_in(chunk.iter().map(|token| token.get())))
            .to_owned();
        for row in db.query_all(&select).await? {
            let uses: i64 = row.try_get("", "uses_account_id")?;
            let payer = Payer {
                user: UserId::new(row.try_get("", "user_id")?),
                cap: AccountId::new(row.try_get("", "account_id")?),
                uses: (uses != 0).then(|| AccountId::new(uses)),
            };
            found.insert(TokenId::new(row.try_get("", "id")?), payer);
        }
    }
    Ok(found)
}

/// Writes down that tokens were used. The rows are locked in order of their ids first, as everywhere.
pub(super) async fn touch_tokens(tx: &Tx, tokens: &[TokenId], now: UnixMillis) -> Result<u64, DbErr> {
    let mut ids: Vec<i64> = tokens.iter().map(|token| token.get()).collect();
    ids.sort_unstable();
    let mut statements = 0;
    for chunk in ids.chunks(IDS_AT_ONCE) {
        let lock = Query::select()
            .column("id")
            .from("tokens")
            .and_where(Expr::col("id").is_in(chunk.iter().copied()))
            .order_by("id", Order::Asc)
            .lock(LockType::Update)
            .to_owned();
        if tx.get_database_backend() != DatabaseBackend::Sqlite {
            tx.query_all(&lock).await?;
        }
        let update = Query::update()
            .table("tokens")
            .value("last_used_at", now.0)
            .and_where(Expr::col("id").is_in(chunk.iter().copied()))
            .to_owned();
        tx.execute(&update).await?;
        statements += 1;
    }
    Ok(statements)
}

/// A request as it goes into the request log.
pub(super) struct SettledRequest<'a> {
    pub(super) seq: i64,
    pub(super) record: &'a RequestRecord,
    pub(super) quota: i64,
    pub(super) repriced: bool,
    pub(super) finished_at: UnixMillis,
}

/// Of these orphans of a life, those that have a row: their end was settled.
pub(super) async fn settled_before(tx: &Tx, life: &Life, orphans: &[&RequestRecord]) -> Result<HashSet<Orphan>, DbErr> {
    let mut found = HashSet::new();
    for chunk in orphans.chunks(IDS_AT_ONCE) {
        let select = Query::select()
            .columns(["request_id", "started_at"])
            .from("requests")
            .and_where(Expr::col("request_id").is_in(chunk.iter().map(|orphan| orphan.request_id.as_str())))
            .and_where(Expr::col("node_id").eq(life.node.as_str()))
            .and_where(Expr::col("epoch").eq(life.epoch.0))
            .to_owned();
        for row in tx.query_all(&select).await? {
            found.insert((row.try_get("", "request_id")?, row.try_get("", "started_at")?));
        }
    }
    Ok(found)
}

/// Writes the request log.
pub(super) async fn insert_requests(tx: &Tx, life: &Life, requests: &[SettledRequest<'_>]) -> Result<u64, DbErr> {
    let mut insert = Insert::into("requests")
        .longs(&["epoch", "seq", "user_id", "token_id", "channel_id", "input", "output", "reasoning", "cache_read"])
        .longs(&["cache_write_5m", "cache_write_1h", "image_input", "audio_input", "audio_output", "quota", "held"])
        .longs(&["config_seq", "started_at", "finished_at", "total_ms", "first_byte_ms"])
        .ints(&["status", "attempts"])
        .flags(&["stream", "usage_estimated", "repriced"])
        .texts(&["request_id", "node_id", "model", "upstream_model", "group_name", "outcome", "error_code", "dialect", "path"])
        .texts_or_null(&["client_ip", "upstream_request_id"]);
    for request in requests {
        insert.push(request_row(life, request));
    }
    insert.run(tx).await
}

fn request_row(life: &Life, request: &SettledRequest<'_>) -> Vec<sea_orm::Value> {
    let record = request.record;
    let usage = &record.usage;
    vec![
        life.epoch.0.into(),
        request.seq.into(),
        record.user_id.get().into(),
        record.token_id.get().into(),
        record.channel_id.map_or(0, ChannelId::get).into(),
        long(usage.input),
        long(usage.output),
        long(usage.reasoning),
        long(usage.cache_read),
        long(usage.cache_write_5m),
        long(usage.cache_write_1h),
        long(usage.image_input),
        long(usage.audio_input),
        long(usage.audio_output),
        request.quota.into(),
        record.held.get().into(),
        record.config_seq.into(),
        record.started_at.0.into(),
        request.finished_at.0.into(),
        long(record.total_millis),
        record.first_byte_millis.map_or_else(|| (-1_i64).into(), long),
        i32::from(record.status).into(),
        i32::try_from(record.attempts.len()).unwrap_or(i32::MAX).into(),
        record.stream.into(),
        record.usage_estimated.into(),
        request.repriced.into(),
        record.request_id.as_str().into(),
        life.node.as_str().into(),
        record.model.as_str().into(),
        clip(&record.upstream_model, 191),
        record.group.as_str().into(),
        record.outcome.as_str().into(),
        clip(&record.error_code, 64),
        record.dialect.as_str().into(),
        clip(&record.path, 64),
        clip(&record.client_ip, 45),
        clip(&record.upstream_request_id, 128),
    ]
}

fn long(number: u64) -> sea_orm::Value {
    i64::try_from(number).unwrap_or(i64::MAX).into()
}

/// A text as its column takes it: of bounded length and without control characters (PostgreSQL refuses NUL). A text that came from
/// outside must never make a batch impossible to settle.
fn clip(text: &str, chars: usize) -> sea_orm::Value {
    text.chars().filter(|c| !c.is_control()).take(chars).collect::<String>().into()
}

/// Writes the attempts of requests, for the days when somebody may ask.
pub(super) async fn insert_explanations(tx: &Tx, requests: &[SettledRequest<'_>], now: UnixMillis) -> Result<u64, DbErr> {
    let once = OnConflict::column("request_id").do_nothing_on(["request_id"]).to_owned();
    let mut insert = Insert::into("request_explanations").longs(&["at"]).texts(&["request_id", "body"]).on_conflict(once);
    let mut seen = std::collections::HashSet::new();
    for request in requests {
        let id = request.record.request_id.as_str();
        // ids given by proxies may repeat, and one statement must not name a row twice
        if let Some(body) = explanation(request.record).filter(|_| seen.insert(id)) {
            insert.push(vec![now.0.into(), id.into(), body.into()]);
        }
    }
    insert.run(tx).await
}

#[derive(Default)]
struct Hour {
    requests: i64,
    failed: i64,
    quota: i64,
    input: i64,
    output: i64,
}

/// Adds to the hourly roll-up, in order of its keys.
pub(super) async fn add_to_hours(tx: &Tx, requests: &[SettledRequest<'_>]) -> Result<u64, DbErr> {
    let mut hours: BTreeMap<(i64, i64, i64, &str), Hour> = BTreeMap::new();
    for request in requests {
        let record = request.record;
        let hour_at = request.finished_at.0.div_euclid(HOUR_MILLIS) * HOUR_MILLIS;
        let channel = record.channel_id.map_or(0, ChannelId::get);
        let hour = hours.entry((hour_at, record.user_id.get(), channel, record.model.as_str())).or_default();
        hour.requests += 1;
        hour.failed += i64::from(record.outcome == sluice_domain::Outcome::Failed);
        hour.quota += request.quota;
        hour.input += i64::try_from(record.usage.total_input()).unwrap_or_default();
        hour.output += i64::try_from(record.usage.total_output()).unwrap_or_default();
    }
    let sums = ["requests", "failed", "quota", "input", "output"];
    let mut insert =
        Insert::into("usage_hourly").longs(&["hour_at", "user_id", "channel_id"]).texts(&["model"]).longs(&sums).on_conflict(
            adding(tx.get_database_backend(), "usage_hourly", &["hour_at", "user_id", "channel_id", "model"], &sums),
        );
    for ((hour_at, user, channel, model), hour) in hours {
        insert.push(vec![
            hour_at.into(),
            user.into(),
            channel.into(),
            model.into(),
            hour.requests.into(),
            hour.failed.into(),
            hour.quota.into(),
            hour.input.into(),
            hour.output.into(),
        ]);
    }
    insert.run(tx).await
}

/// On a row that is there already: adds the new values to it.
fn adding(engine: DatabaseBackend, table: &'static str, keys: &[&'static str], columns: &[&'static str]) -> OnConflict {
    let added = |column: &&'static str| {
        let given = match engine {
            DatabaseBackend::MySql => Expr::cust(format!("VALUES(`{column}`)")),
            _ => Expr::col(("excluded", *column)),
        };
        (*column, Expr::col((table, *column)).add(given))
    };
    OnConflict::columns(keys.iter().copied()).values(columns.iter().map(added)).to_owned()
}

/// A record that could not be settled.
pub(super) struct Quarantined {
    pub(super) seq: i64,
    pub(super) request_id: String,
    pub(super) reason: String,
    pub(super) body: String,
}

/// Sets records aside for people. What is longer than a record of ours ever is, is cut.
pub(super) async fn insert_quarantine(tx: &Tx, life: &Life, records: Vec<Quarantined>, now: UnixMillis) -> Result<u64, DbErr> {
    let mut insert =
        Insert::into("quarantine").longs(&["epoch", "seq", "at"]).texts(&["node_id", "request_id", "reason", "body"]);
    for record in records {
        insert.push(vec![
            life.epoch.0.into(),
            record.seq.into(),
            now.0.into(),
            life.node.as_str().into(),
            clip(&record.request_id, 64),
            clip(&record.reason, 64),
            clip(&record.body, MOST_QUARANTINED),
        ]);
    }
    insert.run(tx).await
}
