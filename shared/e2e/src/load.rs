//! Many callers at once, and what each of them saw.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use reqwest::Method;
use serde_json::{Value, json};
use sluice_testkit::client::{Caller, send};
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;

/// How long a caller waits when its connection broke: its relay is being started again.
const AFTER_BREAK: Duration = Duration::from_millis(250);

/// What a caller saw of one request.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Seen {
    /// The name the caller gave it (`X-Request-Id` and the body's `user`).
    pub request_id: String,
    /// The relay it went to.
    pub relay: usize,
    /// Whether it was a stream.
    pub stream: bool,
    /// When it was sent, in milliseconds since the load started.
    pub sent_millis: u64,
    /// When it ended.
    pub ended_millis: u64,
    /// How long it took.
    pub took: Duration,
    /// How it ended.
    pub end: End,
}

impl Seen {
    /// Whether any of it was between two moments, in milliseconds since the load started.
    #[must_use]
    pub fn overlaps(&self, from_millis: u64, to_millis: u64) -> bool {
        self.sent_millis <= to_millis && self.ended_millis >= from_millis
    }
}

/// What a caller asks.
#[derive(Debug, Clone)]
pub struct Question {
    /// The name the caller gives it (`X-Request-Id` and the body's `user`).
    pub request_id: String,
    /// The model.
    pub model: String,
    /// Whether the answer is to be streamed.
    pub stream: bool,
    /// The most tokens of the answer.
    pub max_tokens: u32,
    /// What the message says; a directive of the simulator may stand in it.
    pub text: String,
}

/// How a request ended for its caller.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum End {
    /// The whole answer came.
    Whole,
    /// An error came in order, with this status and code.
    Refused {
        /// Its status.
        status: u16,
        /// Its code.
        code: String,
    },
    /// The connection could not be made or broke off.
    Broken(String),
}

/// A steady stream of requests, half of them streamed, each caller bound to one relay.
pub struct Load {
    stop: CancellationToken,
    callers: JoinSet<Vec<Seen>>,
    sent: Arc<AtomicU64>,
    whole: Arc<AtomicU64>,
    started: tokio::time::Instant,
}

impl Load {
    /// Starts `callers` per relay, each sending one request after the other with a pause between them. Ids start with `prefix`.
    #[must_use]
    pub fn start(relays: &[Caller], callers: usize, pause: Duration, model: &str, prefix: &str) -> Self {
        let (stop, sent, whole) = (CancellationToken::new(), Arc::new(AtomicU64::new(0)), Arc::new(AtomicU64::new(0)));
        let started = tokio::time::Instant::now();
        let mut tasks = JoinSet::new();
        for (relay, caller) in relays.iter().enumerate() {
            for place in 0..callers {
                let one = OneCaller {
                    caller: caller.clone(),
                    relay,
                    name: format!("{prefix}-{relay}-{place}"),
                    model: model.to_owned(),
                    pause,
                    started,
                    sent: sent.clone(),
                    whole: whole.clone(),
                };
                tasks.spawn(one.run(stop.clone()));
            }
        }
        Self { stop, callers: tasks, sent, whole, started }
    }

    /// Requests sent so far.
    #[must_use]
    pub fn sent(&self) -> u64 {
        self.sent.load(Ordering::Relaxed)
    }

    /// Requests answered in whole so far.
    #[must_use]
    pub fn whole(&self) -> u64 {
        self.whole.load(Ordering::Relaxed)
    }

    /// How long it has been running, in milliseconds.
    #[must_use]
    pub fn elapsed_millis(&self) -> u64 {
        millis_since(self.started)
    }

    /// Lets every caller finish its request, and returns what all saw.
    pub async fn stop(mut self) -> Vec<Seen> {
        self.stop.cancel();
        let mut seen = Vec::new();
        while let Some(part) = self.callers.join_next().await {
            seen.extend(part.expect("a caller does not panic"));
        }
        seen
    }
}

struct OneCaller {
    caller: Caller,
    relay: usize,
    name: String,
    model: String,
    pause: Duration,
    started: tokio::time::Instant,
    sent: Arc<AtomicU64>,
    whole: Arc<AtomicU64>,
}

impl OneCaller {
    async fn run(self, stop: CancellationToken) -> Vec<Seen> {
        let mut seen = Vec::new();
        for turn in 0_u64.. {
            if stop.is_cancelled() {
                break;
            }
            let request_id = format!("{}-{turn}", self.name);
            let text = format!("Say something about {request_id}");
            let question = Question { request_id, model: self.model.clone(), stream: turn % 2 == 0, max_tokens: 200, text };
            self.sent.fetch_add(1, Ordering::Relaxed);
            let one = ask(&self.caller, self.relay, question, self.started).await;
            self.whole.fetch_add(u64::from(one.end == End::Whole), Ordering::Relaxed);
            let pause = if matches!(one.end, End::Broken(_)) { AFTER_BREAK } else { self.pause };
            seen.push(one);
            tokio::time::sleep(pause).await;
        }
        seen
    }
}

/// Asks one question and reads the whole answer. `started` is when the load did.
pub async fn ask(caller: &Caller, relay: usize, question: Question, started: tokio::time::Instant) -> Seen {
    let Question { request_id, model, stream, max_tokens, text } = question;
    let body = json!({
        "model": model,
        "stream": stream,
        "user": request_id,
        "max_tokens": max_tokens,
        "messages": [{"role": "user", "content": text}],
    });
    let request = caller.request(Method::POST, "/v1/chat/completions").header("x-request-id", &request_id).json(&body);
    let (begun, sent_millis) = (tokio::time::Instant::now(), millis_since(started));
    let end = match send(request).await {
        Err(error) => End::Broken(error.to_string()),
        Ok(answer) if answer.status.is_success() => whole(&answer.text(), stream),
        Ok(answer) => {
            let body: Value = serde_json::from_slice(&answer.body).unwrap_or_default();
            let code = body["error"]["code"].as_str().unwrap_or_default().to_owned();
            End::Refused { status: answer.status.as_u16(), code }
        }
    };
    Seen { request_id, relay, stream, sent_millis, ended_millis: millis_since(started), took: begun.elapsed(), end }
}

pub(crate) fn millis_since(moment: tokio::time::Instant) -> u64 {
    u64::try_from(moment.elapsed().as_millis()).unwrap_or(u64::MAX)
}

fn whole(body: &str, stream: bool) -> End {
    let is_whole = if stream {
        body.trim_end().ends_with("data: [DONE]")
    } else {
        serde_json::from_str::<Value>(body).is_ok_and(|body| body["usage"]["total_tokens"].is_u64())
    };
    if is_whole { End::Whole } else { End::Broken("the answer is cut".to_owned()) }
}
