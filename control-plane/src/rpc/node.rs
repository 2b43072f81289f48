//! Registration, and what relays see of channels.

use sluice_domain::{ChannelId, ChannelKeyId};
use sluice_rpc::auth::presented_node;
use sluice_rpc::pb;
use sluice_rpc::pb::nodes_server::Nodes;
use tonic::{Request, Response, Status};
use tracing::{info, warn};

use super::gate::life;
use super::{HEARTBEAT, Rpc, errands, unavailable};
use crate::channels::{Evidence, Observed};
use crate::nodes::{self, RegisterError, Registration};

/// Characters of what relays say about themselves for people, and of a word for a channel's fault.
const MOST_CHARS: usize = 64;
/// Channels and keys of one observation that are looked at.
const MOST_OBSERVED: usize = 500;
/// Errors of one channel and key that are looked at.
const MOST_EVIDENCE: usize = 8;
/// Characters of an error's message, or of a keyword, that are looked at.
const MOST_MESSAGE_CHARS: usize = 256;

#[tonic::async_trait]
impl Nodes for Rpc {
    async fn register(&self, request: Request<pb::RegisterRequest>) -> Result<Response<pb::RegisterReply>, Status> {
        let caller = presented_node(&request)?;
        let message = request.into_inner();
        let life = life(&caller, &message.node_id, message.epoch)?;
        if message.boot_id.is_empty() || message.boot_id.len() > 36 {
            return Err(Status::invalid_argument("boot_id must have 1 to 36 characters"));
        }
        let registration = Registration {
            life: life.clone(),
            boot_id: message.boot_id,
            build: message.build.chars().take(MOST_CHARS).collect(),
            address: message.address.chars().take(MOST_CHARS).collect(),
        };
        let now = self.app.clock.wall();
        let session = nodes::register(&self.app.db, &registration, now).await.map_err(refusal)?;
        self.presence.registered(&life, session);
        info!(node.id = %life.node, epoch = %life.epoch, build = registration.build, "relay {} joined the fleet", life.node);
        let fleet = nodes::fleet(self.app.db.read(), now).await.map_err(|error| unavailable("cannot count the fleet", &error))?;
        Ok(Response::new(pb::RegisterReply {
            lineage: self.feed.state().version().lineage.to_string(),
            token_digest_key: self.app.keyring.current().digest_key().expose().to_vec().into(),
            server_time_ms: now.0,
            heartbeat_ms: i64::try_from(HEARTBEAT.as_millis()).unwrap_or(i64::MAX),
            fleet_size: i32::try_from(fleet.max(1)).unwrap_or(i32::MAX),
            session,
        }))
    }

    async fn observe(&self, request: Request<pb::Observations>) -> Result<Response<pb::ObserveReply>, Status> {
        let caller = presented_node(&request)?;
        let message = request.into_inner();
        life(&caller, &message.node_id, message.epoch)?;
        for channel in message.channels.into_iter().take(MOST_OBSERVED) {
            self.watch.observe(&self.app, observed(channel)).await;
        }
        Ok(Response::new(pb::ObserveReply {}))
    }

    async fn report(&self, request: Request<pb::ErrandReport>) -> Result<Response<pb::ErrandReply>, Status> {
        let caller = presented_node(&request)?;
        let message = request.into_inner();
        let life = life(&caller, &message.node_id, message.epoch)?;
        let (id, said) = (message.errand_id, message.evidence.clone().map(evidence));
        let outcome = errands::outcome(&message);
        self.desk.told(&life.node, id);
        crate::errands::report(&self.app, &life.node, id, outcome, said).await.map_err(|error| {
            warn!(%error, "cannot write down what came of an errand");
            Status::unavailable("cannot write down what came of an errand")
        })?;
        Ok(Response::new(pb::ErrandReply {}))
    }
}

fn evidence(evidence: pb::Evidence) -> Evidence {
    Evidence {
        status: u16::try_from(evidence.status).unwrap_or(0),
        kind: evidence.r#type,
        code: evidence.code,
        keyword: evidence.keyword.chars().take(MOST_MESSAGE_CHARS).collect::<String>().to_lowercase(),
        message: evidence.message.chars().take(MOST_MESSAGE_CHARS).collect(),
        fault: evidence.fault.chars().take(MOST_CHARS).collect(),
    }
}

fn observed(channel: pb::ChannelObservation) -> Observed {
    Observed {
        channel: ChannelId::new(channel.channel_id),
        key: ChannelKeyId::new(channel.key_id),
        attempts: u64::try_from(channel.attempts).unwrap_or(0),
        successes: u64::try_from(channel.successes).unwrap_or(0),
        evidence: channel.evidence.into_iter().take(MOST_EVIDENCE).map(evidence).collect(),
    }
}

fn refusal(error: RegisterError) -> Status {
    match error {
        RegisterError::Superseded { .. } => Status::failed_precondition(error.to_string()),
        RegisterError::Twin { .. } => Status::already_exists(error.to_string()),
        RegisterError::Database(error) => unavailable("cannot register a relay", &error),
    }
}
