//! The SQL of moving money in sets.

use std::collections::BTreeMap;

use sea_orm::sea_query::{Expr, ExprTrait, LockType, Order, Query};
use sea_orm::{ConnectionTrait, DbErr, QueryResult};
use sluice_domain::{AccountId, UnixMillis, UserId};

use super::{ChargeRow, LockedAccount, Shifts};
use crate::db::{Insert, Tx, add_to_rows};
use crate::wallet::entry::EntryKind;

/// Ids in one look-up.
const IDS_AT_ONCE: usize = 1_000;

/// Locks accounts in order of their ids until the transaction ends, and reads them. Unknown ids are left out.
///
/// # Errors
/// When the database refuses or is away.
pub async fn lock(tx: &Tx, accounts: impl IntoIterator<Item = AccountId>) -> Result<BTreeMap<AccountId, LockedAccount>, DbErr> {
    let mut ids: Vec<i64> = accounts.into_iter().map(AccountId::get).collect();
    ids.sort_unstable();
    ids.dedup();
    let mut locked = BTreeMap::new();
    for chunk in ids.chunks(IDS_AT_ONCE) {
        let select = Query::select()
            .columns(["id", "kind", "owner_id", "user_id", "balance", "credit_limit", "leased", "in_doubt", "frozen", "rev"])
            .from("accounts")
            .and_where(Expr::col("id").is_in(chunk.iter().copied()))
            .order_by("id", Order::Asc)
            .lock(LockType::Update)
            .to_owned();
        for row in tx.query_all(&select).await? {
            let account = locked_account(&row)?;
            locked.insert(account.id, account);
        }
    }
    Ok(locked)
}

fn locked_account(row: &QueryResult) -> Result<LockedAccount, DbErr> {
    let kind: String = row.try_get("", "kind")?;
    Ok(LockedAccount {
        id: AccountId::new(row.try_get("", "id")?),
        user_id: UserId::new(row.try_get("", "user_id")?),
        owner_id: row.try_get("", "owner_id")?,
        is_wallet: kind == "wallet",
        balance: row.try_get("", "balance")?,
        credit_limit: row.try_get("", "credit_limit")?,
        leased: row.try_get("", "leased")?,
        in_doubt: row.try_get("", "in_doubt")?,
        frozen: row.try_get("", "frozen")?,
        rev: row.try_get("", "rev")?,
    })
}

/// The wallets of users, by user.
///
/// # Errors
/// When the database is away.
pub async fn wallets(db: &impl ConnectionTrait, users: &[UserId]) -> Result<BTreeMap<UserId, AccountId>, DbErr> {
    let mut found = BTreeMap::new();
    for chunk in users.chunks(IDS_AT_ONCE) {
        let select = Query::select()
            .columns(["id", "owner_id"])
            .from("accounts")
            .and_where(Expr::col("kind").eq("wallet"))
            .and_where(Expr::col("owner_id").is_in(chunk.iter().map(|user| user.get())))
            .to_owned();
        for row in db.query_all(&select).await? {
            found.insert(UserId::new(row.try_get("", "owner_id")?), AccountId::new(row.try_get("", "id")?));
        }
    }
    Ok(found)
}

/// Writes shifts to accounts that this transaction has locked. Every account touched gets a new revision.
///
/// # Errors
/// When the database refuses or is away, or an account is not there.
pub async fn write(tx: &Tx, shifts: &Shifts) -> Result<(), DbErr> {
    let rows: Vec<(i64, Vec<i64>)> = shifts
        .iter()
        .filter(|(_, shift)| !shift.is_nothing())
        .map(|(account, shift)| (account.get(), vec![shift.balance, shift.leased, shift.in_doubt, shift.spent]))
        .collect();
    let changed = add_to_rows(tx, "accounts", &["balance", "leased", "in_doubt", "spent"], &rows, Some("rev")).await?;
    if usize::try_from(changed) == Ok(rows.len()) {
        return Ok(());
    }
    Err(DbErr::RecordNotUpdated)
}

/// Writes charges to the ledger. The accounts are changed by [`write`] in the same transaction.
///
/// # Errors
/// When the database refuses or is away, or one of these charges was written before.
pub async fn write_charges(tx: &Tx, charges: Vec<ChargeRow>, now: UnixMillis) -> Result<(), DbErr> {
    let mut insert = Insert::into("ledger").longs(&["account_id", "user_id", "amount", "balance_after", "at"]).texts(&[
        "kind",
        "reference",
        "reason",
    ]);
    for charge in charges {
        insert.push(vec![
            charge.account.get().into(),
            charge.user_id.get().into(),
            charge.amount.saturating_neg().into(),
            charge.total_after.into(),
            now.0.into(),
            EntryKind::Charge.as_str().into(),
            charge.reference.into(),
            "".into(),
        ]);
    }
    insert.run(tx).await.map(drop)
}
