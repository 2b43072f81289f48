//! How much a job does at once: as much as takes about 20 ms, so that nobody waits long behind it.

use std::time::Duration;

/// What a slice should take at most.
const GOAL: Duration = Duration::from_millis(20);

/// A size that follows how long slices take.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Slices {
    size: u64,
    most: u64,
}

impl Slices {
    /// Begins with a quarter of the most there may be in one slice.
    #[must_use]
    pub const fn new(most: u64) -> Self {
        Self { size: if most < 4 { 1 } else { most / 4 }, most }
    }

    /// How much the next slice takes on; never nothing.
    #[must_use]
    pub const fn size(&self) -> u64 {
        self.size
    }

    /// The last slice took so long: the next is smaller, or may be larger.
    pub fn took(&mut self, time: Duration) {
        if time > GOAL {
            self.size = (self.size / 2).max(1);
        } else if time < GOAL / 4 {
            self.size = (self.size * 2).min(self.most);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn slices_that_take_too_long_become_smaller_and_quick_ones_larger_within_bounds() {
        let mut slices = Slices::new(100);
        assert_eq!(slices.size(), 25);
        let mut after = |millis| {
            slices.took(Duration::from_millis(millis));
            slices.size()
        };
        assert_eq!([after(21), after(10), after(4), after(4), after(0), after(0)], [12, 12, 24, 48, 96, 100]);
        assert!((0..20).map(|_| after(900)).all(|size| size >= 1));
        assert_eq!(after(900), 1);
    }
}
