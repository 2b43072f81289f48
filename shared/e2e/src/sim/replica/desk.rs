//! How a replica decides about asks: the real desk, with the ledger for its database, as `control-plane/src/rpc/grants.rs` runs it.

use std::time::Duration;

use sluice_billing::lease::{GrantRequest, Verdict};
use sluice_control_plane::leases::{Answer, Ask, Life, Pending, Refused};
use sluice_control_plane::pure::{Reply, Told};

use super::super::ledger::Logged;
use super::super::wire::Down;
use super::super::world::{Event, World};
use super::super::{Mutant, Property};
use super::{Fate, To};

/// How long an ask waits for company.
const GATHER: u64 = 2;
/// P5: an ask is answered within 1 s, the moments between two looks apart.
const LONGEST_ANSWER: u64 = 1_200;

impl World {
    pub(super) fn take_ask(&mut self, number: usize, to: To, life: &Life, request: GrantRequest) {
        let ask = Ask {
            life: life.clone(),
            grant_seq: request.grant_seq,
            account: request.account,
            need: request.need,
            want: request.want.max(request.need),
            up_to_want: request.up_to_want,
        };
        self.replicas[number].asked.push((ask, to));
        self.decide_after(number, GATHER);
    }

    /// The desk has a turn after a while at the latest: one for everything that happens until then.
    pub(super) fn decide_after(&mut self, number: usize, wait: u64) {
        let at = self.now + wait;
        let turns_at = &mut self.replicas[number].turns_at;
        if turns_at.is_none_or(|known| known > at) {
            *turns_at = Some(at);
            self.after(wait, Event::Decide { replica: number });
        }
    }

    /// The desk has a turn, unless it had an earlier one.
    pub(in super::super) fn decide_in_turn(&mut self, number: usize) {
        let turns_at = &mut self.replicas[number].turns_at;
        if *turns_at == Some(self.now) {
            *turns_at = None;
            self.decide_all(number);
        }
    }

    /// Those who wait are looked at, unless that was done in between.
    pub(in super::super) fn decide_in_time(&mut self, number: usize) {
        if self.replicas[number].decides_at == self.now {
            self.decide_all(number);
        }
    }

    /// A turn of the desk.
    fn decide_all(&mut self, number: usize) {
        if !self.replicas[number].is_up {
            return;
        }
        let (at, now) = (self.now, Duration::from_millis(self.now));
        let replica = &mut self.replicas[number];
        let asked = std::mem::take(&mut replica.asked);
        for (ask, _) in &asked {
            replica.unanswered.insert((ask.life.clone(), ask.grant_seq), at);
        }
        let overtaken = replica.desk.take_in(asked, now);
        self.tell_all(number, overtaken);
        if self.replicas[number].desk.looks_again_after().is_none() {
            return;
        }
        let questions = self.replicas[number].desk.questions(now);
        let answers = self.answers_to(number, &questions);
        let told = self.replicas[number].desk.decided(answers, Duration::ZERO, now);
        self.tell_all(number, told);
        self.ask_back(number);
        self.check_answered_in_time(number);
        if let Some(wait) = self.replicas[number].desk.looks_again_after() {
            let wait = u64::try_from(wait.as_millis()).unwrap_or(u64::MAX);
            self.replicas[number].decides_at = at + wait;
            self.after(wait, Event::DecideInTime { replica: number });
        }
    }

    /// One transaction over all questions.
    fn answers_to(&mut self, number: usize, questions: &[Pending]) -> Vec<Option<Answer>> {
        let fate = self.fate();
        let unknown = |world: &Self, pending: &Pending| {
            if world.has(Mutant::AwayIsExhausted) {
                let need = pending.ask.need;
                return Some(Answer::Refused(Refused::Exhausted { need, rev: 0 }));
            }
            Some(Answer::Unknown)
        };
        if fate == Fate::Aborted {
            return questions.iter().map(|pending| unknown(self, pending)).collect();
        }
        let mut answers = Vec::new();
        for pending in questions {
            let is_old = self.ledger.is_fenced(&pending.ask.life);
            let answer = self.answer_to(number, pending);
            self.is_dirty = true;
            if let (true, Some(Answer::Granted(granted))) = (is_old, answer) {
                let node = &pending.ask.life.node;
                self.fail(Property::Fencing, format!("an earlier life of {node} gets lease {}", granted.lease));
            }
            if answer.is_none() {
                let ask = (pending.ask.life.clone(), pending.ask.grant_seq);
                self.replicas[number].unanswered.remove(&ask);
            }
            self.check_asked_twice(&pending.ask);
            answers.push(answer);
        }
        if fate == Fate::Unknown { vec![Some(Answer::Unknown); answers.len()] } else { answers }
    }

    fn answer_to(&mut self, number: usize, pending: &Pending) -> Option<Answer> {
        let ask = &pending.ask;
        let is_presumed = pending.recall_seq == Some(0);
        if is_presumed && self.has(Mutant::VerdictOutlivesCredit) {
            let rev = self.replicas[number].told_at.get(&ask.account).copied().unwrap_or(0);
            return Some(Answer::Refused(Refused::Exhausted { need: ask.need, rev }));
        }
        let mut pending = pending.clone();
        if self.has(Mutant::OneAnswerIsEnough) && self.any_answered(&pending) {
            pending.recall_seq = Some(0);
        }
        pending.is_over &= !self.has(Mutant::WaitsForEver);
        match self.decide(&pending) {
            Some(Answer::Waits { rev }) if self.has(Mutant::ExhaustedWithoutRecall) => {
                Some(Answer::Refused(Refused::Exhausted { need: ask.need, rev }))
            }
            answer => answer,
        }
    }

    /// Decides one question in the ledger.
    pub(in super::super) fn decide(&mut self, pending: &Pending) -> Option<Answer> {
        let wall = self.wall();
        let is_taken =
            self.has(Mutant::GrantWithoutDedupe) || self.has(Mutant::AcceptOldEpoch) && self.ledger.is_fenced(&pending.ask.life);
        if is_taken { Some(self.ledger.grant_new(pending, wall)) } else { self.ledger.grant(pending, wall) }
    }

    fn any_answered(&self, pending: &Pending) -> bool {
        let Some(recall_seq) = pending.recall_seq else { return false };
        let has_answered = |kept: &super::super::ledger::Kept| kept.recall_seq >= recall_seq;
        self.ledger.leases.values().any(|kept| kept.lease.account == pending.ask.account && has_answered(kept))
    }

    fn ask_back(&mut self, number: usize) {
        let now = Duration::from_millis(self.now);
        let accounts = self.replicas[number].desk.to_recall(now);
        let is_down = !accounts.is_empty() && self.fate() == Fate::Aborted;
        if is_down {
            return self.replicas[number].desk.recalled(accounts, None, now);
        }
        // an account for each: the ledger writes one line under a number
        for account in accounts {
            let recall_seq = self.write(Logged::Recall(account));
            self.tell(|| format!("replica {number} recalls account {account}, at {recall_seq}"));
            let first = *self.replicas[number].first_recalls.entry(account).or_insert(recall_seq);
            let recall_seq = if self.has(Mutant::OldRecallIsEnough) { first } else { recall_seq };
            self.replicas[number].desk.recalled([account].into(), Some(recall_seq), now);
            self.after(0, Event::Look { replica: number });
        }
        self.replicas[number].desk.recalled([].into(), None, now);
    }

    fn tell_all(&mut self, number: usize, told: Vec<Told<To>>) {
        for Told { to: (relay, session), ask, reply } in told {
            self.replicas[number].unanswered.remove(&(ask.life.clone(), ask.grant_seq));
            let answer = match reply {
                Reply::Decided(answer) => answer,
                Reply::Superseded => {
                    self.reply(number, relay, session, Down::Overtaken(ask.grant_seq));
                    continue;
                }
            };
            self.tell(|| format!("replica {number} answers relay {relay}, {} of account {}: {answer:?}", ask.need, ask.account));
            self.answer(number, (relay, session), &ask, answer);
        }
    }

    fn answer(&mut self, number: usize, (relay, session): To, ask: &Ask, answer: Answer) {
        let verdict = match answer {
            Answer::Granted(granted) => {
                let grant = self.grant_message(&granted);
                return self.reply(number, relay, session, Down::Grant(grant));
            }
            Answer::Closed(lease) => {
                self.reply(number, relay, session, Down::Void { leases: vec![lease], closed: Vec::new() });
                Verdict::Unavailable
            }
            Answer::Waits { .. } | Answer::Unknown => Verdict::Unavailable,
            Answer::Refused(Refused::Exhausted { need, rev }) => {
                if rev > 0 {
                    self.replicas[number].told_at.insert(ask.account, rev);
                    self.truth.ruled(ask.account, self.now);
                }
                Verdict::Exhausted { need }
            }
            Answer::Refused(Refused::Frozen { .. }) => Verdict::Frozen,
            Answer::Refused(Refused::UnknownAccount) => Verdict::UnknownAccount,
        };
        self.reply(number, relay, session, Down::Refused(ask.grant_seq, verdict));
    }

    /// P5.
    fn check_answered_in_time(&mut self, number: usize) {
        let late = self.replicas[number].unanswered.iter().find(|(_, since)| **since + LONGEST_ANSWER < self.now);
        let late = late.map(|((life, grant_seq), since)| {
            format!("ask {grant_seq} of {} has waited at replica {number} for an answer since {since}", life.node)
        });
        if let Some(what) = late {
            self.fail(Property::FalseRefusal, what);
        }
    }
}
