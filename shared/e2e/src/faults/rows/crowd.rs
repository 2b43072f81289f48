//! Rows about crowds: 18, 19 and 20.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use reqwest::Method;
use serde_json::json;
use sluice_relay_node::quota::{Reservation, ReserveError};
use sluice_testkit::client::{Caller, send};
use tokio::task::JoinSet;
use tokio::time::{Instant, sleep};
use tokio_util::sync::CancellationToken;

use crate::faults::Stage;
use crate::faults::figure::{Figure, seconds};
use crate::faults::site::{MODEL, Plan, Site, until};
use crate::faults::traffic::{failures, quantile};
use crate::inside::{Inside, Payer};
use crate::load::Seen;
use crate::sim::chance::Dice;

/// Unknown keys for each request of the load.
const FLOOD: u32 = 10;
/// Callers of the flood.
const FLOODERS: usize = 16;
/// What two runs of the same load differ by on a machine that does other things.
const JITTER: Duration = Duration::from_millis(5);
/// A price per call.
const PRICE: i64 = 1_000;
/// How long an idle fleet is looked at.
const IDLE: Duration = Duration::from_secs(4);
/// Relays of the two rows about money.
const RELAYS: usize = 20;

/// Row 18: keys that nobody has, faster than everything else.
pub(super) async fn unknown_keys(stage: &Stage) -> Vec<Figure> {
    let site = Site::start(stage, &Plan::new(stage)).await;
    let alone = site.traffic();
    site.warm(&alone).await;
    sleep(stage.lasting() / 2).await;
    let alone = alone.stop().await;
    let asked_before = resolves(&site).await;
    let mix = site.mix().named("beside");
    let beside = crate::faults::traffic::Traffic::start(site.doors(&site.payers), mix);
    let flood = Flood::start(&site, stage.options.rate * FLOOD);
    let begun = Instant::now();
    sleep(stage.lasting() / 2).await;
    let (sent, odd) = flood.stop().await;
    let rate = u128::from(sent) * 1_000 / begun.elapsed().as_millis().max(1);
    let beside = beside.stop().await;
    let asked = resolves(&site).await - asked_before;
    let (_, _, audit) = site.settle().await;

    let plain = |seen: &[Seen]| quantile(seen.iter().filter(|one| !one.stream), 990);
    let (before, during) = (plain(&alone), plain(&beside));
    #[expect(clippy::cast_precision_loss, reason = "a share of a count")]
    let allowed = sent as f64 / 100.0;
    let mut figures = vec![
        Figure::note("unknown keys a second", rate.to_string()),
        Figure::at_most("of them the control plane was asked about", allowed.ceil(), asked),
        Figure::exactly("answered neither 401 nor 503", 0, odd),
        Figure::within(
            format!("p99 of valid plain requests ({} alone)", seconds(before)),
            before + Duration::from_millis(1) + JITTER,
            Some(during),
        ),
        Figure::none("failures of valid requests", &failures(&beside)),
    ];
    figures.extend(audit.figures());
    figures
}

async fn resolves(site: &Site) -> f64 {
    let mut sum = 0.0;
    for relay in 0..site.relays.len() {
        for answer in ["failed", "found", "unknown"] {
            let name = format!("sluice_relay_identity_resolves_total{{answer=\"{answer}\"}}");
            sum += site.figure(relay, &name).await.unwrap_or_default();
        }
    }
    sum
}

/// Callers with keys that nobody has.
struct Flood {
    stop: CancellationToken,
    callers: JoinSet<()>,
    sent: Arc<AtomicU64>,
    odd: Arc<AtomicU64>,
}

impl Flood {
    fn start(site: &Site, rate: u32) -> Self {
        let (stop, sent, odd) = (CancellationToken::new(), Arc::<AtomicU64>::default(), Arc::<AtomicU64>::default());
        let mut callers = JoinSet::new();
        let pause = Duration::from_secs(1) * u32::try_from(FLOODERS).unwrap_or(1) / rate.max(1);
        for place in 0..FLOODERS {
            let caller = Caller::new(site.relays[place % site.relays.len()].base_url());
            let (stop, sent, odd) = (stop.clone(), Arc::clone(&sent), Arc::clone(&odd));
            callers.spawn(async move {
                let mut dice = Dice::new(18, place as u64);
                let mut ticks = tokio::time::interval(pause);
                while !stop.is_cancelled() {
                    ticks.tick().await;
                    let key = format!("sk-{:016x}{:016x}{:016x}", dice.draw(), dice.draw(), dice.draw());
                    let body = json!({"model": MODEL, "messages": []});
                    let request = caller.request(Method::POST, "/v1/chat/completions").bearer_auth(key).json(&body);
                    let status = send(request).await.map_or(0, |answer| answer.status.as_u16());
                    sent.fetch_add(1, Ordering::Relaxed);
                    odd.fetch_add(u64::from(![401, 503].contains(&status)), Ordering::Relaxed);
                }
            });
        }
        Self { stop, callers, sent, odd }
    }

    async fn stop(self) -> (u64, u64) {
        self.stop.cancel();
        self.callers.join_all().await;
        (self.sent.load(Ordering::Relaxed), self.odd.load(Ordering::Relaxed))
    }
}

async fn relays(site: &Site) -> Arc<Vec<Inside>> {
    let mut started = Vec::new();
    for place in 0..RELAYS {
        started.push(Inside::with_arguments(site.arguments_of_a_relay(place)).await);
    }
    Arc::new(started)
}

/// Row 19: somebody without money asks a thousand times a second at twenty relays.
pub(super) async fn drained(stage: &Stage) -> Vec<Figure> {
    const CREDITS: u32 = 5;
    let mut plan = Plan::new(stage);
    plan.relays = 0;
    let mut site = Site::start(stage, &plan).await;
    let user = site.user("drained", 10 * PRICE).await;
    let token = site.apis[0].token(user, "drained").await;
    let relays = relays(&site).await;
    let payer = relays[0].payer(&token.key).await;
    let mut held = Vec::new();
    while held.len() < 10 {
        held.extend(relays[held.len() % RELAYS].reserve(payer, PRICE).await.ok());
    }

    let (recalls, cpu) = ("sluice_control_recalls_total", "process_cpu_seconds_total");
    let idle = site.control_figure(cpu).await;
    sleep(IDLE).await;
    let idle = (site.control_figure(cpu).await - idle) * 100.0 / IDLE.as_secs_f64();
    let before = (site.control_figure(recalls).await, site.control_figure(cpu).await);
    let hammer = Hammer::start(&relays, payer);
    let begun = Instant::now();
    for _ in 0..CREDITS {
        sleep(stage.lasting() / (CREDITS + 1)).await;
        site.apis[0].adjust(user, PRICE).await;
    }
    sleep(stage.lasting() / (CREDITS + 1)).await;
    let lasted = begun.elapsed().as_secs_f64();
    let after = (site.control_figure(recalls).await, site.control_figure(cpu).await);
    let (admitted, refused) = hammer.stop().await;
    site.credits.insert(user, (10 + i64::from(CREDITS)) * PRICE);
    let share = (after.1 - before.1) * 100.0 / lasted - idle;
    let refusals = refused.iter().map(|(_, count)| count).sum::<u64>();
    let unknown: u64 = refused.iter().filter(|(is_exhausted, _)| !is_exhausted).map(|(_, count)| count).sum();
    drop(held);
    vec![
        Figure::note("refusals a second", format!("{:.0}", f64::from(u32::try_from(refusals).unwrap_or(u32::MAX)) / lasted)),
        Figure::exactly("admitted: one for each credit", CREDITS as usize, admitted.len()),
        Figure::at_most("recalls: one for each credit", f64::from(CREDITS), after.0 - before.0),
        Figure::note("CPU of the control planes with 20 idle relays, % of a core", format!("{idle:.1}")),
        Figure::at_most("and what the drained payer adds to it", 5.0, (share * 100.0).round() / 100.0),
        Figure::exactly("refused by \"cannot be known now\"", 0, unknown),
    ]
}

/// What was admitted, and how many were refused: for certain, and not.
type Answers = (Vec<Reservation>, Vec<(bool, u64)>);

/// Somebody who asks again and again.
struct Hammer {
    stop: CancellationToken,
    asking: JoinSet<Answers>,
}

impl Hammer {
    /// A thousand times a second over all relays.
    fn start(relays: &Arc<Vec<Inside>>, payer: Payer) -> Self {
        let (stop, mut asking) = (CancellationToken::new(), JoinSet::new());
        for place in 0..RELAYS {
            let (relays, stop) = (Arc::clone(relays), stop.clone());
            asking.spawn(async move {
                let (mut admitted, mut exhausted, mut unknown) = (Vec::new(), 0, 0);
                let mut ticks = tokio::time::interval(Duration::from_millis(RELAYS as u64));
                while !stop.is_cancelled() {
                    ticks.tick().await;
                    match relays[place].reserve(payer, PRICE).await {
                        Ok(reservation) => admitted.push(reservation),
                        Err(ReserveError::Exhausted { .. }) => exhausted += 1,
                        Err(_) => unknown += 1,
                    }
                }
                (admitted, vec![(true, exhausted), (false, unknown)])
            });
        }
        Self { stop, asking }
    }

    async fn stop(self) -> Answers {
        self.stop.cancel();
        let (mut admitted, mut refused) = (Vec::new(), Vec::new());
        for (some, counts) in self.asking.join_all().await {
            admitted.extend(some);
            refused.extend(counts);
        }
        (admitted, refused)
    }
}

/// Row 20: fifty accounts worth ten requests each, a hundred requests of each at once, at twenty relays.
pub(super) async fn exact(stage: &Stage) -> Vec<Figure> {
    const ACCOUNTS: usize = 50;
    const REQUESTS: usize = 100;
    let mut plan = Plan::new(stage);
    plan.relays = 0;
    let mut site = Site::start(stage, &plan).await;
    let relays = relays(&site).await;
    let mut payers = Vec::new();
    for place in 0..ACCOUNTS {
        let user = site.user(&format!("exact-{place}"), 10 * PRICE).await;
        let token = site.apis[0].token(user, "exact").await;
        payers.push(relays[place % RELAYS].payer(&token.key).await);
    }
    let begun = Instant::now();
    let mut asking = JoinSet::new();
    for request in 0..REQUESTS {
        for (account, payer) in payers.iter().copied().enumerate() {
            let relays = Arc::clone(&relays);
            asking.spawn(async move { (account, relays[(request + account) % RELAYS].reserve(payer, PRICE).await) });
        }
    }
    let mut admitted = vec![Vec::new(); ACCOUNTS].into_iter().map(|_: Vec<()>| Vec::new()).collect::<Vec<Vec<Reservation>>>();
    let mut unknown = Vec::new();
    for (account, outcome) in asking.join_all().await {
        match outcome {
            Ok(reservation) => admitted[account].push(reservation),
            Err(ReserveError::Exhausted { .. }) => {}
            Err(other) => unknown.push(format!("account {account}: {other}")),
        }
    }
    let took = begun.elapsed();
    let not_ten: Vec<String> = admitted
        .iter()
        .enumerate()
        .filter(|(_, some)| some.len() != 10)
        .map(|(account, some)| format!("account {account}: {}", some.len()))
        .collect();
    drop(admitted);
    // nothing was spent: all of it is within reach again
    let is_back = async || {
        let Ok(accounts) = site.books.accounts().await else { return false };
        let exact = accounts
            .iter()
            .filter(|account| account.kind == "wallet" && payers.iter().any(|payer| payer.user.get() == account.user));
        exact.map(|account| account.balance + account.leased).sum::<i64>() == 10 * PRICE * 50
    };
    let whole = until(Duration::from_secs(10), is_back).await;
    vec![
        Figure::none(format!("of {ACCOUNTS} accounts: admitted other than ten times"), &not_ten),
        Figure::none("refused without being sure", &unknown),
        Figure::note("5,000 answers in", seconds(took)),
        Figure::within("the money is whole after", Duration::from_secs(10), whole),
    ]
}
