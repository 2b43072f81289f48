//! Accounts and the ledger.

use sluice_control_plane::wallet::{self, AccountKind, Entry, EntryKind, LedgerOf, WalletError};
use sluice_domain::{AccountId, Quota, UserId};

use crate::ground::{START, grounds};

#[tokio::test]
async fn a_posting_changes_the_balance_and_explains_it() {
    for ground in grounds().await {
        let customer = ground.customer(10_000, 0).await;
        let tx = ground.db.begin().await.unwrap();
        let entry = Entry { actor: Some(UserId::new(7)), reason: "a gift".into(), ..ground.entry(customer.wallet, -2_500) };
        let total = wallet::post(&tx, entry, START).await.unwrap();
        tx.commit().await.unwrap();

        assert_eq!(total.get(), 7_500);
        assert_eq!(ground.figures(customer.wallet).await, [7_500, 0, 0, 0]);
        let rows = wallet::ledger_page(ground.db.read(), LedgerOf::Account(customer.wallet), None, 10).await.unwrap();
        let told: Vec<_> = rows.iter().map(|row| (row.amount.get(), row.balance_after.get(), row.entry_kind())).collect();
        assert_eq!(told, [(-2_500, 7_500, Some(EntryKind::AdminAdjust)), (10_000, 10_000, Some(EntryKind::AdminAdjust))]);
        assert_eq!((rows[0].actor, rows[0].reason.as_str()), (Some(UserId::new(7)), "a gift"));
        let older = wallet::ledger_page(ground.db.read(), LedgerOf::User(customer.user), Some(rows[0].id), 10).await.unwrap();
        assert_eq!(older, rows[1..]);
        ground.assert_conservation().await;
    }
}

#[tokio::test]
async fn a_reference_moves_money_once() {
    for ground in grounds().await {
        let customer = ground.customer(0, 0).await;
        let entry = ground.entry(customer.wallet, 500);
        let tx = ground.db.begin().await.unwrap();
        wallet::post(&tx, entry.clone(), START).await.unwrap();
        tx.commit().await.unwrap();
        let tx = ground.db.begin().await.unwrap();
        let again = wallet::post(&tx, entry, START).await;
        assert!(matches!(again, Err(WalletError::Duplicate(_))), "{again:?}");
        drop(tx);
        assert_eq!(ground.figures(customer.wallet).await[0], 500);
        ground.assert_conservation().await;
    }
}

#[tokio::test]
async fn amounts_out_of_range_and_unknown_accounts_change_nothing() {
    for ground in grounds().await {
        let customer = ground.customer(Quota::LIMIT, 0).await;
        let tx = ground.db.begin().await.unwrap();
        let overflow = wallet::post(&tx, ground.entry(customer.wallet, 1), START).await;
        assert!(matches!(overflow, Err(WalletError::OutOfRange(..))), "{overflow:?}");
        let unknown = wallet::post(&tx, ground.entry(AccountId::new(999_999), 1), START).await;
        assert!(matches!(unknown, Err(WalletError::NoAccount(_))), "{unknown:?}");
        tx.commit().await.unwrap();
        assert_eq!(ground.figures(customer.wallet).await[0], Quota::LIMIT);
        ground.assert_conservation().await;
    }
}

#[tokio::test]
async fn an_owner_has_one_account_and_the_wallet_comes_first() {
    for ground in grounds().await {
        let customer = ground.customer(1, 2).await;
        let tx = ground.db.begin().await.unwrap();
        assert!(wallet::open(&tx, AccountKind::Wallet(customer.user), customer.user, START).await.is_err());
        drop(tx);
        let accounts = wallet::accounts_of(ground.db.read(), customer.user).await.unwrap();
        let kinds: Vec<_> = accounts.iter().map(|account| account.kind).collect();
        assert_eq!(kinds, [AccountKind::Wallet(customer.user), AccountKind::Cap(customer.token)]);
    }
}

#[tokio::test]
async fn parallel_postings_on_one_account_all_count() {
    for ground in grounds().await {
        let customer = ground.customer(0, 0).await;
        let postings = (0..24).map(|_| async {
            let tx = ground.db.begin().await.unwrap();
            wallet::post(&tx, ground.entry(customer.wallet, 10), START).await.unwrap();
            tx.commit().await.unwrap();
        });
        futures_util::future::join_all(postings).await;
        assert_eq!(ground.figures(customer.wallet).await[0], 240);
        ground.assert_conservation().await;
    }
}
