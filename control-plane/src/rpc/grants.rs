//! Grants in small batches: requests of all relays that arrive within moments share one transaction.

use std::time::{Duration, Instant};

use sluice_rpc::pb;
use sluice_telemetry::tasks::Tasks;
use tokio::sync::mpsc;
use tonic::Status;
use tracing::warn;

use crate::app::App;
use crate::leases::{self, Answer, Ask, Granted, LIFE_MILLIS, Refused};

/// How long a request waits for company.
const GATHER: Duration = Duration::from_millis(2);
/// Requests in one transaction.
const MOST_AT_ONCE: usize = 500;
/// Relays' messages waiting for a turn; beyond it their streams wait.
const QUEUE: usize = 256;

/// Where answers go: the lease stream the request came on.
pub(super) type Replies = mpsc::Sender<Result<pb::LeaseDown, Status>>;

/// Cloning shares it.
#[derive(Clone)]
pub(super) struct Granter(mpsc::Sender<Job>);

struct Job {
    asks: Vec<Ask>,
    replies: Replies,
}

impl Granter {
    /// With the task that decides.
    pub(super) fn new(app: &App, tasks: &Tasks) -> Self {
        let (sender, receiver) = mpsc::channel(QUEUE);
        tasks.spawn("grants", run(app.clone(), receiver));
        Self(sender)
    }

    /// Queues requests; the answers come on `replies`. Waits while too many are queued.
    pub(super) async fn ask(&self, asks: Vec<Ask>, replies: Replies) {
        // the task ends with the process; then nobody waits for answers either
        let _ = self.0.send(Job { asks, replies }).await;
    }
}

/// Ends when every stream has ended.
async fn run(app: App, mut queue: mpsc::Receiver<Job>) {
    while let Some(first) = queue.recv().await {
        tokio::time::sleep(GATHER).await;
        let mut jobs = vec![first];
        let mut count: usize = jobs.iter().map(|job| job.asks.len()).sum();
        while count < MOST_AT_ONCE {
            let Ok(job) = queue.try_recv() else { break };
            count += job.asks.len();
            jobs.push(job);
        }
        decide(&app, jobs).await;
    }
}

async fn decide(app: &App, jobs: Vec<Job>) {
    let asks: Vec<Ask> = jobs.iter().flat_map(|job| job.asks.iter().cloned()).collect();
    let begun = Instant::now();
    let decided = leases::grant(&app.db, &asks, app.clock.wall()).await;
    match &decided {
        Ok(answers) => app.metrics.granted(answers, begun.elapsed()),
        Err(_) => app.metrics.not_granted(asks.len()),
    }
    let mut answers = match decided {
        Ok(answers) => answers.into_iter().map(Some).collect::<Vec<_>>().into_iter(),
        Err(error) => {
            warn!(%error, "cannot decide about grants");
            vec![None; asks.len()].into_iter()
        }
    };
    for job in jobs {
        let mut down = pb::LeaseDown::default();
        for ask in &job.asks {
            match answers.next().flatten() {
                Some(Some(answer)) => put(&mut down, ask, answer),
                // of an earlier life: it is not listened to
                Some(None) => {}
                None => down.refusals.push(refusal(ask, pb::RefusalReason::Unavailable, 0)),
            }
        }
        // a stream that is gone will ask again on its next one
        let _ = job.replies.send(Ok(down)).await;
    }
}

fn put(down: &mut pb::LeaseDown, ask: &Ask, answer: Answer) {
    match answer {
        Answer::Granted(granted) => down.grants.push(grant(&granted)),
        Answer::Closed(lease) => {
            down.void_leases.push(lease.get());
            down.refusals.push(refusal(ask, pb::RefusalReason::Unavailable, 0));
        }
        Answer::Refused(Refused::Exhausted { rev, .. }) => down.refusals.push(refusal(ask, pb::RefusalReason::Exhausted, rev)),
        Answer::Refused(Refused::Frozen { rev }) => down.refusals.push(refusal(ask, pb::RefusalReason::Frozen, rev)),
        Answer::Refused(Refused::UnknownAccount) => down.refusals.push(refusal(ask, pb::RefusalReason::UnknownAccount, 0)),
    }
}

pub(super) fn grant(granted: &Granted) -> pb::Grant {
    pb::Grant {
        grant_seq: granted.grant_seq,
        lease_id: granted.lease.get(),
        account_id: granted.account.get(),
        amount: granted.amount.get(),
        life_ms: LIFE_MILLIS,
        low: granted.low,
    }
}

fn refusal(ask: &Ask, reason: pb::RefusalReason, account_rev: i64) -> pb::Refusal {
    pb::Refusal {
        grant_seq: ask.grant_seq,
        account_id: ask.account.get(),
        reason: reason.into(),
        need: ask.need.get(),
        account_rev,
    }
}
