//! What relays try for administrators: asked over HTTP, claimed for a relay, told by it, and what follows for the channel.

use serde_json::{Value, json};
use sluice_control_plane::channels::Evidence;
use sluice_control_plane::errands::{self, CLAIM_MILLIS, Errand, LIFE_MILLIS, MOST_OPEN, Outcome, jobs};
use sluice_control_plane::jobs::leader::Work;
use sluice_control_plane::jobs::retention::{self, ERRANDS_MILLIS, Kept};
use sluice_domain::{NodeId, Usage};
use sluice_testkit::database::engines;

use crate::switching_off::{make, switch_on};
use crate::world::{Client, Reply, World, no_limits};

fn relay(name: &str) -> NodeId {
    NodeId::parse(name).unwrap()
}

async fn taken_by(world: &World, name: &str) -> Vec<Errand> {
    errands::take(&world.app.db, &relay(name), 4, world.app.clock.wall()).await.unwrap()
}

async fn tell(world: &World, name: &str, id: i64, outcome: Outcome, said: Option<Evidence>) {
    errands::report(&world.app, &relay(name), id, outcome, said).await.unwrap();
}

/// A relay that answers the next errand like this, and what whoever asked is told.
async fn answered(world: &World, asked: impl Future<Output = Reply>, outcome: Outcome, said: Option<Evidence>) -> Reply {
    let answers = async {
        loop {
            if let Some(errand) = taken_by(world, "relay-1").await.pop() {
                return tell(world, "relay-1", errand.id, outcome, said).await;
            }
            tokio::task::yield_now().await;
        }
    };
    tokio::join!(asked, answers).0
}

fn good() -> Outcome {
    Outcome {
        ok: true,
        status: 200,
        latency_ms: 120,
        first_byte_ms: Some(80),
        usage: Usage { input: 8, output: 2, ..Usage::default() },
        ..Outcome::default()
    }
}

fn refused() -> (Outcome, Option<Evidence>) {
    let text = |text: &str| Some(text.to_owned());
    let (error, error_code, message) = (text("upstream_auth_failed"), text("invalid_api_key"), text("no such key"));
    let said = Evidence { status: 401, code: "invalid_api_key".into(), ..Evidence::default() };
    (Outcome { status: 401, latency_ms: 30, error, error_code, message, ..Outcome::default() }, Some(said))
}

fn path(channel: &Value, verb: &str) -> String {
    format!("/api/channels/{}{verb}", channel["id"])
}

async fn set(root: &Client, name: &str, value: Value) {
    assert_eq!(root.patch(&format!("/api/settings/{name}"), json!({"value": value})).await.status, 200);
}

#[tokio::test]
async fn a_test_is_run_by_a_relay_told_to_whoever_asked_and_shown_with_its_channel_on_every_engine() {
    for engine in engines() {
        let world = World::on(engine, no_limits()).await;
        let root = world.root().await;
        let channel = make(&root, json!(["key-one-0123456789", "key-two-0123456789"])).await;
        assert_eq!(channel["last_test"], json!(null));

        let reply = answered(&world, root.post(&path(&channel, "/test"), json!({})), good(), None).await;
        assert_eq!(
            (reply.status, &reply.body["state"], &reply.body["relay"]),
            (200, &json!("done"), &json!("relay-1")),
            "{engine}"
        );
        assert_eq!((&reply.body["key_id"], &reply.body["model"]), (&channel["keys"][0]["id"], &json!("gpt-4o")));
        let result = &reply.body["result"];
        assert_eq!((&result["ok"], &result["latency_ms"], &result["output_tokens"]), (&json!(true), &json!(120), &json!(2)));
        let shown = root.get(&path(&channel, "")).await.body;
        let expected = json!({"at": "2026-09-21T14:13:20Z", "ok": true, "latency_ms": 120, "model": "gpt-4o", "message": null});
        assert_eq!(shown["last_test"], expected, "{engine}");
        assert_eq!(shown["updated_at"], channel["updated_at"], "the channel itself is as it was");

        let body = json!({"key_id": channel["keys"][1]["id"], "model": "other"});
        let (outcome, said) = refused();
        let reply = answered(&world, root.post(&path(&channel, "/test"), body), outcome, said).await;
        let result = &reply.body["result"];
        assert_eq!((&result["ok"], &result["error_code"]), (&json!(false), &json!("invalid_api_key")), "{engine}");
        let listed = root.get("/api/channels").await.body["items"][0]["last_test"].clone();
        assert_eq!(
            (&listed["ok"], &listed["message"], &listed["model"]),
            (&json!(false), &json!("no such key"), &json!("other"))
        );
        assert_eq!(root.get(&path(&channel, "")).await.body["health"], "ok", "nothing is switched off unless the site wants it");

        let again = root.get(&format!("/api/errands/{}", reply.body["id"])).await.body;
        assert_eq!(again, reply.body);
        let rows = root.get("/api/audit?action=channels.test").await.body;
        assert_eq!(rows["items"].as_array().unwrap().len(), 2, "{rows}");
    }
}

#[tokio::test]
async fn lists_of_models_and_balances_come_back_and_a_balance_stays_with_its_channel_on_every_engine() {
    for engine in engines() {
        let world = World::on(engine, no_limits()).await;
        let root = world.root().await;
        let channel = make(&root, json!(["key-one-0123456789"])).await;
        let found = Outcome { ok: true, models: Some(vec!["a".into(), "b".into()]), ..Outcome::default() };
        let reply = answered(&world, root.post(&path(&channel, "/models"), json!({})), found, None).await;
        assert_eq!(reply.body["result"]["models"], json!(["a", "b"]), "{engine}");
        let left = |amount: &str| Outcome {
            ok: true,
            amount: Some(amount.to_owned()),
            currency: Some("USD".to_owned()),
            ..Outcome::default()
        };
        for amount in ["10.5", "0"] {
            let reply = answered(&world, root.post(&path(&channel, "/balance"), json!({})), left(amount), None).await;
            assert_eq!(reply.body["result"]["amount"], amount);
            let shown = root.get(&path(&channel, "")).await.body;
            let expected = json!({"at": "2026-09-21T14:13:20Z", "amount": amount, "currency": "USD"});
            assert_eq!((&shown["balance"], &shown["status"]), (&expected, &json!("enabled")), "{engine}");
        }
        switch_on(&root).await;
        answered(&world, root.post(&path(&channel, "/balance"), json!({})), left("-0.5"), None).await;
        assert_eq!(root.get(&path(&channel, "")).await.body["status"], "auto_disabled", "nothing is left");
    }
}

#[tokio::test]
async fn one_relay_has_an_errand_and_another_gets_it_when_that_one_is_silent_on_every_engine() {
    for engine in engines() {
        let world = World::on(engine, no_limits()).await;
        let root = world.root().await;
        let channel = make(&root, json!(["key-one-0123456789", "key-two-0123456789"])).await;
        let asked = root.post(&path(&channel, "/test"), json!({"all_keys": true})).await;
        let ids: Vec<i64> = serde_json::from_value(asked.body["ids"].clone()).unwrap();
        assert_eq!((asked.status, ids.len()), (202, 2), "{engine}: {}", asked.text);
        let state = async |id: i64| root.get(&format!("/api/errands/{id}")).await.body["state"].clone();
        assert_eq!(state(ids[0]).await, "waiting");

        let taken: Vec<i64> = taken_by(&world, "relay-1").await.iter().map(|errand| errand.id).collect();
        assert_eq!((&taken, state(ids[0]).await), (&ids, json!("running")), "the oldest first");
        assert_eq!(taken_by(&world, "relay-2").await, [], "what one has no other gets");
        tell(&world, "relay-2", ids[0], good(), None).await;
        assert_eq!(state(ids[0]).await, "running", "nor does anybody else speak for it");

        world.wait(CLAIM_MILLIS + 1);
        assert_eq!(taken_by(&world, "relay-2").await.len(), 2, "it was silent for too long");
        tell(&world, "relay-1", ids[0], refused().0, None).await;
        assert_eq!(state(ids[0]).await, "running", "it comes too late");
        tell(&world, "relay-2", ids[0], good(), None).await;
        tell(&world, "relay-2", ids[0], refused().0, None).await;
        let told = root.get(&format!("/api/errands/{}", ids[0])).await.body;
        assert_eq!((&told["state"], &told["result"]["ok"]), (&json!("done"), &json!(true)), "once is told for good");
    }
}

#[tokio::test]
async fn a_test_switches_off_by_the_rules_of_the_site_and_on_again_only_where_it_wants_that() {
    let (world, root) = World::set_up().await;
    let channel = make(&root, json!(["key-one-0123456789"])).await;
    let test = || async { root.post(&path(&channel, "/test"), json!({})).await };
    let status = || async { root.get(&path(&channel, "")).await.body["status"].clone() };
    switch_on(&root).await;
    let (outcome, said) = refused();
    answered(&world, test(), outcome, said).await;
    assert_eq!(status().await, "auto_disabled");

    answered(&world, test(), good(), None).await;
    assert_eq!(status().await, "auto_disabled", "it takes a setting of its own");
    set(&root, "automatic_enable_channel_enabled", json!(true)).await;
    let head = world.head().await;
    answered(&world, test(), good(), None).await;
    let shown = root.get(&path(&channel, "")).await.body;
    assert_eq!(
        (&shown["status"], &shown["keys"][0]["status"], &shown["health"]),
        (&json!("enabled"), &json!("enabled"), &json!("ok"))
    );
    assert_eq!(world.head().await, head + 1, "relays are told");
    let rows = root.get("/api/audit?action=channels.switch_on").await.body;
    assert_eq!((rows["items"].as_array().unwrap().len(), &rows["items"][0]["actor_id"]), (1, &json!(null)));
    let told = root.get("/api/notifications").await.body;
    assert_eq!(told["items"][0]["title"], "Channel main is switched on again", "{told}");

    answered(&world, test(), Outcome { latency_ms: 5_001, ..good() }, None).await;
    let shown = root.get(&path(&channel, "")).await.body;
    assert_eq!((&shown["status"], &shown["status_reason"]), (&json!("auto_disabled"), &json!("response_time_exceeded")));

    root.patch(&path(&channel, ""), json!({"status": "disabled"})).await;
    answered(&world, test(), good(), None).await;
    assert_eq!(status().await, "disabled", "what a person switched off stays off");
}

#[tokio::test]
async fn what_cannot_be_tried_is_refused_before_anybody_is_asked() {
    let (world, root) = World::set_up().await;
    let channel = make(&root, json!(["key-one-0123456789"])).await;
    for (body, field) in
        [(json!({"model": "dall-e-3"}), "model"), (json!({"model": ""}), "model"), (json!({"key_id": 999_999}), "key_id")]
    {
        let reply = root.post(&path(&channel, "/test"), body.clone()).await;
        assert_eq!((reply.status, &reply.body["errors"][0]["field"]), (422, &json!(field)), "{body}: {}", reply.text);
    }
    assert_eq!(root.post(&path(&channel, "/test"), json!({"modle": "x"})).await.status, 422);
    let jina = json!({"name": "j", "provider": "jina", "key": "k", "models": ["jina-reranker-m0"]});
    let jina = root.post("/api/channels", jina).await.body;
    for verb in ["/models", "/balance"] {
        let reply = root.post(&path(&jina, verb), json!({})).await;
        assert_eq!((reply.status, &reply.body["errors"][0]["code"]), (422, &json!("not_offered")), "{verb}: {}", reply.text);
    }
    assert_eq!(taken_by(&world, "relay-1").await, []);
}

#[tokio::test]
async fn no_more_are_open_than_may_be_and_a_test_of_all_takes_as_many_as_there_is_room_for() {
    let (_world, root) = World::set_up().await;
    let keys: Vec<String> = (0..i64::try_from(MOST_OPEN).unwrap() - 1).map(|number| format!("key-{number:016}")).collect();
    let many = make(&root, json!(keys)).await;
    assert_eq!(root.post(&path(&many, "/test"), json!({"all_keys": true})).await.status, 202);
    for name in ["b", "c"] {
        let body = json!({"name": name, "provider": "openai", "key": "k", "models": ["gpt-4o"]});
        assert_eq!(root.post("/api/channels", body).await.status, 201);
    }
    let off = json!({"name": "off", "provider": "openai", "key": "k", "models": ["gpt-4o"], "status": "disabled"});
    assert_eq!(root.post("/api/channels", off).await.status, 201);
    let all = root.post("/api/channels/test", json!({})).await;
    assert_eq!(
        (all.status, all.body["ids"].as_array().unwrap().len(), &all.body["left_out"]),
        (202, 1, &json!(1)),
        "{}",
        all.text
    );
    let full = root.post(&path(&many, "/balance"), json!({})).await;
    assert_eq!((full.status, &full.body["code"]), (429, &json!("too_many_requests")), "{}", full.text);
    assert_eq!(root.post("/api/channels/test", json!({})).await.status, 429);
}

#[tokio::test]
async fn channels_are_tested_in_turn_and_what_nobody_runs_is_given_up_on_every_engine() {
    for engine in engines() {
        let world = World::on(engine, no_limits()).await;
        let root = world.root().await;
        let first = make(&root, json!(["key-one-0123456789"])).await;
        let second = json!({"name": "second", "provider": "openai", "key": "k", "models": ["gpt-4o"]});
        let second = root.post("/api/channels", second).await.body;
        let images = json!({"name": "images", "provider": "openai", "key": "k", "models": ["dall-e-3"]});
        let images = root.post("/api/channels", images).await.body;
        let work = Work::alone(world.app.db.clone());
        let run = |every: u32| jobs::run(&world.app, &work, every);
        run(0).await.unwrap();
        assert_eq!(taken_by(&world, "relay-1").await, [], "{engine}: not unless somebody wants it");
        for (channel, round) in [(&first, 0), (&second, 1)] {
            run(10).await.unwrap();
            run(10).await.unwrap();
            let taken = taken_by(&world, "relay-1").await;
            assert_eq!(taken.len(), 1, "{engine}: one after the other, {round}");
            assert_eq!((json!(taken[0].channel.get()), taken[0].asked_by), (channel["id"].clone(), None), "{engine}");
            world.wait(1);
            tell(&world, "relay-1", taken[0].id, good(), None).await;
        }
        run(10).await.unwrap();
        assert_eq!(taken_by(&world, "relay-1").await, [], "{engine}: what makes images is passed over");
        assert_eq!(root.get(&path(&images, "")).await.body["last_test"]["ok"], false);
        run(10).await.unwrap();
        assert_eq!(taken_by(&world, "relay-1").await, [], "{engine}: all were tested lately");

        set(&root, "channel_test_minutes", json!(5)).await;
        world.wait(5 * 60_000 + 10);
        run(10).await.unwrap();
        world.wait(LIFE_MILLIS + 1);
        run(10).await.unwrap();
        let open = taken_by(&world, "relay-1").await;
        let given_up = root.get(&format!("/api/errands/{}", open[0].id - 1)).await.body;
        assert_eq!(
            (&given_up["state"], &given_up["result"]["error"]),
            (&json!("done"), &json!("not_run")),
            "{engine}: {given_up}"
        );

        // tests stay as long as requests, everything else for a day
        let list = answered(&world, root.post(&path(&first, "/models"), json!({})), good(), None).await;
        assert_eq!(list.status, 200, "{engine}: {}", list.text);
        world.wait(ERRANDS_MILLIS + 1);
        let clear = async |kept: Kept| retention::run(&work, &kept, world.app.clock.wall()).await.unwrap().errands;
        assert_eq!(clear(Kept::default()).await, 1, "{engine}");
        assert_eq!(clear(Kept { requests_millis: Some(2 * ERRANDS_MILLIS), ..Kept::default() }).await, 0, "{engine}");
        assert_eq!(clear(Kept { requests_millis: Some(1), ..Kept::default() }).await, 4, "{engine}");
    }
}

#[tokio::test]
async fn a_test_tells_what_a_caller_would_have_paid_and_nobody_pays_it_on_every_engine() {
    for engine in engines() {
        let world = World::on(engine, no_limits()).await;
        let root = world.root().await;
        let channel = make(&root, json!(["key-one-0123456789"])).await;
        let test = async |outcome: Outcome, said: Option<Evidence>| {
            let reply = answered(&world, root.post(&path(&channel, "/test"), json!({})), outcome, said).await;
            reply.body["result"]["quota"].clone()
        };
        let money = root.get("/api/users/me/balance").await.body;
        let price = json!({"model_ratio": "1.25", "completion_ratio": "4"});
        assert_eq!(root.patch("/api/prices/gpt-4o", price).await.status, 200);
        assert_eq!(test(good(), None).await, json!(20), "{engine}: 8 × 1.25 + 2 × 1.25 × 4");
        let cached = Usage { cache_read: 8, ..Usage::default() };
        let ratio = json!({"cache_read_ratio": "0.5"});
        assert_eq!(root.patch(&path(&channel, ""), ratio).await.status, 200);
        assert_eq!(test(Outcome { usage: cached, ..good() }, None).await, json!(5), "{engine}: the channel's own ratio counts");
        let (outcome, said) = refused();
        assert_eq!(test(outcome, said).await, json!(null), "{engine}: what failed cost nothing");
        assert_eq!(root.delete("/api/prices/gpt-4o").await.status, 204);
        assert_eq!(test(good(), None).await, json!(null), "{engine}: the model has no price");

        let logged = root.get("/api/errands?kind=test&limit=4").await.body;
        let costs: Vec<&Value> = logged["items"].as_array().unwrap().iter().map(|one| &one["result"]["quota"]).collect();
        assert_eq!(costs, [&json!(null), &json!(null), &json!(5), &json!(20)], "{engine}: the newest first");
        assert_eq!(root.get("/api/users/me/balance").await.body, money, "{engine}: nobody paid");
        assert_eq!(root.get("/api/requests").await.body["items"], json!([]), "{engine}: it is no request of anybody's");
    }
}

#[tokio::test]
async fn errands_are_listed_by_channel_and_kind_and_show_no_key() {
    let (world, root) = World::set_up().await;
    let first = make(&root, json!(["key-one-0123456789", "key-two-0123456789"])).await;
    let second = json!({"name": "second", "provider": "openai", "key": "k", "models": ["gpt-4o"]});
    let second = root.post("/api/channels", second).await.body;
    assert_eq!(root.post(&path(&first, "/test"), json!({"all_keys": true})).await.status, 202);
    let (outcome, said) = refused();
    answered(&world, root.post(&path(&first, "/models"), json!({})), outcome.clone(), said.clone()).await;
    answered(&world, root.post(&path(&second, "/test"), json!({})), outcome, said).await;
    let listed = async |query: &str| {
        let reply = root.get(&format!("/api/errands?{query}")).await;
        assert_eq!(reply.status, 200, "{query}: {}", reply.text);
        assert!(!reply.text.contains("0123456789"), "{query}");
        reply.body["items"].as_array().unwrap().len()
    };
    let id = &first["id"];
    assert_eq!(listed("").await, 4);
    assert_eq!((listed(&format!("channel_id={id}")).await, listed(&format!("channel_id={id}&kind=models")).await), (3, 1));
    assert_eq!(listed("kind=balance").await, 0);
    assert_eq!(root.get("/api/errands?kind=no").await.status, 422);
}

#[tokio::test]
async fn a_channel_is_tested_with_the_model_its_settings_name() {
    let (world, root) = World::set_up().await;
    let body = json!({"name": "main", "provider": "openai", "key": "k", "models": ["gpt-4o", "gpt-4o-mini"],
                      "settings": {"test_model": "gpt-4o-mini"}});
    let channel = root.post("/api/channels", body).await.body;
    let reply = answered(&world, root.post(&path(&channel, "/test"), json!({})), good(), None).await;
    assert_eq!(reply.body["model"], "gpt-4o-mini", "{}", reply.text);
    let reply = answered(&world, root.post(&path(&channel, "/test"), json!({"model": "gpt-4o"})), good(), None).await;
    assert_eq!(reply.body["model"], "gpt-4o", "what is asked for comes first");
}

#[tokio::test]
async fn a_provider_that_administrators_described_offers_what_they_described() {
    let (world, root) = World::set_up().await;
    let definition = json!({
        "slug": "our-own", "name": "Our own", "stream_options": "force", "models": ["our-model"],
        "base_url": {"meaning": "prefix", "default": "https://llm.example", "help": "Leave empty."},
        "auth": {"scheme": "bearer", "key_example": "sk-..."},
        "endpoints": {"chat": "/v1/chat/completions"},
        "balance": {"at": "/v1/left", "amount": "/left", "currency": "EUR"},
    });
    let made = root.post("/api/providers", json!({"definition": definition})).await;
    assert_eq!(made.status, 201, "{}", made.text);
    let channel = json!({"name": "c", "provider": "our-own", "key": "k", "models": ["our-model"]});
    let channel = root.post("/api/channels", channel).await.body;
    let left = Outcome { ok: true, amount: Some("3".into()), currency: Some("EUR".into()), ..Outcome::default() };
    let reply = answered(&world, root.post(&path(&channel, "/balance"), json!({})), left, None).await;
    assert_eq!((reply.status, &reply.body["result"]["currency"]), (200, &json!("EUR")), "{}", reply.text);
    let refused = root.post(&path(&channel, "/models"), json!({})).await;
    assert_eq!((refused.status, &refused.body["errors"][0]["code"]), (422, &json!("not_offered")), "{}", refused.text);
}
