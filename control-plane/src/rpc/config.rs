//! The config stream: a snapshot or nothing, the identities used lately, then every change, and a heartbeat each second.
//!
//! A snapshot says nothing about identities. So whenever one is sent midway, because changes were missed, the identities follow it from
//! the beginning.

use std::collections::BTreeSet;
use std::convert::Infallible;
use std::pin::{Pin, pin};
use std::sync::Arc;
use std::time::Duration;

use futures_util::FutureExt;
use prost::Message;
use sea_orm::DbErr;
use sluice_domain::UnixMillis;
use sluice_rpc::auth::{presented_node, presented_session};
use sluice_rpc::identity::{digest_from_pb, token_to_pb, user_to_pb};
use sluice_rpc::pb::config_server::Config;
use sluice_rpc::pb::config_up::Message as Up;
use sluice_rpc::resource::{version_from_pb, version_to_pb};
use sluice_rpc::{MAX_MESSAGE_BYTES, pb};
use sluice_snapshot::{StateHash, Version};
use tokio::sync::broadcast::Receiver;
use tokio::sync::broadcast::error::RecvError;
use tokio::sync::{Semaphore, mpsc};
use tokio::time::{Instant, Interval, MissedTickBehavior, timeout_at};
use tonic::{Request, Response, Status, Streaming};
use tracing::{error, info, warn};

use super::gate::life;
use super::outbox::{Gone, Outbox};
use super::presence::Session;
use super::{Answers, HEARTBEAT, Rpc, encode, superseded, unavailable};
use crate::leases::{Life, Proof};
use crate::nodes::{NodeStatus, RejectedResource};
use crate::publish::{self, Follower, News, Push, State, is_behind};

/// Identities in one page.
const PAGE: u64 = 1_000;
/// Identities sent ahead at most; the rest is resolved on demand.
const MOST_AHEAD: u64 = 200_000;
/// When not all can be sent ahead: those used within this time.
const LATELY_MILLIS: i64 = 24 * 3_600_000;
/// How long a relay that knows more than this replica waits for it to catch up.
const CATCH_UP: Duration = Duration::from_secs(2);
/// How long a relay that is sent a snapshot may keep others from being sent theirs.
const LONGEST_PUSH: Duration = Duration::from_secs(5);
/// Between two snapshots a relay asks for: one that it can never use must not be sent without end.
const NACK_PAUSE: Duration = Duration::from_secs(1);
/// Rejected resources of a relay that are remembered as told.
const MOST_REJECTED: usize = 1_000;
/// Rejected resources of a relay that are shown, and characters of their reasons.
const MOST_SHOWN: usize = 20;
const MOST_REASON: usize = 255;
/// Chunks of a snapshot that are under way to one relay.
const MOST_CHUNKS: usize = 4;
/// Between two attempts at a page of identities.
const PAGE_AGAIN: Duration = Duration::from_secs(1);

type Down = Outbox<pb::ConfigDown>;
/// Sends identities; `None` once they are sent.
type Ahead = Option<Pin<Box<dyn Future<Output = Result<(), Gone>> + Send>>>;

#[tonic::async_trait]
impl Config for Rpc {
    type SubscribeStream = Answers<pb::ConfigDown>;

    async fn subscribe(&self, request: Request<Streaming<pb::ConfigUp>>) -> Result<Response<Self::SubscribeStream>, Status> {
        let (caller, presented) = (presented_node(&request)?, presented_session(&request));
        let mut up = request.into_inner();
        let Some(Up::Hello(hello)) = up.message().await?.and_then(|first| first.message) else {
            return Err(Status::invalid_argument("the first message must be a hello"));
        };
        let life = life(&caller, &hello.node_id, hello.epoch)?;
        let session = self.presence.session(&self.app, &life.node, Some(life.epoch), presented).await?;
        let (down, taken) = Outbox::new();
        self.tasks.spawn("config stream", self.clone().serve_config((life, session), hello, up, down));
        Ok(Response::new(Box::pin(taken)))
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
    async fn serve_config(self, (life, session): (Life, Session), hello: pb::Hello, up: Streaming<pb::ConfigUp>, down: Down) {
        let have = version_from_pb(hello.have);
        if let Err(status) = self.catch_up_with(&life, &have).await {
            return down.end(status).await;
        }
        let (state, news) = self.feed.listen();
        let is_current = have == *state.version() && StateHash::from_bytes(&hello.state_hash) == Some(state.hash());
        let (over, closing) = (self.presence.superseded(&session), self.tasks.drain().closing());
        let credits = hello.acks_chunks.then(|| Arc::new(Semaphore::new(MOST_CHUNKS)));
        let (nacks, nacked) = mpsc::channel(1);
        let reader = Reader { rpc: self.clone(), life, credits: credits.clone(), nacks, rejected: Rejected::default() };
        let mut beat = tokio::time::interval(HEARTBEAT);
        beat.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let follower = Follower::new(have);
        let writer = Writer { rpc: self, follower, down: down.clone(), ahead: None, beat, credits, nacked, nacked_at: None };
        tokio::select! {
            () = closing => {}
            () = over => down.end(superseded()).await,
            () = reader.run(up) => {}
            _ = writer.run(state, is_current, news) => {}
        }
    }

    /// Waits until this replica has seen what the relay knows, instead of sending the relay back in time.
    async fn catch_up_with(&self, life: &Life, have: &Version) -> Result<(), Status> {
        if !is_behind(self.feed.state().version(), have)
            || tokio::time::timeout(CATCH_UP, self.feed.reached(have.seq)).await.is_ok()
        {
            return Ok(());
        }
        let head =
            publish::head(&self.app).await.map_err(|error| unavailable("cannot read how far the configuration is", &error))?;
        if !is_behind(&head, have) {
            return Err(Status::unavailable("this replica is behind the relay"));
        }
        error!(
            node.id = %life.node, config.seq = head.seq,
            "relay {} has configuration {} of this history, the database only {}", life.node, have.seq, head.seq
        );
        let proof = Proof::Configuration(have.clone().into());
        self.feed.went_back(&self.app, &proof).await.map_err(|error| unavailable("cannot begin another history", &error))?;
        Err(Status::unavailable("the database went back behind the relay: join again"))
    }
}

/// What a relay says on its config stream. Read beside what is sent: a relay that is slow to read is still heard.
struct Reader {
    rpc: Rpc,
    life: Life,
    /// Chunks that may be sent; `None`: as many as one likes.
    credits: Option<Arc<Semaphore>>,
    /// Asks for a snapshot.
    nacks: mpsc::Sender<()>,
    /// What the relay cannot use.
    rejected: Rejected,
}

/// What a relay cannot use, as it is shown, and what of it was logged.
#[derive(Default)]
struct Rejected {
    count: i64,
    shown: Vec<RejectedResource>,
    logged: BTreeSet<String>,
}

impl Reader {
    async fn run(mut self, mut up: Streaming<pb::ConfigUp>) {
        while let Ok(Some(message)) = up.message().await {
            match message.message {
                Some(Up::Status(status)) => self.rpc.presence.said(&self.life, self.status(&status)),
                Some(Up::Ack(ack)) => self.note_rejected(ack),
                Some(Up::Nack(nack)) => {
                    info!(node.id = %self.life.node, reason = nack.reason, "relay {} asks for a snapshot", self.life.node);
                    // one that waits already serves both
                    let _ = self.nacks.try_send(());
                }
                Some(Up::Chunk(_)) => self.chunk_arrived(),
                Some(Up::Hello(_)) | None => {}
            }
        }
    }

    fn chunk_arrived(&self) {
        if let Some(credits) = self.credits.as_ref().filter(|credits| credits.available_permits() < MOST_CHUNKS) {
            credits.add_permits(1);
        }
    }

    fn status(&self, status: &pb::NodeStatus) -> NodeStatus {
        NodeStatus {
            config_seq: status.config_seq,
            staleness_ms: status.staleness_ms,
            in_flight: status.in_flight,
            leases_held: status.leases_held,
            leased_quota: status.leased_quota,
            spool_bytes: status.spool_bytes,
            requests_total: status.requests_total,
            identities: status.identities,
            denied_seq: 0,
            rejected_count: self.rejected.count,
            rejected: self.rejected.shown.clone(),
        }
    }

    /// A relay names what it cannot use with every change; here it is told once.
    fn note_rejected(&mut self, ack: pb::Ack) {
        let mut rejected = Rejected { count: i64::try_from(ack.rejected.len()).unwrap_or(i64::MAX), ..Rejected::default() };
        for one in ack.rejected.into_iter().take(MOST_REJECTED) {
            let kind = kind_of(one.kind());
            let line = format!("{kind} {}: {}", one.key, one.reason);
            if !self.rejected.logged.contains(&line) {
                warn!(
                    node.id = %self.life.node, kind, key = one.key, reason = one.reason,
                    "relay {} cannot use {kind} {}, its previous form stays in force", self.life.node, one.key
                );
            }
            rejected.logged.insert(line);
            if rejected.shown.len() < MOST_SHOWN {
                let reason = one.reason.chars().take(MOST_REASON).collect();
                rejected.shown.push(RejectedResource { kind: kind.to_owned(), key: one.key, reason });
            }
        }
        self.rejected = rejected;
    }
}

fn kind_of(kind: pb::Kind) -> &'static str {
    match kind {
        pb::Kind::Unspecified => "resource",
        pb::Kind::Channel => "channel",
        pb::Kind::Group => "group",
        pb::Kind::Price => "price",
        pb::Kind::Setting => "setting",
        pb::Kind::Provider => "provider",
    }
}

/// What is sent on one relay's config stream.
struct Writer {
    rpc: Rpc,
    follower: Follower,
    down: Down,
    ahead: Ahead,
    beat: Interval,
    credits: Option<Arc<Semaphore>>,
    /// Says that the relay asks for a snapshot.
    nacked: mpsc::Receiver<()>,
    /// When the relay was last sent a snapshot it asked for.
    nacked_at: Option<Instant>,
}

impl Writer {
    async fn run(mut self, state: Arc<State>, is_current: bool, mut news: Receiver<News>) -> Result<Infallible, Gone> {
        if !is_current {
            self.send_snapshot(&state).await?;
        }
        self.begin_identities();
        loop {
            tokio::select! {
                sent = next_page(&mut self.ahead) => sent?,
                _ = self.beat.tick() => self.send_heartbeat().await?,
                told = news.recv() => self.pass_on(told).await?,
                Some(()) = self.nacked.recv() => self.answer_nack().await?,
            }
        }
    }

    async fn pass_on(&mut self, told: Result<News, RecvError>) -> Result<(), Gone> {
        let news = match &told {
            Ok(news) => Some(news),
            Err(RecvError::Lagged(_)) => None,
            Err(RecvError::Closed) => return Err(Gone),
        };
        match self.follower.told(news, self.rpc.feed.state().version()) {
            Push::Nothing => Ok(()),
            Push::Everything => self.start_over().await,
            Push::Change(change) => {
                let delta = encode::delta(&change);
                if delta.encoded_len() > MAX_MESSAGE_BYTES / 2 {
                    return self.start_over().await;
                }
                self.follower.was_sent(change.to.clone());
                self.send(pb::config_down::Message::Delta(delta)).await
            }
        }
    }

    async fn answer_nack(&mut self) -> Result<(), Gone> {
        if let Some(before) = self.nacked_at {
            self.beating(tokio::time::sleep_until(before + NACK_PAUSE)).await?;
        }
        self.nacked_at = Some(Instant::now());
        self.start_over().await
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

    /// Sends every chunk, a few ahead of what has arrived. Only some relays are sent snapshots at the same time; one that takes its
    /// time with it makes way for the others.
    async fn send_snapshot(&mut self, state: &Arc<State>) -> Result<(), Gone> {
        let pushes = Arc::clone(&self.rpc.pushes);
        let mut push = Some(self.beating(pushes.acquire_owned()).await?);
        let makes_way_at = Instant::now() + LONGEST_PUSH;
        let encodings = self.rpc.encodings.clone();
        let chunks = self.beating(encodings.snapshot(state)).await?;
        for chunk in chunks.iter() {
            if let Some(credits) = self.credits.clone() {
                let mut coming = pin!(credits.acquire_owned());
                let in_time = self.beating(timeout_at(makes_way_at, coming.as_mut())).await?;
                let credit = if let Ok(credit) = in_time {
                    credit
                } else {
                    push = None;
                    self.beating(coming).await?
                };
                // it comes back when the chunk has arrived
                credit.map_err(|_| Gone)?.forget();
            }
            self.send(pb::config_down::Message::Snapshot(chunk.clone())).await?;
        }
        drop(push);
        self.follower.was_sent(state.version().clone());
        Ok(())
    }

    /// Waits for something, with a heartbeat now and then: a relay that hears nothing gives the connection up.
    async fn beating<T>(&mut self, awaited: impl Future<Output = T>) -> Result<T, Gone> {
        tokio::pin!(awaited);
        loop {
            tokio::select! {
                done = &mut awaited => return Ok(done),
                _ = self.beat.tick() => self.send_heartbeat().await?,
            }
        }
    }

    async fn send_heartbeat(&mut self) -> Result<(), Gone> {
        let state = self.rpc.feed.state();
        self.send(pb::config_down::Message::Heartbeat(pb::Heartbeat {
            head: Some(version_to_pb(state.version())),
            fleet_size: i32::try_from(self.rpc.presence.fleet_size()).unwrap_or(i32::MAX),
            server_time_ms: self.rpc.app.clock.wall().0,
            state_hash: state.hash().to_bytes().to_vec().into(),
            head_age_ms: i64::try_from(self.rpc.feed.age(&self.rpc.app.clock).as_millis()).unwrap_or(i64::MAX),
        }))
        .await
    }

    async fn send(&mut self, message: pb::config_down::Message) -> Result<(), Gone> {
        self.down.send(pb::ConfigDown { message: Some(message) }).await
    }
}

/// Goes on sending identities; waits for ever when there are none to send.
async fn next_page(ahead: &mut Ahead) -> Result<(), Gone> {
    let Some(sending) = ahead else { return std::future::pending().await };
    let sent = sending.await;
    *ahead = None;
    sent
}

/// Reads something until the database answers. The relay meanwhile keeps the identities it has: it hears how long ago the database did.
async fn again_and_again<T, F: Future<Output = Result<T, DbErr>>>(read: impl Fn() -> F) -> T {
    loop {
        match read().await {
            Ok(read) => return read,
            Err(error) => warn!(%error, "cannot send identities ahead yet"),
        }
        tokio::time::sleep(PAGE_AGAIN).await;
    }
}

/// Sends the identities used lately ahead: all there are when that is not too many. What changes meanwhile comes as a delta, and revisions
/// tell which is newer.
async fn send_identities(rpc: Rpc, down: Down) -> Result<(), Gone> {
    let all = again_and_again(|| publish::has_at_most(&rpc.app, MOST_AHEAD)).await;
    let since = if all { UnixMillis(0) } else { rpc.app.clock.wall().plus_millis(-LATELY_MILLIS) };
    let (mut after, mut sent, mut is_whole) = (0, 0, true);
    loop {
        let page = again_and_again(|| publish::identities(&rpc.app, after, PAGE, since)).await;
        sent += page.tokens.len() as u64;
        let next = page.next.filter(|_| sent < MOST_AHEAD);
        is_whole &= page.is_whole;
        let is_last = next.is_none();
        let is_complete = is_last && all && is_whole && page.next.is_none();
        let message = pb::config_down::Message::Identities(encode::identities(&page, is_last, is_complete));
        down.send(pb::ConfigDown { message: Some(message) }).await?;
        match next {
            Some(next) => after = next,
            None => return Ok(()),
        }
    }
}
