//! Row 8: a relay and its control planes do not hear each other: both ways, one way, and refused.

use std::time::Duration;

use serde_json::json;
use sluice_testkit::proxy::{Proxy, Way};
use tokio::time::{Instant, sleep};

use crate::api::MadeToken;
use crate::faults::Stage;
use crate::faults::figure::Figure;
use crate::faults::site::{Payer, Plan, SETTLE_LIMIT, Site, until};
use crate::faults::traffic::{Traffic, failures, refused_with, success};
use crate::fleet::settle_config;
use crate::load::{End, Seen};

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
/// The relay that may not confirm identities for long, and the one that may.
const STRICT: usize = 0;
const PATIENT: usize = 2;
/// What somebody has who spends all of it while the patient relay is alone: about a hundred requests' worth.
const POOR: i64 = 10_000;

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
    let scale = (900 / (stage.lasting().as_secs() / 3).max(1)).min(60);
    let plan = Plan::new(stage).scaled(scale).own_setting(STRICT, "SLUICE_IDENTITY_MAX_STALE", MAX_STALE.as_secs());
    let mut site = Site::start(stage, &plan).await;
    let victims = [site.payer("one", 1_000_000).await, site.payer("two", 1_000_000).await, site.payer("three", 1_000_000).await];
    let poor = site.payer("poor", POOR).await;
    let traffic = site.traffic();
    site.warm(&traffic).await;
    let mut figures = vec![Figure::note("lease times", format!("{scale} times faster: life {} s", 600 / scale))];
    let begun = traffic.elapsed_millis();
    for (kind, victim) in [Kind::BlackHole, Kind::HalfOpen, Kind::Refused].into_iter().zip(&victims) {
        figures.extend(one_partition(&site, kind, &victim.token, stage.lasting() / 3).await);
    }
    let ended = traffic.elapsed_millis();
    let longer_than_leases = Duration::from_secs(600 / scale + 2).max(stage.lasting() / 3);
    figures.extend(alone_with_leases(&site, &poor, (&traffic, longer_than_leases)).await);
    let healed_at = traffic.elapsed_millis();
    sleep(Duration::from_secs(1)).await;
    let seen = traffic.stop().await;
    let (settled, ledger, audit) = site.settle().await;

    let others: Vec<&Seen> = seen.iter().filter(|one| one.relay == 1).collect();
    let cut_off: Vec<&Seen> = seen.iter().filter(|one| one.relay == STRICT && one.overlaps(begun, ended)).collect();
    let patient: Vec<&Seen> = seen.iter().filter(|one| one.relay == PATIENT && one.overlaps(ended, healed_at)).collect();
    let unexpected = patient.iter().copied().filter(|one| !is_unsure(one));
    figures.extend([
        Figure::share("success through the relay that is never cut off", 100.0, success(others.iter().copied())),
        Figure::none("failures among them", &failures(others)),
        Figure::none("refused with 401, 402 or 403", &refused_with(&seen, &[401, 402, 403])),
        Figure::note(
            "served by the cut-off relay, which may not confirm identities after 5 s",
            format!("{:?} of all meanwhile", success(cut_off)),
        ),
        Figure::at_least("served by the cut-off relay that may, from its leases", 1, success(patient.iter().copied()).0),
        Figure::none("its other answers beside 503", &failures(unexpected)),
        Figure::at_most(
            "charged to who spent everything meanwhile, against what was there",
            POOR,
            POOR - ledger.worth(poor.user),
        ),
        Figure::within("everything settled after the load", SETTLE_LIMIT, settled),
    ]);
    figures.extend(audit.figures());
    figures
}

/// Served, or told that nobody can say now.
fn is_unsure(one: &Seen) -> bool {
    matches!(one.end, End::Whole | End::Refused { status: 503, .. })
}

async fn one_partition(site: &Site, kind: Kind, victim: &MadeToken, lasting: Duration) -> Vec<Figure> {
    let begun = Instant::now();
    match kind {
        Kind::BlackHole => site.partition(STRICT, Way::Both),
        Kind::HalfOpen => site.partition(STRICT, Way::ToClient),
        Kind::Refused => site.links[STRICT].iter().for_each(Proxy::refuse),
    }
    let is_alone = async || !site.is_connected(STRICT).await;
    let detected = site.until(DETECTED * 3, is_alone).await;
    let revoked = Instant::now();
    site.apis[0].patch(&format!("/api/tokens/{}", victim.id), &json!({"status": "disabled"})).await;
    let elsewhere = answered_with(site, 1, victim, (&[401], REVOKED * 10)).await;
    // who cannot know whether a token is still good says so
    let here = answered_with(site, STRICT, victim, (&[401, 503], MAX_STALE * 4)).await.map(|_| revoked.elapsed());
    sleep(lasting.saturating_sub(begun.elapsed())).await;
    site.heal(STRICT);
    let told = format!("{kind:?}").to_lowercase();
    vec![
        Figure::within(format!("{told}: noticed"), DETECTED, detected),
        Figure::within(format!("{told}: a revoked token is answered 401 by relays that hear"), REVOKED, elsewhere),
        Figure::within(format!("{told}: and 401 or 503 by the one that does not"), MAX_STALE + A_TICK, here),
        Figure::within(format!("{told}: has everything again, by number and by hash, after"), HEALED, healed(site).await),
    ]
}

/// A relay that may serve what it knows for long is alone for longer than its leases live, while somebody spends all they have there and
/// elsewhere.
async fn alone_with_leases(site: &Site, poor: &Payer, (traffic, lasting): (&Traffic, Duration)) -> Vec<Figure> {
    let mut mix = site.mix();
    (mix.rate, mix.streams, mix.prefix) = (mix.rate / 2, 0, "poor".to_owned());
    let spending = Traffic::start(site.doors(std::slice::from_ref(poor)), mix);
    site.until(SETTLE_LIMIT, async || spending.whole() >= 10).await;
    let from = traffic.elapsed_millis();
    site.partition(PATIENT, Way::Both);
    sleep(lasting).await;
    site.heal(PATIENT);
    let healed = healed(site).await;
    let seen = spending.stop().await;
    let alone: Vec<&Seen> = seen.iter().filter(|one| one.relay == PATIENT && one.sent_millis >= 1_000).collect();
    let unserved = seen.iter().filter(|one| one.end != End::Whole).count();
    vec![
        Figure::within("alone with leases: has everything again, by number and by hash, after", HEALED, healed),
        Figure::note("who spends everything meanwhile", format!("from {from} ms on, {:?} served by that relay", success(alone))),
        Figure::at_least("their requests for which no money was within reach", 1, unserved),
    ]
}

/// How long until every relay has everything, and the relays agree on every byte of it.
async fn healed(site: &Site) -> Option<Duration> {
    let begun = Instant::now();
    tokio::time::timeout(HEALED * 6, settle_config(&site.apis[0], site.relays.len())).await.ok()?;
    let left = (HEALED * 6).saturating_sub(begun.elapsed());
    until(left, async || site.is_agreed().await).await.map(|_| begun.elapsed())
}

/// How long until a relay answers requests of a token with one of these statuses, and never with one that is neither that nor 200.
async fn answered_with(site: &Site, relay: usize, token: &MadeToken, (statuses, limit): (&[u16], Duration)) -> Option<Duration> {
    let begun = Instant::now();
    while begun.elapsed() < limit {
        match site.poke(relay, &token.key).await {
            Some(status) if statuses.contains(&status) => return Some(begun.elapsed()),
            Some(200) | None => sleep(Duration::from_millis(50)).await,
            Some(_) => return None,
        }
    }
    None
}
