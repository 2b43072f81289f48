//! How this relay stands with its control plane: for readiness, for figures, and for the limit on stale identities.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicI64, AtomicU32, Ordering};

/// How this relay stands with its control plane. Clones are the same.
#[derive(Debug, Clone)]
pub struct Standing(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    is_registered: AtomicBool,
    is_connected: AtomicBool,
    serves_last_good: AtomicBool,
    has_inherited: AtomicBool,
    fleet_size: AtomicU32,
    /// When the configuration was last known to be the newest, by the clock since boot; [`NEVER`] before the first time.
    fresh_at: AtomicI64,
}

const NEVER: i64 = i64::MIN;

impl Default for Standing {
    fn default() -> Self {
        Self(Arc::new(Inner {
            is_registered: AtomicBool::new(false),
            is_connected: AtomicBool::new(false),
            serves_last_good: AtomicBool::new(false),
            has_inherited: AtomicBool::new(false),
            fleet_size: AtomicU32::new(1),
            fresh_at: AtomicI64::new(NEVER),
        }))
    }
}

impl Standing {
    /// Whether it registered at least once in this life.
    #[must_use]
    pub fn is_registered(&self) -> bool {
        self.0.is_registered.load(Ordering::Relaxed)
    }

    /// Whether the streams are up.
    #[must_use]
    pub fn is_connected(&self) -> bool {
        self.0.is_connected.load(Ordering::Relaxed)
    }

    /// Whether what is in force came from the disk, because no control plane answered.
    #[must_use]
    pub fn serves_last_good(&self) -> bool {
        self.0.serves_last_good.load(Ordering::Relaxed)
    }

    /// Whether an earlier life left leases that can be spent from.
    #[must_use]
    pub fn has_inherited(&self) -> bool {
        self.0.has_inherited.load(Ordering::Relaxed)
    }

    /// Relays in the fleet, this one included; the last that was heard.
    #[must_use]
    pub fn fleet_size(&self) -> u32 {
        self.0.fleet_size.load(Ordering::Relaxed)
    }

    /// Milliseconds since the configuration was last known to be the newest; `None` when it never was.
    #[must_use]
    pub fn staleness_millis(&self, boot_millis: u64) -> Option<u64> {
        let fresh_at = self.0.fresh_at.load(Ordering::Relaxed);
        let since = i64::try_from(boot_millis).unwrap_or(i64::MAX).saturating_sub(fresh_at);
        (fresh_at != NEVER).then(|| u64::try_from(since).unwrap_or(0))
    }

    pub(super) fn registered(&self, fleet_size: i32) {
        self.0.is_registered.store(true, Ordering::Relaxed);
        self.set_fleet_size(fleet_size);
    }

    pub(super) fn set_connected(&self, is_connected: bool) {
        self.0.is_connected.store(is_connected, Ordering::Relaxed);
    }

    pub(super) fn set_serves_last_good(&self, serves: bool) {
        self.0.serves_last_good.store(serves, Ordering::Relaxed);
    }

    pub(super) fn inherited(&self) {
        self.0.has_inherited.store(true, Ordering::Relaxed);
    }

    pub(super) fn set_fleet_size(&self, fleet_size: i32) {
        self.0.fleet_size.store(u32::try_from(fleet_size).unwrap_or(1).max(1), Ordering::Relaxed);
    }

    /// The configuration was the newest so many milliseconds before this moment.
    pub(super) fn fresh(&self, boot_millis: u64, millis_ago: i64) {
        let at = i64::try_from(boot_millis).unwrap_or(i64::MAX).saturating_sub(millis_ago.max(0));
        self.0.fresh_at.fetch_max(at, Ordering::Relaxed);
    }
}
