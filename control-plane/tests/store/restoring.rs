//! A database that went back to an earlier state: its leases are void, its ids are not handed out twice, and one replica says so.

use sea_orm::ConnectionTrait;
use sea_orm::sea_query::{Expr, ExprTrait, Query};
use sluice_control_plane::leases::{self, Greeting, Proof, begin_history};
use sluice_control_plane::publish::log::{self, Changed};
use sluice_control_plane::publish::{Head, Stamp};
use sluice_control_plane::settlement::Acknowledged;
use sluice_domain::{GroupName, Record, RequestRecord};
use sluice_snapshot::Version;

use crate::ground::{Customer, Ground, START, closes, grounds, pays};

async fn execute(ground: &Ground, statement: &impl sea_orm::StatementBuilder) {
    let tx = ground.db.begin().await.unwrap();
    tx.execute(statement).await.unwrap();
    tx.commit().await.unwrap();
}

async fn head(ground: &Ground) -> Head {
    let select = Query::select().columns(["lineage", "seq", "stamp"]).from("config_head").to_owned();
    let row = ground.db.read().query_one(&select).await.unwrap().unwrap();
    let version = Version { lineage: row.try_get::<String>("", "lineage").unwrap().into(), seq: row.try_get("", "seq").unwrap() };
    Head { version, stamp: Stamp::from_row(row.try_get("", "stamp").unwrap()) }
}

async fn change_a_group(ground: &Ground) {
    let tx = ground.db.begin().await.unwrap();
    let group = GroupName::parse("vip").unwrap();
    log::record(&tx, START, &[Changed::Group(group)]).await.unwrap();
    tx.commit().await.unwrap();
}

/// Undoes the last grant as a restored backup does: neither the lease nor its move is there, and ids go on behind the backup.
async fn forget_lease(ground: &Ground, customer: Customer, granted: &leases::Granted) {
    execute(ground, &Query::delete().from_table("leases").and_where(Expr::col("id").eq(granted.lease.get())).to_owned()).await;
    let amount = granted.amount.get();
    let back = Query::update()
        .table("accounts")
        .value("balance", Expr::col("balance").add(amount))
        .value("leased", Expr::col("leased").sub(amount))
        .and_where(Expr::col("id").eq(customer.wallet.get()))
        .to_owned();
    execute(ground, &back).await;
    let before = granted.lease.get() - 1;
    let sql = match ground.db.engine() {
        sea_orm::DatabaseBackend::Postgres => {
            format!("SELECT setval(pg_get_serial_sequence('leases', 'id'), {}, false)", before + 1)
        }
        sea_orm::DatabaseBackend::MySql => format!("ALTER TABLE leases AUTO_INCREMENT = {}", before + 1),
        _ => format!("UPDATE sqlite_sequence SET seq = {before} WHERE name = 'leases'"),
    };
    let tx = ground.db.begin().await.unwrap();
    tx.execute_unprepared(&sql).await.unwrap();
    tx.commit().await.unwrap();
}

#[tokio::test]
async fn another_history_takes_every_lease_back_and_what_was_used_of_them_is_charged_to_the_balance() {
    for ground in grounds().await {
        let (relay, customer) = (ground.relay("relay-1", 1).await, ground.customer(10_000, 0).await);
        let kept = ground.grant(&relay, 1, customer.wallet, 4_000, 4_000).await;
        let forgotten = ground.grant(&relay, 2, customer.wallet, 5_000, 5_000).await;
        forget_lease(&ground, customer, &forgotten).await;

        let begun = begin_history(&ground.db, None, START).await.unwrap().unwrap();
        assert_eq!((begun.leases, begun.quota), (1, 4_000));
        assert_ne!(begun.lineage, *ground.lineage);
        assert_eq!(*head(&ground).await.version.lineage, begun.lineage);
        assert_eq!(ground.figures(customer.wallet).await, [10_000, 0, 0, 0]);
        // the relay lists nothing, and gets nothing of the old history
        assert_eq!(leases::greet(&ground.db, &relay, &[]).await.unwrap(), Greeting::default());

        let lineage = begun.lineage.as_str().into();
        ground.settler.enter_history(&lineage);
        let records = vec![
            ground.request("r1", customer, vec![pays(kept, 3_750)]),
            ground.request("r2", customer, vec![pays(forgotten, 3_750)]),
            closes(kept.lease),
            closes(forgotten.lease),
        ];
        let settled = ground.report(&relay, 1, records).await;
        assert_eq!((settled.counts.requests, settled.counts.late, settled.counts.closed), (2, 2, 0));
        assert_eq!(ground.figures(customer.wallet).await, [2_500, 0, 0, 7_500]);
        ground.assert_conservation().await;
    }
}

#[tokio::test]
async fn no_id_that_was_handed_out_before_a_restore_is_handed_out_after_it() {
    for ground in grounds().await {
        let (relay, customer) = (ground.relay("relay-1", 1).await, ground.customer(10_000, 0).await);
        let forgotten = ground.grant(&relay, 1, customer.wallet, 4_000, 4_000).await;
        forget_lease(&ground, customer, &forgotten).await;
        let begun = begin_history(&ground.db, None, START).await.unwrap().unwrap();
        let fresh = ground.grant(&relay, 2, customer.wallet, 4_000, 4_000).await;
        assert!(fresh.lease > forgotten.lease, "{:?}: {} after {}", ground.db.engine(), fresh.lease, forgotten.lease);
        let newcomer = ground.customer(1, 1).await;
        assert!(newcomer.wallet.get() > customer.cap.get() + 1_000 && newcomer.token.get() > customer.token.get() + 1_000);
        // a charge on the forgotten lease takes nothing from the one that has its place
        ground.settler.enter_history(&begun.lineage.as_str().into());
        let record = ground.request("r1", customer, vec![pays(forgotten, 3_750)]);
        assert_eq!(ground.report(&relay, 1, vec![record]).await.counts.late, 1);
        assert_eq!(ground.figures(customer.wallet).await, [2_250, 4_000, 0, 3_750]);
        ground.assert_conservation().await;
    }
}

#[tokio::test]
async fn of_several_replicas_that_find_the_database_behind_one_begins_another_history() {
    for ground in grounds().await {
        let (relay, customer) = (ground.relay("relay-1", 1).await, ground.customer(10_000, 0).await);
        ground.grant(&relay, 1, customer.wallet, 4_000, 4_000).await;
        change_a_group(&ground).await;
        let known = head(&ground).await;
        let proof = Proof::Configuration(known.clone());
        assert_eq!(begin_history(&ground.db, Some(&proof), START).await.unwrap(), None, "it is where it was");
        let other = Version { lineage: "another".into(), seq: known.version.seq + 9 };
        let other = Proof::Configuration(other.into());
        assert_eq!(begin_history(&ground.db, Some(&other), START).await.unwrap(), None, "another history proves nothing");

        execute(&ground, &Query::update().table("config_head").value("seq", Expr::col("seq").sub(1)).to_owned()).await;
        let (one, two) =
            tokio::join!(begin_history(&ground.db, Some(&proof), START), begin_history(&ground.db, Some(&proof), START));
        let begun: Vec<_> = [one.unwrap(), two.unwrap()].into_iter().flatten().collect();
        let [begun] = begun.as_slice() else { panic!("{begun:?}") };
        assert_eq!((begun.leases, head(&ground).await.version.seq), (1, known.version.seq - 1));
        assert_eq!(ground.figures(customer.wallet).await, [10_000, 0, 0, 0]);
        ground.assert_conservation().await;
    }
}

/// What is known is one change ahead of the past, and so many come in its place.
async fn begins_after(ground: &Ground, instead: i64, is_trimmed: bool) -> bool {
    let past = head(ground).await;
    change_a_group(ground).await;
    let known = head(ground).await;
    assert!(known.stamp.differs(past.stamp), "each number has its own");
    let gone = Query::delete().from_table("config_log").and_where(Expr::col("seq").gt(past.version.seq)).to_owned();
    execute(ground, &gone).await;
    let back = Query::update().table("config_head").value("seq", past.version.seq).value("stamp", past.stamp.to_row()).to_owned();
    execute(ground, &back).await;
    for _ in 0..instead {
        change_a_group(ground).await;
    }
    if is_trimmed {
        let trimmed = Query::delete().from_table("config_log").and_where(Expr::col("seq").lte(known.version.seq)).to_owned();
        execute(ground, &trimmed).await;
    }
    let proof = Proof::Configuration(known);
    begin_history(&ground.db, Some(&proof), START).await.unwrap().is_some()
}

#[tokio::test]
async fn a_number_that_another_transaction_has_now_proves_it_as_long_as_the_log_has_it() {
    for ground in grounds().await {
        let engine = ground.db.engine();
        for instead in 0..4 {
            assert!(begins_after(&ground, instead, false).await, "{engine:?}, with {instead} changes instead of one");
        }
        assert!(begins_after(&ground, 1, true).await, "{engine:?}: the head has its stamp, whatever is trimmed");
        assert!(!begins_after(&ground, 2, true).await, "{engine:?}: what is trimmed proves nothing");
        // another name for the history is no change of it
        let known = head(&ground).await;
        begin_history(&ground.db, None, START).await.unwrap().unwrap();
        let renamed = head(&ground).await;
        assert_eq!((renamed.version.seq, renamed.stamp), (known.version.seq, known.stamp));
        change_a_group(&ground).await;
        let proof = Proof::Configuration(renamed);
        assert_eq!(begin_history(&ground.db, Some(&proof), START).await.unwrap(), None, "{engine:?}");
    }
}

#[tokio::test]
async fn numbers_that_an_earlier_release_took_prove_nothing() {
    for ground in grounds().await {
        // it counts up, and knows nothing of stamps
        let before = head(&ground).await;
        execute(&ground, &Query::update().table("config_head").value("seq", Expr::col("seq").add(1)).to_owned()).await;
        let seq = before.version.seq + 1;
        let columns = ["seq", "ordinal", "kind", "name", "at"];
        let values = [seq.into(), 0.into(), "group".into(), "vip".into(), START.0.into()];
        execute(&ground, &Query::insert().into_table("config_log").columns(columns).values_panic(values).to_owned()).await;
        let known = head(&ground).await;
        assert_eq!((known.version.seq, known.stamp), (seq, before.stamp));
        change_a_group(&ground).await;
        for known in [before, known] {
            let proof = Proof::Configuration(known);
            assert_eq!(begin_history(&ground.db, Some(&proof), START).await.unwrap(), None, "{:?}", ground.db.engine());
        }
    }
}

#[tokio::test]
async fn settlements_that_are_gone_prove_that_the_database_went_back_even_when_the_configuration_stood_still() {
    for ground in grounds().await {
        let (relay, customer) = (ground.relay("relay-1", 1).await, ground.customer(10_000, 0).await);
        let granted = ground.grant(&relay, 1, customer.wallet, 4_000, 4_000).await;
        let settled = ground.report(&relay, 1, vec![ground.request("r1", customer, vec![])]).await;
        assert_eq!(ground.settler.note_settled(&relay, &settled, None), None);
        assert_eq!(ground.settler.note_settled(&relay, &settled, None), None, "said again");
        execute(&ground, &Query::update().table("usage_cursors").value("next_seq", 1_i64).to_owned()).await;
        let after = ground.report(&relay, 2, vec![closes(granted.lease)]).await;
        assert!(after.has_gap);
        let proof = ground.settler.note_settled(&relay, &after, None).unwrap();
        let begun = begin_history(&ground.db, Some(&proof), START).await.unwrap().unwrap();
        assert_eq!(begun.leases, 1);
        assert_eq!(begin_history(&ground.db, Some(&proof), START).await.unwrap(), None, "another replica found it out as well");
        assert!(ground.settler.note_settled(&relay, &after, None).is_some(), "what was settled before the new history began");
        ground.settler.enter_history(&begun.lineage.as_str().into());
        let again = ground.report(&relay, 2, vec![closes(granted.lease)]).await;
        assert_eq!(*again.lineage, *begun.lineage);
        // the relay goes on to say how far it was settled in the old history until everything is told again
        let told = |lineage: &str, below| Some(Acknowledged { below, lineage: lineage.into() });
        assert_eq!(
            ground.settler.note_settled(&relay, &again, told(&settled.lineage, 2)),
            None,
            "in the new one it is the beginning"
        );
        // a replica that was not there before goes by the relay's word
        let word = ground.settler.note_settled(&relay, &again, told(&begun.lineage, again.next_seq + 1));
        assert!(matches!(word, Some(Proof::Settled { below, .. }) if below == again.next_seq + 1));
    }
}

#[tokio::test]
async fn what_is_remembered_of_one_history_is_not_used_in_another() {
    for ground in grounds().await {
        let (relay, customer) = (ground.relay("relay-1", 1).await, ground.customer(10_000, 0).await);
        ground.report(&relay, 1, vec![ground.request("r1", customer, vec![])]).await;
        // the token of that id is somebody else's now
        let other = ground.customer(10_000, 0).await;
        let give = Query::update()
            .table("tokens")
            .value("user_id", other.user.get())
            .and_where(Expr::col("id").eq(customer.token.get()))
            .to_owned();
        execute(&ground, &give).await;
        let begun = begin_history(&ground.db, None, START).await.unwrap().unwrap();
        ground.settler.enter_history(&begun.lineage.as_str().into());
        let record = RequestRecord { config_lineage: begun.lineage.as_str().into(), ..ground.plain("r2", customer, vec![]) };
        let settled = ground.report(&relay, 2, vec![Record::Request(Box::new(record))]).await;
        assert_eq!((settled.counts.requests, settled.counts.quarantined), (0, 1), "{:?}", ground.db.engine());
        assert_eq!(ground.figures(customer.wallet).await[3], 3_750);
    }
}
