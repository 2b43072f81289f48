//! The scripts against a real Redis: the same sequences as the rule itself, and servers that are wiped, killed and replaced.

use std::path::Path;
use std::sync::Arc;

use fred::interfaces::KeysInterface;
use proptest::prelude::*;
use proptest::test_runner::{Config as ProptestConfig, TestRunner};
use sluice_domain::{Clock, Counted, Limit, ModelName, Now, TokenId, UnixMillis, UserId};
use sluice_testkit::ports;
use sluice_testkit::process::{Launch, Process};
use sluice_testkit::services::{Addresses, Service, Services};
use tokio::time::{Instant, sleep};

use super::*;
use crate::ask::{Ask, Said, Subject};
use crate::limiter::{Limiter, Mode, Setup};
use crate::local::Local;
use crate::shared::Lease;

/// How long anything may take on a busy machine.
const LIMIT: Duration = Duration::from_mins(2);
/// How fast Redis answers is not what is tried here: a slow answer is waited for, and changes no sum. That nobody waits longer than
/// agreed is tried by a clock of its own, in the tests of the limiter.
const PATIENCE: Duration = RedisSettings::MOST_PATIENCE;

fn is_given() -> bool {
    Addresses::from_env().redis().is_some()
}

fn parse(text: &str) -> RedisAddress {
    RedisAddress::parse(text, None, None).unwrap()
}

async fn ready(address: &RedisAddress) -> Arc<Redis> {
    let settings = RedisSettings { address: address.clone(), connections: 2, patience: PATIENCE };
    let redis = Arc::new(Redis::connect(&settings).unwrap());
    until("Redis answers", async || redis.probe().await.is_ok()).await;
    redis
}

async fn until(what: &str, mut is_so: impl AsyncFnMut() -> bool) {
    let began = Instant::now();
    while !is_so().await {
        assert!(began.elapsed() < LIMIT, "{what}: not within {LIMIT:?}");
        sleep(Duration::from_millis(10)).await;
    }
}

/// A user nobody else has, so that tests may share a server.
fn somebody() -> UserId {
    UserId::new(i64::from_be_bytes(uuid()) & i64::MAX)
}

fn uuid() -> [u8; 8] {
    use std::hash::{BuildHasher, RandomState};
    RandomState::new().hash_one(0).to_be_bytes()
}

fn limit(of: Counted, count: u64, window_secs: u32) -> Limit {
    Limit { of, count, window_secs, is_shadow: false }
}

fn lease(number: u64) -> Lease {
    Lease { life: 1, number }
}

fn limiter(redis: &Arc<Redis>, relays: u64, life: u64) -> (Limiter, tokio::task::JoinHandle<()>) {
    let began = Instant::now();
    let clock = Clock::new(move || Now {
        wall: UnixMillis(0),
        boot_millis: 1_000_000 + u64::try_from(began.elapsed().as_millis()).unwrap(),
    });
    let (limiter, upkeep) = Limiter::new(Setup {
        clock,
        shared: Some(Arc::clone(redis) as Arc<dyn Shared>),
        patience: PATIENCE,
        relays: Arc::new(move || relays),
        notice: Arc::new(|_| ()),
        life,
        capacity: 1_000,
    });
    #[expect(clippy::disallowed_methods, reason = "a test waits for nothing at its end")]
    let upkeep = tokio::spawn(upkeep.run(std::future::pending()));
    (limiter, upkeep)
}

async fn passing(limiter: &Limiter, ask: &Ask, tries: usize) -> usize {
    let mut passed = 0;
    for _ in 0..tries {
        if let Ok(held) = limiter.admit(vec![ask.clone()]).await {
            held.settle(0, true);
            passed += 1;
        }
    }
    passed
}

/// The scripts by a clock the test sets: the last two arguments. Everything else is as in production.
fn by_a_set_clock(redis: &Redis) -> (Script, Script) {
    let set = |text: &'static str| {
        let replaced = text.replace("redis.call('TIME')", "{ARGV[#ARGV - 1], ARGV[#ARGV]}");
        assert_ne!(replaced, text, "the script reads the time once, by this call");
        Script::new(Box::leak(replaced.into_boxed_str()))
    };
    (set(redis.take.text), set(redis.change.text))
}

fn at(mut call: Call, micros: u64) -> Call {
    call.arguments.extend([(micros / 1_000_000).to_string(), (micros % 1_000_000).to_string()]);
    call
}

#[derive(Debug, Clone)]
enum Step {
    Take { wait_millis: u64, tokens: u64, floor_parts: u64 },
    GiveBack { of: usize, parts: u64 },
    Charge { of: usize, parts: u64 },
    End,
}

fn steps() -> impl Strategy<Value = Vec<Step>> {
    let step = prop_oneof![
        6 => (0_u64..200, 0_u64..40, 0_u64..3).prop_map(|(wait_millis, tokens, floor_parts)| Step::Take { wait_millis, tokens, floor_parts }),
        2 => (0_usize..3, 0_u64..700).prop_map(|(of, parts)| Step::GiveBack { of, parts }),
        1 => (0_usize..3, 0_u64..3_000).prop_map(|(of, parts)| Step::Charge { of, parts }),
        1 => Just(Step::End),
    ];
    prop::collection::vec(step, 1..40)
}

#[tokio::test(flavor = "multi_thread")]
async fn the_scripts_follow_the_rule_to_the_microsecond() {
    let Some(address) = Addresses::from_env().redis().map(parse) else { return };
    let redis = ready(&address).await;
    let (take, change) = by_a_set_clock(&redis);
    let runtime = tokio::runtime::Handle::current();
    let mut runner = TestRunner::new(ProptestConfig { cases: 60, failure_persistence: None, ..ProptestConfig::default() });
    // levels outlast the test: what ends by the server's own clock would be missed by the one that is set
    let limits = [limit(Counted::Requests, 7, 86_400), limit(Counted::Tokens, 90, 86_400), limit(Counted::Concurrency, 3, 0)];
    let shadow = Limit { count: 2, is_shadow: true, ..limit(Counted::Successes, 2, 43_200) };
    let strategy = (steps(), prop::sample::subsequence(vec![limits[0], limits[1], limits[2], shadow], 1..=4));
    let checked = tokio::task::block_in_place(|| {
        runner.run(&strategy, |(steps, limits)| {
            runtime.block_on(follow(&redis, (&take, &change), &steps, &limits));
            Ok(())
        })
    });
    checked.unwrap();
}

/// Runs a sequence by the scripts and by the rule, and compares every answer.
async fn follow(redis: &Redis, (take, change): (&Script, &Script), steps: &[Step], limits: &[Limit]) {
    let (user, local) = (somebody(), Local::new(100));
    let (mut now, mut running) = (1_700_000_000_000_000_u64, Vec::new());
    for (number, step) in (0_u64..).zip(steps) {
        let of = |at: usize| Ask::new(Subject::User(user), &limits[at % limits.len()], 1);
        match step {
            Step::Take { wait_millis, tokens, floor_parts } => {
                now += wait_millis * 1_000;
                let asks: Vec<Ask> = limits.iter().map(|limit| Ask::new(Subject::User(user), limit, *tokens)).collect();
                let floors: Vec<u64> = asks.iter().map(|ask| u64::from(ask.key.window_secs) * 100_000 * floor_parts).collect();
                for (ask, floor) in asks.iter().zip(&floors).filter(|(ask, _)| ask.key.of.has_window()) {
                    local.remember(&ask.key, *floor, now);
                }
                let lease = lease(number);
                let call = at(Call::take(&Take { asks: &asks, floors: &floors, lease }), now);
                let answer: Vec<i64> = redis.run(take, call).await.unwrap();
                let said = script::read(&answer, asks.len()).unwrap();
                assert_eq!(said, local.take(&asks, 1, now), "step {number} of {steps:?}");
                // what is known elsewhere is part of a counter once something is taken from it, and no sooner
                asks.iter().filter(|ask| ask.key.of.has_window()).for_each(|ask| local.remember(&ask.key, 0, now));
                if said.0 && asks.iter().zip(&said.1).any(|(ask, said)| !ask.key.of.has_window() && said.fits) {
                    running.push(lease);
                }
            }
            Step::GiveBack { of: at_place, parts } | Step::Charge { of: at_place, parts } => {
                let key = of(*at_place).key;
                if !key.of.has_window() {
                    continue;
                }
                let cost = u64::from(key.window_secs) * 1_000 * parts;
                let made = if matches!(step, Step::GiveBack { .. }) {
                    local.give_back(&key, cost, now);
                    Change::GiveBack(key, cost)
                } else {
                    local.charge(&key, cost, now);
                    Change::Charge(key, cost)
                };
                redis.run::<i64>(change, at(Call::change(&[made]), now)).await.unwrap();
            }
            Step::End => {
                let Some(lease) = running.pop() else { continue };
                let key = Ask::new(Subject::User(user), &limit(Counted::Concurrency, 3, 0), 1).key;
                local.end(&key, now);
                redis.run::<i64>(change, at(Call::change(&[Change::End(key, lease)]), now)).await.unwrap();
            }
        }
    }
}

#[tokio::test]
async fn what_runs_is_forgotten_when_nobody_tells_it_again() {
    let Some(address) = Addresses::from_env().redis().map(parse) else { return };
    let redis = ready(&address).await;
    let (take, change) = by_a_set_clock(&redis);
    let ask = Ask::new(Subject::User(somebody()), &limit(Counted::Concurrency, 2, 0), 1);
    let begin = async |number: u64, second: u64| {
        let wanted = Take { asks: std::slice::from_ref(&ask), floors: &[0], lease: lease(number) };
        let answer: Vec<i64> = redis.run(&take, at(Call::take(&wanted), second * 1_000_000)).await.unwrap();
        answer[0] == 1
    };
    assert!(begin(1, 100).await && begin(2, 101).await && !begin(3, 102).await);
    let kept = at(Call::change(&[Change::Keep(ask.key.clone(), lease(1))]), 110_000_000);
    redis.run::<i64>(&change, kept).await.unwrap();
    assert!(!begin(3, 130).await, "the lease of the second has a second left");
    assert!(begin(3, 131).await && !begin(4, 139).await);
    assert!(begin(4, 140).await, "nobody told of the first again");
}

#[tokio::test]
async fn counters_end_by_themselves() {
    let Some(address) = Addresses::from_env().redis().map(parse) else { return };
    let redis = ready(&address).await;
    let asks = [limit(Counted::Requests, 60, 86_400), limit(Counted::Concurrency, 2, 0)]
        .map(|limit| Ask::new(Subject::User(somebody()), &limit, 1));
    for ask in &asks {
        redis.take(Take { asks: std::slice::from_ref(ask), floors: &[0], lease: lease(1) }).await.unwrap();
    }
    let left: [i64; 2] = [redis.pool.pttl(asks[0].key.name()).await.unwrap(), redis.pool.pttl(asks[1].key.name()).await.unwrap()];
    assert!((1..=1_440_000).contains(&left[0]), "one of sixty a day is refilled within 24 minutes, not {} ms", left[0]);
    assert!((1..=30_000).contains(&left[1]), "{} ms", left[1]);
    let model = Ask::new(Subject::Model(ModelName::parse("m").unwrap()), &limit(Counted::Tokens, 100, 60), 10);
    redis.change(&[Change::GiveBack(model.key.clone(), 1)]).await.unwrap();
    assert!(!redis.pool.exists::<bool, _>(model.key.name()).await.unwrap(), "what nobody used takes no room");
}

#[tokio::test]
async fn a_clock_that_was_set_back_locks_nobody_out() {
    let Some(address) = Addresses::from_env().redis().map(parse) else { return };
    let redis = ready(&address).await;
    let (take, _) = by_a_set_clock(&redis);
    let ask = Ask::new(Subject::User(somebody()), &limit(Counted::Requests, 5, 3_600), 1);
    let said = async |second: u64| {
        let wanted = Take { asks: std::slice::from_ref(&ask), floors: &[0], lease: lease(1) };
        let answer: Vec<i64> = redis.run(&take, at(Call::take(&wanted), second * 1_000_000)).await.unwrap();
        script::read(&answer, 1).unwrap().1[0]
    };
    assert!(said(10_000_000).await.fits);
    assert_eq!(said(1).await, Said { fits: false, level: 7_200_000_000 }, "two windows at most");
}

#[tokio::test(flavor = "multi_thread")]
async fn two_relays_share_a_limit_exactly_through_wipes_and_forgotten_scripts() {
    if !is_given() {
        return;
    }
    let folder = tempfile::tempdir().unwrap();
    let services = Services::up(folder.path(), &[Service::Redis]);
    let redis = ready(&parse(services.addresses.redis().unwrap())).await;
    let relays = [limiter(&redis, 2, 1), limiter(&redis, 2, 2)];
    until("both ask Redis", async || relays.iter().all(|(limiter, _)| limiter.mode() == Mode::Shared)).await;
    let ask = Ask::new(Subject::Token(UserId::new(1), TokenId::new(1)), &limit(Counted::Requests, 50, 86_400), 1);
    let (one, other) = tokio::join!(passing(&relays[0].0, &ask, 100), passing(&relays[1].0, &ask, 100));
    assert_eq!(one + other, 50, "{one} and {other}");
    for _ in 0..3 {
        redis.pool.flushall::<()>(false).await.unwrap();
        redis.pool.script_flush(false).await.unwrap();
        let (one, other) = tokio::join!(passing(&relays[0].0, &ask, 20), passing(&relays[1].0, &ask, 20));
        assert_eq!(one + other, 0, "a wipe is no new limit");
    }
    for (_, upkeep) in &relays {
        upkeep.abort();
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_killed_redis_refuses_nobody_and_is_asked_again_when_it_is_back() {
    if !is_given() {
        return;
    }
    let folder = tempfile::tempdir().unwrap();
    let services = Services::up(folder.path(), &[Service::Redis]);
    let redis = ready(&parse(services.addresses.redis().unwrap())).await;
    let (limiter, upkeep) = limiter(&redis, 2, 1);
    until("it asks Redis", async || limiter.mode() == Mode::Shared).await;
    services.stop(Service::Redis);
    let ask = Ask::new(Subject::User(UserId::new(1)), &limit(Counted::Requests, 1_000_000, 86_400), 1);
    until("it keeps its share alone", async || {
        assert!(limiter.admit(vec![ask.clone()]).await.is_ok());
        limiter.mode() == Mode::Alone
    })
    .await;
    services.start(Service::Redis);
    until("it asks Redis again", async || limiter.mode() == Mode::Shared).await;
    assert_eq!(passing(&limiter, &ask, 1).await, 1);
    upkeep.abort();
}

fn server(folder: &Path, port: u16, more: &[&str]) -> Process {
    let place = folder.join(port.to_string());
    std::fs::create_dir_all(&place).unwrap();
    let port = port.to_string();
    let fixed = ["--port", &port, "--bind", "127.0.0.1", "--save", "", "--appendonly", "no", "--dir", place.to_str().unwrap()];
    Launch::program(Path::new("redis-server")).args(fixed.iter().chain(more)).start()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_cluster_is_asked_slot_by_slot() {
    if !is_given() {
        return;
    }
    let (folder, ports, buses) = (tempfile::tempdir().unwrap(), [ports::free(), ports::free()], [ports::free(), ports::free()]);
    let settings = ["--cluster-enabled", "yes", "--cluster-node-timeout", "2000"];
    let start = |place: usize| {
        let bus = buses[place].to_string();
        server(folder.path(), ports[place], &[&settings[..], &["--cluster-port", &bus]].concat())
    };
    let nodes = [start(0), start(1)];
    for node in &nodes {
        node.wait_for_line("Ready to accept connections", LIMIT).await;
    }
    let places = ports.map(|port| format!("127.0.0.1:{port}"));
    let join = |node: usize, line: &str| {
        let arguments = ["-p".to_owned(), ports[node].to_string()].into_iter().chain(line.split(' ').map(str::to_owned));
        Launch::program(Path::new("redis-cli")).args(arguments).start()
    };
    let command = async |node: usize, line: String| {
        let mut process = join(node, &line);
        assert!(process.wait_exit(LIMIT).await.success());
        process.lines().join("\n")
    };
    command(0, "CLUSTER ADDSLOTSRANGE 0 8191".into()).await;
    command(1, "CLUSTER ADDSLOTSRANGE 8192 16383".into()).await;
    command(0, format!("CLUSTER MEET 127.0.0.1 {} {}", ports[1], buses[1])).await;
    for node in 0..2 {
        until("the cluster is whole", async || command(node, "CLUSTER INFO".into()).await.contains("cluster_state:ok")).await;
    }
    let redis = ready(&parse(&places.join(","))).await;
    let (limiter, upkeep) = limiter(&redis, 1, 1);
    until("it asks the cluster", async || limiter.mode() == Mode::Shared).await;
    for user in 1..20 {
        let subjects = [Subject::User(UserId::new(user)), Subject::Token(UserId::new(user), TokenId::new(user))];
        let model = Subject::Model(ModelName::parse(&format!("m{user}")).unwrap());
        let asks: Vec<Ask> = subjects
            .into_iter()
            .chain([model])
            .map(|subject| Ask::new(subject, &limit(Counted::Requests, 2, 86_400), 1))
            .collect();
        let mut passed = 0;
        for _ in 0..5 {
            passed += usize::from(limiter.admit(asks.clone()).await.is_ok());
        }
        assert_eq!(passed, 2, "user {user}");
    }
    assert_eq!(limiter.mode(), Mode::Shared);
    upkeep.abort();
}

#[tokio::test(flavor = "multi_thread")]
async fn sentinels_say_who_is_the_master_and_who_is_next() {
    if !is_given() {
        return;
    }
    let folder = tempfile::tempdir().unwrap();
    let [first, second, sentinel] = [ports::free(), ports::free(), ports::free()];
    let master = server(folder.path(), first, &[]);
    master.wait_for_line("Ready to accept connections", LIMIT).await;
    let follower = server(folder.path(), second, &["--replicaof", "127.0.0.1", &first.to_string()]);
    follower.wait_for_line("MASTER <-> REPLICA sync: Finished", LIMIT).await;
    let file = folder.path().join("sentinel.conf");
    let text = format!(
        "port {sentinel}\nbind 127.0.0.1\ndir {}\nsentinel monitor limits 127.0.0.1 {first} 1\nsentinel down-after-milliseconds limits 500\n\
         sentinel failover-timeout limits 3000\n",
        folder.path().display()
    );
    std::fs::write(&file, text).unwrap();
    let watching = Launch::program(Path::new("redis-server")).args([file.to_str().unwrap(), "--sentinel"]).start();
    watching.wait_for_line("+slave", LIMIT).await;

    let address = RedisAddress::parse(&format!("127.0.0.1:{sentinel}"), None, Some("limits")).unwrap();
    let redis = ready(&address).await;
    let (limiter, upkeep) = limiter(&redis, 1, 1);
    until("it asks the master", async || limiter.mode() == Mode::Shared).await;
    let ask = Ask::new(Subject::User(UserId::new(1)), &limit(Counted::Requests, 10, 86_400), 1);
    assert_eq!(passing(&limiter, &ask, 6).await, 6);
    drop(master);
    let other = Ask::new(Subject::User(UserId::new(2)), &limit(Counted::Requests, 1_000_000, 60), 1);
    // whether that is noticed or not, nobody is refused for it
    until("there is another master", async || {
        assert!(limiter.admit(vec![other.clone()]).await.is_ok());
        follower.lines().iter().any(|line| line.contains("MASTER MODE enabled"))
    })
    .await;
    until("the next master is asked", async || redis.probe().await.is_ok() && limiter.mode() == Mode::Shared).await;
    assert_eq!(passing(&limiter, &ask, 9).await, 4, "what was used up is known to the next master, and to the relay");
    upkeep.abort();
}

#[tokio::test]
async fn a_note_is_there_for_the_whole_fleet_until_it_is_struck_or_ends() {
    use crate::notes::Notes;
    let Some(address) = Addresses::from_env().redis().map(parse) else { return };
    let (here, there) = (ready(&address).await, ready(&address).await);
    let name = format!("sluice:test:{}", somebody());
    assert_eq!(there.noted(&name).await.unwrap(), None);
    here.note(&name, "first", Duration::from_mins(1)).await.unwrap();
    here.note(&name, "second", Duration::from_mins(1)).await.unwrap();
    assert_eq!(there.noted(&name).await.unwrap().as_deref(), Some("second"));
    let left: i64 = here.pool.ttl(name.as_str()).await.unwrap();
    assert!((1..=60).contains(&left), "{left}");
    there.strike(&name).await.unwrap();
    assert_eq!(here.noted(&name).await.unwrap(), None);
}
