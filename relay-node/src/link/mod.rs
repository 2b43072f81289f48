//! The streams to the control plane: registration, configuration, leases, usage. The only place in the relay that knows the wire.
//!
//! [`Link`] runs for the life of the process. It connects, registers, follows all streams until one breaks, and begins anew after a
//! pause that grows. While it is away the relay serves from what it has: the last configuration, its leases, its spool. Started
//! without a control plane, it puts the last good configuration from the disk in force after 3 s.
//!
//! What must not live here: what a message means for requests (that is `view`, `quota`, `spool`). Start reading at [`Link::run`], then
//! the file of one stream. Rules: protocol.md B1–B4.

mod assembly;
mod config_stream;
mod configured;
pub(crate) mod endpoint;
mod errands;
mod keep;
mod lease_stream;
mod node;
mod observe;
mod pause;
mod report;
mod resolve;
mod restart;
mod session;
mod standing;
mod tick;

use std::convert::Infallible;
use std::sync::Arc;
use std::time::Duration;

use secrecy::SecretString;
use sluice_domain::{Clock, KeyDigest, LeaseId};
use sluice_rpc::auth::JoinProof;
use sluice_rpc::pb;
use sluice_telemetry::build;
use sluice_telemetry::chain::Chain;
use tokio::sync::{mpsc, watch};
use tokio::time::Instant;
use tonic::transport::Channel;
use tracing::{error, info, warn};

use self::config_stream::{ConfigStream, Repair};
use self::configured::Configured;
pub use self::endpoint::{ConnectError, ControlEndpoint};
use self::lease_stream::LeaseStream;
pub use self::node::{Node, NodeError};
use self::report::{Reporter, ReporterParts};
#[doc(hidden)]
pub use self::report::{course, log};
use self::restart::Restart;
use self::session::{Call, SessionError, Wire};
pub use self::standing::Standing;
use self::tick::Ticker;
use crate::chance::Chance;
use crate::errands::Counter;
use crate::forward::Seen;
use crate::health::Load;
use crate::metrics::Metrics;
use crate::quota::{Demand, Quotas};
use crate::spool::Spool;
use crate::view::{LastGood, View};

/// How long a start waits for a control plane before it serves from the disk.
const LAST_GOOD_AFTER: Duration = Duration::from_secs(3);
/// A session that lasted this long after the node was registered was a good one. One that ends sooner counts as a failure, and so does an
/// address that is silent: the relay goes on to another replica.
const GOOD_LIFE: Duration = Duration::from_secs(1);
/// The longest pause after a session that was none: whoever registered this node a moment ago, or another replica, will do so again, but
/// not to a fleet that comes back all at once.
const AFTER_SESSION: Duration = Duration::from_millis(500);
/// Failed attempts at one address before the next is tried.
const TRIES_PER_ADDRESS: usize = 2;
/// The longest a registration may take.
const REGISTER_TIMEOUT: Duration = Duration::from_secs(5);
/// Of repeated failures to connect, only each of so many is told.
const TELL_EACH: usize = 30;

/// What the link is made of.
#[derive(Debug)]
pub struct LinkParts {
    /// Where the control plane is.
    pub endpoint: ControlEndpoint,
    /// This node.
    pub node: Node,
    /// Where it listens, for people.
    pub address: String,
    /// The secret to join with.
    pub join_secret: Option<SecretString>,
    /// What the relay knows.
    pub view: View,
    /// Its money.
    pub quotas: Quotas,
    /// What it owes.
    pub spool: Spool,
    /// The configuration on disk.
    pub last_good: LastGood,
    /// How busy it is.
    pub load: Load,
    /// The clocks.
    pub clock: Clock,
    /// Chance.
    pub chance: Chance,
    /// The figures.
    pub metrics: Metrics,
    /// How long an identity is served that could not have been revoked here.
    pub identity_max_stale: Duration,
    /// Grants to ask for.
    pub demands: mpsc::Receiver<Demand>,
    /// Keys to ask about.
    pub questions: mpsc::Receiver<KeyDigest>,
    /// How channels do, to be told.
    pub seen: Seen,
    /// Where errands are handed over.
    pub errands: Counter,
    /// Whether an earlier life left leases that can be spent from.
    pub has_inherited: bool,
}

/// The connection to the control plane, for the life of the process.
#[derive(Debug)]
pub struct Link {
    parts: LinkParts,
    standing: Standing,
    configured: Arc<Configured>,
    restart: Arc<Restart>,
    /// Lease renewals to ask for.
    renewals: mpsc::Receiver<Vec<LeaseId>>,
    renewals_due: mpsc::Sender<Vec<LeaseId>>,
    /// The history the leases held are of; `None` before the first registration.
    lineage: Option<String>,
    /// When the session that runs, or ran last, was registered.
    registered_at: Option<Instant>,
    ending: watch::Receiver<bool>,
    repair: Repair,
}

/// Tells a [`Link`] that nothing will be written to the spool any more.
#[derive(Debug, Clone)]
pub struct LinkEnd(watch::Sender<bool>);

impl LinkEnd {
    /// Report the rest, then that the epoch is over.
    pub fn begin(&self) {
        self.0.send_replace(true);
    }
}

/// Another process took over this node; this one must end.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("another process runs as this node")]
pub struct Fenced;

impl Link {
    /// A link that is not connected yet, and what ends its epoch.
    #[must_use]
    pub fn new(parts: LinkParts) -> (Self, LinkEnd) {
        let configured = Configured::new(parts.view.clone(), parts.metrics.view.clone());
        let standing = Standing::default();
        if parts.has_inherited {
            standing.inherited();
        }
        let restart = Arc::new(Restart::new(
            parts.last_good.clone(),
            parts.view.clone(),
            Arc::clone(&configured),
            standing.clone(),
            parts.clock.clone(),
            parts.metrics.view.clone(),
        ));
        let (renewals_due, renewals) = mpsc::channel(64);
        let (end, ending) = watch::channel(false);
        let link = Self {
            parts,
            standing,
            configured,
            restart,
            renewals,
            renewals_due,
            lineage: None,
            registered_at: None,
            ending,
            repair: Repair::default(),
        };
        (link, LinkEnd(end))
    }

    /// How this relay stands with its control plane.
    #[must_use]
    pub fn standing(&self) -> Standing {
        self.standing.clone()
    }

    /// Connects and follows, again and again. Drop the future to end it.
    ///
    /// # Errors
    /// When another process took over this node.
    pub async fn run(mut self) -> Result<Infallible, Fenced> {
        self.restart.load().await;
        // until the first session nobody can be asked
        self.parts.quotas.set_connected(false);
        for address in self.parts.endpoint.unprotected() {
            warn!("{address} is reached in clear text: provider keys travel unprotected; use https or a private network");
        }
        let ticker = Ticker {
            quotas: self.parts.quotas.clone(),
            view: self.parts.view.clone(),
            standing: self.standing.clone(),
            configured: Arc::clone(&self.configured),
            last_good: self.parts.last_good.clone(),
            clock: self.parts.clock.clone(),
            metrics: self.parts.metrics.view.clone(),
            identity_max_stale: self.parts.identity_max_stale,
            renewals_due: self.renewals_due.clone(),
        };
        let restart = Arc::clone(&self.restart);
        let fall_back = async move {
            tokio::time::sleep(LAST_GOOD_AFTER).await;
            restart.fall_back().await;
            std::future::pending::<Infallible>().await
        };
        tokio::select! {
            fenced = self.connect_again_and_again() => Err(fenced),
            never = ticker.run() => match never {},
            never = fall_back => match never {},
        }
    }

    async fn connect_again_and_again(&mut self) -> Fenced {
        let (mut address, mut failures) = (0, 0);
        let mut pauses = pause::Pauses::new(self.parts.chance.clone());
        loop {
            let Err(ended) = self.session(address).await;
            if ended.is_fenced() {
                error!("{ended}; this process ends");
                return Fenced;
            }
            let lasted = self.registered_at.take().map(|at| at.elapsed());
            if lasted.is_some() {
                pauses.begin_anew();
            }
            if lasted.is_some_and(|lasted| lasted >= GOOD_LIFE) {
                failures = 0;
            }
            let pause = match lasted {
                Some(lasted) if lasted < GOOD_LIFE => pauses.within(AFTER_SESSION),
                _ => pauses.next(),
            };
            if matches!(ended, SessionError::Replaced) {
                info!("the configuration was replaced, joining anew");
                tokio::time::sleep(pause).await;
                continue;
            }
            tell(&ended, failures);
            failures += 1;
            if failures.is_multiple_of(TRIES_PER_ADDRESS) {
                address += 1;
            }
            tokio::time::sleep(pause).await;
        }
    }

    /// One connection: registers, then follows every stream until one breaks.
    async fn session(&mut self, address: usize) -> Result<Infallible, SessionError> {
        let parts = &mut self.parts;
        let unusable = |_| SessionError::Registration("the join proof cannot be sent");
        let proof = endpoint::proof(parts.join_secret.as_ref(), &parts.node.id).map_err(unusable)?;
        let money = parts.endpoint.connect(address).await?;
        parts.metrics.link.sessions.increment();
        let reply = register(money.clone(), proof.clone(), &parts.node, &parts.address).await?;
        self.registered_at = Some(Instant::now());
        let key = reply.token_digest_key.as_ref().try_into();
        let digest_key: [u8; 32] = key.map_err(|_| SessionError::Registration("the digest key is not 32 bytes"))?;
        let starts_over = enter(parts, &mut self.lineage, &reply.lineage).await;
        self.restart.registered(&reply.lineage, digest_key);
        self.standing.registered(reply.fleet_size);
        let config = parts.endpoint.connect(address).await?;
        let proof = proof.in_session(reply.session);
        let wire = Wire { money, config, proof, node: parts.node.clone(), load: parts.load.clone() };
        let _connected = Connected::begin(parts, &self.standing);
        let (outgoing, receiver) = ConfigStream::channel();
        let (greeted, has_greeted) = watch::channel(false);
        let config_stream = ConfigStream {
            wire: &wire,
            configured: &self.configured,
            view: &parts.view,
            quotas: &parts.quotas,
            spool: &parts.spool,
            standing: &self.standing,
            clock: &parts.clock,
            metrics: &parts.metrics.link,
            heartbeat: Duration::from_millis(u64::try_from(reply.heartbeat_ms).unwrap_or(0).clamp(100, 60_000)),
            outgoing,
            assembly: assembly::Assembly::default(),
            repair: &mut self.repair,
            has_begun: false,
            awaits_pages: None,
        };
        let lease_stream = LeaseStream {
            wire: &wire,
            configured: &self.configured,
            view: &parts.view,
            quotas: &parts.quotas,
            demands: &mut parts.demands,
            renewals: &mut self.renewals,
            greeted,
            errands: &parts.errands.errands,
        };
        let reporter = Reporter::new(ReporterParts {
            wire: &wire,
            spool: &parts.spool,
            quotas: &parts.quotas,
            clock: &parts.clock,
            metrics: &parts.metrics.link,
            ending: self.ending.clone(),
            has_greeted,
            lineage: reply.lineage.into(),
            starts_over,
        });
        tokio::select! {
            ended = config_stream.run(receiver) => ended,
            ended = lease_stream.run() => ended,
            ended = reporter.run() => ended,
            ended = resolve::run(&wire, &parts.view, &mut parts.questions) => ended,
            never = observe::run(&wire, &parts.seen) => match never {},
            never = errands::run(&wire, &mut parts.errands.reports) => match never {},
        }
    }
}

/// The control plane is in this history. In another one than before, leases are void, and what was settled may not be: `true` says that
/// everything has to be reported again (ruling R7). `known` is the history of the leases held, when this life heard of one.
async fn enter(parts: &LinkParts, known: &mut Option<String>, lineage: &str) -> bool {
    let noted = parts.spool.history();
    let starts_over = noted.as_ref().is_some_and(|noted| **noted != *lineage);
    let is_other = known.as_ref().map_or(starts_over, |known| known != lineage);
    if is_other {
        error!(
            "the control plane's database has another history: every lease is void, and all usage that is kept is reported again"
        );
        parts.metrics.link.rollbacks.increment();
        parts.quotas.void_all();
    }
    *known = Some(lineage.to_owned());
    if noted.is_none() {
        report::note_history(&parts.spool, lineage).await;
    }
    starts_over
}

async fn register(channel: Channel, proof: JoinProof, node: &Node, address: &str) -> Result<pb::RegisterReply, SessionError> {
    let request = pb::RegisterRequest {
        node_id: node.id.to_string(),
        epoch: node.epoch.0,
        boot_id: node.boot_id.clone(),
        build: build::version_line(),
        address: address.to_owned(),
    };
    let mut client = pb::nodes_client::NodesClient::with_interceptor(channel, proof);
    let answer = tokio::time::timeout(REGISTER_TIMEOUT, client.register(request)).await.map_err(|_| SessionError::Silent)?;
    Ok(answer.map_err(Call::Register.failed())?.into_inner())
}

/// While it lives the control plane can be asked.
struct Connected {
    view: View,
    quotas: Quotas,
    standing: Standing,
    metrics: Metrics,
}

impl Connected {
    fn begin(parts: &mut LinkParts, standing: &Standing) -> Self {
        let LinkParts { view, quotas, metrics, questions, .. } = parts;
        // whoever asked these was told that nobody answers
        while questions.try_recv().is_ok() {}
        info!("connected to the control plane");
        metrics.link.connected.set(1.0);
        standing.set_connected(true);
        view.set_connected(true);
        quotas.set_connected(true);
        Self { view: view.clone(), quotas: quotas.clone(), standing: standing.clone(), metrics: metrics.clone() }
    }
}

impl Drop for Connected {
    fn drop(&mut self) {
        self.view.set_connected(false);
        self.quotas.set_connected(false);
        self.standing.set_connected(false);
        self.metrics.link.connected.set(0.0);
    }
}

/// A refused join secret is for somebody to act on; anything else passes by itself, and is told once and then now and then.
fn tell(ended: &SessionError, failures: usize) {
    if !failures.is_multiple_of(TELL_EACH) {
        return;
    }
    if ended.is_refused() {
        error!("the control plane refuses this node: {}; check SLUICE_JOIN_SECRET", Chain(ended));
    } else if ended.is_no_grpc() {
        error!(
            "SLUICE_CONTROL_URL: what answers there is no gRPC port of a control plane; that is SLUICE_GRPC_PORT, 3001 unless set"
        );
    } else {
        warn!("the connection to the control plane ended: {}; serving from what is here and trying again", Chain(ended));
    }
}

#[cfg(test)]
pub(crate) mod fake;
#[cfg(test)]
mod tests;
