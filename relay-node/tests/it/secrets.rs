//! A channel's key is nowhere but in the request it is sent with.

use std::fmt::{Debug, Write};
use std::sync::Arc;

use parking_lot::Mutex;
use serde_json::json;
use sluice_testkit::simulator::{Fault, Scenario, Simulator, SimulatorConfig};
use tracing::field::{Field, Visit};
use tracing::span::{Attributes, Id, Record};
use tracing::{Event, Metadata, Subscriber};

use crate::relay::{World, channel_key};

/// A key that looks like nothing in particular, as those of several providers do.
const CANARY: &str = "0b6f2a1c-7d43-4e9a-9f10-5c2e8d7a6b31";

/// Everything that is logged on this thread.
#[derive(Clone, Default)]
struct Logged(Arc<Mutex<String>>);

impl Visit for Logged {
    fn record_debug(&mut self, field: &Field, value: &dyn Debug) {
        write!(self.0.lock(), "{field}={value:?} ").unwrap();
    }
}

impl Logged {
    /// Takes in what this thread logs. Events another test met first without any listener would otherwise stay switched off.
    fn capture(&self) -> tracing::subscriber::DefaultGuard {
        // only the first one can be set, and one is enough
        let _ = tracing::subscriber::set_global_default(Self::default());
        tracing::subscriber::set_default(self.clone())
    }
}

impl Subscriber for Logged {
    fn enabled(&self, metadata: &Metadata<'_>) -> bool {
        metadata.target().starts_with("sluice")
    }

    fn new_span(&self, span: &Attributes<'_>) -> Id {
        span.record(&mut self.clone());
        Id::from_u64(1)
    }

    fn record(&self, _: &Id, values: &Record<'_>) {
        values.record(&mut self.clone());
    }

    fn record_follows_from(&self, _: &Id, _: &Id) {}

    fn event(&self, event: &Event<'_>) {
        event.record(&mut self.clone());
    }

    fn enter(&self, _: &Id) {}

    fn exit(&self, _: &Id) {}
}

#[tokio::test]
async fn a_key_repeated_in_an_error_is_in_no_answer_record_file_or_log() {
    for (scenario, stream) in [
        (Scenario::status(400), false),
        (Scenario::fault(Fault::ErrorBody, 0), false),
        (Scenario::fault(Fault::ErrorBody, 0), true),
        (Scenario::fault(Fault::ErrorEvent, 0), true),
        (Scenario::fault(Fault::ErrorEvent, 3), true),
    ] {
        let upstream = Simulator::start(SimulatorConfig::default());
        upstream.queue(Scenario {
            error_message: Some(format!("cannot serve {CANARY} here")),
            error_type: Some(format!("type of {CANARY}")),
            error_code: Some(format!("{}{CANARY}", "x ".repeat(55))),
            ..scenario.clone()
        });
        let mut world = World::with_upstream(&upstream.base_url());
        world.channels[0].keys = vec![channel_key(10, CANARY)];
        world.settings = vec![("retry_times", "0")];
        let logged = Logged::default();
        let _capturing = logged.capture();
        let relay = world.start().await;
        let body = json!({"model": "gpt-4o", "stream": stream, "messages": [{"role": "user", "content": "hi"}]});
        let answer = relay.caller().post("/v1/chat/completions", &body).await;
        let label = format!("{} after {}, stream: {stream}", scenario.label(), scenario.after);
        assert!(answer.text().contains("cannot serve *** here"), "{label}: {}", answer.text());
        let record = relay.record().await;
        let kept = String::from_utf8_lossy(&relay.kept_bytes().await).into_owned();
        assert!(kept.contains(record.request_id.as_str()), "{label}: the files are read");
        let logged = logged.0.lock().clone();
        assert!(logged.contains("request.id"), "{label}: the log is read");
        for (place, text) in [("answer", answer.text()), ("record", format!("{record:?}")), ("files", kept), ("logs", logged)] {
            assert!(!text.contains("0b6f2a1c") && !text.contains("x 0b6f"), "{label}: the key is in the {place}: {text}");
        }
    }
}

/// What a caller said, and nobody else may keep.
const PROMPT: &str = "my secret plan";

/// An error that repeats the prompt wherever a provider puts text.
fn echo(scenario: Scenario) -> Scenario {
    Scenario {
        error_message: Some(format!("cannot serve: {PROMPT}")),
        error_type: Some(format!("{PROMPT} of theirs")),
        error_code: Some(format!("code of {PROMPT}")),
        ..scenario
    }
}

#[tokio::test]
async fn the_log_says_why_an_upstream_failed_and_nothing_of_what_callers_said() {
    let listener = std::net::TcpListener::bind(("127.0.0.1", 0)).unwrap();
    let nobody = format!("http://{}", listener.local_addr().unwrap());
    drop(listener);
    for (scenario, stream, expected) in [
        (Some(Scenario::status(500)), false, vec!["status=500", "error_type=\"server_error\""]),
        (Some(echo(Scenario::status(500))), false, vec!["status=500", "upstream_refused"]),
        (Some(echo(Scenario::status(503))), true, vec!["status=503", "upstream_refused"]),
        (Some(echo(Scenario::status(400))), false, vec!["upstream_refused"]),
        (Some(echo(Scenario::status(401))), false, vec!["status=401", "upstream_auth_failed"]),
        (Some(echo(Scenario::fault(Fault::ErrorBody, 0))), false, vec!["status=200", "upstream_refused"]),
        (Some(echo(Scenario::fault(Fault::ErrorEvent, 0))), true, vec!["status=200", "upstream_refused"]),
        (Some(echo(Scenario::fault(Fault::ErrorEvent, 4))), true, vec!["truncated"]),
        (None, false, vec!["refused"]),
    ] {
        let label = format!("{:?}, stream: {stream}", scenario.as_ref().map(Scenario::label));
        let upstream = Simulator::start(SimulatorConfig::default());
        let base_url = if scenario.is_some() { upstream.base_url() } else { nobody.clone() };
        if let Some(scenario) = scenario {
            upstream.queue(scenario);
        }
        let mut world = World::with_upstream(&base_url);
        world.settings = vec![("retry_times", "0")];
        let logged = Logged::default();
        let _capturing = logged.capture();
        let relay = world.start().await;
        let body = json!({"model": "gpt-4o", "stream": stream, "messages": [{"role": "user", "content": PROMPT}]});
        relay.caller().post("/v1/chat/completions", &body).await;
        let record = format!("{:?}", relay.record().await);
        let told = format!("{:?}", relay.app.engine.seen.take());
        let kept = String::from_utf8_lossy(&relay.kept_bytes().await).into_owned();
        let (logged, metrics) = (logged.0.lock().clone(), relay.registry.render());
        assert!(expected.iter().all(|word| logged.contains(word)), "{label}: {expected:?} in {logged}");
        assert!(metrics.contains("sluice_relay_requests_total") && kept.contains("gpt-4o"), "{label}: they are read");
        for (place, text) in [("log", logged), ("metrics", metrics), ("observation", told), ("files", kept), ("record", record)] {
            assert!(!text.to_lowercase().contains("secret plan"), "{label}: the prompt is in the {place}: {text}");
        }
    }
}

#[tokio::test]
async fn of_an_errors_message_only_the_keyword_it_holds_is_told() {
    let upstream = Simulator::start(SimulatorConfig::default());
    let error_message = Some(format!("cannot serve: {PROMPT}. Permission denied"));
    upstream.queue(Scenario { error_message, ..echo(Scenario::status(403)) });
    let relay = World::with_upstream(&upstream.base_url()).start().await;
    let body = json!({"model": "gpt-4o", "messages": [{"role": "user", "content": PROMPT}]});
    assert_eq!(relay.caller().post("/v1/chat/completions", &body).await.status, 502, "a 403 is about our key");
    let told = relay.app.engine.seen.take().remove(0).evidence.remove(0);
    assert_eq!((told.status, told.keyword.as_str(), told.kind.as_str(), told.code.as_str()), (403, "permission denied", "", ""));
}
