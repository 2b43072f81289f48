//! Responses that upstreams store: fetched, cancelled and deleted by whoever made them, from any relay, and gone on from where they are.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use futures_util::future::BoxFuture;
use parking_lot::Mutex;
use reqwest::Method;
use serde_json::{Value, json};
use sluice_domain::{ModelName, Role, Status, UserId};
use sluice_limits::{Away, Notes};
use sluice_relay_node::responses::{Binding, ResponseId};
use sluice_snapshot::{Channel, Token};
use sluice_testkit::client::{Answer, Caller, send};
use sluice_testkit::simulator::{Fault, Scenario, Simulator, SimulatorConfig};

use crate::relay::{TestRelay, World, channel, channel_key, token, user};

const PATH: &str = "/v1/responses";
/// The secret part of a third caller's key.
const OTHER_KEY: &str = "0123456789abcdefghijklmnopqrstuvwxyzABCDEFGHIJKL";

/// What relays note for each other.
#[derive(Debug, Default)]
struct Board {
    notes: Mutex<HashMap<String, String>>,
    is_away: Mutex<bool>,
}

impl Board {
    fn reach(&self) -> Result<(), Away> {
        if *self.is_away.lock() { Err(Away("away")) } else { Ok(()) }
    }
}

impl Notes for Board {
    fn note<'a>(&'a self, name: &'a str, text: &'a str, _: Duration) -> BoxFuture<'a, Result<(), Away>> {
        Box::pin(async move { self.reach().map(|()| drop(self.notes.lock().insert(name.to_owned(), text.to_owned()))) })
    }

    fn noted<'a>(&'a self, name: &'a str) -> BoxFuture<'a, Result<Option<String>, Away>> {
        Box::pin(async move { self.reach().map(|()| self.notes.lock().get(name).cloned()) })
    }

    fn strike<'a>(&'a self, name: &'a str) -> BoxFuture<'a, Result<(), Away>> {
        Box::pin(async move { self.reach().map(|()| drop(self.notes.lock().remove(name))) })
    }
}

/// Two channels of two keys each; the simulator keeps what each key made apart. A second user with a key of their own.
fn world(simulator: &Simulator) -> World {
    let native = |id: i64| Channel {
        provider: "openai".into(),
        base_url: Some(simulator.base_url()),
        keys: vec![channel_key(id * 10, &format!("key-{id}-a")), channel_key(id * 10 + 1, &format!("key-{id}-b"))],
        ..channel(id, "")
    };
    let mut world = World::with_upstream("");
    world.channels = vec![native(1), native(2)];
    world.tokens.push(Token { account_id: sluice_domain::AccountId::new(13), ..token(3, 3, OTHER_KEY) });
    world.users.push(user(3, Role::User));
    world.ledger.credit(3, 100_000_000);
    world
}

fn simulator() -> Simulator {
    Simulator::start(SimulatorConfig::default())
}

fn asked(more: &Value) -> Value {
    let mut body = json!({"model": "gpt-4o", "input": "count the drops"});
    for (name, value) in more.as_object().unwrap().clone() {
        body[name] = value;
    }
    body
}

async fn make(caller: &Caller, more: Value) -> String {
    let answer = caller.post(PATH, &asked(&more)).await;
    assert_eq!(answer.status, 200, "{}", answer.text());
    answer.json()["id"].as_str().unwrap().to_owned()
}

async fn delete(caller: &Caller, id: &str) -> Answer {
    send(caller.request(Method::DELETE, &format!("{PATH}/{id}"))).await.unwrap()
}

fn told(answer: &Answer) -> (u16, Option<String>) {
    (answer.status.as_u16(), answer.json()["error"]["code"].as_str().map(str::to_owned))
}

fn says(status: u16, code: &str) -> (u16, Option<String>) {
    (status, Some(code.to_owned()))
}

#[tokio::test]
async fn a_stored_response_is_its_owners_on_every_relay_and_nobody_elses() {
    let (simulator, board) = (simulator(), Arc::new(Board::default()));
    let relay = async || World { notes: Some(Arc::clone(&board) as Arc<dyn Notes>), ..world(&simulator) }.start().await;
    let (here, there) = (relay().await, relay().await);
    for round in 0..6 {
        let made = here.caller().post(PATH, &asked(&json!({}))).await.json();
        let id = made["id"].as_str().unwrap();
        let at = |more: &str| format!("{PATH}/{id}{more}");
        for relay in [&here, &there] {
            let answer = relay.caller().get(&at("")).await;
            assert_eq!((answer.status.as_u16(), answer.json()), (200, made.clone()), "round {round}");
            let items = relay.caller().get(&at("/input_items?order=asc&limit=1")).await.json();
            assert_eq!(items["data"][0]["content"][0]["text"], "count the drops");
            let stranger = relay.anonymous().with_key(format!("sk-{OTHER_KEY}"));
            for answer in
                [stranger.get(&at("")).await, stranger.post(&at("/cancel"), &json!({})).await, delete(&stranger, id).await]
            {
                assert_eq!(told(&answer), says(404, "response_not_found"));
                assert!(answer.text().contains("not found. (request id: "), "{}", answer.text());
            }
            assert_eq!(relay.anonymous().get(&at("")).await.status, 401);
        }
        let refused = there.caller().post(&at("/cancel"), &json!({})).await;
        assert_eq!(refused.status, 400);
        assert!(refused.text().contains("Cannot cancel a synchronous response."), "{}", refused.text());
        assert_eq!(delete(&there.caller(), id).await.json()["deleted"], true);
        assert_eq!(told(&there.caller().get(&at("")).await).0, 404);
        assert_eq!(told(&here.caller().get(&at("")).await).0, 404, "the upstream says so, though this relay still remembers");
    }
    let notes = format!("{:?}", board.notes.lock());
    assert!(!notes.contains("key-") && !notes.contains("drops"), "ids alone: {notes}");
    assert_eq!(here.records().await.len() + there.records().await.len(), 6, "only making them is charged");
    let counted = r#"sluice_relay_requests_total{interface="stored_responses",outcome="completed"}"#;
    assert!(here.metric(counted) > 0, "{:?}", here.measured("sluice_relay_requests_total"));
}

#[tokio::test]
async fn a_streamed_response_is_known_before_its_first_byte_is_read() {
    let simulator = simulator();
    let relay = world(&simulator).start().await;
    let streamed = relay.caller().stream(PATH, &asked(&json!({"stream": true}))).await;
    let id = streamed.events[0].json()["response"]["id"].as_str().unwrap().to_owned();
    let again = relay.caller().get(&format!("{PATH}/{id}")).await.json();
    assert_eq!(again["output"], streamed.events.last().unwrap().json()["response"]["output"]);
}

#[tokio::test]
async fn what_is_not_stored_or_never_was_is_not_found() {
    let simulator = simulator();
    let relay = world(&simulator).start().await;
    let unstored = make(&relay.caller(), json!({"store": false})).await;
    for id in [unstored.as_str(), "resp_none", "..%2Fmodels", "a%20b"] {
        assert_eq!(told(&relay.caller().get(&format!("{PATH}/{id}")).await), says(404, "response_not_found"), "{id}");
    }
    assert!(simulator.log().iter().all(|entry| entry.method == "POST"), "nobody was asked for what nobody made");
}

#[tokio::test]
async fn what_goes_on_from_a_response_goes_to_its_channel_and_key() {
    let simulator = simulator();
    let relay = world(&simulator).start().await;
    for round in 0..12 {
        let first = make(&relay.caller(), json!({})).await;
        let made_with = simulator.log().last().unwrap().key_hint.clone();
        let second = make(&relay.caller(), json!({"previous_response_id": first})).await;
        assert_eq!(simulator.log().last().unwrap().key_hint, made_with, "round {round}");
        let body = asked(&json!({"previous_response_id": second, "stream": true}));
        let third = relay.caller().stream(PATH, &body).await;
        assert!(third.events.last().unwrap().name.as_deref() == Some("response.completed"), "{third:?}");
        let counted = relay.caller().post("/v1/responses/input_tokens", &asked(&json!({"previous_response_id": second}))).await;
        assert_eq!(counted.status, 200, "{}", counted.text());
        assert_eq!(simulator.log().last().unwrap().key_hint, made_with, "round {round}");
    }
}

#[tokio::test]
async fn nobody_goes_on_from_a_response_of_another_or_of_a_channel_that_is_gone() {
    let (simulator, board) = (simulator(), Arc::new(Board::default()));
    let shared = || Some(Arc::clone(&board) as Arc<dyn Notes>);
    let relay = World { notes: shared(), ..world(&simulator) }.start().await;
    let first = make(&relay.caller(), json!({})).await;
    let body = asked(&json!({"previous_response_id": first}));
    let before = simulator.log().len();
    let stranger = relay.anonymous().with_key(format!("sk-{OTHER_KEY}"));
    for answer in [stranger.post(PATH, &body).await, stranger.post("/v1/responses/input_tokens", &body).await] {
        assert_eq!(told(&answer), says(400, "previous_response_not_found"));
        assert_eq!(answer.json()["error"]["param"], "previous_response_id");
    }
    for how in ["off", "gone", "key off"] {
        let mut world = World { notes: shared(), ..world(&simulator) };
        for channel in &mut world.channels {
            match how {
                "off" => channel.status = Status::Disabled,
                "gone" => channel.id = sluice_domain::ChannelId::new(channel.id.get() + 5),
                _ => channel.keys.iter_mut().for_each(|key| key.id = sluice_domain::ChannelKeyId::new(key.id.get() + 5)),
            }
        }
        world.channels.push(channel(9, &simulator.base_url()));
        let relay = world.start().await;
        assert_eq!(told(&relay.caller().post(PATH, &body).await), says(400, "previous_response_not_found"), "{how}");
        assert_eq!(told(&relay.caller().get(&format!("{PATH}/{first}")).await), says(404, "response_not_found"), "{how}");
    }
    assert_eq!(simulator.log().len(), before, "nobody was asked");
}

#[tokio::test]
async fn not_knowing_is_no_verdict() {
    let (simulator, board) = (simulator(), Arc::new(Board::default()));
    let relay = World { notes: Some(Arc::clone(&board) as Arc<dyn Notes>), ..world(&simulator) }.start().await;
    *board.is_away.lock() = true;
    let own = make(&relay.caller(), json!({})).await;
    assert_eq!(relay.caller().get(&format!("{PATH}/{own}")).await.status, 200, "this relay knows it by itself");
    for answer in [
        relay.caller().get(&format!("{PATH}/resp_elsewhere")).await,
        relay.caller().post(PATH, &asked(&json!({"previous_response_id": "resp_elsewhere"}))).await,
    ] {
        assert_eq!(told(&answer), says(503, "authority_unavailable"));
        assert!(answer.header("retry-after").is_some());
    }
}

#[tokio::test]
async fn an_upstream_of_another_dialect_says_what_becomes_of_a_previous_response() {
    let simulator = simulator();
    let mut world = world(&simulator);
    world.channels = vec![Channel {
        provider: "anthropic".into(),
        base_url: Some(simulator.base_url()),
        models: vec![crate::relay::name("claude-sonnet-4-5")],
        ..channel(1, "")
    }];
    world.prices.push(("claude-sonnet-4-5", crate::relay::ratios("1", "1")));
    let relay = world.start().await;
    let body = asked(&json!({"model": "claude-sonnet-4-5", "previous_response_id": "resp_1"}));
    let answer = relay.caller().post(PATH, &body).await;
    assert_eq!((told(&answer).0, &answer.json()["error"]["param"]), (400, &json!("previous_response_id")), "{}", answer.text());
    assert_ne!(answer.json()["error"]["code"], "previous_response_not_found");
    let made = relay.caller().post(PATH, &asked(&json!({"model": "claude-sonnet-4-5"}))).await.json();
    let answer = relay.caller().get(&format!("{PATH}/{}", made["id"].as_str().unwrap())).await;
    assert_eq!(told(&answer), says(404, "response_not_found"), "nobody stores what was written here");
}

#[tokio::test]
async fn what_is_made_in_the_background_is_refused_because_it_could_not_be_charged() {
    let simulator = simulator();
    let relay = world(&simulator).start().await;
    for more in [json!({"background": true}), json!({"background": true, "stream": true})] {
        let answer = relay.caller().post(PATH, &asked(&more)).await;
        assert_eq!((told(&answer), &answer.json()["error"]["param"]), (says(400, "invalid_request"), &json!("background")));
    }
    make(&relay.caller(), json!({"background": false})).await;
    assert_eq!(simulator.log().len(), 1);
}

/// A response that its upstream made in the background, and a relay that knows of it.
async fn in_background(relay: &TestRelay, simulator: &Simulator, model: &str) -> String {
    let upstream = Caller::new(simulator.base_url()).with_key("key-1-a");
    let body = asked(&json!({"background": true, "stream": true}));
    let id = upstream.stream(PATH, &body).await.events[0].json()["response"]["id"].as_str().unwrap().to_owned();
    let (channel, key) = (sluice_domain::ChannelId::new(1), sluice_domain::ChannelKeyId::new(10));
    let binding = Binding { channel, key, model: model.into() };
    relay.app.responses.remember(UserId::new(1), ResponseId::parse(&id).unwrap(), binding).await;
    id
}

#[tokio::test]
async fn a_stream_is_taken_up_again_where_it_was_lost() {
    let simulator = simulator();
    let relay = world(&simulator).start().await;
    let id = in_background(&relay, &simulator, "gpt-4o").await;
    let path = format!("{PATH}/{id}?stream=true&starting_after=2&key=dropped");
    let answer = relay.caller().get(&path).await;
    assert_eq!(answer.status, 200, "{}", answer.text());
    assert_eq!(answer.header("content-type"), Some("text/event-stream; charset=utf-8"));
    let direct =
        Caller::new(simulator.base_url()).with_key("key-1-a").get(&format!("{PATH}/{id}?stream=true&starting_after=2")).await;
    assert_eq!(answer.text(), direct.text(), "byte for byte");
    assert!(answer.text().starts_with("event: ") && answer.text().contains(r#""sequence_number":3"#));
    let cancelled = relay.caller().post(&format!("{PATH}/{id}/cancel"), &json!({})).await;
    assert_eq!(cancelled.json()["status"], "cancelled");
}

#[tokio::test]
async fn a_model_that_its_caller_knows_by_another_name_keeps_it() {
    let simulator = simulator();
    let mut world = world(&simulator);
    let ours = ModelName::parse("our-model").unwrap();
    for channel in &mut world.channels {
        channel.models = vec![ours.clone()];
        channel.model_mapping.insert(ours.to_string(), "gpt-4o".to_owned());
    }
    world.prices.push(("our-model", crate::relay::ratios("1", "1")));
    let relay = world.start().await;
    let made = relay.caller().post(PATH, &asked(&json!({"model": "our-model"}))).await.json();
    assert_eq!(made["model"], "our-model");
    let again = relay.caller().get(&format!("{PATH}/{}", made["id"].as_str().unwrap())).await;
    assert_eq!(again.json(), made, "whole");
    let id = in_background(&relay, &simulator, "our-model").await;
    let streamed = relay.caller().get(&format!("{PATH}/{id}?stream=true")).await.text();
    assert!(streamed.contains(r#""model":"our-model""#) && !streamed.contains("gpt-4o"), "{streamed}");
    assert!(streamed.contains("event: response.completed"));
}

#[tokio::test]
async fn a_stream_that_fails_ends_with_the_response_that_failed() {
    let simulator = simulator();
    let mut world = world(&simulator);
    world.channels.push(Channel {
        provider: "anthropic".into(),
        base_url: Some(simulator.base_url()),
        models: vec![crate::relay::name("claude-sonnet-4-5")],
        ..channel(5, "")
    });
    world.prices.push(("claude-sonnet-4-5", crate::relay::ratios("1", "1")));
    let relay = world.start().await;
    for model in ["gpt-4o", "claude-sonnet-4-5"] {
        for fault in [Fault::ErrorEvent, Fault::Reset, Fault::Close] {
            simulator.queue(Scenario { fault, after: 9, error_code: Some("rate_limit_exceeded".into()), ..Scenario::default() });
            let body = json!({"model": model, "input": "count [sim: tokens=20]", "instructions": "be brief", "stream": true});
            let events: Vec<Value> =
                relay.caller().stream(PATH, &body).await.events.iter().map(sluice_testkit::client::Event::json).collect();
            let (first, last) = (&events[0], events.last().unwrap());
            assert_eq!(
                (&first["type"], &last["type"]),
                (&json!("response.created"), &json!("response.failed")),
                "{model} {fault:?}"
            );
            let numbers: Vec<u64> = events.iter().map(|event| event["sequence_number"].as_u64().unwrap()).collect();
            assert_eq!(numbers, (0..events.len() as u64).collect::<Vec<_>>(), "{model} {fault:?}: without gaps");
            let response = &last["response"];
            assert_eq!((&response["id"], &response["status"]), (&first["response"]["id"], &json!("failed")), "{model} {fault:?}");
            assert_eq!((&response["instructions"], &response["object"]), (&json!("be brief"), &json!("response")));
            let told = response["error"]["message"].as_str().unwrap();
            assert!(told.contains("(request id: ") && response["error"]["code"].is_string(), "{model} {fault:?}: {response}");
        }
    }
}
