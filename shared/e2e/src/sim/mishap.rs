//! What happens to the fleet from outside: administrators, credits, jobs, and everything that goes wrong.

use sluice_control_plane::leases::{Life, State};
use sluice_control_plane::pure::Lease;
use sluice_control_plane::settlement::{Batch, Settled};
use sluice_domain::{AccountId, ChannelId, LeaseId, Quota, TokenId};

use super::Mutant;
use super::disk::SimDisk;
use super::ledger::{Ledger, Logged, Row};
use super::relay::SPOOL;
use super::world::{Event, Fault, World};

impl World {
    pub(super) fn quiet(&mut self) {
        self.is_quiet = true;
        self.away_until = 0;
        self.partitions.clear();
        self.tell(|| "from here on nothing goes wrong".into());
        for number in 0..self.relays.len() {
            self.relays[number].asleep_until = self.relays[number].asleep_until.min(self.now);
            self.relays[number].disk.refuse(false);
            if self.relays[number].live.is_none() {
                self.after(10, Event::Start { relay: number });
            }
        }
        for replica in 0..self.replicas.len() {
            self.after(5, Event::Rise { replica });
        }
    }

    pub(super) fn go_wrong(&mut self, fault: Fault) {
        if self.is_quiet {
            return;
        }
        self.counts.faults += 1;
        let number = self.dice.place(self.relays.len());
        let faults = self.plan.faults;
        let mean = match fault {
            Fault::Partition => {
                let replica = self.dice.place(self.replicas.len());
                let until = self.now + self.dice.wait(1_500);
                self.tell(|| format!("relay {number} and replica {replica} are apart until {until}"));
                self.partitions.insert((number, replica), until);
                faults.partition
            }
            Fault::Kill => {
                self.die(number, "is killed", |world| world.relays[number].disk.after_kill());
                faults.kill
            }
            Fault::Power => {
                self.truth.torn(number);
                self.die(number, "loses power", |world| {
                    let now = world.now;
                    world.relays[number].boot(now);
                    let mut dice = world.dice.clone();
                    world.dice.draw();
                    world.relays[number].disk.after_power_loss(&mut dice)
                });
                faults.power
            }
            Fault::DiskLoss | Fault::DiskFull | Fault::Damage | Fault::SyncFails => self.disk_goes_wrong(number, fault),
            Fault::Suspend => {
                let wait = self.dice.wait(if self.dice.clone().permille(300) { 20_000 } else { 1_500 });
                let until = (self.now + wait).min(self.plan.busy);
                self.tell(|| format!("relay {number} sleeps until {until}"));
                let relay = &mut self.relays[number];
                if relay.live.is_some() && relay.asleep_until <= self.now {
                    relay.slept += until - self.now;
                    relay.asleep_until = until;
                }
                faults.suspend
            }
            Fault::Clock => {
                self.truth.has_jumped = true;
                self.relays[number].wall_offset = self.dice.amount(-3_600_000, 3_600_000);
                faults.clock
            }
            Fault::ReplicaKill => {
                let replica = self.dice.place(self.replicas.len());
                self.fall(replica);
                let wait = self.dice.wait(1_000);
                self.after(wait, Event::Rise { replica });
                faults.replica_kill
            }
            Fault::Away => {
                self.away_until = self.now + self.dice.wait(1_000);
                self.tell(|| "the database is away".into());
                faults.away
            }
            Fault::Restore => return self.restore(),
            Fault::GoesBack => return self.go_back(),
            Fault::Drain => {
                self.drain(number);
                faults.drain
            }
        };
        self.again(mean, Event::Fault(fault));
    }

    /// Answers the mean time between two of its kind.
    fn disk_goes_wrong(&mut self, number: usize, fault: Fault) -> u64 {
        let faults = self.plan.faults;
        match fault {
            Fault::DiskLoss => {
                self.truth.lost_disk(number);
                self.die(number, "loses its disk", |_| SimDisk::new(std::path::Path::new(SPOOL)));
                faults.disk_loss
            }
            Fault::DiskFull => {
                self.truth.torn(number);
                self.relays[number].disk.refuse(true);
                self.tell(|| format!("the disk of relay {number} is full"));
                let wait = self.dice.wait(1_000);
                self.after(wait, Event::DiskWorks { relay: number });
                faults.disk_full
            }
            Fault::Damage => {
                self.truth.damaged(number);
                self.die(number, "loses a part of its log", |world| {
                    let folder = world.relays[number].log_folder();
                    let mut dice = world.dice.clone();
                    world.dice.draw();
                    world.relays[number].disk.after_damage(&folder, &mut dice)
                });
                faults.damage
            }
            Fault::SyncFails => {
                self.truth.damaged(number);
                self.relays[number].disk.fail_sync();
                self.tell(|| format!("the next sync of relay {number} fails"));
                if let Some(life) = self.life_of(number) {
                    let wait = self.dice.wait(1_500) + 100;
                    self.after(wait, Event::Renew { relay: number, life });
                }
                faults.sync_fails
            }
            _ => 0,
        }
    }

    /// Somebody sees that a relay is not ready, and starts it anew.
    pub(super) fn renew(&mut self, number: usize, life: u64) {
        if self.life_of(number) == Some(life) {
            self.die(number, "is started anew", |world| world.relays[number].disk.after_kill());
        }
    }

    fn die(&mut self, number: usize, how: &str, disk: impl FnOnce(&mut Self) -> SimDisk) {
        if self.relays[number].live.is_some() {
            self.tell(|| format!("relay {number} {how}"));
            self.kill(number, disk);
            // a quick restart meets what is still under way from the life before
            let wait = if self.dice.permille(300) { 1 } else { self.dice.wait(800) };
            self.after(wait, Event::Start { relay: number });
        }
    }

    pub(super) fn back_up(&mut self) {
        self.tell(|| "the database is backed up".into());
        self.backup = Some(self.ledger.clone());
    }

    /// The database goes back to its backup, as the procedure says: every replica stopped, a new history begun.
    fn restore(&mut self) {
        let Some(backup) = self.backup.take() else { return };
        self.tell(|| "the database is restored".into());
        self.ledger = self.ledger.gone_back_to(&backup);
        if !self.has(Mutant::RestoreKeepsLineage) {
            self.begin_history();
            self.truth.has_restored = true;
        }
        self.is_dirty = true;
        for replica in 0..self.replicas.len() {
            self.fall(replica);
            let wait = self.dice.between(200, 1_500);
            self.after(wait, Event::Rise { replica });
        }
    }

    /// A copy of the past takes the place of the database behind everybody's back, and goes on before anybody looks: another server took
    /// over that had not received everything, and others had written to it already.
    fn go_back(&mut self) {
        // a copy from before another history began is told by its name
        let Some(copy) = self.copy.take().filter(|copy| copy.lineage == self.ledger.lineage) else { return };
        self.truth.went_back(&self.ledger.lineage, copy.handed_out_twice());
        self.ledger = self.ledger.gone_back_to(&copy);
        self.is_dirty = true;
        self.counts.went_back += 1;
        self.tell(|| "the database goes back".into());
        for _ in 0..self.dice.between(0, 6) {
            if self.dice.permille(500) { self.switch_something() } else { self.credit_someone() }
        }
    }

    /// The job that looks after leases.
    pub(super) fn tend(&mut self) {
        self.after(1_000, Event::Tend);
        if self.away_until > self.now {
            return;
        }
        let wall = self.wall();
        if self.has(Mutant::ReleaseAtExpiry) {
            self.release_at_expiry();
        }
        let open = |ledger: &Ledger| ledger.leases.values().filter(|kept| kept.lease.state == State::Closed).count();
        let before = open(&self.ledger);
        let richer = self.ledger.tend(wall);
        self.truth.has_released |= open(&self.ledger) > before;
        self.is_dirty = true;
        for account in richer {
            self.write(Logged::Credit(account));
        }
    }

    fn release_at_expiry(&mut self) {
        let wall = self.wall();
        let is_over = |kept: &&super::ledger::Kept| {
            kept.lease.state == State::Open && kept.expires_at.plus_millis(self.plan.terms.grace) < wall
        };
        let lost: Vec<Lease> = self.ledger.leases.values().filter(is_over).map(|kept| kept.lease.clone()).collect();
        let node_is_alive = |lease: &Lease| {
            let node = self.ledger.nodes.get(&lease.life.node);
            node.is_some_and(|node| node.epoch == lease.life.epoch && node.seen_at.plus_millis(self.plan.terms.grace) >= wall)
        };
        let lost: Vec<Lease> = lost.into_iter().filter(|lease| !node_is_alive(lease)).collect();
        self.ledger.move_all(&lost, State::Closed);
    }

    pub(super) fn switch(&mut self) {
        if self.is_quiet {
            return;
        }
        self.again(self.plan.switches, Event::Switch);
        if self.away_until <= self.now {
            self.switch_something();
        }
    }

    fn switch_something(&mut self) {
        let is_enabled = self.dice.permille(600);
        let logged = if self.dice.permille(500) {
            Logged::Channel(ChannelId::new(self.dice.amount(1, 3)), !is_enabled)
        } else {
            let tokens: Vec<TokenId> = self.ledger.tokens.keys().copied().collect();
            Logged::Token(tokens[self.dice.place(tokens.len())], !is_enabled)
        };
        if self.has(Mutant::SeqByAutoIncrement) {
            let seq = self.ledger.take_number();
            let wait = self.dice.between(1, 400);
            return self.after(wait, Event::CommitLate { seq, logged });
        }
        let seq = match logged {
            Logged::Channel(id, is_off) => self.ledger.switch_channel(id, !is_off),
            Logged::Token(id, is_off) => self.ledger.switch_token(id, !is_off),
            Logged::Credit(_) | Logged::Recall(_) => return,
        };
        self.tell(|| format!("{logged:?} at {seq}"));
        self.wrote();
    }

    /// The mutant: the number was taken before, the row comes now.
    pub(super) fn commit_late(&mut self, seq: i64, logged: Logged) {
        match logged {
            Logged::Channel(id, is_off) => {
                let row = self.ledger.config.channels.entry(id).or_insert(Row { rev: 0, is_enabled: true });
                (row.rev, row.is_enabled) = (row.rev + 1, !is_off);
            }
            Logged::Token(id, is_off) => {
                if let Some(row) = self.ledger.tokens.get_mut(&id) {
                    (row.rev, row.is_enabled) = (row.rev + 1, !is_off);
                }
            }
            Logged::Credit(_) | Logged::Recall(_) => {}
        }
        self.ledger.write_line(seq, logged);
        for replica in 0..self.replicas.len() {
            self.after(50, Event::Look { replica });
        }
    }

    pub(super) fn credit(&mut self) {
        if self.is_quiet {
            return;
        }
        self.again(self.plan.credits, Event::Credit);
        if self.away_until <= self.now {
            self.credit_someone();
        }
    }

    fn credit_someone(&mut self) {
        let limited =
            |id: &AccountId| id.get() < 100 || self.ledger.tokens.values().any(|token| token.cap == *id && token.is_capped);
        let accounts: Vec<AccountId> = self.ledger.accounts.keys().copied().filter(limited).collect();
        let account = accounts[self.dice.place(accounts.len())];
        let amount = self.plan.dearest * self.dice.amount(1, 20);
        self.tell(|| format!("{amount} come in on account {account}"));
        self.ledger.credit(account, amount);
        self.write(Logged::Credit(account));
    }

    /// Totals of returns, as the control plane reads them.
    pub(super) fn totals(&self, returns: &[(LeaseId, Quota)]) -> Vec<(LeaseId, Quota)> {
        if !self.has(Mutant::ReturnNotCumulative) {
            return returns.to_vec();
        }
        let before = |lease: &LeaseId| self.ledger.leases.get(lease).map_or(0, |kept| kept.lease.returned);
        returns.iter().map(|(lease, total)| (*lease, Quota::clamped(total.get() + before(lease)))).collect()
    }

    /// Settles a batch, or does it as a mutant would.
    pub(super) fn settle_or_mutate(&mut self, life: &Life, batch: &Batch) -> Settled {
        let wall = self.wall();
        let next = self.ledger.cursors.get(life).map_or(1, |cursor| cursor.next_seq);
        let is_beyond = batch.first_seq > next;
        let jumps = self.has(Mutant::SkipCursorCheck)
            || is_beyond && self.has(Mutant::AcceptGap)
            || is_beyond && batch.epoch_ended && self.has(Mutant::EndBeforeRecords);
        if jumps && let Some(cursor) = self.ledger.cursors.get_mut(life) {
            cursor.next_seq = batch.first_seq;
        }
        let mut batch = batch.clone();
        let keeps_leases = batch.epoch_ended && self.has(Mutant::EndKeepsLeases);
        batch.epoch_ended &= !keeps_leases;
        batch.is_damaged &= !self.has(Mutant::DamagedEndCloses);
        let before = self.mutates_sums().then(|| self.ledger.clone());
        let settled = self.ledger.settle(&self.rates, life, &[batch], wall);
        if let Some(before) = before {
            self.forget(&before);
        }
        settled
    }

    fn mutates_sums(&self) -> bool {
        [Mutant::ForgetRemainder, Mutant::ForgetLateCharge, Mutant::ChargeDoubtFromLeased]
            .into_iter()
            .any(|mutant| self.has(mutant))
    }

    /// Undoes a part of a settlement, as if it had been forgotten.
    fn forget(&mut self, before: &Ledger) {
        let Some(mutant) = self.mutant else { return };
        let leases: Vec<(Lease, Lease)> = before
            .leases
            .iter()
            .filter_map(|(id, kept)| Some((kept.lease.clone(), self.ledger.leases.get(id)?.lease.clone())))
            .collect();
        for (old, new) in leases {
            let (has_closed, remainder) = (old.state != State::Closed && new.state == State::Closed, new.remainder());
            let Some(account) = self.ledger.accounts.get_mut(&new.account) else { continue };
            match mutant {
                Mutant::ForgetRemainder if has_closed && remainder > 0 => account.balance -= remainder,
                Mutant::ChargeDoubtFromLeased if old.state == State::InDoubt => {
                    let charged = new.settled - old.settled;
                    account.leased -= charged;
                    account.in_doubt += charged;
                }
                _ => {}
            }
        }
        if mutant == Mutant::ForgetLateCharge {
            for (account, late) in &self.ledger.late {
                let more = late - before.late.get(account).copied().unwrap_or(0);
                if let Some(account) = self.ledger.accounts.get_mut(account) {
                    account.balance += more;
                }
            }
        }
    }
}
