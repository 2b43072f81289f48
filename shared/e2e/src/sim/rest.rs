//! The end of a run: everything at rest, everything settled.

use sluice_control_plane::leases::{self, Life};
use sluice_control_plane::publish::State;
use sluice_domain::Epoch;

use super::Property;
use super::check::request_number;
use super::world::World;

impl World {
    /// Whether nothing is left to do.
    pub(super) fn is_at_rest(&self) -> bool {
        self.unrest().is_none()
    }

    /// What is left to do.
    fn unrest(&self) -> Option<String> {
        for (number, relay) in self.relays.iter().enumerate() {
            let Some(live) = &relay.live else { return Some(format!("relay {number} is not there")) };
            if live.is_draining {
                return Some(format!("relay {number} drains"));
            }
            if !live.running.is_empty() || !live.waiting.is_empty() {
                return Some(format!("relay {number} has requests"));
            }
            if live.book.held().any(|held| held.reserved.is_positive()) {
                return Some(format!("relay {number} has money set aside for nobody"));
            }
            if *live.config.version() != self.ledger.version() {
                return Some(format!(
                    "relay {number} is at {:?}, the ledger at {:?}",
                    live.config.version(),
                    self.ledger.version()
                ));
            }
            if let Some(what) = self.unsettled(number) {
                return Some(what);
            }
        }
        None
    }

    fn unsettled(&self, number: usize) -> Option<String> {
        let node = &self.relays[number].node;
        let newest = self.relays[number].epoch;
        for ((_, epoch), log) in self.truth.logs.range((number, 0)..=(number, newest)).filter(|(_, log)| !log.is_lost) {
            let life = Life { node: node.clone(), epoch: Epoch(*epoch) };
            let cursor = self.ledger.cursors.get(&life);
            let next = cursor.map_or(1, |cursor| cursor.next_seq);
            if log.is_damaged {
                // what it lost has other numbers by now, and what its leases paid is not known
                let is_open = |kept: &&super::ledger::Kept| kept.lease.life == life && kept.lease.state == leases::State::Open;
                let has_ended =
                    cursor.is_some_and(|cursor| cursor.ended) && !self.ledger.leases.values().any(|kept| is_open(&kept));
                if *epoch < newest && !has_ended && !self.truth.went_back_in(&self.ledger.lineage) {
                    return Some(format!("life {epoch} of relay {number}, which is damaged, is not over"));
                }
                continue;
            }
            let end = i64::try_from(log.facts.len()).unwrap_or(i64::MAX) + 1;
            if next < end {
                return Some(format!("life {epoch} of relay {number} is settled to {next} of {end}"));
            }
            if *epoch < newest {
                // that a life ended is forgotten when the database goes back; where nobody notices that, what it left is in doubt in the end
                let is_open = |state: leases::State| {
                    let is_doubted = log.is_doubted && state == leases::State::InDoubt;
                    state != leases::State::Closed && !is_doubted && !self.truth.went_back_in(&self.ledger.lineage)
                };
                let left = self.ledger.leases.values().find(|kept| kept.lease.life == life && is_open(kept.lease.state));
                if let Some(kept) = left {
                    return Some(format!("life {epoch} of relay {number} is over and has lease {}", kept.lease.id));
                }
            }
        }
        None
    }

    /// What must hold when everything had its time.
    pub(super) fn check_end(&mut self) {
        if let Some(what) = self.unrest() {
            return self.fail(Property::Liveness, format!("{what}, a minute after the last fault"));
        }
        self.check_hashes();
        self.check_all_settled();
    }

    /// P7.
    fn check_hashes(&mut self) {
        let hash = State::new(self.ledger.head(), self.ledger.resources()).hash();
        for number in 0..self.relays.len() {
            let other = self.relays[number].live.as_ref().is_some_and(|live| live.config.hash() != hash);
            if other {
                self.fail(Property::Convergence, format!("relay {number} has another configuration than the ledger"));
            }
        }
    }

    /// P3: the set of requests sent is the set of requests settled.
    fn check_all_settled(&mut self) {
        let mut settled = std::collections::BTreeSet::new();
        for row in self.ledger.settled.values() {
            settled.extend(request_number(row.request.as_str()));
        }
        let missing = self.truth.sent.iter().find(|(number, sent)| !sent.is_lost && !settled.contains(*number));
        let missing =
            missing.map(|(number, sent)| format!("request {number} of life {:?} was sent and is not settled", sent.log));
        if let Some(what) = missing.filter(|_| self.set_aside().is_none()) {
            self.fail(Property::ExactlyOnce, what);
        }
    }
}
