//! Rows about many relays and little money: 19 and 20.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use sluice_relay_node::quota::{Reservation, ReserveError};
use tokio::task::JoinSet;
use tokio::time::{Instant, sleep};
use tokio_util::sync::CancellationToken;

use crate::bench::cost::{CpuReading, Watched};
use crate::faults::Stage;
use crate::faults::figure::Figure;
use crate::faults::site::{Plan, Site, until};
use crate::fleet::Node;
use crate::inside::{Inside, Payer};

/// What the control planes may use of a core while somebody without money asks.
const MOST_CPU: f64 = 5.0;
/// Counts what was asked back.
const RECALLS: &str = "sluice_control_recalls_total";
/// A price per call.
const PRICE: i64 = 1_000;
/// How long an idle fleet is looked at.
const IDLE: Duration = Duration::from_secs(4);
/// A grant and a refusal that were decided one after the other may arrive the other way round, by so much.
const ON_THE_WAY: Duration = Duration::from_millis(250);
/// Relays of the two rows about money.
const RELAYS: usize = 20;

async fn relays(site: &Site) -> Arc<Vec<Inside>> {
    let mut started = Vec::new();
    for place in 0..RELAYS {
        started.push(Inside::with_arguments(site.arguments_of_a_relay(place, &site.doors)).await);
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

    let controls: Vec<Watched> = pids(&mut site).into_iter().map(Watched::new).collect();
    let idle = Usage::begin(&controls);
    sleep(IDLE).await;
    let idle = idle.percent();
    // what the money that is there is worth asking back for is found out once
    let first = relays[0].reserve(payer, PRICE).await.is_err();
    let recalls = site.control_figure(RECALLS).await;
    let busy = Usage::begin(&controls);
    let hammer = Hammer::start(&relays, payer);
    let begun = Instant::now();
    for _ in 0..CREDITS {
        sleep(stage.lasting() / (CREDITS + 1)).await;
        site.apis[0].adjust(user, PRICE).await;
    }
    sleep(stage.lasting() / (CREDITS + 1)).await;
    let (lasted, busy) = (begun.elapsed().as_secs_f64(), busy.percent());
    let recalls = site.control_figure(RECALLS).await - recalls;
    let (admitted, refused) = hammer.stop().await;
    site.credits.insert(user, (10 + i64::from(CREDITS)) * PRICE);
    let refusals = refused.iter().map(|(_, count)| count).sum::<u64>();
    let unknown: u64 = refused.iter().filter(|(is_exhausted, _)| !is_exhausted).map(|(_, count)| count).sum();
    let admitted_count = admitted.len();
    // the books are read one after the other: nobody may move money meanwhile
    drop((held, admitted, relays));
    let (_, _, audit) = site.settle().await;
    let mut figures = vec![
        Figure::claim("refused while nothing is left", "yes", if first { "yes" } else { "no" }, first),
        Figure::note("refusals a second", format!("{:.0}", f64::from(u32::try_from(refusals).unwrap_or(u32::MAX)) / lasted)),
        Figure::exactly("admitted: one for each credit", CREDITS as usize, admitted_count),
        Figure::at_most("recalls after the first refusal: one for each credit", f64::from(CREDITS), recalls),
        Figure::note("CPU of the control planes with 20 idle relays, % of a core", format!("{idle:.2}")),
        Figure::at_most("and with the drained payer, % of a core", MOST_CPU, (busy * 100.0).round() / 100.0),
        Figure::exactly("refused by \"cannot be known now\"", 0, unknown),
    ];
    figures.extend(audit.balances());
    figures
}

fn pids(site: &mut Site) -> Vec<u32> {
    site.controls.iter_mut().filter_map(Node::process).map(|process| process.pid()).collect()
}

/// What processes use, from a moment on.
struct Usage<'a> {
    processes: &'a [Watched],
    before: Vec<CpuReading>,
    begun: Instant,
}

impl<'a> Usage<'a> {
    fn begin(processes: &'a [Watched]) -> Self {
        Self { processes, before: readings(processes), begun: Instant::now() }
    }

    /// Of one core, until this moment, by all of them together.
    fn percent(&self) -> f64 {
        let now = readings(self.processes);
        let used: Duration = now.iter().zip(&self.before).map(|(now, before)| now.since(before)).sum();
        used.as_secs_f64() * 100.0 / self.begun.elapsed().as_secs_f64()
    }
}

fn readings(processes: &[Watched]) -> Vec<CpuReading> {
    processes.iter().map(|process| process.cpu().expect("it runs")).collect()
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

/// The account, when it was answered, and how.
type Answered = (usize, Duration, Result<Reservation, ReserveError>);

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
            asking.spawn(async move {
                let outcome = relays[(request + account) % RELAYS].reserve(payer, PRICE).await;
                (account, begun.elapsed(), outcome)
            });
        }
    }
    let mut answers: Vec<Answered> = asking.join_all().await;
    answers.sort_by_key(|(_, at, _)| *at);
    let mut admitted: Vec<Vec<Reservation>> = (0..ACCOUNTS).map(|_| Vec::new()).collect();
    let (mut unknown, mut early, mut tenth) = (Vec::new(), Vec::new(), HashMap::new());
    for (account, at, outcome) in answers {
        match outcome {
            Ok(reservation) => {
                admitted[account].push(reservation);
                tenth.insert(account, at);
            }
            Err(ReserveError::Exhausted { .. }) if admitted[account].len() < 10 => early.push((account, at)),
            Err(ReserveError::Exhausted { .. }) => {}
            Err(other) => unknown.push(format!("account {account}: {other}")),
        }
    }
    let lead = |(account, at): &(usize, Duration)| tenth.get(account).map_or(Duration::MAX, |tenth| tenth.saturating_sub(*at));
    let longest = early.iter().map(lead).max().unwrap_or_default();
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
    // the books are read one after the other: nobody may move money meanwhile
    drop(relays);
    let (_, _, audit) = site.settle().await;
    let mut figures = vec![
        Figure::none(format!("of {ACCOUNTS} accounts: admitted other than ten times"), &not_ten),
        Figure::none("refused without being sure", &unknown),
        Figure::note("refused for certain before the tenth was admitted", format!("{} in all", early.len())),
        Figure::within("and before that by, at the most", ON_THE_WAY, Some(longest)),
        Figure::within("the last of 5,000 answers", Duration::from_secs(1), Some(took)),
        Figure::within("the money is whole after", Duration::from_secs(10), whole),
    ];
    figures.extend(audit.balances());
    figures
}
