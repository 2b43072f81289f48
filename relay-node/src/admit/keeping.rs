//! Who keeps the limits of this relay, and what is counted and told of that.

use std::sync::Arc;
use std::time::Duration;

use sluice_domain::Clock;
use sluice_limits::{Away, Event, Limiter, Mode, Notes, Redis, RedisSettings, Setup, Shared, Upkeep};
use tracing::{info, warn};

use crate::link::Standing;
use crate::metrics::{ByHit, LimitMetrics};

/// What the relays of a fleet share.
#[derive(Debug, Clone)]
pub struct Fleet {
    redis: Arc<Redis>,
    patience: Duration,
}

impl Fleet {
    /// Makes the connections. Call it within a runtime.
    ///
    /// # Errors
    /// When connections to such a Redis cannot be made at all. One that does not answer is no error.
    pub fn connect(settings: &RedisSettings) -> Result<Self, Away> {
        Ok(Self { redis: Arc::new(Redis::connect(settings)?), patience: settings.patience })
    }

    /// Where relays note something for each other, and how long a request may wait for it.
    #[must_use]
    pub fn notes(&self) -> (Arc<dyn Notes>, Duration) {
        (Arc::clone(&self.redis) as Arc<dyn Notes>, self.patience)
    }
}

/// Puts the limiter of a relay together. `life` tells this life of this relay from all others.
#[must_use]
pub fn limiter(fleet: Option<Fleet>, clock: Clock, metrics: LimitMetrics, standing: Standing, life: u64) -> (Limiter, Upkeep) {
    let patience = fleet.as_ref().map_or(RedisSettings::PATIENCE, |fleet| fleet.patience);
    let shared = fleet.map(|fleet| fleet.redis as Arc<dyn Shared>);
    let (relays, told) = (standing.clone(), standing);
    Limiter::new(Setup {
        clock,
        shared,
        patience,
        relays: Arc::new(move || u64::from(relays.fleet_size())),
        notice: Arc::new(move |event| notice(&metrics, u64::from(told.fleet_size()), event)),
        life,
        capacity: Setup::CAPACITY,
    })
}

/// Counts and tells what happens. `relays`: how many there are.
pub fn notice(metrics: &LimitMetrics, relays: u64, event: Event) {
    match event {
        Event::Mode(Mode::Shared) => {
            metrics.mode.set_count(1);
            info!("Redis answers: limits are kept for the whole fleet");
        }
        Event::Mode(Mode::Alone) => {
            metrics.mode.set_count(0);
            warn!(relays, "Redis does not answer: each of {relays} relays keeps its share of every limit");
        }
        Event::Failed => metrics.failures.increment(),
        Event::Lost => metrics.lost_changes.increment(),
        Event::Hit { subject, of, is_shadow } => metrics.hits.of(&ByHit { subject, of, is_shadow }).increment(),
    }
}
