//! Rows about a control plane that dies: 3 and 4.

use std::time::Duration;

use tokio::time::{Instant, sleep};

use crate::faults::Stage;
use crate::faults::figure::Figure;
use crate::faults::site::{Plan, SETTLE_LIMIT, Site};
use crate::faults::traffic::{Traffic, failures, refused_with, success};
use crate::faults::watch::{Watch, longest};
use crate::fleet::{Node, figure_of};
use crate::load::{End, Seen};
use crate::sim::chance::Dice;

const CONNECTED: &str = "sluice_relay_control_connected";
/// A relay that lost its replica is with the other one within this.
const FAIL_OVER: Duration = Duration::from_secs(2);
/// How long every replica is away, in the time of leases.
const AWAY: Duration = Duration::from_mins(5);
/// Kills in a minute.
const KILLS: u32 = 100;

/// Row 3: kill -9 of one replica after the other, at random instants, while the other one serves.
pub(super) async fn one_killed(stage: &Stage) -> Vec<Figure> {
    let mut site = Site::start(stage, &Plan::new(stage)).await;
    let traffic = site.traffic();
    site.warm(&traffic).await;
    let watch = Watch::start(site.relays.iter().map(Node::ops_url).collect(), CONNECTED, Duration::from_millis(200));
    let mut dice = Dice::new(3, 0);
    let wanted = KILLS * u32::try_from(stage.lasting().as_millis()).unwrap_or(u32::MAX) / 60_000;
    let wanted = wanted.clamp(4, KILLS);
    let mut kills = 0;
    while kills < wanted {
        let victim = kills as usize % site.controls.len();
        sleep(Duration::from_millis(dice.between(50, 300))).await;
        let node = &mut site.controls[victim];
        node.kill_9();
        node.start();
        node.wait_ready().await;
        kills += 1;
        // at least one replica has the relays before the next one dies
        site.until(FAIL_OVER * 2, async || are_connected(&site.relays).await).await;
    }
    sleep(Duration::from_secs(1)).await;
    let seen = traffic.stop().await;
    let gaps: Vec<Duration> = watch.stop().await.iter().map(|samples| longest(samples, |value| value < 0.5)).collect();
    let (settled, _, audit) = site.settle().await;
    let mut figures = vec![
        Figure::at_least("kills", wanted, kills),
        Figure::within("longest time a relay was without a replica", FAIL_OVER, gaps.into_iter().max()),
        Figure::none("client errors", &failures(&seen)),
        Figure::within("everything settled after the load", SETTLE_LIMIT, settled),
        Figure::note("requests", seen.len().to_string()),
    ];
    figures.extend(audit.figures());
    figures
}

async fn are_connected(relays: &[Node]) -> bool {
    for relay in relays {
        if figure_of(&relay.ops_url(), CONNECTED).await.is_none_or(|value| value < 0.5) {
            return false;
        }
    }
    true
}

/// Row 4: every replica is away; after a quarter of it a relay is killed and starts again from its own disk.
pub(super) async fn all_away(stage: &Stage) -> Vec<Figure> {
    // five minutes of absence become the row's load, and the ten of a lease's life twice that
    let scale = AWAY.as_secs().div_ceil(stage.lasting().as_secs().max(1));
    let mut site = Site::start(stage, &Plan::new(stage).scaled(scale)).await;
    let poor = site.payer("poor", 2_000).await;
    let traffic = site.traffic();
    site.warm(&traffic).await;
    // leases are sized by what was spent in a step of a minute
    sleep(Duration::from_secs(120 / scale) + Duration::from_secs(2)).await;
    let gone_at = traffic.elapsed_millis();
    site.controls.iter_mut().for_each(Node::kill_9);
    let gone = Instant::now();
    let pressure = poor_pressure(&site, &poor);
    sleep(stage.lasting() / 4).await;
    let outage = site.kill_relay(2, &traffic).await;
    sleep(stage.lasting().saturating_sub(gone.elapsed())).await;
    let (back_at, away) = (traffic.elapsed_millis(), gone.elapsed());
    let poor_seen = pressure.stop().await;
    let back = Instant::now();
    site.controls.iter_mut().for_each(Node::start);
    for node in &site.controls {
        node.wait_ready().await;
    }
    let caught_up = owes_nothing_old(&site, back).await;
    let seen = traffic.stop().await;
    let (_, ledger, audit) = site.settle().await;

    let in_absence: Vec<&Seen> = seen.iter().filter(|one| one.overlaps(gone_at, back_at)).collect();
    let untouched: Vec<&Seen> =
        in_absence.iter().copied().filter(|one| one.relay != 2 || !one.overlaps(outage.from_millis, outage.to_millis)).collect();
    let restarted: Vec<&Seen> =
        in_absence.iter().copied().filter(|one| one.relay == 2 && one.sent_millis > outage.to_millis).collect();
    let never_killed: Vec<&Seen> = untouched.iter().copied().filter(|one| one.relay != 2).collect();
    let dry = poor_seen.iter().filter(|one| matches!(one.end, End::Refused { status: 503, .. })).count();
    let in_lease_time = away * u32::try_from(scale).unwrap_or(u32::MAX);
    let mut figures = vec![
        Figure::note("lease times", format!("{scale} times faster: life {} s", 600 / scale)),
        Figure::at_least("without any control plane, seconds of lease time", AWAY.as_secs(), in_lease_time.as_secs()),
        Figure::share("warm requests served without any control plane", 99.9, success(never_killed.iter().copied())),
        Figure::none("failures among them", &failures(never_killed)),
        Figure::share("served by a relay restarted meanwhile, from its own leases", 99.0, success(restarted.iter().copied())),
        Figure::none("refused with 401, 402 or 403", &refused_with(&seen, &[401, 402, 403])),
        Figure::none("the dry payer: refused with 401, 402 or 403", &refused_with(&poor_seen, &[401, 402, 403])),
        Figure::at_least("the dry payer: refused with 503", 1, dry),
        Figure::within("backlog settled after the return", Duration::from_mins(1), caught_up),
        Figure::note("worth of the dry payer at the end", ledger.worth(poor.user).to_string()),
    ];
    figures.extend(audit.figures());
    figures
}

/// Two requests a second by somebody whose leases are never large.
fn poor_pressure(site: &Site, poor: &crate::faults::site::Payer) -> Traffic {
    let mut mix = site.mix();
    (mix.rate, mix.prefix) = (2, "poor".to_owned());
    Traffic::start(site.doors(std::slice::from_ref(poor)), mix)
}

/// How long it takes, from a moment, until settlement is no further behind than a report or two.
pub(super) async fn owes_nothing_old(site: &Site, since: Instant) -> Option<Duration> {
    let is_up_to_date = async || lag_millis(site).await.is_some_and(|lag| lag < 2_000);
    site.until(SETTLE_LIMIT * 2, is_up_to_date).await.map(|_| since.elapsed())
}

/// How old the newest settlement of the relay is that is furthest behind.
pub(super) async fn lag_millis(site: &Site) -> Option<i64> {
    let newest = site.books.newest().await.ok()?;
    let oldest = newest.values().min()?;
    Some(sluice_telemetry::clock::wall_millis() - oldest)
}
