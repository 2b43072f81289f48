//! The config stream: a snapshot or nothing, the identities used lately, then every change, and a heartbeat each second.

use std::sync::Arc;

use sluice_domain::UnixMillis;
use sluice_rpc::auth::presented_node;
use sluice_rpc::identity::{digest_from_pb, token_to_pb, user_to_pb};
use sluice_rpc::pb;
use sluice_rpc::pb::config_server::Config;
use sluice_rpc::pb::config_up::Message as Up;
use sluice_rpc::resource::{version_from_pb, version_to_pb};
use sluice_snapshot::{StateHash, Version};
use tokio::sync::broadcast::Receiver;
use tokio::sync::broadcast::error::RecvError;
use tokio::sync::mpsc;
use tokio_stream::wrappers::ReceiverStream;
use tonic::{Request, Response, Status, Streaming};
use tracing::{info, warn};

use super::gate::life;
use super::{Answers, HEARTBEAT, QUEUE, Rpc, encode, superseded, unavailable};
use crate::leases::Life;
use crate::nodes::NodeStatus;
use crate::publish::{self, News, State};

/// Identities in one page.
const PAGE: u64 = 1_000;
/// Identities sent ahead at most; the rest is resolved on demand.
const MOST_AHEAD: u64 = 200_000;
/// When not all can be sent ahead: those used within this time.
const LATELY_MILLIS: i64 = 24 * 3_600_000;

type Down = mpsc::Sender<Result<pb::ConfigDown, Status>>;

#[tonic::async_trait]
impl Config for Rpc {
    type SubscribeStream = Answers<pb::ConfigDown>;

    async fn subscribe(&self, request: Request<Streaming<pb::ConfigUp>>) -> Result<Response<Self::SubscribeStream>, Status> {
        let caller = presented_node(&request)?;
        let mut up = request.into_inner();
        let Some(Up::Hello(hello)) = up.message().await?.and_then(|first| first.message) else {
            return Err(Status::invalid_argument("the first message must be a hello"));
        };
        let life = life(&caller, &hello.node_id, hello.epoch)?;
        let (down, answers) = mpsc::channel(QUEUE);
        self.tasks.spawn("config stream", self.clone().serve_config(life, hello, up, down));
        Ok(Response::new(Box::pin(ReceiverStream::new(answers))))
    }

    async fn resolve(&self, request: Request<pb::ResolveRequest>) -> Result<Response<pb::ResolveReply>, Status> {
        let digest = digest_from_pb(&request.into_inner().digest).map_err(|error| Status::invalid_argument(error.to_string()))?;
        let resolved = publish::resolve(&self.app, &digest).await;
        let resolved = resolved.map_err(|error| unavailable("cannot look a key up", &error))?;
        let (token, user) = resolved.identity.map(|(token, user)| (token_to_pb(&token), user_to_pb(&user))).unzip();
        Ok(Response::new(pb::ResolveReply { token, user, as_of_seq: resolved.as_of }))
    }
}

impl Rpc {
    async fn serve_config(self, life: Life, hello: pb::Hello, up: Streaming<pb::ConfigUp>, down: Down) {
        let (state, news) = self.feed.listen();
        let have = version_from_pb(hello.have);
        let is_current = have == *state.version() && StateHash::from_bytes(&hello.state_hash) == Some(state.hash());
        let stream = ConfigStream { rpc: self, life, sent: have, down };
        stream.run(state, is_current, up, news).await;
    }
}

/// One relay's config stream.
struct ConfigStream {
    rpc: Rpc,
    life: Life,
    /// The version the relay has once it has read everything sent so far.
    sent: Version,
    down: Down,
}

/// The relay is gone or too slow; its next stream starts over.
struct Gone;

impl ConfigStream {
    async fn run(mut self, state: Arc<State>, is_current: bool, mut up: Streaming<pb::ConfigUp>, mut news: Receiver<News>) {
        if !is_current && self.send_snapshot(&state).await.is_err() {
            return;
        }
        let ahead = send_identities(self.rpc.clone(), self.down.clone());
        let over = self.rpc.presence.superseded(&self.life);
        let closing = self.rpc.tasks.drain().closing();
        tokio::pin!(ahead, over, closing);
        let mut is_ahead_done = false;
        let mut beat = tokio::time::interval(HEARTBEAT);
        loop {
            let step = tokio::select! {
                () = &mut closing => return,
                () = &mut over => {
                    let _ = self.down.send(Err(superseded())).await;
                    return;
                }
                sent = &mut ahead, if !is_ahead_done => {
                    is_ahead_done = true;
                    sent
                }
                _ = beat.tick() => self.send_heartbeat().await,
                told = news.recv() => self.pass_on(told).await,
                message = up.message() => match message {
                    Ok(Some(message)) => self.take(message).await,
                    Ok(None) | Err(_) => return,
                },
            };
            if step.is_err() {
                return;
            }
        }
    }

    async fn pass_on(&mut self, told: Result<News, RecvError>) -> Result<(), Gone> {
        match told {
            Ok(News::Change(change)) if change.from == self.sent => {
                self.sent = change.to.clone();
                self.send(pb::config_down::Message::Delta(encode::delta(&change))).await
            }
            // it was in the snapshot already
            Ok(News::Change(change)) if change.to.lineage == self.sent.lineage && change.to.seq <= self.sent.seq => Ok(()),
            Ok(News::Urgent(_)) => Ok(()),
            Ok(News::Change(_) | News::Reload) | Err(RecvError::Lagged(_)) => self.send_snapshot(&self.rpc.feed.state()).await,
            Err(RecvError::Closed) => Err(Gone),
        }
    }

    async fn take(&mut self, message: pb::ConfigUp) -> Result<(), Gone> {
        match message.message {
            Some(Up::Status(status)) => self.rpc.presence.said(&self.life, status_from_pb(&status)),
            Some(Up::Ack(ack)) => self.note_rejected(&ack),
            Some(Up::Nack(nack)) => {
                info!(node.id = %self.life.node, reason = nack.reason, "relay {} asks for a snapshot", self.life.node);
                return self.send_snapshot(&self.rpc.feed.state()).await;
            }
            Some(Up::Hello(_)) | None => {}
        }
        Ok(())
    }

    fn note_rejected(&self, ack: &pb::Ack) {
        for rejected in &ack.rejected {
            warn!(
                node.id = %self.life.node, key = rejected.key, reason = rejected.reason,
                "relay {} cannot use {}, its previous form stays in force", self.life.node, rejected.key
            );
        }
    }

    async fn send_snapshot(&mut self, state: &State) -> Result<(), Gone> {
        let chunks = self.rpc.encodings.snapshot(state);
        for chunk in chunks.iter() {
            self.send(pb::config_down::Message::Snapshot(chunk.clone())).await?;
        }
        self.sent = state.version().clone();
        Ok(())
    }

    async fn send_heartbeat(&mut self) -> Result<(), Gone> {
        let state = self.rpc.feed.state();
        self.send(pb::config_down::Message::Heartbeat(pb::Heartbeat {
            head: Some(version_to_pb(state.version())),
            fleet_size: i32::try_from(self.rpc.presence.fleet_size()).unwrap_or(i32::MAX),
            server_time_ms: self.rpc.app.clock.wall().0,
            state_hash: state.hash().to_bytes().to_vec().into(),
        }))
        .await
    }

    async fn send(&self, message: pb::config_down::Message) -> Result<(), Gone> {
        self.down.send(Ok(pb::ConfigDown { message: Some(message) })).await.map_err(|_| Gone)
    }
}

/// Sends the identities used lately ahead: all there are when that is not too many. What changes meanwhile comes as a delta, and revisions
/// tell which is newer.
async fn send_identities(rpc: Rpc, down: Down) -> Result<(), Gone> {
    let all = publish::has_at_most(&rpc.app, MOST_AHEAD).await.unwrap_or(false);
    let since = if all { UnixMillis(0) } else { rpc.app.clock.wall().plus_millis(-LATELY_MILLIS) };
    let (mut after, mut sent) = (0, 0);
    loop {
        let page = match publish::identities(&rpc.app, after, PAGE, since).await {
            Ok(page) => page,
            Err(error) => {
                warn!(%error, "cannot send identities ahead, they are resolved on demand");
                return Ok(());
            }
        };
        sent += page.tokens.len() as u64;
        let next = page.next.filter(|_| sent < MOST_AHEAD);
        let message = pb::config_down::Message::Identities(encode::identities(&page, next.is_none(), all && page.next.is_none()));
        down.send(Ok(pb::ConfigDown { message: Some(message) })).await.map_err(|_| Gone)?;
        match next {
            Some(next) => after = next,
            None => return Ok(()),
        }
    }
}

fn status_from_pb(status: &pb::NodeStatus) -> NodeStatus {
    NodeStatus {
        config_seq: status.config_seq,
        staleness_ms: status.staleness_ms,
        in_flight: status.in_flight,
        leases_held: status.leases_held,
        leased_quota: status.leased_quota,
        spool_bytes: status.spool_bytes,
        requests_total: status.requests_total,
        identities: status.identities,
    }
}
