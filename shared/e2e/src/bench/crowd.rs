//! How configuration reaches a crowd of relays, and how they come back when their control plane does.
//!
//! A member of the crowd is a relay as far as configuration goes: it has a name, a life, a connection of its own, registers, subscribes,
//! applies what comes with the relay's own [`ConfigState`], and acknowledges. It reconnects as relays do. Everything else a relay does is
//! left out, or hundreds of them would not fit into one process.

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context, Result, bail};
use parking_lot::Mutex;
use prost::Message;
use rand::rngs::SmallRng;
use rand::{RngExt, SeedableRng};
use secrecy::SecretString;
use serde::Serialize;
use serde_json::json;
use sluice_domain::NodeId;
use sluice_relay_node::view::ConfigState;
use sluice_rpc::auth::JoinProof;
use sluice_rpc::pb::config_client::ConfigClient;
use sluice_rpc::pb::config_down::Message as Down;
use sluice_rpc::pb::config_up::Message as Up;
use sluice_rpc::pb::nodes_client::NodesClient;
use sluice_rpc::{MAX_MESSAGE_BYTES, pb, resource};
use sluice_testkit::database::Engine;
use sluice_testkit::services::Addresses;
use tokio::sync::mpsc;
use tokio::task::JoinSet;
use tokio::time::{Instant, sleep, timeout};
use tokio_stream::wrappers::ReceiverStream;
use tonic::codec::CompressionEncoding;
use tonic::transport::{Channel, Endpoint};

use super::crew::Crew;
use super::install::Install;
use super::question::{FAST_MODEL, Question};
use super::stage::Provider;
use crate::fleet::JOIN_SECRET;

/// How long a member may take to hear of something.
const HEARD_LIMIT: Duration = Duration::from_secs(30);
/// How often the crowd is looked at.
const LOOK_EVERY: Duration = Duration::from_millis(2);
/// Members that connect at the same time in the beginning.
const CONNECTING: usize = 50;
/// Messages of a member that may wait to be sent.
const OUTGOING: usize = 16;
/// The wait before the first new attempt to connect, and the longest; each is drawn between nothing and it, as relays do.
const FIRST_WAIT: Duration = Duration::from_millis(100);
const LONGEST_WAIT: Duration = Duration::from_secs(10);
/// A control plane that says nothing for this long is given up: heartbeats come every second.
const SILENCE: Duration = Duration::from_secs(5);
/// Requests under way while the control plane restarts.
const CALLERS: usize = 8;
/// How long requests go on after the control plane was killed.
const RESTART_LOAD: Duration = Duration::from_secs(12);

/// How soon changes were applied by every relay of a crowd: from sending the change to the API until a relay acknowledged it, one time for
/// each relay and change.
#[derive(Debug, Clone, Serialize)]
pub(crate) struct Push {
    pub(crate) relays: usize,
    pub(crate) changes: usize,
    pub(crate) p50_ms: f64,
    pub(crate) p99_ms: f64,
    pub(crate) max_ms: f64,
    /// Bytes of the message that told a relay of one changed token.
    pub(crate) token_bytes: u64,
}

/// How a crowd came back after its control plane was killed and started again.
#[derive(Debug, Clone, Serialize)]
pub(crate) struct Comeback {
    pub(crate) relays: usize,
    /// From the kill until the last relay had heard that it knows the newest configuration.
    pub(crate) seconds: f64,
    /// Requests served by a relay meanwhile.
    pub(crate) served: u64,
    /// And those that were not.
    pub(crate) failed: u64,
}

/// What a member has seen.
#[derive(Debug, Default)]
struct Seen {
    /// The newest sequence it acknowledged, and when.
    applied: Option<(i64, Instant)>,
    /// Bytes of the last delta.
    delta_bytes: u64,
    /// When a heartbeat last said that nothing is newer than what it has.
    current_at: Option<Instant>,
    /// Why the last connection ended.
    ended: Option<String>,
}

type Member = Arc<Mutex<Seen>>;

/// The crowd. Dropping it ends it.
struct Crowd {
    members: Vec<Member>,
    _tasks: JoinSet<()>,
}

/// Measures how soon changes reach so many relays.
pub(crate) async fn push(
    database: (Engine, &Addresses),
    folder: &Path,
    provider: &Provider,
    relays: usize,
    changes: usize,
) -> Result<Push> {
    let install = Install::start(database, &folder.join(format!("crowd-{relays}")), provider.address, 1, 0).await?;
    let crowd = Crowd::gather(&install, relays).await?;
    let path = format!("/api/channels/{}", install.channel);
    let mut millis = Vec::with_capacity(relays * changes);
    for number in 0..changes {
        let since = Instant::now();
        install.api.patch(&path, &json!({"weight": 1 + number % 2})).await;
        millis.extend(crowd.applied(install.api.written(), since).await?);
    }
    let token = install.api.token(install.user, "changed").await;
    crowd.applied(install.api.written(), Instant::now()).await?;
    install.api.patch(&format!("/api/tokens/{}", token.id), &json!({"models": [FAST_MODEL]})).await;
    crowd.applied(install.api.written(), Instant::now()).await?;
    let token_bytes = crowd.members.iter().map(|member| member.lock().delta_bytes).max().unwrap_or(0);

    millis.sort_by(f64::total_cmp);
    let at = |share: usize| millis.get(millis.len() * share / 100).copied().unwrap_or(f64::NAN);
    let (p50_ms, p99_ms, max_ms) = (at(50), at(99), millis.last().copied().unwrap_or(f64::NAN));
    Ok(Push { relays, changes, p50_ms, p99_ms, max_ms, token_bytes })
}

/// Kills the control plane of so many relays, starts it again, and waits until all of them know that they are up to date. One relay more
/// serves requests all the while.
pub(crate) async fn comeback(
    database: (Engine, &Addresses),
    folder: &Path,
    provider: &Provider,
    relays: usize,
) -> Result<Comeback> {
    let mut install = Install::start(database, &folder.join("comeback"), provider.address, 1, 0).await?;
    let target = install.target()?;
    let question = Question::plain().addressed(target.address, &target.key)?;
    let mut crew = Crew::connect(target.address, question, CALLERS).await?;
    crew.warm_up().await?;
    let crowd = Crowd::gather(&install, relays).await?;
    crew.take_tally();
    let restarted = async {
        sleep(Duration::from_secs(1)).await;
        let killed = Instant::now();
        install.control.kill_9();
        install.control.start();
        install.control.wait_ready().await;
        crowd.current_since(killed).await.map(|last| last - killed)
    };
    let (load, came_back) = tokio::join!(crew.run_closed(RESTART_LOAD), restarted);
    load?;
    let tally = crew.take_tally();
    Ok(Comeback { relays, seconds: came_back?.as_secs_f64(), served: tally.good, failed: tally.failed() })
}

impl Crowd {
    /// Starts so many members and waits until each is up to date.
    async fn gather(install: &Install, count: usize) -> Result<Self> {
        let url = format!("http://127.0.0.1:{}", install.grpc);
        let (mut members, mut tasks) = (Vec::with_capacity(count), JoinSet::new());
        let since = Instant::now();
        for place in 0..count {
            let member = Member::default();
            tasks.spawn(live(url.clone(), place, Arc::clone(&member)));
            members.push(member);
            if place % CONNECTING == CONNECTING - 1 {
                Self { members: members.clone(), _tasks: JoinSet::new() }.current_since(since).await?;
            }
        }
        let crowd = Self { members, _tasks: tasks };
        crowd.current_since(since).await?;
        Ok(crowd)
    }

    /// Waits until every member acknowledged this sequence; milliseconds from `since` for each.
    async fn applied(&self, seq: i64, since: Instant) -> Result<Vec<f64>> {
        let has = |member: &Member| member.lock().applied.filter(|(applied, _)| *applied >= seq).map(|(_, at)| at);
        let times = self.each(has, since).await.context("not every relay applied a change")?;
        Ok(times.into_iter().map(|at| at.saturating_duration_since(since).as_secs_f64() * 1e3).collect())
    }

    /// Waits until every member heard after `since` that it is up to date; when the last one did.
    async fn current_since(&self, since: Instant) -> Result<Instant> {
        let is_current = |member: &Member| member.lock().current_at.filter(|at| *at > since);
        let times = self.each(is_current, since).await.context("not every relay came to know the newest configuration")?;
        times.into_iter().max().context("a crowd has members")
    }

    async fn each(&self, done: impl Fn(&Member) -> Option<Instant>, since: Instant) -> Result<Vec<Instant>> {
        loop {
            if let Some(times) = self.members.iter().map(&done).collect() {
                return Ok(times);
            }
            if since.elapsed() > HEARD_LIMIT {
                let late: Vec<_> = self.members.iter().filter(|member| done(member).is_none()).collect();
                let why = late.first().and_then(|member| member.lock().ended.clone()).unwrap_or_default();
                bail!("{} of {} did not after {HEARD_LIMIT:?}: {why}", late.len(), self.members.len());
            }
            sleep(LOOK_EVERY).await;
        }
    }
}

/// The life of a member: connects, follows, and connects again.
async fn live(url: String, place: usize, member: Member) {
    let (mut state, mut wait) = (ConfigState::default(), FIRST_WAIT);
    let mut rng = SmallRng::seed_from_u64(place as u64);
    loop {
        let before = member.lock().current_at;
        let ended = follow(&url, place, &mut state, &member).await.err().map(|error| format!("{error:#}"));
        member.lock().ended = ended;
        if member.lock().current_at > before {
            wait = FIRST_WAIT;
        }
        let share: f64 = rng.random();
        sleep(wait.mul_f64(share)).await;
        wait = (wait * 2).min(LONGEST_WAIT);
    }
}

async fn follow(url: &str, place: usize, state: &mut ConfigState, member: &Member) -> Result<()> {
    let node = NodeId::parse(&format!("crowd-{place}"))?;
    let proof = JoinProof::new(&node, Some(&sluice_sealed::join_proof(&SecretString::from(JOIN_SECRET), &node)))?;
    let channel = Endpoint::from_shared(url.to_owned())?.tcp_nodelay(true).connect().await?;
    register(&channel, &proof, &node).await?;
    let (outgoing, receiver) = mpsc::channel(OUTGOING);
    let mut client = ConfigClient::with_interceptor(channel, proof)
        .max_decoding_message_size(MAX_MESSAGE_BYTES)
        .accept_compressed(CompressionEncoding::Zstd);
    let have = (!state.is_empty()).then(|| resource::version_to_pb(state.version()));
    let hash = state.hash().to_bytes().to_vec().into();
    let hello = pb::Hello { node_id: node.to_string(), epoch: EPOCH, have, state_hash: hash, acks_chunks: false };
    outgoing.try_send(up(Up::Hello(hello)))?;
    let mut incoming = client.subscribe(ReceiverStream::new(receiver)).await?.into_inner();
    let mut chunks = Vec::new();
    loop {
        let message = timeout(SILENCE, incoming.message()).await.context("silence")??.context("the stream ended")?;
        let bytes = message.encoded_len() as u64;
        match message.message {
            Some(Down::Snapshot(chunk)) => {
                chunks.extend_from_slice(&chunk.bytes);
                if chunk.chunk + 1 < chunk.chunks {
                    continue;
                }
                let snapshot = pb::Snapshot::decode(&*std::mem::take(&mut chunks))?;
                let (upserts, nameless) = resource::upserts_from_pb(&snapshot.resources);
                state.replace(resource::version_from_pb(chunk.version), upserts, !nameless.is_empty());
                outgoing.try_send(acknowledged(state))?;
            }
            Some(Down::Delta(delta)) => {
                let (delta, nameless) = resource::delta_from_pb(&delta);
                state.apply(delta, !nameless.is_empty()).ok().context("a delta that starts elsewhere")?;
                outgoing.try_send(acknowledged(state))?;
                let mut seen = member.lock();
                seen.applied = Some((state.version().seq, Instant::now()));
                seen.delta_bytes = bytes;
            }
            Some(Down::Heartbeat(heartbeat)) => {
                if resource::version_from_pb(heartbeat.head) == *state.version() {
                    member.lock().current_at = Some(Instant::now());
                }
            }
            Some(Down::Identities(_)) | None => {}
        }
    }
}

/// The one life of each member: the process that registers again is the same.
const EPOCH: i64 = 1;

async fn register(channel: &Channel, proof: &JoinProof, node: &NodeId) -> Result<()> {
    let request = pb::RegisterRequest {
        node_id: node.to_string(),
        epoch: EPOCH,
        boot_id: node.to_string(),
        build: "crowd".to_owned(),
        address: String::new(),
    };
    NodesClient::with_interceptor(channel.clone(), proof.clone()).register(request).await?;
    Ok(())
}

fn acknowledged(state: &ConfigState) -> pb::ConfigUp {
    let version = Some(resource::version_to_pb(state.version()));
    up(Up::Ack(pb::Ack { version, state_hash: state.hash().to_bytes().to_vec().into(), rejected: Vec::new() }))
}

fn up(message: Up) -> pb::ConfigUp {
    pb::ConfigUp { message: Some(message) }
}
