//! What the tail reads, and the log it reads by.

use std::collections::{BTreeSet, HashMap};

use sea_orm::sea_query::{Expr, ExprTrait, JoinType, LockType, Order, Query, SelectStatement};
use sea_orm::{ConnectionTrait, DbErr, QueryResult};
use sluice_domain::{AccountId, ChannelId, KeyDigest, TokenId, UnixMillis, UserId};
use sluice_rpc::identity;
use sluice_sealed::Keyring;
use sluice_snapshot::{Channel, ChannelKey, RelaySettings, RequestLimits, Resource, Token, User, Version};
use tracing::error;

use super::log::{Changed, RateChange};
use super::rows::{self, BadRow};
use super::state::Versioned;
use crate::db::Tx;

/// Which rows of a kind.
pub(super) enum Which<'a> {
    /// All of them.
    All,
    /// Those with these values in the key column.
    These(&'a [sea_orm::Value]),
}

/// Counts the sequence up and answers it. The row stays locked until the transaction ends.
pub(super) async fn count_up(tx: &Tx) -> Result<i64, DbErr> {
    let mut update = Query::update();
    update.table("config_head").value("seq", Expr::col("seq").add(1)).and_where(Expr::col("id").eq(1));
    tx.execute(&update).await?;
    Ok(head(tx).await?.seq)
}

pub(super) async fn insert_changes(tx: &Tx, now: UnixMillis, seq: i64, changes: &[Changed]) -> Result<(), DbErr> {
    let mut insert = Query::insert().into_table("config_log").columns(["seq", "ordinal", "kind", "name", "at"]).to_owned();
    for (ordinal, change) in (0_i32..).zip(changes) {
        insert.values_panic([seq.into(), ordinal.into(), change.kind().into(), change.name().into(), now.0.into()]);
    }
    tx.execute(&insert).await.map(drop)
}

pub(super) async fn insert_rates(tx: &Tx, now: UnixMillis, seq: i64, rates: &[RateChange]) -> Result<(), DbErr> {
    if rates.is_empty() {
        return Ok(());
    }
    let mut insert = Query::insert().into_table("rate_history").columns(["kind", "name", "seq", "body", "at"]).to_owned();
    for rate in rates {
        let body = rate.body.clone();
        insert.values_panic([rate.kind.as_str().into(), rate.name.as_str().into(), seq.into(), body.into(), now.0.into()]);
    }
    tx.execute(&insert).await.map(drop)
}

/// The version of what is committed.
pub(super) async fn head(db: &impl ConnectionTrait) -> Result<Version, DbErr> {
    version(db, &select_head()).await
}

/// The same; nobody changes it until this transaction ends.
pub(super) async fn lock_head(tx: &Tx) -> Result<Version, DbErr> {
    version(tx, &select_head().lock(LockType::Update).to_owned()).await
}

fn select_head() -> SelectStatement {
    Query::select().columns(["lineage", "seq"]).from("config_head").and_where(Expr::col("id").eq(1)).to_owned()
}

async fn version(db: &impl ConnectionTrait, select: &SelectStatement) -> Result<Version, DbErr> {
    let row = db.query_one(select).await?.ok_or_else(|| DbErr::RecordNotFound("config_head has no row".into()))?;
    Ok(Version { lineage: row.try_get::<String>("", "lineage")?.into(), seq: row.try_get("", "seq")? })
}

/// Gives the history another name.
pub(super) async fn rename(tx: &Tx, lineage: &str) -> Result<(), DbErr> {
    let update = Query::update().table("config_head").value("lineage", lineage).and_where(Expr::col("id").eq(1)).to_owned();
    tx.execute(&update).await.map(drop)
}

/// What was logged between two sequence numbers.
pub(super) struct Logged {
    /// What changed, each once.
    pub(super) changes: BTreeSet<Changed>,
    /// How many sequence numbers there were.
    pub(super) seqs: usize,
    /// Whether there may be more than was asked for.
    pub(super) is_cut: bool,
}

/// What was logged above a sequence number: at most so many changes, the oldest.
pub(super) async fn logged_above(db: &impl ConnectionTrait, seq: i64, most: u64) -> Result<Logged, DbErr> {
    let select = Query::select()
        .columns(["seq", "kind", "name"])
        .from("config_log")
        .and_where(Expr::col("seq").gt(seq))
        .order_by("seq", Order::Asc)
        .order_by("ordinal", Order::Asc)
        .limit(most)
        .to_owned();
    let (mut changes, mut seqs) = (BTreeSet::new(), BTreeSet::new());
    let rows = db.query_all(&select).await?;
    for row in &rows {
        seqs.insert(row.try_get::<i64>("", "seq")?);
        let (kind, name): (String, String) = (row.try_get("", "kind")?, row.try_get("", "name")?);
        let change = Changed::from_row(&kind, &name);
        if change.is_none() {
            // a later version wrote it: its relays take it from its own replicas
            error!(kind, "a change of a kind of a later version is skipped");
        }
        changes.extend(change);
    }
    let is_cut = u64::try_from(rows.len()).is_ok_and(|count| count >= most);
    Ok(Logged { changes, seqs: seqs.len(), is_cut })
}

/// Channels with their keys. Deleted ones are not there.
pub(super) async fn channels(db: &impl ConnectionTrait, keyring: &Keyring, which: Which<'_>) -> Result<Vec<Versioned>, DbErr> {
    let ids = filter("id", &which);
    let mut keys = channel_keys(db, keyring, &which).await?;
    let columns = [
        "id",
        "name",
        "provider",
        "base_url",
        "api_version",
        "models",
        "groups",
        "priority",
        "weight",
        "status",
        "model_mapping",
        "cache_read_ratio",
        "first_output_ms",
        "keeps_empty",
        "drains",
        "limits",
        "rev",
    ];
    let mut select = Query::select().columns(columns).from("channels").and_where(Expr::col("deleted_at").is_null()).to_owned();
    apply(&mut select, ids);
    let with_keys = |(mut channel, rev): (Channel, i64)| {
        channel.keys = keys.remove(&channel.id).unwrap_or_default();
        Versioned::new(Resource::Channel(channel), rev)
    };
    Ok(read(db, &select, "channels", rows::channel).await?.into_iter().map(with_keys).collect())
}

async fn channel_keys(
    db: &impl ConnectionTrait,
    keyring: &Keyring,
    which: &Which<'_>,
) -> Result<HashMap<ChannelId, Vec<ChannelKey>>, DbErr> {
    let mut select = Query::select();
    select.columns(["id", "channel_id", "sealed_key", "seal_name", "status"]).from("channel_keys");
    select.order_by("channel_id", Order::Asc).order_by("position", Order::Asc);
    apply(&mut select, filter("channel_id", which));
    let mut keys: HashMap<ChannelId, Vec<ChannelKey>> = HashMap::new();
    for (channel, key) in read(db, &select, "channel_keys", |row| rows::channel_key(row, keyring)).await? {
        keys.entry(channel).or_default().push(key);
    }
    Ok(keys)
}

/// Groups.
pub(super) async fn groups(db: &impl ConnectionTrait, which: Which<'_>) -> Result<Vec<Versioned>, DbErr> {
    let mut select = Query::select().columns(["name", "ratio", "usable", "limits", "rev"]).from("user_groups").to_owned();
    apply(&mut select, filter("name", &which));
    let groups = read(db, &select, "user_groups", rows::group).await?;
    Ok(groups.into_iter().map(|(group, rev)| Versioned::new(Resource::Group(group), rev)).collect())
}

/// Prices.
pub(super) async fn prices(db: &impl ConnectionTrait, which: Which<'_>) -> Result<Vec<Versioned>, DbErr> {
    let mut select = Query::select().columns(["model", "body", "limits", "rev"]).from("prices").to_owned();
    apply(&mut select, filter("model", &which));
    let prices = read(db, &select, "prices", rows::price).await?;
    Ok(prices.into_iter().map(|(price, rev)| Versioned::new(Resource::Price(price), rev)).collect())
}

/// The settings relays follow; others are none of their business.
pub(super) async fn settings(db: &impl ConnectionTrait, which: Which<'_>) -> Result<Vec<Versioned>, DbErr> {
    let known = RelaySettings::NAMES.into_iter().chain(RequestLimits::NAMES);
    let mut select =
        Query::select().columns(["name", "value", "rev"]).from("settings").and_where(Expr::col("name").is_in(known)).to_owned();
    apply(&mut select, filter("name", &which));
    let settings = read(db, &select, "settings", rows::setting).await?;
    Ok(settings.into_iter().map(|(setting, rev)| Versioned::new(Resource::Setting(setting), rev)).collect())
}

/// Tokens as they are, or that they are gone.
pub(super) async fn tokens(db: &impl ConnectionTrait, ids: &[TokenId]) -> Result<Vec<identity::Change<Token, TokenId>>, DbErr> {
    if ids.is_empty() {
        return Ok(Vec::new());
    }
    let values: Vec<sea_orm::Value> = ids.iter().map(|id| id.get().into()).collect();
    let mut select = select_tokens();
    apply(&mut select, filter("id", &Which::These(&values)));
    let found = read(db, &select, "tokens", rows::token).await?;
    let mut changes: HashMap<TokenId, _> =
        found.into_iter().map(|(token, deleted)| (token.id, is_or_gone(token, deleted))).collect();
    Ok(ids.iter().map(|id| changes.remove(id).unwrap_or(identity::Change::Gone { id: *id, rev: i64::MAX })).collect())
}

fn is_or_gone(token: Token, deleted: bool) -> identity::Change<Token, TokenId> {
    if deleted { identity::Change::Gone { id: token.id, rev: token.rev } } else { identity::Change::Is(token) }
}

/// Users as they are, or that they are gone.
pub(super) async fn users(db: &impl ConnectionTrait, ids: &[UserId]) -> Result<Vec<identity::Change<User, UserId>>, DbErr> {
    let mut found = users_by_id(db, ids).await?;
    let change = |id: &UserId| match found.remove(id) {
        Some((user, false)) => identity::Change::Is(user),
        Some((user, true)) => identity::Change::Gone { id: *id, rev: user.rev },
        None => identity::Change::Gone { id: *id, rev: i64::MAX },
    };
    Ok(ids.iter().map(change).collect())
}

/// A user who exists.
pub(super) async fn user(db: &impl ConnectionTrait, id: UserId) -> Result<Option<User>, DbErr> {
    Ok(users_by_id(db, &[id]).await?.remove(&id).filter(|(_, deleted)| !deleted).map(|(user, _)| user))
}

/// A token that exists, by the digest of its key.
pub(super) async fn token_by_digest(db: &impl ConnectionTrait, digest: &KeyDigest) -> Result<Option<Token>, DbErr> {
    let mut select = select_tokens();
    select.and_where(Expr::col("digest").eq(hex::encode(digest.0))).and_where(Expr::col("deleted_at").is_null());
    let Some(row) = db.query_one(&select).await? else { return Ok(None) };
    // a key that is there and cannot be read is not unknown
    rows::token(&row).map(|(token, _)| Some(token)).map_err(|reason| DbErr::Custom(format!("a row of tokens: {reason}")))
}

/// Tokens by ascending id, and their owners.
#[derive(Debug, Default)]
pub struct IdentityPage {
    /// The config sequence it was read at.
    pub as_of: i64,
    /// The tokens.
    pub tokens: Vec<Token>,
    /// Their owners, each once.
    pub users: Vec<User>,
    /// The id to go on after; `None`: this was the last page.
    pub next: Option<i64>,
    /// Whether every row could be read.
    pub is_whole: bool,
}

/// The next page of the tokens used (or made) since a moment.
pub(super) async fn identity_page(
    db: &impl ConnectionTrait,
    after: i64,
    limit: u64,
    since: UnixMillis,
) -> Result<IdentityPage, DbErr> {
    let as_of = head(db).await?.seq;
    let mut select = select_tokens();
    select
        .and_where(Expr::col("id").gt(after))
        .and_where(Expr::col("deleted_at").is_null())
        .and_where(Expr::col("last_used_at").gte(since.0).or(Expr::col("created_at").gte(since.0)))
        .order_by("id", Order::Asc)
        .limit(limit);
    let rows = db.query_all(&select).await?;
    let is_full = u64::try_from(rows.len()).is_ok_and(|count| count >= limit);
    let next = rows.last().filter(|_| is_full).map(|row| row.try_get("", "id")).transpose()?;
    let tokens: Vec<Token> = parse_all(&rows, "tokens", rows::token).into_iter().map(|(token, _)| token).collect();
    let is_whole = tokens.len() == rows.len();
    let owners: Vec<UserId> = tokens.iter().map(|token| token.user_id).collect::<BTreeSet<_>>().into_iter().collect();
    let users = users_by_id(db, &owners).await?.into_values().filter(|(_, deleted)| !deleted).map(|(user, _)| user).collect();
    Ok(IdentityPage { as_of, tokens, users, next, is_whole })
}

/// Whether there are at most so many tokens. Looks at the one behind them, and counts nothing.
pub(super) async fn has_at_most(db: &impl ConnectionTrait, tokens: u64) -> Result<bool, DbErr> {
    let select = Query::select()
        .column("id")
        .from("tokens")
        .and_where(Expr::col("deleted_at").is_null())
        .order_by("id", Order::Asc)
        .limit(1)
        .offset(tokens)
        .to_owned();
    Ok(db.query_one(&select).await?.is_none())
}

/// The revisions of accounts.
pub(super) async fn account_revs(db: &impl ConnectionTrait, ids: &[AccountId]) -> Result<Vec<(AccountId, i64)>, DbErr> {
    let values: Vec<sea_orm::Value> = ids.iter().map(|id| id.get().into()).collect();
    let mut select = Query::select().columns(["id", "rev"]).from("accounts").to_owned();
    apply(&mut select, filter("id", &Which::These(&values)));
    let pair = |row: QueryResult| Ok((AccountId::new(row.try_get("", "id")?), row.try_get("", "rev")?));
    db.query_all(&select).await?.into_iter().map(pair).collect()
}

async fn users_by_id(db: &impl ConnectionTrait, ids: &[UserId]) -> Result<HashMap<UserId, (User, bool)>, DbErr> {
    if ids.is_empty() {
        return Ok(HashMap::new());
    }
    let select = Query::select()
        .columns(["id", "rev", "status", "role", "group_name", "limits", "deleted_at"].map(|column| ("users", column)))
        .expr_as(Expr::col(("accounts", "id")), "account_id")
        .from("users")
        .join(
            JoinType::InnerJoin,
            "accounts",
            Expr::col(("accounts", "owner_id")).equals(("users", "id")).and(Expr::col(("accounts", "kind")).eq("wallet")),
        )
        .and_where(Expr::col(("users", "id")).is_in(ids.iter().map(|id| id.get())))
        .to_owned();
    Ok(read(db, &select, "users", rows::user).await?.into_iter().map(|(user, deleted)| (user.id, (user, deleted))).collect())
}

fn select_tokens() -> SelectStatement {
    let columns = [
        "id",
        "user_id",
        "account_id",
        "name",
        "digest",
        "status",
        "group_name",
        "capped",
        "uses_account_id",
        "uses_limited",
        "expires_at",
        "models_limited",
        "models",
        "ip_allow",
        "rev",
        "deleted_at",
        "limits",
    ];
    Query::select().columns(columns).from("tokens").to_owned()
}

fn filter(column: &'static str, which: &Which<'_>) -> Option<sea_orm::sea_query::SimpleExpr> {
    match which {
        Which::All => None,
        Which::These(values) => Some(Expr::col(column).is_in(values.iter().cloned())),
    }
}

fn apply(select: &mut SelectStatement, condition: Option<sea_orm::sea_query::SimpleExpr>) {
    if let Some(condition) = condition {
        select.and_where(condition);
    }
}

/// Reads every row that can be read. One that breaks a rule is logged and left out: it must not hold up the others.
async fn read<T>(
    db: &impl ConnectionTrait,
    select: &SelectStatement,
    table: &'static str,
    parse: impl Fn(&QueryResult) -> Result<T, BadRow>,
) -> Result<Vec<T>, DbErr> {
    Ok(parse_all(&db.query_all(select).await?, table, parse))
}

fn parse_all<T>(rows: &[QueryResult], table: &'static str, parse: impl Fn(&QueryResult) -> Result<T, BadRow>) -> Vec<T> {
    let mut parsed = Vec::with_capacity(rows.len());
    for row in rows {
        match parse(row) {
            Ok(value) => parsed.push(value),
            Err(reason) => error!(table, %reason, "a row of {table} cannot be sent to relays and is left out"),
        }
    }
    parsed
}
