//! How long answers were lately, by model: learned from those that came whole.

use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use parking_lot::{Mutex, RwLock};
use sluice_billing::Lengths;

/// Models that are remembered. Of others nothing is learned.
const MAX_MODELS: usize = 1_000;

/// How long answers were lately. Clones are the same memory.
#[derive(Debug, Clone, Default)]
pub struct RecentLengths(Arc<RwLock<HashMap<Box<str>, Arc<OfModel>>>>);

#[derive(Debug, Default)]
struct OfModel {
    lengths: Mutex<Lengths>,
    /// What [`Lengths::usual`] said last, to be read without the lock.
    usual: AtomicU64,
}

impl RecentLengths {
    /// What an answer of this model brought lately, nearly always at most, in tokens; 0 when that is not known.
    #[must_use]
    pub fn usual(&self, model: &str) -> u64 {
        self.0.read().get(model).map_or(0, |known| known.usual.load(Ordering::Relaxed))
    }

    /// One more answer of a model came whole, so many tokens long.
    pub fn learn(&self, model: &str, tokens: u64) {
        let Some(known) = self.known(model) else { return };
        // one answer more or less says nothing: it is not worth waiting for
        if let Some(mut lengths) = known.lengths.try_lock() {
            lengths.add(tokens);
            known.usual.store(lengths.usual(), Ordering::Relaxed);
        }
    }

    fn known(&self, model: &str) -> Option<Arc<OfModel>> {
        if let Some(known) = self.0.read().get(model) {
            return Some(Arc::clone(known));
        }
        let mut models = self.0.write();
        if models.len() >= MAX_MODELS && !models.contains_key(model) {
            return None;
        }
        Some(Arc::clone(models.entry(model.into()).or_default()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_model_has_its_own_lengths_and_there_is_an_end_to_models() {
        let lengths = RecentLengths::default();
        for _ in 0..50 {
            lengths.learn("short", 100);
            lengths.learn("long", 9_000);
        }
        assert_eq!((lengths.usual("short"), lengths.usual("long"), lengths.usual("other")), (112, 10_240, 0));
        for number in 0..2 * MAX_MODELS {
            lengths.learn(&format!("model-{number}"), 1);
        }
        assert_eq!(lengths.0.read().len(), MAX_MODELS);
    }
}
