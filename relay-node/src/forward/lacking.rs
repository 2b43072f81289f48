//! Interfaces that an address was found not to have, though others of its provider may: it is asked at another one for a while.

use parking_lot::RwLock;
use sluice_dialect::Surface;

/// How long an interface that was not found is not asked for again, in milliseconds.
const REMEMBERED_MILLIS: u64 = 10 * 60 * 1_000;

/// What one address lacks, and until when that counts, on the boot clock.
#[derive(Debug, Default)]
pub(super) struct Lacking(RwLock<Vec<(Surface, u64)>>);

impl Lacking {
    /// Whether an interface was not found lately.
    pub(super) fn has(&self, surface: Surface, now_millis: u64) -> bool {
        self.0.read().iter().any(|(known, until)| *known == surface && now_millis < *until)
    }

    /// It was not found.
    pub(super) fn note(&self, surface: Surface, now_millis: u64) {
        let mut known = self.0.write();
        known.retain(|(other, _)| *other != surface);
        known.push((surface, now_millis + REMEMBERED_MILLIS));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_not_found_is_remembered_for_a_while() {
        let lacking = Lacking::default();
        assert!(!lacking.has(Surface::Responses, 5));
        lacking.note(Surface::Responses, 5);
        lacking.note(Surface::Responses, 10);
        assert!(lacking.has(Surface::Responses, 10 + REMEMBERED_MILLIS - 1) && !lacking.has(Surface::Messages, 10));
        assert!(!lacking.has(Surface::Responses, 10 + REMEMBERED_MILLIS));
        assert_eq!(lacking.0.read().len(), 1);
    }
}
