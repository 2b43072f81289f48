//! From the bytes of a request to what will be answered: checks, names, scenario.

use std::sync::atomic::Ordering;

use bytes::Bytes;
use http::HeaderMap;
use serde_json::{Map, Value};

use super::asked::{Asked, directive_in};
use super::log::Ticket;
use super::models::{Kind, Standing, Task};
use super::refusal::{House, Refusal};
use super::route::Streaming;
use super::scenario::{Fault, Scenario};
use super::stamp::Stamp;
use super::{Shared, gemini, messages, openai, responses, unix_millis};

/// Names from outside are kept in the log up to this many characters.
const MAX_NAME_CHARS: usize = 128;

/// Where a request came in.
pub(super) struct Door<'a> {
    pub(super) shared: &'a Shared,
    pub(super) task: Task,
    pub(super) house: House,
    pub(super) key: Option<&'a str>,
    pub(super) headers: &'a HeaderMap,
    /// The model, where the path names it.
    pub(super) model: Option<String>,
    pub(super) streaming: Streaming,
}

/// A checked request and how it will be answered.
pub(super) struct Job {
    pub(super) task: Task,
    pub(super) house: House,
    pub(super) asked: Asked,
    pub(super) stamp: Stamp,
    pub(super) scenario: Scenario,
    pub(super) streaming: Streaming,
    /// The key that asks.
    pub(super) key: Option<String>,
}

impl Job {
    /// Whether the answer is an event stream.
    pub(super) fn streams(&self) -> bool {
        match self.scenario.fault {
            _ if self.task.is_plain() => false,
            Fault::JsonForStream => false,
            Fault::StreamForJson => true,
            _ => self.asked.stream,
        }
    }
}

impl Door<'_> {
    /// Checks a request as the real service does, and notes in the log what it asks.
    pub(super) fn prepare(&self, bytes: &Bytes, ticket: &mut Ticket) -> Result<Job, Refusal> {
        let Self { shared, task, house, .. } = *self;
        ticket.note(|entry| entry.body = Some(Bytes::copy_from_slice(bytes)));
        let body: Value = serde_json::from_slice(bytes).map_err(|_| Refusal::invalid_json(house))?;
        let body = body.as_object().ok_or_else(|| Refusal::invalid_json(house))?;
        let user = user_of(task, body).map(shorten);
        ticket.note(|entry| entry.request_id = user.or(entry.request_id.take()));
        if house == House::Anthropic {
            messages::check_version(self.headers)?;
        }
        let model = match &self.model {
            Some(model) => model.clone(),
            None if house == House::Anthropic => messages::model_of(body)?,
            None => openai::model_of(body)?,
        };
        ticket.note(|entry| entry.model = Some(shorten(&model)));
        let echoed = self.serving_name(&model)?;
        let asked = self.check(&model, body)?;
        let scenario = self.choose_scenario(&model, &asked)?;
        let stamp = Stamp::new(task, echoed, unix_millis() / 1000, shared.next_seed());
        ticket.note(|entry| {
            entry.stream = asked.stream;
            entry.prompt_tokens = asked.prompt_tokens;
            entry.scenario = scenario.label();
            entry.answer_id = (!task.is_plain()).then(|| stamp.id.clone());
        });
        Ok(Job { task, house, asked, stamp, scenario, streaming: self.streaming, key: self.key.map(str::to_owned) })
    }

    fn check(&self, model: &str, body: &Map<String, Value>) -> Result<Asked, Refusal> {
        let memory = self.shared.memory.of(self.key);
        match self.task {
            Task::Chat => openai::chat(body),
            Task::Completion => openai::completion(body),
            Task::Embedding => openai::embedding_request(body),
            Task::Rerank => openai::rerank::check(body),
            Task::Moderation => openai::moderation::check(body),
            Task::Responses => responses::check(model, body, memory),
            Task::ResponsesCount => responses::check_count(body, memory),
            Task::Messages => messages::check(model, body),
            Task::MessagesCount => messages::check_count(body),
            Task::Gemini => gemini::check(model, body, self.streaming),
            Task::GeminiCount => gemini::check_count(model, body),
            Task::GeminiEmbed => gemini::check_embed(body),
            Task::GeminiBatchEmbed => gemini::check_batch_embed(model, body),
        }
    }

    fn serving_name(&self, model: &str) -> Result<String, Refusal> {
        let task = self.task;
        match self.shared.models.standing(model, task) {
            Standing::Serves(echoed) => Ok(echoed),
            Standing::Unknown => Err(Refusal::unknown_model(model, self.house)),
            Standing::OtherTask(Kind::Gpt) if task == Task::Completion => {
                let text = "This is a chat model and not supported in the v1/completions endpoint. Did you mean to use v1/chat/completions?";
                Err(Refusal::new(404, text).param("model"))
            }
            Standing::OtherTask(Kind::Gpt | Kind::Base) if task == Task::Embedding => {
                Err(Refusal::new(403, "You are not allowed to generate embeddings from this model").param("model"))
            }
            Standing::OtherTask(_) if matches!(self.house, House::Anthropic | House::Google) => {
                Err(Refusal::unknown_model(model, self.house))
            }
            Standing::OtherTask(Kind::Claude | Kind::Gemini | Kind::GeminiEmbedding) => {
                Err(Refusal::unknown_model(model, self.house))
            }
            Standing::OtherTask(_) => Err(Refusal::new(404, "This model is not supported in this endpoint.").param("model")),
        }
    }

    /// A queued scenario, else what model name and request say.
    fn choose_scenario(&self, model: &str, asked: &Asked) -> Result<Scenario, Refusal> {
        if let Some(scenario) = self.shared.queue.take(model, self.key) {
            return Ok(scenario);
        }
        let of_model = Scenario::directive_of_model(model).unwrap_or_default();
        let of_request = directive_in(&asked.last_text).unwrap_or("");
        Scenario::from_directives([self.shared.pace.as_str(), &of_model, of_request])
            .map_err(|error| Refusal::bad(format!("simulator: {error}")).code("sim_bad_directive"))
    }
}

impl Shared {
    /// What makes the ids of the next answer.
    pub(super) fn next_seed(&self) -> u64 {
        self.seed.wrapping_add(self.answers.fetch_add(1, Ordering::Relaxed).wrapping_mul(0x9e37_79b9_7f4a_7c15))
    }
}

/// The caller's name for itself.
fn user_of(task: Task, body: &Map<String, Value>) -> Option<&str> {
    let user = match task {
        Task::Messages => body.get("metadata").and_then(|metadata| metadata.get("user_id")),
        _ => body.get("user"),
    };
    user.and_then(Value::as_str)
}

/// A name from outside, cut to a length the log can keep.
pub(super) fn shorten(name: &str) -> String {
    name.chars().take(MAX_NAME_CHARS).collect()
}
