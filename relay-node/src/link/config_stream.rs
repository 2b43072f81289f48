//! The config stream: takes in snapshots, deltas, pages of identities and heartbeats, and says what came of them.

use std::convert::Infallible;
use std::sync::Arc;
use std::time::Duration;

use prost::Message;
use sluice_domain::{Clock, TokenId, UserId};
use sluice_rpc::identity::{self, Change};
use sluice_rpc::resource;
use sluice_rpc::{MAX_MESSAGE_BYTES, pb};
use sluice_snapshot::{Delta, Gap, StateHash, Token, User};
use tokio::sync::mpsc;
use tokio_stream::wrappers::ReceiverStream;
use tonic::codec::CompressionEncoding;
use tracing::{error, info, warn};

use super::assembly::{Assembled, Assembly};
use super::configured::{Configured, Now};
use super::session::{Call, SessionError, Wire};
use super::standing::Standing;
use crate::metrics::LinkMetrics;
use crate::quota::Quotas;
use crate::spool::Spool;
use crate::view::{Deny, DenyTarget, Page, Taken, View};

/// Messages that may wait to be sent. More means that nobody reads them.
const MAX_OUTGOING: usize = 64;
/// Heartbeats that may be missed before the connection counts as dead.
const MISSED_HEARTBEATS: u32 = 5;
/// Heartbeats in a row with a head behind this relay that mean more than a replica that lags.
const BEHIND_HEARTBEATS: u32 = 5;
/// Heartbeats in a row with a head ahead of this relay that mean that a change was missed: the hash is only compared at the same version.
const LAGGING_HEARTBEATS: u32 = 10;
/// Heartbeats that pages of identities may take to begin after a snapshot midway. Without them this relay would not know what it missed.
const AWAITED_HEARTBEATS: u32 = 10;
/// How long a wrong hash is given before a snapshot is asked for again, in milliseconds.
const REPAIR_PAUSE_MILLIS: u64 = 10_000;

/// What the stream works on.
pub(super) struct ConfigStream<'a> {
    pub(super) wire: &'a Wire,
    pub(super) configured: &'a Arc<Configured>,
    pub(super) view: &'a View,
    pub(super) quotas: &'a Quotas,
    pub(super) spool: &'a Spool,
    pub(super) standing: &'a Standing,
    pub(super) clock: &'a Clock,
    pub(super) metrics: &'a LinkMetrics,
    pub(super) heartbeat: Duration,
    pub(super) outgoing: mpsc::Sender<pb::ConfigUp>,
    pub(super) assembly: Assembly,
    pub(super) repair: &'a mut Repair,
    /// Whether something came after which a snapshot is not the beginning any more.
    pub(super) has_begun: bool,
    /// Heartbeats since a snapshot midway, while no page of identities has followed it.
    pub(super) awaits_pages: Option<u32>,
}

/// What is known of a configuration that went wrong; it outlives connections.
#[derive(Debug, Default)]
pub(super) struct Repair {
    /// A snapshot was asked for and is not here yet: deltas are of no use until then.
    awaits_snapshot: bool,
    /// When a wrong hash was last told, by the clock since boot.
    told_at: Option<u64>,
    /// Heartbeats in a row whose head was behind this relay.
    behind: u32,
    /// Heartbeats in a row whose head was ahead of this relay, at the version it had then.
    lagging: (u32, i64),
}

impl ConfigStream<'_> {
    /// Subscribes and follows until the stream breaks.
    pub(super) async fn run(mut self, receiver: mpsc::Receiver<pb::ConfigUp>) -> Result<Infallible, SessionError> {
        let (version, hash, _) = self.configured.place();
        let have = (!version.lineage.is_empty()).then(|| resource::version_to_pb(&version));
        let hello = pb::Hello {
            node_id: self.wire.node.id.to_string(),
            epoch: self.wire.node.epoch.0,
            have,
            state_hash: hash.to_bytes().to_vec().into(),
            acks_chunks: true,
        };
        self.send(pb::config_up::Message::Hello(hello))?;
        // what is awaited on this stream only
        (self.repair.awaits_snapshot, self.repair.behind) = (false, 0);
        self.view.begin_pages();
        let mut client = pb::config_client::ConfigClient::with_interceptor(self.wire.config.clone(), self.wire.proof.clone())
            .max_decoding_message_size(MAX_MESSAGE_BYTES)
            .accept_compressed(CompressionEncoding::Zstd);
        let opened = client.subscribe(ReceiverStream::new(receiver)).await;
        let mut incoming = opened.map_err(Call::Config.failed())?.into_inner();
        let silence = self.heartbeat * MISSED_HEARTBEATS;
        loop {
            let next = tokio::time::timeout(silence, incoming.message()).await.map_err(|_| SessionError::Silent)?;
            let message = next.map_err(Call::Config.failed())?.ok_or(SessionError::Closed(Call::Config))?;
            if let Some(message) = message.message {
                self.take(message).await?;
            }
        }
    }

    pub(super) fn channel() -> (mpsc::Sender<pb::ConfigUp>, mpsc::Receiver<pb::ConfigUp>) {
        mpsc::channel(MAX_OUTGOING)
    }

    async fn take(&mut self, message: pb::config_down::Message) -> Result<(), SessionError> {
        use pb::config_down::Message as Down;
        let is_chunk = matches!(message, Down::Snapshot(_));
        let had_begun = self.has_begun;
        self.has_begun |= !is_chunk;
        match message {
            Down::Snapshot(chunk) => self.take_chunk(chunk, had_begun).await,
            Down::Delta(delta) => self.take_delta(delta).await,
            Down::Identities(page) => {
                self.awaits_pages = None;
                self.view.take_page(page_of(page));
                self.configured.touched();
                Ok(())
            }
            Down::Heartbeat(heartbeat) => self.take_heartbeat(heartbeat).await,
        }
    }

    async fn take_chunk(&mut self, chunk: pb::SnapshotChunk, is_midway: bool) -> Result<(), SessionError> {
        self.send(pb::config_up::Message::Chunk(pb::ChunkReceived { chunk: chunk.chunk }))?;
        // what the heartbeats tell of is on its way
        self.repair.lagging = (0, self.repair.lagging.1);
        match self.assembly.push(chunk) {
            Ok(Some(assembled)) => {
                self.has_begun = true;
                self.take_snapshot(assembled, is_midway).await
            }
            Ok(None) => Ok(()),
            Err(reason) => self.nack(reason),
        }
    }

    /// A snapshot midway means that changes were missed, those of identities among them: pages with all of them follow it.
    async fn take_snapshot(&mut self, assembled: Assembled, is_midway: bool) -> Result<(), SessionError> {
        let version = resource::version_from_pb(Some(assembled.version));
        let (before, ..) = self.configured.place();
        let is_same_history = before.lineage.is_empty() || before.lineage == version.lineage;
        let changed = self.configured.change(move |state| {
            let snapshot = pb::Snapshot::decode(&*assembled.bytes)?;
            let (upserts, nameless) = resource::upserts_from_pb(&snapshot.resources);
            state.replace(version, upserts, !nameless.is_empty());
            Ok::<(), prost::DecodeError>(())
        });
        match changed.await? {
            Ok(now) => {
                self.metrics.snapshots.increment();
                self.repair.awaits_snapshot = false;
                info!(config.seq = now.version.seq, "configuration {} is in force, from a snapshot", now.version.seq);
                self.ack(now)?;
                if !is_midway {
                    return Ok(());
                }
                if !is_same_history {
                    // leases of another history are void: register anew
                    return Err(SessionError::Replaced);
                }
                self.view.begin_pages();
                self.awaits_pages = Some(0);
                Ok(())
            }
            Err(_) => self.nack("a snapshot that does not decode"),
        }
    }

    async fn take_delta(&mut self, mut delta: pb::Delta) -> Result<(), SessionError> {
        let (from, to) = (resource::version_from_pb(delta.from.clone()), resource::version_from_pb(delta.to.clone()));
        // identities first: what is taken away must not outlive what it was taken away with. Their revisions say which is newer, so a
        // gap before them does no harm
        let (tokens, users) = (std::mem::take(&mut delta.tokens), std::mem::take(&mut delta.users));
        if !tokens.is_empty() || !users.is_empty() {
            self.take_identities(to.seq, tokens, &users);
        }
        if self.repair.awaits_snapshot {
            return Ok(());
        }
        if from != self.configured.place().0 {
            return self.nack("a delta that starts elsewhere");
        }
        match self.configured.change(move |state| apply(state, &delta)).await? {
            Ok(now) => {
                self.metrics.deltas.increment();
                self.ack(now)
            }
            Err(_) => self.nack("a delta that starts elsewhere"),
        }
    }

    /// An identity that cannot be read is treated as revoked: what a later version means by it cannot be known here.
    fn take_identities(&self, seq: i64, tokens: Vec<pb::Token>, users: &[pb::User]) {
        let (mut good_tokens, mut good_users) = (Vec::new(), Vec::new());
        for token in tokens {
            let (id, rev) = (token.id, token.rev);
            match identity::token_from_pb(token) {
                Ok(change) => good_tokens.push(taken(change, TokenId::get)),
                Err(malformed) => {
                    warn!(token.id = id, "cannot read token {id}: {malformed}; it is not served here");
                    self.view.is_missing_some();
                    self.view.deny(Deny { seq, rev, target: DenyTarget::Token(TokenId::new(id)) });
                }
            }
        }
        for user in users {
            match identity::user_from_pb(user) {
                Ok(change) => good_users.push(taken(change, UserId::get)),
                Err(malformed) => {
                    warn!(user.id = user.id, "cannot read user {}: {malformed}; they are not served here", user.id);
                    self.view.is_missing_some();
                    self.view.deny(Deny { seq, rev: user.rev, target: DenyTarget::User(UserId::new(user.id)) });
                }
            }
        }
        self.view.take_changes(seq, good_tokens, good_users);
    }

    async fn take_heartbeat(&mut self, heartbeat: pb::Heartbeat) -> Result<(), SessionError> {
        let now = self.clock.read();
        self.standing.set_fleet_size(heartbeat.fleet_size);
        let offset = heartbeat.server_time_ms.saturating_sub(now.wall.0);
        self.view.set_offset(offset);
        #[expect(clippy::cast_precision_loss, reason = "an offset of 2^53 ms may be off by one in a figure")]
        self.metrics.clock_offset_seconds.set(offset as f64 / 1000.0);
        let head = resource::version_from_pb(heartbeat.head);
        let (here, hash, is_comparable) = self.configured.place();
        let is_same_history = head.lineage == here.lineage;
        if is_same_history && head.seq <= here.seq {
            self.standing.fresh(now.boot_millis, heartbeat.head_age_ms);
            self.standing.set_serves_last_good(false);
            if !self.view.is_usable() {
                // what was on disk is the newest there is
                self.configured.publish().await?;
            }
        }
        self.repair.behind = if is_same_history && head.seq < here.seq { self.repair.behind.saturating_add(1) } else { 0 };
        // another replica may be behind for a moment after a change of connection
        if self.repair.behind == BEHIND_HEARTBEATS {
            error!(
                config.seq = here.seq,
                "the control plane is at configuration {}, behind this relay's {}: its database may have been restored",
                head.seq,
                here.seq
            );
        }
        self.report_status(now.boot_millis, here.seq)?;
        let (beats, seq) = self.repair.lagging;
        let is_lagging = is_same_history && head.seq > here.seq && !self.repair.awaits_snapshot;
        self.repair.lagging = (if is_lagging && seq == here.seq { beats.saturating_add(1) } else { 0 }, here.seq);
        if self.repair.lagging.0 == LAGGING_HEARTBEATS {
            return self.nack("a head that no change leads to");
        }
        if let Some(count) = &mut self.awaits_pages {
            *count += 1;
            if *count > AWAITED_HEARTBEATS {
                return Err(SessionError::Replaced);
            }
        }
        let is_due = !self.repair.awaits_snapshot
            && self.repair.told_at.is_none_or(|at| now.boot_millis.saturating_sub(at) >= REPAIR_PAUSE_MILLIS);
        if head == here && is_comparable && is_due && StateHash::from_bytes(&heartbeat.state_hash) != Some(hash) {
            self.repair.told_at = Some(now.boot_millis);
            return self.nack("the hash differs at the same version");
        }
        Ok(())
    }

    fn report_status(&self, boot_millis: u64, config_seq: i64) -> Result<(), SessionError> {
        let holdings = self.quotas.holdings();
        let signed = |count: u64| i64::try_from(count).unwrap_or(i64::MAX);
        let load = self.wire.load.read();
        self.send(pb::config_up::Message::Status(pb::NodeStatus {
            config_seq,
            staleness_ms: self.standing.staleness_millis(boot_millis).map_or(-1, signed),
            in_flight: signed(load.in_flight),
            leases_held: signed(holdings.leases),
            leased_quota: holdings.quota.get(),
            spool_bytes: signed(self.spool.unacked_bytes()),
            requests_total: signed(load.requests_total),
            identities: i64::try_from(self.view.identity_count()).unwrap_or(i64::MAX),
        }))
    }

    fn ack(&self, now: Now) -> Result<(), SessionError> {
        let rejected = now.rejected.into_iter().map(|rejected| {
            let key = resource::key_to_pb(&rejected.key);
            pb::Rejected { kind: key.kind, key: key.key, reason: rejected.reason }
        });
        self.send(pb::config_up::Message::Ack(pb::Ack {
            version: Some(resource::version_to_pb(&now.version)),
            state_hash: now.hash.to_bytes().to_vec().into(),
            rejected: rejected.collect(),
        }))
    }

    fn nack(&mut self, reason: &'static str) -> Result<(), SessionError> {
        self.metrics.nacks.increment();
        self.repair.awaits_snapshot = true;
        // the changes that are missing may have brought new keys
        self.view.is_missing_some();
        warn!("cannot use {reason}, asking for a snapshot");
        self.send(pb::config_up::Message::Nack(pb::Nack { reason: reason.to_owned() }))
    }

    fn send(&self, message: pb::config_up::Message) -> Result<(), SessionError> {
        let message = pb::ConfigUp { message: Some(message) };
        self.outgoing.try_send(message).map_err(|_| SessionError::Closed(Call::Config))
    }
}

fn apply(state: &mut crate::view::ConfigState, delta: &pb::Delta) -> Result<(), Gap> {
    let (delta, nameless): (Delta, _) = resource::delta_from_pb(delta);
    state.apply(delta, !nameless.is_empty())
}

/// Pages hold what is; an entry that cannot be read is left out and asked for when its key comes.
fn page_of(page: pb::IdentityPage) -> Page {
    let sent = page.tokens.len() + page.users.len();
    let tokens: Vec<Taken<Token>> = page
        .tokens
        .into_iter()
        .filter_map(|token| identity::token_from_pb(token).ok())
        .map(|change| taken(change, TokenId::get))
        .collect();
    let users: Vec<Taken<User>> =
        page.users.iter().filter_map(|user| identity::user_from_pb(user).ok()).map(|change| taken(change, UserId::get)).collect();
    let is_whole = tokens.len() + users.len() == sent;
    Page { as_of_seq: page.as_of_seq, tokens, users, is_last: page.last, is_complete: page.complete && is_whole }
}

fn taken<T, Id>(change: Change<T, Id>, number: impl Fn(Id) -> i64) -> Taken<T> {
    match change {
        Change::Is(value) => Taken::Is(value),
        Change::Gone { id, rev } => Taken::Gone { id: number(id), rev },
    }
}
