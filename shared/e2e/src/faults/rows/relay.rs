//! Rows about a relay that dies or is thought dead: 1, 2 and 23.

use std::collections::HashMap;
use std::time::Duration;

use sluice_testkit::simulator::LogEntry;
use tokio::time::{Instant, sleep};

use crate::faults::Stage;
use crate::faults::figure::{Figure, seconds};
use crate::faults::site::{PRICE, Plan, Site};
use crate::faults::store::{Lease, Row};
use crate::faults::traffic::{failures, success};
use crate::load::Seen;

/// A killed relay is ready again within this.
const READY: Duration = Duration::from_secs(2);
/// The leases of its earlier life are closed within this.
const CLOSED: Duration = Duration::from_secs(10);
/// A stream that was cut is charged up to this much before its end: what is noted each second.
const SHORT: Duration = Duration::from_secs(1);
/// Events of a stream of the mix: one token each 20 ms.
const TOKEN: Duration = Duration::from_millis(20);
/// What was on its way when the process died, and the grain of our clock.
const ON_THE_WAY: Duration = Duration::from_millis(250);

/// Row 1: kill -9 in the middle of streams, restart on the same disk.
pub(super) async fn killed(stage: &Stage) -> Vec<Figure> {
    let mut site = Site::start(stage, &Plan::new(stage)).await;
    let traffic = site.traffic();
    site.warm(&traffic).await;
    sleep(stage.lasting() / 3).await;
    let node = site.first_relay().await;
    let killed = newest_epoch(&site, &node).await;
    let outage = site.kill_relay(0, &traffic).await;
    // what the next life took over belongs to that one
    let is_of_it = |lease: &Lease| lease.node == node && lease.epoch == killed;
    let is_closed = async || site.books.leases().await.is_ok_and(|leases| !leases.iter().any(is_of_it));
    let closed = site.until(CLOSED * 3, is_closed).await;
    sleep(stage.lasting() / 3).await;
    let seen = traffic.stop().await;
    let (settled, ledger, audit) = site.settle().await;

    let mut figures = vec![Figure::within("ready again", READY, Some(outage.ready_after))];
    if site.relays.len() > 1 {
        let others: Vec<&Seen> = seen.iter().filter(|one| one.relay != outage.relay).collect();
        figures.push(Figure::share("success through the other relays", 100.0, success(others)));
    }
    figures.push(Figure::within(format!("leases of the killed life, number {killed}, closed or taken over"), CLOSED, closed));
    figures.push(Figure::within("everything settled after the load", Duration::from_secs(10), settled));
    figures.extend(shortfall(&ledger.rows, &site.simulator.log()));
    figures.extend(audit.figures());
    figures
}

/// How far before their end cut streams were charged.
fn shortfall(rows: &[Row], log: &[LogEntry]) -> Vec<Figure> {
    let sent: HashMap<&str, &LogEntry> = log.iter().filter_map(|entry| Some((entry.request_id.as_deref()?, entry))).collect();
    let orphans: Vec<(&Row, &LogEntry)> = rows
        .iter()
        .filter(|row| row.outcome == "orphaned")
        .filter_map(|row| Some((row, *sent.get(row.request_id.as_str())?)))
        .filter(|(_, entry)| entry.stream)
        .collect();
    let short = |(row, entry): &(&Row, &LogEntry)| {
        TOKEN.saturating_mul(u32::try_from((entry.sent_tokens - row.output).max(0)).unwrap_or(u32::MAX))
    };
    let longest = orphans.iter().map(short).max();
    let overcharged =
        orphans.iter().filter(|(row, entry)| row.quota > PRICE.of(entry.prompt_tokens * 2, entry.sent_tokens * 2)).count();
    vec![
        Figure::at_least("streams cut by the kill, and settled", 1, orphans.len()),
        Figure::within("charged short of what was sent, at most", SHORT + ON_THE_WAY, Some(longest.unwrap_or_default())),
        Figure::exactly("cut streams charged twice what was sent or more", 0, overcharged),
    ]
}

/// Row 2: kill -9, and the disk is gone.
pub(super) async fn disk_lost(stage: &Stage) -> Vec<Figure> {
    // life, grace and hold together are 4,230 s: they are to pass within the row's load
    let scale = 4_230 / (stage.lasting().as_secs() * 2 / 3).max(1) + 1;
    let mut site = Site::start(stage, &Plan::new(stage).scaled(scale)).await;
    let poor = site.payer("poor", 30_000).await;
    let poor_doors = site.doors(std::slice::from_ref(&poor));
    let traffic = site.traffic();
    let mut mix = site.mix();
    (mix.rate, mix.prefix) = (5, "poor".to_owned());
    let pressure = crate::faults::traffic::Traffic::start(poor_doors, mix);
    site.warm(&traffic).await;
    sleep(stage.lasting() / 3).await;

    let from_millis = traffic.elapsed_millis();
    site.relays[0].kill_9();
    let folder = site.folder_of("relay-0");
    std::fs::remove_dir_all(&folder).and_then(|()| std::fs::create_dir_all(&folder)).expect("a folder can be replaced");
    // what was under way to the control plane has arrived after a moment
    sleep(Duration::from_secs(1)).await;
    let held: Vec<Lease> = site.books.leases().await.expect("the database answers");
    let held: Vec<Lease> = held.into_iter().filter(|lease| lease.node == "relay-0").collect();
    let (owed, epoch) = (held.iter().map(|lease| lease.remainder).sum::<i64>(), held.first().map_or(0, |lease| lease.epoch));
    let begun = Instant::now();
    site.relays[0].start();
    site.relays[0].wait_ready().await;
    let (ready_after, to_millis) = (begun.elapsed(), traffic.elapsed_millis());

    let doubted = async || in_doubt(&site, epoch).await.unwrap_or_default();
    let limit = Duration::from_secs(630 / scale + 15);
    let noticed = site.until(limit, async || doubted().await == owed).await;
    let most_in_doubt = doubted().await;
    let hold = Duration::from_secs(3_600 / scale);
    let released = site.until(hold + Duration::from_secs(15), async || doubted().await == 0).await;
    let seen = traffic.stop().await;
    let poor_seen = pressure.stop().await;
    let (_, ledger, audit) = site.settle().await;

    let others: Vec<&Seen> = seen.iter().filter(|one| one.relay != 0).collect();
    let touched = |one: &Seen| one.relay == 0 && one.overlaps(from_millis, to_millis);
    let lost_cost: i64 = lost_cost(&audit.lost, &site.simulator.log());
    let (poor_good, _) = success(&poor_seen);
    let mut figures = vec![
        Figure::note("lease times", format!("{scale} times faster: life {} s, hold {} s", 600 / scale, 3_600 / scale)),
        Figure::exactly("in doubt: the unsettled grants of the lost life", owed, most_in_doubt),
        Figure::within("in doubt after", limit, noticed),
        Figure::within("released after the hold", hold + Duration::from_secs(15), released),
        Figure::share("success through the other relays", 100.0, success(others)),
        Figure::none(
            "failures through the lost relay beside its outage",
            &failures(seen.iter().filter(|one| one.relay == 0 && !touched(one))),
        ),
        Figure::within("ready again on an empty disk", READY, Some(ready_after)),
        Figure::at_most("worth of what was lost with the disk, against what was in doubt", owed, lost_cost),
        Figure::note("the poor payer", format!("{poor_good} served, worth {} at the end", ledger.worth(poor.user))),
    ];
    figures.push(Figure::none("requests settled twice", &audit.doubled));
    figures.extend(audit.conservation());
    figures
}

async fn in_doubt(site: &Site, epoch: i64) -> anyhow::Result<i64> {
    let leases = site.books.leases().await?;
    let lost = leases.iter().filter(|lease| lease.node == "relay-0" && lease.epoch == epoch && lease.state == "in_doubt");
    Ok(lost.map(|lease| lease.remainder).sum())
}

fn lost_cost(lost: &[String], log: &[LogEntry]) -> i64 {
    let entries = log.iter().filter(|entry| entry.request_id.as_ref().is_some_and(|id| lost.contains(id)));
    entries.map(|entry| PRICE.of(entry.prompt_tokens, entry.sent_tokens)).sum()
}

/// Row 23: a relay that was paused wakes up when another process has taken its name.
pub(super) async fn zombie(stage: &Stage) -> Vec<Figure> {
    let mut site = Site::start(stage, &Plan::new(stage)).await;
    let traffic = site.traffic();
    site.warm(&traffic).await;
    sleep(stage.lasting() / 4).await;

    let from_millis = traffic.elapsed_millis();
    let old_epoch = newest_epoch(&site, "relay-0").await;
    site.pause_relay(0);
    let mut replacement = site.relays[0].namesake(site.folder_of("relay-0-again"));
    replacement.start();
    replacement.wait_ready().await;
    // what the old life had handed over before it was fenced is in the books by now
    sleep(Duration::from_secs(2)).await;
    let before = rows_of(&site, "relay-0", old_epoch).await;
    site.relays[0].process().expect("it runs").resume();
    let resumed = Instant::now();
    let mut ended = None;
    while resumed.elapsed() < Duration::from_secs(15) && ended.is_none() {
        if !site.relays[0].process().expect("it was started").is_running() {
            ended = Some(resumed.elapsed());
        }
        sleep(Duration::from_millis(50)).await;
    }
    sleep(stage.lasting() / 4).await;
    let seen = traffic.stop().await;
    let after = rows_of(&site, "relay-0", old_epoch).await;
    let dead = std::mem::replace(&mut site.relays[0], replacement);
    let (_, _, audit) = site.settle().await;
    drop(dead);

    let others: Vec<&Seen> = seen.iter().filter(|one| one.relay != 0).collect();
    let wrongly_refused: Vec<String> = crate::faults::traffic::refused_with(&seen, &[401, 402, 403]);
    let mut figures = vec![
        Figure::within("the zombie ends itself after it woke", Duration::from_secs(10), ended),
        Figure::exactly("settlements of the fenced life after its fence", before, after),
        Figure::share("success through the other relays", 100.0, success(others)),
        Figure::none("refused with 401, 402 or 403", &wrongly_refused),
        Figure::note("requests the zombie had not reported, and took with it", audit.lost.len().to_string()),
        Figure::note("paused after", seconds(Duration::from_millis(from_millis))),
        Figure::none("requests settled twice", &audit.doubled),
    ];
    figures.extend(audit.conservation());
    figures
}

async fn newest_epoch(site: &Site, node: &str) -> i64 {
    let leases = site.books.leases().await.expect("the database answers");
    leases.iter().filter(|lease| lease.node == node).map(|lease| lease.epoch).max().expect("it holds leases")
}

async fn rows_of(site: &Site, node: &str, epoch: i64) -> usize {
    let rows = site.books.rows().await.expect("the database answers");
    rows.iter().filter(|row| row.node == node && row.epoch == epoch).count()
}
