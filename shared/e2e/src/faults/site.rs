//! The installation a row breaks: real programs, with a proxy on every line between them.

use std::collections::{HashMap, HashSet};
use std::fmt::Display;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Duration;

use parking_lot::Mutex;
use serde_json::json;
use sluice_testkit::client::Caller;
use sluice_testkit::database::TestDatabase;
use sluice_testkit::ports;
use sluice_testkit::proxy::{Proxy, Way};
use sluice_testkit::simulator::{Simulator, SimulatorConfig};
use tempfile::TempDir;
use tokio::time::Instant;

use super::audit::{Audit, Ledger, Truth};
use super::forger::Forger;
use super::small_disk::SmallDisk;
use super::store::Books;
use super::traffic::{Doors, Mix, Traffic};
use super::{Stage, Totals};
use crate::api::{Api, MadeToken};
use crate::fleet::{Node, PROVIDER_KEY, ROOT_TOKEN, arguments_of_a_relay, figure_of, settle_config};
use crate::oracle::PerThousand;

/// 0.75 units per token of input and 3 per token of output.
pub(super) const PRICE: PerThousand = PerThousand { input: 750, output: 3_000 };
/// What everything asks for unless a row says otherwise.
pub(super) const MODEL: &str = "gpt-4o-mini";
/// Given to each payer: more than any row can spend.
const CREDIT: i64 = 5_000_000_000;
/// The second key the simulator accepts: of the channel that misbehaves where there are two.
pub(super) const OTHER_KEY: &str = "sk-simulator-accepts-this-key-too";
/// How long everything may take to be settled once the faults are over.
pub(super) const SETTLE_LIMIT: Duration = Duration::from_mins(1);
/// Longer than a report waits for company: what is going to be reported again is reported within it.
const A_REPORT: Duration = Duration::from_secs(1);
/// How often a state is looked at while waiting for it.
const LOOK_EVERY: Duration = Duration::from_millis(50);
/// Log entries of the simulator that are kept: more than any row makes.
const LOG_CAPACITY: usize = 2_000_000;

/// Models beside the known ones.
const ODD_MODELS: usize = 32;

/// A model of its own for each of many channels.
pub(super) fn odd_model(place: usize) -> String {
    format!("model-{place}")
}

/// What an installation is to be like.
#[derive(Debug, Clone)]
pub(super) struct Plan {
    /// Relays. One on SQLite.
    pub(super) relays: usize,
    /// Replicas of the control plane. None on SQLite, where it is in the relay's process.
    pub(super) controls: usize,
    /// How many times faster leases live.
    pub(super) scale: u32,
    /// Settings of every relay.
    pub(super) relay_settings: Vec<(&'static str, String)>,
    /// Settings of every control plane.
    pub(super) control_settings: Vec<(&'static str, String)>,
    /// A setting of one node: a relay, or, beyond them, a control plane.
    pub(super) own_settings: Vec<(usize, &'static str, String)>,
    /// The size of the disk of the first relay, where it has one of its own.
    pub(super) small_disk_mb: Option<u32>,
    /// Whether somebody is in the middle between the first relay and the control planes.
    pub(super) is_forged: bool,
}

impl Plan {
    pub(super) fn new(stage: &Stage) -> Self {
        let (relays, controls) = if stage.is_single() { (1, 0) } else { (3, 2) };
        let (relay_settings, control_settings, own_settings) = (Vec::new(), Vec::new(), Vec::new());
        Self { relays, controls, scale: 1, relay_settings, control_settings, own_settings, small_disk_mb: None, is_forged: false }
    }

    /// Leases live so many times faster.
    pub(super) fn scaled(mut self, scale: u64) -> Self {
        self.scale = u32::try_from(scale.clamp(1, 1_000)).unwrap_or(1_000);
        self
    }

    pub(super) fn relay_setting(mut self, name: &'static str, value: impl Display) -> Self {
        self.relay_settings.push((name, value.to_string()));
        self
    }

    /// A setting of one node: a relay, or, beyond them, a control plane.
    pub(super) fn own_setting(mut self, node: usize, name: &'static str, value: impl Display) -> Self {
        self.own_settings.push((node, name, value.to_string()));
        self
    }

    /// The first relay has a disk of its own, so small.
    pub(super) fn small_disk(mut self, megabytes: u32) -> Self {
        self.small_disk_mb = Some(megabytes);
        self
    }

    /// Somebody is in the middle between the first relay and the control planes.
    pub(super) fn forged(mut self) -> Self {
        self.is_forged = true;
        self
    }

    fn apply(&self, node: &mut Node, place: usize, settings: &[(&'static str, String)]) {
        node.set("SLUICE_TEST_LEASE_TIME_SCALE", &self.scale.to_string());
        for (name, value) in settings {
            node.set(name, value);
        }
        for (_, name, value) in self.own_settings.iter().filter(|(node, ..)| *node == place) {
            node.set(name, value);
        }
    }
}

/// Somebody who pays.
#[derive(Debug, Clone)]
pub(super) struct Payer {
    pub(super) user: i64,
    pub(super) token: MadeToken,
}

/// A running installation. Dropping it ends everything it started.
pub(super) struct Site {
    pub(super) simulator: Simulator,
    pub(super) controls: Vec<Node>,
    pub(super) relays: Vec<Node>,
    /// Where the replicas take relays.
    pub(super) doors: Vec<SocketAddr>,
    /// From each relay to each replica of the control plane.
    pub(super) links: Vec<Vec<Proxy>>,
    /// Who is in the middle between the first relay and each replica.
    pub(super) forgers: Vec<Forger>,
    /// From all relays to Redis.
    pub(super) redis: Option<Proxy>,
    /// Root at each replica, or at the one process there is.
    pub(super) apis: Vec<Api>,
    pub(super) payers: Vec<Payer>,
    pub(super) channel: i64,
    pub(super) books: Books,
    /// What each user was given.
    pub(super) credits: HashMap<i64, i64>,
    pub(super) database: TestDatabase,
    mix: Mix,
    totals: Arc<Mutex<Totals>>,
    patience: u32,
    /// Requests that were sent one by one.
    pokes: AtomicU64,
    /// A relay was stopped for a while.
    was_paused: AtomicBool,
    /// Before the folder it lies in: it has to be taken away first.
    _small_disk: Option<SmallDisk>,
    folder: TempDir,
}

/// When a relay could not answer.
#[derive(Debug, Clone, Copy)]
pub(super) struct Outage {
    pub(super) relay: usize,
    pub(super) from_millis: u64,
    pub(super) to_millis: u64,
    /// From its start to its being ready.
    pub(super) ready_after: Duration,
}

impl Site {
    /// Starts it on a fresh database, with one channel to the simulator and four payers, and waits until every relay knows them.
    pub(super) async fn start(stage: &Stage, plan: &Plan) -> Self {
        Self::start_if_possible(stage, plan).await.unwrap_or_else(|why| panic!("{why}"))
    }

    /// The same, where the machine may not allow what the plan asks for.
    ///
    /// # Errors
    /// Why it does not.
    pub(super) async fn start_if_possible(stage: &Stage, plan: &Plan) -> Result<Self, String> {
        let models = (0..ODD_MODELS).map(odd_model).collect();
        let config = SimulatorConfig { dated_models: false, log_capacity: LOG_CAPACITY, models, ..SimulatorConfig::default() };
        let simulator = Simulator::start(config.with_keys([PROVIDER_KEY, OTHER_KEY]));
        let database = TestDatabase::create_at(stage.engine, &stage.addresses()).await;
        let folder = tempfile::tempdir().expect("a folder can be made");
        let small_disk = match plan.small_disk_mb {
            Some(megabytes) => {
                Some(SmallDisk::mount(&folder.path().join(if plan.controls == 0 { "sluice" } else { "relay-0" }), megabytes)?)
            }
            None => None,
        };
        let books = Books::at(stage.engine, database.dsn());
        let redis = stage.addresses().redis.filter(|_| plan.controls > 0).map(|url| Proxy::start(address_in(&url)));
        let mut site = Self {
            simulator,
            controls: Vec::new(),
            relays: Vec::new(),
            doors: Vec::new(),
            links: Vec::new(),
            forgers: Vec::new(),
            redis,
            apis: Vec::new(),
            payers: Vec::new(),
            channel: 0,
            books,
            credits: HashMap::new(),
            database,
            mix: stage.mix(),
            totals: Arc::clone(&stage.totals),
            patience: stage.options.patience,
            pokes: AtomicU64::new(0),
            was_paused: AtomicBool::new(false),
            _small_disk: small_disk,
            folder,
        };
        if plan.controls == 0 {
            site.start_single(plan).await;
        } else {
            site.start_fleet(plan).await;
        }
        site.furnish().await;
        Ok(site)
    }

    async fn start_single(&mut self, plan: &Plan) {
        let mut node = Node::single(self.folder.path(), self.database.dsn());
        plan.apply(&mut node, 0, &plan.relay_settings);
        plan.apply(&mut node, 0, &plan.control_settings);
        node.start();
        node.wait_ready().await;
        self.apis.push(Api::new(&node.base_url(), ROOT_TOKEN));
        self.relays.push(node);
    }

    async fn start_fleet(&mut self, plan: &Plan) {
        for place in 0..plan.controls {
            let grpc = ports::free();
            let folder = self.folder.path().join(format!("control-{place}"));
            let mut node = Node::replica(folder, self.database.dsn(), grpc);
            plan.apply(&mut node, plan.relays + place, &plan.control_settings);
            node.start();
            // one after the other: the first one makes the schema
            node.wait_ready().await;
            self.apis.push(Api::new(&node.base_url(), ROOT_TOKEN));
            self.controls.push(node);
            self.doors.push(SocketAddr::from(([127, 0, 0, 1], grpc)));
        }
        for place in 0..plan.relays {
            let mut links: Vec<Proxy> = self.doors.iter().map(|door| Proxy::start(*door)).collect();
            // relays spread over the replicas
            let count = links.len();
            links.rotate_left(place % count);
            let mut urls: Vec<String> = links.iter().map(|link| format!("http://{}", link.addr())).collect();
            if plan.is_forged && place == 0 {
                for link in &links {
                    self.forgers.push(Forger::start(link.addr()).await);
                }
                urls = self.forgers.iter().map(|forger| format!("http://{}", forger.addr())).collect();
            }
            let mut node = Node::relay_of(self.folder.path().join(format!("relay-{place}")), place, &urls.join(","));
            plan.apply(&mut node, place, &plan.relay_settings);
            if let Some(redis) = &self.redis {
                node.set("REDIS_CONN_STRING", &format!("redis://{}", redis.addr()));
            }
            node.start();
            self.relays.push(node);
            self.links.push(links);
        }
        for node in &self.relays {
            node.wait_ready().await;
        }
    }

    async fn furnish(&mut self) {
        let api = self.apis[0].clone();
        self.channel = api.channel("simulator", &self.simulator.base_url(), PROVIDER_KEY, &[MODEL]).await;
        api.price(MODEL, "0.75", "4").await;
        for place in 0..4 {
            let user = self.user(&format!("payer-{place}"), CREDIT).await;
            let body = match place {
                // every kind of account has its part in every story
                2 => json!({"user_id": user, "name": "capped", "quota": CREDIT}),
                3 => json!({"user_id": user, "name": "counted", "request_limit": 1_000_000}),
                _ => json!({"user_id": user, "name": "plain"}),
            };
            let token = api.token_with(body).await;
            self.payers.push(Payer { user, token });
        }
        settle_config(&api, self.relays.len()).await;
    }

    /// A user with some money, whose wallet the audit knows.
    pub(super) async fn user(&mut self, name: &str, credit: i64) -> i64 {
        let user = self.apis[0].user(name, credit).await;
        self.credits.insert(user, credit);
        user
    }

    /// Somebody with this much money.
    pub(super) async fn payer(&mut self, name: &str, credit: i64) -> Payer {
        let user = self.user(name, credit).await;
        let token = self.apis[0].token(user, name).await;
        settle_config(&self.apis[0], self.relays.len()).await;
        Payer { user, token }
    }

    /// Doors to every relay with the keys of these payers.
    pub(super) fn doors(&self, payers: &[Payer]) -> Arc<Doors> {
        let urls: Vec<String> = self.relays.iter().map(Node::base_url).collect();
        let keys: Vec<String> = payers.iter().map(|payer| payer.token.key.clone()).collect();
        Doors::new(&urls, &keys)
    }

    /// The load of the matrix, spread over relays and payers.
    pub(super) fn traffic(&self) -> Traffic {
        Traffic::start(self.doors(&self.payers), self.mix.clone())
    }

    /// The load of the matrix, to change.
    pub(super) fn mix(&self) -> Mix {
        self.mix.clone()
    }

    /// Waits until the load flows and leases are there to be spent from.
    pub(super) async fn warm(&self, traffic: &Traffic) {
        let enough = u64::from(self.mix.rate) * 2;
        assert!(self.until(SETTLE_LIMIT, async || traffic.whole() >= enough).await.is_some(), "the load does not flow");
    }

    /// Waits until something is true, with the patience of the run, and returns how long that took; `None` when it took too long.
    pub(super) async fn until(&self, limit: Duration, is_true: impl AsyncFn() -> bool) -> Option<Duration> {
        until(limit * self.patience, is_true).await
    }

    /// Kills a relay (SIGKILL), starts it again on the same disk, waits until it is ready.
    pub(super) async fn kill_relay(&mut self, relay: usize, traffic: &Traffic) -> Outage {
        let from_millis = traffic.elapsed_millis();
        let node = &mut self.relays[relay];
        node.kill_9();
        let begun = Instant::now();
        node.start();
        node.wait_ready().await;
        Outage { relay, from_millis, to_millis: traffic.elapsed_millis(), ready_after: begun.elapsed() }
    }

    /// The command line of a relay inside the driver's process, which finds control planes at these doors.
    pub(super) fn arguments_of_a_relay(&self, place: usize, doors: &[SocketAddr]) -> Vec<String> {
        let urls: Vec<String> = doors.iter().map(|door| format!("http://{door}")).collect();
        arguments_of_a_relay(self.folder.path(), &urls.join(","), place)
    }

    /// What the control planes call the first relay. One process makes a name up for itself.
    pub(super) async fn first_relay(&self) -> String {
        if !self.controls.is_empty() {
            return "relay-0".to_owned();
        }
        let leases = self.books.leases().await.expect("the database answers");
        leases.into_iter().next().expect("it holds leases").node
    }

    /// The folder of a relay, for its disk to be lost.
    pub(super) fn folder_of(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    /// Where the installation keeps its files.
    pub(super) fn root(&self) -> &Path {
        self.folder.path()
    }

    /// Both lines between a relay and every replica.
    pub(super) fn partition(&self, relay: usize, way: Way) {
        self.links[relay].iter().for_each(|link| link.black_hole(way));
    }

    pub(super) fn heal(&self, relay: usize) {
        self.links[relay].iter().for_each(Proxy::heal);
    }

    /// Sends one short request with a key through a relay. Answers its status; `None` when there was no answer.
    pub(super) async fn poke(&self, relay: usize, key: &str) -> Option<u16> {
        let id = format!("poke-{}", self.pokes.fetch_add(1, Ordering::Relaxed));
        let message = json!({"role": "user", "content": "[sim: tokens=2] are you there?"});
        let body = json!({"model": MODEL, "max_tokens": 5, "user": id, "messages": [message]});
        let caller = Caller::new(self.relays[relay].base_url()).with_key(key).with_request_id(id);
        caller.try_post("/v1/chat/completions", &body).await.ok().map(|answer| answer.status.as_u16())
    }

    /// A metric of a relay. `None` while it does not answer.
    pub(super) async fn figure(&self, relay: usize, name: &str) -> Option<f64> {
        figure_of(&self.relays[relay].ops_url(), name).await
    }

    /// Whether all streams between a relay and a replica are up. One that does not answer says nothing else.
    pub(super) async fn is_connected(&self, relay: usize) -> bool {
        self.figure(relay, "sluice_relay_control_connected").await.is_none_or(|value| value > 0.5)
    }

    /// Whether every relay has the same configuration, by the hash over all of it.
    pub(super) async fn is_agreed(&self) -> bool {
        let mut hashes = HashSet::new();
        for relay in 0..self.relays.len() {
            hashes.insert(self.figure(relay, "sluice_relay_config_state_hash").await.map(f64::to_bits));
        }
        hashes.len() == 1 && !hashes.contains(&None)
    }

    /// A metric, summed over the replicas that answer.
    pub(super) async fn control_figure(&self, name: &str) -> f64 {
        let nodes = if self.controls.is_empty() { &self.relays } else { &self.controls };
        let mut sum = 0.0;
        for node in nodes {
            sum += figure_of(&node.ops_url(), name).await.unwrap_or_default();
        }
        sum
    }

    /// Stops a relay, which goes on when its process is resumed.
    pub(super) fn pause_relay(&mut self, relay: usize) {
        self.was_paused.store(true, Ordering::Relaxed);
        self.relays[relay].process().expect("it runs").pause();
    }

    /// Waits until every request the provider heard of is settled, and judges. Also says how long that took; `None`: it was still not
    /// so at the end.
    pub(super) async fn settle(&self) -> (Option<Duration>, Ledger, Audit) {
        let settled = self.until(SETTLE_LIMIT, async || self.is_settled().await).await;
        tokio::time::sleep(A_REPORT).await;
        let ledger = Ledger::read(&self.books).await.expect("the database answers");
        let log = self.simulator.log();
        let was_paused = self.was_paused.load(Ordering::Relaxed);
        let audit = Audit::of(&ledger, &Truth { log: &log, price: PRICE, credits: &self.credits, was_paused });
        self.totals.lock().add(&audit);
        (settled, ledger, audit)
    }

    /// Also that nothing is under way: what comes late could only come twice.
    async fn is_settled(&self) -> bool {
        if self.simulator.stats().in_flight > 0 {
            return false;
        }
        for relay in 0..self.relays.len() {
            let running = self.figure(relay, "sluice_relay_in_flight_requests").await;
            if running.is_some_and(|running| running > 0.0) {
                return false;
            }
        }
        let Ok(rows) = self.books.rows().await else { return false };
        let settled: HashSet<&str> = rows.iter().map(|row| row.request_id.as_str()).collect();
        self.simulator.log().iter().filter_map(|entry| entry.request_id.as_deref()).all(|id| settled.contains(id))
    }
}

/// Waits until something is true and returns how long that took; `None` when it took too long.
pub(super) async fn until(limit: Duration, is_true: impl AsyncFn() -> bool) -> Option<Duration> {
    let begun = Instant::now();
    while !is_true().await {
        if begun.elapsed() >= limit {
            return None;
        }
        tokio::time::sleep(LOOK_EVERY).await;
    }
    Some(begun.elapsed())
}

/// The address in a URL like `scheme://user@127.0.0.1:5432/name`.
pub(super) fn address_in(url: &str) -> SocketAddr {
    let rest = url.split_once("://").map_or(url, |(_, rest)| rest);
    let rest = rest.rsplit_once('@').map_or(rest, |(_, rest)| rest);
    let host = rest.split('/').next().unwrap_or_default();
    host.parse().unwrap_or_else(|_| panic!("{url} names no address"))
}
