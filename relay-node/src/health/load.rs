//! How busy this relay is.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

/// Requests in flight and requests so far. Clones count the same requests.
#[derive(Debug, Clone, Default)]
pub struct Load(Arc<Counts>);

#[derive(Debug, Default)]
struct Counts {
    in_flight: AtomicU64,
    total: AtomicU64,
}

/// One reading of a [`Load`].
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct LoadReading {
    /// Requests in flight.
    pub in_flight: u64,
    /// Requests since the process started, those in flight included.
    pub requests_total: u64,
}

impl Load {
    /// Counts a request until the guard is dropped.
    #[must_use = "the request counts as over when the guard is dropped"]
    pub fn begin(&self) -> InFlight {
        self.0.in_flight.fetch_add(1, Ordering::Relaxed);
        self.0.total.fetch_add(1, Ordering::Relaxed);
        InFlight(Arc::clone(&self.0))
    }

    /// How busy it is.
    #[must_use]
    pub fn read(&self) -> LoadReading {
        let in_flight = self.0.in_flight.load(Ordering::Relaxed);
        LoadReading { in_flight, requests_total: self.0.total.load(Ordering::Relaxed) }
    }
}

/// A request in flight.
#[derive(Debug)]
pub struct InFlight(Arc<Counts>);

impl Drop for InFlight {
    fn drop(&mut self) {
        self.0.in_flight.fetch_sub(1, Ordering::Relaxed);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn requests_count_while_they_run_and_in_total_for_ever() {
        let load = Load::default();
        let one = load.begin();
        drop(load.begin());
        assert_eq!(load.read(), LoadReading { in_flight: 1, requests_total: 2 });
        drop(one);
        assert_eq!(load.read(), LoadReading { in_flight: 0, requests_total: 2 });
    }
}
