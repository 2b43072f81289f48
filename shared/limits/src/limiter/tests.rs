//! Several relays and counters they share, in virtual time.

use std::sync::atomic::{AtomicUsize, Ordering::SeqCst};

use futures_util::future::BoxFuture;
use proptest::prelude::*;
use sluice_domain::{GroupName, Limit, Now, TokenId, UnixMillis, UserId};
use tokio::time::{Instant, advance, pause, sleep};

use super::*;
use crate::ask::Subject;

/// Counters that are shared, follow the rule itself, and can be taken away, slowed down and wiped.
#[derive(Debug)]
struct Fake {
    counters: Mutex<Local>,
    running: Mutex<HashMap<Key, Vec<Lease>>>,
    is_away: AtomicBool,
    is_slow: AtomicBool,
    asked: AtomicUsize,
    clock: Clock,
}

impl Fake {
    fn new(clock: Clock) -> Arc<Self> {
        let counters = Mutex::new(Local::new(1_000));
        let (running, asked) = (Mutex::default(), AtomicUsize::new(0));
        Arc::new(Self { counters, running, is_away: AtomicBool::new(false), is_slow: AtomicBool::new(false), asked, clock })
    }

    fn wipe(&self) {
        *self.counters.lock() = Local::new(1_000);
        self.running.lock().clear();
    }

    fn now(&self) -> u64 {
        self.clock.read().boot_millis * 1_000
    }

    async fn reached(&self) -> Result<(), Away> {
        self.asked.fetch_add(1, SeqCst);
        if self.is_slow.load(SeqCst) {
            sleep(Duration::from_mins(1)).await;
        }
        if self.is_away.load(SeqCst) { Err(Away("gone")) } else { Ok(()) }
    }
}

impl Shared for Fake {
    fn take<'a>(&'a self, take: Take<'a>) -> BoxFuture<'a, Result<(bool, Answers), Away>> {
        Box::pin(async move {
            self.reached().await?;
            let (now, counters) = (self.now(), self.counters.lock());
            for (ask, floor) in take.asks.iter().zip(take.floors) {
                let known = counters.remembered(&ask.key, now);
                counters.remember(&ask.key, known.max(*floor), now);
            }
            let (is_taken, answers) = counters.take(take.asks, 1, now);
            for (ask, _) in take.asks.iter().zip(&answers).filter(|(ask, said)| is_taken && said.fits && !ask.key.of.has_window())
            {
                self.running.lock().entry(ask.key.clone()).or_default().push(take.lease);
            }
            Ok((is_taken, answers))
        })
    }

    fn change<'a>(&'a self, changes: &'a [Change]) -> BoxFuture<'a, Result<(), Away>> {
        Box::pin(async move {
            self.reached().await?;
            let (now, counters) = (self.now(), self.counters.lock());
            for change in changes {
                match change {
                    Change::GiveBack(key, cost) => counters.give_back(key, *cost, now),
                    Change::Charge(key, cost) => counters.charge(key, *cost, now),
                    Change::Raise(key, level) => {
                        let known = counters.remembered(key, now);
                        counters.remember(key, known.max(*level), now);
                    }
                    Change::End(key, lease) => {
                        self.running.lock().entry(key.clone()).or_default().retain(|running| running != lease);
                        counters.end(key, now);
                    }
                    Change::Keep(key, lease) => {
                        let mut running = self.running.lock();
                        let running = running.entry(key.clone()).or_default();
                        if !running.contains(lease) {
                            running.push(*lease);
                            counters.begin(key, now);
                        }
                    }
                }
            }
            Ok(())
        })
    }

    fn probe(&self) -> BoxFuture<'_, Result<(), Away>> {
        Box::pin(self.reached())
    }

    fn close(&self) -> BoxFuture<'_, ()> {
        Box::pin(async {})
    }
}

struct Relays {
    shared: Arc<Fake>,
    limiters: Vec<Limiter>,
    events: Arc<Mutex<Vec<Event>>>,
    upkeeps: Vec<tokio::task::JoinHandle<()>>,
}

impl Drop for Relays {
    fn drop(&mut self) {
        for upkeep in &self.upkeeps {
            upkeep.abort();
        }
    }
}

impl Relays {
    /// So many relays in virtual time, connected to shared counters.
    #[expect(clippy::disallowed_methods, reason = "a test waits for nothing at its end")]
    async fn start(relays: usize) -> Self {
        pause();
        let began = Instant::now();
        let clock = Clock::new(move || {
            let boot_millis = 1_000_000 + u64::try_from(began.elapsed().as_millis()).unwrap();
            Now { wall: UnixMillis(0), boot_millis }
        });
        let (shared, events) = (Fake::new(clock.clone()), Arc::<Mutex<Vec<Event>>>::default());
        let (mut limiters, mut upkeeps) = (Vec::new(), Vec::new());
        for life in 0..relays {
            let told = Arc::clone(&events);
            let (limiter, upkeep) = Limiter::new(Setup {
                clock: clock.clone(),
                shared: Some(shared.clone()),
                patience: PATIENCE,
                relays: Arc::new(move || relays as u64),
                notice: Arc::new(move |event| told.lock().push(event)),
                life: life as u64,
                capacity: 1_000,
            });
            limiters.push(limiter);
            upkeeps.push(tokio::spawn(upkeep.run(std::future::pending())));
        }
        let relays = Self { shared, limiters, events, upkeeps };
        relays.pass(1).await;
        assert!(relays.limiters.iter().all(|limiter| limiter.mode() == Mode::Shared));
        relays
    }

    /// Lets time pass, and everything happen that is due.
    async fn pass(&self, millis: u64) {
        for _ in 0..20 {
            tokio::task::yield_now().await;
        }
        advance(Duration::from_millis(millis)).await;
        for _ in 0..20 {
            tokio::task::yield_now().await;
        }
    }

    /// How many of so many tries pass at each relay.
    async fn passing(&self, asks: &[Ask], tries: usize) -> Vec<usize> {
        let mut passed = Vec::new();
        for limiter in &self.limiters {
            let mut count = 0;
            for _ in 0..tries {
                if let Ok(held) = limiter.admit(asks.to_vec()).await {
                    held.settle(0, true);
                    count += 1;
                }
            }
            passed.push(count);
        }
        passed
    }

    async fn breaks_down(&self) {
        self.shared.is_away.store(true, SeqCst);
        let nothing = ask(99, Counted::Requests, 1_000_000);
        self.passing(&[nothing], usize::try_from(FAILURES).unwrap()).await;
        assert!(self.limiters.iter().all(|limiter| limiter.mode() == Mode::Alone));
    }

    fn count(&self, event: Event) -> usize {
        self.events.lock().iter().filter(|told| **told == event).count()
    }
}

fn limit(of: Counted, count: u64) -> Limit {
    Limit { of, count, window_secs: if of.has_window() { 60 } else { 0 }, is_shadow: false }
}

fn ask(token: i64, of: Counted, count: u64) -> Ask {
    Ask::new(Subject::Token(UserId::new(1), TokenId::new(token)), &limit(of, count), 10)
}

#[tokio::test]
async fn relays_share_one_limit_exactly() {
    let relays = Relays::start(3).await;
    assert_eq!(relays.passing(&[ask(1, Counted::Requests, 10)], 20).await.iter().sum::<usize>(), 10);
    relays.pass(12_000).await;
    assert_eq!(relays.passing(&[ask(1, Counted::Requests, 10)], 20).await.iter().sum::<usize>(), 2);
}

#[tokio::test]
async fn without_shared_counters_every_relay_keeps_its_share_and_nobody_is_turned_away_for_it() {
    let relays = Relays::start(2).await;
    relays.breaks_down().await;
    assert_eq!(relays.passing(&[ask(1, Counted::Requests, 10)], 20).await, [5, 5]);
    assert_eq!(relays.count(Event::Mode(Mode::Alone)), 2, "each relay tells it once");
    let asked = relays.shared.asked.load(SeqCst);
    relays.passing(&[ask(2, Counted::Requests, 10)], 20).await;
    assert_eq!(relays.shared.asked.load(SeqCst), asked, "nobody asks in vain");

    relays.shared.is_away.store(false, SeqCst);
    relays.pass(1_000).await;
    assert_eq!(relays.count(Event::Mode(Mode::Shared)), 4);
}

#[tokio::test]
async fn an_answer_that_takes_too_long_is_not_waited_for() {
    let relays = Relays::start(1).await;
    relays.shared.is_slow.store(true, SeqCst);
    let began = Instant::now();
    assert!(relays.limiters[0].admit(vec![ask(1, Counted::Requests, 10)]).await.is_ok());
    assert!(began.elapsed() <= PATIENCE + Duration::from_millis(1), "{:?}", began.elapsed());
    assert_eq!(relays.count(Event::Failed), 1);
    assert_eq!(relays.limiters[0].mode(), Mode::Shared, "one failure is no break-down");
}

#[tokio::test]
async fn a_relay_goes_on_from_what_it_knew_when_shared_counters_go_away() {
    let relays = Relays::start(2).await;
    let asks = [ask(1, Counted::Requests, 10)];
    assert_eq!(relays.passing(&asks, 5).await, [5, 5]);
    relays.breaks_down().await;
    // the first knew of its own five, the second of all ten
    assert_eq!(relays.passing(&asks, 20).await, [2, 0]);
}

#[tokio::test]
async fn counters_that_were_wiped_hear_how_far_limits_were_used_up() {
    let relays = Relays::start(2).await;
    let asks = [ask(1, Counted::Requests, 10)];
    assert_eq!(relays.passing(&asks, 20).await, [10, 0]);
    for _ in 0..5 {
        relays.shared.wipe();
        assert_eq!(relays.passing(&asks, 20).await, [0, 0]);
    }
}

#[tokio::test]
async fn what_runs_is_counted_again_after_a_wipe() {
    let relays = Relays::start(2).await;
    let asks = vec![ask(1, Counted::Concurrency, 3)];
    let mut running = Vec::new();
    for _ in 0..3 {
        running.push(relays.limiters[0].admit(asks.clone()).await.unwrap());
    }
    assert!(relays.limiters[1].admit(asks.clone()).await.is_err());
    relays.shared.wipe();
    // the first that asks at the relay that knows better has it told again at once
    running.push(relays.limiters[0].admit(asks.clone()).await.unwrap());
    relays.pass(0).await;
    assert!(relays.limiters[1].admit(asks.clone()).await.is_err());
    running.clear();
    relays.pass(0).await;
    assert!(relays.limiters[1].admit(asks).await.is_ok());
}

#[tokio::test]
async fn what_began_alone_is_counted_by_all_when_counters_are_back() {
    let relays = Relays::start(2).await;
    let asks = vec![ask(1, Counted::Concurrency, 2)];
    relays.breaks_down().await;
    let running = [relays.limiters[0].admit(asks.clone()).await.unwrap(), relays.limiters[1].admit(asks.clone()).await.unwrap()];
    relays.shared.is_away.store(false, SeqCst);
    relays.pass(1_000).await;
    assert!(relays.limiters[0].admit(asks.clone()).await.is_err());
    drop(running);
    relays.pass(0).await;
    assert!(relays.limiters[0].admit(asks).await.is_ok());
    relays.pass(0).await;
    assert!(relays.shared.running.lock().values().all(Vec::is_empty), "nothing is left behind");
}

#[tokio::test]
async fn requests_that_were_admitted_alone_are_counted_by_all_when_counters_are_back() {
    let relays = Relays::start(2).await;
    let asks = [ask(1, Counted::Requests, 10)];
    assert_eq!(relays.passing(&asks, 2).await, [2, 2]);
    relays.breaks_down().await;
    let alone: usize = relays.passing(&asks, 9).await.iter().sum();
    assert!((6..=7).contains(&alone), "{alone}: half of what is left for each");
    relays.shared.wipe();
    relays.shared.is_away.store(false, SeqCst);
    relays.pass(1_000).await;
    let after: usize = relays.passing(&asks, 9).await.iter().sum();
    // of the four before, the first to tell knew of two: the other two are inside what it admitted alone
    assert!(after <= 2, "{after}: each told what it admitted before anybody asked");
}

#[tokio::test]
async fn tokens_are_corrected_to_what_was_used() {
    let relays = Relays::start(1).await;
    let asks = vec![ask(1, Counted::Tokens, 30)];
    let admit = async || relays.limiters[0].admit(asks.clone()).await;
    admit().await.unwrap().settle(2, true);
    drop(admit().await.unwrap());
    admit().await.unwrap().settle(25, true);
    relays.pass(0).await;
    // 2 + 0 + 25 of 30 are used, the next ten fit in fourteen seconds
    let refused = admit().await.unwrap_err();
    assert_eq!(refused.worst().unwrap().wait, Duration::from_secs(14));
    relays.pass(14_000).await;
    assert!(admit().await.is_ok());
}

#[tokio::test]
async fn what_was_refilled_meanwhile_is_not_given_back() {
    let relays = Relays::start(1).await;
    let asks = vec![ask(1, Counted::Tokens, 30)];
    let slow = relays.limiters[0].admit(asks.clone()).await.unwrap();
    relays.pass(20_000).await;
    let _running = (relays.limiters[0].admit(asks.clone()).await.unwrap(), relays.limiters[0].admit(asks.clone()).await.unwrap());
    drop(slow);
    relays.pass(0).await;
    let _third = relays.limiters[0].admit(asks.clone()).await.unwrap();
    assert!(relays.limiters[0].admit(asks).await.is_err(), "thirty at once is all there is");
}

#[tokio::test]
async fn only_successes_use_up_a_limit_of_successes() {
    let relays = Relays::start(1).await;
    let asks = vec![ask(1, Counted::Successes, 2), ask(1, Counted::Requests, 5)];
    let admit = async || relays.limiters[0].admit(asks.clone()).await;
    admit().await.unwrap().settle(0, true);
    admit().await.unwrap().settle(0, false);
    relays.pass(0).await;
    let running = admit().await.unwrap();
    assert!(admit().await.is_err(), "one that runs may succeed");
    drop(running);
    relays.pass(0).await;
    admit().await.unwrap().settle(0, true);
    relays.pass(0).await;
    let refused = admit().await.unwrap_err();
    assert_eq!(refused.worst().unwrap().limit.of, Counted::Successes);
    assert_eq!(refused.standings.iter().find(|standing| standing.limit.of == Counted::Requests).unwrap().left, 1);
}

#[tokio::test]
async fn what_one_slot_gave_is_put_back_when_the_other_refuses() {
    let relays = Relays::start(1).await;
    let group = Ask::new(Subject::Group(GroupName::parse("g").unwrap()), &limit(Counted::Requests, 1), 0);
    let own = [ask(1, Counted::Requests, 3), ask(1, Counted::Concurrency, 1)];
    let asks: Vec<Ask> = own.iter().cloned().chain([group]).collect();
    assert_eq!(relays.passing(&asks, 9).await, [1]);
    relays.pass(0).await;
    let refused = relays.limiters[0].admit(asks).await.unwrap_err();
    assert_eq!(refused.worst().unwrap().key.subject.as_str(), "group");
    relays.pass(0).await;
    assert_eq!(relays.passing(&own[..1], 9).await, [2], "the nine refusals cost the caller nothing");
    assert!(relays.shared.running.lock().values().all(Vec::is_empty));
}

#[tokio::test]
async fn refusals_by_one_slot_on_several_relays_cost_the_other_nothing() {
    let relays = Relays::start(2).await;
    let group = Ask::new(Subject::Group(GroupName::parse("g").unwrap()), &limit(Counted::Requests, 1), 0);
    let own = ask(1, Counted::Requests, 4);
    let asks = [own.clone(), group];
    assert_eq!(relays.passing(&asks, 1).await.iter().sum::<usize>(), 1);
    relays.pass(0).await;
    for _ in 0..20 {
        // both are under way at once: each sees what the other took and will put back
        let (one, two) = tokio::join!(relays.limiters[0].admit(asks.to_vec()), relays.limiters[1].admit(asks.to_vec()));
        assert!(one.is_err() && two.is_err());
        relays.pass(0).await;
    }
    assert_eq!(relays.passing(&[own], 9).await.iter().sum::<usize>(), 3, "the forty refusals cost the caller nothing");
}

#[tokio::test]
async fn a_shadow_is_told_and_refuses_nobody() {
    let relays = Relays::start(1).await;
    let mut shadow = ask(1, Counted::Requests, 1);
    shadow.limit.is_shadow = true;
    assert_eq!(relays.passing(&[shadow], 4).await, [4]);
    assert_eq!(relays.count(Event::Hit { subject: "token", of: Counted::Requests, is_shadow: true }), 3);
}

#[tokio::test]
async fn a_queue_that_is_full_forgets_no_use() {
    let relays = Relays::start(1).await;
    for upkeep in &relays.upkeeps {
        upkeep.abort();
    }
    for _ in 0..=CHANGES_WAITING {
        relays.limiters[0].give_back(&ask(2, Counted::Tokens, 30).key, 1, Place::Shared);
    }
    assert!(relays.count(Event::Lost) > 0);
    relays.limiters[0].charge(&ask(1, Counted::Tokens, 30).key, 60_000_000, Place::Shared);
    relays.shared.is_away.store(true, SeqCst);
    assert!(relays.limiters[0].admit(vec![ask(1, Counted::Tokens, 30)]).await.is_err());
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]
    #[test]
    fn across_a_break_down_and_a_wipe_no_more_than_a_burst_on_each_relay_is_added(
        relays in 1_usize..5,
        count in 1_u64..20,
        steps in prop::collection::vec((0_u64..4_000, 0_usize..5), 40..120),
        breaks_at in 0_usize..60,
        back_at in 60_usize..120,
        is_wiped in any::<bool>(),
        windows in 0_u64..4,
    ) {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_time().build().unwrap();
        let passed: Vec<u64> = runtime.block_on(async {
            let fleet = Relays::start(relays).await;
            let (began, mut passed) = (Instant::now(), Vec::new());
            for (step, (wait, relay)) in steps.iter().enumerate() {
                if step == breaks_at {
                    fleet.shared.is_away.store(true, SeqCst);
                }
                if step == back_at {
                    if is_wiped {
                        fleet.shared.wipe();
                    }
                    fleet.shared.is_away.store(false, SeqCst);
                }
                fleet.pass(*wait).await;
                if let Ok(held) = fleet.limiters[relay % relays].admit(vec![ask(1, Counted::Requests, count)]).await {
                    held.settle(0, true);
                    passed.push(u64::try_from(began.elapsed().as_millis()).unwrap());
                }
            }
            passed
        });
        let within = |from: u64| passed.iter().filter(|at| (from..=from + windows * 60_000).contains(*at)).count() as u64;
        let most = passed.iter().map(|at| within(*at)).max().unwrap_or(0);
        prop_assert!(most <= count * windows + count * (1 + relays as u64), "{most} of {count} in {windows} windows on {relays}");
    }
}
