//! Row 16: every process is replaced, relays first, then control planes, and back in the other order, while a balancer looks at readiness.

use std::sync::Arc;
use std::time::Duration;

use tokio::task::JoinSet;
use tokio::time::{Instant, sleep};
use tokio_util::sync::CancellationToken;

use crate::faults::Stage;
use crate::faults::figure::{Figure, seconds};
use crate::faults::site::{Plan, SETTLE_LIMIT, Site};
use crate::faults::traffic::{Doors, Traffic, failures, success};
use crate::fleet::Node;

/// How often the balancer looks.
const LOOK_EVERY: Duration = Duration::from_millis(200);
/// How long a process may take to leave: five seconds of notice, the streams under way, the rest of the spool.
const LEAVE: Duration = Duration::from_secs(30);

pub(super) async fn row(stage: &Stage) -> Vec<Figure> {
    let mut site = Site::start(stage, &Plan::new(stage)).await;
    let doors = site.doors(&site.payers);
    let balancer = Balancer::start(&doors, &site.relays);
    let traffic = Traffic::start(doors, site.mix());
    site.warm(&traffic).await;
    let mut left = Vec::new();
    for node in site.relays.iter_mut().chain(&mut site.controls) {
        left.push(replace(node).await);
    }
    for node in site.controls.iter_mut().chain(&mut site.relays) {
        left.push(replace(node).await);
    }
    sleep(Duration::from_secs(1)).await;
    let seen = traffic.stop().await;
    balancer.stop.cancel();
    balancer.looking.join_all().await;
    let (settled, _, audit) = site.settle().await;

    let longest = left.iter().map(|(took, _)| *took).max().unwrap_or_default();
    let uneasy: Vec<String> = left.iter().filter(|(_, code)| *code != Some(0)).map(|(_, code)| format!("{code:?}")).collect();
    let mut figures = vec![
        Figure::note("versions", "the same build each time: another one is tried from the first release on"),
        Figure::exactly("requests that failed or broke off", 0, failures(&seen).len()),
        Figure::note("of which the first", failures(&seen).into_iter().next().unwrap_or_default()),
        Figure::share("success", 100.0, success(&seen)),
        Figure::none("processes that did not leave with exit status 0", &uneasy),
        Figure::within("a process leaves within", LEAVE, Some(longest)),
        Figure::note("processes replaced", format!("{} ({} at the most)", left.len(), seconds(longest))),
        Figure::within("everything settled after the load", SETTLE_LIMIT, settled),
    ];
    figures.extend(audit.figures());
    figures
}

/// Asks a process to leave, waits until it has, and starts it anew. Answers how long it took to leave, and its exit status.
async fn replace(node: &mut Node) -> (Duration, Option<i32>) {
    let begun = Instant::now();
    let process = node.process().expect("it runs");
    process.terminate();
    let status = process.wait_exit(LEAVE * 2).await;
    let took = begun.elapsed();
    node.start();
    node.wait_ready().await;
    // the balancer sees it
    sleep(LOOK_EVERY * 3).await;
    (took, status.code())
}

/// Sends nothing to relays that are not ready, as any load balancer does.
struct Balancer {
    stop: CancellationToken,
    looking: JoinSet<()>,
}

impl Balancer {
    fn start(doors: &Arc<Doors>, relays: &[Node]) -> Self {
        let (stop, mut looking) = (CancellationToken::new(), JoinSet::new());
        for (place, relay) in relays.iter().enumerate() {
            let (stop, doors, probe) = (stop.clone(), Arc::clone(doors), relay.probe());
            looking.spawn(async move {
                while !stop.is_cancelled() {
                    doors.set_open(place, probe.is_ready().await);
                    sleep(LOOK_EVERY).await;
                }
            });
        }
        Self { stop, looking }
    }
}
