//! Jobs: who runs them, and what they clear away.

use sea_orm::ConnectionTrait;
use sea_orm::sea_query::{Expr, ExprTrait, Query};
use sluice_control_plane::db;
use sluice_control_plane::jobs::leader::Leader;
use sluice_control_plane::jobs::retention::{
    self, CONFIG_LOG_KEPT, CURSORS_MILLIS, EXPLANATIONS_MILLIS, IDEMPOTENCY_MILLIS, Kept, LEASES_MILLIS, NODES_MILLIS,
    QUARANTINE_MILLIS, RATES_MILLIS, WATCH_MILLIS,
};
use sluice_control_plane::publish::log::{self, Changed, RateChange, RateKind};
use sluice_domain::{GroupName, ModelName, UnixMillis};

use crate::ground::{Ground, START, closes, grounds, pays};

#[tokio::test]
async fn one_replica_leads_until_it_steps_down() {
    for ground in grounds().await {
        let (one, two) =
            (Leader::new(ground.db.clone(), "jobs", "one".into()), Leader::new(ground.db.clone(), "jobs", "two".into()));
        let other = Leader::new(ground.db.clone(), "tests", "two".into());
        assert!(one.lead().await.unwrap().is_some());
        assert!(two.lead().await.unwrap().is_none());
        assert!(one.lead().await.unwrap().is_some(), "the lease is renewed");
        assert!(other.lead().await.unwrap().is_some(), "other jobs have leases of their own");
        one.step_down().await.unwrap();
        assert!(two.lead().await.unwrap().is_some());
        assert!(one.lead().await.unwrap().is_none());
        let select =
            Query::select().columns(["holder", "fence"]).from("leader").and_where(Expr::col("name").eq("jobs")).to_owned();
        let row = ground.db.read().query_one(&select).await.unwrap().unwrap();
        let (holder, fence): (String, i64) = (row.try_get("", "holder").unwrap(), row.try_get("", "fence").unwrap());
        assert_eq!((holder.as_str(), fence), ("two", 2), "each new leader has a higher fence");
    }
}

#[tokio::test]
async fn of_many_candidates_at_once_one_leads() {
    for ground in grounds().await {
        let leads = (0..8).map(|number| {
            let leader = Leader::new(ground.db.clone(), "jobs", format!("candidate {number}"));
            async move { leader.lead().await.unwrap().is_some() }
        });
        let leads = futures_util::future::join_all(leads).await;
        assert_eq!(leads.into_iter().filter(|leads| *leads).count(), 1);
    }
}

async fn count(ground: &Ground, table: &'static str) -> i64 {
    let all = db::whole(ground.db.engine(), Expr::cust("COUNT(*)"));
    let select = Query::select().expr_as(all, "n").from(table).to_owned();
    ground.db.read().query_one(&select).await.unwrap().unwrap().try_get("", "n").unwrap()
}

async fn insert(ground: &Ground, table: &'static str, columns: &[&'static str], values: Vec<sea_orm::Value>) {
    let tx = ground.db.begin().await.unwrap();
    let values = values.into_iter().map(Expr::val);
    let insert = Query::insert().into_table(table).columns(columns.iter().copied()).values_panic(values).to_owned();
    tx.execute(&insert).await.unwrap();
    tx.commit().await.unwrap();
}

#[tokio::test]
async fn rows_kept_for_a_time_go_when_it_is_over_and_not_before() {
    for ground in grounds().await {
        let now = START.plus_millis(100 * 24 * 3_600_000);
        for (offset, name) in [(-1_i64, "old"), (0, "fresh")] {
            let at = |millis: i64| -> sea_orm::Value { (now.0 - millis + offset).into() };
            insert(
                &ground,
                "request_explanations",
                &["request_id", "body", "at"],
                vec![name.into(), "{}".into(), at(EXPLANATIONS_MILLIS)],
            )
            .await;
            let values = vec![1_i64.into(), name.into(), "h".into(), 200.into(), "{}".into(), at(IDEMPOTENCY_MILLIS)];
            insert(&ground, "idempotency", &["user_id", "idem_key", "request_hash", "status", "response", "created_at"], values)
                .await;
            insert(
                &ground,
                "sessions",
                &["id", "data", "created_at", "expires_at"],
                vec![name.into(), "{}".into(), at(0), at(0)],
            )
            .await;
            let values =
                vec![name.into(), 1_i64.into(), "b".into(), "b".into(), "a".into(), at(0), at(NODES_MILLIS), "{}".into()];
            let columns = ["node_id", "epoch", "boot_id", "build", "address", "registered_at", "last_seen_at", "status"];
            insert(&ground, "nodes", &columns, values).await;
            let values = vec![7_i64.into(), (-offset).into(), "+-".into(), at(WATCH_MILLIS)];
            insert(&ground, "channel_watch", &["channel_id", "key_id", "remembered", "at"], values).await;
        }
        let report = retention::run(&ground.work(), &Kept::default(), now).await.unwrap();
        assert_eq!(
            (report.explanations, report.idempotency, report.sessions, report.nodes, report.watch),
            (1, 1, 1, 1, 1),
            "{:?}",
            ground.db.engine()
        );
        assert_eq!(retention::run(&ground.work(), &Kept::default(), now).await.unwrap().rows(), 0);
        for table in ["request_explanations", "idempotency", "sessions", "nodes", "channel_watch"] {
            assert_eq!(count(&ground, table).await, 1, "{table}");
        }
    }
}

#[tokio::test]
async fn how_far_reports_were_settled_goes_only_when_nothing_can_come_of_their_life_any_more() {
    for ground in grounds().await {
        let now = START.plus_millis(100 * 24 * 3_600_000);
        ground.relay("known", 3).await;
        let lives = [("known", 1, true, -1_i64), ("gone", 1, true, -1), ("gone", 2, true, 0), ("gone", 3, false, -1)];
        for (node, epoch, ended, offset) in lives {
            let at = now.0 - CURSORS_MILLIS + offset;
            let values = vec![node.into(), i64::from(epoch).into(), 7_i64.into(), ended.into(), at.into()];
            insert(&ground, "usage_cursors", &["node_id", "epoch", "next_seq", "ended", "updated_at"], values).await;
        }
        // the relay is heard of: its row is not to go in the same run
        let heard = Query::update().table("nodes").value("last_seen_at", now.0).to_owned();
        let tx = ground.db.begin().await.unwrap();
        tx.execute(&heard).await.unwrap();
        tx.commit().await.unwrap();
        let report = retention::run(&ground.work(), &Kept::default(), now).await.unwrap();
        assert_eq!((report.cursors, count(&ground, "usage_cursors").await), (1, 3), "{:?}", ground.db.engine());
        let select = Query::select().column("epoch").from("usage_cursors").and_where(Expr::col("node_id").eq("gone")).to_owned();
        let rows = ground.db.read().query_all(&select).await.unwrap();
        let mut left: Vec<i64> = rows.iter().map(|row| row.try_get("", "epoch").unwrap()).collect();
        left.sort_unstable();
        assert_eq!(left, [2, 3], "the one that ended lately, and the one that did not end");
    }
}

#[tokio::test]
async fn a_relay_that_comes_back_while_old_rows_are_cleared_away_stays() {
    for ground in grounds().await {
        let now = START.plus_millis(100 * 24 * 3_600_000);
        let old: sea_orm::Value = (now.0 - NODES_MILLIS - 1).into();
        let values = vec!["relay-9".into(), 1_i64.into(), "b".into(), "b".into(), "a".into(), 0_i64.into(), old, "{}".into()];
        let columns = ["node_id", "epoch", "boot_id", "build", "address", "registered_at", "last_seen_at", "status"];
        insert(&ground, "nodes", &columns, values).await;
        // it is being written down, and who clears away has read of it and waits for that
        let tx = ground.db.begin().await.unwrap();
        let seen =
            Query::update().table("nodes").value("last_seen_at", now.0).and_where(Expr::col("node_id").eq("relay-9")).to_owned();
        tx.execute(&seen).await.unwrap();
        let work = ground.work();
        let kept = Kept::default();
        let clearing = retention::run(&work, &kept, now);
        tokio::pin!(clearing);
        let waits = tokio::time::timeout(std::time::Duration::from_secs(1), &mut clearing).await;
        assert!(waits.is_err(), "{:?}: {waits:?}", ground.db.engine());
        tx.commit().await.unwrap();
        assert_eq!(clearing.await.unwrap().nodes, 0, "{:?}", ground.db.engine());
        assert_eq!(count(&ground, "nodes").await, 1);
    }
}

#[tokio::test]
async fn what_people_decide_how_long_to_keep_goes_by_their_settings_and_closed_leases_after_a_week() {
    for ground in grounds().await {
        let (relay, customer) = (ground.relay("relay-1", 1).await, ground.customer(100_000, 0).await);
        let leases = [
            ground.grant(&relay, 1, customer.wallet, 10, 10).await,
            ground.grant(&relay, 2, customer.wallet, 10, 10).await,
            ground.grant(&relay, 3, customer.wallet, 10, 10).await,
            ground.grant(&relay, 4, customer.wallet, 10, 10).await,
        ];
        let unpriced = sluice_domain::RequestRecord {
            model: ModelName::parse("never-heard-of").unwrap(),
            ..ground.plain("unpriced", customer, vec![])
        };
        let records = vec![
            ground.request("r1", customer, vec![pays(leases[0], 10)]),
            closes(leases[0].lease),
            closes(leases[1].lease),
            closes(leases[3].lease),
            sluice_domain::Record::Request(Box::new(unpriced)),
        ];
        ground.report(&relay, 1, records).await;
        let (day, later) = (24 * 3_600_000, START.plus_millis(LEASES_MILLIS));
        let audit = ["at", "action", "target", "detail"];
        insert(&ground, "audit", &audit, vec![START.0.into(), "a".into(), "b".into(), "null".into()]).await;

        let early = retention::run(&ground.work(), &Kept::default(), later).await.unwrap();
        assert_eq!((early.leases, early.requests, early.audit, early.quarantine), (0, 0, 0, 0));
        // one is open, and the newest stays so that no engine counts its id again
        let kept = Kept { requests_millis: Some(8 * day), audit_millis: Some(9 * day) };
        let report = retention::run(&ground.work(), &kept, later.plus_millis(1)).await.unwrap();
        assert_eq!((report.leases, count(&ground, "leases").await), (2, 2), "{:?}", ground.db.engine());
        assert_eq!((report.requests, report.audit, report.quarantine), (0, 0, 0));
        let report = retention::run(&ground.work(), &kept, START.plus_millis(9 * day + 1)).await.unwrap();
        assert_eq!((report.requests, report.audit, report.quarantine), (1, 1, 0), "what nobody has decided about stays");
        let decided = Query::update().table("quarantine").value("resolved_at", START.0).to_owned();
        let tx = ground.db.begin().await.unwrap();
        tx.execute(&decided).await.unwrap();
        tx.commit().await.unwrap();
        let report = retention::run(&ground.work(), &kept, START.plus_millis(QUARANTINE_MILLIS + 1)).await.unwrap();
        assert_eq!(report.quarantine, 1);
        ground.assert_conservation().await;
    }
}

#[tokio::test]
async fn a_relay_that_still_holds_money_is_not_forgotten() {
    for ground in grounds().await {
        let (relay, customer) = (ground.relay("relay-1", 1).await, ground.customer(1_000, 0).await);
        ground.grant(&relay, 1, customer.wallet, 10, 10).await;
        assert_eq!(retention::run(&ground.work(), &Kept::default(), START.plus_millis(NODES_MILLIS * 2)).await.unwrap().nodes, 0);
    }
}

async fn set_price(ground: &Ground, body: &str, at: UnixMillis) {
    let tx = ground.db.begin().await.unwrap();
    let rate = RateChange { kind: RateKind::Price, name: "gpt-4o".into(), body: Some(body.into()) };
    log::record_rates(&tx, at, &[Changed::Price(ModelName::parse("gpt-4o").unwrap())], &[rate]).await.unwrap();
    tx.commit().await.unwrap();
}

#[tokio::test]
async fn rates_are_kept_until_no_record_priced_with_them_can_come_any_more() {
    for ground in grounds().await {
        let before = count(&ground, "rate_history").await;
        set_price(&ground, r#"{"model_ratio":"2"}"#, START.plus_millis(1_000)).await;
        set_price(&ground, r#"{"model_ratio":"3"}"#, START.plus_millis(RATES_MILLIS)).await;
        assert_eq!(count(&ground, "rate_history").await, before + 2);
        // the first was replaced 40 days ago, the second an instant less, the third is in force
        let report = retention::run(&ground.work(), &Kept::default(), START.plus_millis(1_001 + RATES_MILLIS)).await.unwrap();
        assert_eq!((report.rates, count(&ground, "rate_history").await), (1, before + 1));
    }
}

#[tokio::test]
async fn the_log_of_changes_keeps_its_newest_entries() {
    for ground in grounds().await {
        let rows = count(&ground, "config_log").await;
        assert_eq!(retention::run(&ground.work(), &Kept::default(), START).await.unwrap().config_log, 0);
        let tx = ground.db.begin().await.unwrap();
        let forward = Query::update().table("config_head").value("seq", CONFIG_LOG_KEPT).to_owned();
        tx.execute(&forward).await.unwrap();
        log::record(&tx, START, &[Changed::Group(GroupName::parse("vip").unwrap())]).await.unwrap();
        tx.commit().await.unwrap();
        // everything of the first version is now ten thousand versions old
        assert_eq!(
            retention::run(&ground.work(), &Kept::default(), START).await.unwrap().config_log,
            u64::try_from(rows).unwrap()
        );
        assert_eq!(count(&ground, "config_log").await, 1);
    }
}
