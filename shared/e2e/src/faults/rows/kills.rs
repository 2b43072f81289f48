//! The row that only kills: every process, at random instants, again and again.

use std::time::Duration;

use tokio::time::{Instant, sleep};

use crate::faults::Stage;
use crate::faults::figure::Figure;
use crate::faults::site::{Outage, Plan, SETTLE_LIMIT, Site};
use crate::faults::traffic::{Traffic, failures, success};
use crate::load::Seen;
use crate::sim::chance::Dice;

/// Requests for each kill: 10,000 for the hundred that are asked for.
const REQUESTS_PER_KILL: u32 = 100;

pub(super) async fn row(stage: &Stage) -> Vec<Figure> {
    let (kills, requests) = (stage.options.kills, u64::from(stage.options.kills * REQUESTS_PER_KILL));
    let mut site = Site::start(stage, &Plan::new(stage)).await;
    let traffic = site.traffic();
    site.warm(&traffic).await;
    let (mut dice, begun, mut outages) = (Dice::new(u64::from(kills), 0), Instant::now(), Vec::new());
    for _ in 0..kills {
        sleep(Duration::from_millis(dice.between(20, 400))).await;
        outages.extend(kill_one(&mut site, &traffic, &mut dice).await);
    }
    let lasted = begun.elapsed();
    let limit = Duration::from_secs(requests / u64::from(stage.options.rate).max(1) + 60);
    site.until(limit, async || traffic.whole() >= requests).await;
    let seen = traffic.stop().await;
    let (settled, ledger, audit) = site.settle().await;

    let touched = |one: &Seen| outages.iter().any(|out| out.relay == one.relay && one.overlaps(out.from_millis, out.to_millis));
    let untouched: Vec<&Seen> = seen.iter().filter(|one| !touched(one)).collect();
    let orphans = ledger.rows.iter().filter(|row| row.outcome == "orphaned").count();
    let mut figures = vec![
        Figure::note("kills", kills.to_string()),
        Figure::at_least("requests", requests, seen.len() as u64),
        Figure::note("kills of relays among them", format!("{} in {:.0} s", outages.len(), lasted.as_secs_f64())),
        Figure::share("success where the relay lived", 100.0, success(untouched.iter().copied())),
        Figure::none("failures among them", &failures(untouched)),
        Figure::note("requests cut by a kill and settled at their last progress", orphans.to_string()),
        Figure::within("everything settled after the load", SETTLE_LIMIT, settled),
    ];
    figures.extend(audit.figures());
    figures
}

/// Kills a relay or a replica. A replica goes down while the other one may be down, too: nobody waits for it.
async fn kill_one(site: &mut Site, traffic: &Traffic, dice: &mut Dice) -> Option<Outage> {
    let victim = dice.place(site.relays.len() + site.controls.len());
    if victim < site.relays.len() {
        return Some(site.kill_relay(victim, traffic).await);
    }
    let node = &mut site.controls[victim - site.relays.len()];
    node.kill_9();
    node.start();
    None
}
