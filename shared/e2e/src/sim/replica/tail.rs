//! How a replica follows the log of changes and tells relays: what [`Look`] asks for is read from the ledger, and what [`Follower`] says is
//! sent, as `control-plane/src/publish/tail.rs` and `rpc/config.rs` do.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use sluice_control_plane::publish::log::Changed;
use sluice_control_plane::publish::{Change, Head, Logged as LogRead, Look, News, Next, Push, Revoked, Rows, State, Wanted};
use sluice_domain::TokenId;
use sluice_rpc::identity::Change as Identity;
use sluice_rpc::resource::{decode, encode};
use sluice_snapshot::{Delta, ResourceKey, Token, Upsert};

use super::super::Mutant;
use super::super::ledger::{Line, Logged};
use super::super::wire::Down;
use super::super::world::{Event, World};

impl World {
    /// It is time to look at the log, unless that was done in between.
    pub(in super::super) fn look_in_time(&mut self, number: usize) {
        if self.replicas[number].looks_at == self.now {
            self.look(number);
        }
    }

    /// The log is looked at, and is the next time after a while.
    pub(in super::super) fn look(&mut self, number: usize) {
        if !self.replicas[number].is_up {
            return;
        }
        if self.away_until <= self.now {
            self.look_now(number);
        }
        let replica = &mut self.replicas[number];
        let wait = millis(replica.pace.wait(Duration::from_millis(self.now)));
        replica.looks_at = self.now + wait;
        self.after(wait, Event::LookInTime { replica: number });
    }

    fn look_now(&mut self, number: usize) {
        let look = Look::new(Arc::clone(&self.replicas[number].state));
        let head = self.seen_head();
        let mut next = look.head(&head);
        loop {
            next = match next {
                Next::Rest => return,
                Next::Stamp(seq) => look.stamp(&head, self.ledger.config.log.get(&seq).map(|line| line.stamp)),
                Next::Log(above) => look.log(&head, &self.logged_above(above, &head)),
                Next::Rows(wanted) => {
                    let rows = self.read_rows(&look, &wanted);
                    let (change, state) = look.change(head, &wanted, rows);
                    let replica = &mut self.replicas[number];
                    replica.pace.found(&change, Duration::from_millis(self.now));
                    replica.state = Arc::new(state);
                    return self.has_news(number, &News::Change(Arc::new(change)));
                }
                Next::All => return self.reload_for_all(number),
                Next::WentBack(proof) => return self.went_back(number, &proof),
            };
        }
    }

    fn logged_above(&self, seq: i64, head: &Head) -> LogRead {
        let first = if self.has(Mutant::TailSkipsOne) { seq + 2 } else { seq + 1 };
        let lines = self.ledger.config.log.range(first..=head.version.seq.max(first));
        let changed = |(_, Line { logged, .. }): (&i64, &Line)| match logged {
            Logged::Channel(id, _) => Changed::Channel(*id),
            Logged::Token(id, _) => Changed::Token(*id),
            Logged::Credit(account) => Changed::Account(*account),
            Logged::Recall(account) => Changed::Recall(*account),
        };
        let seqs = lines.clone().count();
        let is_deaf = [Mutant::SeqByAutoIncrement, Mutant::TailSkipsOne, Mutant::TrimmedLogTaken].map(|mutant| self.has(mutant));
        let expected = usize::try_from(head.version.seq - seq).unwrap_or(0);
        LogRead {
            changes: lines.map(changed).collect(),
            seqs: if is_deaf.contains(&true) { expected } else { seqs },
            is_cut: false,
        }
    }

    fn read_rows(&self, look: &Look, wanted: &Wanted) -> Rows {
        let channel = |key: &ResourceKey| match key {
            ResourceKey::Channel(id) => self.ledger.channel(*id),
            _ => None,
        };
        let upserts = wanted.keys.iter().filter_map(channel).collect::<Vec<_>>();
        debug_assert!(look.missing(wanted, &upserts).is_empty(), "channels stay");
        let identities = wanted.tokens.iter().filter_map(|id| self.ledger.identity(*id));
        let account = |id| self.ledger.accounts.get(id).map(|account| (*id, account.rev));
        Rows {
            upserts,
            unreadable: BTreeSet::new(),
            tokens: identities.map(|(token, _)| Identity::Is(token)).collect(),
            users: Vec::new(),
            accounts: wanted.accounts.iter().filter_map(account).collect(),
        }
    }

    /// Whoever listens at this replica hears something: the desk, and the streams of its relays.
    pub(super) fn has_news(&mut self, number: usize, news: &News) {
        if self.replicas[number].desk.hears(news) {
            self.decide_after(number, 0);
        }
        let relays: Vec<(usize, u64)> =
            self.replicas[number].streams.iter().map(|(relay, stream)| (*relay, stream.session)).collect();
        for (relay, session) in relays {
            // who is too slow to take it in misses it
            let is_missed = !self.is_quiet && self.dice.permille(self.plan.links.missed);
            let heard = (!is_missed).then_some(news);
            if let Some(news) = heard {
                self.say_urgent(number, (relay, session), news);
            }
            self.pass_on(number, (relay, session), heard);
        }
    }

    /// Revocations, money that came in and money that is asked back, on their own lane.
    fn say_urgent(&mut self, number: usize, (relay, session): (usize, u64), news: &News) {
        let (seq, urgent): (i64, &[Revoked]) = match news {
            News::Change(change) => (change.to.seq, &change.urgent),
            News::Urgent(urgent) => (0, urgent),
            News::Reload => return,
        };
        for revoked in urgent {
            let down = match *revoked {
                Revoked::Channel(id, _) => Down::DenyChannel(id, seq),
                Revoked::Token(id, rev) => Down::DenyToken(id, rev, seq),
                Revoked::User(..) => continue,
                Revoked::Credit(account, _) => Down::Credit(account),
                Revoked::Recall(account) => Down::Recall(account, seq),
            };
            self.reply(number, relay, session, down);
        }
    }

    fn pass_on(&mut self, number: usize, (relay, session): (usize, u64), news: Option<&News>) {
        let replica = &self.replicas[number];
        let Some(stream) = replica.streams.get(&relay) else { return };
        match stream.follower.told(news, replica.state.version()) {
            Push::Nothing => {}
            Push::Everything => self.send_snapshot(number, relay),
            Push::Change(change) => {
                if let Some(stream) = self.replicas[number].streams.get_mut(&relay) {
                    stream.follower.was_sent(change.to.clone());
                }
                let (delta, tokens) = delta_of(&change);
                self.reply(number, relay, session, Down::Delta(delta, tokens));
            }
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
        }
        replica.state = Arc::new(State::new(head, resources));
    }

    /// Everything is read anew, and everybody who listens takes it whole.
    pub(super) fn reload_for_all(&mut self, number: usize) {
        self.reload(number);
        self.has_news(number, &News::Reload);
    }

    pub(super) fn send_snapshot(&mut self, number: usize, relay: usize) {
        let state = Arc::clone(&self.replicas[number].state);
        let Some(stream) = self.replicas[number].streams.get_mut(&relay) else { return };
        stream.follower.was_sent(state.version().clone());
        let session = stream.session;
        let upserts = state.resources().map(|known| upsert_of(&known.resource, known.rev)).collect();
        self.reply(number, relay, session, Down::Snapshot(state.version().clone(), upserts));
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

    /// A line of the log was committed: what the configuration is there is remembered. Whoever wrote it pokes one replica, the others see it
    /// when they look.
    pub(in super::super) fn wrote(&mut self) {
        let state = State::new(self.ledger.head(), self.ledger.resources());
        self.truth.remember_hash(state.version(), state.hash());
        self.is_dirty = true;
        let replica = self.dice.place(self.replicas.len());
        self.after(1, Event::Look { replica });
    }

    /// The oldest lines of the log are let go.
    pub(in super::super) fn trim(&mut self) {
        if self.is_quiet {
            return;
        }
        self.again(self.plan.trims, Event::Trim);
        let kept = self.dice.amount(0, 3);
        let first = self.ledger.config.seq - kept;
        self.ledger.config.log = self.ledger.config.log.split_off(&first);
    }
}

fn upsert_of(resource: &sluice_snapshot::Resource, rev: i64) -> Upsert {
    decode(&encode(resource, rev)).expect("what the control plane encodes a relay decodes")
}

fn delta_of(change: &Change) -> (Delta, Vec<Token>) {
    let upserts = change.upserts.iter().map(|known| upsert_of(&known.resource, known.rev)).collect();
    let delta = Delta { from: change.from.clone(), to: change.to.clone(), upserts, deletes: change.deletes.clone() };
    let is = |token: &Identity<Token, TokenId>| match token {
        Identity::Is(token) => Some(token.clone()),
        Identity::Gone { .. } => None,
    };
    (delta, change.tokens.iter().filter_map(is).collect())
}

fn millis(time: Duration) -> u64 {
    u64::try_from(time.as_millis()).unwrap_or(u64::MAX)
}
