//! A relay put together: what every request has at hand, and the life of the process.

use std::ops::Deref;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use parking_lot::Mutex;
use rand::RngExt;
use secrecy::SecretString;
use sluice_domain::{Clock, Epoch, NodeId, UnixMillis};
use sluice_limits::{Limiter, Upkeep};
use sluice_sealed::{NodeKey, SecretFile, SecretFileError};
use sluice_telemetry::clock::boot_id;
use sluice_telemetry::drain::Drain;
use sluice_telemetry::health::Ops;
use sluice_telemetry::metrics::Registry;
use sluice_telemetry::tasks::Tasks;
use sluice_upstream::{Client, ClientSettings, MediaFetcher, Reach};
use tokio_util::sync::CancellationToken;
use tracing::{info, warn};

use crate::admin;
use crate::admit::keeping;
use crate::budget::ByteBudget;
use crate::chance::Chance;
use crate::config::{RequestSettings, Settings};
use crate::errands::{self, Runner};
use crate::forward::{Engine, Timing};
use crate::health::{self, Load};
use crate::link::{ControlEndpoint, Link, LinkEnd, LinkParts, Node, NodeError, Standing};
use crate::metrics::{Metrics, SpoolMetrics};
use crate::quota::Quotas;
use crate::responses::Bindings;
use crate::spool::{Claim, Spool, SpoolError, SpoolSettings};
use crate::view::{LastGood, View};

/// The smallest segment of the spool.
const MIN_SEGMENT_BYTES: u64 = 1 << 20;
/// The longest the way down waits for the control plane to take the last usage.
const REPORT_TIMEOUT: Duration = Duration::from_secs(20);

/// The same when the control plane is away: it may come back at any moment, and may not.
const LONELY_REPORT_TIMEOUT: Duration = Duration::from_secs(3);

/// What every request has at hand. Clones are the same app.
#[derive(Debug, Clone)]
pub struct RelayApp(Arc<Parts>);

/// The parts of a [`RelayApp`].
#[derive(Debug)]
pub struct Parts {
    /// What this relay knows.
    pub view: View,
    /// The money handed to it.
    pub quotas: Quotas,
    /// What it owes to the ledger.
    pub spool: Spool,
    /// What all requests share on the way to providers.
    pub engine: Engine,
    /// How much may be used in a time.
    pub limits: Limiter,
    /// Where stored responses are.
    pub responses: Bindings,
    /// How busy it is. Every request that is let in holds a guard of it.
    pub load: Load,
    /// The clocks.
    pub clock: Clock,
    /// Chance.
    pub chance: Chance,
    /// The settings.
    pub settings: Settings,
    /// The figures.
    pub metrics: Metrics,
    /// Memory for bodies, lines and buffers.
    pub bytes: ByteBudget,
    /// How far the process is on its way down.
    pub drain: Drain,
    /// Where tasks are started.
    pub tasks: Tasks,
    /// This node.
    pub node: NodeId,
    /// Its life.
    pub epoch: Epoch,
    /// When this process started.
    pub started_at: UnixMillis,
}

impl RelayApp {
    /// Puts the parts together.
    #[must_use]
    pub fn new(parts: Parts) -> Self {
        parts.engine.turns.begin_at(parts.node.as_str());
        Self(Arc::new(parts))
    }
}

impl Deref for RelayApp {
    type Target = Parts;

    fn deref(&self) -> &Parts {
        &self.0
    }
}

/// What a relay takes from its process.
#[derive(Debug, Clone)]
pub struct Surroundings {
    /// The clocks.
    pub clock: Clock,
    /// Chance.
    pub chance: Chance,
    /// Where metrics are declared.
    pub registry: Registry,
    /// Where tasks are started.
    pub tasks: Tasks,
}

/// A relay, put together. Build it, start it, serve its router; on the way down, finish it.
#[derive(Debug)]
pub struct Relay {
    app: RelayApp,
    standing: Standing,
    link: Mutex<Option<Link>>,
    /// What runs beside requests to keep their limits.
    limits: Mutex<Option<Upkeep>>,
    /// What runs errands.
    runner: Mutex<Option<Runner>>,
    link_end: LinkEnd,
    /// Ends the link when nothing is left to report.
    link_stop: CancellationToken,
    registry: Registry,
}

/// A relay that cannot start.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    /// The data folder cannot be used.
    #[error(
        "SLUICE_DATA_DIR: the data folder {} cannot be used by uid {uid}: give it to that user (chown -R {uid}), run as its owner{owner}, or name another \
         one in SLUICE_DATA_DIR", folder.display()
    )]
    DataFolder {
        /// The folder.
        folder: PathBuf,
        /// Who this process is.
        uid: u32,
        /// Who owns it: ` (--user N)`, or nothing when that is not known.
        owner: String,
        /// Why.
        #[source]
        source: Box<dyn std::error::Error + Send + Sync>,
    },
    /// The spool is in use by another process.
    #[error("SLUICE_DATA_DIR: another process uses the data folder")]
    InUse(#[source] SpoolError),
    /// The folder does not say which node this is.
    #[error(transparent)]
    Name(NodeError),
    /// A part cannot be made.
    #[error("cannot prepare {what}")]
    Part {
        /// Which part.
        what: &'static str,
        /// Why.
        #[source]
        source: Box<dyn std::error::Error + Send + Sync>,
    },
}

impl StartError {
    /// Whether a person has to change a setting or a folder: the process should exit with [`sluice_telemetry::process::EXIT_USAGE`].
    #[must_use]
    pub const fn is_setting(&self) -> bool {
        matches!(self, Self::DataFolder { .. } | Self::InUse(_) | Self::Name(_))
    }
}

/// What the data folder gave.
struct Disk {
    node: Node,
    spool: Spool,
    node_key: NodeKey,
}

impl Relay {
    /// Opens the data folder, recovers what an earlier life left in it, and puts the parts together. Nothing runs yet.
    ///
    /// # Errors
    /// When the data folder cannot be used, or a part cannot be made.
    pub async fn build(settings: Settings, endpoint: ControlEndpoint, around: Surroundings) -> Result<Self, StartError> {
        let metrics = Metrics::declare(&around.registry);
        let disk = {
            let (settings, clock, spool_metrics) = (settings.clone(), around.clock.clone(), metrics.spool.clone());
            tokio::task::spawn_blocking(move || open_disk(&settings, clock, spool_metrics))
        };
        let Disk { node, spool, node_key } = disk.await.map_err(part("the data folder"))??;
        let (view, questions) = View::new(around.clock.clone(), metrics.view.clone());
        let (quotas, demands) = Quotas::with_terms(spool.clone(), around.clock.clone(), metrics.quota.clone(), settings.terms);
        let inherited = spool.inherited();
        let usable = quotas.restore(inherited);
        if !inherited.is_empty() {
            info!("an earlier life of this relay left {} leases, {usable} of them to go on with", inherited.len());
        }
        let load = Load::default();
        let engine = engine(&settings, around.clock.clone())?;
        let (counter, runner) = errands::counter();
        let (link, link_end) = Link::new(LinkParts {
            endpoint,
            node: node.clone(),
            address: settings.listen.to_string(),
            join_secret: settings.join_secret.clone(),
            view: view.clone(),
            quotas: quotas.clone(),
            spool: spool.clone(),
            last_good: LastGood::new(settings.data_dir.clone(), node_key),
            load: load.clone(),
            clock: around.clock.clone(),
            chance: around.chance.clone(),
            metrics: metrics.clone(),
            identity_max_stale: settings.requests.identity_max_stale,
            demands,
            questions,
            seen: engine.seen.clone(),
            errands: counter,
            has_inherited: usable > 0,
        });
        let standing = link.standing();
        let life = around.chance.rng().random();
        let redis = settings.redis.as_ref();
        let redis = redis.map(keeping::Fleet::connect).transpose().map_err(part("the way to Redis"))?;
        let notes = redis.as_ref().map(keeping::Fleet::notes);
        let (limiter, upkeep) = keeping::limiter(redis, around.clock.clone(), metrics.limits.clone(), standing.clone(), life);
        let app = RelayApp::new(Parts {
            view,
            quotas,
            spool,
            engine,
            limits: limiter,
            responses: Bindings::new(notes, Bindings::LIFETIME),
            load,
            bytes: ByteBudget::new(settings.requests.byte_budget),
            started_at: around.clock.wall(),
            clock: around.clock,
            chance: around.chance,
            drain: around.tasks.drain(),
            tasks: around.tasks,
            node: node.id,
            epoch: node.epoch,
            settings,
            metrics,
        });
        let link_stop = CancellationToken::new();
        let (link, limits, runner) = (Mutex::new(Some(link)), Mutex::new(Some(upkeep)), Mutex::new(Some(runner)));
        Ok(Self { app, standing, link, limits, runner, link_end, link_stop, registry: around.registry })
    }

    /// Sees whether the data folder can be used, and leaves it as it is: for a process that has something else to open first.
    ///
    /// # Errors
    /// When it cannot be used.
    pub fn try_folder(settings: &Settings) -> Result<(), StartError> {
        let folder = std::path::absolute(&settings.data_dir).map_err(unusable(&settings.data_dir))?;
        let there = folder.ancestors().find(|folder| folder.exists()).unwrap_or(&folder);
        let probe = there.join(format!(".probe-{}", std::process::id()));
        let tried = std::fs::write(&probe, b"").and_then(|()| std::fs::remove_file(&probe));
        tried.map_err(unusable(&settings.data_dir))
    }

    /// What every request has at hand.
    #[must_use]
    pub const fn app(&self) -> &RelayApp {
        &self.app
    }

    /// How it stands with its control plane.
    #[must_use]
    pub const fn standing(&self) -> &Standing {
        &self.standing
    }

    /// Everything it answers on its public port.
    pub fn router(&self) -> Router {
        crate::ingress::router(self.app.clone())
    }

    /// Everything it answers on its operations port.
    pub fn ops_router(&self) -> Router {
        let ops = Ops::new(self.registry.clone(), self.app.drain.clone());
        self.ready_when(ops).router().merge(self.debug_router())
    }

    /// Adds its conditions of being ready: a configuration in force, a spool that can be written.
    #[must_use]
    pub fn ready_when(&self, ops: Ops) -> Ops {
        health::ready_when(ops, &self.app.view, &self.app.spool, &self.standing)
    }

    /// What people look into: `/debug/plan`.
    pub fn debug_router(&self) -> Router {
        admin::debug_router(self.app.clone())
    }

    /// Starts what runs beside requests. Once.
    pub fn start(&self) {
        let Some(link) = self.link.lock().take() else { return };
        if let Some(upkeep) = self.limits.lock().take() {
            self.app.tasks.spawn("limits", upkeep.run(self.link_stop.clone().cancelled_owned()));
        }
        if let Some(runner) = self.runner.lock().take() {
            self.app.tasks.spawn("errands", runner.run(self.app.clone(), self.link_stop.clone().cancelled_owned()));
        }
        let stop = self.link_stop.clone();
        self.app.tasks.spawn_essential("link", async move {
            tokio::select! {
                _ = link.run() => {}
                () = stop.cancelled() => {}
            }
        });
    }

    /// After the last request: gives leases back, has everything reported, and ends the epoch. What cannot be reported in time stays
    /// in the spool for the next life.
    pub async fn finish(&self) {
        self.app.quotas.close_all();
        let patience = if self.standing.is_connected() { REPORT_TIMEOUT } else { LONELY_REPORT_TIMEOUT };
        let in_flight = self.app.load.read().in_flight;
        let report = async {
            self.app.spool.flush().await;
            if in_flight > 0 {
                // their records may still come: the epoch ends in the next life
                warn!("{in_flight} requests are cut off; the next start settles them");
                return std::future::pending().await;
            }
            self.link_end.begin();
            self.app.spool.ended().await;
        };
        if tokio::time::timeout(patience, report).await.is_err() {
            let bytes = self.app.spool.unacked_bytes();
            if bytes > 0 {
                warn!(
                    spool.bytes = bytes,
                    "the control plane did not take the last records: {bytes} bytes stay in the spool for the next start"
                );
            }
        }
        self.link_stop.cancel();
    }
}

fn part<E: std::error::Error + Send + Sync + 'static>(what: &'static str) -> impl FnOnce(E) -> StartError {
    move |error| StartError::Part { what, source: Box::new(error) }
}

fn engine(settings: &Settings, clock: Clock) -> Result<Engine, StartError> {
    let sending = ClientSettings::default();
    let reach = if settings.requests.media_from_private { Reach::Private } else { Reach::Public };
    let media = MediaFetcher::new(reach, &sending.user_agent).map_err(part("the way to media"))?;
    let client = Client::new(sending).map_err(part("the way to providers"))?;
    let catalog = Arc::new(sluice_providers::Catalog::served().map_err(part("the provider catalogue"))?);
    let RequestSettings { answer_timeout, stream_idle, max_line_bytes, .. } = settings.requests;
    let timing = Timing { answer: answer_timeout, stream_idle, ..Timing::default() };
    Engine::new((client, media), catalog, timing, max_line_bytes, clock).map_err(part("the engine"))
}

fn open_disk(settings: &Settings, clock: Clock, metrics: SpoolMetrics) -> Result<Disk, StartError> {
    let folder = &settings.data_dir;
    let spool_folder = folder.join("spool");
    // before anything is written: the folder's files belong to one process
    let claim = match Claim::take(&spool_folder) {
        Err(error @ SpoolError::InUse { .. }) => return Err(StartError::InUse(error)),
        taken => taken.map_err(unusable(folder))?,
    };
    let newest = Spool::newest_epoch(&spool_folder).map_err(unusable(folder))?;
    let node = match Node::begin(folder, settings.node_name.as_ref(), newest, clock.wall()) {
        Err(error @ NodeError::Name { .. }) => return Err(StartError::Name(error)),
        begun => begun.map_err(unusable(folder))?,
    };
    let max_bytes = settings.requests.spool_max_bytes;
    // sixteen segments at most, so that settled ones can go one by one
    let by_bound = (max_bytes / 16).clamp(MIN_SEGMENT_BYTES, SpoolSettings::default().segment_bytes);
    let segment_bytes = settings.requests.spool_segment_bytes.unwrap_or(by_bound);
    let spool_settings = SpoolSettings {
        segment_bytes,
        max_bytes,
        crash_billing: settings.requests.crash_billing,
        boot_id: boot_id().unwrap_or_default(),
        ..SpoolSettings::default()
    };
    let spool = claim.open(node.epoch, spool_settings, clock, metrics).map_err(unusable(folder))?;
    let node_key = match &settings.join_secret {
        Some(secret) => NodeKey::new(secret, &node.id),
        // without a join secret the control plane is on this machine; its files are still not left readable
        None => NodeKey::new(&own_secret(&folder.join("node.key")).map_err(unusable(folder))?, &node.id),
    };
    Ok(Disk { node, spool, node_key })
}

/// The secret that seals the last good configuration where there is no join secret. One that is damaged opens nothing any more; it is
/// made anew, and the configuration comes from the control plane.
fn own_secret(path: &Path) -> Result<SecretString, SecretFileError> {
    match SecretFile::load_or_create(path) {
        Err(SecretFileError::Damaged { .. }) => {
            let create = |source| SecretFileError::Create { path: path.to_owned(), source };
            warn!("{} is damaged and is made anew: what it sealed is fetched from the control plane again", path.display());
            std::fs::remove_file(path).map_err(create)?;
            SecretFile::load_or_create(path).map(|made| made.secret)
        }
        found => found.map(|found| found.secret),
    }
}

fn unusable<E: std::error::Error + Send + Sync + 'static>(folder: &Path) -> impl FnOnce(E) -> StartError {
    let folder = folder.to_owned();
    move |error| {
        let owner = std::fs::metadata(&folder).map(|data| format!(" (--user {})", data.uid())).unwrap_or_default();
        StartError::DataFolder { uid: rustix::process::getuid().as_raw(), folder, owner, source: Box::new(error) }
    }
}

#[cfg(test)]
mod tests;
