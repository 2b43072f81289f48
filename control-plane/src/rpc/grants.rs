//! Grants in small batches: requests of all relays that arrive within moments share one transaction. Who waits for what relays may give back
//! is decided by [`Desk`]; here its questions travel to the database, and its answers to the relays.

use std::sync::Arc;
use std::time::{Duration, Instant};

use sluice_billing::lease::Terms;
use sluice_rpc::pb;
use sluice_telemetry::drain::Drain;
use sluice_telemetry::tasks::Tasks;
use tokio::sync::broadcast::error::RecvError;
use tokio::sync::{Notify, broadcast, mpsc};
use tonic::Status;
use tracing::warn;

use crate::app::App;
use crate::leases::desk::{Desk, Reply, Told};
use crate::leases::{self, Answer, Ask, Granted, Refused};
use crate::publish::{Feed, News};

/// How long a request waits for company.
const GATHER: Duration = Duration::from_millis(2);
/// Requests in one transaction, beside those that wait.
const MOST_AT_ONCE: usize = 500;
/// Relays' messages waiting for a turn; beyond it their streams wait.
const QUEUE: usize = 256;

/// Where answers go: the lease stream the request came on.
pub(super) type Replies = mpsc::Sender<Result<pb::LeaseDown, Status>>;

/// Cloning shares it.
#[derive(Clone)]
pub(super) struct Granter {
    jobs: mpsc::Sender<Job>,
    look: Arc<Notify>,
}

struct Job {
    asks: Vec<Ask>,
    replies: Replies,
}

impl Granter {
    /// With the task that decides.
    pub(super) fn new(app: &App, feed: &Feed, tasks: &Tasks) -> Self {
        let (jobs, receiver) = mpsc::channel(QUEUE);
        let look = Arc::new(Notify::new());
        let (_, news) = feed.listen();
        let usual_wait = Duration::from_millis(app.terms.recall_wait_millis);
        let deciding = Deciding { app: app.clone(), desk: Desk::new(usual_wait), began: Instant::now() };
        tasks.spawn_essential("grants", deciding.run(receiver, news, Arc::clone(&look), tasks.drain()));
        Self { jobs, look }
    }

    /// Queues requests; the answers come on `replies`. Waits while too many are queued.
    pub(super) async fn ask(&self, asks: Vec<Ask>, replies: Replies) {
        // the task ends with the process; then nobody waits for answers either
        let _ = self.jobs.send(Job { asks, replies }).await;
    }

    /// A relay gave something back, or said that it has nothing: those who wait are decided again.
    pub(super) fn look(&self) {
        self.look.notify_one();
    }
}

struct Deciding {
    app: App,
    desk: Desk<Replies>,
    /// What the times of the desk are counted from.
    began: Instant,
}

impl Deciding {
    /// Ends with the process: relays ask again after their next connect.
    async fn run(mut self, mut queue: mpsc::Receiver<Job>, mut news: broadcast::Receiver<News>, look: Arc<Notify>, drain: Drain) {
        let closing = drain.closing();
        tokio::pin!(closing);
        loop {
            let looks_again = self.desk.looks_again_after();
            let first = tokio::select! {
                () = &mut closing => return,
                first = queue.recv() => match first {
                    Some(first) => Some(first),
                    None => return,
                },
                told = news.recv() => match told {
                    Ok(told) if !self.desk.hears(&told) => continue,
                    Err(RecvError::Closed) => return,
                    // what was missed may have been good
                    Ok(_) | Err(RecvError::Lagged(_)) => None,
                },
                () = look.notified() => None,
                () = tokio::time::sleep(looks_again.unwrap_or_default()), if looks_again.is_some() => None,
            };
            if let Some(first) = first {
                tokio::time::sleep(GATHER).await;
                self.take_in(first, &mut queue);
            }
            if self.desk.looks_again_after().is_some() {
                self.decide().await;
                self.recall().await;
            }
        }
    }

    fn now(&self) -> Duration {
        self.began.elapsed()
    }

    /// Puts new requests behind those that wait.
    fn take_in(&mut self, first: Job, queue: &mut mpsc::Receiver<Job>) {
        let mut jobs = vec![first];
        let mut count: usize = jobs.iter().map(|job| job.asks.len()).sum();
        while count < MOST_AT_ONCE {
            let Ok(job) = queue.try_recv() else { break };
            count += job.asks.len();
            jobs.push(job);
        }
        let asks = jobs.into_iter().flat_map(|job| job.asks.into_iter().map(move |ask| (ask, job.replies.clone())));
        let now = self.now();
        let overtaken = self.desk.take_in(asks, now);
        self.tell(overtaken);
    }

    /// Decides everybody who waits.
    async fn decide(&mut self) {
        let questions = self.desk.questions(self.now());
        let begun = Instant::now();
        let decided = leases::grant(&self.app.db, &self.app.terms, &questions, self.app.clock.wall()).await;
        let took = begun.elapsed();
        let decided = match decided {
            Ok(decided) => {
                self.app.metrics.granted(&decided, took);
                decided
            }
            Err(error) => {
                warn!(%error, "cannot decide about grants");
                self.app.metrics.not_granted(questions.len());
                vec![Some(Answer::Unknown); questions.len()]
            }
        };
        let told = self.desk.decided(decided, took, self.now());
        self.tell(told);
    }

    /// Asks back what those need who wait for nothing yet.
    async fn recall(&mut self) {
        let accounts = self.desk.to_recall(self.now());
        let mut recall_seq = None;
        if !accounts.is_empty() {
            match leases::recall(&self.app.db, &accounts, self.app.clock.wall()).await {
                Ok(seq) => {
                    self.app.poke.look();
                    self.app.metrics.recalled(accounts.len());
                    recall_seq = Some(seq);
                }
                Err(error) => warn!(%error, "cannot ask relays for money back"),
            }
        }
        self.desk.recalled(accounts, recall_seq, self.now());
    }

    fn tell(&self, told: Vec<Told<Replies>>) {
        let mut answers = Answers::default();
        for Told { to, ask, reply } in told {
            answers.add(&to, |down| put(down, &ask, reply, &self.app.terms));
        }
        answers.send();
    }
}

/// Answers, gathered per stream.
#[derive(Default)]
struct Answers(Vec<(Replies, pb::LeaseDown)>);

impl Answers {
    fn add(&mut self, replies: &Replies, put: impl FnOnce(&mut pb::LeaseDown)) {
        if let Some((_, down)) = self.0.iter_mut().find(|(known, _)| known.same_channel(replies)) {
            return put(down);
        }
        let mut down = pb::LeaseDown::default();
        put(&mut down);
        self.0.push((replies.clone(), down));
    }

    /// A relay that does not read holds up nobody: it asks again, and gets the same grant.
    fn send(self) {
        for (replies, down) in self.0 {
            let _ = replies.try_send(Ok(down));
        }
    }
}

fn put(down: &mut pb::LeaseDown, ask: &Ask, reply: Reply, terms: &Terms) {
    let Reply::Decided(answer) = reply else {
        return down.refusals.push(refusal(ask, pb::RefusalReason::Superseded, 0));
    };
    match answer {
        Answer::Granted(granted) => down.grants.push(grant(&granted, terms)),
        Answer::Closed(lease) => {
            down.void_leases.push(lease.get());
            down.refusals.push(refusal(ask, pb::RefusalReason::Unavailable, 0));
        }
        Answer::Refused(Refused::Exhausted { rev, .. }) => down.refusals.push(refusal(ask, pb::RefusalReason::Exhausted, rev)),
        Answer::Refused(Refused::Frozen { rev }) => down.refusals.push(refusal(ask, pb::RefusalReason::Frozen, rev)),
        Answer::Refused(Refused::UnknownAccount) => down.refusals.push(refusal(ask, pb::RefusalReason::UnknownAccount, 0)),
        Answer::Unknown | Answer::Waits { .. } => down.refusals.push(refusal(ask, pb::RefusalReason::Unavailable, 0)),
    }
}

pub(super) fn grant(granted: &Granted, terms: &Terms) -> pb::Grant {
    pb::Grant {
        grant_seq: granted.grant_seq,
        lease_id: granted.lease.get(),
        account_id: granted.account.get(),
        amount: granted.amount.get(),
        life_ms: leases::life_millis(terms),
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
