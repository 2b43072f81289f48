//! The control API under `/__sim`: scenarios, the log, request bodies, sums.

use bytes::Bytes;
use http::{HeaderValue, Method, Request, Response};
use http_body_util::{BodyExt, Limited};
use hyper::body::Incoming;
use serde_json::{Value, json};

use super::Shared;
use super::answer::{document, plain};
use super::log::LogEntry;
use super::play::Body;
use super::queue::QueuedScenario;

/// Where the control API lives.
pub(super) const PREFIX: &str = "/__sim/";
/// The largest body of scenarios: 4 MiB.
const MAX_BODY_BYTES: usize = 4 << 20;
/// Entries in one answer of the log unless the query says less or more.
const DEFAULT_LIMIT: usize = 10_000;

pub(super) async fn answer(shared: &Shared, request: Request<Incoming>) -> Response<Body> {
    let method = request.method().clone();
    let path = request.uri().path().to_owned();
    match (method, path.strip_prefix(PREFIX).unwrap_or("")) {
        (Method::GET, "stats") => document(200, &json!(shared.stats())),
        (Method::GET, "log") => log(shared, request.uri().query().unwrap_or(""), |entry| json!(entry)),
        (Method::GET, "bodies") => log(
            shared,
            request.uri().query().unwrap_or(""),
            |entry| json!({"seq": entry.seq, "path": entry.path, "model": entry.model, "body": entry.json()}),
        ),
        (Method::DELETE, "log") => {
            shared.log.clear();
            document(200, &json!({"cleared": true}))
        }
        (Method::DELETE, "scenarios") => {
            shared.queue.clear();
            document(200, &json!({"queued": 0}))
        }
        (Method::POST, "scenarios") => match Limited::new(request.into_body(), MAX_BODY_BYTES).collect().await {
            Ok(body) => queue(shared, &body.to_bytes()),
            Err(_) => refuse("the body could not be read, or is larger than 4 MiB"),
        },
        _ => document(404, &json!({"error": "try GET stats, GET log, GET bodies, DELETE log, POST scenarios, DELETE scenarios"})),
    }
}

/// Takes one scenario or a list of them; of a list with a mistake, none.
fn queue(shared: &Shared, body: &[u8]) -> Response<Body> {
    let read = |body| -> Result<Vec<QueuedScenario>, serde_json::Error> {
        match serde_json::from_slice(body)? {
            list @ Value::Array(_) => serde_json::from_value(list),
            one => Ok(vec![serde_json::from_value(one)?]),
        }
    };
    let list = match read(body) {
        Ok(list) => list,
        Err(error) => return refuse(&error.to_string()),
    };
    match list.into_iter().try_for_each(|queued| shared.queue.push(queued)) {
        Ok(()) => document(200, &json!({"queued": shared.queue.len()})),
        Err(error) => refuse(&error.to_string()),
    }
}

fn refuse(reason: &str) -> Response<Body> {
    document(400, &json!({"error": reason}))
}

/// The log as NDJSON. `x-sim-last` is the `after` of the next call.
fn log(shared: &Shared, query: &str, line: impl Fn(&LogEntry) -> Value) -> Response<Body> {
    let figure = |name: &str| {
        let value = query.split('&').find_map(|pair| pair.strip_prefix(name)?.strip_prefix('='));
        value.and_then(|value| value.parse::<u64>().ok())
    };
    let after = figure("after").unwrap_or(0);
    let limit = figure("limit").and_then(|limit| usize::try_from(limit).ok()).unwrap_or(DEFAULT_LIMIT);
    let entries = shared.log.entries(after, limit);
    let mut text = Vec::new();
    for entry in &entries {
        serde_json::to_writer(&mut text, &line(entry)).expect("an entry is JSON");
        text.push(b'\n');
    }
    let mut response = plain(200, "application/x-ndjson", Bytes::from(text));
    let last = entries.last().map_or(after, |entry| entry.seq);
    response.headers_mut().insert("x-sim-last", HeaderValue::from(last));
    response.headers_mut().insert("x-sim-dropped", HeaderValue::from(shared.log.stats().dropped));
    response
}
