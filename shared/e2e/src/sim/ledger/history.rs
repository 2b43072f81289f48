//! Histories of the database, as `control-plane/src/leases/history.rs` begins them.

use sluice_control_plane::leases::{Proof, State};
use sluice_control_plane::publish::{Head, Past};
use sluice_control_plane::pure::Lease;
use sluice_domain::LeaseId;

use super::Ledger;

/// Ids of leases that are left out: more than could have been handed out since a backup.
const SKIPPED: i64 = 1 << 32;

impl Ledger {
    /// Another history begins, and every lease is void.
    pub fn begin_history(&mut self, lineage: &str) {
        self.lineage = lineage.into();
        // ids that were handed out after the backup are in relays' books and spools: none may be handed out again
        self.next_lease += SKIPPED;
        let open = self.leases.values().map(|kept| kept.lease.clone()).filter(|lease| lease.state != State::Closed);
        let open: Vec<Lease> = open.collect();
        self.move_all(&open, State::Closed);
    }

    /// Whether somebody knows what this database does not: so it went back.
    #[must_use]
    pub fn is_disproved_by(&self, proof: &Proof) -> bool {
        match proof {
            Proof::Configuration(known) => self.has_lost(known),
            Proof::Settled { lineage, life, below } => {
                let next = self.cursors.get(life).map_or(1, |cursor| cursor.next_seq);
                self.lineage == *lineage && next < *below
            }
        }
    }

    /// Whether a head that was known is not in this history any more.
    #[must_use]
    pub fn has_lost(&self, known: &Head) -> bool {
        match self.head().past(known) {
            Past::Kept => false,
            Past::Gone => true,
            Past::AskLog => self.config.log.get(&known.version.seq).is_some_and(|line| line.stamp.differs(known.stamp)),
        }
    }

    /// A copy of the past, in place of what is here: whatever is written to it from here on is drawn by other chance.
    #[must_use]
    pub fn gone_back_to(&self, past: &Self) -> Self {
        let mut there = past.clone();
        there.config.draws = self.config.draws + 1;
        there
    }

    /// The leases that were handed out since the past, and those that will be until another history begins, may have the same ids.
    #[must_use]
    pub fn handed_out_twice(&self) -> std::ops::Range<LeaseId> {
        LeaseId::new(self.next_lease)..LeaseId::new(self.next_lease + SKIPPED)
    }
}
