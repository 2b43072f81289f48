//! What the tail reads, and the log it reads by.

use std::collections::{BTreeSet, HashMap, HashSet};

use sea_orm::sea_query::{Expr, ExprTrait, JoinType, LockType, Order, Query, SelectStatement};
use sea_orm::{ConnectionTrait, DbErr, QueryResult};
use sluice_domain::{AccountId, ChannelId, KeyDigest, Status, TokenId, UnixMillis, UserId};
use sluice_rpc::identity;
use sluice_sealed::Keyring;
use sluice_snapshot::{Channel, ChannelKey, RelaySettings, RequestLimits, Resource, ResourceKey, Token, User, Version};
use tracing::error;

use super::head::{Head, Stamp};
use super::log::{Changed, RateChange};
use super::look::Logged;
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

/// Counts the sequence up, stamps it and answers it. The row stays locked until the transaction ends.
pub(super) async fn count_up(tx: &Tx, stamp: Stamp) -> Result<i64, DbErr> {
    let mut update = Query::update();
    update.table("config_head").value("seq", Expr::col("seq").add(1)).value("stamp", stamp.to_row());
    tx.execute(update.and_where(Expr::col("id").eq(1))).await?;
    Ok(head(tx).await?.version.seq)
}

pub(super) async fn insert_changes(
    tx: &Tx,
    now: UnixMillis,
    (seq, stamp): (i64, Stamp),
    changes: &[Changed],
) -> Result<(), DbErr> {
    let columns = ["seq", "ordinal", "kind", "name", "at", "stamp"];
    let mut insert = Query::insert().into_table("config_log").columns(columns).to_owned();
    for (ordinal, change) in (0_i32..).zip(changes) {
        let (kind, name) = (change.kind(), change.name());
        insert.values_panic([seq.into(), ordinal.into(), kind.into(), name.into(), now.0.into(), stamp.to_row().into()]);
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

/// The head of what is committed.
pub(super) async fn head(db: &impl ConnectionTrait) -> Result<Head, DbErr> {
    read_head(db, &select_head()).await
}

/// The same; nobody changes it until this transaction ends.
pub(super) async fn lock_head(tx: &Tx) -> Result<Head, DbErr> {
    read_head(tx, &select_head().lock(LockType::Update).to_owned()).await
}

fn select_head() -> SelectStatement {
    Query::select().columns(["lineage", "seq", "stamp"]).from("config_head").and_where(Expr::col("id").eq(1)).to_owned()
}

async fn read_head(db: &impl ConnectionTrait, select: &SelectStatement) -> Result<Head, DbErr> {
    let row = db.query_one(select).await?.ok_or_else(|| DbErr::RecordNotFound("config_head has no row".into()))?;
    let version = Version { lineage: row.try_get::<String>("", "lineage")?.into(), seq: row.try_get("", "seq")? };
    Ok(Head { version, stamp: Stamp::from_row(row.try_get("", "stamp")?) })
}

/// The stamp of a number, as long as the log has it.
pub(super) async fn stamp_of(db: &impl ConnectionTrait, seq: i64) -> Result<Option<Stamp>, DbErr> {
    let select = Query::select().column("stamp").from("config_log").and_where(Expr::col("seq").eq(seq)).limit(1).to_owned();
    let row = db.query_one(&select).await?;
    row.map(|row| row.try_get("", "stamp").map(Stamp::from_row)).transpose()
}

/// Gives the history another name.
pub(super) async fn rename(tx: &Tx, lineage: &str) -> Result<(), DbErr> {
    let update = Query::update().table("config_head").value("lineage", lineage).and_where(Expr::col("id").eq(1)).to_owned();
    tx.execute(&update).await.map(drop)
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
        "sealed_settings",
        "rev",
    ];
    let mut select = Query::select().columns(columns).from("channels").and_where(Expr::col("deleted_at").is_null()).to_owned();
    apply(&mut select, ids);
    let with_keys = |(mut channel, rev): (Channel, i64)| {
        channel.keys = keys.remove(&channel.id).unwrap_or_default();
        Versioned::new(Resource::Channel(channel), rev)
    };
    Ok(read(db, &select, "channels", |row| rows::channel(row, keyring)).await?.into_iter().map(with_keys).collect())
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

/// Providers that administrators described.
pub(super) async fn providers(db: &impl ConnectionTrait, which: Which<'_>) -> Result<Vec<Versioned>, DbErr> {
    let mut select = Query::select().columns(["slug", "definition", "rev"]).from("providers").to_owned();
    apply(&mut select, filter("slug", &which));
    let providers = read(db, &select, "providers", rows::provider).await?;
    Ok(providers.into_iter().map(|(provider, rev)| Versioned::new(Resource::Provider(provider), rev)).collect())
}

/// Of these resources, those whose row is there. A channel that is switched off counts as gone: nothing may hold up that it is.
pub(super) async fn existing(db: &impl ConnectionTrait, keys: &BTreeSet<ResourceKey>) -> Result<BTreeSet<ResourceKey>, DbErr> {
    let (mut channels, mut groups, mut prices) = (Vec::new(), Vec::new(), Vec::new());
    let (mut settings, mut providers) = (Vec::new(), Vec::new());
    for key in keys {
        match key {
            ResourceKey::Channel(id) => channels.push(sea_orm::Value::from(id.get())),
            ResourceKey::Group(name) => groups.push(name.as_str().into()),
            ResourceKey::Price(model) => prices.push(model.as_str().into()),
            ResourceKey::Setting(name) => settings.push(name.as_str().into()),
            ResourceKey::Provider(slug) => providers.push(slug.as_str().into()),
        }
    }
    let is_on = Expr::col("deleted_at").is_null().and(Expr::col("status").eq(Status::Enabled.code()));
    let here = |table: &'static str, column: &'static str, values: Vec<sea_orm::Value>| {
        Query::select().column(column).from(table).and_where(Expr::col(column).is_in(values)).to_owned()
    };
    let mut found = BTreeSet::new();
    for row in db.query_all(&here("channels", "id", channels).and_where(is_on).to_owned()).await? {
        found.insert(ResourceKey::Channel(ChannelId::new(row.try_get("", "id")?)));
    }
    let named = [
        ("user_groups", "name", groups),
        ("prices", "model", prices),
        ("settings", "name", settings),
        ("providers", "slug", providers),
    ];
    let mut names: HashSet<(&str, String)> = HashSet::new();
    for (table, column, values) in named.into_iter().filter(|(.., values)| !values.is_empty()) {
        for row in db.query_all(&here(table, column, values)).await? {
            names.insert((table, row.try_get("", column)?));
        }
    }
    let is_named = |table, name: &str| names.contains(&(table, name.to_owned()));
    found.extend(
        keys.iter()
            .filter(|key| match key {
                ResourceKey::Channel(_) => false,
                ResourceKey::Group(name) => is_named("user_groups", name.as_str()),
                ResourceKey::Price(model) => is_named("prices", model.as_str()),
                ResourceKey::Setting(name) => is_named("settings", name.as_str()),
                ResourceKey::Provider(slug) => is_named("providers", slug),
            })
            .cloned(),
    );
    Ok(found)
}

/// The revisions of rows that could not be read: what they are of counts as gone, until it is written anew.
async fn revisions(db: &impl ConnectionTrait, table: &'static str, ids: Vec<i64>) -> Result<HashMap<i64, i64>, DbErr> {
    if ids.is_empty() {
        return Ok(HashMap::new());
    }
    let select = Query::select().columns(["id", "rev"]).from(table).and_where(Expr::col("id").is_in(ids)).to_owned();
    db.query_all(&select).await?.iter().map(|row| Ok((row.try_get("", "id")?, row.try_get("", "rev")?))).collect()
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
    let missing = ids.iter().filter(|id| !changes.contains_key(id)).map(|id| id.get()).collect();
    let revs = revisions(db, "tokens", missing).await?;
    let gone = |id: TokenId| identity::Change::Gone { id, rev: revs.get(&id.get()).copied().unwrap_or(i64::MAX) };
    Ok(ids.iter().map(|id| changes.remove(id).unwrap_or_else(|| gone(*id))).collect())
}

fn is_or_gone(token: Token, deleted: bool) -> identity::Change<Token, TokenId> {
    if deleted { identity::Change::Gone { id: token.id, rev: token.rev } } else { identity::Change::Is(token) }
}

/// Users as they are, or that they are gone.
pub(super) async fn users(db: &impl ConnectionTrait, ids: &[UserId]) -> Result<Vec<identity::Change<User, UserId>>, DbErr> {
    let mut found = users_by_id(db, ids).await?;
    let missing = ids.iter().filter(|id| !found.contains_key(id)).map(|id| id.get()).collect();
    let revs = revisions(db, "users", missing).await?;
    let change = |id: &UserId| match found.remove(id) {
        Some((user, false)) => identity::Change::Is(user),
        Some((user, true)) => identity::Change::Gone { id: *id, rev: user.rev },
        None => identity::Change::Gone { id: *id, rev: revs.get(&id.get()).copied().unwrap_or(i64::MAX) },
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
    let as_of = head(db).await?.version.seq;
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
