//! The SQL of the request log.

use std::collections::{BTreeMap, BTreeSet};

use sea_orm::sea_query::{Expr, ExprTrait, Order, Query, SelectStatement};
use sea_orm::{ConnectionTrait, DbErr, QueryResult};
use sluice_domain::{UnixMillis, Usage, UserId};

use super::RequestFilter;
use crate::http::{Listing, Page};
use crate::settlement::explain::Explanation;

/// A row of the request log. Names of models, groups and outcomes are as they were written.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RequestRow {
    /// Its id: later rows have higher ones.
    pub id: i64,
    /// Names the request; ids given by a proxy may repeat.
    pub request_id: String,
    /// The relay that served it.
    pub node_id: String,
    /// Who paid.
    pub user_id: i64,
    /// The token it came with.
    pub token_id: i64,
    /// The model asked for.
    pub model: String,
    /// The model the upstream was asked for.
    pub upstream_model: String,
    /// The group whose ratio applied.
    pub group: String,
    /// The channel that answered, or was tried last.
    pub channel_id: Option<i64>,
    /// How it ended.
    pub outcome: String,
    /// Code of the error the caller got; empty when none.
    pub error_code: String,
    /// Status the caller got; 0 when none was sent.
    pub status: i32,
    /// Protocol of the caller.
    pub dialect: String,
    /// Path of the interface.
    pub path: String,
    /// Whether it was a stream.
    pub stream: bool,
    /// Usage by class, in the order of the fields of [`Usage`].
    pub counters: [i64; COUNTERS.len()],
    /// Whether the usage is the relay's estimate.
    pub usage_estimated: bool,
    /// What it cost.
    pub quota: i64,
    /// What was held for it.
    pub held: i64,
    /// Whether the relay's own figure differed.
    pub repriced: bool,
    /// The config version it was priced with.
    pub config_seq: i64,
    /// When it came in.
    pub started_at: UnixMillis,
    /// When it ended.
    pub finished_at: UnixMillis,
    /// How long it took, in milliseconds.
    pub total_ms: i64,
    /// To the first byte, in milliseconds.
    pub first_byte_ms: Option<i64>,
    /// How many attempts were made.
    pub attempts: i32,
    /// Where the caller was.
    pub client_ip: Option<String>,
    /// The upstream's name for it.
    pub upstream_request_id: Option<String>,
}

/// The columns of the usage, in the order of the fields of [`Usage`].
pub(super) const COUNTERS: [&str; 9] = [
    "input",
    "output",
    "reasoning",
    "cache_read",
    "cache_write_5m",
    "cache_write_1h",
    "image_input",
    "audio_input",
    "audio_output",
];

const COLUMNS: [&str; 25] = [
    "id",
    "request_id",
    "node_id",
    "user_id",
    "token_id",
    "model",
    "upstream_model",
    "group_name",
    "channel_id",
    "outcome",
    "error_code",
    "status",
    "dialect",
    "path",
    "stream",
    "usage_estimated",
    "quota",
    "held",
    "repriced",
    "config_seq",
    "started_at",
    "finished_at",
    "total_ms",
    "first_byte_ms",
    "attempts",
];
const LATE_COLUMNS: [&str; 2] = ["client_ip", "upstream_request_id"];

impl RequestRow {
    /// The usage by class.
    #[must_use]
    pub fn usage(&self) -> Usage {
        let [input, output, reasoning, cache_read, cache_write_5m, cache_write_1h, image_input, audio_input, audio_output] =
            self.counters.map(|counter| u64::try_from(counter).unwrap_or(0));
        Usage { input, output, reasoning, cache_read, cache_write_5m, cache_write_1h, image_input, audio_input, audio_output }
    }
}

pub(super) async fn list(
    db: &impl ConnectionTrait,
    filter: &RequestFilter,
    listing: &Listing,
) -> Result<Page<RequestRow>, DbErr> {
    let equal = |column: &'static str, text: &Option<String>| text.as_deref().map(|text| Expr::col(column).eq(text));
    let some = select()
        .and_where_option(filter.user_id.map(|user| Expr::col("user_id").eq(user.get())))
        .and_where_option(filter.token_id.map(|token| Expr::col("token_id").eq(token)))
        .and_where_option(filter.channel_id.map(|channel| Expr::col("channel_id").eq(channel)))
        .and_where_option(equal("model", &filter.model))
        .and_where_option(equal("group_name", &filter.group))
        .and_where_option(equal("request_id", &filter.request_id))
        .and_where_option(equal("error_code", &filter.error_code))
        .and_where_option(filter.outcome.map(|outcome| Expr::col("outcome").eq(outcome.as_str())))
        .and_where_option(filter.status.map(|status| Expr::col("status").eq(status)))
        .and_where_option(filter.stream.map(|stream| Expr::col("stream").eq(stream)))
        .and_where_option(filter.finished_from.map(|from| Expr::col("finished_at").gte(from)))
        .and_where_option(filter.finished_before.map(|before| Expr::col("finished_at").lt(before)))
        .to_owned();
    listing.read(db, some, read, |row, _| (row.id.into(), row.id.into())).await
}

/// The newest request of an id; of one user when given.
pub(super) async fn find(
    db: &impl ConnectionTrait,
    request_id: &str,
    owner: Option<UserId>,
) -> Result<Option<RequestRow>, DbErr> {
    let newest = select()
        .and_where(Expr::col("request_id").eq(request_id))
        .and_where_option(owner.map(|owner| Expr::col("user_id").eq(owner.get())))
        .order_by("id", Order::Desc)
        .limit(1)
        .to_owned();
    db.query_one(&newest).await?.as_ref().map(read).transpose()
}

pub(super) async fn explanation(db: &impl ConnectionTrait, request_id: &str) -> Result<Option<Explanation>, DbErr> {
    let select =
        Query::select().column("body").from("request_explanations").and_where(Expr::col("request_id").eq(request_id)).to_owned();
    let Some(row) = db.query_one(&select).await? else { return Ok(None) };
    let body: String = row.try_get("", "body")?;
    // what a later version wrote otherwise is not told rather than refused
    Ok(serde_json::from_str(&body).ok())
}

/// The names of rows of a table, deleted ones too.
pub(super) async fn names(
    db: &impl ConnectionTrait,
    table: &'static str,
    column: &'static str,
    ids: impl Iterator<Item = i64>,
) -> Result<BTreeMap<i64, String>, DbErr> {
    let ids: BTreeSet<i64> = ids.collect();
    if ids.is_empty() {
        return Ok(BTreeMap::new());
    }
    let select = Query::select().columns(["id", column]).from(table).and_where(Expr::col("id").is_in(ids)).to_owned();
    let read = |row: &QueryResult| Ok((row.try_get("", "id")?, row.try_get("", column)?));
    db.query_all(&select).await?.iter().map(read).collect()
}

fn select() -> SelectStatement {
    Query::select().columns(COLUMNS).columns(COUNTERS).columns(LATE_COLUMNS).from("requests").to_owned()
}

fn read(row: &QueryResult) -> Result<RequestRow, DbErr> {
    let mut counters = [0; COUNTERS.len()];
    for (place, column) in counters.iter_mut().zip(COUNTERS) {
        *place = row.try_get("", column)?;
    }
    let channel_id: i64 = row.try_get("", "channel_id")?;
    let text = |column| row.try_get("", column).map(|text: Option<String>| text.filter(|text| !text.is_empty()));
    Ok(RequestRow {
        id: row.try_get("", "id")?,
        request_id: row.try_get("", "request_id")?,
        node_id: row.try_get("", "node_id")?,
        user_id: row.try_get("", "user_id")?,
        token_id: row.try_get("", "token_id")?,
        model: row.try_get("", "model")?,
        upstream_model: row.try_get("", "upstream_model")?,
        group: row.try_get("", "group_name")?,
        // 0 where none was reached
        channel_id: (channel_id != 0).then_some(channel_id),
        outcome: row.try_get("", "outcome")?,
        error_code: row.try_get("", "error_code")?,
        status: row.try_get("", "status")?,
        dialect: row.try_get("", "dialect")?,
        path: row.try_get("", "path")?,
        stream: row.try_get("", "stream")?,
        counters,
        usage_estimated: row.try_get("", "usage_estimated")?,
        quota: row.try_get("", "quota")?,
        held: row.try_get("", "held")?,
        repriced: row.try_get("", "repriced")?,
        config_seq: row.try_get("", "config_seq")?,
        started_at: UnixMillis(row.try_get("", "started_at")?),
        finished_at: UnixMillis(row.try_get("", "finished_at")?),
        total_ms: row.try_get("", "total_ms")?,
        first_byte_ms: row.try_get("", "first_byte_ms").map(|millis: i64| (millis >= 0).then_some(millis))?,
        attempts: row.try_get("", "attempts")?,
        client_ip: text("client_ip")?,
        upstream_request_id: text("upstream_request_id")?,
    })
}
