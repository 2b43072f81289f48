//! Row 7: Redis is killed, wiped and started again.

use std::time::Duration;

use serde_json::json;
use sluice_testkit::services::Service;
use tokio::time::{Instant, sleep};

use crate::faults::Stage;
use crate::faults::figure::{Figure, seconds};
use crate::faults::site::{Payer, Plan, SETTLE_LIMIT, Site};
use crate::faults::traffic::{Traffic, failures, quantile};
use crate::fleet::settle_config;
use crate::load::{End, Seen};

/// Of a limited payer, so many requests are let through in [`WINDOW`].
const LIMIT: u64 = 20;
const WINDOW: Duration = Duration::from_secs(10);
/// What the limited payer asks for in a second: five times as much.
const DEMAND: u32 = 10;
/// A relay whose Redis is away is not slower by more than this.
const ADDED: Duration = Duration::from_millis(5);
/// Limits are those of the fleet again within this.
const BACK: Duration = Duration::from_secs(2);
/// 1 while the limits of the fleet are kept in Redis.
const MODE: &str = "sluice_relay_ratelimit_mode";

pub(super) async fn row(stage: &Stage) -> Vec<Figure> {
    let mut site = Site::start(stage, &Plan::new(stage)).await;
    let limited = site.payer("limited", 50_000_000).await;
    limit(&site, &limited, LIMIT, WINDOW).await;
    // everybody's requests ask Redis, so that everybody notices when it is slow
    for payer in site.payers.clone() {
        limit(&site, &payer, 1_000_000, Duration::from_mins(1)).await;
    }
    settle_config(&site.apis[0], site.relays.len()).await;
    let traffic = site.traffic();
    let mut mix = site.mix();
    (mix.rate, mix.streams, mix.prefix) = (DEMAND, 0, "limited".to_owned());
    let demand = Traffic::start(site.doors(std::slice::from_ref(&limited)), mix);
    site.warm(&traffic).await;
    let with_redis = mode(&site).await;
    sleep(stage.lasting() / 3).await;
    let gone = traffic.elapsed_millis();
    stage.services().stop(Service::Redis);
    sleep(stage.lasting()).await;
    let without_redis = mode(&site).await;
    let back = traffic.elapsed_millis();
    stage.services().start(Service::Redis);
    let started = Instant::now();
    let is_back = async || mode(&site).await == with_redis;
    let global = site.until(Duration::from_secs(15), is_back).await.map(|_| started.elapsed());
    sleep(stage.lasting() / 3).await;
    let lasted = Duration::from_millis(demand.elapsed_millis());
    let limited_seen = demand.stop().await;
    let seen = traffic.stop().await;
    let (settled, _, audit) = site.settle().await;

    let admitted = limited_seen.iter().filter(|one| one.end == End::Whole).count() as u64;
    let steady = LIMIT * u64::try_from(lasted.as_millis() / WINDOW.as_millis() + 1).unwrap_or(u64::MAX);
    let bursts = LIMIT * site.relays.len() as u64;
    let server_errors: Vec<String> = seen.iter().chain(&limited_seen).filter_map(server_error).collect();
    let of = |from: u64, to: u64| quantile(seen.iter().filter(|one| !one.stream && one.overlaps(from, to)), 990);
    let (before, during) = (of(0, gone), of(gone + 1_000, back));
    let mut figures = vec![
        Figure::claim(
            "limits kept in Redis, then by each relay",
            "a change",
            format!("{with_redis:?} → {without_redis:?}"),
            with_redis != without_redis,
        ),
        Figure::none("answers of 5xx", &server_errors),
        Figure::none("failures of payers within their limits", &failures(&seen)),
        Figure::at_most(
            format!("admitted of {} asked in {}, limit {LIMIT} in 10 s", limited_seen.len(), seconds(lasted)),
            steady + bursts,
            admitted,
        ),
        Figure::at_least("and no fewer than half of what the limit allows", steady / 2, admitted),
        Figure::note("without Redis for", seconds(Duration::from_millis(back - gone))),
        Figure::beside("p99 of plain answers without Redis", (before, ADDED), during),
        Figure::within("limits of the fleet again after its return", BACK, global),
        Figure::within("everything settled after the load", SETTLE_LIMIT, settled),
    ];
    figures.extend(audit.figures());
    figures
}

fn server_error(one: &Seen) -> Option<String> {
    match &one.end {
        End::Refused { status, code } if *status >= 500 => Some(format!("{} {status} {code}", one.request_id)),
        _ => None,
    }
}

async fn limit(site: &Site, payer: &Payer, count: u64, window: Duration) {
    let limits = json!({"limits": [{"of": "requests", "count": count, "window_secs": window.as_secs()}]});
    site.apis[0].patch(&format!("/api/tokens/{}", payer.token.id), &limits).await;
}

/// What every relay says of where limits are kept.
async fn mode(site: &Site) -> Vec<Option<i64>> {
    let mut modes = Vec::new();
    for relay in 0..site.relays.len() {
        #[expect(clippy::cast_possible_truncation, reason = "a small whole number")]
        modes.push(site.figure(relay, MODE).await.map(|value| value as i64));
    }
    modes
}
