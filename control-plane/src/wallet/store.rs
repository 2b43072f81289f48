//! The SQL of accounts and ledger.

use sea_orm::sea_query::{Expr, ExprTrait, LockType, Order, Query};
use sea_orm::{ConnectionTrait, DbErr, QueryResult, SqlErr};
use sluice_domain::{AccountId, Quota, UnixMillis, UserId};

use super::entry::{Account, AccountKind, Entry, EntryKind, Standing, WalletError};
use crate::db::{Tx, insert_for_id};
use crate::publish::log::Changed;

/// Opens an account, empty. The owner's kind and id are unique.
///
/// # Errors
/// When the owner has one already, or the database is away.
pub async fn open(tx: &Tx, kind: AccountKind, user: UserId, now: UnixMillis) -> Result<AccountId, WalletError> {
    let mut insert = Query::insert().into_table("accounts").columns(["kind", "owner_id", "user_id", "created_at"]).to_owned();
    insert.values_panic([kind.as_str().into(), kind.owner_id().into(), user.get().into(), now.0.into()]);
    Ok(AccountId::new(insert_for_id(tx, insert).await?))
}

/// Moves money on one account and writes its ledger row. Answers the account's total after it.
///
/// The account's row is locked until the transaction ends. A transaction that posts on several accounts posts in order of their ids.
///
/// # Errors
/// When there is no such account, the reference was used before, or an amount would be out of range. The transaction is to be
/// dropped then.
pub async fn post(tx: &Tx, entry: Entry, now: UnixMillis) -> Result<Quota, WalletError> {
    let standing = locked(tx, entry.account).await?.ok_or(WalletError::NoAccount(entry.account))?;
    let out_of_range = |overflow| WalletError::OutOfRange(entry.account, overflow);
    let balance = standing.0.balance.plus(entry.amount).map_err(out_of_range)?;
    let total = standing.0.total().plus(entry.amount).map_err(out_of_range)?;

    let mut insert = Query::insert()
        .into_table("ledger")
        .columns(["account_id", "user_id", "kind", "amount", "balance_after", "reference", "actor_id", "reason", "at"])
        .to_owned();
    insert.values_panic([
        entry.account.get().into(),
        standing.1.get().into(),
        entry.kind.as_str().into(),
        entry.amount.get().into(),
        total.get().into(),
        entry.reference.as_str().into(),
        entry.actor.map(UserId::get).into(),
        entry.reason.as_str().into(),
        now.0.into(),
    ]);
    tx.execute(&insert).await.map_err(|error| match error.sql_err() {
        Some(SqlErr::UniqueConstraintViolation(_)) => WalletError::Duplicate(entry.reference.clone()),
        _ => WalletError::Database(error),
    })?;

    let mut update = Query::update().table("accounts").and_where(Expr::col("id").eq(entry.account.get())).to_owned();
    update.value("balance", balance.get()).value("rev", Expr::col("rev").add(1));
    tx.execute(&update).await?;
    if entry.amount.is_positive() {
        // relays that were told the account is exhausted forget it
        tx.record_at_commit(now, Changed::Account(entry.account));
    }
    Ok(total)
}

async fn locked(tx: &Tx, account: AccountId) -> Result<Option<(Standing, UserId)>, DbErr> {
    let select = select_standings().and_where(Expr::col("id").eq(account.get())).lock(LockType::Update).to_owned();
    let Some(row) = tx.query_one(&select).await? else { return Ok(None) };
    Ok(Some((standing_of(&row)?, UserId::new(row.try_get("", "user_id")?))))
}

/// What accounts hold, in order of their ids. Those that do not exist are left out. At most a few hundred at once.
///
/// # Errors
/// When the database is away.
pub async fn standings(db: &impl ConnectionTrait, accounts: &[AccountId]) -> Result<Vec<Standing>, DbErr> {
    if accounts.is_empty() {
        return Ok(Vec::new());
    }
    let ids = accounts.iter().map(|account| account.get());
    let select = select_standings().and_where(Expr::col("id").is_in(ids)).order_by("id", Order::Asc).to_owned();
    db.query_all(&select).await?.iter().map(standing_of).collect()
}

/// A user's accounts: the wallet first, then the caps, in order of their ids.
///
/// # Errors
/// When the database is away.
pub async fn accounts_of(db: &impl ConnectionTrait, user: UserId) -> Result<Vec<Account>, DbErr> {
    let select = Query::select()
        .columns(["id", "kind", "owner_id"])
        .from("accounts")
        .and_where(Expr::col("user_id").eq(user.get()))
        .order_by("id", Order::Asc)
        .to_owned();
    let mut accounts = Vec::new();
    for row in db.query_all(&select).await? {
        let (kind, owner_id): (String, i64) = (row.try_get("", "kind")?, row.try_get("", "owner_id")?);
        if let Some(kind) = AccountKind::from_row(&kind, owner_id) {
            accounts.push(Account { id: AccountId::new(row.try_get("", "id")?), kind, user_id: user });
        }
    }
    accounts.sort_by_key(|account| (!matches!(account.kind, AccountKind::Wallet(_)), account.id));
    Ok(accounts)
}

/// Whose ledger is asked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum LedgerOf {
    /// One account's.
    Account(AccountId),
    /// All accounts' of a user.
    User(UserId),
}

/// One row of the ledger.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LedgerRow {
    /// Its id: rows of one account are in the order of their ids.
    pub id: i64,
    /// The account.
    pub account: AccountId,
    /// Why, as the word in the database.
    pub kind: String,
    /// How much.
    pub amount: Quota,
    /// The account's total after it.
    pub balance_after: Quota,
    /// Names the movement.
    pub reference: String,
    /// Who did it.
    pub actor: Option<UserId>,
    /// For people.
    pub reason: String,
    /// When.
    pub at: UnixMillis,
}

impl LedgerRow {
    /// The kind, unless it is one of a later version.
    #[must_use]
    pub fn entry_kind(&self) -> Option<EntryKind> {
        EntryKind::from_word(&self.kind)
    }
}

/// A page of the ledger, newest first: at most `limit` rows with an id below `before`.
///
/// # Errors
/// When the database is away.
pub async fn ledger_page(
    db: &impl ConnectionTrait,
    of: LedgerOf,
    before: Option<i64>,
    limit: u64,
) -> Result<Vec<LedgerRow>, DbErr> {
    let mut select = Query::select()
        .columns(["id", "account_id", "kind", "amount", "balance_after", "reference", "actor_id", "reason", "at"])
        .from("ledger")
        .order_by("id", Order::Desc)
        .limit(limit)
        .to_owned();
    match of {
        LedgerOf::Account(account) => select.and_where(Expr::col("account_id").eq(account.get())),
        LedgerOf::User(user) => select.and_where(Expr::col("user_id").eq(user.get())),
    };
    select.and_where_option(before.map(|id| Expr::col("id").lt(id)));
    db.query_all(&select).await?.iter().map(ledger_row).collect()
}

fn ledger_row(row: &QueryResult) -> Result<LedgerRow, DbErr> {
    let actor: Option<i64> = row.try_get("", "actor_id")?;
    Ok(LedgerRow {
        id: row.try_get("", "id")?,
        account: AccountId::new(row.try_get("", "account_id")?),
        kind: row.try_get("", "kind")?,
        amount: Quota::clamped(row.try_get("", "amount")?),
        balance_after: Quota::clamped(row.try_get("", "balance_after")?),
        reference: row.try_get("", "reference")?,
        actor: actor.map(UserId::new),
        reason: row.try_get("", "reason")?,
        at: UnixMillis(row.try_get("", "at")?),
    })
}

fn select_standings() -> sea_orm::sea_query::SelectStatement {
    Query::select()
        .columns(["id", "user_id", "balance", "credit_limit", "leased", "in_doubt", "spent", "frozen"])
        .from("accounts")
        .to_owned()
}

fn standing_of(row: &QueryResult) -> Result<Standing, DbErr> {
    let amount = |column| row.try_get("", column).map(Quota::clamped);
    Ok(Standing {
        account: AccountId::new(row.try_get("", "id")?),
        balance: amount("balance")?,
        credit_limit: amount("credit_limit")?,
        leased: amount("leased")?,
        in_doubt: amount("in_doubt")?,
        spent: amount("spent")?,
        frozen: row.try_get("", "frozen")?,
    })
}
