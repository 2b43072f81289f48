//! The rows: one function each, with the expected figure beside the measured one.

mod aborted;
mod clock;
mod config;
mod control;
mod crowd;
mod database;
mod disk;
mod flood;
mod kills;
mod partition;
mod redis;
mod relay;
mod rolling;
mod slow;
mod torn;
mod upstream;

use super::figure::Figure;
use super::{Playing, Stage};

/// A row of the matrix.
pub struct Row {
    /// Its number in protocol.md part D.
    pub name: &'static str,
    /// The fault.
    pub fault: &'static str,
    /// Whether it means something for relays, two control planes and a database server.
    pub on_a_fleet: bool,
    /// Whether it means something for one process with SQLite.
    pub on_one_process: bool,
    pub(super) play: for<'a> fn(&'a Stage) -> Playing<'a>,
}

/// The name of the row that only kills.
pub const KILLS: &str = "kills";

/// Every row there is. 10 and 17 are left out: a day of load, and a million tokens, are other programs' work.
pub const ROWS: &[Row] = &[
    Row {
        name: "1",
        fault: "kill -9 a relay mid-stream, restart on the same disk",
        on_a_fleet: true,
        on_one_process: true,
        play: |stage| Box::pin(relay::killed(stage)),
    },
    Row {
        name: "2",
        fault: "kill -9 a relay, its disk is gone",
        on_a_fleet: true,
        on_one_process: false,
        play: |stage| Box::pin(relay::disk_lost(stage)),
    },
    Row {
        name: "3",
        fault: "kill -9 a control-plane replica at random instants",
        on_a_fleet: true,
        on_one_process: false,
        play: |stage| Box::pin(control::one_killed(stage)),
    },
    Row {
        name: "4",
        fault: "every control-plane replica is away",
        on_a_fleet: true,
        on_one_process: false,
        play: |stage| Box::pin(control::all_away(stage)),
    },
    Row {
        name: "5",
        fault: "the database is away",
        on_a_fleet: true,
        on_one_process: true,
        play: |stage| Box::pin(database::away(stage)),
    },
    Row {
        name: "6",
        fault: "failover to a copy of the database that misses the last 5 s; replicas start anew",
        on_a_fleet: true,
        on_one_process: true,
        play: |stage| Box::pin(database::restored(stage)),
    },
    Row {
        name: "6-live",
        fault: "the same failover under replicas that run on",
        on_a_fleet: true,
        on_one_process: false,
        play: |stage| Box::pin(database::replaced(stage)),
    },
    Row {
        name: "7",
        fault: "Redis is killed, wiped, started again",
        on_a_fleet: true,
        on_one_process: false,
        play: |stage| Box::pin(redis::row(stage)),
    },
    Row {
        name: "8",
        fault: "partition of a relay from every control plane: black hole, half-open, refused",
        on_a_fleet: true,
        on_one_process: false,
        play: |stage| Box::pin(partition::row(stage)),
    },
    Row {
        name: "9",
        fault: "slow upstream: a byte a second, no first token, silence",
        on_a_fleet: true,
        on_one_process: true,
        play: |stage| Box::pin(upstream::slow(stage)),
    },
    Row {
        name: "11",
        fault: "upstreams that misbehave",
        on_a_fleet: true,
        on_one_process: true,
        play: |stage| Box::pin(upstream::misbehaving(stage)),
    },
    Row {
        name: "12",
        fault: "the disk of the spool is full",
        on_a_fleet: true,
        on_one_process: true,
        play: |stage| Box::pin(disk::full(stage)),
    },
    Row {
        name: "13",
        fault: "wall clocks step by an hour, a machine is suspended",
        on_a_fleet: true,
        on_one_process: true,
        play: |stage| Box::pin(clock::row(stage)),
    },
    Row {
        name: "14",
        fault: "the end of a spool is damaged at every offset",
        on_a_fleet: true,
        on_one_process: true,
        play: |stage| Box::pin(torn::row(stage)),
    },
    Row {
        name: "15",
        fault: "a poisoned config stream",
        on_a_fleet: true,
        on_one_process: false,
        play: |stage| Box::pin(config::poisoned(stage)),
    },
    Row {
        name: "16",
        fault: "every process is replaced, and back",
        on_a_fleet: true,
        on_one_process: false,
        play: |stage| Box::pin(rolling::row(stage)),
    },
    Row {
        name: "18",
        fault: "a flood of keys that nobody has",
        on_a_fleet: true,
        on_one_process: true,
        play: |stage| Box::pin(flood::row(stage)),
    },
    Row {
        name: "19",
        fault: "a drained payer asks 1,000 times a second at 20 relays",
        on_a_fleet: true,
        on_one_process: false,
        play: |stage| Box::pin(crowd::drained(stage)),
    },
    Row {
        name: "20",
        fault: "50 balances worth 10 requests, 100 at once of each, 20 relays",
        on_a_fleet: true,
        on_one_process: false,
        play: |stage| Box::pin(crowd::exact(stage)),
    },
    Row {
        name: "21",
        fault: "callers hang up at random points",
        on_a_fleet: true,
        on_one_process: true,
        play: |stage| Box::pin(aborted::row(stage)),
    },
    Row {
        name: "22",
        fault: "payments told twice, late, out of order, by a forger",
        on_a_fleet: true,
        on_one_process: true,
        play: |_| Box::pin(std::future::ready(vec![Figure::not_applicable("webhooks of payments", "takes no payments yet")])),
    },
    Row {
        name: "23",
        fault: "a paused relay wakes up after its replacement took its name",
        on_a_fleet: true,
        on_one_process: false,
        play: |stage| Box::pin(relay::zombie(stage)),
    },
    Row {
        name: "24",
        fault: "a relay that takes its configuration at a trickle",
        on_a_fleet: true,
        on_one_process: false,
        play: |stage| Box::pin(slow::row(stage)),
    },
    Row {
        name: KILLS,
        fault: "kill -9 of any process at random instants",
        on_a_fleet: true,
        on_one_process: true,
        play: |stage| Box::pin(kills::row(stage)),
    },
];
