//! What counts for a channel and against it: every answer once, by its end.

use std::sync::Arc;
use std::time::Duration;

use serde_json::{Value, json};
use sluice_domain::Outcome;
use sluice_relay_node::forward::{Evidence, Fault as ChannelFault, Told};
use sluice_testkit::simulator::{Ending, Fault, QueuedScenario, Scenario, Simulator, SimulatorConfig};
use tokio::sync::Semaphore;

use crate::recorder::Recorder;
use crate::relay::{TestRelay, World, channel, channel_key};

const CHAT: &str = "/v1/chat/completions";
/// Failures that eject.
const FAILURES: usize = 5;

fn asked(stream: bool) -> Value {
    json!({"model": "gpt-4o", "stream": stream, "messages": [{"role": "user", "content": "hello there"}]})
}

fn simulator(scenario: Scenario) -> Simulator {
    let simulator = Simulator::start(SimulatorConfig::default());
    simulator.queue(QueuedScenario::from(scenario).times(1_000));
    simulator
}

/// An answer that takes minutes.
fn slow() -> Scenario {
    Scenario { tokens: Some(6_000), delay_ms: 50, ..Scenario::default() }
}

const WORD: &[u8] =
    b"data: {\"id\":\"c1\",\"model\":\"gpt-4o\",\"choices\":[{\"index\":0,\"delta\":{\"content\":\"word\"}}]}\n\n";
const END: &[u8] = b"data: {\"id\":\"c1\",\"model\":\"gpt-4o\",\"choices\":[{\"index\":0,\"delta\":{},\"finish_reason\":\"stop\"}]}\n\ndata: [DONE]\n\n";

/// An upstream that says a word, and the rest when it gets a permit.
async fn in_two(rest: &[u8]) -> (Recorder, Arc<Semaphore>) {
    let gate = Arc::new(Semaphore::new(0));
    (Recorder::start_held("text/event-stream", &[WORD, rest], Arc::clone(&gate)).await, gate)
}

/// An answer that fails like this behind its first words.
fn inside(fault: Fault) -> Scenario {
    Scenario { tokens: Some(30), ..Scenario::fault(fault, 3) }
}

/// Two channels, the first one always first.
fn two(first: &Simulator, second: &Simulator) -> World {
    let mut world = World::with_upstream(&first.base_url());
    world.channels[0].priority = 10;
    world.channels.push(channel(2, &second.base_url()));
    world
}

/// What is told of channel 1, once an answer has counted: attempts, successes and the errors.
async fn told(relay: &TestRelay) -> (u64, u64, Vec<Evidence>) {
    let told = async {
        loop {
            if let Some(Told { attempts, successes, evidence, .. }) = of_first(relay) {
                return (attempts, successes, evidence);
            }
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    };
    tokio::time::timeout(Duration::from_mins(2), told).await.expect("an answer counts")
}

fn of_first(relay: &TestRelay) -> Option<Told> {
    relay.app.engine.seen.take().into_iter().find(|told| told.way.0.get() == 1)
}

fn ejected(relay: &TestRelay) -> usize {
    relay.app.engine.ejections.ejected(relay.app.clock.read().boot_millis)
}

#[tokio::test]
async fn streams_that_break_off_after_their_beginning_eject_their_channel() {
    for fault in [Fault::Reset, Fault::Truncate, Fault::Close, Fault::NoDone, Fault::Hang, Fault::ErrorEvent, Fault::Malformed] {
        let (bad, well) = (simulator(inside(fault)), simulator(Scenario::default()));
        let mut world = two(&bad, &well);
        if fault == Fault::Hang {
            world.timing.stream_idle = Duration::from_secs(1);
        }
        let relay = world.start().await;
        for _ in 0..FAILURES {
            assert_eq!(ejected(&relay), 0, "{fault:?}");
            let stream = relay.caller().stream(CHAT, &asked(true)).await;
            assert!(stream.error().is_some() && !stream.text().is_empty(), "{fault:?}: {stream:?}");
        }
        assert_eq!(ejected(&relay), 1, "{fault:?}");
        let (attempts, successes, evidence) = told(&relay).await;
        assert_eq!((attempts, successes), (5, 0), "{fault:?}");
        assert_eq!(evidence.len(), if fault == Fault::ErrorEvent { FAILURES } else { 0 }, "{fault:?}");
        assert!(relay.caller().stream(CHAT, &asked(true)).await.is_done(), "{fault:?}: the other channel answers");
        assert_eq!(bad.stats().received, 5, "{fault:?}");
        assert_eq!(relay.metric("sluice_relay_channel_ejections_total"), 1);
    }
}

#[tokio::test]
async fn a_key_that_is_out_of_money_inside_a_stream_is_tried_last_and_told() {
    let words = ("insufficient_quota", "insufficient_quota");
    let scenario = Scenario { error_type: Some(words.0.into()), error_code: Some(words.1.into()), ..inside(Fault::ErrorEvent) };
    let bad = simulator(scenario);
    let mut world = World::with_upstream(&bad.base_url());
    world.channels[0].keys.push(channel_key(11, "another-key"));
    let relay = world.start().await;
    let stream = relay.caller().stream(CHAT, &asked(true)).await;
    assert_eq!(stream.error().expect("an error")["code"], "upstream_auth_failed");
    let (attempts, successes, evidence) = told(&relay).await;
    assert_eq!((attempts, successes, evidence[0].kind.as_str(), evidence[0].status), (1, 0, words.0, 429));
    let first = relay.record().await.attempts[0].channel_key_id;
    relay.caller().stream(CHAT, &asked(true)).await;
    let records = relay.wait_for_records(2).await;
    assert_ne!(records[1].attempts[0].channel_key_id, first, "the other key is asked first now");
}

#[tokio::test]
async fn a_stream_is_a_success_when_it_is_complete_and_not_before() {
    let (upstream, gate) = in_two(END).await;
    let relay = World::with_upstream(&upstream.base_url()).start().await;
    let mut stream = relay.caller().open(CHAT, &asked(true)).await.unwrap();
    stream.next().await.unwrap().expect("it begins");
    assert_eq!(of_first(&relay), None);
    gate.add_permits(1);
    assert!(stream.collect().await.is_done());
    assert_eq!(told(&relay).await, (1, 1, vec![]));

    let upstream = simulator(Scenario::default());
    let relay = World::with_upstream(&upstream.base_url()).start().await;
    assert_eq!(relay.caller().post(CHAT, &asked(false)).await.status, 200);
    assert_eq!(told(&relay).await, (1, 1, vec![]), "and so is an answer in one piece");
}

#[tokio::test]
async fn a_caller_who_leaves_counts_neither_way() {
    let upstream = simulator(slow());
    let relay = World::with_upstream(&upstream.base_url()).start().await;
    let mut stream = relay.caller().open(CHAT, &asked(true)).await.unwrap();
    stream.next().await.unwrap().expect("it begins");
    drop(stream);
    assert_eq!(relay.record().await.outcome, Outcome::Aborted);
    assert_eq!(upstream.wait_for(1).await[0].ending, Ending::AbortedByClient);
    assert_eq!(of_first(&relay), None);
}

#[tokio::test]
async fn a_stream_that_is_read_on_without_its_caller_counts_by_its_end() {
    for (rest, successes) in [(END, 1), (WORD, 0)] {
        let (upstream, gate) = in_two(rest).await;
        let mut world = World::with_upstream(&upstream.base_url());
        world.channels[0].policy.drains = true;
        let relay = world.start().await;
        let mut stream = relay.caller().open(CHAT, &asked(true)).await.unwrap();
        stream.next().await.unwrap().expect("it begins");
        drop(stream);
        relay.until_read_on().await;
        gate.add_permits(1);
        assert_eq!(told(&relay).await, (1, successes, vec![]), "{}", String::from_utf8_lossy(rest));
        assert_eq!(relay.record().await.outcome, Outcome::Aborted);
    }
}

#[tokio::test]
async fn a_plain_answer_that_breaks_off_behind_its_head_counts_against_its_channel() {
    for fault in [Fault::Reset, Fault::Truncate, Fault::Malformed] {
        let bad = simulator(inside(fault));
        let relay = World::with_upstream(&bad.base_url()).start().await;
        assert_eq!(relay.caller().post(CHAT, &asked(false)).await.status, 502, "{fault:?}");
        assert_eq!(told(&relay).await, (1, 0, vec![]), "{fault:?}");
    }
}

#[tokio::test]
async fn a_mistake_of_the_caller_that_is_told_inside_a_stream_never_counts() {
    let scenario = Scenario { error_type: Some("invalid_request_error".into()), ..inside(Fault::ErrorEvent) };
    let upstream = simulator(scenario);
    let relay = World::with_upstream(&upstream.base_url()).start().await;
    for _ in 0..FAILURES {
        assert!(relay.caller().stream(CHAT, &asked(true)).await.error().is_some());
    }
    assert_eq!(ejected(&relay), 0);
    let (attempts, successes, _) = told(&relay).await;
    assert_eq!((attempts, successes), (0, 0));
}

#[tokio::test]
async fn a_malformed_event_before_any_output_is_tried_elsewhere() {
    let (bad, well) = (simulator(Scenario::fault(Fault::Malformed, 1)), simulator(Scenario::default()));
    let relay = two(&bad, &well).start().await;
    assert!(relay.caller().stream(CHAT, &asked(true)).await.is_done());
    let record = relay.record().await;
    assert_eq!((record.attempts.len(), record.attempts[0].error.as_str()), (2, "bad_response_body"));
    assert_eq!(told(&relay).await, (1, 0, vec![]));
}

#[tokio::test]
async fn a_channel_whose_own_settings_are_no_good_counts_as_failing_and_says_why() {
    let well = simulator(Scenario::default());
    let address = |address: &str| {
        let mut world = two(&well, &well);
        world.channels[0].base_url = Some(address.to_owned());
        world
    };
    let mut mapped = two(&well, &well);
    mapped.channels[0].provider = "azure-openai".into();
    mapped.channels[0].base_url = Some(well.base_url());
    mapped.channels[0].model_mapping.insert("gpt-4o".into(), "..".into());
    for (world, fault) in [(address("no address"), ChannelFault::Address), (mapped, ChannelFault::Mapping)] {
        let relay = world.start().await;
        for _ in 0..=FAILURES {
            assert_eq!(relay.caller().post(CHAT, &asked(false)).await.status, 200, "the other channel answers");
        }
        let (attempts, successes, evidence) = told(&relay).await;
        assert_eq!((attempts, successes), (5, 0), "{fault:?}: it is ejected then");
        assert_eq!(evidence[0], Evidence { fault: Some(fault), ..Evidence::default() });
    }
}

#[tokio::test]
async fn a_key_that_cannot_be_sent_is_followed_by_another_and_told() {
    let well = simulator(Scenario::default());
    let mut world = World::with_upstream(&well.base_url());
    world.channels[0].keys = vec![channel_key(10, "a\nkey"), channel_key(11, "the-good-key")];
    let relay = world.start().await;
    for _ in 0..20 {
        assert_eq!(relay.caller().post(CHAT, &asked(false)).await.status, 200);
    }
    let told = relay.app.engine.seen.take().into_iter().find(|told| told.way.1.get() == 10).expect("it was tried");
    assert_eq!((told.attempts, told.successes), (1, 0), "and last from then on");
    assert_eq!(told.evidence, [Evidence { fault: Some(ChannelFault::Key), ..Evidence::default() }]);
}

#[tokio::test]
async fn a_provider_that_one_relay_does_not_know_says_nothing_of_the_channel() {
    let well = simulator(Scenario::default());
    let mut world = two(&well, &well);
    world.channels[0].provider = "of-a-later-release".into();
    let relay = world.start().await;
    assert_eq!(relay.caller().post(CHAT, &asked(false)).await.status, 200);
    assert_eq!(of_first(&relay), None);
}
