//! What bringing an answer to its caller takes, beside the answer.

use std::sync::Arc;
use std::time::Duration;

use sluice_dialect::openai::{Reported, Request};
use tokio::time::timeout;

use crate::forward::{Journey, Timing, Whole};
use crate::ingress::reply::Stamp;
use crate::meter::{Bill, Counted, Counter, Counting, Ending};

/// A longer prompt is not kept while its answer streams; should it have to be counted after all, its estimate counts.
const KEPT_BYTES: usize = 64 << 10;
/// The longest an answer waits for its prompt to be counted.
const COUNT_WAIT: Duration = Duration::from_secs(2);

/// What bringing an answer to its caller takes.
#[derive(Debug, Clone)]
pub struct Delivery {
    /// How errors are told.
    pub stamp: Stamp,
    /// How long things may take.
    pub timing: Timing,
    /// Whether the caller is to get a usage frame even if the upstream sends none.
    pub owes_usage: bool,
    counter: Counter,
    /// The request, as long as its prompt may have to be counted.
    request: Option<Arc<Request>>,
}

impl Delivery {
    /// What a journey's answer will take.
    #[must_use]
    pub fn of(journey: &Journey, stamp: Stamp) -> Self {
        let facts = journey.request.facts();
        let is_kept = !facts.stream || journey.request.body().len() <= KEPT_BYTES;
        Self {
            stamp,
            timing: journey.engine.timing,
            owes_usage: facts.include_usage || journey.settings.enforce_include_usage,
            counter: journey.engine.counter.clone(),
            request: is_kept.then(|| Arc::clone(&journey.request)),
        }
    }

    /// Begins to count the prompt exactly; `None` where its estimate has to do.
    #[must_use]
    pub fn count_prompt(&self) -> Option<Counting> {
        self.request.as_ref().and_then(|request| self.counter.prompt(request))
    }

    /// Settles an answer that came in one piece. Without a usage report it is counted first.
    pub async fn settle_whole(&self, whole: &Whole, mut bill: Bill) {
        let mut counted = Counted::default();
        if !matches!(whole.answer.usage(), Reported::Counted(_)) {
            let tally = bill.tally();
            tally.counts = whole.answer.visit_output(&mut |text| tally.push(text));
            let model = self.request.as_ref().map(|request| request.facts().model.as_str());
            counted.prompt = wait(self.count_prompt()).await;
            counted.output = wait(model.and_then(|model| self.counter.output(model, &whole.answer))).await;
        }
        bill.settle(Ending::Completed(whole.status.as_u16(), counted));
    }
}

async fn wait(counting: Option<Counting>) -> Option<u64> {
    timeout(COUNT_WAIT, counting?).await.ok()?.ok()
}
