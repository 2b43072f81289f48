//! What one seed tries: how many of everything, how links and disks behave, and which faults happen. Swarm testing: each seed has some
//! kinds of faults and not others, because faults of all kinds together hide each other.

use super::chance::Dice;
use super::ledger::Terms;

/// A network between relays and control plane.
#[derive(Debug, Clone, Copy)]
pub struct Links {
    /// The least a message takes, in milliseconds.
    pub least: u64,
    /// The most.
    pub most: u64,
    /// Messages lost, of a thousand. A lost message breaks its stream.
    pub loss: u64,
    /// Messages that come twice, of a thousand.
    pub twice: u64,
    /// Whether messages of one stream overtake each other.
    pub reorders: bool,
    /// News that a stream is too slow to take in, of a thousand.
    pub missed: u64,
}

/// How often things go wrong: the mean time between two, in milliseconds; 0 never.
#[derive(Debug, Clone, Copy, Default)]
pub struct Faults {
    /// A relay cannot reach a replica.
    pub partition: u64,
    /// A relay's process is killed.
    pub kill: u64,
    /// A relay's machine loses power.
    pub power: u64,
    /// A relay loses its disk with its process.
    pub disk_loss: u64,
    /// A relay's disk refuses to be written for a moment.
    pub disk_full: u64,
    /// A part of what a relay's disk has is not as it was written.
    pub damage: u64,
    /// A sync of a relay's disk fails.
    pub sync_fails: u64,
    /// A relay is stopped for a while.
    pub suspend: u64,
    /// A relay's wall clock jumps.
    pub clock: u64,
    /// A replica is killed.
    pub replica_kill: u64,
    /// The database is away for a moment.
    pub away: u64,
    /// The database goes back to the past, by the procedure.
    pub restore: u64,
    /// The same behind everybody's back, and goes on.
    pub goes_back: u64,
    /// A relay goes down in order and comes back.
    pub drain: u64,
    /// Transactions aborted, of a thousand.
    pub abort: u64,
    /// Transactions whose outcome is not known, of a thousand.
    pub unknown: u64,
}

/// The whole plan of a seed.
#[derive(Debug, Clone)]
pub struct Plan {
    /// Relays.
    pub relays: usize,
    /// Replicas of the control plane.
    pub replicas: usize,
    /// Users, each with a token or two.
    pub users: usize,
    /// What each wallet begins with.
    pub wallet: i64,
    /// What each capped token begins with.
    pub cap: i64,
    /// The dearest request.
    pub dearest: i64,
    /// Whether every request costs the same, and exactly what is set aside.
    pub is_fixed: bool,
    /// Mean time between two requests.
    pub gap: u64,
    /// Mean time a request takes.
    pub takes: u64,
    /// How long requests and faults keep coming.
    pub busy: u64,
    /// Mean time between two switches of channels or tokens; 0 never.
    pub switches: u64,
    /// Mean time between two credits; 0 never.
    pub credits: u64,
    /// Mean time between two cuts of the log of changes; 0 never.
    pub trims: u64,
    /// How long things last in the ledger.
    pub terms: Terms,
    /// How many times faster than production leases live.
    pub scale: u32,
    /// Bytes of a spool segment.
    pub segment: u64,
    /// Segments there is room for; what is settled goes when the room is needed.
    pub segments: u64,
    /// The most a sync waits beyond the interval.
    pub slow_disk: u64,
    /// The network.
    pub links: Links,
    /// What goes wrong.
    pub faults: Faults,
}

impl Plan {
    /// The plan of a seed.
    #[must_use]
    pub fn of(seed: u64) -> Self {
        let mut dice = Dice::new(seed, 1);
        let is_calm = dice.permille(80);
        let busy = dice.between(6_000, 24_000);
        let scale = u32::try_from(dice.between(20, 120)).unwrap_or(60);
        let terms = Terms {
            life: 600_000 / i64::from(scale),
            grace: 30_000 / i64::from(scale),
            // longer than the run, but for some seeds: then what is charged late may become debt
            hold: if dice.permille(120) { 4_000 } else { 3_600_000 },
        };
        let dearest = dice.amount(20, 2_000);
        let requests_worth = dice.amount(3, 150);
        let faults = if is_calm { Faults::default() } else { faults(&mut Dice::new(seed, 4), busy) };
        Self {
            relays: usize::try_from(dice.between(1, 4)).unwrap_or(1),
            replicas: usize::try_from(dice.between(1, 3)).unwrap_or(1),
            users: usize::try_from(dice.between(1, 3)).unwrap_or(1),
            wallet: dearest * requests_worth,
            cap: dearest * dice.amount(2, 60),
            dearest,
            is_fixed: dice.permille(300),
            gap: dice.between(30, 300),
            takes: dice.between(50, 3_000),
            busy,
            switches: if dice.permille(600) { dice.between(300, 3_000) } else { 0 },
            credits: if dice.permille(500) { dice.between(500, 4_000) } else { 0 },
            // whoever knows a number that was let go cannot tell that the database went back behind it
            trims: if faults.goes_back == 0 && faults.restore == 0 && dice.permille(250) { dice.between(100, 1_000) } else { 0 },
            terms,
            scale,
            segment: (16 * 1024) << dice.between(0, 2),
            slow_disk: if dice.permille(200) { 2_000 } else { 0 },
            links: links(&mut dice, is_calm),
            // what a database restored to the past asks for again must still be there
            segments: if faults.restore == 0 && faults.goes_back == 0 && dice.permille(400) { 5 } else { 24 },
            faults,
        }
    }
}

fn links(dice: &mut Dice, is_calm: bool) -> Links {
    let most = [4, 30, 120, 400][dice.place(4)];
    let mut sometimes = |often: u64, most: u64| if !is_calm && dice.permille(often) { dice.between(1, most) } else { 0 };
    let (loss, twice, reorders) = (sometimes(350, 20), sometimes(350, 60), sometimes(250, 1) > 0);
    Links { least: 1, most, loss, twice, reorders, missed: sometimes(150, 40) }
}

fn faults(dice: &mut Dice, busy: u64) -> Faults {
    let mut often = |permille: u64, times: u64| if dice.permille(permille) { busy / dice.between(1, times) } else { 0 };
    let faults = Faults {
        partition: often(300, 4),
        kill: often(350, 5),
        power: often(300, 4),
        disk_loss: often(120, 2),
        disk_full: often(150, 3),
        suspend: often(200, 3),
        clock: often(150, 4),
        replica_kill: often(300, 5),
        away: often(250, 3),
        restore: often(120, 1),
        drain: often(200, 3),
        abort: if dice.permille(250) { dice.between(5, 150) } else { 0 },
        unknown: if dice.permille(250) { dice.between(5, 150) } else { 0 },
        goes_back: if dice.permille(150) { busy } else { 0 },
        damage: 0,
        sync_fails: 0,
    };
    let mut rarely = |permille: u64| if dice.permille(permille) { busy / dice.between(1, 2) } else { 0 };
    let faults = Faults { damage: rarely(100), sync_fails: rarely(120), ..faults };
    // two histories that begin from one past may hand out the same ids of leases
    Faults { goes_back: if faults.restore == 0 { faults.goes_back } else { 0 }, ..faults }
}
