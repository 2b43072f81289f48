//! Who keeps the limits of this relay, and what is counted and told of that.

use std::sync::Arc;

use sluice_domain::Clock;
use sluice_limits::{Away, Event, Limiter, Mode, Redis, RedisSettings, Setup, Shared, Upkeep};
use tracing::{info, warn};

use crate::link::Standing;
use crate::metrics::{ByHit, LimitMetrics};

/// Puts the limiter of a relay together. `life` tells this life of this relay from all others. Call it within a runtime.
///
/// # Errors
/// When connections to the Redis that is given cannot be made at all. One that does not answer is no error.
pub fn limiter(
    redis: Option<&RedisSettings>,
    clock: Clock,
    metrics: LimitMetrics,
    standing: Standing,
    life: u64,
) -> Result<(Limiter, Upkeep), Away> {
    let shared = redis.map(|settings| Redis::connect(settings).map(|redis| Arc::new(redis) as Arc<dyn Shared>)).transpose()?;
    let (relays, told) = (standing.clone(), standing);
    Ok(Limiter::new(Setup {
        clock,
        shared,
        patience: redis.map_or(RedisSettings::PATIENCE, |settings| settings.patience),
        relays: Arc::new(move || u64::from(relays.fleet_size())),
        notice: Arc::new(move |event| notice(&metrics, u64::from(told.fleet_size()), event)),
        life,
        capacity: Setup::CAPACITY,
    }))
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
