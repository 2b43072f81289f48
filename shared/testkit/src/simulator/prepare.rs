//! From the bytes of a request to what will be answered: checks, names, scenario.

use std::sync::atomic::Ordering;

use serde_json::Value;

use super::Shared;
use super::log::Ticket;
use super::models::{Standing, Task};
use super::refusal::{House, Refusal};
use super::render::Stamp;
use super::request::{self, Asked, directive_in};
use super::scenario::{Fault, Scenario};
use super::unix_millis;

/// Names from outside are kept in the log up to this many characters.
const MAX_NAME_CHARS: usize = 128;

/// Where a request came in.
pub(super) struct Door<'a> {
    pub(super) shared: &'a Shared,
    pub(super) task: Task,
    pub(super) house: House,
    pub(super) key: Option<&'a str>,
}

/// A checked request and how it will be answered.
pub(super) struct Job {
    pub(super) task: Task,
    pub(super) house: House,
    pub(super) asked: Asked,
    pub(super) stamp: Stamp,
    pub(super) seed: u64,
    pub(super) scenario: Scenario,
}

impl Job {
    /// Whether the answer is an event stream.
    pub(super) fn streams(&self) -> bool {
        match self.scenario.fault {
            _ if self.task == Task::Embedding => false,
            Fault::JsonForStream => false,
            Fault::StreamForJson => true,
            _ => self.asked.stream,
        }
    }
}

impl Door<'_> {
    /// Checks a request as the real service does, and notes in the log what it asks.
    pub(super) fn prepare(&self, deployment: Option<String>, bytes: &[u8], ticket: &mut Ticket) -> Result<Job, Refusal> {
        let Self { shared, task, house, .. } = *self;
        let body: Value = serde_json::from_slice(bytes).map_err(|_| Refusal::invalid_json())?;
        let body = body.as_object().ok_or_else(Refusal::invalid_json)?;
        let user = body.get("user").and_then(Value::as_str).map(shorten);
        ticket.note(|entry| entry.request_id = user.or(entry.request_id.take()));
        let model = match deployment {
            Some(deployment) => deployment,
            None => request::model_of(body)?,
        };
        ticket.note(|entry| entry.model = Some(shorten(&model)));
        let echoed = self.serving_name(&model)?;
        let asked = request::check(task, body)?;
        let scenario = self.choose_scenario(&model, &asked)?;
        let seed = shared.seed.wrapping_add(shared.answers.fetch_add(1, Ordering::Relaxed).wrapping_mul(0x9e37_79b9_7f4a_7c15));
        let stamp = Stamp::new(task, echoed, unix_millis() / 1000, seed);
        ticket.note(|entry| {
            entry.stream = asked.stream;
            entry.prompt_tokens = asked.prompt_tokens;
            entry.scenario = scenario.label();
            entry.answer_id = (task != Task::Embedding).then(|| stamp.id.clone());
        });
        Ok(Job { task, house, asked, stamp, seed, scenario })
    }

    fn serving_name(&self, model: &str) -> Result<String, Refusal> {
        let task = self.task;
        match self.shared.models.standing(model, task) {
            Standing::Serves(echoed) => Ok(echoed),
            Standing::Unknown => Err(Refusal::unknown_model(model, self.house)),
            Standing::OtherTask(Task::Chat) if task == Task::Completion => {
                let text = "This is a chat model and not supported in the v1/completions endpoint. Did you mean to use v1/chat/completions?";
                Err(Refusal::new(404, text).param("model"))
            }
            Standing::OtherTask(_) if task == Task::Embedding => {
                Err(Refusal::new(403, "You are not allowed to generate embeddings from this model").param("model"))
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
            .map_err(|error| Refusal::new(400, format!("simulator: {error}")).code("sim_bad_directive"))
    }
}

/// A name from outside, cut to a length the log can keep.
pub(super) fn shorten(name: &str) -> String {
    name.chars().take(MAX_NAME_CHARS).collect()
}
