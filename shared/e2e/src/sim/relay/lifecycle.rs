//! A relay's process from start to death, and its connection.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use sluice_billing::lease::LeaseBook;
use sluice_control_plane::leases::Life;
use sluice_domain::{AccountId, Epoch, Quota, UserId};
use sluice_relay_node::spool::{Spool, SpoolSettings};
use sluice_relay_node::view::{ConfigState, View};

use super::super::disk::SimDisk;
use super::super::wire::Up;
use super::super::world::{Event, World};
use super::super::{Mutant, Property};
use super::{Live, Relay, Reporter, Session};

/// Silence after which a connection counts as dead.
const SILENCE: u64 = 5_000;

impl World {
    /// Starts a relay's process.
    pub(in super::super) fn start(&mut self, number: usize) {
        if self.relays[number].live.is_some() {
            return;
        }
        let (id, slept) = (self.name(), self.has(Mutant::ClockSleeps));
        let terms = sluice_billing::lease::Terms::default().scaled(self.plan.scale);
        let settings = SpoolSettings {
            segment_bytes: self.plan.segment,
            max_bytes: self.plan.segment * self.plan.segments,
            boot_id: self.relays[number].boot_id(),
            ..SpoolSettings::default()
        };
        let (metrics, view_metrics) = (self.metrics.spool.clone(), self.metrics.view.clone());
        let relay = &mut self.relays[number];
        relay.set_clock(self.now, if slept { relay.slept } else { 0 });
        relay.epoch += 1;
        let life = Life { node: relay.node.clone(), epoch: Epoch(relay.epoch) };
        if self.mutant == Some(Mutant::SyncDoesNothing) {
            relay.disk.forget_syncs();
        }
        relay.disk.begin();
        let opened = Spool::on_disk(relay.disk.clone(), &Relay::folder(), life.epoch, settings, relay.clock(), metrics);
        let spool = match opened {
            Ok(spool) => spool,
            Err(error) => {
                self.tell(|| format!("relay {number} cannot start: {error}"));
                return self.again(1_000, Event::Start { relay: number });
            }
        };
        let (view, questions) = View::new(relay.clock(), view_metrics);
        relay.live = Some(Live {
            id,
            life,
            reporter: Reporter::new(&spool, false, self.plan.scale),
            spool,
            book: LeaseBook::new(terms),
            config: ConfigState::default(),
            table: Arc::default(),
            view,
            questions,
            session: None,
            next_replica: usize::try_from(id).unwrap_or(number),
            running: BTreeMap::new(),
            waiting: BTreeMap::new(),
            awaits_snapshot: false,
            told_hash_at: None,
            lagging: (0, 0),
            is_draining: false,
            heard: BTreeMap::new(),
            denied: BTreeMap::new(),
            known_void: BTreeSet::new(),
            known_leases: BTreeSet::new(),
            inherited: BTreeSet::new(),
            lineage: None,
            unsaid: BTreeSet::new(),
            sent_at: BTreeMap::new(),
        });
        self.counts.lives += 1;
        let epoch = self.relays[number].epoch;
        self.tell(|| format!("relay {number} starts its life {epoch}"));
        self.check_recovery(number);
        self.inherit(number, id);
        if self.has(Mutant::OrphanChargedTwice) {
            self.report_orphans_again(number);
        }
        self.after(1, Event::Connect { relay: number, life: id });
        self.after(50, Event::Sync { relay: number, life: id });
        self.after(1_000, Event::Tick { relay: number, life: id });
        self.after(50, Event::Report { relay: number, life: id });
    }

    /// Ends a relay's process without a word.
    pub(in super::super) fn kill(&mut self, number: usize, disk: impl FnOnce(&mut Self) -> SimDisk) {
        let next = disk(self);
        let relay = &mut self.relays[number];
        // the old handles do nothing from here on, so dropping what the process held writes nothing
        relay.disk = next;
        relay.live = None;
        relay.asleep_until = 0;
    }

    pub(in super::super) fn connect(&mut self, number: usize, life: u64) {
        let (session, count) = (self.name(), self.replicas.len());
        let Some(live) = self.live(number, life) else { return };
        if live.session.is_some() {
            return;
        }
        let replica = live.next_replica % count;
        live.next_replica += 1;
        if !self.replicas[replica].is_up {
            let wait = self.dice.between(100, 1_000);
            return self.after(wait, Event::Connect { relay: number, life });
        }
        let now = self.now;
        let Some(live) = self.live(number, life) else { return };
        live.session = Some(Session { id: session, replica, is_welcome: false, heard_at: now });
        live.awaits_snapshot = false;
        live.view.begin_pages();
        live.view.set_connected(true);
        let mut held: Vec<_> = live.book.held().map(|held| held.lease).collect();
        held.sort_unstable();
        let hides = self.has(Mutant::HeirUnlisted);
        let Some(live) = self.live(number, life) else { return };
        held.retain(|lease| !hides || !live.inherited.contains(lease));
        let hello = Up::Hello {
            life: live.life.clone(),
            boot_id: live.id,
            held,
            history: live.lineage.clone().or_else(|| live.spool.history()),
            have: live.config.version().clone(),
            hash: live.config.hash(),
        };
        self.tell(|| format!("relay {number} connects to replica {replica}"));
        self.send_up(number, hello);
    }

    /// What a relay does once it is registered: says again what was not answered, and what it gave back.
    pub(super) fn welcome(&mut self, number: usize, life: u64, lineage: &Arc<str>) {
        let Some(live) = self.live(number, life) else { return };
        let Some(session) = live.session.as_mut() else { return };
        if std::mem::replace(&mut session.is_welcome, true) {
            return;
        }
        let starts_over = live.spool.history().is_some_and(|noted| noted != *lineage);
        self.enter(number, life, lineage);
        let scale = self.plan.scale;
        let Some(live) = self.live(number, life) else { return };
        live.reporter = Reporter::new(&live.spool, starts_over, scale);
        let outstanding: Vec<_> = live.book.outstanding().collect();
        let mut returned: Vec<_> = live.book.returned().collect();
        returned.sort_unstable_by_key(|returned| returned.lease);
        for request in outstanding {
            self.send_up(number, Up::Ask(request));
        }
        if !returned.is_empty() && self.sync_now(number) {
            self.send_up(number, Up::Returns(returned, None));
        }
    }

    /// The control plane is in this history. In another one than before, leases are void, and what was settled may not be (ruling R7).
    /// The history is noted beside the spool, but only once everything in it was reported there: whoever dies on the way starts over.
    pub(super) fn enter(&mut self, number: usize, life: u64, lineage: &Arc<str>) {
        let Some(live) = self.live(number, life) else { return };
        let noted = live.spool.history();
        let starts_over = noted.as_ref().is_some_and(|noted| noted != lineage);
        let is_other = live.lineage.as_ref().map_or(starts_over, |known| known != lineage);
        live.lineage = Some(Arc::clone(lineage));
        if noted.is_none() {
            // a disk that refuses is asked again at the next welcome
            let _ = live.spool.note_history(lineage);
        }
        if is_other {
            self.void_all(number, life);
        }
    }

    pub(in super::super) fn cut(&mut self, number: usize, session: u64) {
        let Some(live) = self.relays[number].live.as_mut() else { return };
        if live.session.is_none_or(|known| known.id != session) {
            return;
        }
        let life = live.id;
        live.session = None;
        live.view.set_connected(false);
        self.tell(|| format!("the connection of relay {number} breaks"));
        let wait = self.dice.between(100, 1_000);
        self.after(wait, Event::Connect { relay: number, life });
    }

    /// What is done once a second.
    pub(in super::super) fn tick(&mut self, number: usize, life: u64) {
        self.after(1_000, Event::Tick { relay: number, life });
        let now = self.now;
        let Some(live) = self.live(number, life) else { return };
        if let Some(session) = live.session.filter(|session| now - session.heard_at > SILENCE) {
            return self.cut(number, session.id);
        }
        live.view.end_overdue_pages();
        self.look_after_leases(number, life);
        self.send_up(number, Up::Status);
        // an answer that may be overtaken by what happens to the token
        let tokens: Vec<_> = self.ledger.tokens.keys().copied().collect();
        let token = tokens[self.dice.place(tokens.len())];
        self.send_up(number, Up::Resolve(token));
        self.ask_identities(number, life);
    }

    pub(in super::super) fn sync(&mut self, number: usize, life: u64) {
        let slow = self.plan.slow_disk;
        let wait = if slow > 0 && self.dice.permille(100) { self.dice.between(50, slow) } else { 50 };
        if self.live(number, life).is_none() {
            return;
        }
        if self.sync_now(number) {
            let unsaid = self.live(number, life).map(|live| std::mem::take(&mut live.unsaid)).unwrap_or_default();
            for account in unsaid {
                self.say_returned(number, life, account);
            }
        }
        self.after(wait, Event::Sync { relay: number, life });
    }

    /// Syncs the spool. `false`: not everything written so far is safe.
    pub(super) fn sync_now(&mut self, number: usize) -> bool {
        let Some(live) = self.relays[number].live.as_ref() else { return false };
        // what waited for the disk is written after the sync of the same round
        let was_writable = live.spool.is_writable();
        let is_done = live.spool.work();
        let waited = !is_done || !was_writable || !live.spool.is_writable();
        let disk = &self.relays[number].disk;
        if disk.has_failed() || !is_done && !disk.refuses() {
            return false;
        }
        // a full disk still syncs what it took, before it refuses the next segment
        self.truth.synced(number, waited);
        !waited
    }

    /// Goes on with what earlier lives left (ruling R17).
    fn inherit(&mut self, number: usize, life: u64) {
        let owners: BTreeMap<AccountId, UserId> =
            self.ledger.accounts.values().map(|account| (account.id, account.user_id)).collect();
        let (keeps_charges, outlives, twice) =
            (self.has(Mutant::InheritWhole), self.has(Mutant::InheritExpired), self.has(Mutant::InheritTwice));
        let Some(live) = self.live(number, life) else { return };
        let mut found = live.spool.inherited().to_vec();
        let now = self.boot(number);
        for left in &mut found {
            if owners.get(&left.account) != Some(&left.owner) {
                return self.fail(Property::Recovery, format!("relay {number} finds lease {} of a stranger", left.lease));
            }
            if keeps_charges {
                left.charged = Quota::ZERO;
            }
            if outlives {
                left.life_millis_left = self.plan.terms.life.unsigned_abs();
            }
            if twice {
                let first = *self.relays[number].first_found.entry(left.lease).or_insert(*left);
                (left.charged, left.returned) = (first.charged, first.returned);
            }
            self.tell(|| format!("relay {number} goes on with {left:?}"));
            let Some(live) = self.live(number, life) else { return };
            live.book.restore(std::iter::once(*left), now);
            live.inherited.insert(left.lease);
            live.known_leases.insert(left.lease);
            self.note_lease(number, left.lease);
        }
        self.check_inherited(number);
    }

    /// Goes down in order: takes no more, closes leases, reports to the end.
    pub(in super::super) fn drain(&mut self, number: usize) {
        let Some(life) = self.life_of(number) else { return };
        let now = self.boot(number);
        let Some(live) = self.live(number, life) else { return };
        if live.is_draining {
            return;
        }
        live.is_draining = true;
        let mut closings = live.book.close_all(now);
        closings.sort_unstable_by_key(|closing| closing.lease);
        self.tell(|| format!("relay {number} drains"));
        self.close(number, closings);
        let wait = self.dice.between(500, 9_000);
        self.after(wait, Event::End { relay: number, life });
    }

    pub(in super::super) fn end(&mut self, number: usize, life: u64) {
        if self.life_of(number) != Some(life) {
            return;
        }
        self.tell(|| format!("relay {number} ends"));
        self.kill(number, |world| world.relays[number].disk.after_kill());
        self.again(500, Event::Start { relay: number });
    }

    /// A later life of the relay has registered: this process is over.
    pub(super) fn superseded(&mut self, number: usize) {
        let is_newest = self.relays[number].live.as_ref().is_some_and(|live| live.epoch().0 == self.relays[number].epoch);
        if is_newest {
            let node = self.relays[number].node.clone();
            if self.ledger.nodes.get(&node).is_none_or(|known| known.epoch.0 <= self.relays[number].epoch) {
                self.fail(Property::Fencing, format!("relay {number} is told of a later life that is not"));
            }
        }
        self.kill(number, |world| world.relays[number].disk.after_kill());
        self.again(500, Event::Start { relay: number });
    }
}
