//! The SQL that compares accounts with their ledger and their leases.

use sea_orm::sea_query::{Expr, ExprTrait, Func, OnConflict, Order, Query, SelectStatement};
use sea_orm::{ConnectionTrait, DatabaseBackend, DbErr, QueryResult};
use sluice_domain::{AccountId, UnixMillis};

use super::Imbalance;
use crate::db::{Tx, sum, whole};
use crate::wallet::{EntryKind, moves};

/// Rows of an account's ledger beyond the last note that are worth another.
const WORTH_A_NOTE: i64 = 1_000;

/// What a look at some accounts found.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Slice {
    /// How many accounts there were.
    pub accounts: u64,
    /// Those that do not add up.
    pub off: Vec<Imbalance>,
    /// Those whose ledger has grown so much that its sum is worth noting.
    pub grown: Vec<AccountId>,
    /// The last account; `None`: there are no more.
    pub last: Option<AccountId>,
}

/// Looks through accounts with an id above `after`, at most `limit` of them. Answers those that do not add up, and the last id looked
/// at; `None`: there are no more. One statement, so everything is of one moment. Every row of the ledger is added up.
///
/// # Errors
/// When the database is away.
pub async fn imbalances(
    db: &impl ConnectionTrait,
    after: AccountId,
    limit: u64,
) -> Result<(Vec<Imbalance>, Option<AccountId>), DbErr> {
    let since_start = Query::select().expr(Expr::val(0_i64)).to_owned();
    let since_start = scalar(since_start);
    let slice =
        look(db, after, limit, &Noted { row: since_start.clone(), total: since_start.clone(), spent: since_start }).await?;
    Ok((slice.off, slice.last))
}

/// The same, on top of what was added up and noted before.
///
/// # Errors
/// When the database is away.
pub async fn checked(db: &impl ConnectionTrait, after: AccountId, limit: u64) -> Result<Slice, DbErr> {
    let noted = |column: &'static str| Expr::from(Func::coalesce([Expr::col(("ledger_notes", column)), Expr::val(0_i64)]));
    look(db, after, limit, &Noted { row: noted("ledger_id"), total: noted("total"), spent: noted("spent") }).await
}

/// What was added up before: up to a row, its sum, and how much of it was spent.
struct Noted {
    row: Expr,
    total: Expr,
    spent: Expr,
}

/// Adds what came after the noted row to the noted sums, and compares.
async fn look(db: &impl ConnectionTrait, after: AccountId, limit: u64, noted: &Noted) -> Result<Slice, DbErr> {
    let engine = db.get_database_backend();
    let rows = || of_account("ledger").and_where(Expr::col(("ledger", "id")).gt(noted.row.clone())).to_owned();
    let since = rows().expr(sum(engine, Expr::col(("ledger", "amount")))).to_owned();
    let charges = rows().and_where(Expr::col(("ledger", "kind")).eq(EntryKind::Charge.as_str())).to_owned();
    let charged = charges.clone().expr(sum(engine, Expr::col(("ledger", "amount")))).to_owned();
    let count = rows().expr(whole(engine, Expr::col(("ledger", "id")).count())).to_owned();
    let select = Query::select()
        .columns(["id", "balance", "leased", "in_doubt", "spent"].map(|column| ("accounts", column)))
        .expr_as(whole(engine, noted.total.clone()), "noted_sum")
        .expr_as(whole(engine, noted.spent.clone()), "noted_spent")
        .expr_as(scalar(since), "since_sum")
        .expr_as(scalar(charged), "since_charged")
        .expr_as(scalar(count), "since_rows")
        .expr_as(scalar(remainders(engine, "open")), "open_sum")
        .expr_as(scalar(remainders(engine, "in_doubt")), "in_doubt_sum")
        .from("accounts")
        .left_join("ledger_notes", Expr::col(("ledger_notes", "account_id")).equals(("accounts", "id")))
        .and_where(Expr::col(("accounts", "id")).gt(after.get()))
        .order_by(("accounts", "id"), Order::Asc)
        .limit(limit)
        .to_owned();
    let mut slice = Slice::default();
    for row in db.query_all(&select).await? {
        let found = imbalance_of(&row)?;
        slice.accounts += 1;
        slice.last = Some(found.account);
        if found.amount() > 0 {
            slice.off.push(found);
        } else if row.try_get::<i64>("", "since_rows")? >= WORTH_A_NOTE {
            slice.grown.push(found.account);
        }
    }
    Ok(slice)
}

fn imbalance_of(row: &QueryResult) -> Result<Imbalance, DbErr> {
    let long = |column| row.try_get::<i64>("", column);
    let (leased, in_doubt) = (long("leased")?, long("in_doubt")?);
    Ok(Imbalance {
        account: AccountId::new(long("id")?),
        ledger: long("noted_sum")?.saturating_add(long("since_sum")?),
        total: long("balance")?.saturating_add(leased).saturating_add(in_doubt),
        leased: (leased, long("open_sum")?),
        in_doubt: (in_doubt, long("in_doubt_sum")?),
        spent: (long("spent")?, long("noted_spent")?.saturating_sub(long("since_charged")?)),
    })
}

/// Adds an account's ledger up to its newest row and notes the sum, if the account is worth that. The account is locked meanwhile: rows
/// of one account have ascending ids only in the order of its lock.
///
/// # Errors
/// When the database refuses or is away.
pub async fn note(tx: &Tx, account: AccountId, now: UnixMillis) -> Result<(), DbErr> {
    let Some(locked) = moves::lock(tx, [account]).await?.remove(&account) else { return Ok(()) };
    let newest = Query::select()
        .expr_as(Expr::col("id").max(), "newest")
        .from("ledger")
        .and_where(Expr::col("account_id").eq(account.get()))
        .to_owned();
    let newest: Option<i64> = tx.query_one(&newest).await?.map_or(Ok(None), |row| row.try_get("", "newest"))?;
    let after = AccountId::new(account.get() - 1);
    let is_good = checked(tx, after, 1).await?.off.is_empty();
    let (Some(newest), true) = (newest, is_good) else { return Ok(()) };
    let spent = Query::select().column("spent").from("accounts").and_where(Expr::col("id").eq(account.get())).to_owned();
    let spent: i64 = tx.query_one(&spent).await?.map_or(Ok(0), |row| row.try_get("", "spent"))?;
    let insert = Query::insert()
        .into_table("ledger_notes")
        .columns(["account_id", "ledger_id", "total", "spent", "at"])
        .values_panic([account.get().into(), newest.into(), locked.total().into(), spent.into(), now.0.into()])
        .on_conflict(OnConflict::column("account_id").update_columns(["ledger_id", "total", "spent", "at"]).to_owned())
        .to_owned();
    tx.execute(&insert).await.map(drop)
}

fn of_account(table: &'static str) -> SelectStatement {
    Query::select().from(table).and_where(Expr::col((table, "account_id")).equals(("accounts", "id"))).to_owned()
}

fn remainders(engine: DatabaseBackend, state: &'static str) -> SelectStatement {
    let remainder = Expr::col(("leases", "granted")).sub(Expr::col(("leases", "settled"))).sub(Expr::col(("leases", "returned")));
    of_account("leases").expr(sum(engine, remainder)).and_where(Expr::col(("leases", "state")).eq(state)).to_owned()
}

fn scalar(select: SelectStatement) -> Expr {
    Expr::SubQuery(None, Box::new(select.into()))
}
