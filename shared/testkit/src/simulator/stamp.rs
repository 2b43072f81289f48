//! What identifies an answer.

use super::ids::token;
use super::models::Task;

/// Stands for the content where filler is to be poured in.
pub(super) const FILLER_MARK: &str = "@filler@";

/// Id, time and model name of an answer.
#[derive(Debug, Clone)]
pub(super) struct Stamp {
    pub(super) id: String,
    /// Unix seconds.
    pub(super) created: i64,
    pub(super) model: String,
    pub(super) fingerprint: String,
    /// Makes the ids of the answer's parts.
    pub(super) seed: u64,
}

impl Stamp {
    pub(super) fn new(task: Task, model: String, created: i64, seed: u64) -> Self {
        let id = match task {
            Task::Completion => format!("cmpl-{}", token(seed, 29)),
            Task::Responses => format!("resp_{}", token(seed, 48)),
            Task::Messages => format!("msg_01{}", token(seed, 22)),
            Task::Gemini => token(seed, 23),
            _ => format!("chatcmpl-{}", token(seed, 29)),
        };
        let fingerprint = format!("fp_{}", token(created.unsigned_abs() / 86_400, 10).to_ascii_lowercase());
        Self { id, created, model, fingerprint, seed }
    }

    /// The id of a part of the answer: `fc_…`.
    pub(super) fn part_id(&self, prefix: &str, part: usize) -> String {
        let seed = self.seed.rotate_left(17).wrapping_add(part as u64);
        format!("{prefix}_{}", token(seed, 48))
    }

    /// The id that the headers of the answer give the request.
    pub(super) fn request_id(&self) -> String {
        request_id(!self.seed)
    }
}

/// A request's id, as OpenAI and Anthropic give it.
pub(super) fn request_id(seed: u64) -> String {
    format!("req_{}", token(seed, 24))
}
