//! Open-loop load: requests are due at a fixed rate, whatever the fleet does.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Duration;

use sluice_testkit::client::Caller;
use tokio::task::JoinSet;
use tokio::time::{Instant, MissedTickBehavior};
use tokio_util::sync::CancellationToken;

use crate::load::{End, Question, Seen, ask, millis_since};

/// Requests under way at once. Due ones beyond it are not sent, which makes the run worthless and is said.
const MAX_IN_FLIGHT: usize = 4_000;

/// What is asked.
#[derive(Debug, Clone)]
pub struct Mix {
    /// Requests a second.
    pub rate: u32,
    /// Of a hundred requests, so many are streams.
    pub streams: u32,
    /// The model.
    pub model: &'static str,
    /// The directive for streams: how long they are, and how slow.
    pub stream: &'static str,
    /// The directive for plain answers.
    pub plain: &'static str,
    /// The beginning of every request id.
    pub prefix: String,
}

impl Mix {
    /// The same under another name.
    #[must_use]
    pub fn named(mut self, prefix: &str) -> Self {
        prefix.clone_into(&mut self.prefix);
        self
    }
}

/// Where requests can go: one door per relay, with a key ring of every payer.
pub struct Doors {
    doors: Vec<Door>,
}

struct Door {
    keys: Vec<Caller>,
    is_open: AtomicBool,
}

impl Doors {
    /// Doors to these addresses with these keys, all open.
    #[must_use]
    pub fn new(base_urls: &[String], keys: &[String]) -> Arc<Self> {
        let door = |url: &String| {
            let caller = Caller::new(url.clone());
            Door { keys: keys.iter().map(|key| caller.clone().with_key(key)).collect(), is_open: AtomicBool::new(true) }
        };
        Arc::new(Self { doors: base_urls.iter().map(door).collect() })
    }

    /// What a load balancer does: nothing is sent to a relay that is not ready.
    pub fn set_open(&self, relay: usize, is_open: bool) {
        self.doors[relay].is_open.store(is_open, Ordering::Release);
    }

    /// The next one that is open, or the next at all when none is.
    fn pick(&self, turn: usize) -> usize {
        let count = self.doors.len();
        let from_here = (0..count).map(|step| (turn + step) % count);
        from_here.clone().find(|place| self.doors[*place].is_open.load(Ordering::Acquire)).unwrap_or(turn % count)
    }
}

/// A running load.
pub struct Traffic {
    stop: CancellationToken,
    pacing: JoinSet<Vec<Seen>>,
    started: Instant,
    whole: Arc<AtomicU64>,
    unsent: Arc<AtomicU64>,
}

impl Traffic {
    /// Starts it.
    #[must_use]
    pub fn start(doors: Arc<Doors>, mix: Mix) -> Self {
        let (stop, started) = (CancellationToken::new(), Instant::now());
        let (whole, unsent) = (Arc::<AtomicU64>::default(), Arc::<AtomicU64>::default());
        let mut pacing = JoinSet::new();
        let pacer = Pacer { doors, mix, started, whole: Arc::clone(&whole), unsent: Arc::clone(&unsent) };
        pacing.spawn(pacer.run(stop.clone()));
        Self { stop, pacing, started, whole, unsent }
    }

    /// Requests that were answered in full so far.
    #[must_use]
    pub fn whole(&self) -> u64 {
        self.whole.load(Ordering::Relaxed)
    }

    /// How long it has been running, in milliseconds.
    #[must_use]
    pub fn elapsed_millis(&self) -> u64 {
        millis_since(self.started)
    }

    /// Sends nothing more, lets what is under way end, and returns what every caller saw. Panics when this machine could not keep up:
    /// nothing that was measured would mean anything.
    pub async fn stop(mut self) -> Vec<Seen> {
        self.stop.cancel();
        let seen = self.pacing.join_next().await.expect("there is one pacer").expect("the pacer does not panic");
        let unsent = self.unsent.load(Ordering::Relaxed);
        assert!(unsent == 0, "{unsent} requests could not be sent: this machine cannot keep up with the rate");
        seen
    }
}

struct Pacer {
    doors: Arc<Doors>,
    mix: Mix,
    started: Instant,
    whole: Arc<AtomicU64>,
    unsent: Arc<AtomicU64>,
}

impl Pacer {
    async fn run(self, stop: CancellationToken) -> Vec<Seen> {
        let (mut asking, mut seen) = (JoinSet::new(), Vec::new());
        let mut due = tokio::time::interval(Duration::from_secs(1) / self.mix.rate.max(1));
        due.set_missed_tick_behavior(MissedTickBehavior::Burst);
        for turn in 0.. {
            tokio::select! {
                () = stop.cancelled() => break,
                _ = due.tick() => {}
            }
            while let Some(done) = asking.try_join_next() {
                seen.push(done.expect("a caller does not panic"));
            }
            if asking.len() < MAX_IN_FLIGHT {
                asking.spawn(self.one(turn));
            } else {
                self.unsent.fetch_add(1, Ordering::Relaxed);
            }
        }
        seen.extend(asking.join_all().await);
        seen
    }

    fn one(&self, turn: usize) -> impl Future<Output = Seen> + Send + 'static {
        let (relay, mix) = (self.doors.pick(turn), &self.mix);
        let door = &self.doors.doors[relay];
        // each relay gets every payer, and each payer streams and plain requests
        let round = turn / self.doors.doors.len();
        let caller = door.keys[round % door.keys.len()].clone();
        // 61 is spread over the hundred, so that neither kind comes in blocks
        let stream = turn * 61 % 100 < mix.streams as usize;
        let request_id = format!("{}-{turn}", mix.prefix);
        let directive = if stream { mix.stream } else { mix.plain };
        let text = format!("[sim: {directive}] about {request_id}");
        let question = Question { request_id, model: mix.model.to_owned(), stream, max_tokens: 200, text };
        let (started, whole) = (self.started, Arc::clone(&self.whole));
        async move {
            let seen = ask(&caller, relay, question, started).await;
            whole.fetch_add(u64::from(seen.end == End::Whole), Ordering::Relaxed);
            seen
        }
    }
}

/// How many of these were answered in full, and how many there are.
#[must_use]
pub fn success<'a>(seen: impl IntoIterator<Item = &'a Seen>) -> (usize, usize) {
    let (mut good, mut all) = (0, 0);
    for one in seen {
        all += 1;
        good += usize::from(one.end == End::Whole);
    }
    (good, all)
}

/// How the ones that failed did.
#[must_use]
pub fn failures<'a>(seen: impl IntoIterator<Item = &'a Seen>) -> Vec<String> {
    let failed = seen.into_iter().filter_map(|one| match &one.end {
        End::Whole => None,
        End::Refused { status, code } => Some(format!("{} at {} ms: {status} {code}", one.request_id, one.sent_millis)),
        End::Broken(reason) => Some(format!("{} at {} ms: {reason}", one.request_id, one.sent_millis)),
    });
    failed.collect()
}

/// Requests that were refused with one of these statuses.
#[must_use]
pub fn refused_with(seen: &[Seen], statuses: &[u16]) -> Vec<String> {
    let refused = seen.iter().filter(|one| matches!(&one.end, End::Refused { status, .. } if statuses.contains(status)));
    failures(refused)
}

/// The time within which so many of a thousand answered requests were answered.
#[must_use]
pub fn quantile<'a>(seen: impl IntoIterator<Item = &'a Seen>, per_mille: usize) -> Duration {
    let mut times: Vec<Duration> = seen.into_iter().filter(|one| one.end == End::Whole).map(|one| one.took).collect();
    times.sort_unstable();
    let place = (times.len() * per_mille).div_ceil(1_000).clamp(1, times.len().max(1)) - 1;
    times.get(place).copied().unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn seen(took_millis: u64, end: End) -> Seen {
        let took = Duration::from_millis(took_millis);
        Seen { request_id: "x".into(), relay: 0, stream: false, sent_millis: 0, ended_millis: took_millis, took, end }
    }

    #[test]
    fn quantiles_are_of_answers_only() {
        let mut all: Vec<Seen> = (1..=100).map(|millis| seen(millis, End::Whole)).collect();
        all.push(seen(5_000, End::Broken("x".into())));
        assert_eq!((quantile(&all, 500), quantile(&all, 990)), (Duration::from_millis(50), Duration::from_millis(99)));
        assert_eq!(quantile(&[], 990), Duration::ZERO);
        assert_eq!(success(&all), (100, 101));
        assert_eq!(failures(&all).len(), 1);
    }

    #[test]
    fn a_closed_door_is_passed_by_while_another_one_is_open() {
        let doors = Doors::new(&["http://a".into(), "http://b".into()], &["k".into()]);
        assert_eq!((doors.pick(0), doors.pick(1)), (0, 1));
        doors.set_open(1, false);
        assert_eq!((doors.pick(0), doors.pick(1)), (0, 0));
        doors.set_open(0, false);
        assert_eq!(doors.pick(1), 1);
    }
}
