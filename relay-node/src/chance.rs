//! Chance as a parameter: generators for requests, from one seed.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use rand::SeedableRng;
use rand::rngs::SmallRng;
use sluice_domain::{RequestId, UnixMillis};

/// Makes one generator per request. Good for weights, jitter and names; never for secrets (those come from `sluice_sealed::random`).
#[derive(Debug, Clone)]
pub struct Chance {
    seed: u64,
    drawn: Arc<AtomicU64>,
}

impl Chance {
    /// Chance from a seed. The same seed gives the same generators in the same order.
    #[must_use]
    pub fn new(seed: u64) -> Self {
        Self { seed, drawn: Arc::default() }
    }

    /// Chance that differs in every process.
    #[must_use]
    pub fn from_entropy() -> Self {
        Self::new(u64::from_le_bytes(sluice_sealed::random::bytes()))
    }

    /// The next generator.
    #[must_use]
    pub fn rng(&self) -> SmallRng {
        // an odd factor keeps the seeds of one process apart; the generator scrambles them further
        let step = self.drawn.fetch_add(1, Ordering::Relaxed).wrapping_mul(0x9e37_79b9_7f4a_7c15);
        SmallRng::seed_from_u64(self.seed.wrapping_add(step))
    }

    /// A new request id: a UUIDv7 of this moment.
    #[must_use]
    pub fn request_id(&self, now: UnixMillis, rng: &mut SmallRng) -> RequestId {
        use rand::Rng;
        let mut bytes = [0; 10];
        rng.fill_bytes(&mut bytes);
        let millis = u64::try_from(now.0).unwrap_or(0);
        RequestId::from(uuid::Builder::from_unix_timestamp_millis(millis, &bytes).into_uuid())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::HashSet;

    #[test]
    fn a_seed_replays_and_request_ids_do_not_repeat() {
        let ids = |seed| -> Vec<String> {
            let chance = Chance::new(seed);
            (0..1_000).map(|_| chance.request_id(UnixMillis(1_700_000_000_000), &mut chance.rng()).to_string()).collect()
        };
        assert_eq!(ids(7), ids(7));
        let different: HashSet<String> = ids(7).into_iter().chain(ids(8)).collect();
        assert_eq!(different.len(), 2_000);
        assert!(ids(7).iter().all(|id| id.starts_with("018bcfe568007")));
    }
}
