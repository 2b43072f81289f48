//! A simulated relay: the real lease book, configuration, view and spool, joined as `relay-node` joins them, without threads.

mod config;
mod extend;
mod lifecycle;
mod money;
mod report;
mod request;

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::Ordering;

use sluice_billing::lease::{Claim, Inherited, LeaseBook, Reservation, Waiter};
use sluice_control_plane::leases::Life;
use sluice_domain::{AccountId, Clock, Epoch, KeyDigest, LeaseId, NodeId, Now, Quota, TokenId, UserId};
use sluice_relay_node::spool::{BootId, OpenRecord, Permit, Spool};
use sluice_relay_node::view::{ConfigState, View};
use sluice_snapshot::Table;
use tokio::sync::mpsc;

use self::report::Reporter;
use super::chance::Dice;
use super::disk::SimDisk;
use super::world::{Hands, START, SharedHands, World};

/// The folder of every spool.
pub(crate) const SPOOL: &str = "/spool";

/// A relay: its machine, and its process while there is one.
pub(crate) struct Relay {
    pub(super) node: NodeId,
    pub(super) disk: SimDisk,
    pub(super) hands: SharedHands,
    /// The moment of the run at which its machine started.
    booted_at: i64,
    /// How often it was started.
    boots: u8,
    /// How far its wall clock is off.
    pub(super) wall_offset: i64,
    /// The highest epoch it has lived.
    pub(super) epoch: i64,
    /// Everything stands still until then.
    pub(super) asleep_until: u64,
    /// How long it slept: what a clock that stands still meanwhile lacks.
    pub(super) slept: u64,
    pub(super) live: Option<Live>,
    /// What its first heir found of each lease, for a mutant's sake.
    pub(super) first_found: BTreeMap<LeaseId, Inherited>,
}

/// A process.
pub(crate) struct Live {
    /// Apart from every other process of the run.
    pub(super) id: u64,
    pub(super) life: Life,
    pub(super) spool: Spool<SimDisk>,
    pub(super) book: LeaseBook,
    pub(super) config: ConfigState,
    pub(super) table: Arc<Table>,
    pub(super) view: View,
    pub(super) questions: mpsc::Receiver<KeyDigest>,
    pub(super) session: Option<Session>,
    pub(super) next_replica: usize,
    pub(super) reporter: Reporter,
    pub(super) running: BTreeMap<u64, Running>,
    pub(super) waiting: BTreeMap<u64, Waiting>,
    /// A snapshot was asked for: deltas are of no use until then.
    pub(super) awaits_snapshot: bool,
    /// Heartbeats in a row whose head was ahead, at the version there was then.
    pub(super) lagging: (u32, i64),
    /// When a wrong hash was last told.
    pub(super) told_hash_at: Option<u64>,
    pub(super) is_draining: bool,
    /// The newest revision heard of per token: nothing older may be used.
    pub(super) heard: BTreeMap<TokenId, i64>,
    /// Channels whose revocation was heard of, with its number.
    pub(super) denied: BTreeMap<sluice_domain::ChannelId, i64>,
    /// Leases that are known to be void, for a mutant's sake.
    pub(super) known_void: BTreeSet<sluice_domain::LeaseId>,
    /// The history the control plane is in, as it said last.
    pub(super) lineage: Option<Arc<str>>,
    /// Every lease that arrived, for the checkers.
    pub(super) known_leases: BTreeSet<sluice_domain::LeaseId>,
    /// Leases that an earlier life left.
    pub(super) inherited: BTreeSet<LeaseId>,
    /// Accounts of which something went back that is not on the disk yet, and so not said.
    pub(super) unsaid: BTreeSet<AccountId>,
    /// What was asked for and not answered, with when it was first sent.
    pub(super) sent_at: BTreeMap<i64, u64>,
}

/// A connection.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Session {
    pub(super) id: u64,
    pub(super) replica: usize,
    pub(super) is_welcome: bool,
    pub(super) heard_at: u64,
}

/// What a request asks for.
#[derive(Debug, Clone)]
pub(crate) struct Wish {
    pub(super) number: u64,
    pub(super) user: UserId,
    pub(super) token: TokenId,
    /// The accounts that pay what it costs: the cap before the wallet, which all tokens share.
    pub(super) payers: Vec<AccountId>,
    /// The account that pays one use.
    pub(super) uses: Option<AccountId>,
    /// At least so much is set aside before it is sent.
    pub(super) least: i64,
    /// Better so much.
    pub(super) most: i64,
    /// Whether more is set aside while it streams.
    pub(super) is_windowed: bool,
    /// What it costs if it goes well and nothing bounds it.
    pub(super) total: i64,
    pub(super) takes: u64,
    pub(super) fails: bool,
    pub(super) since: u64,
    pub(super) config: (Arc<str>, i64),
    pub(super) channel: sluice_domain::ChannelId,
}

impl Wish {
    /// What is set aside, in the order of the chain: the narrowest account first.
    pub(super) fn claims(&self, amount: i64) -> Vec<Claim> {
        let uses = self.uses.map(|account| Claim { account, amount: Quota::clamped(1) });
        uses.into_iter().chain(self.in_quota(amount)).collect()
    }

    /// The same without the use.
    pub(super) fn in_quota(&self, amount: i64) -> impl Iterator<Item = Claim> {
        self.payers.iter().map(move |account| Claim { account: *account, amount: Quota::clamped(amount) })
    }

    /// Every account of its chain.
    pub(super) fn accounts(&self) -> Vec<AccountId> {
        self.uses.into_iter().chain(self.payers.iter().copied()).collect()
    }
}

/// A request that waits for money.
pub(crate) struct Waiting {
    pub(super) wish: Wish,
    pub(super) permit: Permit<SimDisk>,
    pub(super) waiter: Waiter,
}

/// A request under way.
pub(crate) struct Running {
    pub(super) wish: Wish,
    pub(super) reservation: Reservation,
    pub(super) open: Option<OpenRecord<SimDisk>>,
    /// What it has brought so far.
    pub(super) output: i64,
    /// What is set aside for it.
    pub(super) held: i64,
    /// More is to be set aside.
    pub(super) extending: Option<Extending>,
}

/// A request under way that waits for more money.
pub(crate) struct Extending {
    pub(super) waiter: Waiter,
    pub(super) more: i64,
    pub(super) since: u64,
}

impl Relay {
    /// A machine that was never started.
    #[must_use]
    pub(crate) fn new(number: usize, dice: &mut Dice) -> Self {
        Self {
            node: NodeId::parse(&format!("relay-{number}")).expect("a name of a relay is good"),
            disk: SimDisk::new(Path::new(SPOOL)),
            hands: Arc::new(Hands::default()),
            booted_at: -dice.between(0, 100_000).cast_signed(),
            boots: 1,
            wall_offset: 0,
            epoch: 0,
            asleep_until: 0,
            slept: 0,
            live: None,
            first_found: BTreeMap::new(),
        }
    }

    pub(super) fn session(&self) -> Option<(u64, usize)> {
        self.live.as_ref()?.session.map(|session| (session.id, session.replica))
    }

    pub(super) fn clock(&self) -> Clock {
        let hands = Arc::clone(&self.hands);
        Clock::new(move || Now {
            wall: sluice_domain::UnixMillis(hands.wall.load(Ordering::Relaxed)),
            boot_millis: hands.boot.load(Ordering::Relaxed),
        })
    }

    /// Moves the hands to a moment of the run.
    pub(super) fn set_clock(&self, now: u64, lacks: u64) {
        self.hands.boot.store(self.boot_at(now).saturating_sub(lacks), Ordering::Relaxed);
        self.hands.wall.store(START.0 + now.cast_signed() + self.wall_offset, Ordering::Relaxed);
    }

    /// The time of its machine since its start, at a moment of the run.
    pub(super) fn boot_at(&self, now: u64) -> u64 {
        now.saturating_add_signed(-self.booted_at)
    }

    /// Its machine starts.
    pub(super) fn boot(&mut self, now: u64) {
        (self.booted_at, self.slept) = (now.cast_signed(), 0);
        self.boots = self.boots.wrapping_add(1).max(1);
    }

    /// Which start of its machine it is.
    pub(super) fn boot_id(&self) -> BootId {
        [self.boots; 16]
    }

    /// Where the log of its present life is, as `spool/segment.rs` names it.
    pub(super) fn log_folder(&self) -> PathBuf {
        Self::folder().join(format!("epoch-{:020}", self.epoch))
    }

    pub(super) fn folder() -> PathBuf {
        PathBuf::from(SPOOL)
    }
}

impl World {
    /// A process, if that one still lives; with its clock set.
    pub(super) fn live(&mut self, relay: usize, life: u64) -> Option<&mut Live> {
        let lacks = if self.has(super::Mutant::ClockSleeps) { self.relays[relay].slept } else { 0 };
        let known = &mut self.relays[relay];
        known.set_clock(self.now, lacks);
        known.live.as_mut().filter(|live| live.id == life)
    }

    /// The time of a relay's machine since its start.
    pub(super) fn boot(&self, relay: usize) -> u64 {
        self.relays[relay].hands.boot.load(Ordering::Relaxed)
    }

    pub(super) fn life_of(&self, relay: usize) -> Option<u64> {
        self.relays[relay].live.as_ref().map(|live| live.id)
    }
}

impl Live {
    pub(super) fn epoch(&self) -> Epoch {
        self.life.epoch
    }
}
