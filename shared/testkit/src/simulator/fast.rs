//! The model `sim-fast`: prebuilt answers, for benches that must not measure the simulator.
//!
//! No directive, no tool, no checks beyond the top level of the JSON; always the same id, text and usage. Under a provider key that ends
//! with `-flaky` every fifth answer is a 500.

use std::sync::atomic::AtomicU64;
use std::sync::atomic::Ordering::Relaxed;

use bytes::Bytes;
use http::Response;
use memchr::memmem;
use serde::Deserialize;
use serde_json::Value;

use super::answer::{EVENT_STREAM, JSON, plain};
use super::asked::Asked;
use super::log::{Ending, Ticket};
use super::models::Task;
use super::openai::{Events, whole};
use super::play::Body;
use super::prepare::Door;
use super::refusal::House;
use super::scenario::Scenario;
use super::script::Script;
use super::stamp::Stamp;
use super::usage::UsageFigures;

/// The name of the model.
pub(super) const MODEL: &str = "sim-fast";
/// What every request to it is said to cost: prompt tokens, completion tokens.
const PROMPT_TOKENS: i64 = 8;
/// Makes the plain answer about 1 KB long.
const WORDS: u32 = 100;

/// The end of provider keys under which answers fail.
const FLAKY: &str = "-flaky";
/// One answer of so many fails under them.
const FLAKY_EVERY: u64 = 5;
const FAILURE: &[u8] = br#"{"error":{"message":"The server had an error","type":"server_error","param":null,"code":null}}"#;

/// The prebuilt answers of chat and completions.
pub(super) struct FastAnswers {
    chat: Answers,
    completion: Answers,
    /// Requests under a key that fails.
    flaky: AtomicU64,
}

struct Answers {
    plain: Bytes,
    stream: Bytes,
    stream_with_usage: Bytes,
    events: u64,
    usage: UsageFigures,
}

impl FastAnswers {
    pub(super) fn build() -> Self {
        Self { chat: Answers::build(Task::Chat), completion: Answers::build(Task::Completion), flaky: AtomicU64::new(0) }
    }
}

impl Answers {
    fn build(task: Task) -> Self {
        let script = || {
            let asked = Asked { prompt_tokens: PROMPT_TOKENS, choices: 1, ..Asked::default() };
            Script::write(&asked, &Scenario { tokens: Some(WORDS), ..Scenario::default() }, 0)
        };
        let stamp = Stamp::new(task, MODEL.to_owned(), 1_700_000_000, 0);
        let events = |include_usage| Events::new(task, House::OpenAi, &stamp, script(), 1, include_usage);
        let joined = |events: &Events| -> Bytes {
            (0..events.total()).filter_map(|place| events.get(place)).flat_map(|event| event.bytes).collect::<Vec<u8>>().into()
        };
        Self {
            plain: Bytes::from(whole(task, House::OpenAi, &stamp, &script(), 1).to_string()),
            stream: joined(&events(false)),
            stream_with_usage: joined(&events(true)),
            events: events(false).total(),
            usage: script().usage.unwrap_or_default(),
        }
    }
}

#[derive(Deserialize)]
struct Head {
    model: String,
    #[serde(default)]
    stream: bool,
    #[serde(default)]
    stream_options: Value,
    #[serde(default)]
    user: Option<String>,
}

/// The prebuilt answer, if this request is for the fast model and no scenario waits for it.
pub(super) fn answer(door: &Door<'_>, body: &Bytes, ticket: &mut Ticket) -> Option<Response<Body>> {
    let answers = match door.task {
        Task::Chat => &door.shared.fast.chat,
        Task::Completion => &door.shared.fast.completion,
        _ => return None,
    };
    if door.house != House::OpenAi || door.shared.queue.is_for(MODEL, door.key) {
        return None;
    }
    memmem::find(body, MODEL.as_bytes())?;
    let head: Head = serde_json::from_slice(body).ok().filter(|head: &Head| head.model == MODEL)?;
    let is_flaky = door.key.is_some_and(|key| key.ends_with(FLAKY));
    if is_flaky && door.shared.fast.flaky.fetch_add(1, Relaxed).is_multiple_of(FLAKY_EVERY) {
        ticket.note(|entry| {
            entry.model = Some(head.model);
            "flaky".clone_into(&mut entry.scenario);
            entry.status = 500;
        });
        ticket.close(Ending::Completed);
        return Some(plain(500, JSON, Bytes::from_static(FAILURE)));
    }
    let with_usage = head.stream_options["include_usage"] == true;
    let (bytes, kind, events) = match (head.stream, with_usage) {
        (false, _) => (&answers.plain, JSON, 0),
        (true, false) => (&answers.stream, EVENT_STREAM, answers.events),
        (true, true) => (&answers.stream_with_usage, EVENT_STREAM, answers.events + 1),
    };
    ticket.note(|entry| {
        entry.request_id = head.user.or(entry.request_id.take());
        entry.model = Some(head.model);
        "ok".clone_into(&mut entry.scenario);
        entry.stream = head.stream;
        entry.status = 200;
        entry.events = events;
        entry.bytes = bytes.len() as u64;
        entry.prompt_tokens = PROMPT_TOKENS;
        entry.sent_tokens = i64::from(WORDS);
        entry.usage = (!head.stream || with_usage).then_some(answers.usage);
    });
    ticket.close(Ending::Completed);
    Some(plain(200, kind, bytes.clone()))
}
