//! The reconciler: it finds what does not add up, does not read a ledger twice, and its fence holds.

use sea_orm::ConnectionTrait;
use sea_orm::sea_query::{Expr, ExprTrait, Query};
use sluice_control_plane::jobs::leader::Leader;
use sluice_control_plane::jobs::retention::{self, Kept};
use sluice_control_plane::leases::jobs;
use sluice_control_plane::reconciliation::{self, Pass, Reconciler};
use sluice_control_plane::wallet::{self, audit};
use sluice_domain::{AccountId, UnixMillis};

use crate::ground::{Ground, START, grounds, pays};

async fn pass(ground: &Ground, reconciler: &mut Reconciler, now: UnixMillis) -> Pass {
    for _ in 0..1_000 {
        if let Some(pass) = reconciler.step(&ground.work(), now).await.unwrap() {
            return pass;
        }
    }
    panic!("a pass over a few accounts is never through");
}

async fn corrupt(ground: &Ground, account: AccountId, column: &'static str, by: i64) {
    let tx = ground.db.begin().await.unwrap();
    let update = Query::update()
        .table("accounts")
        .value(column, Expr::col(column).add(by))
        .and_where(Expr::col("id").eq(account.get()))
        .to_owned();
    tx.execute(&update).await.unwrap();
    tx.commit().await.unwrap();
}

#[tokio::test]
async fn a_pass_finds_every_account_that_does_not_add_up_and_by_how_much() {
    for ground in grounds().await {
        let (relay, customer) = (ground.relay("relay-1", 1).await, ground.customer(10_000, 3_000).await);
        let granted = ground.grant(&relay, 1, customer.wallet, 4_000, 4_000).await;
        ground.report(&relay, 1, vec![ground.request("r1", customer, vec![pays(granted, 3_750)])]).await;
        let mut reconciler = Reconciler::default();
        let good = pass(&ground, &mut reconciler, START).await;
        assert_eq!((good.accounts, good.accounts_off, good.imbalance), (2, 0, 0));
        assert_eq!(reconciliation::read(&ground.db).await.unwrap().pass, Some(good));

        corrupt(&ground, customer.wallet, "balance", 7).await;
        corrupt(&ground, customer.cap, "leased", -5).await;
        assert_eq!(reconciler.step(&ground.work(), START.plus_millis(59_999)).await.unwrap(), None, "not so soon again");
        let bad = pass(&ground, &mut reconciler, START.plus_millis(60_000)).await;
        // what is leased too little is missing in the total as well
        assert_eq!((bad.accounts_off, bad.imbalance), (2, 7 + 5 + 5));
        assert_eq!(bad.off[0].account, customer.wallet.get());
        assert_eq!((bad.off[0].ledger, bad.off[0].total), (6_250, 6_257));
        assert_eq!(bad.off[1].leased, (-5, 0));
        corrupt(&ground, customer.wallet, "balance", -7).await;
        corrupt(&ground, customer.cap, "leased", 5).await;
        corrupt(&ground, customer.wallet, "spent", 3).await;
        let bad = pass(&ground, &mut reconciler, START.plus_millis(120_000)).await;
        assert_eq!((bad.accounts_off, bad.imbalance, bad.off[0].spent), (1, 3, (3_753, 3_750)));
        corrupt(&ground, customer.wallet, "spent", -3).await;
        assert_eq!(pass(&ground, &mut reconciler, START.plus_millis(180_000)).await.imbalance, 0);
    }
}

#[tokio::test]
async fn a_long_ledger_is_added_up_once_and_goes_on_from_the_note() {
    for ground in grounds().await {
        let customer = ground.customer(10_000, 0).await;
        let tx = ground.db.begin().await.unwrap();
        for _ in 0..1_000 {
            wallet::post(&tx, ground.entry(customer.wallet, 1), START).await.unwrap();
        }
        tx.commit().await.unwrap();
        let before = AccountId::new(customer.wallet.get() - 1);
        let first = audit::checked(ground.db.read(), before, 1).await.unwrap();
        assert_eq!((first.grown.as_slice(), first.off.len()), (&[customer.wallet][..], 0));
        let mut reconciler = Reconciler::default();
        assert_eq!(pass(&ground, &mut reconciler, START).await.imbalance, 0);
        let noted = audit::checked(ground.db.read(), before, 1).await.unwrap();
        assert_eq!((noted.grown.len(), noted.off.len()), (0, 0), "{:?}: there is nothing to add up any more", ground.db.engine());

        let tx = ground.db.begin().await.unwrap();
        wallet::post(&tx, ground.entry(customer.wallet, 11), START).await.unwrap();
        tx.commit().await.unwrap();
        assert_eq!(audit::checked(ground.db.read(), before, 1).await.unwrap().off, []);
        corrupt(&ground, customer.wallet, "balance", 1).await;
        assert_eq!(audit::checked(ground.db.read(), before, 1).await.unwrap().off[0].amount(), 1);
    }
}

#[tokio::test]
async fn whoever_does_not_lead_any_more_changes_nothing() {
    for ground in grounds().await {
        let (relay, customer) = (ground.relay("relay-1", 1).await, ground.customer(10_000, 0).await);
        ground.grant(&relay, 1, customer.wallet, 4_000, 4_000).await;
        let (one, two) =
            (Leader::new(ground.db.clone(), "jobs", "one".into()), Leader::new(ground.db.clone(), "jobs", "two".into()));
        let old = one.lead().await.unwrap().unwrap();
        one.step_down().await.unwrap();
        let new = two.lead().await.unwrap().unwrap();
        let late = START.plus_millis(10_000_000);
        let terms = sluice_billing::lease::Terms::default();
        assert!(jobs::run(&old, &terms, late).await.is_err(), "{:?}", ground.db.engine());
        assert_eq!(ground.figures(customer.wallet).await, [6_000, 4_000, 0, 0]);
        // a term that ended and was taken up again by the same replica is another one
        two.step_down().await.unwrap();
        let again = one.lead().await.unwrap().unwrap();
        assert!(old.begin().await.is_err() && new.begin().await.is_err());
        assert_eq!(jobs::run(&again, &terms, late).await.unwrap().doubted, 1);
        retention::run(&again, &Kept::default(), late).await.unwrap();
    }
}
