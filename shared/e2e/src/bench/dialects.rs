//! What it costs a relay to speak another dialect with the provider than with the caller, beside passing bytes on.
//!
//! Two callers (Chat and Messages) ask two channels (one of each dialect) the same: 4 KB with tools, answered whole and as a stream. The
//! four pairs take turns on one relay; only its own CPU time counts.

use std::path::Path;
use std::time::Duration;

use anyhow::{Context, Result};
use serde::Serialize;
use serde_json::{Value, json};
use sluice_testkit::database::Engine;
use sluice_testkit::services::Addresses;

use super::cost::Watched;
use super::crew::Crew;
use super::install::Install;
use super::question::{Ending, Question};
use super::stage::{Provider, Target};
use super::tally::{micros, number};
use crate::fleet::{PROVIDER_KEY, settle_config};

/// Connections of the closed loop.
const CONNECTIONS: usize = 64;
/// Events with content of each stream.
const CHUNKS: u64 = 200;
/// About as long as a request of an agent's first turn, in bytes.
const BODY_BYTES: usize = 4_096;

/// A dialect of callers and channels.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Spoken {
    /// OpenAI's Chat Completions.
    Chat,
    /// Anthropic's Messages.
    Messages,
}

/// What one pair of caller and channel cost.
#[derive(Debug, Clone, Serialize)]
pub(crate) struct Pair {
    caller: Spoken,
    channel: Spoken,
    requests: u64,
    request_cpu_us: f64,
    events: u64,
    event_cpu_us: f64,
    failures: u64,
}

/// What was found.
#[derive(Debug, Clone, Serialize)]
pub(crate) struct Dialects(Vec<Pair>);

impl Dialects {
    /// The dearest conversion beside what passing on costs for the same caller: per request, and per event.
    pub(crate) fn ratios(&self) -> (f64, f64) {
        let converted = self.0.iter().filter(|pair| pair.caller != pair.channel);
        let beside = |pair: &Pair| {
            let passed = self.0.iter().find(|other| other.caller == pair.caller && other.channel == pair.caller)?;
            Some((pair.request_cpu_us / passed.request_cpu_us, pair.event_cpu_us / passed.event_cpu_us))
        };
        converted.filter_map(beside).fold((0.0, 0.0), |(request, event), (a, b)| (a.max(request), b.max(event)))
    }

    /// All pairs in words.
    pub(crate) fn words(&self) -> String {
        let pair = |pair: &Pair| {
            let (caller, channel) = (pair.caller.name(), pair.channel.name());
            format!("{caller} on {channel} {:.1} µs, {:.2} µs an event", pair.request_cpu_us, pair.event_cpu_us)
        };
        self.0.iter().map(pair).collect::<Vec<_>>().join("; ")
    }

    /// Answers that were none.
    pub(crate) fn failures(&self) -> u64 {
        self.0.iter().map(|pair| pair.failures).sum()
    }
}

impl Spoken {
    const ALL: [Self; 2] = [Self::Chat, Self::Messages];

    fn name(self) -> &'static str {
        match self {
            Self::Chat => "Chat",
            Self::Messages => "Messages",
        }
    }

    /// The model whose only channel speaks it.
    fn model(self) -> &'static str {
        match self {
            Self::Chat => "gpt-4o",
            Self::Messages => "claude-sonnet-4-5",
        }
    }

    fn provider(self) -> &'static str {
        match self {
            Self::Chat => "openai",
            Self::Messages => "anthropic",
        }
    }

    /// The question to a model, as a caller of this dialect asks it.
    fn question(self, model: &str, streams: bool) -> Question {
        let ask = format!("What is the best tyre for gravel? [sim: chunks={CHUNKS} tokens={CHUNKS}]");
        let about = "Looks a product of the shop up and tells its price, what is in store, and what it fits. ";
        let schema = json!({"type": "object", "properties": {"name": {"type": "string"}, "size": {"type": "number"}}, "required": ["name"]});
        let mut body = match self {
            Self::Chat => json!({
                "messages": [{"role": "system", "content": ""}, {"role": "user", "content": ask}],
                "tools": [{"type": "function", "function": {"name": "look_up", "description": about, "parameters": schema}}],
            }),
            Self::Messages => json!({
                "system": "", "max_tokens": 1_000, "messages": [{"role": "user", "content": ask}],
                "tools": [{"name": "look_up", "description": about, "input_schema": schema}],
            }),
        };
        body["model"] = model.into();
        body["stream"] = streams.into();
        let missing = BODY_BYTES.saturating_sub(body.to_string().len());
        let system = Value::from("Be of help to whoever asks. ".repeat(missing / 28));
        match self {
            Self::Chat => body["messages"][0]["content"] = system,
            Self::Messages => body["system"] = system,
        }
        let (path, end) = match (self, streams) {
            (Self::Chat, true) => ("/v1/chat/completions", Ending::of(b"data: [DONE]\n\n")),
            (Self::Chat, false) => ("/v1/chat/completions", Ending::of(b"}")),
            (Self::Messages, true) => ("/v1/messages", Ending::of(b"\"message_stop\"}\n\n")),
            (Self::Messages, false) => ("/v1/messages", Ending::of(b"}")),
        };
        Question::at(path, &body, end)
    }
}

/// Measures all pairs in so many rounds.
pub(crate) async fn measure(
    database: (Engine, &Addresses),
    folder: &Path,
    provider: &Provider,
    rounds: usize,
    lasting: Duration,
) -> Result<Dialects> {
    let mut install = Install::start(database, &folder.join("dialects"), provider.address, 1, 0).await?;
    let target = install.target()?;
    let process = target.process.clone().context("a relay is a process")?;
    for spoken in Spoken::ALL {
        install.api.price(spoken.model(), "1.25", "4").await;
        let channel = json!({
            "name": spoken.name(), "provider": spoken.provider(), "base_url": format!("http://{}", provider.address),
            "key": PROVIDER_KEY, "models": [spoken.model()],
        });
        install.api.create("/api/channels", &channel).await;
    }
    settle_config(&install.api, 1).await;
    let pairs = Spoken::ALL.into_iter().flat_map(|caller| Spoken::ALL.map(|channel| (caller, channel)));
    let mut cells: Vec<Cell> = pairs.map(|(caller, channel)| Cell::new(caller, channel)).collect();
    for _ in 0..rounds {
        for cell in &mut cells {
            cell.run(&target, &process, lasting).await?;
        }
    }
    Ok(Dialects(cells.into_iter().map(Cell::pair).collect()))
}

/// One pair, while it is measured.
struct Cell {
    pair: Pair,
    whole_cpu: Duration,
    streamed_cpu: Duration,
}

impl Cell {
    fn new(caller: Spoken, channel: Spoken) -> Self {
        let pair = Pair { caller, channel, requests: 0, request_cpu_us: 0.0, events: 0, event_cpu_us: 0.0, failures: 0 };
        Self { pair, whole_cpu: Duration::ZERO, streamed_cpu: Duration::ZERO }
    }

    async fn run(&mut self, target: &Target, process: &Watched, lasting: Duration) -> Result<()> {
        for streams in [false, true] {
            let question = self.pair.caller.question(self.pair.channel.model(), streams);
            let mut crew = Crew::connect(target.address, question.addressed(target.address, &target.key)?, CONNECTIONS).await?;
            crew.warm_up().await?;
            crew.take_tally();
            let before = process.cpu()?;
            crew.run_closed(lasting).await?;
            let used = process.cpu()?.since(&before);
            let tally = crew.take_tally();
            self.pair.failures += tally.failed();
            if streams {
                self.pair.events += tally.good * CHUNKS;
                self.streamed_cpu += used;
            } else {
                self.pair.requests += tally.good;
                self.whole_cpu += used;
            }
        }
        Ok(())
    }

    fn pair(mut self) -> Pair {
        self.pair.request_cpu_us = micros(self.whole_cpu) / number(self.pair.requests);
        self.pair.event_cpu_us = micros(self.streamed_cpu) / number(self.pair.events);
        self.pair
    }
}
