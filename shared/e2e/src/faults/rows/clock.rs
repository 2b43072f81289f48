//! Row 13: clocks that step, and a machine that is suspended.

use std::collections::{HashMap, HashSet};
use std::time::Duration;

use sluice_telemetry::clock::{boot_millis, wall_millis};
use tokio::time::{Instant, sleep};

use crate::faults::Stage;
use crate::faults::figure::Figure;
use crate::faults::site::{Plan, SETTLE_LIMIT, Site};
use crate::faults::store::{Lease, Row};
use crate::faults::traffic::{Traffic, failures, refused_with, success};
use crate::load::{End, Seen};

const HOUR_MILLIS: i64 = 3_600_000;
/// How far beside the truth the time of a settled request may be: what the protocol takes at its word.
const BESIDE_MILLIS: i64 = 300_000;
/// From the start of the row to the step: the load flows by then.
const UNTIL_STEP: Duration = Duration::from_secs(25);
/// What a paused relay had handed over is settled after this.
const A_REPORT: Duration = Duration::from_secs(1);
/// Callers that may wait for a process that is suspended.
const WAITING: u32 = 2_000;
const STEP: &str = "SLUICE_TEST_WALL_STEP";

pub(super) async fn row(stage: &Stage) -> Vec<Figure> {
    // twenty minutes of suspend become the row's load; leases end after half of it
    let scale = 1_200 / stage.lasting().as_secs().max(1);
    let at = boot_millis() + u64::try_from(UNTIL_STEP.as_millis()).unwrap_or_default();
    let plan = Plan::new(stage).scaled(scale);
    let (ahead, behind) = (format!("{HOUR_MILLIS}@{at}"), format!("-{HOUR_MILLIS}@{at}"));
    let plan = if stage.is_single() {
        plan.own_setting(0, STEP, ahead)
    } else {
        // a relay ahead, a relay behind, and the control plane that the other relay prefers
        let control = plan.relays;
        plan.own_setting(1, STEP, &ahead).own_setting(2, STEP, behind).own_setting(control, STEP, &ahead)
    };
    let mut site = Site::start(stage, &plan).await;
    let mut mix = site.mix();
    if stage.is_single() {
        // whoever asks the suspended process waits, and there is no other
        mix.rate = mix.rate.min(WAITING / u32::try_from(stage.lasting().as_secs()).unwrap_or(u32::MAX).max(1)).max(1);
    }
    let traffic = Traffic::start(site.doors(&site.payers), mix);
    site.warm(&traffic).await;
    let begun_at = wall_millis();
    while boot_millis() < at {
        sleep(Duration::from_millis(100)).await;
    }
    let stepped = traffic.elapsed_millis();
    sleep((stage.lasting() / 2).max(Duration::from_secs(5))).await;
    let paused = traffic.elapsed_millis();
    site.pause_relay(0);
    sleep(A_REPORT).await;
    let before = Holdings::of(&site).await;
    sleep(stage.lasting()).await;
    // the clock of the one process says so, and its leases go by it
    let resumed_at = wall_millis() + if stage.is_single() { HOUR_MILLIS } else { 0 };
    site.relays[0].process().expect("it runs").resume();
    let (resumed, woke) = (traffic.elapsed_millis(), Instant::now());
    let is_new = async || before.has_new_lease(&site).await;
    let again = site.until(Duration::from_secs(15), is_new).await.map(|_| woke.elapsed());
    sleep(Duration::from_secs(2)).await;
    let seen = traffic.stop().await;
    let mut panics = site.control_figure("sluice_process_panics_total").await;
    for relay in 0..site.relays.len() {
        panics += site.figure(relay, "sluice_process_panics_total").await.unwrap_or_default();
    }
    let (settled, ledger, audit) = site.settle().await;

    let now = wall_millis();
    let odd: Vec<String> = ledger
        .rows
        .iter()
        .filter(|row| row.finished_at > now + BESIDE_MILLIS || row.finished_at < begun_at - BESIDE_MILLIS)
        .map(|row| format!("{} by {} s", row.request_id, (row.finished_at - now) / 1_000))
        .collect();
    let touched = |one: &Seen| one.relay == 0 && one.overlaps(paused, resumed + 1_000);
    let others: Vec<&Seen> = seen.iter().filter(|one| !touched(one)).collect();
    let waited = seen.iter().filter(|one| touched(one) && one.end == End::Whole).count();
    let stepped_who = if stage.is_single() { "the one process" } else { "two relays, ahead and behind, and a control plane" };
    let mut figures = vec![
        Figure::note(
            "lease times",
            format!("{scale} times faster: life {} s, suspended {} s", 600 / scale.max(1), stage.lasting().as_secs() + 1),
        ),
        Figure::note(format!("stepped by an hour: {stepped_who}"), format!("after {stepped} ms")),
        Figure::share("success beside the suspended relay", 99.9, success(others.iter().copied())),
        Figure::none("failures among them", &failures(others)),
        Figure::note("requests that waited for the suspended relay and were served", waited.to_string()),
        Figure::none("refused with 401, 402 or 403", &refused_with(&seen, &[401, 402, 403])),
        Figure::within("the suspended relay has a new lease", Duration::from_secs(5), again),
    ];
    figures.extend(before.figures(&site, &ledger.rows, resumed_at).await);
    figures.push(Figure::exactly("panics", 0.0, panics));
    figures.push(Figure::within("everything settled after the load", SETTLE_LIMIT, settled));
    if !stage.is_single() {
        figures.push(Figure::none("settled requests whose time is more than 5 min beside the truth", &odd));
    }
    figures.extend(audit.figures());
    figures
}

/// What the first relay held, and had settled, when it was suspended.
struct Holdings {
    node: String,
    leases: HashMap<i64, Lease>,
    settled: HashSet<String>,
}

impl Holdings {
    async fn of(site: &Site) -> Self {
        let node = site.first_relay().await;
        let leases = leases_of(site, &node).await.into_iter().map(|lease| (lease.id, lease)).collect();
        let rows = site.books.rows().await.expect("the database answers");
        let settled = rows.into_iter().filter(|row| row.node == node).map(|row| row.request_id).collect();
        Self { node, leases, settled }
    }

    async fn has_new_lease(&self, site: &Site) -> bool {
        leases_of(site, &self.node).await.iter().any(|lease| !self.leases.contains_key(&lease.id))
    }

    /// Whether a request that came after the relay woke was paid for by a lease that was over. The books say what each lease was charged
    /// and not by whom: the leases that were over may be charged what requests of before the suspension cost, and the new ones have to be
    /// charged all that those cost which came after it.
    async fn figures(&self, site: &Site, rows: &[Row], resumed_at: i64) -> Vec<Figure> {
        let accounts = site.books.accounts().await.expect("the database answers");
        let wallets: HashSet<i64> = accounts.iter().filter(|one| one.kind == "wallet").map(|one| one.id).collect();
        let leases = leases_of(site, &self.node).await;
        let of_wallets = leases.iter().filter(|lease| wallets.contains(&lease.account));
        let over = |lease: &Lease| self.leases.get(&lease.id).filter(|before| before.expires_at < resumed_at);
        let (mut count, mut to_old, mut to_new) = (0, 0, 0);
        for lease in of_wallets {
            if let Some(before) = over(lease) {
                count += 1;
                to_old += lease.settled - before.settled;
            } else {
                to_new += lease.settled;
            }
        }
        let since = rows.iter().filter(|row| row.node == self.node && !self.settled.contains(&row.request_id));
        let (fresh, old): (Vec<&Row>, Vec<&Row>) = since.partition(|row| row.started_at >= resumed_at);
        let cost = |rows: &[&Row]| rows.iter().map(|row| row.quota).sum::<i64>();
        vec![
            Figure::at_least("leases of its wallets that were over when it woke", 1, count),
            Figure::at_least(
                "requests that came to it after that and cost something",
                1,
                fresh.iter().filter(|row| row.quota > 0).count(),
            ),
            Figure::at_most("charged to leases that were over, against what requests of before cost", cost(&old), to_old),
            Figure::at_least("charged to new leases, against what requests that came after cost", cost(&fresh), to_new),
        ]
    }
}

async fn leases_of(site: &Site, node: &str) -> Vec<Lease> {
    let leases = site.books.leases_ever().await.expect("the database answers");
    leases.into_iter().filter(|lease| lease.node == node).collect()
}
