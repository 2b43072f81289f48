//! The reference ledger: what the control plane's database holds, as values, moved by the control plane's own pure rules.
//!
//! One method is one transaction. The simulation runs it under faults; the agreement test runs the same operations on the SQL store
//! of each engine and compares (ruling R18). What must not live here: connections, time, chance.

mod config;
mod history;
mod money;

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use sluice_control_plane::leases::{Answer, Ask, Granted, Life, Pending, Said, State};
use sluice_control_plane::pure::{Cursor, Lease, OpenLease, decide_or_wait, transition};
use sluice_control_plane::wallet::moves::{LockedAccount, Shift};
use sluice_domain::{AccountId, Epoch, LeaseId, NodeId, Quota, TokenId, UnixMillis, UserId};

pub use self::config::{Configuration, GROUP, Line, Logged, MODEL, Row, TokenRow, digest_of};
pub use self::money::SettledRow;

/// How long things last, in milliseconds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Terms {
    /// A lease.
    pub life: i64,
    /// What the control plane waits beyond that.
    pub grace: i64,
    /// A lease in doubt.
    pub hold: i64,
}

/// A lease with what only the database knows of it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Kept {
    /// The lease.
    pub lease: Lease,
    /// End of its life by the control plane's clock.
    pub expires_at: UnixMillis,
    /// Since when it is in doubt.
    pub doubted_at: Option<UnixMillis>,
    /// The newest recall that its relay answered.
    pub recall_seq: i64,
}

/// A relay's registration.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Registered {
    /// Its life in force.
    pub epoch: Epoch,
    /// The process that lives it.
    pub boot_id: u64,
    /// When it was last heard of.
    pub seen_at: UnixMillis,
}

/// What a relay that connects is told.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Greeting {
    /// Leases it does not list.
    pub resend: Vec<Granted>,
    /// Leases it lists in vain.
    pub void: Vec<LeaseId>,
}

/// The database.
#[derive(Debug, Clone, PartialEq)]
pub struct Ledger {
    /// How long things last.
    pub terms: Terms,
    /// The history it is in.
    pub lineage: Arc<str>,
    /// Accounts.
    pub accounts: BTreeMap<AccountId, LockedAccount>,
    /// What was put into each account: the other side of conservation.
    pub credits: BTreeMap<AccountId, i64>,
    /// What charges took from each account.
    pub spent: BTreeMap<AccountId, i64>,
    /// What was charged to balances because no lease was there, by account.
    pub late: BTreeMap<AccountId, i64>,
    /// Leases.
    pub leases: BTreeMap<LeaseId, Kept>,
    /// How far reports are settled.
    pub cursors: BTreeMap<Life, Cursor>,
    /// Requests settled, by report and number.
    pub settled: BTreeMap<(Life, i64), SettledRow>,
    /// Records set aside, with the reason.
    pub quarantined: BTreeMap<(Life, i64), &'static str>,
    /// Relays.
    pub nodes: BTreeMap<NodeId, Registered>,
    /// Tokens.
    pub tokens: BTreeMap<TokenId, TokenRow>,
    /// What relays are to know.
    pub config: Configuration,
    /// The next lease.
    pub next_lease: i64,
}

impl Ledger {
    /// An empty database.
    #[must_use]
    pub fn new(lineage: &str, terms: Terms) -> Self {
        Self {
            terms,
            lineage: lineage.into(),
            accounts: BTreeMap::new(),
            credits: BTreeMap::new(),
            spent: BTreeMap::new(),
            late: BTreeMap::new(),
            leases: BTreeMap::new(),
            cursors: BTreeMap::new(),
            settled: BTreeMap::new(),
            quarantined: BTreeMap::new(),
            nodes: BTreeMap::new(),
            tokens: BTreeMap::new(),
            config: Configuration::default(),
            next_lease: 1,
        }
    }

    /// Opens an account.
    pub fn open(&mut self, id: AccountId, user_id: UserId, owner_id: i64, is_wallet: bool) {
        let account = LockedAccount {
            id,
            user_id,
            owner_id,
            is_wallet,
            balance: 0,
            credit_limit: 0,
            leased: 0,
            in_doubt: 0,
            frozen: false,
            rev: 1,
        };
        self.accounts.insert(id, account);
    }

    /// Puts money into an account.
    pub fn credit(&mut self, account: AccountId, amount: i64) {
        *self.credits.entry(account).or_default() += amount;
        self.shift(account, Shift { balance: amount, ..Shift::default() });
    }

    pub(super) fn shift(&mut self, account: AccountId, shift: Shift) {
        if let Some(known) = self.accounts.get_mut(&account) {
            known.apply(&shift);
            known.rev += 1;
        }
        *self.spent.entry(account).or_default() += shift.spent;
    }

    /// Lets a relay join. `false`: a later life or another process has.
    pub fn register(&mut self, life: &Life, boot_id: u64, now: UnixMillis) -> bool {
        let known = self.nodes.get(&life.node);
        let is_refused =
            known.is_some_and(|known| known.epoch > life.epoch || known.epoch == life.epoch && known.boot_id != boot_id);
        if !is_refused {
            self.nodes.insert(life.node.clone(), Registered { epoch: life.epoch, boot_id, seen_at: now });
        }
        !is_refused
    }

    /// Notes that a relay was heard of.
    pub fn touch(&mut self, life: &Life, now: UnixMillis) {
        if let Some(known) = self.nodes.get_mut(&life.node).filter(|known| known.epoch == life.epoch) {
            known.seen_at = known.seen_at.max(now);
        }
    }

    /// Whether a later life of the relay has registered.
    #[must_use]
    pub fn is_fenced(&self, life: &Life) -> bool {
        self.nodes.get(&life.node).is_some_and(|known| known.epoch > life.epoch)
    }

    /// The lease that was granted for a request before.
    #[must_use]
    pub fn granted_before(&self, ask: &Ask) -> Option<Answer> {
        let of_ask = |kept: &&Kept| kept.lease.life == ask.life && kept.lease.grant_seq == ask.grant_seq;
        let known = &self.leases.values().find(of_ask)?.lease;
        Some(match known.state {
            State::Open => Answer::Granted(granted(known, true)),
            State::InDoubt | State::Closed => Answer::Closed(known.id),
        })
    }

    /// Decides one ask. `None`: of a relay's earlier life.
    pub fn grant(&mut self, pending: &Pending, now: UnixMillis) -> Option<Answer> {
        if self.is_fenced(&pending.ask.life) {
            return None;
        }
        Some(self.granted_before(&pending.ask).unwrap_or_else(|| self.grant_new(pending, now)))
    }

    /// Decides an ask as if it had never been granted.
    pub fn grant_new(&mut self, pending: &Pending, now: UnixMillis) -> Answer {
        let ask = &pending.ask;
        let of_account = |kept: &&Kept| kept.lease.account == ask.account && kept.lease.state == State::Open;
        let open: Vec<OpenLease> = self.leases.values().filter(of_account).map(open_lease).collect();
        let nodes = open.iter().map(|lease| lease.node.clone()).collect();
        let mut holders: BTreeMap<AccountId, BTreeSet<NodeId>> = BTreeMap::from([(ask.account, nodes)]);
        let size = match decide_or_wait(pending, &mut self.accounts, &mut holders, &open) {
            Ok(size) => size,
            Err(answer) => return answer,
        };
        if let Some(account) = self.accounts.get_mut(&ask.account) {
            account.rev += 1;
        }
        let lease = Lease {
            id: LeaseId::new(self.next_lease),
            account: ask.account,
            life: ask.life.clone(),
            grant_seq: ask.grant_seq,
            granted: size.amount.get(),
            settled: 0,
            returned: 0,
            state: State::Open,
        };
        self.next_lease += 1;
        let answer = Answer::Granted(granted(&lease, size.low));
        let expires_at = now.plus_millis(self.terms.life);
        self.leases.insert(lease.id, Kept { lease, expires_at, doubted_at: None, recall_seq: 0 });
        answer
    }

    /// Compares the leases a relay holds with those it was granted; those of its earlier lives go over to this one.
    pub fn greet(&mut self, life: &Life, held: &[LeaseId]) -> Greeting {
        let mut void = Vec::new();
        for id in held {
            let own =
                self.leases.get_mut(id).filter(|kept| kept.lease.life.node == life.node && kept.lease.life.epoch <= life.epoch);
            match own {
                Some(kept)
                    if kept.lease.state == State::Open
                        || (kept.lease.state == State::InDoubt && kept.lease.life.epoch == life.epoch) =>
                {
                    if kept.lease.life.epoch < life.epoch {
                        kept.lease.life = life.clone();
                        kept.lease.grant_seq = -id.get();
                    }
                }
                _ => void.push(*id),
            }
        }
        let missing =
            self.leases.values().map(|kept| &kept.lease).filter(|lease| lease.life == *life && lease.state == State::Open);
        let resend = missing.filter(|lease| !held.contains(&lease.id)).map(|lease| granted(lease, true)).collect();
        Greeting { resend, void }
    }

    /// Lets leases live on; answers which.
    pub fn renew(&mut self, life: &Life, leases: &[LeaseId], now: UnixMillis) -> Vec<LeaseId> {
        let expires_at = now.plus_millis(self.terms.life);
        let mut renewed = Vec::new();
        for id in leases {
            if let Some(kept) = self.leases.get_mut(id)
                && kept.lease.life == *life
                && kept.lease.state == State::Open
            {
                kept.expires_at = expires_at;
                renewed.push(*id);
            }
        }
        renewed
    }

    /// Takes money back: totals per lease, so that saying it twice takes it once. With the answers to recalls. Answers who has more.
    pub fn take_back(&mut self, life: &Life, said: &Said) -> BTreeSet<AccountId> {
        let mut richer = BTreeSet::new();
        for (id, total) in &said.returns {
            let Some(kept) = self.leases.get_mut(id).filter(|kept| kept.lease.life == *life) else { continue };
            let lease = &mut kept.lease;
            let back = (total.get() - lease.returned).min(lease.remainder());
            let shift = match lease.state {
                _ if back <= 0 => continue,
                State::Open => Shift { balance: back, leased: -back, ..Shift::default() },
                State::InDoubt => Shift { balance: back, in_doubt: -back, ..Shift::default() },
                State::Closed => continue,
            };
            lease.returned += back;
            let account = lease.account;
            self.shift(account, shift);
            richer.insert(account);
        }
        for (account, seq, leases) in &said.recalled {
            for id in leases {
                let own = self.leases.get_mut(id).filter(|kept| kept.lease.account == *account && kept.lease.life == *life);
                if let Some(kept) = own.filter(|kept| kept.lease.state == State::Open) {
                    kept.recall_seq = kept.recall_seq.max(*seq);
                }
            }
        }
        richer
    }

    /// Doubts the leases of relays that were lost, and releases what was in doubt long enough. Answers who has more.
    pub fn tend(&mut self, now: UnixMillis) -> BTreeSet<AccountId> {
        let before = now.plus_millis(-self.terms.grace);
        let is_lost = |lease: &Lease| {
            !self.nodes.get(&lease.life.node).is_some_and(|node| node.epoch == lease.life.epoch && node.seen_at >= before)
        };
        let lost: Vec<Lease> = self.expired(before).into_iter().filter(is_lost).collect();
        self.move_all(&lost, State::InDoubt);
        for lease in &lost {
            if let Some(kept) = self.leases.get_mut(&lease.id) {
                kept.doubted_at = Some(now);
            }
        }
        let over = self.in_doubt_since(now.plus_millis(-self.terms.hold));
        self.move_all(&over, State::Closed);
        over.into_iter().map(|lease| lease.account).collect()
    }

    fn expired(&self, before: UnixMillis) -> Vec<Lease> {
        let open = self.leases.values().filter(|kept| kept.lease.state == State::Open && kept.expires_at < before);
        open.map(|kept| kept.lease.clone()).collect()
    }

    fn in_doubt_since(&self, since: UnixMillis) -> Vec<Lease> {
        let is_over = |kept: &&Kept| kept.lease.state == State::InDoubt && kept.doubted_at.is_some_and(|at| at <= since);
        self.leases.values().filter(is_over).map(|kept| kept.lease.clone()).collect()
    }

    /// Moves leases, and their remainders, to a state.
    pub fn move_all(&mut self, leases: &[Lease], to: State) {
        for lease in leases {
            self.shift(lease.account, transition(lease.state, to, lease.remainder()));
            if let Some(kept) = self.leases.get_mut(&lease.id) {
                kept.lease.state = to;
            }
        }
    }
}

fn open_lease(kept: &Kept) -> OpenLease {
    OpenLease {
        account: kept.lease.account,
        node: kept.lease.life.node.clone(),
        remainder: kept.lease.remainder(),
        recall_seq: kept.recall_seq,
    }
}

fn granted(lease: &Lease, low: bool) -> Granted {
    Granted { grant_seq: lease.grant_seq, lease: lease.id, account: lease.account, amount: Quota::clamped(lease.granted), low }
}
