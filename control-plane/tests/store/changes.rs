//! The order of changes to what relays know, and who may still speak as which relay.

use sea_orm::ConnectionTrait;
use sea_orm::sea_query::{Expr, ExprTrait, Query};
use sluice_control_plane::leases::{Answer, Life, Refused};
use sluice_control_plane::nodes::{self, NodeStatus, RegisterError, Registration};
use sluice_control_plane::publish::log::{self, Changed};
use sluice_control_plane::wallet;
use sluice_domain::{Epoch, GroupName, NodeId, UserId};

use crate::ground::{Ground, START, grounds};

/// Sequence numbers in the log, with what each changed.
async fn logged(ground: &Ground, above: i64) -> Vec<(i64, String, String)> {
    let select = Query::select()
        .columns(["seq", "kind", "name"])
        .from("config_log")
        .and_where(Expr::col("seq").gt(above))
        .order_by("seq", sea_orm::Order::Asc)
        .order_by("ordinal", sea_orm::Order::Asc)
        .to_owned();
    let rows = ground.db.read().query_all(&select).await.unwrap();
    let row = |row: &sea_orm::QueryResult| {
        (row.try_get("", "seq").unwrap(), row.try_get("", "kind").unwrap(), row.try_get("", "name").unwrap())
    };
    rows.iter().map(row).collect()
}

#[tokio::test]
async fn sixteen_writers_at_once_leave_no_gap_and_whoever_reads_up_to_the_head_has_missed_nothing() {
    for ground in grounds().await {
        let writers = (0..16).map(|writer| {
            let ground = &ground;
            async move {
                for change in 0..4 {
                    let tx = ground.db.begin().await.unwrap();
                    log::record(&tx, START, &[Changed::User(UserId::new(writer * 100 + change))]).await.unwrap();
                    // every other transaction is given up: its number must be given again
                    if change % 2 == 0 {
                        tx.commit().await.unwrap();
                    }
                }
            }
        });
        let reader = async {
            let mut seen = Vec::new();
            let mut here = 1;
            for _ in 0..200 {
                for (seq, _, name) in logged(&ground, here).await {
                    assert_eq!(seq, here + 1, "a number appeared after a higher one had been seen");
                    here = seq;
                    seen.push(name);
                }
                if seen.len() == 32 {
                    break;
                }
                tokio::task::yield_now().await;
            }
            seen
        };
        let (_, _) = tokio::join!(futures_util::future::join_all(writers), reader);
        let all = logged(&ground, 1).await;
        assert_eq!(all.iter().map(|(seq, ..)| *seq).collect::<Vec<_>>(), (2..=33).collect::<Vec<_>>());
        assert!(all.iter().all(|(_, kind, _)| kind == "user"));
    }
}

#[tokio::test]
async fn what_one_transaction_changed_has_one_number() {
    for ground in grounds().await {
        let tx = ground.db.begin().await.unwrap();
        let changes = [Changed::Group(GroupName::parse("vip").unwrap()), Changed::User(UserId::new(7))];
        let seq = log::record(&tx, START, &changes).await.unwrap();
        tx.commit().await.unwrap();
        let names: Vec<(i64, String)> = logged(&ground, 1).await.into_iter().map(|(seq, _, name)| (seq, name)).collect();
        assert_eq!(names, [(seq, "vip".into()), (seq, "7".into())]);
    }
}

#[tokio::test]
async fn money_that_comes_in_is_told_to_relays_and_money_that_goes_is_not() {
    for ground in grounds().await {
        let customer = ground.customer(0, 0).await;
        let tx = ground.db.begin().await.unwrap();
        wallet::post(&tx, ground.entry(customer.wallet, 500), START).await.unwrap();
        wallet::post(&tx, ground.entry(customer.wallet, 500), START).await.unwrap();
        wallet::post(&tx, ground.entry(customer.cap, -1), START).await.unwrap();
        tx.commit().await.unwrap();
        assert_eq!(logged(&ground, 1).await, [(2, "account".into(), customer.wallet.to_string())]);
        // and nothing is told of what did not happen
        let tx = ground.db.begin().await.unwrap();
        wallet::post(&tx, ground.entry(customer.wallet, 500), START).await.unwrap();
        drop(tx);
        assert_eq!(logged(&ground, 2).await, []);
    }
}

fn registration(epoch: i64, boot: &str) -> Registration {
    Registration {
        life: Life { node: NodeId::parse("relay-1").unwrap(), epoch: Epoch(epoch) },
        boot_id: boot.into(),
        build: "1.0".into(),
        address: "127.0.0.1:3000".into(),
    }
}

#[tokio::test]
async fn a_relay_registers_ever_higher_lives_and_one_process_each() {
    for ground in grounds().await {
        let register = |epoch, boot| {
            let (db, registration) = (ground.db.clone(), registration(epoch, boot));
            async move { nodes::register(&db, &registration, START).await }
        };
        register(3, "a").await.unwrap();
        register(3, "a").await.unwrap();
        assert!(matches!(register(3, "b").await, Err(RegisterError::Twin { .. })));
        assert!(matches!(register(2, "a").await, Err(RegisterError::Superseded { current: Epoch(3), .. })));
        register(4, "b").await.unwrap();
        assert!(matches!(register(3, "a").await, Err(RegisterError::Superseded { current: Epoch(4), .. })));
    }
}

#[tokio::test]
async fn of_processes_that_register_the_same_life_at_once_one_may() {
    for ground in grounds().await {
        let boots = ["a", "b", "c", "d", "e", "f"];
        let registrations = boots.map(|boot| registration(1, boot));
        let outcomes =
            futures_util::future::join_all(registrations.iter().map(|one| nodes::register(&ground.db, one, START))).await;
        assert_eq!(outcomes.iter().filter(|outcome| outcome.is_ok()).count(), 1, "{outcomes:?}");
    }
}

#[tokio::test]
async fn an_earlier_life_is_granted_nothing_and_cannot_say_how_it_is() {
    for ground in grounds().await {
        let customer = ground.customer(1_000, 0).await;
        let earlier = ground.relay("relay-1", 1).await;
        let later = ground.relay("relay-1", 2).await;
        assert_eq!(ground.ask(&earlier, 1, customer.wallet, 10, 10).await, None);
        assert!(matches!(
            ground.ask(&later, 1, customer.wallet, 5_000, 5_000).await,
            Some(Answer::Refused(Refused::Exhausted { .. }))
        ));
        let said = |config_seq| NodeStatus { config_seq, ..NodeStatus::default() };
        let tx = ground.db.begin().await.unwrap();
        nodes::touch(&tx, &[(earlier, said(1)), (later.clone(), said(2))], START.plus_millis(1)).await.unwrap();
        tx.commit().await.unwrap();
        let relays = nodes::list(ground.db.read()).await.unwrap();
        assert_eq!(relays.len(), 1);
        let first = &relays[0];
        assert_eq!((first.epoch, &first.status, first.last_seen_at), (later.epoch, &said(2), START.plus_millis(1)));
    }
}

#[tokio::test]
async fn a_version_is_in_force_where_relays_say_so() {
    for ground in grounds().await {
        let (one, two, gone) =
            (ground.relay("relay-1", 1).await, ground.relay("relay-2", 1).await, ground.relay("relay-3", 1).await);
        let said = |config_seq| NodeStatus { config_seq, ..NodeStatus::default() };
        let later = START.plus_millis(nodes::SEEN_LATELY_MILLIS + 1);
        let tx = ground.db.begin().await.unwrap();
        nodes::touch(&tx, &[(gone, said(9))], START).await.unwrap();
        nodes::touch(&tx, &[(one.clone(), said(7)), (two.clone(), said(6))], later).await.unwrap();
        tx.commit().await.unwrap();
        let applied = nodes::applied(&ground.db, 7, later).await.unwrap();
        assert_eq!((applied.on, applied.lagging), (vec![one.node], vec![two.node]));
        assert_eq!(nodes::fleet(ground.db.read(), later).await.unwrap(), 2);
    }
}
