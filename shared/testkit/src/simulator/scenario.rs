//! How one answer deviates from a good one.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

/// What goes wrong with an answer. `after` of [`Scenario`] says when, where that makes sense.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Fault {
    /// Nothing: a good answer (or the error of `status`).
    #[default]
    None,
    /// The connection is reset (TCP RST) before any byte of the answer.
    ResetBeforeHeaders,
    /// The connection is reset (TCP RST) after `after` events, or half-way through a plain body.
    Reset,
    /// As `reset`, but the connection is closed (TCP FIN) without ending the body.
    Truncate,
    /// The stream ends cleanly after `after` events: no finish reason, no usage, no end mark.
    Close,
    /// Everything is sent except the last event: `[DONE]`, `response.completed`, `message_stop`, the chunk with the finish reason.
    NoDone,
    /// Nothing is ever sent, not even headers.
    HangBeforeHeaders,
    /// Nothing more is sent after `after` events, or half-way through a plain body. The connection stays open.
    Hang,
    /// Status 200 with an error object as JSON body, also for streams.
    ErrorBody,
    /// After `after` events the stream carries an error object and ends there.
    ErrorEvent,
    /// After `after` events one event is cut JSON; the stream goes on. A plain body is cut JSON of the announced length.
    Malformed,
    /// A 200 HTML page, as a captive portal or a wrong base URL gives.
    Html,
    /// A well-formed answer without any text.
    Empty,
    /// Headers of a good answer and no body at all.
    EmptyBody,
    /// The content is `bytes` long (in one event, when streamed).
    Oversized,
    /// A stream was asked for; one JSON document is the answer.
    JsonForStream,
    /// A plain answer was asked for; an event stream is the answer.
    StreamForJson,
}

/// The usage figures an answer carries.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum UsageReport {
    /// The true ones.
    #[default]
    True,
    /// None at all, even when asked for.
    Missing,
    /// Below zero.
    Negative,
    /// Far beyond any model: 9 × 10¹⁵ tokens each way.
    Absurd,
}

/// Why an answer ends, where it would otherwise be the usual reason.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum FinishReport {
    /// The limit of tokens was reached.
    Length,
    /// The provider's filter cut the answer: `content_filter`, `refusal`, `SAFETY`.
    Filter,
    /// The prompt itself was refused: no content at all. Gemini has a form of its own for it; elsewhere it is `filter`.
    Blocked,
    /// The model pauses and wants to be asked to go on. Messages has a word for it; elsewhere the answer just stops.
    Pause,
}

/// A part of the request that the answer repeats as its text, so that a caller without access to the log sees what arrived.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Echo {
    /// Everything the system said, joined by spaces.
    System,
    /// The last user text.
    User,
    /// The roles of the turns, joined by spaces.
    Roles,
    /// The names of the tools, joined by spaces.
    Tools,
    /// Media type and length of each image and document of the last turn.
    Media,
    /// Whether thinking was asked for: `no`, `hidden` or `shown`.
    Thinking,
}

/// How one answer looks and fails. The default is a good answer at once.
///
/// Written as a directive it is a list of `field=value` and bare words: `chunks=50 delay_ms=20`, `reset after=3`, `429 retry_after=2`.
/// A bare word is a [`Fault`], a bare number a `status`.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Scenario {
    /// What goes wrong.
    pub fault: Fault,
    /// Events sent before the fault; the role event counts. Beyond the last event it means just before the last: `[DONE]`,
    /// `response.completed`, `message_stop`, the chunk with the finish reason.
    pub after: u32,
    /// The answer's HTTP status. From 300 up, the body is an error object and nothing else is sent.
    pub status: Option<u16>,
    /// The `Retry-After` header, in seconds.
    pub retry_after: Option<u64>,
    /// `type` of the error object, instead of the usual one for the status.
    pub error_type: Option<String>,
    /// `code` of the error object, instead of the usual one for the status.
    pub error_code: Option<String>,
    /// `message` of the error object, instead of the usual one for the status.
    pub error_message: Option<String>,
    /// Milliseconds before the headers.
    pub headers_delay_ms: u64,
    /// Milliseconds between the headers and the first event.
    pub first_token_delay_ms: u64,
    /// Milliseconds before each event after the first, or before each piece when `write_bytes` is set.
    pub delay_ms: u64,
    /// The content, instead of generated words.
    pub text: Option<String>,
    /// The content is this part of the request.
    pub echo: Option<Echo>,
    /// Text said before the tool calls of the same answer.
    pub preamble: Option<String>,
    /// What the model thinks before it answers, whether or not it was asked to.
    pub thinking: Option<String>,
    /// Thinking is sent in a form that nobody can read: `redacted_thinking`, encrypted reasoning.
    pub redacted: bool,
    /// Words of generated content, one completion token each.
    pub tokens: Option<u32>,
    /// Content events of a stream. Unset: one per word. More than `tokens`: each has a word, and the usage still says `tokens`.
    pub chunks: Option<u32>,
    /// Bytes of content in each event: filler instead of words. An event is one token unless `tokens` is set.
    pub chunk_bytes: Option<u32>,
    /// The wire bytes of a stream are sent in pieces of this size, wherever that cuts them.
    pub write_bytes: Option<u32>,
    /// Bytes of content of an oversized answer. Unset: 80 MiB.
    pub bytes: Option<u64>,
    /// Tool calls to answer with, when the request declares tools.
    pub tools: u32,
    /// Arguments of every tool call, as JSON text, instead of ones that fit the schema. Need not be JSON at all.
    pub arguments: Option<String>,
    /// Why the answer ends, instead of the true reason.
    pub finish: Option<FinishReport>,
    /// Which usage figures are reported.
    pub usage: UsageReport,
    /// Prompt tokens reported, whatever was counted.
    pub prompt_tokens: Option<i64>,
    /// Completion tokens reported, whatever was sent.
    pub completion_tokens: Option<i64>,
    /// Prompt tokens reported as read from the cache; the prompt is reported at least this long.
    pub cached_tokens: i64,
    /// Prompt tokens reported as written to the cache, where the dialect reports them.
    pub cache_write_tokens: i64,
    /// Reasoning tokens, reported on top of the visible ones within the completion tokens.
    pub reasoning_tokens: i64,
    /// Prompt tokens reported as audio; the prompt is reported at least this long.
    pub audio_prompt_tokens: i64,
    /// Audio tokens, reported on top of the visible ones within the completion tokens.
    pub audio_completion_tokens: i64,
}

/// Why a scenario was refused.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ScenarioError(String);

impl ScenarioError {
    pub(super) fn new(text: impl Into<String>) -> Self {
        Self(text.into())
    }
}

impl fmt::Display for ScenarioError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl std::error::Error for ScenarioError {}

/// The longest pause a scenario may ask for: 15 minutes.
const MAX_DELAY_MS: u64 = 900_000;
/// The most tokens, events or tool calls of one answer.
const MAX_COUNT: u32 = 10_000_000;
/// The largest oversized answer: 1 GiB.
const MAX_BYTES: u64 = 1 << 30;

impl Scenario {
    /// An error answer of this status.
    #[must_use]
    pub fn status(status: u16) -> Self {
        Self { status: Some(status), ..Self::default() }
    }

    /// An answer that fails in this way after so many events.
    #[must_use]
    pub fn fault(fault: Fault, after: u32) -> Self {
        Self { fault, after, ..Self::default() }
    }

    /// The scenario a model name stands for: `sim-slow`, `sim-429`, `sim-error-event`. `None` for names without the prefix or unknown.
    #[must_use]
    pub fn directive_of_model(model: &str) -> Option<String> {
        if model == "demo" {
            return Some("delay_ms=25".to_owned());
        }
        let name = model.strip_prefix("sim-")?;
        if let Some((_, directive)) = PRESETS.iter().find(|(preset, _)| *preset == name) {
            return Some((*directive).to_owned());
        }
        let word = name.replace('-', "_");
        let known = !word.contains(['=', ' ']) && word.parse::<Self>().is_ok();
        known.then_some(word)
    }

    /// Reads directives laid over each other: a later one wins, field by field.
    ///
    /// # Errors
    /// When a field or value is unknown or out of bounds.
    pub fn from_directives<'a>(directives: impl IntoIterator<Item = &'a str>) -> Result<Self, ScenarioError> {
        let mut fields = Map::new();
        for directive in directives {
            for word in directive.split_whitespace() {
                let (name, value) = read_word(word);
                fields.insert(name.to_owned(), value);
            }
        }
        let scenario: Self =
            serde_json::from_value(Value::Object(fields)).map_err(|error| ScenarioError::new(error.to_string()))?;
        scenario.checked()
    }

    /// This scenario, if its figures are within bounds.
    ///
    /// # Errors
    /// When a figure is out of bounds.
    pub fn checked(self) -> Result<Self, ScenarioError> {
        let delay = self.headers_delay_ms.max(self.first_token_delay_ms).max(self.delay_ms);
        let count = self.tokens.max(self.chunks).unwrap_or(0).max(self.tools);
        let status_fits = self.status.is_none_or(|status| (200..600).contains(&status));
        let sizes_fit = self.bytes.unwrap_or(0) <= MAX_BYTES && self.chunk_bytes.unwrap_or(0) <= (1 << 26);
        if delay > MAX_DELAY_MS || count > MAX_COUNT || !status_fits || !sizes_fit || self.write_bytes == Some(0) {
            return Err(ScenarioError::new("a figure of the scenario is out of bounds"));
        }
        Ok(self)
    }

    /// The name under which the log keeps this scenario: its fault, else its status, else `ok`.
    #[must_use]
    pub fn label(&self) -> String {
        match (self.fault, self.status) {
            (Fault::None, Some(status)) if status >= 300 => status.to_string(),
            (Fault::None, _) => "ok".to_owned(),
            (fault, _) => serde_json::to_value(fault).ok().and_then(|name| name.as_str().map(str::to_owned)).unwrap_or_default(),
        }
    }
}

impl FromStr for Scenario {
    type Err = ScenarioError;

    fn from_str(directive: &str) -> Result<Self, ScenarioError> {
        Self::from_directives([directive])
    }
}

/// Model names that stand for a scenario: `sim-` and one of these, a fault (`sim-no-done`) or a status (`sim-503`).
const PRESETS: &[(&str, &str)] = &[
    ("fast", ""),
    ("plain", ""),
    ("slow", "first_token_delay_ms=500 chunks=20 delay_ms=100"),
    ("slow-headers", "headers_delay_ms=2000"),
    ("slow-first-token", "first_token_delay_ms=2000"),
    ("stream", "chunks=100"),
    ("paced", "chunks=100 delay_ms=20"),
    ("long", "chunks=100000"),
    ("trickle", "write_bytes=1 delay_ms=1000"),
    ("tools", "tools=1"),
    ("parallel-tools", "tools=2"),
    ("cached", "cached_tokens=1024"),
    ("reasoning", "reasoning_tokens=64"),
    ("thinking", "thinking=considering"),
    ("audio", "audio_prompt_tokens=10 audio_completion_tokens=20"),
    ("no-usage", "usage=missing"),
    ("negative-usage", "usage=negative"),
    ("absurd-usage", "usage=absurd"),
];

/// The names of all preset models, for the model list.
pub(super) fn preset_models() -> impl Iterator<Item = String> {
    PRESETS.iter().map(|(name, _)| format!("sim-{name}"))
}

fn read_word(word: &str) -> (&str, Value) {
    match word.split_once('=') {
        Some((name, value)) => (name, serde_json::from_str(value).unwrap_or_else(|_| Value::from(value))),
        None => match word.parse::<u16>() {
            Ok(status) => ("status", Value::from(status)),
            Err(_) => ("fault", Value::from(word)),
        },
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn directives_are_fields_faults_and_statuses() {
        let read: Scenario = "reset after=3 delay_ms=20".parse().unwrap();
        assert_eq!(read, Scenario { fault: Fault::Reset, after: 3, delay_ms: 20, ..Scenario::default() });
        assert_eq!("429 retry_after=2".parse(), Ok(Scenario { retry_after: Some(2), ..Scenario::status(429) }));
        assert_eq!("error_code=overloaded 503".parse::<Scenario>().unwrap().error_code.as_deref(), Some("overloaded"));
    }

    #[test]
    fn a_misspelt_or_unbounded_directive_is_refused() {
        for directive in [
            "resett",
            "delay=3",
            "status=abc",
            "status=42",
            "delay_ms=-1",
            "delay_ms=99999999",
            "write_bytes=0",
            "tokens=4000000000",
        ] {
            assert!(directive.parse::<Scenario>().is_err(), "{directive}");
        }
    }

    #[test]
    fn a_later_directive_wins_field_by_field() {
        let read = Scenario::from_directives(["chunks=100 delay_ms=20", "delay_ms=0"]).unwrap();
        assert_eq!((read.chunks, read.delay_ms), (Some(100), 0));
    }

    #[test]
    fn model_names_stand_for_presets_faults_and_statuses() {
        let of = |model: &str| Scenario::directive_of_model(model).map(|text| text.parse::<Scenario>().unwrap());
        assert_eq!(of("sim-429").unwrap().status, Some(429));
        assert_eq!(of("sim-error-event").unwrap().fault, Fault::ErrorEvent);
        assert_eq!(of("sim-no-usage").unwrap().usage, UsageReport::Missing);
        assert_eq!(of("sim-unheard-of"), None);
        assert_eq!(of("gpt-4o"), None);
        for (name, directive) in PRESETS {
            assert!(directive.parse::<Scenario>().is_ok(), "{name}");
        }
    }

    #[test]
    fn scenarios_survive_a_trip_through_json() {
        let scenario: Scenario = "oversized bytes=10 usage=absurd".parse().unwrap();
        let text = serde_json::to_string(&scenario).unwrap();
        assert_eq!(serde_json::from_str::<Scenario>(&text).unwrap(), scenario);
    }
}
