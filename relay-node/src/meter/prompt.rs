//! How long a prompt is: by weights, for the hold and wherever it must be told at once; by the model's vocabulary, where the upstream
//! reports no usage.

use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;

use sluice_billing::estimate::{self, PER_TOOL_CALL};
use sluice_billing::media::{self, Detail};
use sluice_billing::tokenizer::Vocabulary;
use sluice_billing::{Estimator, Tokenizer};
use sluice_dialect::exchange::{Answer, Request};
use sluice_dialect::openai::PromptCounts;
use tokio::sync::Semaphore;
use tokio::time::timeout;

/// Exact counts that may run at once: each takes a thread, and seconds for the longest texts.
const MAX_COUNTS: usize = 2;
/// The longest an answer waits for a count.
const COUNT_WAIT: Duration = Duration::from_secs(2);

/// Estimates a request's prompt, in tokens, by weights.
#[must_use]
pub fn estimate(request: &Request) -> u64 {
    let model = request.facts().model.as_str();
    let mut estimator = Estimator::for_model(model);
    let counts = request.visit_prompt(&mut |text| {
        estimator.push(text);
        estimator.separate();
    });
    estimator.finish().saturating_add(beside_text(model, counts))
}

/// Counts exactly where the model's vocabulary is known, away from the threads that serve requests.
#[derive(Debug, Clone)]
pub struct Counter {
    slots: Arc<Semaphore>,
}

impl Default for Counter {
    fn default() -> Self {
        Self { slots: Arc::new(Semaphore::new(MAX_COUNTS)) }
    }
}

/// A count on its way; `None` when it takes too long. The counting itself ends by itself, wanted or not.
pub type Counting = Pin<Box<dyn Future<Output = Option<u64>> + Send>>;

impl Counter {
    /// Whether a model's vocabulary is known.
    #[must_use]
    pub fn knows(model: &str) -> bool {
        Vocabulary::of(model).is_some()
    }

    /// Begins to count a prompt. `None`: only the estimate is to be had, because the vocabulary is not known or everybody is counting.
    #[must_use]
    pub fn prompt(&self, request: &Arc<Request>) -> Option<Counting> {
        let request = Arc::clone(request);
        let vocabulary = Vocabulary::of(request.facts().model.as_str())?;
        self.count(move || {
            let tokenizer = Tokenizer::load(vocabulary);
            let mut tokens = 0_u64;
            let counts = request.visit_prompt(&mut |text| tokens = tokens.saturating_add(tokenizer.count(text)));
            tokens.saturating_add(beside_text(request.facts().model.as_str(), counts))
        })
    }

    /// Begins to count the output of a whole answer.
    #[must_use]
    pub fn output(&self, model: &str, answer: &Answer) -> Option<Counting> {
        let (answer, vocabulary) = (answer.clone(), Vocabulary::of(model)?);
        self.count(move || {
            let tokenizer = Tokenizer::load(vocabulary);
            let mut tokens = 0_u64;
            let counts = answer.visit_output(&mut |text| tokens = tokens.saturating_add(tokenizer.count(text)));
            tokens.saturating_add(u64::from(counts.tool_calls).saturating_mul(PER_TOOL_CALL))
        })
    }

    fn count(&self, work: impl FnOnce() -> u64 + Send + 'static) -> Option<Counting> {
        let slot = Arc::clone(&self.slots).try_acquire_owned().ok()?;
        let counting = tokio::task::spawn_blocking(move || {
            let _slot = slot;
            work()
        });
        Some(Box::pin(async { timeout(COUNT_WAIT, counting).await.ok()?.ok() }))
    }
}

/// Tokens of a prompt beside its text: what the format adds, and media by their usual size. Nothing is fetched to measure it.
fn beside_text(model: &str, counts: PromptCounts) -> u64 {
    let times = |count: u32, tokens: u64| u64::from(count).saturating_mul(tokens);
    let format = match counts.messages {
        0 => 0,
        messages => estimate::prompt_overhead(messages.into(), counts.names.into(), counts.tools.into()),
    };
    let plain_images = counts.images.saturating_sub(counts.low_detail_images);
    [
        times(plain_images, media::image_tokens(model, Detail::High, None)),
        times(counts.low_detail_images, media::image_tokens(model, Detail::Low, None)),
        times(counts.audio, media::AUDIO_TOKENS),
        times(counts.videos, media::VIDEO_TOKENS),
        times(counts.files, media::FILE_TOKENS),
        counts.token_ids.into(),
    ]
    .into_iter()
    .fold(format, u64::saturating_add)
}

#[cfg(test)]
mod tests {
    use bytes::Bytes;
    use sluice_dialect::Surface;
    use sluice_dialect::exchange::Incoming;
    use sluice_dialect::signature::Sealer;

    use super::*;

    fn request(model: &str) -> Arc<Request> {
        let body = format!(r#"{{"model":"{model}","messages":[{{"role":"user","content":"hello world"}}]}}"#);
        let incoming = Incoming { surface: Surface::ChatCompletions, body: Bytes::from(body), model: None, form: None };
        Arc::new(Request::read(incoming, &Sealer::new(&[0; 32])).unwrap())
    }

    #[test]
    fn words_and_format_are_both_counted() {
        // user, hello and world are three words and a space: 3 × 1.02 + 0.42, rounded up; 3 for the message and 3 for the reply
        assert_eq!(estimate(&request("mistral-large")), 4 + 6);
    }

    #[tokio::test]
    async fn prompts_of_known_vocabularies_are_counted_exactly_and_only_a_few_at_once() {
        let counter = Counter::default();
        let tokens = counter.prompt(&request("gpt-4o")).unwrap().await.unwrap();
        assert_eq!(tokens, 3 + 6, "user, hello, world; message and reply");
        assert!(counter.prompt(&request("mistral-large")).is_none());
        let _busy = counter.slots.try_acquire_many(2).unwrap();
        assert!(counter.prompt(&request("gpt-4o")).is_none());
    }
}
