//! Rows about providers that misbehave: 9 and 11.

use std::time::Duration;

use serde_json::{Value, json};
use sluice_testkit::client::{Caller, Transcript};
use sluice_testkit::simulator::{QueuedScenario, Scenario};
use tokio::task::JoinSet;
use tokio::time::{Instant, sleep};

use crate::faults::Stage;
use crate::faults::figure::{Figure, seconds};
use crate::faults::site::{OTHER_KEY, Plan, SETTLE_LIMIT, Site, odd_model};
use crate::faults::traffic::quantile;
use crate::fleet::{PROVIDER_KEY, settle_config};
use crate::load::Seen;

pub(super) const CHAT: &str = "/v1/chat/completions";
/// The model behind the channel that is slow.
const SLOW: &str = "gpt-4o";
/// How long the first output and a silence may take here.
const PATIENCE: Duration = Duration::from_secs(3);
/// How exactly.
const GIVE_OR_TAKE: Duration = Duration::from_secs(1);
/// Callers that wait for the slow provider.
const WAITING: usize = 50;

fn scenario(directive: &str) -> Scenario {
    directive.parse().expect("a directive of the simulator")
}

pub(super) fn body(model: &str, id: &str, stream: bool, text: &str) -> Value {
    let message = json!({"role": "user", "content": text});
    json!({"model": model, "stream": stream, "user": id, "max_tokens": 200, "messages": [message]})
}

/// Row 9: one provider sends a byte a second, or nothing for half a minute.
pub(super) async fn slow(stage: &Stage) -> Vec<Figure> {
    let plan = Plan::new(stage).relay_setting("STREAMING_TIMEOUT", PATIENCE.as_secs());
    let site = Site::start(stage, &plan).await;
    let slow = json!({"name": "slow", "provider": "openai", "base_url": site.simulator.base_url(), "key": OTHER_KEY,
        "models": [SLOW], "first_output_secs": PATIENCE.as_secs()});
    site.apis[0].create("/api/channels", &slow).await;
    site.apis[0].price(SLOW, "0.75", "4").await;
    site.apis[0].patch("/api/settings/retry_times", &json!({"value": 0})).await;
    settle_config(&site.apis[0], site.relays.len()).await;

    let alone = site.traffic();
    site.warm(&alone).await;
    sleep(stage.lasting() / 2).await;
    let alone = alone.stop().await;
    let mix = site.mix().named("beside");
    let beside = crate::faults::traffic::Traffic::start(site.doors(&site.payers), mix);
    let caller = Caller::new(site.relays[0].base_url()).with_key(&site.payers[0].token.key);
    let crowd = waiting_crowd(&site);
    let first = timed(&caller, "first", "[sim: first_token_delay_ms=30000 tokens=3] hello").await;
    let idle = timed(&caller, "idle", "[sim: hang after=12 tokens=30] hello").await;
    sleep((stage.lasting() / 2).saturating_sub(first.0 + idle.0)).await;
    drop(crowd);
    let beside = beside.stop().await;
    let (_, _, audit) = site.settle().await;

    let plain = |seen: &[Seen]| quantile(seen.iter().filter(|one| !one.stream), 990);
    let (before, during) = (plain(&alone), plain(&beside));
    let in_time = |(took, end): &(Duration, String)| {
        let is_good = took.abs_diff(PATIENCE) <= GIVE_OR_TAKE && !end.is_empty();
        (format!("{}: {end}", seconds(*took)), is_good)
    };
    let ((first_text, first_good), (idle_text, idle_good)) = (in_time(&first), in_time(&idle));
    let expected = format!("{} ± {}, an error", seconds(PATIENCE), seconds(GIVE_OR_TAKE));
    let mut figures = vec![
        Figure::note("callers waiting for a byte a second meanwhile", WAITING.to_string()),
        Figure::note("the wait for a first token, and for more, is set to", format!("{} instead of 30 s", seconds(PATIENCE))),
        Figure::beside("p99 of plain answers by other channels", (before, before / 10), during),
        Figure::claim("no first token", expected.clone(), first_text, first_good),
        Figure::claim("silence inside a stream", expected, idle_text, idle_good),
    ];
    figures.extend(audit.figures());
    figures
}

/// Callers of the slow provider, until they are dropped.
fn waiting_crowd(site: &Site) -> JoinSet<()> {
    let mut crowd = JoinSet::new();
    for place in 0..WAITING {
        let relay = &site.relays[place % site.relays.len()];
        let caller = Caller::new(relay.base_url()).with_key(&site.payers[1].token.key);
        crowd.spawn(async move {
            for turn in 0..1_000 {
                let id = format!("slow-{place}-{turn}");
                let question = body(SLOW, &id, true, "[sim: write_bytes=1 delay_ms=1000 tokens=20] hello");
                if let Ok(stream) = caller.clone().with_request_id(&id).open(CHAT, &question).await {
                    stream.collect().await;
                }
                // a caller that is refused comes again after a moment
                sleep(Duration::from_secs(1)).await;
            }
        });
    }
    crowd
}

/// Asks for a stream; answers how long it took to its last event that is no error, and from there to its error, whose code it says.
async fn timed(caller: &Caller, id: &str, text: &str) -> (Duration, String) {
    let mut since = Instant::now();
    let caller = caller.clone().with_request_id(id);
    let Ok(mut stream) = caller.open(CHAT, &body(SLOW, id, true, text)).await else { return (since.elapsed(), String::new()) };
    if !stream.status.is_success() {
        return (since.elapsed(), stream.status.as_u16().to_string());
    }
    while let Ok(Some(event)) = stream.next().await {
        let data: Value = serde_json::from_str(&event.data).unwrap_or_default();
        if data["error"].is_object() {
            return (since.elapsed(), data["error"]["code"].as_str().unwrap_or("error").to_owned());
        }
        if event.comments.is_empty() {
            since = Instant::now();
        }
    }
    (since.elapsed(), String::new())
}

/// What a caller may see of a misbehaviour when another channel is well.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Honest {
    /// The whole answer.
    Served,
    /// A prefix, and an error that says so.
    ErrorInside,
    /// An error instead of an answer.
    Refused,
}

/// A misbehaviour, and what a stream and a plain answer come to.
const MISBEHAVIOURS: [(&str, &str, Honest, Honest); 18] = {
    use Honest::{ErrorInside, Refused, Served};
    [
        ("connection refused", "", Served, Served),
        ("hang before headers", "hang_before_headers", Served, Refused),
        ("slow headers", "headers_delay_ms=300 tokens=4", Served, Served),
        ("slow first token", "first_token_delay_ms=300 tokens=4", Served, Served),
        ("stall inside", "hang after=12 tokens=30", ErrorInside, Refused),
        ("reset inside", "reset after=12 tokens=30", ErrorInside, Served),
        ("no terminator", "no_done tokens=4", ErrorInside, Served),
        ("malformed chunk", "malformed after=3 tokens=4", ErrorInside, Served),
        ("200 with an error", "error_body", Served, Served),
        ("error event inside", "error_event after=12 tokens=30", ErrorInside, Served),
        ("429", "429", Served, Served),
        ("429 with Retry-After", "429 retry_after=9", Served, Served),
        ("500", "500", Served, Served),
        ("401", "401", Served, Served),
        ("empty answer", "empty", Served, Served),
        ("web page", "html", Served, Served),
        ("oversized", "oversized bytes=3000000", Served, Served),
        ("absurd usage", "usage=absurd tokens=4", Served, Served),
    ]
};

/// Row 11: everything upstreams do wrong, streamed and not, with another channel that is well.
pub(super) async fn misbehaving(stage: &Stage) -> Vec<Figure> {
    let plan = Plan::new(stage)
        .relay_setting("STREAMING_TIMEOUT", 2)
        .relay_setting("RELAY_TIMEOUT", 4)
        .relay_setting("STREAM_SCANNER_MAX_BUFFER_MB", 1);
    let site = Site::start(stage, &plan).await;
    let nobody = format!("http://127.0.0.1:{}", sluice_testkit::ports::free());
    for (place, (name, directive, ..)) in MISBEHAVIOURS.iter().enumerate() {
        let model = odd_model(place);
        let simulator = site.simulator.base_url();
        let bad = if directive.is_empty() { &nobody } else { &simulator };
        site.apis[0].price(&model, "0.75", "4").await;
        let channel = |label: &str, url: &str, key: &str, priority: i64| {
            json!({"name": format!("{name}: {label}"), "provider": "openai", "base_url": url, "key": key, "models": [model],
                "priority": priority, "first_output_secs": 1})
        };
        site.apis[0].create("/api/channels", &channel("bad", bad, OTHER_KEY, 10)).await;
        site.apis[0].create("/api/channels", &channel("good", &simulator, PROVIDER_KEY, 0)).await;
        if !directive.is_empty() {
            let queued = QueuedScenario::from(scenario(directive)).for_key(OTHER_KEY).for_model(&model);
            site.simulator.queue(queued.forever());
        }
    }
    settle_config(&site.apis[0], site.relays.len()).await;
    let traffic = site.traffic();
    site.warm(&traffic).await;
    let mut wrong = Vec::new();
    for (place, (name, _, stream, plain)) in MISBEHAVIOURS.iter().enumerate() {
        let caller = Caller::new(site.relays[place % site.relays.len()].base_url()).with_key(&site.payers[0].token.key);
        for (is_stream, expected) in [(true, *stream), (false, *plain)] {
            let id = format!("odd-{place}-{is_stream}");
            let seen = honesty(&caller.clone().with_request_id(&id), &body(&odd_model(place), &id, is_stream, "tell me")).await;
            if seen != Ok(expected) {
                wrong.push(format!("{name}{}: {seen:?} instead of {expected:?}", if is_stream { ", streamed" } else { "" }));
            }
        }
    }
    let seen = traffic.stop().await;
    let (settled, _, audit) = site.settle().await;
    let count = MISBEHAVIOURS.len();
    let mut figures = vec![
        Figure::none(format!("of {count} misbehaviours, streamed and not: seen otherwise than promised"), &wrong),
        Figure::none("failures of the load through the channel beside them", &crate::faults::traffic::failures(&seen)),
        Figure::within("everything settled after the load", SETTLE_LIMIT, settled),
    ];
    figures.extend(audit.figures());
    figures
}

/// What a caller was made to believe. An error: an answer that ends short without saying so.
async fn honesty(caller: &Caller, body: &Value) -> Result<Honest, String> {
    if body["stream"] == false {
        let answer = caller.try_post(CHAT, body).await.map_err(|error| format!("hung up on: {error}"))?;
        let is_answer = answer.status.is_success() && answer.json()["choices"][0]["message"]["content"].is_string();
        return match answer.status.as_u16() {
            200 if is_answer => Ok(Honest::Served),
            400.. => Ok(Honest::Refused),
            status => Err(format!("{status} without an answer")),
        };
    }
    let stream = caller.open(CHAT, body).await.map_err(|error| format!("hung up on: {error}"))?;
    let transcript: Transcript = stream.collect().await;
    match (transcript.status.is_success(), transcript.error(), transcript.is_done()) {
        (false, ..) => Ok(Honest::Refused),
        (true, Some(_), false) if transcript.broken.is_none() => Ok(Honest::ErrorInside),
        (true, None, true) if transcript.broken.is_none() => Ok(Honest::Served),
        _ => Err(format!("{} events, broken: {:?}", transcript.events.len(), transcript.broken)),
    }
}
