//! Settlement on the reference ledger, as `settlement::Settler` does it on SQL.

use std::collections::{BTreeMap, BTreeSet, HashSet};

use sluice_control_plane::leases::{Life, State};
use sluice_control_plane::pure::{Chain, Cursor, Lease, Orphan, Received, Taken, Tally, Verdict, is_billable, judge, take};
use sluice_control_plane::settlement::rates::Rates;
use sluice_control_plane::settlement::{Batch, Counts, Incoming, Settled};
use sluice_domain::{AccountId, LeaseId, Quota, Record, RequestId, RequestRecord, UnixMillis};

use super::Ledger;

/// A settled request.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SettledRow {
    /// Its name.
    pub request: RequestId,
    /// What it cost.
    pub quota: i64,
    /// When it began, by its relay's clock.
    pub started_at: i64,
}

struct Charged<'a> {
    record: &'a RequestRecord,
    dues: Vec<(AccountId, Quota)>,
}

enum Step<'a> {
    Charge(Charged<'a>),
    Close(LeaseId),
}

impl Ledger {
    /// Settles reports of one life in one transaction.
    pub fn settle(&mut self, rates: &Rates, life: &Life, batches: &[Batch], now: UnixMillis) -> Settled {
        let cursor = *self.cursors.entry(life.clone()).or_insert(Cursor { next_seq: 1, ended: false });
        let mut taken = take(cursor, batches);
        taken.leave_out(&self.settled_of(life));
        if taken.next_seq == cursor.next_seq && !taken.ends {
            return taken.into_settled(cursor, Counts::default(), Vec::new());
        }
        let (steps, mut counts) = self.judge_all(rates, life, &taken, now);
        let richer = self.pay_all(life, &taken, (&steps, now), &mut counts);
        let next = Cursor { next_seq: taken.next_seq, ended: cursor.ended || taken.ends };
        self.cursors.insert(life.clone(), next);
        taken.into_settled(next, counts, richer)
    }

    /// The requests of a life that are settled, as its relay names them when it finds no record of their end.
    fn settled_of(&self, life: &Life) -> HashSet<Orphan> {
        let of_life = self.settled.range((life.clone(), i64::MIN)..=(life.clone(), i64::MAX));
        of_life.map(|(_, row)| (row.request.to_string(), row.started_at)).collect()
    }

    fn judge_all<'a>(&mut self, rates: &Rates, life: &Life, taken: &Taken<'a>, now: UnixMillis) -> (Vec<Step<'a>>, Counts) {
        let (mut steps, mut counts) = (Vec::new(), Counts::default());
        for known in &taken.records {
            let request = match known.record {
                Incoming::Record(Record::LeaseClosed(lease)) => {
                    steps.push(Step::Close(*lease));
                    continue;
                }
                Incoming::Record(Record::Request(request)) => request,
                Incoming::Unreadable { .. } => {
                    self.quarantined.insert((life.clone(), known.seq), "unreadable");
                    counts.quarantined += 1;
                    continue;
                }
            };
            let payer = self.tokens.get(&request.token_id).filter(|token| token.user == request.user_id);
            let chain = Chain {
                wallet: payer.map(|payer| payer.wallet),
                cap: payer.map(|payer| payer.cap),
                uses: payer.and_then(|payer| payer.uses),
            };
            match judge(request, chain, rates, &self.lineage, Received { at: now, sent_at: known.sent_at }) {
                Verdict::Charge { quota, repriced, .. } => {
                    let dues = chain.dues(quota, is_billable(request)).collect();
                    counts.requests += 1;
                    counts.repriced += u64::from(repriced);
                    let (request_id, started_at) = (request.request_id.clone(), request.started_at.0);
                    let row = SettledRow { request: request_id, quota: quota.get(), started_at };
                    self.settled.insert((life.clone(), known.seq), row);
                    steps.push(Step::Charge(Charged { record: request, dues }));
                }
                Verdict::Quarantine(reason) => {
                    self.quarantined.insert((life.clone(), known.seq), reason);
                    counts.quarantined += 1;
                }
            }
        }
        (steps, counts)
    }

    fn is_of(&self, lease: LeaseId, account: AccountId) -> bool {
        self.leases.get(&lease).is_some_and(|kept| kept.lease.account == account)
    }

    fn pay_all(
        &mut self,
        life: &Life,
        taken: &Taken<'_>,
        (steps, now): (&[Step<'_>], UnixMillis),
        counts: &mut Counts,
    ) -> Vec<AccountId> {
        let mut named: BTreeSet<LeaseId> = BTreeSet::new();
        for step in steps {
            match step {
                Step::Close(lease) => drop(named.insert(*lease)),
                Step::Charge(charged) => named.extend(charged.record.charges.iter().map(|charge| charge.lease_id)),
            }
        }
        let not_closed = |lease: &&Lease| lease.life == *life && lease.state != State::Closed;
        let ending = self.leases.values().map(|kept| &kept.lease).filter(|lease| taken.ends && not_closed(lease));
        let ending: Vec<LeaseId> = ending.map(|lease| lease.id).collect();
        named.extend(&ending);
        let known = |id: &LeaseId| self.leases.get(id).map(|kept| (*id, kept.lease.clone()));
        let leases: BTreeMap<LeaseId, Lease> = named.iter().filter_map(known).collect();
        let mut tally = Tally::new(life.node.clone(), leases);
        for step in steps {
            match step {
                Step::Close(lease) => tally.close(*lease),
                Step::Charge(charged) => {
                    let are_ours = *charged.record.config_lineage == *self.lineage;
                    for (account, due) in &charged.dues {
                        tally.charge(*account, *due, &charged.record.charges, are_ours);
                    }
                }
            }
        }
        for lease in ending {
            if taken.is_damaged { tally.doubt(lease) } else { tally.close(lease) }
        }
        let sums = tally.finish();
        counts.late = sums.late;
        counts.closed = sums.closed.len() as u64;
        for (account, shift) in &sums.shifts {
            let on_leases: i64 =
                sums.settled.iter().filter(|(lease, ..)| self.is_of(*lease, *account)).map(|(_, amount, _)| amount).sum();
            *self.late.entry(*account).or_default() += shift.spent - on_leases;
            self.shift(*account, *shift);
        }
        for (lease, settled, _) in &sums.settled {
            if let Some(kept) = self.leases.get_mut(lease) {
                kept.lease.settled += settled;
            }
        }
        for lease in &sums.closed {
            if let Some(kept) = self.leases.get_mut(lease) {
                kept.lease.state = State::Closed;
            }
        }
        for lease in &sums.doubted {
            if let Some(kept) = self.leases.get_mut(lease) {
                (kept.lease.state, kept.doubted_at) = (State::InDoubt, Some(now));
            }
        }
        sums.richer
    }
}
