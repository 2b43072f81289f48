//! The config stream: a snapshot or nothing, the identities used lately, then every change, and a heartbeat each second.
//!
//! A snapshot says nothing about identities. So whenever one is sent midway, because changes were missed, the identities follow it from
//! the beginning.

use std::collections::BTreeSet;
use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;

use futures_util::FutureExt;
use prost::Message;
use sluice_domain::UnixMillis;
use sluice_rpc::auth::presented_node;
use sluice_rpc::identity::{digest_from_pb, token_to_pb, user_to_pb};
use sluice_rpc::pb::config_server::Config;
use sluice_rpc::pb::config_up::Message as Up;
use sluice_rpc::resource::{version_from_pb, version_to_pb};
use sluice_rpc::{MAX_MESSAGE_BYTES, pb};
use sluice_snapshot::{StateHash, Version};
use tokio::sync::broadcast::Receiver;
use tokio::sync::broadcast::error::RecvError;
use tokio::sync::mpsc;
use tokio::time::Instant;
use tokio_stream::wrappers::ReceiverStream;
use tonic::{Request, Response, Status, Streaming};
use tracing::{error, info, warn};

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
/// How long a relay that knows more than this replica waits for it to catch up.
const CATCH_UP: Duration = Duration::from_secs(2);
/// Between two snapshots a relay asks for: one that it can never use must not be sent without end.
const NACK_PAUSE: Duration = Duration::from_secs(1);
/// Rejected resources of a relay that are remembered as told.
const MOST_REJECTED: usize = 1_000;

type Down = mpsc::Sender<Result<pb::ConfigDown, Status>>;
/// Sends identities; `None` once they are sent.
type Ahead = Option<Pin<Box<dyn Future<Output = Result<(), Gone>> + Send>>>;

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
        let have = version_from_pb(hello.have);
        if let Err(status) = self.catch_up_with(&life, &have).await {
            let _ = down.send(Err(status)).await;
            return;
        }
        let (state, news) = self.feed.listen();
        let is_current = have == *state.version() && StateHash::from_bytes(&hello.state_hash) == Some(state.hash());
        let stream = ConfigStream { rpc: self, life, sent: have, down, ahead: None, nacked_at: None, rejected: BTreeSet::new() };
        stream.run(state, is_current, up, news).await;
    }

    /// Waits until this replica has seen what the relay knows, instead of sending the relay back in time.
    async fn catch_up_with(&self, life: &Life, have: &Version) -> Result<(), Status> {
        let is_behind = |here: &Version| here.lineage == have.lineage && here.seq < have.seq;
        if !is_behind(self.feed.state().version()) || tokio::time::timeout(CATCH_UP, self.feed.reached(have.seq)).await.is_ok() {
            return Ok(());
        }
        let head =
            publish::head(&self.app).await.map_err(|error| unavailable("cannot read how far the configuration is", &error))?;
        if !is_behind(&head) {
            return Err(Status::unavailable("this replica is behind the relay"));
        }
        error!(
            node.id = %life.node, config.seq = head.seq,
            "relay {} has configuration {}, the database only {}: it was restored without starting a new history", life.node, have.seq, head.seq
        );
        Ok(())
    }
}

/// One relay's config stream.
struct ConfigStream {
    rpc: Rpc,
    life: Life,
    /// The version the relay has once it has read everything sent so far.
    sent: Version,
    down: Down,
    ahead: Ahead,
    /// When the relay was last sent a snapshot it asked for.
    nacked_at: Option<Instant>,
    /// What the relay cannot use and was logged, with the reason.
    rejected: BTreeSet<String>,
}

/// The relay is gone or too slow; its next stream starts over.
struct Gone;

impl ConfigStream {
    async fn run(mut self, state: Arc<State>, is_current: bool, mut up: Streaming<pb::ConfigUp>, mut news: Receiver<News>) {
        if !is_current && self.send_snapshot(&state).await.is_err() {
            return;
        }
        self.begin_identities();
        let over = self.rpc.presence.superseded(&self.life);
        let closing = self.rpc.tasks.drain().closing();
        tokio::pin!(over, closing);
        let mut beat = tokio::time::interval(HEARTBEAT);
        loop {
            let step = tokio::select! {
                () = &mut closing => return,
                () = &mut over => {
                    let _ = self.down.send(Err(superseded())).await;
                    return;
                }
                sent = next_page(&mut self.ahead) => sent,
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
                let delta = encode::delta(&change);
                if delta.encoded_len() > MAX_MESSAGE_BYTES / 2 {
                    return self.start_over().await;
                }
                self.sent = change.to.clone();
                self.send(pb::config_down::Message::Delta(delta)).await
            }
            // it was in the snapshot already
            Ok(News::Change(change)) if change.to.lineage == self.sent.lineage && change.to.seq <= self.sent.seq => Ok(()),
            Ok(News::Urgent(_)) => Ok(()),
            // only news that is not for this stream was missed
            Err(RecvError::Lagged(_)) if *self.rpc.feed.state().version() == self.sent => Ok(()),
            Ok(News::Change(_) | News::Reload) | Err(RecvError::Lagged(_)) => self.start_over().await,
            Err(RecvError::Closed) => Err(Gone),
        }
    }

    /// A snapshot midway, and the identities after it.
    async fn start_over(&mut self) -> Result<(), Gone> {
        let state = self.rpc.feed.state();
        self.ahead = None;
        self.send_snapshot(&state).await?;
        self.begin_identities();
        Ok(())
    }

    fn begin_identities(&mut self) {
        self.ahead = Some(send_identities(self.rpc.clone(), self.down.clone()).boxed());
    }

    async fn take(&mut self, message: pb::ConfigUp) -> Result<(), Gone> {
        match message.message {
            Some(Up::Status(status)) => self.rpc.presence.said(&self.life, status_from_pb(&status)),
            Some(Up::Ack(ack)) => self.note_rejected(ack),
            Some(Up::Nack(nack)) => {
                info!(node.id = %self.life.node, reason = nack.reason, "relay {} asks for a snapshot", self.life.node);
                if let Some(before) = self.nacked_at {
                    tokio::time::sleep_until(before + NACK_PAUSE).await;
                }
                self.nacked_at = Some(Instant::now());
                return self.start_over().await;
            }
            Some(Up::Hello(_)) | None => {}
        }
        Ok(())
    }

    /// A relay names what it cannot use with every change; here it is told once.
    fn note_rejected(&mut self, ack: pb::Ack) {
        let mut rejected = BTreeSet::new();
        for one in ack.rejected.into_iter().take(MOST_REJECTED) {
            let line = format!("{} {}: {}", one.kind().as_str_name(), one.key, one.reason);
            if !self.rejected.contains(&line) {
                warn!(
                    node.id = %self.life.node, key = one.key, reason = one.reason,
                    "relay {} cannot use {}, its previous form stays in force", self.life.node, one.key
                );
            }
            rejected.insert(line);
        }
        self.rejected = rejected;
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

    async fn send(&mut self, message: pb::config_down::Message) -> Result<(), Gone> {
        self.down.send(Ok(pb::ConfigDown { message: Some(message) })).await.map_err(|_| Gone)
    }
}

/// Goes on sending identities; waits for ever when there are none to send.
async fn next_page(ahead: &mut Ahead) -> Result<(), Gone> {
    let Some(sending) = ahead else { return std::future::pending().await };
    let sent = sending.await;
    *ahead = None;
    sent
}

/// Sends the identities used lately ahead: all there are when that is not too many. What changes meanwhile comes as a delta, and revisions
/// tell which is newer.
async fn send_identities(rpc: Rpc, down: Down) -> Result<(), Gone> {
    let all = publish::has_at_most(&rpc.app, MOST_AHEAD).await.unwrap_or(false);
    let since = if all { UnixMillis(0) } else { rpc.app.clock.wall().plus_millis(-LATELY_MILLIS) };
    let (mut after, mut sent, mut is_whole) = (0, 0, true);
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
        is_whole &= page.is_whole;
        let is_last = next.is_none();
        let is_complete = is_last && all && is_whole && page.next.is_none();
        let message = pb::config_down::Message::Identities(encode::identities(&page, is_last, is_complete));
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
