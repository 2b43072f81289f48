//! A real HTTP server that speaks the dialects of OpenAI, Anthropic and Google, misbehaves on request, and keeps its own log.
//!
//! It serves
//! * OpenAI: `POST /v1/chat/completions`, `/v1/completions`, `/v1/embeddings`, `/v1/moderations`, `/v1/rerank` (in Jina's form),
//!   `/v1/responses` (plain and SSE), what is under `/v1/responses/{id}`, `/v1/responses/input_tokens`, `GET /v1/models[/{id}]`, and the older ones under Azure's
//!   `/openai/deployments/{name}/…?api-version=`, Responses under `/openai/v1/responses`;
//! * Anthropic: `POST /v1/messages`, `/v1/messages/count_tokens`, `GET /v1/models[/{id}]` with `anthropic-version`;
//! * Google: `POST /v1beta/models/{model}:generateContent`, `:streamGenerateContent` (SSE and JSON array), `:countTokens`,
//!   `:embedContent`, `:batchEmbedContents`, `GET /v1beta/models[/{model}]`, and the verbs under `/v1/`.
//!
//! It refuses what the real services refuse, each in its own words; where it is not known what they do, it is lenient, and the module
//! of the dialect says so. Keys are looked for where each service looks for them.
//!
//! How an answer looks and fails is a [`Scenario`]. It is chosen per request by, in this order:
//! 1. the queue: [`Simulator::queue`] or `POST /__sim/scenarios` (for a model, a key, so many times, each so-manieth);
//! 2. the model's name (`sim-slow`, `sim-429`, `sim-reset`) laid under
//! 3. a directive in the last user message: `[sim: chunks=50 delay_ms=20]`.
//!
//! Where the scenario leaves it open, the answer follows the request: a tool is called when the caller insists or the user speaks of
//! the weather (two, when the text says "both"), a tool's result is quoted, JSON fits the schema that was asked for, images and
//! documents are described by their type and length, and whoever asks for thinking gets a thought first.
//!
//! What was asked and sent is in the log: [`Simulator::log`], `GET /__sim/log`, and as NDJSON in a file that survives everybody
//! else's death; what the requests said is in [`LogEntry::json`] and `GET /__sim/bodies`. Tokens are words: prompt tokens are the
//! words of the request, completion tokens the words of the answer.
//!
//! Start reading at `answer.rs`. `asked.rs` and `script.rs` know no dialect: what is asked, and what is said to it. A folder for each
//! dialect turns its requests into the one and the other into its answers.

mod answer;
mod asked;
mod content;
mod control;
mod events;
mod fast;
mod gemini;
mod ids;
mod log;
mod memory;
mod messages;
mod models;
mod openai;
mod play;
mod prepare;
mod queue;
mod refusal;
mod responses;
mod route;
mod sample;
mod scenario;
mod score;
mod script;
mod seal;
mod server;
mod socket;
mod stamp;
#[cfg(test)]
mod tests;
mod usage;

use std::collections::HashSet;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::thread::JoinHandle;
use std::time::{Duration, SystemTime};

use tokio_util::sync::CancellationToken;

pub use log::{EARLY, Ending, LogEntry, MAX_BODIES, MAX_BODY_BYTES, Stats};
pub use queue::{MAX_QUEUED, QueuedScenario};
pub use scenario::{Echo, Fault, FinishReport, Scenario, ScenarioError, UsageReport};
pub use usage::UsageFigures;

/// How long [`Simulator::wait_for`] and its like wait before they fail the test.
pub const WAIT_LIMIT: Duration = Duration::from_mins(2);

/// How a simulator is set up.
#[derive(Clone)]
pub struct SimulatorConfig {
    /// Where it listens. Port 0 takes a free one.
    pub listen: SocketAddr,
    /// The provider keys it accepts. None at all: it asks for no key.
    pub keys: Vec<String>,
    /// Models it serves beside the public ones and `sim-…`, for every task.
    pub models: Vec<String>,
    /// Whether answers carry a dated model name (`gpt-4o-2024-08-06`), as OpenAI's do.
    pub dated_models: bool,
    /// Milliseconds between the events of a stream when nothing else is said.
    pub pace_ms: u64,
    /// Entries the log keeps in memory.
    pub log_capacity: usize,
    /// A file to which each entry is appended as a line of JSON.
    pub log_file: Option<PathBuf>,
    /// Threads that serve. 1 is a bench driver's choice, too: its figures then are those of one core.
    pub threads: usize,
    /// Open connections at once; more wait.
    pub max_connections: usize,
}

impl Default for SimulatorConfig {
    fn default() -> Self {
        Self {
            listen: SocketAddr::from(([127, 0, 0, 1], 0)),
            keys: Vec::new(),
            models: Vec::new(),
            dated_models: true,
            pace_ms: 0,
            log_capacity: 200_000,
            log_file: None,
            threads: 1,
            max_connections: 20_000,
        }
    }
}

impl SimulatorConfig {
    /// Accepts only these provider keys.
    #[must_use]
    pub fn with_keys<'a>(mut self, keys: impl IntoIterator<Item = &'a str>) -> Self {
        self.keys = keys.into_iter().map(str::to_owned).collect();
        self
    }
}

/// What every request of one simulator shares.
pub(crate) struct Shared {
    keys: HashSet<String>,
    models: models::Models,
    /// The directive under all others.
    pace: String,
    queue: queue::Queue,
    /// Responses given out.
    memory: memory::Memory,
    log: Arc<log::Log>,
    fast: fast::FastAnswers,
    /// Makes the ids of two simulators differ.
    seed: u64,
    answers: AtomicU64,
    connections: AtomicU64,
}

impl Shared {
    fn stats(&self) -> Stats {
        let mut stats = self.log.stats();
        stats.connections = self.connections.load(Ordering::Relaxed);
        stats.queued_scenarios = self.queue.len() as u64;
        stats
    }
}

/// A running simulator, on threads of its own. Dropping it stops it.
pub struct Simulator {
    addr: SocketAddr,
    shared: Arc<Shared>,
    stop: CancellationToken,
    server: Option<JoinHandle<()>>,
}

impl Simulator {
    /// Starts a simulator and returns when it listens.
    ///
    /// # Errors
    /// When the address cannot be bound or the log file cannot be opened.
    pub fn try_start(config: SimulatorConfig) -> std::io::Result<Self> {
        let SimulatorConfig { listen, keys, models, dated_models, pace_ms, log_capacity, log_file, threads, max_connections } =
            config;
        let log = log::Log::open(log_capacity, log_file.as_deref())?;
        let shared = Arc::new(Shared {
            keys: keys.into_iter().collect(),
            models: models::Models::new(models, dated_models),
            pace: if pace_ms > 0 { format!("delay_ms={pace_ms}") } else { String::new() },
            queue: queue::Queue::default(),
            memory: memory::Memory::default(),
            log: Arc::new(log),
            fast: fast::FastAnswers::build(),
            seed: unix_millis().unsigned_abs() << 20,
            answers: AtomicU64::new(0),
            connections: AtomicU64::new(0),
        });
        let stop = CancellationToken::new();
        let server = server::Server { listen, threads, max_connections, shared: Arc::clone(&shared), stop: stop.clone() };
        let (addr, server) = server.start()?;
        Ok(Self { addr, shared, stop, server: Some(server) })
    }

    /// Starts a simulator and returns when it listens. Panics when it cannot.
    #[must_use]
    pub fn start(config: SimulatorConfig) -> Self {
        Self::try_start(config).expect("the simulator can start")
    }

    /// Where it listens.
    #[must_use]
    pub fn addr(&self) -> SocketAddr {
        self.addr
    }

    /// The base URL of a channel that points here, without `/v1`.
    #[must_use]
    pub fn base_url(&self) -> String {
        format!("http://{}", self.addr)
    }

    /// The entries in memory, oldest first.
    #[must_use]
    pub fn log(&self) -> Vec<LogEntry> {
        self.shared.log.entries(0, usize::MAX)
    }

    /// What the newest request with a kept body said. Panics when there is none.
    #[must_use]
    pub fn last_body(&self) -> serde_json::Value {
        let newest = self.log().into_iter().rev().find(|entry| entry.body.is_some());
        newest.expect("a request with a body has been answered").json()
    }

    /// Sums over all requests.
    #[must_use]
    pub fn stats(&self) -> Stats {
        self.shared.stats()
    }

    /// Forgets the log's entries and sums.
    pub fn clear_log(&self) {
        self.shared.log.clear();
    }

    /// Queues a scenario for the next request it matches. Panics when it is out of bounds.
    pub fn queue(&self, scenario: impl Into<QueuedScenario>) {
        self.shared.queue.push(scenario.into()).expect("the scenario is within bounds");
    }

    /// Forgets the queued scenarios.
    pub fn clear_queue(&self) {
        self.shared.queue.clear();
    }

    /// Waits until so many answers have ended since the start or the last clearing, and returns the log.
    /// Panics after [`WAIT_LIMIT`].
    pub async fn wait_for(&self, answers: u64) -> Vec<LogEntry> {
        let mut finished = self.shared.log.watch_finished();
        let reached = finished.wait_for(|count| *count >= answers);
        let in_time = tokio::time::timeout(WAIT_LIMIT, reached).await.is_ok();
        assert!(in_time, "waited {WAIT_LIMIT:?} for {answers} answers: {:?}", self.stats());
        self.log()
    }

    /// Waits until so many requests are being answered at the same time. Panics after [`WAIT_LIMIT`].
    pub async fn wait_in_flight(&self, requests: u64) {
        let reached = async {
            while self.stats().in_flight < requests {
                tokio::time::sleep(Duration::from_millis(2)).await;
            }
        };
        let in_time = tokio::time::timeout(WAIT_LIMIT, reached).await.is_ok();
        assert!(in_time, "waited {WAIT_LIMIT:?} for {requests} requests in flight: {:?}", self.stats());
    }

    /// Stops at once: open connections are closed, and unfinished answers are logged as cut.
    pub fn stop(mut self) {
        self.halt();
    }

    /// Blocks until the server ends, which it does when it is stopped from elsewhere or the process ends.
    pub fn run_to_end(mut self) {
        if let Some(server) = self.server.take() {
            server.join().expect("the simulator did not panic");
        }
    }

    fn halt(&mut self) {
        self.shared.log.set_stopping();
        self.stop.cancel();
        if let Some(server) = self.server.take() {
            server.join().ok();
        }
    }
}

impl Drop for Simulator {
    fn drop(&mut self) {
        self.halt();
    }
}

/// The wall clock, in milliseconds since 1970.
fn unix_millis() -> i64 {
    #[expect(clippy::disallowed_methods, reason = "the simulator is a process of its own; its answers carry the real time")]
    let now = SystemTime::now();
    let since = now.duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
    i64::try_from(since.as_millis()).unwrap_or(i64::MAX)
}
