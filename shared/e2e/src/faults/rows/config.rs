//! Rows about the config stream: 15 and 24.

use std::time::Duration;

use serde_json::{Value, json};
use tokio::time::{Instant, sleep};

use crate::faults::Stage;
use crate::faults::figure::Figure;
use crate::faults::forger::{Forger, Poison};
use crate::faults::site::{Payer, Plan, SETTLE_LIMIT, Site, until};
use crate::faults::traffic::{failures, success};
use crate::fleet::settle_config;

/// A refused entity is named by the API within this.
const NAMED: Duration = Duration::from_secs(5);
/// A revocation reaches every relay within this, whatever came before it.
const REVOKED: Duration = Duration::from_secs(1);
/// A relay that was told nonsense has everything within this.
const REPAIRED: Duration = Duration::from_secs(30);
const RSS: &str = "process_resident_memory_bytes";

/// Row 15: the first relay is told nonsense.
pub(super) async fn poisoned(stage: &Stage) -> Vec<Figure> {
    let mut site = Site::start(stage, &Plan::new(stage).forged()).await;
    let mut victims = Vec::new();
    for place in 0..6 {
        victims.push(site.payer(&format!("victim-{place}"), 1_000_000).await);
    }
    let traffic = site.traffic();
    site.warm(&traffic).await;
    let stories: [(&str, &[Poison], bool); 5] = [
        ("bad entity", &[Poison::BadEntity], true),
        ("unknown enum", &[Poison::UnknownEnum], true),
        ("bad checksum", &[Poison::WrongStart, Poison::BadCrc], false),
        ("truncated chunk", &[Poison::WrongStart, Poison::CutChunk], false),
        ("a chunk 100 × too large", &[Poison::WrongStart, Poison::Huge], false),
    ];
    let mut figures = Vec::new();
    for (place, (name, poisons, names_entity)) in stories.into_iter().enumerate() {
        figures.extend(one_poison(&site, name, poisons, names_entity, &victims[place], place).await);
        sleep(stage.lasting() / 10).await;
    }
    let seen = traffic.stop().await;
    let (settled, _, audit) = site.settle().await;
    figures.extend([
        Figure::share("success through all relays", 100.0, success(&seen)),
        Figure::none("failures", &failures(&seen)),
        Figure::within("everything settled after the load", SETTLE_LIMIT, settled),
    ]);
    figures.extend(audit.figures());
    figures
}

async fn one_poison(site: &Site, name: &str, poisons: &[Poison], names_entity: bool, victim: &Payer, turn: usize) -> Vec<Figure> {
    site.forgers.iter().for_each(|forger| forger.order(poisons));
    // a change makes a delta, which is what the poison waits for
    let channel = format!("/api/channels/{}", site.channel);
    site.apis[0].patch(&channel, &json!({"weight": 2 + turn})).await;
    let told = async || site.forgers.iter().any(Forger::is_done);
    let is_told = site.until(Duration::from_secs(15), told).await.is_some();
    let mut figures = vec![Figure::claim(format!("{name}: told"), "yes", if is_told { "yes" } else { "no" }, is_told)];
    if names_entity {
        let named = async || {
            let relays = site.apis[0].get("/api/relays").await;
            relays["items"].as_array().into_iter().flatten().any(names_it)
        };
        figures.push(Figure::within(format!("{name}: named in /api/relays"), NAMED, site.until(NAMED * 3, named).await));
    }
    site.apis[0].patch(&format!("/api/tokens/{}", victim.token.id), &json!({"status": "disabled"})).await;
    let refused = async || site.poke(0, &victim.token.key).await.is_some_and(|status| status == 401);
    figures.push(Figure::within(format!("{name}: a revocation after it"), REVOKED, until(REVOKED * 10, refused).await));
    site.forgers.iter().for_each(Forger::forget);
    let begun = Instant::now();
    let repaired = tokio::time::timeout(REPAIRED, settle_config(&site.apis[0], site.relays.len())).await;
    figures.push(Figure::within(
        format!("{name}: has everything again after"),
        REPAIRED,
        repaired.ok().map(|()| begun.elapsed()),
    ));
    figures
}

/// Whether a relay says that it refused the forged channel.
fn names_it(relay: &Value) -> bool {
    let is_it = |rejected: &Value| rejected["key"] == Poison::KEY || rejected["name"] == Poison::KEY;
    relay["rejected"].as_array().into_iter().flatten().any(is_it)
}

/// Row 24: the first relay takes its configuration at a trickle, while there is a lot of it.
pub(super) async fn slow_consumer(stage: &Stage) -> Vec<Figure> {
    /// The most that one slow relay may cost.
    const MOST: f64 = 1024.0 * 1024.0;
    /// What the memory of a process moves by anyway while it serves changes.
    const NOISE: f64 = 8.0 * 1024.0 * 1024.0;
    let site = Site::start(stage, &Plan::new(stage).forged()).await;
    let traffic = site.traffic();
    site.warm(&traffic).await;
    // the same changes twice: everybody keeps up, then one does not. The second time finds the memory of the first
    let (written, _) = changes(&site, stage.lasting() / 2).await;
    let before = largest(&site).await;
    site.forgers.iter().for_each(|forger| forger.slow_down(Duration::from_millis(400)));
    let (again, bytes) = changes(&site, stage.lasting() / 2).await;
    let during = largest(&site).await;
    let elsewhere = async || applied(&site, 1).await && applied(&site, 2).await;
    let kept_up = site.until(Duration::from_secs(5), elsewhere).await;
    site.forgers.iter().for_each(|forger| forger.slow_down(Duration::ZERO));
    let begun = Instant::now();
    let caught_up = tokio::time::timeout(REPAIRED * 2, settle_config(&site.apis[0], site.relays.len())).await;
    let seen = traffic.stop().await;
    let (_, _, audit) = site.settle().await;
    let grown = (during - before).max(0.0);
    let mut figures = vec![
        Figure::note("changes", format!("{written}, then {again} with {:.1} MB of configuration", bytes / 1e6)),
        Figure::at_most("memory that the slow relay cost, bytes (beyond 1 MB: what processes move by)", MOST + NOISE, grown),
        Figure::within("the other relays have everything after", Duration::from_secs(1), kept_up),
        Figure::within("the slow one, once it reads again, after", REPAIRED, caught_up.ok().map(|()| begun.elapsed())),
        Figure::share("success through all relays", 100.0, success(&seen)),
    ];
    figures.extend(audit.figures());
    figures
}

/// Changes a channel that is large, again and again. Answers how often, and about how many bytes that were.
async fn changes(site: &Site, lasting: Duration) -> (usize, f64) {
    let (begun, mut count, mut bytes) = (Instant::now(), 0_usize, 0.0);
    let name = format!("large-{}", site.apis[0].written());
    let models: Vec<String> =
        (0..400).map(|place| format!("a-model-with-a-long-name-for-the-sake-of-bytes-{place:05}")).collect();
    let models: Vec<&str> = models.iter().map(String::as_str).collect();
    let channel = site.apis[0].channel(&name, &site.simulator.base_url(), crate::fleet::PROVIDER_KEY, &models).await;
    while begun.elapsed() < lasting {
        site.apis[0].patch(&format!("/api/channels/{channel}"), &json!({"weight": 1 + count % 50})).await;
        count += 1;
        bytes += 400.0 * 55.0;
    }
    (count, bytes)
}

async fn largest(site: &Site) -> f64 {
    let mut most: f64 = 0.0;
    for node in &site.controls {
        most = most.max(crate::fleet::figure_of(&node.ops_url(), RSS).await.unwrap_or_default());
    }
    most
}

async fn applied(site: &Site, relay: usize) -> bool {
    let seq = site.figure(relay, "sluice_relay_config_seq").await;
    #[expect(clippy::cast_precision_loss, reason = "a small number")]
    let written = site.apis[0].written() as f64;
    seq.is_some_and(|seq| seq >= written)
}
