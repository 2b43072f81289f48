//! Row 13: clocks that step, and a machine that is suspended.

use std::time::Duration;

use sluice_telemetry::clock::{boot_millis, wall_millis};
use tokio::time::{Instant, sleep};

use crate::faults::Stage;
use crate::faults::figure::Figure;
use crate::faults::site::{Plan, SETTLE_LIMIT, Site};
use crate::faults::traffic::{failures, refused_with, success};
use crate::load::{End, Seen};

const HOUR_MILLIS: i64 = 3_600_000;
/// How far beside the truth the time of a settled request may be: what the protocol takes at its word.
const BESIDE_MILLIS: i64 = 300_000;
/// From the start of the row to the step: the load flows by then.
const UNTIL_STEP: Duration = Duration::from_secs(25);
const STEP: &str = "SLUICE_TEST_WALL_STEP";

pub(super) async fn row(stage: &Stage) -> Vec<Figure> {
    // twenty minutes of suspend become the row's load; leases end after half of it
    let scale = 1_200 / stage.lasting().as_secs().max(1);
    let at = boot_millis() + u64::try_from(UNTIL_STEP.as_millis()).unwrap_or_default();
    let plan = Plan::new(stage).scaled(scale);
    let plan = if stage.is_single() {
        plan.own_setting(0, STEP, format!("{HOUR_MILLIS}@{at}"))
    } else {
        // a relay ahead and a relay behind; the time of the control planes is the one that counts
        plan.own_setting(1, STEP, format!("{HOUR_MILLIS}@{at}")).own_setting(2, STEP, format!("-{HOUR_MILLIS}@{at}"))
    };
    let mut site = Site::start(stage, &plan).await;
    let traffic = site.traffic();
    site.warm(&traffic).await;
    let begun_at = wall_millis();
    while boot_millis() < at {
        sleep(Duration::from_millis(100)).await;
    }
    let stepped = traffic.elapsed_millis();
    sleep((stage.lasting() / 2).max(Duration::from_secs(5))).await;
    let paused = traffic.elapsed_millis();
    site.relays[0].process().expect("it runs").pause();
    sleep(stage.lasting()).await;
    site.relays[0].process().expect("it runs").resume();
    let (resumed, woke) = (traffic.elapsed_millis(), Instant::now());
    let reserved = async || site.figure(0, "sluice_relay_reservations_total{outcome=\"local\"}").await.unwrap_or_default();
    let before = reserved().await;
    let again = site.until(Duration::from_secs(15), async || reserved().await > before).await.map(|_| woke.elapsed());
    sleep(Duration::from_secs(2)).await;
    let seen = traffic.stop().await;
    let mut panics = site.control_figure("sluice_process_panics_total").await;
    for relay in 0..site.relays.len() {
        panics += site.figure(relay, "sluice_process_panics_total").await.unwrap_or_default();
    }
    let late = site.control_figure("sluice_control_late_charges_total").await;
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
    let mut figures = vec![
        Figure::note(
            "lease times",
            format!("{scale} times faster: life {} s, suspended {} s", 600 / scale.max(1), stage.lasting().as_secs()),
        ),
        Figure::note("stepped by an hour, ahead and behind", format!("after {stepped} ms")),
        Figure::share("success beside the suspended relay", 99.9, success(others.iter().copied())),
        Figure::none("failures among them", &failures(others)),
        Figure::note("requests that waited for the suspended relay and were served", waited.to_string()),
        Figure::none("refused with 401, 402 or 403", &refused_with(&seen, &[401, 402, 403])),
        Figure::within("the suspended relay reserves again, from new leases", Duration::from_secs(5), again),
        Figure::exactly("panics", 0.0, panics),
        Figure::note("charges on leases that were over, of requests that ran when the relay was suspended", late.to_string()),
        Figure::within("everything settled after the load", SETTLE_LIMIT, settled),
    ];
    if !stage.is_single() {
        figures.push(Figure::none("settled requests whose time is more than 5 min beside the truth", &odd));
    }
    figures.extend(audit.figures());
    figures
}
