//! Grants in small batches: requests of all relays that arrive within moments share one transaction. Those whose account cannot pay, while
//! relays may hold what is missing, wait here until that is known.

use std::collections::{BTreeSet, HashMap};
use std::sync::Arc;
use std::time::{Duration, Instant};

use sluice_billing::lease::Terms;
use sluice_domain::{AccountId, Quota};
use sluice_rpc::pb;
use sluice_telemetry::drain::Drain;
use sluice_telemetry::tasks::Tasks;
use tokio::sync::broadcast::error::RecvError;
use tokio::sync::{Notify, broadcast, mpsc};
use tonic::Status;
use tracing::warn;

use crate::app::App;
use crate::leases::{self, Answer, Ask, Granted, Pending, Refused};
use crate::publish::log::MAX_CHANGES;
use crate::publish::{Feed, News, Revoked};

/// How long a request waits for company.
const GATHER: Duration = Duration::from_millis(2);
/// Requests in one transaction, beside those that wait.
const MOST_AT_ONCE: usize = 500;
/// Relays' messages waiting for a turn; beyond it their streams wait.
const QUEUE: usize = 256;
/// Requests that wait for what relays give back; beyond it they are told at once that nobody knows.
const MOST_WAITING: usize = 10_000;
/// How often those who wait are looked at: relays of other replicas give back, too.
const LOOK_AGAIN: Duration = Duration::from_millis(50);
/// Who waits for what relays give back waits at least for so many decisions: a recall takes the database about half as many turns.
const TURNS: u32 = 8;
/// But no longer than this: relays give up after 5 s.
const LONGEST_WAIT: Duration = Duration::from_secs(4);
/// Accounts known to be exhausted; beyond it all are forgotten, and asked back once more.
const MOST_VERDICTS: usize = 10_000;
/// How long one is known to be. Relays go on giving back what they were asked for, so this only bounds what nobody foresaw.
const VERDICT_LIFE: Duration = Duration::from_mins(1);

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
        let desk = Desk {
            app: app.clone(),
            waiting: Vec::new(),
            verdicts: HashMap::new(),
            recalls: HashMap::new(),
            pace: Duration::ZERO,
        };
        tasks.spawn("grants", desk.run(receiver, news, Arc::clone(&look), tasks.drain()));
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

/// A request without an answer.
struct Entry {
    pending: Pending,
    replies: Replies,
    since: Instant,
}

impl Entry {
    /// Whether it is said again, or overtaken by a larger one of the same relay.
    fn is_replaced_by(&self, ask: &Ask) -> bool {
        let own = &self.pending.ask;
        own.life == ask.life && own.account == ask.account && (own.grant_seq == ask.grant_seq || own.need <= ask.need)
    }
}

/// What is known of an exhausted account: at this revision it cannot pay this much, whatever relays hold.
#[derive(Debug, Clone, Copy)]
struct Exhausted {
    rev: i64,
    need: Quota,
    since: Instant,
}

struct Desk {
    app: App,
    waiting: Vec<Entry>,
    verdicts: HashMap<AccountId, Exhausted>,
    /// The newest recall of each account, and when it went out.
    recalls: HashMap<AccountId, (i64, Instant)>,
    /// How long the database takes for a decision, as of late.
    pace: Duration,
}

impl Desk {
    /// Ends with the process: relays ask again after their next connect.
    async fn run(mut self, mut queue: mpsc::Receiver<Job>, mut news: broadcast::Receiver<News>, look: Arc<Notify>, drain: Drain) {
        let closing = drain.closing();
        tokio::pin!(closing);
        loop {
            let first = tokio::select! {
                () = &mut closing => return,
                first = queue.recv() => match first {
                    Some(first) => Some(first),
                    None => return,
                },
                told = news.recv() => match told {
                    Ok(told) if !self.is_good_news(&told) => continue,
                    Err(RecvError::Closed) => return,
                    // what was missed may have been good
                    Ok(_) | Err(RecvError::Lagged(_)) => None,
                },
                () = look.notified() => None,
                () = tokio::time::sleep(LOOK_AGAIN), if !self.waiting.is_empty() => None,
            };
            if let Some(first) = first {
                tokio::time::sleep(GATHER).await;
                self.take_in(first, &mut queue);
            }
            if !self.waiting.is_empty() {
                self.decide().await;
            }
        }
    }

    /// Whether money came in for somebody who waits.
    fn is_good_news(&mut self, told: &News) -> bool {
        let urgent: &[Revoked] = match told {
            News::Change(change) => &change.urgent,
            News::Urgent(urgent) => urgent,
            News::Reload => {
                // in another history revisions and recalls are counted anew
                self.verdicts.clear();
                self.recalls.clear();
                return true;
            }
        };
        let is_waited_for = |account| self.waiting.iter().any(|entry| entry.pending.ask.account == account);
        urgent.iter().any(|told| matches!(told, Revoked::Credit(account, _) if is_waited_for(*account)))
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
        let (waited, mut overtaken) = (self.waiting.len(), Vec::new());
        for Job { asks, replies } in jobs {
            for ask in asks {
                for (place, entry) in self.waiting.iter().enumerate().take(waited) {
                    if entry.is_replaced_by(&ask) {
                        overtaken.push((place, ask.grant_seq));
                    }
                }
                let is_over = self.waiting.len() >= MOST_WAITING;
                let pending = Pending { is_over, ..Pending::new(ask) };
                self.waiting.push(Entry { pending, replies: replies.clone(), since: Instant::now() });
            }
        }
        self.drop_overtaken(overtaken);
    }

    fn drop_overtaken(&mut self, mut overtaken: Vec<(usize, i64)>) {
        overtaken.sort_unstable();
        overtaken.dedup_by_key(|(place, _)| *place);
        let mut answers = Answers::default();
        for (place, by) in overtaken.into_iter().rev() {
            let entry = self.waiting.remove(place);
            if entry.pending.ask.grant_seq != by {
                let refusal = refusal(&entry.pending.ask, pb::RefusalReason::Superseded, 0);
                answers.add(&entry.replies, |down| down.refusals.push(refusal));
            }
        }
        answers.send();
    }

    /// How long somebody waits for what relays give back: a database that is slow is no reason to know nothing for ever.
    fn recall_wait(&self) -> Duration {
        let usual = Duration::from_millis(self.app.terms.recall_wait_millis);
        usual.max((self.pace * TURNS).min(LONGEST_WAIT))
    }

    /// Decides everybody who waits; those who still do after it are asked back for.
    async fn decide(&mut self) {
        let wait = self.recall_wait();
        for entry in &mut self.waiting {
            entry.pending.is_over |= entry.since.elapsed() >= wait;
        }
        self.decide_once().await;
        self.recall().await;
    }

    async fn decide_once(&mut self) {
        let presumed = self.presume();
        let asks: Vec<Pending> = self.waiting.iter().map(|entry| entry.pending.clone()).collect();
        let begun = Instant::now();
        let decided = leases::grant(&self.app.db, &self.app.terms, &asks, self.app.clock.wall()).await;
        self.pace = (self.pace * 3 + begun.elapsed()) / 4;
        let decided = match decided {
            Ok(decided) => {
                self.app.metrics.granted(&decided, begun.elapsed());
                decided
            }
            Err(error) => {
                warn!(%error, "cannot decide about grants");
                self.app.metrics.not_granted(asks.len());
                vec![Some(Answer::Unknown); asks.len()]
            }
        };
        let mut answers = Answers::default();
        for ((mut entry, answer), presumed) in std::mem::take(&mut self.waiting).into_iter().zip(decided).zip(presumed) {
            match answer {
                Some(Answer::Waits { .. }) => self.waiting.push(entry),
                Some(Answer::Refused(Refused::Exhausted { rev, .. })) if presumed.is_some_and(|known| known != rev) => {
                    // money moved since: relays are asked after all
                    entry.pending.recall_seq = None;
                    self.waiting.push(entry);
                }
                Some(answer) => {
                    self.remember(entry.pending.ask.account, answer);
                    answers.add(&entry.replies, |down| put(down, &entry.pending.ask, answer, &self.app.terms));
                }
                // of an earlier life: it is not listened to
                None => {}
            }
        }
        answers.send();
    }

    /// Those whose account is known to be exhausted wait for nobody: they are decided as if every relay had answered. Answers the revision at
    /// which that was known, for each.
    fn presume(&mut self) -> Vec<Option<i64>> {
        let verdicts = &self.verdicts;
        let presume = |entry: &mut Entry| {
            let ask = &entry.pending.ask;
            let goal = if ask.up_to_want { ask.want } else { ask.need };
            let known = verdicts.get(&ask.account).filter(|known| known.since.elapsed() < VERDICT_LIFE && goal >= known.need)?;
            entry.pending.recall_seq.is_none().then(|| {
                entry.pending.recall_seq = Some(0);
                known.rev
            })
        };
        self.waiting.iter_mut().map(presume).collect()
    }

    fn remember(&mut self, account: AccountId, answer: Answer) {
        if matches!(answer, Answer::Granted(granted) if !granted.low) {
            // there is enough again, whatever was known before
            self.verdicts.remove(&account);
        }
        let Answer::Refused(Refused::Exhausted { need, rev }) = answer else { return };
        if need.is_zero() {
            return;
        }
        if self.verdicts.len() >= MOST_VERDICTS {
            self.verdicts.clear();
        }
        let known = self.verdicts.get(&account).filter(|known| known.rev == rev && known.need < need).copied();
        self.verdicts.insert(account, known.unwrap_or(Exhausted { rev, need, since: Instant::now() }));
    }

    /// Asks back what those need who wait for nothing yet. One recall within the time of a wait serves all who come meanwhile.
    async fn recall(&mut self) {
        let wait = self.recall_wait();
        self.recalls.retain(|_, (_, at)| at.elapsed() < wait);
        let fresh = self.waiting.iter().filter(|entry| entry.pending.recall_seq.is_none());
        let wanted: BTreeSet<AccountId> = fresh.map(|entry| entry.pending.ask.account).collect();
        let accounts: BTreeSet<AccountId> =
            wanted.into_iter().filter(|account| !self.recalls.contains_key(account)).take(MAX_CHANGES).collect();
        if !accounts.is_empty() {
            match leases::recall(&self.app.db, &accounts, self.app.clock.wall()).await {
                Ok(recall_seq) => {
                    self.app.poke.look();
                    self.app.metrics.recalled(accounts.len());
                    let now = Instant::now();
                    self.recalls.extend(accounts.into_iter().map(|account| (account, (recall_seq, now))));
                }
                // it is tried again at the next look, while there is time
                Err(error) => warn!(%error, "cannot ask relays for money back"),
            }
        }
        for entry in self.waiting.iter_mut().filter(|entry| entry.pending.recall_seq.is_none()) {
            entry.pending.recall_seq = self.recalls.get(&entry.pending.ask.account).map(|(recall_seq, _)| *recall_seq);
        }
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

fn put(down: &mut pb::LeaseDown, ask: &Ask, answer: Answer, terms: &Terms) {
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
