//! How a replica finds out that the database went back, as `publish/tail.rs` and `settlement/settler.rs` do.

use std::sync::Arc;

use sluice_control_plane::leases::{Life, Proof};

use super::super::world::World;
use super::super::{Mutant, Property};

impl World {
    /// Somebody knows more of this history than the database has: another one begins, unless somebody else has begun it already.
    pub(super) fn went_back(&mut self, number: usize, proof: &Proof) {
        if !self.ledger.is_disproved_by(proof) {
            return;
        }
        if !self.truth.went_back_in(&self.ledger.lineage) {
            return self
                .fail(Property::Fencing, format!("replica {number} takes {proof:?} as proof, and the database never went back"));
        }
        self.tell(|| format!("replica {number} finds out that the database went back: {proof:?}"));
        self.begin_history();
        self.counts.noticed += 1;
        self.reload_for_all(number);
    }

    /// Another history begins.
    pub(in super::super) fn begin_history(&mut self) {
        let name = format!("history {}", self.name());
        self.ledger.begin_history(&name);
        self.is_dirty = true;
    }

    /// Takes note how far a life's reports are settled. When more of them had been settled in the same history, as is known here or by the
    /// relay's own word, the database went back.
    pub(super) fn note_settled(&mut self, number: usize, life: &Life, next_seq: i64, told: Option<(Arc<str>, i64)>) {
        let lineage = self.replicas[number].state.version().lineage.clone();
        let acknowledged = told.filter(|(known, _)| *known == lineage).map(|(_, below)| below);
        let before = self.replicas[number].acknowledged.get(life).copied().max(acknowledged);
        match before.filter(|before| *before > next_seq && !self.has(Mutant::SettledFurtherIgnored)) {
            Some(below) => self.went_back(number, &Proof::Settled { lineage: lineage.clone(), life: life.clone(), below }),
            None => drop(self.replicas[number].acknowledged.insert(life.clone(), next_seq)),
        }
        self.check_heard(&lineage, (number, life), next_seq, acknowledged);
    }
}
