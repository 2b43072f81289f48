//! A control plane, relays and the provider simulator, as real processes on free ports.

use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::time::Duration;

use reqwest::Method;
use sluice_testkit::client::{Caller, send};
use sluice_testkit::database::{Engine, TestDatabase};
use sluice_testkit::ports;
use sluice_testkit::process::{Launch, Process};
use sluice_testkit::simulator::{Simulator, SimulatorConfig};
use tempfile::TempDir;

use crate::api::Api;

/// How long a process may take until it is ready, on a busy machine that runs twenty of them: who takes longer never will be.
pub const READY_LIMIT: Duration = Duration::from_mins(5);
/// How long a probe may take.
const PROBE_LIMIT: Duration = Duration::from_secs(10);
/// How often a state is looked at while waiting for it.
const LOOK_EVERY: Duration = Duration::from_millis(20);

/// Root's management token in every fleet.
pub const ROOT_TOKEN: &str = "root-management-token-of-a-test-fleet-000000000000";
/// The provider key the simulator accepts.
pub const PROVIDER_KEY: &str = "sk-simulator-accepts-this-key";
pub(crate) const JOIN_SECRET: &str = "join secret of a test fleet";
const CRYPTO_SECRET: &str = "crypto secret of a test fleet";

/// A whole installation. Dropping it ends everything it started.
pub struct Fleet {
    /// Where the providers are.
    pub simulator: Simulator,
    /// Its control plane.
    pub control: Node,
    /// Its relays.
    pub relays: Vec<Node>,
    /// Root at the management API.
    pub api: Api,
    grpc: u16,
    folder: TempDir,
    database: TestDatabase,
}

/// A process that can be killed and started again with the same settings, ports and folder.
pub struct Node {
    binary: &'static str,
    settings: Vec<(&'static str, String)>,
    folder: PathBuf,
    http: u16,
    ops: u16,
    process: Option<Process>,
}

impl Fleet {
    /// Starts a simulator, a control plane on a fresh database, and relays; returns when all are ready.
    pub async fn start(engine: Engine, relays: usize) -> Self {
        let simulator =
            Simulator::start(SimulatorConfig { dated_models: false, ..SimulatorConfig::default() }.with_keys([PROVIDER_KEY]));
        let database = TestDatabase::create(engine).await;
        let folder = tempfile::tempdir().expect("a folder can be made");
        let grpc = ports::free();

        let mut control = Node::control(folder.path(), database.dsn(), grpc);
        control.start();
        control.wait_ready().await;
        let mut nodes: Vec<Node> = (0..relays).map(|place| Node::relay(folder.path(), place, grpc)).collect();
        for node in &mut nodes {
            node.start();
        }
        for node in &nodes {
            node.wait_ready().await;
        }
        let api = Api::new(&control.base_url(), ROOT_TOKEN);
        Self { simulator, control, relays: nodes, api, grpc, folder, database }
    }

    /// The same with a second replica of the control plane. Relays know both, and every other one prefers the second.
    pub async fn start_replicated(engine: Engine, relays: usize) -> (Self, Node) {
        let mut fleet = Self::start(engine, 0).await;
        let grpc = ports::free();
        let mut second = Node::replica(fleet.folder.path().join("second"), fleet.database.dsn(), grpc);
        second.start();
        second.wait_ready().await;
        let [first, other] = [fleet.grpc, grpc].map(|port| format!("http://127.0.0.1:{port}"));
        for place in 0..relays {
            let urls = if place.is_multiple_of(2) { format!("{first},{other}") } else { format!("{other},{first}") };
            let mut relay = Node::relay_of(fleet.folder.path().join(format!("relay-{place}")), place, &urls);
            relay.start();
            fleet.relays.push(relay);
        }
        for relay in &fleet.relays {
            relay.wait_ready().await;
        }
        (fleet, second)
    }

    /// A caller of one relay.
    #[must_use]
    pub fn caller(&self, relay: usize, key: &str) -> Caller {
        Caller::new(self.relays[relay].base_url()).with_key(key)
    }

    /// What a relay inside the test's process is started with: the command line of `sluice-relay`. Its name is not one of [`Fleet::relays`].
    #[must_use]
    pub fn arguments_of_a_relay(&self, place: usize) -> Vec<String> {
        arguments_of_a_relay(self.folder.path(), &format!("http://127.0.0.1:{}", self.grpc), place)
    }

    /// Waits until every relay applied everything the control plane was told so far.
    pub async fn settle_config(&self) {
        settle_config(&self.api, self.relays.len()).await;
    }
}

/// What a relay inside the test's process is started with, to join these control planes.
pub(crate) fn arguments_of_a_relay(root: &Path, control_urls: &str, place: usize) -> Vec<String> {
    let folder = root.join(format!("inside-{place}"));
    let pairs = [
        ("--control-url", control_urls.to_owned()),
        ("--join-secret", JOIN_SECRET.to_owned()),
        ("--node-name", format!("inside-{place}")),
        ("--data-dir", folder.to_string_lossy().into_owned()),
        ("--spool-max-mb", "256".to_owned()),
    ];
    let arguments = pairs.into_iter().flat_map(|(name, value)| [name.to_owned(), value]);
    std::iter::once("sluice-relay".to_owned()).chain(arguments).collect()
}

/// Waits until so many relays, and no others, applied everything that was written through this API.
pub async fn settle_config(api: &Api, relays: usize) {
    let path = format!("/api/relays/applied?seq={}", api.written());
    wait_for("every relay applied the change", async || {
        let applied = api.get(&path).await;
        applied["total"].as_u64() == Some(relays as u64) && applied["is_live_everywhere"] == true
    })
    .await;
}

impl Node {
    pub(crate) fn control(folder: &Path, dsn: &str, grpc: u16) -> Self {
        Self::replica(folder.join("control"), dsn, grpc)
    }

    /// A control plane with a folder of its own, beside others on the same database.
    pub(crate) fn replica(folder: PathBuf, dsn: &str, grpc: u16) -> Self {
        let (http, ops) = (ports::free(), ports::free());
        let settings = vec![
            ("SQL_DSN", dsn.to_owned()),
            ("PORT", http.to_string()),
            ("SLUICE_OPS_PORT", ops.to_string()),
            ("SLUICE_GRPC_PORT", grpc.to_string()),
            ("SLUICE_JOIN_SECRET", JOIN_SECRET.to_owned()),
            ("CRYPTO_SECRET", CRYPTO_SECRET.to_owned()),
            ("INITIAL_ROOT_ACCESS_TOKEN", ROOT_TOKEN.to_owned()),
            ("GLOBAL_API_RATE_LIMIT_ENABLE", "false".to_owned()),
            ("USER_API_RATE_LIMIT_ENABLE", "false".to_owned()),
        ];
        Self::new("sluice-control", settings, folder, http, ops)
    }

    /// Both halves in one process, on SQLite.
    pub(crate) fn single(folder: &Path, dsn: &str) -> Self {
        let (http, ops) = (ports::free(), ports::free());
        let settings = vec![
            ("SQL_DSN", dsn.to_owned()),
            ("PORT", http.to_string()),
            ("SLUICE_OPS_PORT", ops.to_string()),
            ("CRYPTO_SECRET", CRYPTO_SECRET.to_owned()),
            ("INITIAL_ROOT_ACCESS_TOKEN", ROOT_TOKEN.to_owned()),
            ("GLOBAL_API_RATE_LIMIT_ENABLE", "false".to_owned()),
            ("USER_API_RATE_LIMIT_ENABLE", "false".to_owned()),
        ];
        Self::new("sluice", settings, folder.join("sluice"), http, ops)
    }

    pub(crate) fn relay(folder: &Path, place: usize, grpc: u16) -> Self {
        Self::relay_of(folder.join(format!("relay-{place}")), place, &format!("http://127.0.0.1:{grpc}"))
    }

    /// A relay with the addresses of its control planes, separated by commas.
    pub(crate) fn relay_of(folder: PathBuf, place: usize, control_urls: &str) -> Self {
        let (http, ops) = (ports::free(), ports::free());
        let settings = vec![
            ("PORT", http.to_string()),
            ("SLUICE_OPS_PORT", ops.to_string()),
            ("SLUICE_CONTROL_URL", control_urls.to_owned()),
            ("SLUICE_JOIN_SECRET", JOIN_SECRET.to_owned()),
            ("SLUICE_NODE_NAME", format!("relay-{place}")),
        ];
        Self::new("sluice-relay", settings, folder, http, ops)
    }

    fn new(binary: &'static str, mut settings: Vec<(&'static str, String)>, folder: PathBuf, http: u16, ops: u16) -> Self {
        std::fs::create_dir_all(&folder).expect("a folder can be made");
        settings.push(("SLUICE_DATA_DIR", folder.to_string_lossy().into_owned()));
        Self { binary, settings, folder, http, ops, process: None }
    }

    /// Sets one more environment variable, from the next start on. The last one of a name counts.
    pub fn set(&mut self, name: &'static str, value: &str) {
        self.settings.push((name, value.to_owned()));
    }

    /// Another process that calls itself the same, with ports and a folder of its own. It is not started.
    pub(crate) fn namesake(&self, folder: PathBuf) -> Self {
        let (http, ops) = (ports::free(), ports::free());
        let mut twin = Self::new(self.binary, self.settings.clone(), folder, http, ops);
        twin.set("PORT", &http.to_string());
        twin.set("SLUICE_OPS_PORT", &ops.to_string());
        twin
    }

    /// Starts it and returns at once.
    pub fn start(&mut self) {
        let launch = Launch::of(self.binary).in_folder(&self.folder);
        let launch = self.settings.iter().fold(launch, |launch, (name, value)| launch.env(name, value));
        self.process = Some(launch.start());
    }

    /// Kills it (SIGKILL) at whatever it is doing.
    pub fn kill_9(&mut self) {
        if let Some(mut process) = self.process.take() {
            process.kill_9();
        }
    }

    /// Its data folder.
    #[must_use]
    pub fn folder(&self) -> &Path {
        &self.folder
    }

    /// The value of a metric that has no labels, as it counts at this moment. Panics when there is none.
    pub async fn metric(&self, name: &str) -> f64 {
        let value = figure_of(&self.ops_url(), name).await;
        assert!(value.is_some(), "{} has no metric {name}", self.binary);
        value.unwrap_or_default()
    }

    /// Where its probes and metrics are.
    #[must_use]
    pub fn ops_url(&self) -> String {
        format!("http://127.0.0.1:{}", self.ops)
    }

    /// Its process, while it runs.
    pub fn process(&mut self) -> Option<&mut Process> {
        self.process.as_mut()
    }

    /// The address programs and people use.
    #[must_use]
    pub fn base_url(&self) -> String {
        format!("http://127.0.0.1:{}", self.http)
    }

    /// The same, as a socket address.
    pub(crate) fn address(&self) -> SocketAddr {
        SocketAddr::from(([127, 0, 0, 1], self.http))
    }

    /// Whether it says it is ready.
    pub async fn is_ready(&self) -> bool {
        self.probe().is_ready().await
    }

    /// What asks it whether it is ready, also while somebody else starts and stops it.
    #[must_use]
    pub fn probe(&self) -> Probe {
        Probe(Caller::new(self.ops_url()))
    }

    /// Waits until it is ready; panics with its output when it ends or takes too long.
    pub async fn wait_ready(&self) {
        let deadline = tokio::time::Instant::now() + READY_LIMIT;
        while !self.is_ready().await {
            let in_time = tokio::time::Instant::now() < deadline;
            assert!(in_time, "{} is not ready after {READY_LIMIT:?}:\n{}", self.binary, self.output());
            tokio::time::sleep(LOOK_EVERY).await;
        }
    }

    /// What it wrote.
    #[must_use]
    pub fn output(&self) -> String {
        self.process.as_ref().map(|process| process.lines().join("\n")).unwrap_or_default()
    }
}

/// Asks one process whether it is ready.
pub struct Probe(Caller);

impl Probe {
    /// Whether it says so.
    pub async fn is_ready(&self) -> bool {
        let answer = tokio::time::timeout(PROBE_LIMIT, send(self.0.request(Method::GET, "/readyz"))).await;
        answer.is_ok_and(|answer| answer.is_ok_and(|answer| answer.status.is_success()))
    }
}

/// A metric at an ops port: with its labels, exactly as the page writes them, or without any. `None` when nobody answers, or there is none.
pub async fn figure_of(ops_url: &str, name: &str) -> Option<f64> {
    let asked = send(Caller::new(ops_url).request(Method::GET, "/metrics"));
    let page = tokio::time::timeout(PROBE_LIMIT, asked).await.ok()?.ok()?.text();
    let line = page.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(' '))?;
    line.trim().parse().ok()
}

/// Waits until something is true. Panics with `what` after [`READY_LIMIT`].
pub async fn wait_for(what: &str, is_true: impl AsyncFn() -> bool) {
    let deadline = tokio::time::Instant::now() + READY_LIMIT;
    while !is_true().await {
        assert!(tokio::time::Instant::now() < deadline, "waited {READY_LIMIT:?} in vain until {what}");
        tokio::time::sleep(LOOK_EVERY).await;
    }
}
