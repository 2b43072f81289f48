//! The status that a channel has for its upstream's: what callers of each dialect read, and what it does not decide.

use std::sync::Arc;

use serde_json::json;
use sluice_dialect::Surface;
use sluice_snapshot::Channel;
use sluice_testkit::client::Answer;
use sluice_testkit::simulator::{QueuedScenario, Scenario, Simulator, SimulatorConfig};

use crate::dialects::question;
use crate::relay::{TestRelay, World, channel};

const CALLERS: [Surface; 4] = [Surface::ChatCompletions, Surface::Responses, Surface::Messages, Surface::GenerateContent];

/// Two channels, the first asked first; both tell callers other statuses than their upstreams'.
async fn relay(upstreams: &[Simulator; 2]) -> TestRelay {
    let mapping = json!({"status_mapping": {"422": 429, "500": 400, "400": 503, "401": 401}});
    let settings = Arc::new(serde_json::from_value(mapping).unwrap());
    let channels = upstreams.iter().zip(1..).map(|(upstream, id)| Channel {
        settings: Arc::clone(&settings),
        priority: 5 - id,
        ..channel(id, &upstream.base_url())
    });
    World { channels: channels.collect(), ..World::with_upstream("http://127.0.0.1:9") }.start().await
}

fn simulators() -> [Simulator; 2] {
    [(); 2].map(|()| Simulator::start(SimulatorConfig::default()))
}

async fn ask(relay: &TestRelay, caller: Surface, streams: bool) -> Answer {
    let mut body = question(caller, "hello there");
    let path = match (caller, streams) {
        (Surface::GenerateContent, false) => "/v1beta/models/gpt-4o:generateContent",
        (Surface::GenerateContent, true) => "/v1beta/models/gpt-4o:streamGenerateContent?alt=sse",
        (other, _) => other.path(),
    };
    if caller != Surface::GenerateContent {
        body["model"] = "gpt-4o".into();
        body["stream"] = streams.into();
    }
    relay.caller().with_header("anthropic-version", "2023-06-01").post(path, &body).await
}

#[tokio::test]
async fn callers_of_every_dialect_read_the_status_that_the_channel_tells() {
    let upstreams = simulators();
    let relay = relay(&upstreams).await;
    for caller in CALLERS {
        for streams in [false, true] {
            let named = format!("{} {streams}", caller.as_str());
            upstreams[0].queue(Scenario { error_message: Some("cannot be done".into()), ..Scenario::status(422) });
            let answer = ask(&relay, caller, streams).await;
            assert_eq!(answer.status, 429, "{named}: {}", answer.text());
            let error = &answer.json()["error"];
            assert!(error["message"].as_str().unwrap().starts_with("cannot be done"), "{named}: {error}");
            let says = match caller {
                Surface::Messages => error["type"] == "rate_limit_error",
                Surface::GenerateContent => error["code"] == 429 && error["status"] == "RESOURCE_EXHAUSTED",
                _ => error["type"] == "invalid_request_error" && error["param"].is_null(),
            };
            assert!(says, "{named}: {error}");
        }
    }
    assert_eq!(upstreams[1].stats().received, 0, "what is told is a 429, what was said is not: nobody else is asked");
}

#[tokio::test]
async fn whether_somebody_else_is_asked_goes_by_what_the_upstream_said() {
    let upstreams = simulators();
    let relay = relay(&upstreams).await;
    for caller in CALLERS {
        // told as a mistake of the caller's, and tried elsewhere all the same
        upstreams[0].queue(Scenario::status(500));
        assert_eq!(ask(&relay, caller, false).await.status, 200, "{}", caller.as_str());
        // told as a failure of the upstream's, and nobody else's business
        let before = upstreams[1].stats().received;
        upstreams[0].queue(Scenario::status(400));
        assert_eq!(ask(&relay, caller, false).await.status, 503, "{}", caller.as_str());
        assert_eq!(upstreams[1].stats().received, before, "{}", caller.as_str());
    }
}

#[tokio::test]
async fn no_mapping_tells_a_caller_that_their_key_is_wrong_when_it_is_ours() {
    let upstreams = simulators();
    let relay = relay(&upstreams).await;
    for upstream in &upstreams {
        upstream.queue(QueuedScenario::from(Scenario::status(401)).times(100));
    }
    for caller in CALLERS {
        let answer = ask(&relay, caller, false).await;
        assert_eq!(answer.status, 502, "{}: {}", caller.as_str(), answer.text());
    }
}
