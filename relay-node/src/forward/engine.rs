//! What all requests share on the way to upstreams.

use std::sync::Arc;
use std::time::Duration;

use sluice_domain::{ChannelId, Clock};
use sluice_limits::{KeyedLimiter, Rate, RateError};
use sluice_providers::Catalog;
use sluice_routing::Turns;
use sluice_upstream::{Client, MediaFetcher};
use tokio::sync::Semaphore;

use super::address::Addresses;
use super::budget::RetryBudget;
use super::seen::Seen;
use super::takes::Takes;
use super::timing::Timing;
use super::tokens::Tokens;
use crate::meter::{Counter, RecentLengths};
use crate::plan::ejection::Ejections;

/// A channel's failures are logged at most once in this time.
const NOTICE_EVERY: Duration = Duration::from_secs(10);
/// Channels whose failures are told apart in the log.
const NOTICED_CHANNELS: usize = 10_000;
/// Answers without a caller that are read on at once. More are cancelled.
const MAX_DRAINS: usize = 256;

/// What all requests share on the way to upstreams. Clones are the same engine.
#[derive(Debug, Clone)]
pub struct Engine(Arc<Parts>);

/// The parts of an [`Engine`].
pub struct Parts {
    /// Sends requests.
    pub client: Client,
    /// Fetches what requests name by address.
    pub media: MediaFetcher,
    /// Where channels are.
    pub(super) addresses: Addresses,
    /// What models take beside what is known of them.
    pub(super) takes: Takes,
    /// Tokens that keys were exchanged for.
    pub(super) tokens: Tokens,
    /// Which channels are left out for a while.
    pub ejections: Ejections,
    /// Which keys were used last, of channels that use them in turn.
    pub turns: Turns,
    /// How many retries may be made.
    pub(super) retries: RetryBudget,
    /// What is seen of channels, to be told.
    pub seen: Seen,
    /// Answers without a caller that are read on.
    pub drains: Arc<Semaphore>,
    /// Counts tokens where no usage is reported.
    pub counter: Counter,
    /// How long answers were lately.
    pub lengths: RecentLengths,
    /// How long things may take.
    pub timing: Timing,
    /// The longest event of a stream, and the longest answer, in bytes.
    pub max_answer_bytes: usize,
    notices: KeyedLimiter<ChannelId>,
}

impl std::fmt::Debug for Parts {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Engine").field("timing", &self.timing).finish_non_exhaustive()
    }
}

impl Engine {
    /// Puts the parts together.
    ///
    /// # Errors
    /// Never: the only rate in it is a good one.
    pub fn new(
        (client, media): (Client, MediaFetcher),
        catalog: Arc<Catalog>,
        timing: Timing,
        max_answer_bytes: usize,
        clock: Clock,
    ) -> Result<Self, RateError> {
        let notices = KeyedLimiter::new(Rate::new(1, NOTICE_EVERY)?, NOTICED_CHANNELS, clock)?;
        Ok(Self(Arc::new(Parts {
            client,
            media,
            addresses: Addresses::new(catalog),
            takes: Takes::default(),
            tokens: Tokens::default(),
            ejections: Ejections::default(),
            turns: Turns::default(),
            retries: RetryBudget::default(),
            seen: Seen::default(),
            drains: Arc::new(Semaphore::new(MAX_DRAINS)),
            counter: Counter::default(),
            lengths: RecentLengths::default(),
            timing,
            max_answer_bytes,
            notices,
        })))
    }
}

impl Parts {
    /// Whether a failure of this channel is worth a line: one that keeps failing must not fill the log.
    #[must_use]
    pub fn may_notice(&self, channel: ChannelId) -> bool {
        self.notices.check(&channel).is_ok()
    }
}

impl std::ops::Deref for Engine {
    type Target = Parts;

    fn deref(&self) -> &Parts {
        &self.0
    }
}
