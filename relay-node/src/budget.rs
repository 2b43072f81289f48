//! The byte budget of a relay: what bodies, lines and buffers may hold in memory at once (ruling R20).

use std::sync::Arc;

use tokio::sync::{OwnedSemaphorePermit, Semaphore};

/// Granularity of the budget, in bytes. Small holds round up to it.
const UNIT_BYTES: usize = 1024;

/// The budget is used up: answer 503 and let the caller come back.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("the relay has no memory left for this request")]
pub struct OverBudget;

/// Bytes that may be held in memory at once. Clones share the same budget.
#[derive(Debug, Clone)]
pub struct ByteBudget {
    units: Arc<Semaphore>,
    total_bytes: usize,
}

impl ByteBudget {
    /// A budget of so many bytes.
    #[must_use]
    pub fn new(total_bytes: usize) -> Self {
        let units = (total_bytes / UNIT_BYTES).clamp(1, Semaphore::MAX_PERMITS);
        Self { units: Arc::new(Semaphore::new(units)), total_bytes }
    }

    /// Takes some bytes out of the budget, or none. Never waits: a request that would have to wait for memory is better refused.
    ///
    /// # Errors
    /// When the rest of the budget is smaller.
    pub fn hold(&self, bytes: usize) -> Result<HeldBytes, OverBudget> {
        let units = u32::try_from(bytes.div_ceil(UNIT_BYTES)).map_err(|_| OverBudget)?;
        let permit = Arc::clone(&self.units).try_acquire_many_owned(units).map_err(|_| OverBudget)?;
        Ok(HeldBytes { permit, bytes })
    }

    /// The whole budget, in bytes.
    #[must_use]
    pub const fn total_bytes(&self) -> usize {
        self.total_bytes
    }

    /// What is left of it, in bytes.
    #[must_use]
    pub fn free_bytes(&self) -> usize {
        self.units.available_permits().saturating_mul(UNIT_BYTES)
    }
}

/// Bytes taken out of the budget; dropping gives them back.
#[derive(Debug)]
#[must_use = "the bytes go back to the budget when this is dropped"]
pub struct HeldBytes {
    permit: OwnedSemaphorePermit,
    bytes: usize,
}

impl HeldBytes {
    /// How many bytes are held.
    #[must_use]
    pub const fn bytes(&self) -> usize {
        self.bytes
    }

    /// Holds so many bytes from here on, more or fewer than before.
    ///
    /// # Errors
    /// When it is more and the rest of the budget does not cover the difference; what is held stays.
    pub fn resize(&mut self, budget: &ByteBudget, bytes: usize) -> Result<(), OverBudget> {
        let (here, wanted) = (self.permit.num_permits(), bytes.div_ceil(UNIT_BYTES));
        if wanted > here {
            let more = budget.hold((wanted - here) * UNIT_BYTES)?;
            self.permit.merge(more.permit);
        } else {
            drop(self.permit.split(here - wanted));
        }
        self.bytes = bytes;
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_held_comes_back_and_the_budget_is_never_exceeded() {
        let budget = ByteBudget::new(10 * UNIT_BYTES);
        let mut held = budget.hold(6 * UNIT_BYTES).unwrap();
        assert_eq!(budget.hold(5 * UNIT_BYTES).unwrap_err(), OverBudget);
        assert_eq!(held.resize(&budget, 11 * UNIT_BYTES), Err(OverBudget));
        assert_eq!(held.bytes(), 6 * UNIT_BYTES);
        held.resize(&budget, 10 * UNIT_BYTES).unwrap();
        assert_eq!(budget.free_bytes(), 0);
        held.resize(&budget, 1).unwrap();
        assert_eq!(budget.free_bytes(), 9 * UNIT_BYTES);
        drop(held);
        assert_eq!(budget.free_bytes(), 10 * UNIT_BYTES);
    }
}
