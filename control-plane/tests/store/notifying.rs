//! What is sent to a webhook, in which order and by whom, and how long it is kept.

use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};
use std::time::Duration;

use sea_orm::ConnectionTrait;
use sea_orm::sea_query::{Order, Query};
use sluice_control_plane::jobs::leader::Leader;
use sluice_control_plane::jobs::retention::{self, Kept, NOTIFICATIONS_MILLIS};
use sluice_control_plane::notifications::jobs::{self, Report};
use sluice_control_plane::notifications::{Address, Courier, Webhook};
use sluice_domain::{Clock, Now, UnixMillis};
use sluice_upstream::{Client, ClientSettings};

use crate::ground::{Ground, START, grounds};

/// A courier to where nobody listens.
fn courier() -> Courier {
    // fails only when there is one already
    let _ = rustls::crypto::ring::default_provider().install_default();
    let client = Client::new(ClientSettings { use_system_proxy: false, ..ClientSettings::default() }).unwrap();
    Courier::new(client, Webhook { address: Address::parse("http://127.0.0.1:9/").unwrap(), secret: "secret".into() })
}

fn clock(millis: &Arc<AtomicI64>) -> Clock {
    let millis = Arc::clone(millis);
    Clock::new(move || Now { wall: START.plus_millis(millis.load(Ordering::Relaxed)), boot_millis: 1 })
}

async fn insert(ground: &Ground, created_at: UnixMillis, next_attempt_at: Option<UnixMillis>) {
    let tx = ground.db.begin().await.unwrap();
    let texts = ["kind", "subject", "title", "content", "values"];
    let insert = Query::insert()
        .into_table("notifications")
        .columns(texts.into_iter().chain(["created_at", "next_attempt_at"]))
        .values_panic(
            ["k", "s", "t", "c", "{}"]
                .map(Into::into)
                .into_iter()
                .chain([created_at.0.into(), next_attempt_at.map(|at| at.0).into()]),
        )
        .to_owned();
    tx.execute(&insert).await.unwrap();
    tx.commit().await.unwrap();
}

/// Attempts, the moment of the next one after the start, and whether there was a failure; by id.
async fn rows(ground: &Ground) -> Vec<(i64, Option<i64>, bool)> {
    let select = Query::select()
        .columns(["attempts", "next_attempt_at", "failure"])
        .from("notifications")
        .order_by("id", Order::Asc)
        .to_owned();
    let rows = ground.db.read().query_all(&select).await.unwrap();
    let one = |row: &sea_orm::QueryResult| {
        let (next, failure): (Option<i64>, Option<String>) =
            (row.try_get("", "next_attempt_at").unwrap(), row.try_get("", "failure").unwrap());
        (row.try_get("", "attempts").unwrap(), next.map(|at| at - START.0), failure.is_some())
    };
    rows.iter().map(one).collect()
}

#[tokio::test]
async fn what_is_due_is_sent_a_few_at_once_the_oldest_first_and_waits_when_it_fails() {
    for ground in grounds().await {
        for number in 0..10 {
            insert(&ground, START, Some(START.plus_millis(10 - number))).await;
        }
        insert(&ground, START, Some(START.plus_millis(11))).await;
        insert(&ground, START, None).await;
        let (courier, millis) = (courier(), Arc::new(AtomicI64::new(10)));
        let clock = clock(&millis);
        assert_eq!(jobs::run(&ground.work(), &courier, &clock).await.unwrap().failed, 8, "{:?}", ground.db.engine());
        let (sent, waiting) = ((1, Some(10_010), true), |at| (0, Some(at), false));
        let expected: Vec<_> = [sent; 8].into_iter().chain([waiting(2), waiting(1), waiting(11), (0, None, false)]).collect();
        assert_eq!(rows(&ground).await, expected);
        assert_eq!(jobs::run(&ground.work(), &courier, &clock).await.unwrap().failed, 2);
        assert_eq!(jobs::run(&ground.work(), &courier, &clock).await.unwrap(), Report::default());
        millis.store(10_010, Ordering::Relaxed);
        jobs::run(&ground.work(), &courier, &clock).await.unwrap();
        assert_eq!(rows(&ground).await[0], (2, Some(30_010), true), "the pause doubles");
    }
}

#[tokio::test]
async fn a_replica_that_leads_no_more_sends_nothing() {
    for ground in grounds().await {
        insert(&ground, START, Some(START)).await;
        let [one, two] = ["one", "two"].map(|name| Leader::new(ground.db.clone(), "notifications", name.into()));
        let work = one.lead().await.unwrap().unwrap();
        one.step_down().await.unwrap();
        let next = two.lead().await.unwrap().unwrap();
        let clock = clock(&Arc::default());
        assert!(jobs::run(&work, &courier(), &clock).await.is_err());
        assert_eq!(rows(&ground).await, [(0, Some(0), false)], "{:?}", ground.db.engine());
        assert_eq!(jobs::run(&next, &courier(), &clock).await.unwrap().failed, 1);
    }
}

#[tokio::test]
async fn what_people_were_told_is_kept_for_thirty_days() {
    for ground in grounds().await {
        insert(&ground, START, None).await;
        insert(&ground, START.plus_millis(1), Some(START)).await;
        let later = |millis: i64| START.plus_millis(NOTIFICATIONS_MILLIS + millis);
        assert_eq!(Duration::from_millis(NOTIFICATIONS_MILLIS.unsigned_abs()), Duration::from_hours(30 * 24));
        assert_eq!(retention::run(&ground.work(), &Kept::default(), later(0)).await.unwrap().notifications, 0);
        let report = retention::run(&ground.work(), &Kept::default(), later(1)).await.unwrap();
        assert_eq!((report.notifications, report.rows() > 0, rows(&ground).await.len()), (1, true, 1));
        assert_eq!(rows(&ground).await, [(0, Some(0), false)], "{:?}", ground.db.engine());
    }
}
