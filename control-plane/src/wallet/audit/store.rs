//! The SQL that compares accounts with their ledger and their leases.

use sea_orm::sea_query::{Expr, ExprTrait, Order, Query, SelectStatement};
use sea_orm::{ConnectionTrait, DatabaseBackend, DbErr};
use sluice_domain::AccountId;

use super::Imbalance;
use crate::db::sum;

/// Looks through accounts with an id above `after`, at most `limit` of them. Answers those that do not add up, and the last id looked
/// at; `None`: there are no more. One statement, so everything is of one moment.
///
/// # Errors
/// When the database is away.
pub async fn imbalances(
    db: &impl ConnectionTrait,
    after: AccountId,
    limit: u64,
) -> Result<(Vec<Imbalance>, Option<AccountId>), DbErr> {
    let engine = db.get_database_backend();
    let select = Query::select()
        .columns(["id", "balance", "leased", "in_doubt"])
        .expr_as(scalar(sums("ledger", Expr::col(("ledger", "amount")), engine)), "ledger_sum")
        .expr_as(scalar(remainders(engine, "open")), "open_sum")
        .expr_as(scalar(remainders(engine, "in_doubt")), "in_doubt_sum")
        .from("accounts")
        .and_where(Expr::col(("accounts", "id")).gt(after.get()))
        .order_by(("accounts", "id"), Order::Asc)
        .limit(limit)
        .to_owned();
    let mut found = Vec::new();
    let mut last = None;
    for row in db.query_all(&select).await? {
        let long = |column| row.try_get::<i64>("", column);
        let account = AccountId::new(long("id")?);
        let (leased, in_doubt) = (long("leased")?, long("in_doubt")?);
        let imbalance = Imbalance {
            account,
            ledger: long("ledger_sum")?,
            total: long("balance")?.saturating_add(leased).saturating_add(in_doubt),
            leased: (leased, long("open_sum")?),
            in_doubt: (in_doubt, long("in_doubt_sum")?),
        };
        last = Some(account);
        if !imbalance.is_none() {
            found.push(imbalance);
        }
    }
    Ok((found, last))
}

fn sums(table: &'static str, amount: Expr, engine: DatabaseBackend) -> SelectStatement {
    Query::select()
        .expr(sum(engine, amount))
        .from(table)
        .and_where(Expr::col((table, "account_id")).equals(("accounts", "id")))
        .to_owned()
}

fn remainders(engine: DatabaseBackend, state: &'static str) -> SelectStatement {
    let remainder = Expr::col(("leases", "granted")).sub(Expr::col(("leases", "settled"))).sub(Expr::col(("leases", "returned")));
    sums("leases", remainder, engine).and_where(Expr::col(("leases", "state")).eq(state)).to_owned()
}

fn scalar(select: SelectStatement) -> Expr {
    Expr::SubQuery(None, Box::new(select.into()))
}
