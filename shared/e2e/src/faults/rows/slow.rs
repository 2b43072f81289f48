//! Row 24: relays that take their configuration at a trickle, while there is a lot of it.

use std::time::Duration;

use serde_json::json;
use tokio::time::{Instant, sleep};

use crate::faults::Stage;
use crate::faults::figure::{Figure, seconds};
use crate::faults::forger::Forger;
use crate::faults::site::{Plan, Site};
use crate::faults::traffic::success;
use crate::fleet::{PROVIDER_KEY, figure_of, settle_config};
use crate::inside::Inside;

/// The most that one slow relay may cost a control plane, in bytes.
const MOST: f64 = 1024.0 * 1024.0;
/// Relays in the driver's process that are slow together with the first one: what a process moves by anyway is divided by them.
const SLOW: u32 = 20;
/// How long a slow relay is over each message: not so long that the line counts as dead.
const PAUSE: Duration = Duration::from_secs(2);
/// Changes made while they are slow: a control plane keeps 256 for who lags behind, and a relay's megabyte holds fewer than 50.
const CHANGES: usize = 400;
/// Models of the channel that changes, and about what each of them takes.
const MODELS: usize = 400;
const MODEL_BYTES: usize = 55;
/// They have everything within this once they read again.
const CAUGHT_UP: Duration = Duration::from_secs(30);
const RSS: &str = "process_resident_memory_bytes";
const SNAPSHOTS: &str = "sluice_relay_config_snapshots_total";

pub(super) async fn row(stage: &Stage) -> Vec<Figure> {
    let site = Site::start(stage, &Plan::new(stage).forged()).await;
    let crowd = Crowd::join(&site).await;
    let everybody = site.relays.len() + SLOW as usize;
    let traffic = site.traffic();
    site.warm(&traffic).await;
    // the same changes twice: everybody keeps up, then some do not. The second time finds the memory of the first
    let channel = large_channel(&site).await;
    let written = changes(&site, channel, stage.lasting() / 2).await;
    settle_config(&site.apis[0], everybody).await;
    let (before, snapshots) = (memory(&site).await, site.figure(0, SNAPSHOTS).await.unwrap_or_default());
    crowd.slow_down(&site, PAUSE);
    let (begun, again) = (Instant::now(), changes(&site, channel, stage.lasting() / 2).await);
    let (during, lasted) = (memory(&site).await, begun.elapsed());
    let elsewhere = async || applied(&site, 1).await && applied(&site, 2).await;
    let kept_up = site.until(Duration::from_secs(5), elsewhere).await;
    let are_behind = !applied(&site, 0).await;
    crowd.slow_down(&site, Duration::ZERO);
    let begun = Instant::now();
    let caught_up = tokio::time::timeout(CAUGHT_UP * 2, settle_config(&site.apis[0], everybody)).await;
    let caught_up = caught_up.ok().map(|()| begun.elapsed());
    let dropped = site.figure(0, SNAPSHOTS).await.unwrap_or_default() - snapshots;
    let agreed = site.until(Duration::from_secs(5), async || site.is_agreed().await).await;
    let seen = traffic.stop().await;
    drop(crowd);
    let (_, _, audit) = site.settle().await;

    let grown = (during - before).max(0.0);
    let of_one = (grown / f64::from(SLOW + 1)).round();
    let kilobytes = MODELS * MODEL_BYTES / 1_000;
    let mut figures = vec![
        Figure::note("changes", format!("{written}, then {again} in {} of {kilobytes} kB each", seconds(lasted))),
        Figure::note(
            "memory that the control plane grew by meanwhile",
            format!("{:.1} MB, {} slow relays", grown / 1e6, SLOW + 1),
        ),
        Figure::at_most("memory that one slow relay cost, bytes", MOST, of_one),
        Figure::claim("the slow relay is behind", "yes", if are_behind { "yes" } else { "no" }, are_behind),
        Figure::at_least("snapshots it is sent instead of what it missed", 1.0, dropped),
        Figure::within("the other relays have everything after", Duration::from_secs(1), kept_up),
        Figure::within("the slow ones, once they read again, after", CAUGHT_UP, caught_up),
        Figure::within("and all agree on every byte after", Duration::from_secs(5), agreed),
        Figure::share("success through all relays", 100.0, success(&seen)),
    ];
    figures.extend(audit.figures());
    figures
}

/// Relays in the driver's process, each with somebody of its own in the middle between it and the first control plane.
struct Crowd {
    forgers: Vec<Forger>,
    _relays: Vec<Inside>,
}

impl Crowd {
    async fn join(site: &Site) -> Self {
        let (mut forgers, mut relays) = (Vec::new(), Vec::new());
        for place in 0..SLOW as usize {
            let forger = Forger::start(site.doors[0]).await;
            relays.push(Inside::with_arguments(site.arguments_of_a_relay(place, &[forger.addr()])).await);
            forgers.push(forger);
        }
        Self { forgers, _relays: relays }
    }

    /// Them, and the first relay of the site.
    fn slow_down(&self, site: &Site, pause: Duration) {
        self.forgers.iter().chain(&site.forgers).for_each(|forger| forger.slow_down(pause));
    }
}

async fn large_channel(site: &Site) -> i64 {
    let models: Vec<String> =
        (0..MODELS).map(|place| format!("a-model-with-a-long-name-for-the-sake-of-bytes-{place:05}")).collect();
    let models: Vec<&str> = models.iter().map(String::as_str).collect();
    site.apis[0].channel("large", &site.simulator.base_url(), PROVIDER_KEY, &models).await
}

/// Changes a channel again and again: so often, and for so long. Answers how often it was.
async fn changes(site: &Site, channel: i64, lasting: Duration) -> usize {
    let (begun, mut count) = (Instant::now(), 0);
    while count < CHANGES || begun.elapsed() < lasting {
        site.apis[0].patch(&format!("/api/channels/{channel}"), &json!({"weight": 1 + count % 50})).await;
        count += 1;
        sleep(Duration::from_millis(1)).await;
    }
    count
}

/// What the control plane takes that the slow relays are at.
async fn memory(site: &Site) -> f64 {
    figure_of(&site.controls[0].ops_url(), RSS).await.unwrap_or_default()
}

async fn applied(site: &Site, relay: usize) -> bool {
    let seq = site.figure(relay, "sluice_relay_config_seq").await;
    #[expect(clippy::cast_precision_loss, reason = "a small number")]
    let written = site.apis[0].written() as f64;
    seq.is_some_and(|seq| seq >= written)
}
