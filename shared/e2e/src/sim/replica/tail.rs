//! How a replica follows the log of changes and tells relays, as `control-plane/src/publish/tail.rs` and `rpc/config.rs` do.

use std::collections::BTreeSet;

use sluice_control_plane::leases::Proof;
use sluice_control_plane::publish::Head;
use sluice_domain::TokenId;
use sluice_snapshot::{Delta, ResourceKey, Snapshot, Version};

use super::super::Mutant;
use super::super::ledger::{Line, Logged};
use super::super::wire::Down;
use super::super::world::{Event, World};
use super::{POLL, Stream};

impl World {
    /// The log is looked at.
    pub(in super::super) fn look(&mut self, number: usize) {
        if !self.replicas[number].is_up {
            return;
        }
        if self.away_until > self.now {
            return;
        }
        let (known, head) = (self.replicas[number].head(), self.seen_head());
        if known == head {
            return;
        }
        if self.ledger.has_lost(&known) {
            return self.went_back(number, &Proof::Configuration(known));
        }
        let (here, Head { version: head, stamp }) = (known.version, head);
        if here.lineage != head.lineage {
            return self.reload_for_all(number);
        }
        let lines = self.ledger.config.log.range(here.seq + 1..);
        let lines: Vec<(i64, Logged)> = lines.map(|(seq, Line { logged, .. })| (*seq, *logged)).collect();
        if !self.has(Mutant::SeqByAutoIncrement) && i64::try_from(lines.len()).is_ok_and(|count| count != head.seq - here.seq) {
            return self.reload(number);
        }
        let delta = self.delta(&here, &head, &lines);
        if self.replicas[number].state.apply(delta.0.clone()).is_err() {
            return self.reload(number);
        }
        self.replicas[number].stamp = stamp;
        let streams: Vec<(usize, Stream)> =
            self.replicas[number].streams.iter().map(|(relay, stream)| (*relay, stream.clone())).collect();
        for (relay, stream) in streams {
            self.pass_on(number, relay, &stream, (&head, &lines), &delta);
        }
    }

    fn delta(&self, here: &Version, head: &Version, lines: &[(i64, Logged)]) -> (Delta, Vec<TokenId>) {
        let (mut channels, mut tokens) = (BTreeSet::new(), BTreeSet::new());
        for (_, logged) in lines {
            match logged {
                Logged::Channel(id, _) => drop(channels.insert(*id)),
                Logged::Token(id, _) => drop(tokens.insert(*id)),
                Logged::Credit(_) | Logged::Recall(_) => {}
            }
        }
        let upserts = channels.iter().filter_map(|id| self.ledger.channel(*id)).collect();
        let delta = Delta { from: here.clone(), to: head.clone(), upserts, deletes: Vec::<ResourceKey>::new() };
        (delta, tokens.into_iter().collect())
    }

    /// Revocations first, on their own lane; then the change, if the relay is where it starts.
    fn pass_on(
        &mut self,
        number: usize,
        relay: usize,
        stream: &Stream,
        (head, lines): (&Version, &[(i64, Logged)]),
        (delta, tokens): &(Delta, Vec<TokenId>),
    ) {
        for (seq, logged) in lines {
            let urgent = match logged {
                Logged::Channel(id, true) => Down::DenyChannel(*id, head.seq),
                Logged::Token(id, true) => Down::DenyToken(*id, self.ledger.tokens.get(id).map_or(0, |row| row.rev), head.seq),
                Logged::Credit(account) => Down::Credit(*account),
                Logged::Recall(account) => Down::Recall(*account, *seq),
                Logged::Channel(_, false) | Logged::Token(_, false) => continue,
            };
            self.reply(number, relay, stream.session, urgent);
        }
        if stream.sent == delta.from {
            let tokens = tokens.iter().filter_map(|id| self.ledger.identity(*id)).map(|(token, _)| token).collect();
            self.set_sent(number, relay, head.clone());
            self.reply(number, relay, stream.session, Down::Delta(delta.clone(), tokens));
        } else if stream.sent.lineage != head.lineage || stream.sent.seq < head.seq {
            self.send_snapshot(number, relay);
        }
    }

    fn set_sent(&mut self, number: usize, relay: usize, version: Version) {
        if let Some(stream) = self.replicas[number].streams.get_mut(&relay) {
            stream.sent = version;
        }
    }

    /// The head as a replica reads it.
    fn seen_head(&self) -> Head {
        let head = self.ledger.head();
        if self.has(Mutant::StampIgnored) { head.version.into() } else { head }
    }

    pub(super) fn reload(&mut self, number: usize) {
        let (head, resources) = (self.seen_head(), self.ledger.resources());
        let replica = &mut self.replicas[number];
        if replica.state.version().lineage != head.version.lineage {
            // what is remembered of one history is not used in another
            replica.acknowledged.clear();
            replica.verdicts.clear();
        }
        replica.stamp = head.stamp;
        replica.state = Snapshot::new(head.version, resources).0;
    }

    /// Everything is read anew, and every relay is sent it.
    pub(super) fn reload_for_all(&mut self, number: usize) {
        self.reload(number);
        let relays: Vec<usize> = self.replicas[number].streams.keys().copied().collect();
        for relay in relays {
            self.send_snapshot(number, relay);
        }
    }

    pub(super) fn send_snapshot(&mut self, number: usize, relay: usize) {
        let Some(session) = self.replicas[number].streams.get(&relay).map(|stream| stream.session) else { return };
        let state = &self.replicas[number].state;
        let version = state.version().clone();
        let upsert = |(key, entry): (&ResourceKey, &sluice_snapshot::Entry)| {
            let resource = entry.resource.clone().ok_or_else(String::new);
            sluice_snapshot::Upsert { key: key.clone(), hash: entry.hash, resource }
        };
        let upserts = state.entries().map(upsert).collect();
        self.set_sent(number, relay, version.clone());
        self.reply(number, relay, session, Down::Snapshot(version, upserts));
        self.send_page(number, relay);
    }

    pub(super) fn send_page(&mut self, number: usize, relay: usize) {
        let Some(session) = self.replicas[number].streams.get(&relay).map(|stream| stream.session) else { return };
        let ids: Vec<TokenId> = self.ledger.tokens.keys().copied().collect();
        let identities = ids.iter().filter_map(|id| self.ledger.identity(*id)).collect();
        let as_of = self.ledger.config.seq;
        self.reply(number, relay, session, Down::Page(as_of, identities));
    }

    pub(in super::super) fn beat(&mut self, number: usize) {
        if !self.replicas[number].is_up {
            return;
        }
        self.after(1_000, Event::Beat { replica: number });
        self.after(1, Event::Look { replica: number });
        let state = &self.replicas[number].state;
        let (version, hash) = (state.version().clone(), state.hash());
        let streams: Vec<_> = self.replicas[number].streams.iter().map(|(relay, stream)| (*relay, stream.clone())).collect();
        for (relay, stream) in streams {
            if self.ledger.is_fenced(&stream.life) && !self.has(Mutant::AcceptOldEpoch) {
                self.replicas[number].streams.remove(&relay);
                self.reply(number, relay, stream.session, Down::Superseded);
                continue;
            }
            self.reply(number, relay, stream.session, Down::Heartbeat(version.clone(), hash));
        }
    }

    /// Writes a line of the log, in a transaction of its own.
    pub(in super::super) fn write(&mut self, logged: Logged) -> i64 {
        let seq = self.ledger.log(logged);
        self.wrote();
        seq
    }

    /// A line of the log was committed: what the configuration is there is remembered, and replicas see it soon.
    pub(in super::super) fn wrote(&mut self) {
        let (version, resources) = (self.ledger.version(), self.ledger.resources());
        let snapshot: (Snapshot, _) = Snapshot::new(version.clone(), resources);
        self.truth.remember_hash(&version, snapshot.0.hash());
        self.is_dirty = true;
        for replica in 0..self.replicas.len() {
            let wait = self.dice.between(1, POLL);
            self.after(wait, Event::Look { replica });
        }
    }
}
