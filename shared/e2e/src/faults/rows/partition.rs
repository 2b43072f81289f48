//! Row 8: a relay and its control planes do not hear each other: both ways, one way, and refused.

use std::time::Duration;

use serde_json::json;
use sluice_testkit::proxy::{Proxy, Way};
use tokio::time::{Instant, sleep};

use crate::api::MadeToken;
use crate::faults::Stage;
use crate::faults::figure::Figure;
use crate::faults::site::{Plan, Site, until};
use crate::faults::traffic::{failures, refused_with, success};
use crate::fleet::settle_config;
use crate::load::Seen;

/// A dead line is noticed within this.
const DETECTED: Duration = Duration::from_secs(5);
/// A relay that hears again has everything within this.
const HEALED: Duration = Duration::from_secs(5);
/// The least that `SLUICE_IDENTITY_MAX_STALE` can be.
const MAX_STALE: Duration = Duration::from_secs(5);
/// Freshness is judged once a second, and a request takes a moment.
const A_TICK: Duration = Duration::from_millis(1_500);
/// A revocation reaches relays that are connected within this.
const REVOKED: Duration = Duration::from_secs(1);

#[derive(Debug, Clone, Copy)]
enum Kind {
    /// Nothing passes in either direction.
    BlackHole,
    /// The relay is heard and hears nothing.
    HalfOpen,
    /// The network says so at once.
    Refused,
}

pub(super) async fn row(stage: &Stage) -> Vec<Figure> {
    // fifteen minutes of partition become a third of the row's load: leases end while it lasts
    let scale = 900 / (stage.lasting().as_secs() / 3).max(1);
    let plan = Plan::new(stage).scaled(scale.min(60)).relay_setting("SLUICE_IDENTITY_MAX_STALE", MAX_STALE.as_secs());
    let mut site = Site::start(stage, &plan).await;
    let victims = [site.payer("one", 1_000_000).await, site.payer("two", 1_000_000).await, site.payer("three", 1_000_000).await];
    let traffic = site.traffic();
    site.warm(&traffic).await;
    let mut figures = vec![Figure::note("lease times", format!("{} times faster", scale.min(60)))];
    let begun = traffic.elapsed_millis();
    for (kind, victim) in [Kind::BlackHole, Kind::HalfOpen, Kind::Refused].into_iter().zip(&victims) {
        figures.extend(one_partition(&site, kind, &victim.token, stage.lasting() / 3).await);
    }
    let ended = traffic.elapsed_millis();
    sleep(Duration::from_secs(1)).await;
    let seen = traffic.stop().await;
    let (_, _, audit) = site.settle().await;

    let others: Vec<&Seen> = seen.iter().filter(|one| one.relay != 0).collect();
    let cut_off: Vec<&Seen> = seen.iter().filter(|one| one.relay == 0 && one.overlaps(begun, ended)).collect();
    figures.extend([
        Figure::share("success through the other relays", 100.0, success(others.iter().copied())),
        Figure::none("failures among them", &failures(others)),
        Figure::none("refused with 401, 402 or 403", &refused_with(&seen, &[401, 402, 403])),
        Figure::note(
            "served by the cut-off relay, which may not confirm identities after 5 s",
            format!("{:?} of all meanwhile", success(cut_off)),
        ),
    ]);
    figures.extend(audit.figures());
    figures
}

async fn one_partition(site: &Site, kind: Kind, victim: &MadeToken, lasting: Duration) -> Vec<Figure> {
    let begun = Instant::now();
    match kind {
        Kind::BlackHole => site.partition(0, Way::Both),
        Kind::HalfOpen => site.partition(0, Way::ToClient),
        Kind::Refused => site.links[0].iter().for_each(Proxy::refuse),
    }
    let is_alone = async || site.figure(0, "sluice_relay_control_connected").await.is_some_and(|value| value < 0.5);
    let detected = site.until(DETECTED * 3, is_alone).await;
    let revoked = Instant::now();
    site.apis[0].patch(&format!("/api/tokens/{}", victim.id), &json!({"status": "disabled"})).await;
    let elsewhere = no_longer_served(site, 1, victim, REVOKED * 10).await;
    let here = no_longer_served(site, 0, victim, MAX_STALE * 4).await.map(|_| revoked.elapsed());
    sleep(lasting.saturating_sub(begun.elapsed())).await;
    site.heal(0);
    let healed = tokio::time::timeout(HEALED * 6, async {
        let begun = Instant::now();
        settle_config(&site.apis[0], site.relays.len()).await;
        begun.elapsed()
    });
    let healed = healed.await.ok();
    // what the relay says of itself is known a heartbeat later
    let told = format!("{kind:?}").to_lowercase();
    vec![
        Figure::within(format!("{told}: noticed"), DETECTED, detected),
        Figure::within(format!("{told}: a revocation holds at relays that hear"), REVOKED, elsewhere),
        Figure::within(format!("{told}: and at the one that does not"), MAX_STALE + A_TICK, here),
        Figure::within(format!("{told}: has everything again after"), HEALED, healed),
    ]
}

/// How long until a relay serves a token no longer.
async fn no_longer_served(site: &Site, relay: usize, token: &MadeToken, limit: Duration) -> Option<Duration> {
    until(limit, async || site.poke(relay, &token.key).await.is_some_and(|status| status != 200)).await
}
