//! What relays speak to: registration, configuration, leases and usage. Messages in, operations called, messages out.
//!
//! Proto types end here. A relay has one connection with three streams, so that a large snapshot never delays a grant or a revocation.
//! Every stream belongs to one life of one relay and ends when a later life registers.

mod config;
mod encode;
mod errands;
mod gate;
mod grants;
mod lease;
mod node;
mod outbox;
mod presence;
mod usage;

use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;

use futures_util::Stream;
use secrecy::SecretString;
use sluice_rpc::MAX_MESSAGE_BYTES;
use sluice_rpc::pb::config_server::ConfigServer;
use sluice_rpc::pb::leases_server::LeasesServer;
use sluice_rpc::pb::nodes_server::NodesServer;
use sluice_rpc::pb::usage_server::UsageServer;
use sluice_telemetry::tasks::Tasks;
use tokio::sync::Semaphore;
use tonic::Status;
use tonic::codec::CompressionEncoding;
use tonic::service::Routes;
use tonic::service::interceptor::InterceptedService;
use tracing::warn;

use self::encode::Encodings;
use self::errands::Desk;
use self::gate::JoinGate;
use self::grants::Granter;
use self::presence::Presence;
use crate::app::App;
use crate::channels::{SuccessRate, Watch};
use crate::publish::Feed;
use crate::settlement::Settler;

/// How often both sides say they are alive.
pub const HEARTBEAT: Duration = Duration::from_secs(1);
/// Messages waiting for a relay that reads slowly; beyond it the stream waits, and falls back to a snapshot if it falls too far behind.
const QUEUE: usize = 64;

/// Snapshots that are sent at the same time: when all relays come at once, each gets its turn at full speed.
const MOST_PUSHES: usize = 8;

/// An answer that goes on.
type Answers<T> = Pin<Box<dyn Stream<Item = Result<T, Status>> + Send>>;

/// What the services share. Cloning shares it.
#[derive(Clone)]
pub(crate) struct Rpc {
    app: App,
    feed: Feed,
    tasks: Tasks,
    presence: Presence,
    granter: Granter,
    encodings: Encodings,
    pushes: Arc<Semaphore>,
    settler: Settler,
    report_pause_ms: i64,
    watch: Watch,
    desk: Desk,
}

impl Rpc {
    /// Builds the services' shared parts.
    pub(crate) fn new(app: &App, feed: &Feed, settler: Settler, tasks: &Tasks) -> Self {
        Self {
            app: app.clone(),
            feed: feed.clone(),
            tasks: tasks.clone(),
            presence: Presence::default(),
            granter: Granter::new(app, feed, tasks),
            encodings: Encodings::default(),
            pushes: Arc::new(Semaphore::new(MOST_PUSHES)),
            settler,
            report_pause_ms: 0,
            watch: Watch::default(),
            desk: Desk::default(),
        }
    }

    /// Has relays wait so long between two reports of usage; `None`: as they like.
    pub(crate) fn pausing_reports(self, pause: Option<Duration>) -> Self {
        let report_pause_ms = pause.map_or(0, |pause| i64::try_from(pause.as_millis()).unwrap_or(i64::MAX));
        Self { report_pause_ms, ..self }
    }

    /// Has channels switched off whose success rate is too low; `None`: none.
    pub(crate) fn watching(self, success_rate: Option<SuccessRate>) -> Self {
        Self { watch: Watch::new(success_rate), ..self }
    }

    /// Starts what runs beside the services.
    pub(crate) fn start(&self) {
        self.tasks.spawn_essential("presence of relays", self.presence.clone().run(self.app.clone(), self.tasks.drain()));
        self.tasks.spawn_essential("errands of relays", self.desk.clone().run(self.app.clone(), self.tasks.drain()));
        self.tasks.spawn_essential("watch over channels", self.watch.clone().run(self.app.clone(), self.tasks.drain()));
    }

    /// The services, for TCP and in-memory transports alike. Without a join secret the transport must be out of others' reach.
    pub(crate) fn routes(&self, join_secret: Option<SecretString>) -> Routes {
        let gate = JoinGate::new(join_secret);
        let nodes = NodesServer::new(self.clone());
        let config = ConfigServer::new(self.clone())
            .send_compressed(CompressionEncoding::Zstd)
            .max_decoding_message_size(MAX_MESSAGE_BYTES)
            .max_encoding_message_size(MAX_MESSAGE_BYTES);
        let leases = LeasesServer::new(self.clone()).max_decoding_message_size(MAX_MESSAGE_BYTES);
        let usage = UsageServer::new(self.clone()).max_decoding_message_size(MAX_MESSAGE_BYTES);
        Routes::new(InterceptedService::new(nodes, gate.clone()))
            .add_service(InterceptedService::new(config, gate.clone()))
            .add_service(InterceptedService::new(leases, gate.clone()))
            .add_service(InterceptedService::new(usage, gate))
    }
}

/// The database is away: the relay tries again. The cause is logged here, once, and does not travel.
fn unavailable(what: &'static str, error: &sea_orm::DbErr) -> Status {
    warn!(%error, "{what}");
    Status::unavailable(what)
}

/// The stream ends because the same relay has registered anew, here or at another replica.
fn superseded() -> Status {
    Status::failed_precondition("this relay has registered anew")
}
