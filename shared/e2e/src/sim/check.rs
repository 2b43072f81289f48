//! The checkers: each property of protocol.md part C that the simulation can see, looked at after every event.

use std::collections::BTreeMap;
use std::sync::Arc;

use sluice_control_plane::leases::{Ask, Life, Pending, Said, State};
use sluice_control_plane::pure::Lease;
use sluice_control_plane::settlement::Batch;
use sluice_domain::{AccountId, LeaseId, Outcome, Quota, Record};
use sluice_relay_node::spool::{Batch as Report, BatchLimits, ReadError};

use super::Property;
use super::ledger::TokenRow;
use super::truth::{Fact, Log, Open, Refusal};
use super::world::World;

/// A refusal may rest on what was true this long ago: the verdict's life, the wait for a recall, and messages under way.
const REFUSAL_MEMORY: u64 = 6_000;
/// One in so many messages is applied twice, to see that this changes nothing.
const REPLAYS: u64 = 120;

impl World {
    /// What must hold between any two events.
    pub(super) fn check_now(&mut self) {
        if !std::mem::take(&mut self.is_dirty) || self.failure.is_some() {
            return;
        }
        self.check_conservation();
        self.check_overspend();
        self.check_books();
        self.note_unreserved();
    }

    /// P1: everything that was put into an account is in its balance, leased, in doubt or spent.
    fn check_conservation(&mut self) {
        let mut sums: BTreeMap<AccountId, (i64, i64)> = BTreeMap::new();
        for lease in self.ledger.leases.values().map(|kept| &kept.lease) {
            let sum = sums.entry(lease.account).or_default();
            match lease.state {
                State::Open => sum.0 += lease.remainder(),
                State::InDoubt => sum.1 += lease.remainder(),
                State::Closed => {}
            }
        }
        let mut broken = None;
        for account in self.ledger.accounts.values() {
            let (leased, in_doubt) = sums.get(&account.id).copied().unwrap_or_default();
            let credits = self.ledger.credits.get(&account.id).copied().unwrap_or(0);
            let spent = self.ledger.spent.get(&account.id).copied().unwrap_or(0);
            if (account.leased, account.in_doubt) != (leased, in_doubt) || credits != account.total() + spent {
                broken = Some(format!(
                    "account {}: credits {credits}, balance {}, leased {} (leases say {leased}), in doubt {} ({in_doubt}), spent {spent}",
                    account.id, account.balance, account.leased, account.in_doubt
                ));
            }
        }
        if let Some(what) = broken {
            self.fail(Property::Conservation, what);
        }
    }

    /// P4: nothing is spent that was not put in, and nothing is charged to a balance without a lease unless leases were given up.
    fn check_overspend(&mut self) {
        let may_be_late = self.truth.has_restored || self.truth.has_released;
        let mut broken = None;
        for account in self.ledger.accounts.values() {
            let is_limit = |token: &TokenRow| token.cap == account.id && token.is_capped || token.uses == Some(account.id);
            let limits = account.is_wallet || self.ledger.tokens.values().any(is_limit);
            let late = self.ledger.late.get(&account.id).copied().unwrap_or(0);
            if limits && late > 0 && !may_be_late {
                broken = Some(format!("{late} were charged to account {} without a lease", account.id));
            }
            if limits && account.total() + late < 0 {
                broken = Some(format!("account {} spent {} more than it had", account.id, -account.total()));
            }
        }
        if let Some(what) = broken {
            self.fail(Property::Overspend, what);
        }
    }

    /// P2: a relay's book and the ledger tell the same story of each lease.
    fn check_books(&mut self) {
        let mut broken = None;
        for relay in &self.relays {
            let Some(live) = &relay.live else { continue };
            let mut reserved: BTreeMap<LeaseId, i64> = BTreeMap::new();
            for (_, lease, amount) in live.running.values().flat_map(|running| running.reservation.parts()) {
                *reserved.entry(lease).or_default() += amount.get();
            }
            let is_same_history = *live.config.version().lineage == *self.ledger.lineage;
            let is_gone = self.truth.went_back_in(&live.config.version().lineage);
            // until it is noticed that the database went back, one id may be that of two leases, and requests run on both
            for held in live.book.held().filter(|held| !is_gone || !self.truth.is_two(held.lease)) {
                let sum = held.free.get() + held.reserved.get() + held.charged.get() + held.returned.get();
                if held.granted.get() != sum || held.free < Quota::ZERO || held.reserved < Quota::ZERO {
                    broken = Some(format!("{}: lease {} does not add up: {held:?}", relay.node, held.lease));
                }
                let expected = reserved.get(&held.lease).copied().unwrap_or(0);
                if held.reserved.get() != expected {
                    broken = Some(format!(
                        "{}: lease {} has {} set aside, requests have {expected}",
                        relay.node, held.lease, held.reserved
                    ));
                }
                let Some(kept) = self.ledger.leases.get(&held.lease).filter(|_| is_same_history) else { continue };
                let lease = &kept.lease;
                let may_be_over = self.truth.has_released || self.truth.has_restored;
                let is_over = lease.state == State::Closed && !may_be_over && !live.known_void.contains(&held.lease);
                let is_ahead = lease.settled > held.charged.get() || lease.returned > held.returned.get();
                let is_own = lease.life == live.life;
                if is_own && !self.truth.has_restored && (is_over || is_ahead || lease.granted != held.granted.get()) {
                    broken = Some(format!("{}: lease {} in the book {held:?}, in the ledger {lease:?}", relay.node, held.lease));
                }
            }
        }
        if let Some(what) = broken {
            self.fail(Property::Leases, what);
        }
    }

    /// For P5: what nobody uses of each account, at the least. Money under way between relay and ledger is not counted.
    fn note_unreserved(&mut self) {
        let accounts: Vec<AccountId> = self.ledger.accounts.keys().copied().collect();
        for account in accounts {
            let mut sum = self.ledger.accounts[&account].available();
            for number in 0..self.relays.len() {
                let boot = self.relays[number].hands.boot.load(std::sync::atomic::Ordering::Relaxed);
                let Some(live) = &self.relays[number].live else { continue };
                if *live.config.version().lineage != *self.ledger.lineage {
                    continue;
                }
                // a book is as of the last time its clock was set: what expired since is not to be counted
                let boot = boot.max(self.relays[number].boot_at(self.now));
                let waiting = live.waiting.values().flat_map(|one| one.wish.claims(one.wish.most));
                let more =
                    |one: &super::relay::Running| Some(one.wish.in_quota(one.extending.as_ref()?.more).collect::<Vec<_>>());
                let claims = waiting.chain(live.running.values().filter_map(more).flatten());
                let awaited: i64 = claims.filter(|claim| claim.account == account).map(|claim| claim.amount.get()).sum();
                let coming = self.under_way_to(live, account);
                sum += (live.book.available(account, boot).get() + coming - awaited).max(0);
            }
            self.truth.note_unreserved(account, self.now, sum);
        }
    }

    /// Money of an account that was granted to a relay and has not arrived.
    fn under_way_to(&self, live: &super::relay::Live, account: AccountId) -> i64 {
        let of_account = |lease: &&Lease| lease.account == account && lease.life == live.life && lease.state == State::Open;
        let granted = self.ledger.leases.values().map(|kept| &kept.lease).filter(of_account);
        let is_unknown = |lease: &&Lease| !live.known_leases.contains(&lease.id);
        granted.filter(is_unknown).map(Lease::remainder).sum()
    }

    /// P5 and P20: "exhausted" is said only when the ledger said so, and only when it was so.
    pub(super) fn check_refusal(&mut self, relay: usize, refusal: Refusal) {
        let Refusal { account, need } = refusal;
        // what was said while it slept is heard when it wakes
        let since = self.now.saturating_sub(REFUSAL_MEMORY + self.relays[relay].slept);
        if self.truth.ruling(account).is_none_or(|at| at < since) {
            return self.fail(
                Property::UnknownIsNotNo,
                format!("relay {relay} says that account {account} is exhausted, and the ledger never did"),
            );
        }
        let least = self.truth.least_unreserved(account, since);
        if least >= need && !self.truth.has_restored {
            self.fail(
                Property::FalseRefusal,
                format!("relay {relay} refuses {need} of account {account}, of which {least} were free all the time"),
            );
        }
    }

    /// P18: what is reserved is in leases that are this relay's and in their life.
    pub(super) fn check_reserved(&mut self, number: usize, parts: &[(AccountId, LeaseId, Quota)]) {
        self.is_dirty = true;
        let wall = self.wall();
        let Some(live) = self.relays[number].live.as_ref() else { return };
        if *live.config.version().lineage != *self.ledger.lineage {
            return;
        }
        let mut broken = None;
        for (_, id, amount) in parts {
            // until that is noticed, relays go on with leases that a database that went back knows nothing of
            if self.truth.is_two(*id) && self.truth.went_back_in(&self.ledger.lineage) {
                continue;
            }
            if live.known_void.contains(id) {
                broken = Some(format!("relay {number} sets {amount} aside in lease {id}, which is void"));
            }
            let Some(kept) = self.ledger.leases.get(id) else {
                broken = Some(format!("relay {number} sets {amount} aside in lease {id}, which nobody granted"));
                continue;
            };
            // nor that it was renewed
            if wall >= kept.expires_at && !self.truth.went_back_in(&self.ledger.lineage) {
                broken = Some(format!("relay {number} sets {amount} aside in lease {id}, which is over"));
            }
            if kept.lease.life.node != live.life.node {
                broken = Some(format!("relay {number} sets {amount} aside in lease {id} of {}", kept.lease.life.node));
            }
        }
        if let Some(what) = broken {
            self.fail(Property::Fencing, what);
        }
    }

    /// P3 and P4: every settled request is one that was sent, at what it cost, and no request is settled twice.
    pub(super) fn check_settled(&mut self, life: &Life) {
        let mut broken = None;
        let mut seen: BTreeMap<u64, i64> = BTreeMap::new();
        for ((known, seq), row) in &self.ledger.settled {
            let Some(number) = request_number(row.request.as_str()) else { continue };
            if let Some(before) = seen.insert(number, *seq) {
                broken = Some(format!("request {number} is settled twice, at {before} and at {seq}"));
            }
            if known != life {
                continue;
            }
            let Some(sent) = self.truth.sent.get(&number) else {
                broken = Some(format!("request {number} is settled and was never sent"));
                continue;
            };
            let is_right =
                sent.cost == Some(row.quota) || sent.cost.is_none() && sent.progress.contains(&row.quota.unsigned_abs());
            if !is_right {
                broken = Some(format!(
                    "request {number} is settled at {}, it cost {:?}, progress {:?}",
                    row.quota, sent.cost, sent.progress
                ));
            }
        }
        if let Some(what) = self.set_aside().filter(|_| !self.truth.has_jumped) {
            broken = Some(what);
        }
        if let Some(what) = broken {
            self.fail(Property::ExactlyOnce, what);
        }
    }

    /// The leases that the end of a damaged life leaves: what of them was used is not known.
    pub(super) fn open_of(&self, life: &Life, batch: &Batch) -> Vec<LeaseId> {
        let is_end = batch.is_damaged && batch.epoch_ended && batch.records.is_empty();
        let of_life = self.ledger.leases.values().map(|kept| &kept.lease).filter(|lease| is_end && lease.life == *life);
        of_life.filter(|lease| lease.state == State::Open).map(|lease| lease.id).collect()
    }

    /// P2: money of which nobody knows whether it was used is not free.
    pub(super) fn check_doubted(&mut self, life: &Life, doubtful: &[LeaseId]) {
        let is_closed = |id: &&LeaseId| self.ledger.leases.get(id).is_some_and(|kept| kept.lease.state == State::Closed);
        if let Some(lease) = doubtful.iter().find(is_closed).copied() {
            self.fail(Property::Leases, format!("{} lost a part of its log, and its lease {lease} is closed", life.node));
        }
    }

    /// A record that was set aside, but for those that a disk lost.
    pub(super) fn set_aside(&self) -> Option<String> {
        let is_lost = |reason: &str| reason == "unreadable" && (self.truth.has_damage() || self.truth.has_restored);
        let ((life, seq), reason) = self.ledger.quarantined.iter().find(|(_, reason)| !is_lost(reason))?;
        Some(format!("record {seq} of {} was set aside: {reason}", life.node))
    }

    /// R7, and with it P18: a replica that has heard that more was settled does not go on in a history that has lost it.
    pub(super) fn check_heard(
        &mut self,
        lineage: &Arc<str>,
        (number, life): (usize, &Life),
        next_seq: i64,
        acknowledged: Option<i64>,
    ) {
        let heard = self.truth.heard((number, life), lineage, acknowledged.unwrap_or(0).max(next_seq));
        if heard > next_seq && self.ledger.lineage == *lineage {
            let node = &life.node;
            self.fail(
                Property::Fencing,
                format!("replica {number} heard that {node} was settled to {heard}, it is at {next_seq}, and leases go on"),
            );
        }
    }

    fn replays(&mut self) -> bool {
        self.dice.permille(REPLAYS)
    }

    /// P19: saying it again changes nothing.
    pub(super) fn check_asked_twice(&mut self, ask: &Ask) {
        if self.replays() {
            let before = self.ledger.clone();
            let _ = self.decide(&Pending::new(ask.clone()));
            self.compare_and_put_back(before, "an ask");
        }
    }

    /// P19.
    pub(super) fn check_said_twice(&mut self, life: &Life, returns: &[(LeaseId, Quota)], said: &Said) {
        if self.replays() {
            let before = self.ledger.clone();
            let again = Said { returns: self.totals(returns), ..said.clone() };
            self.ledger.take_back(life, &again);
            self.compare_and_put_back(before, "what a relay gave back");
        }
    }

    /// P19.
    pub(super) fn check_settled_twice(&mut self, life: &Life, batch: &Batch) {
        if self.replays() {
            let before = self.ledger.clone();
            let _ = self.settle_or_mutate(life, batch);
            self.compare_and_put_back(before, "a batch");
        }
    }

    fn compare_and_put_back(&mut self, before: super::Ledger, what: &str) {
        let is_same = self.ledger == before;
        self.ledger = before;
        if !is_same {
            self.fail(Property::Idempotence, format!("{what} said twice changes the ledger"));
        }
    }

    /// Nothing is reported that the loss of power could take back.
    pub(super) fn check_sent(&mut self, number: usize, life: &Life, batch: &Report) {
        let of_life = self.truth.logs.get(&(number, life.epoch.0));
        // an earlier life that is damaged has been mended, and what was mended is synced
        let is_own = self.relays[number].epoch == life.epoch.0;
        let Some(log) = of_life.filter(|log| is_own || !log.is_damaged) else { return };
        let last = usize::try_from(batch.next_seq()).unwrap_or(usize::MAX).saturating_sub(1);
        if last > log.may_be_durable {
            let durable = log.may_be_durable;
            self.fail(Property::Recovery, format!("relay {number} reports record {last}, of which only {durable} are synced"));
        }
    }

    /// P17: what a new life finds of earlier ones is a beginning of what they wrote, and their open requests; nothing is invented.
    pub(super) fn check_recovery(&mut self, number: usize) {
        let Some(live) = self.relays[number].live.as_ref() else { return };
        let own = live.life.epoch.0;
        let mut found = BTreeMap::new();
        for mut log in live.spool.earlier() {
            let (epoch, from) = (log.epoch().0, log.acked_below());
            let mut records = Vec::new();
            let is_damaged = self.truth.is_damaged(number, log.epoch());
            let sought = match log.seek(from) {
                Err(ReadError::Gone { oldest, .. }) if is_damaged => log.seek(oldest),
                sought => sought,
            };
            let read = sought.and_then(|()| {
                while let Some(batch) = log.next_batch(BatchLimits { records: 10_000, bytes: usize::MAX })? {
                    records.extend(batch.records);
                }
                Ok(())
            });
            if let Err(error) = read {
                return self.fail(Property::Recovery, format!("relay {number} cannot read life {epoch}: {error}"));
            }
            found.insert(epoch, (from, records));
        }
        self.truth.born(number, own);
        for (epoch, (from, records)) in found {
            let Some(log) = self.truth.logs.get(&(number, epoch)).cloned() else { continue };
            let is_damaged = log.is_damaged;
            let recovered = if is_damaged { recovered_in_part(&log, from, &records) } else { recovered(&log, from, &records) };
            match recovered {
                Ok(next) => self.take_recovered(number, epoch, &log, next),
                Err(what) => return self.fail(Property::Recovery, format!("relay {number}, life {epoch}: {what}")),
            }
        }
    }

    /// P2 over the death of a process: what a new life can spend of a lease is not more than what was granted less everything that its
    /// records charge and that went back.
    pub(super) fn check_inherited(&mut self, number: usize) {
        let Some(live) = self.relays[number].live.as_ref() else { return };
        let mut broken = None;
        for held in live.book.held() {
            let logs = self.truth.logs.iter().filter(|((relay, _), _)| *relay == number);
            let facts = logs.flat_map(|(_, log)| &log.facts);
            let of_lease = |fact: &Fact| match fact {
                Fact::Final(_, _, charges) => {
                    charges.iter().filter(|charge| charge.lease_id == held.lease).map(|charge| charge.amount.get()).sum()
                }
                Fact::Closed(_) | Fact::Gone => 0,
            };
            let charged: i64 = facts.map(of_lease).sum();
            let Some(kept) = self.ledger.leases.get(&held.lease).filter(|_| !self.truth.is_two(held.lease)) else { continue };
            if held.free.get() > kept.lease.granted - kept.lease.returned - charged {
                broken = Some(format!(
                    "relay {number} goes on with {} of lease {}, of which {} were granted, {charged} charged and {} given back",
                    held.free, held.lease, kept.lease.granted, kept.lease.returned
                ));
            }
        }
        if let Some(what) = broken {
            self.fail(Property::Leases, what);
        }
    }

    fn take_recovered(&mut self, number: usize, epoch: i64, before: &Log, after: Log) {
        let kept: BTreeMap<u64, i64> = finals(&after.facts).collect();
        let was_there = finals(&before.facts).map(|(request, _)| request).chain(before.opens.keys().copied());
        for request in was_there.collect::<Vec<_>>() {
            if let Some(sent) = self.truth.sent.get_mut(&request) {
                match kept.get(&request) {
                    // its end may have been settled before the disk lost it
                    _ if before.is_damaged => {
                        sent.progress.extend(sent.cost.take().map(i64::unsigned_abs));
                        sent.is_lost = true;
                    }
                    Some(cost) => sent.cost = Some(*cost),
                    None => sent.is_lost = true,
                }
            }
        }
        self.truth.logs.insert((number, epoch), after);
    }

    /// The mutant: what recovery ended is reported by the new life, too.
    pub(super) fn report_orphans_again(&mut self, number: usize) {
        let mut orphans = Vec::new();
        let Some(live) = self.relays[number].live.as_ref() else { return };
        for mut log in live.spool.earlier() {
            let from = log.acked_below();
            if log.seek(from).is_err() {
                continue;
            }
            while let Ok(Some(batch)) = log.next_batch(BatchLimits { records: 10_000, bytes: usize::MAX }) {
                let decoded = batch.records.iter().filter_map(|body| sluice_rpc::usage::decode(body).ok());
                orphans.extend(decoded.filter_map(|record| match record {
                    Record::Request(request) if request.outcome == Outcome::Orphaned => Some(*request),
                    _ => None,
                }));
            }
        }
        for orphan in orphans {
            let (Some(live), Some(request)) = (self.relays[number].live.as_ref(), request_number(orphan.request_id.as_str()))
            else {
                return;
            };
            let cost = orphan.usage.output.cast_signed();
            if let Ok(permit) = live.spool.permit() {
                permit.finish(orphan);
                self.truth.finished(number, request, cost, Vec::new());
            }
        }
    }
}

fn finals(facts: &[Fact]) -> impl Iterator<Item = (u64, i64)> + '_ {
    facts.iter().filter_map(|fact| match fact {
        Fact::Final(request, cost, _) => Some((*request, *cost)),
        Fact::Closed(_) | Fact::Gone => None,
    })
}

/// The number of a request by its name.
pub(super) fn request_number(name: &str) -> Option<u64> {
    name.strip_prefix('r')?.parse().ok()
}

/// What a log is after a part of it was lost: whatever is told of it was in it.
fn recovered_in_part(log: &Log, from: u64, bodies: &[Vec<u8>]) -> Result<Log, String> {
    let before = usize::try_from(from).unwrap_or(usize::MAX).saturating_sub(1).min(log.facts.len());
    let mut after = Log { facts: log.facts.get(..before).unwrap_or_default().to_vec(), is_damaged: true, ..Log::default() };
    for body in bodies {
        let fact = match sluice_rpc::usage::decode(body) {
            Ok(Record::LeaseClosed(lease)) if log.facts.contains(&Fact::Closed(lease)) => Fact::Closed(lease),
            Ok(Record::Request(request)) => {
                let number = request_number(request.request_id.as_str()).ok_or("a request nobody sent")?;
                let was_there = log.opens.contains_key(&number) || finals(&log.facts).any(|(known, _)| known == number);
                if !was_there {
                    return Err(format!("request {number} is told, and was not in the log"));
                }
                Fact::Final(number, request.usage.output.cast_signed(), Vec::new())
            }
            Ok(Record::LeaseClosed(lease)) => return Err(format!("lease {lease} is closed, and was not in the log")),
            Err(_) => Fact::Gone,
        };
        after.facts.push(fact);
    }
    after.opens.clone_from(&log.opens);
    after.is_doubted = log.is_doubted;
    (after.durable, after.may_be_durable) = (after.facts.len(), after.facts.len());
    Ok(after)
}

/// What a log is after it was recovered, or what is wrong with that.
fn recovered(log: &Log, from: u64, bodies: &[Vec<u8>]) -> Result<Log, String> {
    let mut kept = usize::try_from(from).unwrap_or(usize::MAX).saturating_sub(1);
    let mut rest = bodies.iter().map(|body| sluice_rpc::usage::decode(body)).peekable();
    while let Some(Ok(record)) = rest.peek() {
        if !log.facts.get(kept).is_some_and(|fact| is_fact(fact, record)) {
            break;
        }
        kept += 1;
        rest.next();
    }
    if kept < log.facts.len() && !(log.is_torn && kept >= log.durable) {
        return Err(format!("{kept} of {} records are left, {} were synced", log.facts.len(), log.durable));
    }
    let mut after = Log {
        facts: log.facts.get(..kept).unwrap_or(&log.facts).to_vec(),
        was_torn: log.was_torn || log.is_torn,
        is_doubted: log.is_doubted,
        ..Log::default()
    };
    let ended: Vec<u64> = finals(&after.facts).map(|(request, _)| request).collect();
    for record in rest {
        let Ok(Record::Request(request)) = record else { return Err("a record that is not an orphan follows a lost one".into()) };
        let number = request_number(request.request_id.as_str()).ok_or("a request nobody sent")?;
        check_orphan(log, number, request.outcome, request.usage.output)?;
        if ended.contains(&number) || finals(&after.facts).any(|(known, _)| known == number) {
            return Err(format!("request {number} ended, and is an orphan too"));
        }
        after.facts.push(Fact::Final(number, request.usage.output.cast_signed(), Vec::new()));
    }
    let must_be_there = |(number, open): &(&u64, &Open)| {
        (open.is_durable || !log.is_torn) && !finals(&after.facts).any(|(known, _)| known == **number)
    };
    if let Some((number, _)) = log.opens.iter().find(must_be_there) {
        return Err(format!("request {number} was sent and is gone"));
    }
    (after.durable, after.may_be_durable) = (after.facts.len(), after.facts.len());
    Ok(after)
}

fn is_fact(fact: &Fact, record: &Record) -> bool {
    match (fact, record) {
        (Fact::Closed(lease), Record::LeaseClosed(found)) => lease == found,
        (Fact::Final(number, cost, _), Record::Request(found)) => {
            request_number(found.request_id.as_str()) == Some(*number) && found.usage.output == cost.unsigned_abs()
        }
        _ => false,
    }
}

fn check_orphan(log: &Log, number: u64, outcome: Outcome, output: u64) -> Result<(), String> {
    if outcome != Outcome::Orphaned {
        return Err(format!("request {number} is told as {outcome:?}, which it never was"));
    }
    let Some(open) = log.opens.get(&number) else {
        // its final record is lost, its intent is not
        let was_final = finals(&log.facts).any(|(known, _)| known == number);
        return if was_final && log.is_torn { Ok(()) } else { Err(format!("request {number} is an orphan and was never open")) };
    };
    let from = if log.is_torn { open.durable_progress.saturating_sub(1) } else { open.progress.len() - 1 };
    let may_be = open.progress.get(from..).unwrap_or_default();
    if may_be.contains(&output) { Ok(()) } else { Err(format!("request {number} is cut off at {output}, not at {may_be:?}")) }
}
