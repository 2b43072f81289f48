//! What a channel may do differently, and what a relay remembers of keys and busy upstreams.

use std::sync::Arc;
use std::time::Duration;

use serde_json::{Value, json};
use sluice_domain::{Outcome, RequestRecord};
use sluice_relay_node::forward::Timing;
use sluice_snapshot::{Channel, ChannelPolicy};
use sluice_testkit::simulator::{Ending, Fault, QueuedScenario, Scenario, Simulator, SimulatorConfig};
use tokio::sync::Semaphore;

use crate::held::Held;
use crate::recorder::Recorder;
use crate::relay::{DRAINS, TestRelay, World, channel, channel_key};

const CHAT: &str = "/v1/chat/completions";

fn asked(stream: bool) -> Value {
    json!({"model": "gpt-4o", "stream": stream, "messages": [{"role": "user", "content": "hello there"}]})
}

fn simulator() -> Simulator {
    Simulator::start(SimulatorConfig::default())
}

fn channels_of(record: &RequestRecord) -> Vec<i64> {
    record.attempts.iter().map(|attempt| attempt.channel_id.get()).collect()
}

/// Two channels, the first one always first.
fn two(first: &Simulator, second: &Simulator) -> World {
    let mut world = World::with_upstream(&first.base_url());
    world.channels[0].priority = 10;
    world.channels.push(channel(2, &second.base_url()));
    world
}

#[tokio::test]
async fn a_channel_may_have_a_limit_of_its_own_for_the_first_output() {
    let (slow, well) = (simulator(), simulator());
    slow.queue(Scenario { first_token_delay_ms: 100_000, ..Scenario::default() });
    let mut world = two(&slow, &well);
    world.channels[0].policy.first_output = Some(Duration::from_millis(300));
    let relay = world.start().await;
    let stream = relay.caller().stream(CHAT, &asked(true)).await;
    assert!(stream.is_done(), "{stream:?}");
    let record = relay.record().await;
    assert_eq!((channels_of(&record), record.attempts[0].error.as_str()), (vec![1, 2], "first_byte_timeout"));
}

#[tokio::test]
async fn an_empty_answer_is_passed_on_where_a_channel_wants_that() {
    let (empty, well) = (simulator(), simulator());
    empty.queue(QueuedScenario::from(Scenario::fault(Fault::Empty, 0)).times(10));
    let mut world = two(&empty, &well);
    world.channels[0].policy = ChannelPolicy { keeps_empty: true, ..ChannelPolicy::default() };
    let relay = world.start().await;
    assert!(relay.caller().stream(CHAT, &asked(true)).await.is_done());
    assert_eq!(relay.caller().post(CHAT, &asked(false)).await.status, 200);
    for record in relay.wait_for_records(2).await {
        assert_eq!((channels_of(&record), record.outcome), (vec![1], Outcome::Completed));
        assert_eq!((record.usage.output, record.usage_estimated), (0, false), "what is reported is paid for, and nothing else");
    }
}

#[tokio::test]
async fn a_stream_whose_caller_left_is_read_on_for_its_usage_where_a_channel_wants_that() {
    let gate = Arc::new(Semaphore::new(0));
    let upstream = Recorder::start_held("text/event-stream", &[WORD, END], Arc::clone(&gate)).await;
    let mut world = World::with_upstream(&upstream.base_url());
    world.channels[0].policy.drains = true;
    let relay = world.start().await;
    begin_and_leave(&relay).await;
    relay.until_read_on().await;
    gate.add_permits(1);
    let record = relay.record().await;
    assert_eq!((record.outcome, record.usage_estimated, record.usage.output), (Outcome::Aborted, false, 30));

    let upstream = simulator();
    upstream.queue(of_a_minute());
    let relay = World::with_upstream(&upstream.base_url()).start().await;
    begin_and_leave(&relay).await;
    let record = relay.record().await;
    let entry = upstream.wait_for(1).await.remove(0);
    assert_eq!((record.outcome, record.usage_estimated, entry.ending), (Outcome::Aborted, true, Ending::AbortedByClient));
}

const WORD: &[u8] =
    b"data: {\"id\":\"c1\",\"model\":\"gpt-4o\",\"choices\":[{\"index\":0,\"delta\":{\"content\":\"word\"}}]}\n\n";
const END: &[u8] = b"data: {\"id\":\"c1\",\"model\":\"gpt-4o\",\"choices\":[{\"index\":0,\"delta\":{},\"finish_reason\":\"stop\"}]}\n\ndata: {\"id\":\"c1\",\"model\":\"gpt-4o\",\"choices\":[],\"usage\":{\"prompt_tokens\":9,\"completion_tokens\":30,\"total_tokens\":39}}\n\ndata: [DONE]\n\n";

/// A stream that takes a minute.
fn of_a_minute() -> Scenario {
    Scenario { tokens: Some(600), delay_ms: 100, ..Scenario::default() }
}

/// A relay whose only channel reads on, for so long, a stream that takes a minute.
async fn reading_on(upstream: &Simulator, limit: Duration) -> TestRelay {
    upstream.queue(QueuedScenario::from(of_a_minute()).times(10));
    let mut world = World::with_upstream(&upstream.base_url());
    world.channels[0].policy.drains = true;
    world.timing.drain = limit;
    world.start().await
}

async fn begin_and_leave(relay: &TestRelay) {
    let mut stream = relay.caller().open(CHAT, &asked(true)).await.unwrap();
    stream.next().await.unwrap().expect("it begins");
}

#[tokio::test]
async fn a_stream_without_its_caller_is_read_on_for_a_time_only() {
    assert_eq!(Timing::default().drain, Duration::from_secs(15));
    let upstream = simulator();
    let relay = reading_on(&upstream, Duration::from_millis(500)).await;
    begin_and_leave(&relay).await;
    let record = relay.record().await;
    let entry = upstream.wait_for(1).await.remove(0);
    assert_eq!((record.outcome, record.usage_estimated), (Outcome::Aborted, true));
    assert_eq!(entry.ending, Ending::AbortedByClient);
    assert!(record.usage.output >= 1, "half a second of ten words a second: {:?}", record.usage);
    assert_eq!(relay.app.engine.drains.available_permits(), DRAINS, "its place is free again");
    assert_eq!(relay.app.engine.seen.take(), [], "what was not waited for says nothing of the channel");
}

#[tokio::test]
async fn only_so_many_streams_are_read_on_at_once_and_the_others_are_cancelled() {
    let upstream = simulator();
    let relay = reading_on(&upstream, Duration::from_mins(1)).await;
    let others = relay
        .app
        .engine
        .drains
        .clone()
        .try_acquire_many_owned(u32::try_from(DRAINS - 1).expect("it is few"))
        .expect("256 places");
    begin_and_leave(&relay).await;
    while relay.app.engine.drains.available_permits() > 0 {
        tokio::task::yield_now().await;
    }
    begin_and_leave(&relay).await;
    let record = relay.record().await;
    assert_eq!((record.outcome, record.usage_estimated), (Outcome::Aborted, true), "the second one is settled at once");
    assert_eq!(upstream.wait_for(1).await[0].ending, Ending::AbortedByClient);
    assert_eq!(upstream.stats().in_flight, 1, "the first one goes on");
    drop(others);
}

/// Waits until the first request has come, whatever became of it.
async fn until_asked(upstream: &Simulator) {
    while upstream.stats().received == 0 {
        tokio::time::sleep(Duration::from_millis(2)).await;
    }
}

#[tokio::test]
async fn an_answer_that_has_not_begun_when_its_caller_leaves_is_waited_for_where_a_channel_wants_that() {
    for (stream, drains) in [(false, false), (false, true), (true, false), (true, true)] {
        let upstream = simulator();
        let first_token_delay_ms = if drains { 0 } else { 100_000 };
        upstream.queue(Scenario { tokens: Some(30), first_token_delay_ms, ..Scenario::default() });
        let held = Held::before(&upstream);
        let mut world = World::with_upstream(&if drains { held.base_url() } else { upstream.base_url() });
        world.channels[0].policy.drains = drains;
        let relay = world.start().await;
        let (caller, body) = (relay.caller(), asked(stream));
        tokio::select! {
            answer = caller.post(CHAT, &body) => panic!("{}", answer.text()),
            () = until_asked(&upstream) => {}
        }
        if drains {
            relay.until_read_on().await;
            held.let_go();
        }
        let record = relay.record().await;
        let entry = upstream.wait_for(1).await.remove(0);
        assert_eq!((record.outcome, record.status), (Outcome::Aborted, 0), "stream: {stream}, drains: {drains}");
        let paid = if drains { (2, 30) } else { (0, 0) };
        assert_eq!((record.usage.input, record.usage.output), paid, "stream: {stream}, drains: {drains}");
        assert_eq!(entry.ending == Ending::Completed, drains, "stream: {stream}: {:?}", entry.ending);
        assert_eq!(record.quota.is_positive(), drains);
    }
}

#[tokio::test]
async fn nobody_is_asked_again_for_a_caller_who_left() {
    let (bad, well) = (simulator(), simulator());
    bad.queue(Scenario::status(500));
    let held = Held::before(&bad);
    let mut world = two(&bad, &well);
    world.channels[0] = Channel { priority: 10, ..channel(1, &held.base_url()) };
    world.channels[0].policy.drains = true;
    let relay = world.start().await;
    let (caller, body) = (relay.caller(), asked(false));
    tokio::select! {
        answer = caller.post(CHAT, &body) => panic!("{}", answer.text()),
        () = until_asked(&bad) => {}
    }
    relay.until_read_on().await;
    held.let_go();
    let record = relay.record().await;
    assert_eq!((record.outcome, channels_of(&record), record.quota.get()), (Outcome::Aborted, vec![1], 0));
    assert_eq!(well.stats().received, 0);
}

#[tokio::test]
async fn a_key_that_was_refused_is_tried_last_from_then_on() {
    let upstream = Simulator::start(SimulatorConfig { keys: vec!["the-good-key".into()], ..SimulatorConfig::default() });
    let mut world = World::with_upstream(&upstream.base_url());
    world.channels[0].keys = vec![channel_key(10, "a-bad-key"), channel_key(11, "the-good-key")];
    let relay = world.start().await;
    for _ in 0..30 {
        assert_eq!(relay.caller().post(CHAT, &asked(false)).await.status, 200);
    }
    let records = relay.wait_for_records(30).await;
    let refused = records.iter().filter(|record| record.attempts.len() == 2).count();
    assert_eq!(refused, 1, "the bad key is asked once");
    let told = relay.app.engine.seen.take();
    let bad = told.iter().find(|told| told.way.1.get() == 10).unwrap();
    assert_eq!((bad.attempts, bad.successes, bad.evidence[0].status), (1, 0, 401));
    let good = told.iter().find(|told| told.way.1.get() == 11).unwrap();
    assert_eq!((good.attempts, good.successes), (30, 30));
}

#[tokio::test]
async fn the_only_upstream_is_asked_again_when_it_is_busy_for_a_moment() {
    let busy = simulator();
    busy.queue(Scenario { retry_after: Some(1), ..Scenario::status(429) });
    let relay = World::with_upstream(&busy.base_url()).start().await;
    assert_eq!(relay.caller().post(CHAT, &asked(false)).await.status, 200);
    let record = relay.record().await;
    assert_eq!(channels_of(&record), [1, 1]);
    assert!(record.total_millis >= 1_000, "after the time it asked for: {}", record.total_millis);
}

#[tokio::test]
async fn a_busy_upstream_is_left_alone_for_as_long_as_it_asked() {
    let (busy, well) = (simulator(), simulator());
    busy.queue(Scenario { retry_after: Some(60), ..Scenario::status(429) });
    let relay = two(&busy, &well).start().await;
    for _ in 0..2 {
        assert_eq!(relay.caller().post(CHAT, &asked(false)).await.status, 200);
    }
    let records = relay.wait_for_records(2).await;
    assert_eq!((channels_of(&records[0]), channels_of(&records[1])), (vec![1, 2], vec![2]));
    assert_eq!(relay.app.engine.ejections.ejected(relay.app.clock.read().boot_millis), 1);
}

#[tokio::test]
async fn mistakes_of_callers_never_count_against_a_channel() {
    let (upstream, well) = (simulator(), simulator());
    upstream.queue(QueuedScenario::from(Scenario::status(400)).times(20));
    let relay = two(&upstream, &well).start().await;
    for _ in 0..8 {
        assert_eq!(relay.caller().post(CHAT, &asked(false)).await.status, 400);
    }
    assert_eq!(upstream.log().len(), 8, "it is asked every time");
    assert_eq!(relay.app.engine.seen.take()[0].attempts, 0);
}
