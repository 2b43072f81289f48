//! What `relay-node/src/link` does with messages: configuration, revocations, identities, and the rest to where it belongs.

use sluice_domain::TokenId;
use sluice_relay_node::view::{Answer, Deny, DenyTarget, Page, Taken};
use sluice_snapshot::{Delta, StateHash, Token, Upsert, User, Version};

use super::super::ledger::digest_of;
use super::super::wire::{Down, Up};
use super::super::world::World;
use super::super::{Mutant, Property};

/// Heartbeats in a row with a head ahead of the relay that mean that a change was missed.
const LAGGING_HEARTBEATS: u32 = 10;
/// How long a wrong hash is given before a snapshot is asked for again.
const REPAIR_PAUSE: u64 = 10_000;

impl World {
    pub(in super::super) fn take_down(&mut self, number: usize, session: u64, down: Down) {
        let now = self.now;
        let Some(life) = self.life_of(number) else { return };
        let Some(live) = self.live(number, life) else { return };
        let Some(known) = live.session.as_mut().filter(|known| known.id == session) else { return };
        known.heard_at = now;
        match down {
            Down::Superseded => self.superseded(number),
            Down::Welcome(lineage) => self.welcome(number, life, &lineage),
            Down::Grant(grant) => self.granted(number, life, grant),
            Down::Refused(grant_seq, verdict) => self.refused(number, life, grant_seq, verdict),
            Down::Renewed(lease) => {
                let millis = u64::try_from(self.plan.terms.life).unwrap_or(0);
                if let Some(live) = self.live(number, life) {
                    live.book.renewed(lease, millis);
                }
                self.note_lease(number, lease);
            }
            Down::Void { leases, closed } => self.voided(number, life, &leases, &closed),
            Down::Overtaken(grant_seq) => self.overtaken(number, life, grant_seq),
            Down::Credit(account) => self.credited(number, life, account),
            Down::Recall(account, seq) => self.recalled(number, life, account, seq),
            Down::DenyChannel(channel, seq) => {
                let is_ignored = self.has(Mutant::DenyIgnored);
                let Some(live) = self.live(number, life) else { return };
                let heard = live.denied.entry(channel).or_insert(seq);
                *heard = seq.max(*heard);
                if !is_ignored && live.config.deny(channel, seq) {
                    live.table = live.config.compile().0.into();
                }
            }
            Down::DenyToken(token, rev, seq) => {
                let is_ignored = self.has(Mutant::DenyIgnored);
                let Some(live) = self.live(number, life) else { return };
                hear(&mut live.heard, token, rev);
                if !is_ignored {
                    live.view.deny(Deny { seq, rev, target: DenyTarget::Token(token) });
                }
            }
            Down::Snapshot(version, upserts) => self.take_snapshot(number, life, &version, upserts),
            Down::Delta(delta, tokens) => self.take_delta(number, life, delta, tokens),
            Down::Page(as_of, identities) => self.take_page(number, life, as_of, identities),
            Down::Heartbeat(version, hash) => self.take_heartbeat(number, life, &version, hash),
            Down::Identity(token, identity, as_of) => self.take_identity(number, life, token, *identity, as_of),
            Down::Settled { stream, epoch, below, goes_back, has_ended, pause } => {
                self.take_settled(number, life, (stream, epoch), (below, goes_back, has_ended, pause));
            }
        }
    }

    fn take_snapshot(&mut self, number: usize, life: u64, version: &Version, upserts: Vec<Upsert>) {
        let goes_back = self.has(Mutant::SnapshotGoesBack);
        let Some(live) = self.live(number, life) else { return };
        let before = live.config.version().clone();
        let is_same_history = before.lineage == version.lineage;
        let is_new = before.lineage.is_empty();
        live.awaits_snapshot = false;
        // overtaken by what came after it; the stream keeps its order, so only the simulation's links do this
        if is_same_history && version.seq < before.seq && !goes_back {
            return;
        }
        live.config.replace(version.clone(), upserts, false);
        live.table = live.config.compile().0.into();
        self.check_config(number, &before);
        if !is_same_history {
            // registration comes first; only the simulation's links let a snapshot overtake it
            self.enter(number, life, &version.lineage);
        }
        if !is_same_history && !is_new {
            let Some(live) = self.live(number, life) else { return };
            live.view.forget_identities();
            live.heard.clear();
            live.denied.clear();
            if let Some(session) = live.session {
                self.cut(number, session.id);
            }
        }
    }

    fn take_delta(&mut self, number: usize, life: u64, mut delta: Delta, tokens: Vec<Token>) {
        let is_gap_ignored = self.has(Mutant::ApplyDeltaWithGap);
        let Some(live) = self.live(number, life) else { return };
        if live.awaits_snapshot {
            return;
        }
        if !tokens.is_empty() && delta.to.lineage == live.config.version().lineage {
            for token in &tokens {
                hear(&mut live.heard, token.id, token.rev);
            }
            live.view.take_changes(delta.to.seq, tokens.into_iter().map(Taken::Is).collect(), Vec::new());
        }
        let before = live.config.version().clone();
        if is_gap_ignored && delta.to.lineage == before.lineage && delta.to.seq > before.seq {
            delta.from = before.clone();
        }
        if live.config.apply(delta, false).is_err() {
            return self.nack(number, life);
        }
        let Some(live) = self.live(number, life) else { return };
        live.table = live.config.compile().0.into();
        self.check_config(number, &before);
    }

    fn nack(&mut self, number: usize, life: u64) {
        let Some(live) = self.live(number, life) else { return };
        live.awaits_snapshot = true;
        live.view.is_missing_some();
        self.tell(|| format!("relay {number} asks for a snapshot"));
        self.send_up(number, Up::Nack);
    }

    fn take_heartbeat(&mut self, number: usize, life: u64, head: &Version, hash: StateHash) {
        let now = self.boot(number);
        let Some(live) = self.live(number, life) else { return };
        live.view.set_fresh(true);
        let here = live.config.version();
        let (beats, seq) = live.lagging;
        let is_lagging = head.lineage == here.lineage && head.seq > here.seq && !live.awaits_snapshot;
        live.lagging = (if is_lagging && seq == here.seq { beats + 1 } else { 0 }, here.seq);
        if live.lagging.0 == LAGGING_HEARTBEATS {
            return self.nack(number, life);
        }
        let Some(live) = self.live(number, life) else { return };
        let is_due = !live.awaits_snapshot && live.told_hash_at.is_none_or(|at| now.saturating_sub(at) >= REPAIR_PAUSE);
        if head == live.config.version() && is_due && hash != live.config.hash() {
            live.told_hash_at = Some(now);
            self.nack(number, life);
        }
    }

    fn take_page(&mut self, number: usize, life: u64, as_of_seq: i64, identities: Vec<(Token, User)>) {
        let Some(live) = self.live(number, life) else { return };
        let (tokens, users): (Vec<_>, Vec<_>) =
            identities.into_iter().map(|(token, user)| (Taken::Is(token), Taken::Is(user))).unzip();
        live.view.take_page(Page { as_of_seq, tokens, users, is_last: true, is_complete: true });
    }

    fn take_identity(&mut self, number: usize, life: u64, token: TokenId, identity: (Token, User), as_of_seq: i64) {
        let caches_older = self.has(Mutant::CacheOlderRev);
        let Some(live) = self.live(number, life) else { return };
        let (found, user) = identity;
        if caches_older {
            // an answer taken for what it was asked for, whatever was heard since
            live.view.forget_identities();
        }
        let as_of_seq = if caches_older { i64::MAX } else { as_of_seq };
        let answer = Answer::Found { token: Box::new(found), user: Box::new(user), as_of_seq };
        if !live.view.answered(&digest_of(token), answer) {
            live.view.not_answered(&digest_of(token));
        }
    }

    /// Sends the questions about keys that requests asked; called once a second and when a key was not known.
    pub(super) fn ask_identities(&mut self, number: usize, life: u64) {
        let tokens: Vec<TokenId> = self.ledger.tokens.keys().copied().collect();
        let Some(live) = self.live(number, life) else { return };
        let mut asked = Vec::new();
        while let Ok(digest) = live.questions.try_recv() {
            asked.extend(tokens.iter().copied().find(|token| digest_of(*token) == digest));
        }
        for token in asked {
            self.send_up(number, Up::Resolve(token));
        }
    }

    /// Whether what a relay has is of a history in which the database never went back: otherwise two things are true at a version, until
    /// that is noticed.
    pub(super) fn has_one_history(&self, number: usize) -> bool {
        let live = self.relays[number].live.as_ref();
        live.is_none_or(|live| !self.truth.went_back_in(&live.config.version().lineage))
    }

    /// The sequence of a configuration never goes back within a history, and what is at a version is what the database had there.
    fn check_config(&mut self, number: usize, before: &Version) {
        let Some(live) = self.relays[number].live.as_ref() else { return };
        let (here, hash) = (live.config.version().clone(), live.config.hash());
        if here.lineage == before.lineage && here.seq < before.seq {
            self.fail(Property::Convergence, format!("relay {number} goes back from {} to {}", before.seq, here.seq));
        }
        if self.has_one_history(number) && self.truth.hash_at(&here).is_some_and(|truth| truth != hash) {
            self.fail(
                Property::Convergence,
                format!("relay {number} has another configuration at {} than the database had", here.seq),
            );
        }
    }
}

fn hear(heard: &mut std::collections::BTreeMap<TokenId, i64>, token: TokenId, rev: i64) {
    let known = heard.entry(token).or_insert(rev);
    *known = rev.max(*known);
}
