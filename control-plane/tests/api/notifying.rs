//! What people are told of, in the list and through a webhook that really listens.

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::body::Bytes;
use axum::extract::State;
use axum::http::{HeaderMap, StatusCode, Uri};
use futures_util::future::join_all;
use hmac::{Hmac, KeyInit, Mac};
use parking_lot::Mutex;
use serde_json::{Value, json};
use sha2::Sha256;
use sluice_control_plane::app::App;
use sluice_control_plane::channels::{Observed, SuccessRate, Watch};
use sluice_control_plane::jobs::leader::{Leader, Work};
use sluice_control_plane::metrics::Metrics;
use sluice_control_plane::notifications::jobs::{self, Report};
use sluice_control_plane::notifications::{Address, Courier, MOST_ATTEMPTS, Webhook};
use sluice_telemetry::drain::Drain;
use sluice_telemetry::metrics::Registry;
use sluice_testkit::database::engines;
use sluice_upstream::{Client as Sender, ClientSettings};
use tokio::net::TcpListener;
use tokio::task::JoinSet;

use crate::switching_off::{make, seen, switch_on};
use crate::world::{Client, START, World, no_limits};

const SECRET: &str = "a secret of this test";
const HOUR: i64 = 3_600_000;

/// What a webhook was sent.
struct Received {
    path: String,
    headers: HeaderMap,
    body: Bytes,
}

impl Received {
    fn header(&self, name: &str) -> &str {
        self.headers[name].to_str().unwrap()
    }

    /// What it says, once its signature is found to be right.
    fn said(&self) -> Value {
        let mut mac = Hmac::<Sha256>::new_from_slice(SECRET.as_bytes()).unwrap();
        mac.update(format!("{}.", self.header("x-webhook-timestamp")).as_bytes());
        mac.update(&self.body);
        assert_eq!(self.header("x-webhook-signature"), hex::encode(mac.finalize().into_bytes()));
        assert_eq!(self.header("content-type"), "application/json");
        serde_json::from_slice(&self.body).unwrap()
    }
}

/// A webhook: it answers as it is told, then 204.
#[derive(Clone, Default)]
struct Receiver {
    answers: Arc<Mutex<VecDeque<u16>>>,
    received: Arc<Mutex<Vec<Received>>>,
}

impl Receiver {
    /// Listens, and answers the address.
    async fn listen(&self, tasks: &mut JoinSet<()>) -> String {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let router = Router::new().fallback(take).with_state(self.clone());
        tasks.spawn(async move { axum::serve(listener, router).await.unwrap() });
        format!("http://ana:hunter2@{address}/hook?key=hunter2")
    }

    fn count(&self) -> usize {
        self.received.lock().len()
    }
}

async fn take(
    State(receiver): State<Receiver>,
    uri: Uri,
    headers: HeaderMap,
    body: Bytes,
) -> (StatusCode, HeaderMap, &'static str) {
    receiver.received.lock().push(Received { path: uri.to_string(), headers, body });
    let status = receiver.answers.lock().pop_front().unwrap_or(204);
    let elsewhere = [("location".parse().unwrap(), "/elsewhere".parse().unwrap())];
    (StatusCode::from_u16(status).unwrap(), HeaderMap::from_iter(elsewhere), "hunter2 is in the answer")
}

/// The same control plane with a webhook.
fn with_webhook(world: &World, address: &str) -> App {
    // fails only when there is one already
    let _ = rustls::crypto::ring::default_provider().install_default();
    let client = Sender::new(ClientSettings { use_system_proxy: false, ..ClientSettings::default() }).unwrap();
    let webhook = Webhook { address: Address::parse(address).unwrap(), secret: SECRET.into() };
    App { courier: Some(Courier::new(client, webhook)), ..world.app.clone() }
}

async fn send(app: &App) -> Report {
    jobs::run(&Work::alone(app.db.clone()), app.courier.as_ref().unwrap(), &app.clock).await.unwrap()
}

async fn listed(root: &Client) -> Vec<Value> {
    root.get("/api/notifications").await.body["items"].as_array().unwrap().clone()
}

#[tokio::test]
async fn a_channel_that_is_switched_off_is_told_once_and_again_when_the_webhook_fails() {
    for engine in engines() {
        let (world, receiver, mut tasks) = (World::on(engine, no_limits()).await, Receiver::default(), JoinSet::new());
        let root = world.root().await;
        let app = with_webhook(&world, &receiver.listen(&mut tasks).await);
        switch_on(&root).await;
        let channel = make(&root, json!(["key-one-0123456789"])).await;
        let (watch, refused) = (Watch::default(), || seen(&channel, 0, Some((401, "", "no"))));
        // several relays tell of it at once, and go on telling
        join_all((0..4).map(|_| watch.observe(&app, refused()))).await;
        watch.observe(&app, refused()).await;
        let before = listed(&root).await;
        assert_eq!((before.len(), &before[0]["delivery"], &before[0]["attempts"]), (1, &json!("pending"), &json!(0)), "{engine}");

        receiver.answers.lock().push_back(500);
        assert_eq!(send(&app).await, Report { failed: 1, ..Report::default() });
        let failed = listed(&root).await.remove(0);
        assert_eq!((&failed["delivery"], &failed["failure"]), (&json!("pending"), &json!("the webhook answered 500")));
        assert_eq!(failed["next_attempt_at"], "2026-09-21T14:13:30Z");
        world.wait(9_999);
        assert_eq!((send(&app).await, receiver.count()), (Report::default(), 1), "its pause is not over");
        world.wait(1);
        assert_eq!(send(&app).await, Report { delivered: 1, ..Report::default() });
        world.wait(HOUR);
        assert_eq!((send(&app).await, receiver.count()), (Report::default(), 2), "it was taken");
        let taken = listed(&root).await.remove(0);
        let fields = ["delivery", "attempts", "next_attempt_at", "delivered_at", "failure"].map(|name| taken[name].clone());
        assert_eq!(fields, [json!("delivered"), json!(2), json!(null), json!("2026-09-21T14:13:30Z"), json!(null)]);

        let received = receiver.received.lock();
        for (message, millis) in received.iter().zip([0, 10_000]) {
            let timestamp = (START + millis) / 1_000;
            let values = json!({
                "channel_id": channel["id"], "channel_name": "main", "status": "auto_disabled",
                "key_id": channel["keys"][0]["id"], "reason": "status 401",
            });
            let expected = json!({
                "id": taken["id"], "type": "channel_update", "title": "Channel main is switched off",
                "content": taken["content"], "values": values, "timestamp": timestamp,
            });
            assert_eq!(message.said(), expected, "{engine}");
            assert_eq!(message.header("x-webhook-timestamp"), timestamp.to_string());
            assert_eq!(message.header("x-webhook-id"), taken["id"].to_string());
            assert_eq!(message.header("authorization"), "Basic YW5hOmh1bnRlcjI=");
            assert_eq!(message.path, "/hook?key=hunter2");
        }
    }
}

#[tokio::test]
async fn what_the_webhook_never_takes_is_given_up_and_says_why_without_secrets() {
    let ((world, root), receiver, mut tasks) = (World::set_up().await, Receiver::default(), JoinSet::new());
    let app = with_webhook(&world, &receiver.listen(&mut tasks).await);
    switch_on(&root).await;
    let channel = make(&root, json!(["key-one-0123456789"])).await;
    Watch::default().observe(&app, seen(&channel, 0, Some((401, "", "no")))).await;
    receiver.answers.lock().extend([302; 20]);
    for attempt in 1..MOST_ATTEMPTS {
        assert_eq!(send(&app).await, Report { failed: 1, ..Report::default() }, "attempt {attempt}");
        world.wait(HOUR);
    }
    assert_eq!(send(&app).await, Report { given_up: 1, ..Report::default() });
    world.wait(1_000 * HOUR);
    assert_eq!(send(&app).await, Report::default());
    let root = world.sign_in("root").await;
    let given_up = listed(&root).await.remove(0);
    let fields = ["delivery", "attempts", "next_attempt_at", "delivered_at", "failure"].map(|name| given_up[name].clone());
    assert_eq!(fields, [json!("failed"), json!(12), json!(null), json!(null), json!("the webhook answered 302")]);
    assert!(receiver.received.lock().iter().all(|message| message.path.starts_with("/hook")), "a redirect was followed");

    // and one where nobody listens
    let app = with_webhook(&world, "http://ana:hunter2@127.0.0.1:9/hook?key=hunter2");
    let path = format!("/api/channels/{}", channel["id"]);
    root.patch(&path, json!({"status": "enabled"})).await;
    Watch::default().observe(&app, seen(&channel, 0, Some((401, "", "no")))).await;
    assert_eq!(send(&app).await.failed, 1);
    let page = root.get("/api/notifications").await.text;
    assert!(page.contains("the webhook did not answer: connect"), "{page}");
    assert!(!page.contains("hunter2") && !page.contains("127.0.0.1"), "{page}");
}

#[tokio::test]
async fn whoever_leads_sends_by_itself_until_the_process_closes() {
    let ((world, root), receiver, mut tasks) = (World::set_up().await, Receiver::default(), JoinSet::new());
    let registry = Registry::new();
    let app = with_webhook(&world, &receiver.listen(&mut tasks).await);
    let app = App { metrics: Metrics::declare(&registry), ..app };
    switch_on(&root).await;
    let channel = make(&root, json!(["key-one-0123456789"])).await;
    Watch::default().observe(&app, seen(&channel, 0, Some((401, "", "no")))).await;

    let leader = |name: &str| Leader::new(app.db.clone(), "notifications", name.to_owned());
    let (courier, drain) = (app.courier.clone().unwrap(), Drain::new());
    let sending = tasks.spawn(jobs::keep_running(app.clone(), courier, "one".to_owned(), drain.clone()));
    let delivered = "sluice_control_notifications_total{outcome=\"delivered\"} 1";
    let deadline = tokio::time::Instant::now() + Duration::from_secs(20);
    while !registry.render().contains(delivered) && tokio::time::Instant::now() < deadline {
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    let page = registry.render();
    assert!(page.contains(delivered), "{page}");
    assert!(page.contains("sluice_control_job_runs_total{job=\"notifications\",outcome=\"ok\"} 1"), "{page}");
    assert_eq!((receiver.count(), &listed(&root).await[0]["delivery"]), (1, &json!("delivered")));

    assert!(leader("two").lead().await.unwrap().is_none());
    drain.close();
    while !sending.is_finished() {
        tokio::task::yield_now().await;
    }
    assert!(leader("two").lead().await.unwrap().is_some(), "it stepped down");
}

#[tokio::test]
async fn every_edge_is_told_once_whichever_rule_switches_off() {
    for engine in engines() {
        let world = World::on(engine, no_limits()).await;
        let root = world.root().await;
        switch_on(&root).await;
        let channel = make(&root, json!(["key-one-0123456789", "key-two-0123456789"])).await;
        let watch = Watch::new(Some(SuccessRate { window: 10, threshold: 0.8 }));
        let refused = |key| seen(&channel, key, Some((401, "", "no")));
        let told = async |after: &str| {
            let items = listed(&root).await;
            let last = &items[0];
            assert_eq!(last["subject"], format!("channel:{}", channel["id"]), "{engine}: {after}");
            (items.len(), last["values"]["status"].clone(), last["values"]["key_id"].clone())
        };
        let (on, off) = (json!("enabled"), json!("auto_disabled"));
        let keys = [channel["keys"][0]["id"].clone(), channel["keys"][1]["id"].clone()];

        watch.observe(&world.app, refused(0)).await;
        watch.observe(&world.app, refused(0)).await;
        assert_eq!(told("a key").await, (1, on.clone(), keys[0].clone()));
        watch.observe(&world.app, refused(1)).await;
        watch.observe(&world.app, refused(1)).await;
        assert_eq!(told("the last key").await, (2, off.clone(), keys[1].clone()));
        let fails = || Observed { attempts: 10, successes: 0, ..seen(&channel, 0, None) };
        watch.observe(&world.app, fails()).await;
        watch.count(&world.app).await;
        assert_eq!(told("it stays off").await.0, 2);

        let path = format!("/api/channels/{}", channel["id"]);
        assert_eq!(root.patch(&path, json!({"status": "enabled"})).await.status, 200);
        assert_eq!(told("switched on by hand").await.0, 2);
        for _ in 0..2 {
            watch.observe(&world.app, fails()).await;
            watch.count(&world.app).await;
        }
        assert_eq!(told("its success rate").await, (3, off, json!(null)));
        assert_eq!(root.patch(&path, json!({"status": "disabled"})).await.status, 200);
        assert_eq!(told("switched off by hand").await.0, 3);
    }
}

#[tokio::test]
async fn without_a_webhook_they_are_listed_by_page_and_who_sets_one_up_later_is_not_told_of_the_past() {
    let ((world, root), receiver, mut tasks) = (World::set_up().await, Receiver::default(), JoinSet::new());
    switch_on(&root).await;
    let channels = [make(&root, json!(["key-one-0123456789"])).await, make(&root, json!(["key-two-0123456789"])).await];
    for channel in &channels {
        Watch::default().observe(&world.app, seen(channel, 0, Some((401, "", "no")))).await;
        world.wait(1_000);
    }
    let app = with_webhook(&world, &receiver.listen(&mut tasks).await);
    assert_eq!((send(&app).await, receiver.count()), (Report::default(), 0));

    let first = root.get("/api/notifications?limit=1&count=exact").await.body;
    assert_eq!((&first["total"], &first["items"][0]["values"]["channel_id"]), (&json!(2), &channels[1]["id"]));
    assert_eq!((&first["items"][0]["delivery"], &first["items"][0]["attempts"]), (&json!("listed"), &json!(0)));
    let next = format!("/api/notifications?limit=1&cursor={}", first["next_cursor"].as_str().unwrap());
    let second = root.get(&next).await.body;
    assert_eq!((&second["items"][0]["values"]["channel_id"], &second["next_cursor"]), (&channels[0]["id"], &json!(null)));

    let ids = async |query: &str| -> Vec<Value> {
        let page = root.get(&format!("/api/notifications?{query}")).await.body;
        page["items"].as_array().unwrap().iter().map(|item| item["values"]["channel_id"].clone()).collect()
    };
    let [one, other] = channels.each_ref().map(|channel| channel["id"].clone());
    assert_eq!(ids(&format!("subject=channel:{one}")).await, std::slice::from_ref(&one));
    assert_eq!(ids("kind=channel_update&sort=created_at").await, [one.clone(), other.clone()]);
    assert_eq!(ids("kind=quota_exceed").await, [] as [Value; 0]);
    assert_eq!(ids("created_at.gte=2026-09-21T14:13:21Z").await, [other]);
    assert_eq!(ids("created_at.lt=2026-09-21T14:13:21Z").await, [one]);
}
