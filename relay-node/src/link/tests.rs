mod errands;
mod usage;

use prost::Message;
use sluice_domain::{
    AccountId, ChannelId, Epoch, GroupName, KeyDigest, NodeId, Now, Quota, Role, Status as Standing_, TokenId, UnixMillis, UserId,
};
use sluice_rpc::{identity, resource};
use sluice_sealed::NodeKey;
use sluice_snapshot::{Channel as ChannelResource, Group, Resource, StateHash, Token, User};
use sluice_telemetry::clock as machine;
use sluice_telemetry::metrics::Registry;
use sluice_telemetry::tasks::Tasks;
use tokio_util::sync::CancellationToken;
use tonic::Status;

use super::fake::{DEADLINE, Fake};
use super::*;
use crate::errands::{Deed, Errand, Found, Report};
use crate::forward::{Evidence, Fault, Seen, Tried, Trouble};
use crate::quota::{Chain, Due, ReserveError};
use crate::spool::{SpoolError, SpoolSettings, sample_record};
use crate::view::IdentifyError;

const WALLET: AccountId = AccountId::new(70);
const USER: UserId = UserId::new(7);
const WALLET_ONLY: Chain = Chain { wallet: Some(WALLET), cap: None, uses: None };

/// A relay's fleet half, and the control plane it talks to.
struct World {
    fake: Fake,
    view: View,
    quotas: Quotas,
    spool: Spool,
    seen: Seen,
    errands: mpsc::Receiver<Errand>,
    reports: mpsc::Sender<Report>,
    standing: Standing,
    end: LinkEnd,
    stop: CancellationToken,
    tasks: Tasks,
    registry: Registry,
    fenced: tokio::task::JoinHandle<Option<Fenced>>,
}

fn clock() -> Clock {
    Clock::new(|| Now { wall: UnixMillis(machine::wall_millis()), boot_millis: machine::boot_millis() })
}

/// Opens a spool once the life before has let go of it: a thread of it may still read.
fn open_spool(folder: &std::path::Path, epoch: Epoch, settings: SpoolSettings, metrics: &Metrics) -> Spool {
    let deadline = std::time::Instant::now() + DEADLINE;
    loop {
        match Spool::open(folder, epoch, settings, clock(), metrics.spool.clone()) {
            Err(SpoolError::InUse { .. }) if std::time::Instant::now() < deadline => std::thread::yield_now(),
            opened => return opened.unwrap(),
        }
    }
}

impl World {
    /// A relay of that epoch on that folder, whose control plane is in the process.
    fn start(folder: &std::path::Path, epoch: i64) -> Self {
        let tasks = Tasks::new();
        let fake = Fake::new(&tasks);
        let (dial, connections) = mpsc::channel(8);
        tasks.spawn("fake", fake.clone().serve(connections));
        Self::start_at(folder, epoch, ControlEndpoint::InMemory(dial), fake, tasks)
    }

    fn start_at(folder: &std::path::Path, epoch: i64, endpoint: ControlEndpoint, fake: Fake, tasks: Tasks) -> Self {
        let registry = Registry::new();
        let metrics = Metrics::declare(&registry);
        let id = NodeId::parse("relay-1").unwrap();
        let settings = SpoolSettings { segment_bytes: 1 << 20, max_bytes: 16 << 20, ..SpoolSettings::default() };
        let spool = open_spool(&folder.join("spool"), Epoch(epoch), settings, &metrics);
        let (view, questions) = View::new(clock(), metrics.view.clone());
        let (quotas, demands) = Quotas::new(spool.clone(), clock(), metrics.quota.clone());
        let join_secret: SecretString = "join".into();
        let seen = Seen::default();
        let ((errands_in, errands), (reports, told)) = (mpsc::channel(8), mpsc::channel(8));
        let (link, end) = Link::new(LinkParts {
            endpoint,
            node: Node { id: id.clone(), epoch: Epoch(epoch), boot_id: "boot".into() },
            address: "127.0.0.1:3000".into(),
            view: view.clone(),
            quotas: quotas.clone(),
            spool: spool.clone(),
            last_good: LastGood::new(folder.to_owned(), NodeKey::new(&join_secret, &id)),
            join_secret: Some(join_secret),
            load: Load::default(),
            clock: clock(),
            chance: Chance::new(1),
            metrics,
            identity_max_stale: Duration::from_mins(10),
            demands,
            questions,
            seen: seen.clone(),
            errands: Counter { errands: errands_in, reports: told },
            has_inherited: false,
        });
        let standing = link.standing();
        let stop = CancellationToken::new();
        let stopped = stop.clone();
        let fenced = tasks.spawn("link", async move {
            tokio::select! {
                ended = link.run() => ended.err(),
                () = stopped.cancelled() => None,
            }
        });
        Self { fake, view, quotas, spool, seen, errands, reports, standing, end, stop, tasks, registry, fenced }
    }

    /// Ends everything as a process that dies would, but for the open files.
    async fn stop(self) {
        self.stop.cancel();
        self.tasks.shutdown(Duration::from_secs(5)).await;
    }

    async fn hello(&self) -> pb::Hello {
        self.fake
            .config
            .heard_where(|up| match up.message {
                Some(pb::config_up::Message::Hello(hello)) => Some(hello),
                _ => None,
            })
            .await
    }

    async fn ack(&self) -> pb::Ack {
        self.fake
            .config
            .heard_where(|up| match up.message {
                Some(pb::config_up::Message::Ack(ack)) => Some(ack),
                Some(pb::config_up::Message::Nack(nack)) => panic!("{}", nack.reason),
                _ => None,
            })
            .await
    }

    async fn nack(&self) -> String {
        self.fake
            .config
            .heard_where(|up| match up.message {
                Some(pb::config_up::Message::Nack(nack)) => Some(nack.reason),
                _ => None,
            })
            .await
    }

    async fn say(&self, message: pb::config_down::Message) {
        self.fake.config.say(pb::ConfigDown { message: Some(message) }).await;
    }

    /// Says hello back with a snapshot, and waits until it is in force.
    async fn snapshot(&self, seq: i64, resources: Vec<pb::Resource>) -> pb::Ack {
        for chunk in chunks(seq, resources) {
            self.say(pb::config_down::Message::Snapshot(chunk)).await;
        }
        self.ack().await
    }

    /// Waits for a state, with a deadline.
    async fn until(&self, what: &str, is_so: impl Fn(&Self) -> bool) {
        let waiting = async {
            while !is_so(self) {
                tokio::time::sleep(Duration::from_millis(5)).await;
            }
        };
        assert!(tokio::time::timeout(DEADLINE, waiting).await.is_ok(), "{what}");
    }

    fn ratio(&self, group: &str) -> Option<String> {
        self.view.table().group_ratio(group).map(ToString::to_string)
    }
}

fn version(seq: i64) -> pb::Version {
    pb::Version { lineage: "a".into(), seq }
}

fn chunks(seq: i64, resources: Vec<pb::Resource>) -> Vec<pb::SnapshotChunk> {
    let bytes = pb::Snapshot { resources }.encode_to_vec();
    let crc = crc32fast::hash(&bytes);
    let parts: Vec<&[u8]> = if bytes.is_empty() { vec![&[]] } else { bytes.chunks(40).collect() };
    let chunks = u32::try_from(parts.len()).unwrap();
    let chunk = |(chunk, part): (u32, &[u8])| pb::SnapshotChunk {
        version: Some(version(seq)),
        chunk,
        chunks,
        bytes: part.to_vec().into(),
        crc,
    };
    (0..).zip(parts).map(chunk).collect()
}

fn group(name: &str, ratio: &str, rev: i64) -> pb::Resource {
    let name = GroupName::parse(name).unwrap();
    resource::encode(
        &Resource::Group(Group { name, ratio: ratio.parse().unwrap(), usable: vec![], limits: sluice_domain::Limits::default() }),
        rev,
    )
}

fn channel(id: i64) -> pb::Resource {
    let channel = ChannelResource {
        id: ChannelId::new(id),
        name: "c".into(),
        provider: "openai".into(),
        base_url: None,
        api_version: None,
        keys: vec![],
        models: vec![],
        groups: vec![],
        priority: 0,
        weight: 1,
        status: Standing_::Enabled,
        model_mapping: std::collections::BTreeMap::new(),
        cache_read_ratio: None,
        policy: sluice_snapshot::ChannelPolicy::default(),
        limits: sluice_domain::Limits::default(),
        settings: std::sync::Arc::default(),
        definition: None,
    };
    resource::encode(&Resource::Channel(channel), 1)
}

fn hash_of(resources: &[pb::Resource]) -> Vec<u8> {
    let mut hash = StateHash::default();
    for resource in resources {
        hash.add(resource::hash(resource));
    }
    hash.to_bytes().to_vec()
}

fn delta(from: i64, to: i64, upserts: Vec<pb::Resource>) -> pb::config_down::Message {
    let delta = pb::Delta { from: Some(version(from)), to: Some(version(to)), upserts, ..pb::Delta::default() };
    pb::config_down::Message::Delta(delta)
}

fn heartbeat(seq: i64, state_hash: Vec<u8>) -> pb::config_down::Message {
    let heartbeat = pb::Heartbeat {
        head: Some(version(seq)),
        fleet_size: 5,
        server_time_ms: machine::wall_millis(),
        state_hash: state_hash.into(),
        head_age_ms: 0,
    };
    pb::config_down::Message::Heartbeat(heartbeat)
}

fn digest(number: u8) -> KeyDigest {
    KeyDigest([number; 32])
}

fn token(number: u8, rev: i64) -> pb::Token {
    identity::token_to_pb(&Token {
        id: TokenId::new(i64::from(number)),
        user_id: USER,
        rev,
        digest: digest(number),
        status: Standing_::Enabled,
        expires_at: None,
        name: "t".into(),
        group: None,
        models: None,
        ip_allow: vec![],
        account_id: AccountId::new(2),
        capped: false,
        uses_account_id: None,
        limits: sluice_domain::Limits::default(),
    })
}

fn user() -> pb::User {
    identity::user_to_pb(&User {
        id: USER,
        rev: 1,
        status: Standing_::Enabled,
        role: Role::User,
        group: GroupName::parse("default").unwrap(),
        account_id: WALLET,
        limits: sluice_domain::Limits::default(),
    })
}

fn reply(token: pb::Token, as_of_seq: i64) -> pb::ResolveReply {
    pb::ResolveReply { token: Some(token), user: Some(user()), as_of_seq }
}

fn grant_of(request: &pb::GrantRequest, lease_id: i64) -> pb::LeaseDown {
    let grant = pb::Grant {
        grant_seq: request.grant_seq,
        lease_id,
        account_id: request.account_id,
        amount: request.need,
        life_ms: 600_000,
        low: false,
    };
    pb::LeaseDown { grants: vec![grant], ..pb::LeaseDown::default() }
}

fn acked(epoch: i64, below: i64) -> pb::UsageReply {
    pb::UsageReply { epoch, reply: Some(pb::usage_reply::Reply::AckedBelow(below)), ..pb::UsageReply::default() }
}

fn expected(epoch: i64, seq: i64) -> pb::UsageReply {
    pb::UsageReply { epoch, reply: Some(pb::usage_reply::Reply::Expect(seq)), ..pb::UsageReply::default() }
}

/// The answer to the end of an epoch.
fn ended(epoch: i64, below: i64) -> pb::UsageReply {
    pb::UsageReply { ended: true, ..acked(epoch, below) }
}

fn finish(spool: &Spool, number: usize) {
    spool.permit().unwrap().open(&sample_record(number)).unwrap().finish(sample_record(number));
}

fn requests(batch: &pb::UsageBatch) -> Vec<String> {
    let name = |record: &pb::UsageRecord| match &record.record {
        Some(pb::usage_record::Record::Settled(settled)) => settled.request_id.clone(),
        other => format!("{other:?}"),
    };
    batch.records.iter().map(name).collect()
}

#[tokio::test]
async fn a_relay_joins_with_its_proof_and_serves_from_the_snapshot_it_gets() {
    let folder = tempfile::tempdir().unwrap();
    let world = World::start(folder.path(), 1);
    let hello = world.hello().await;
    assert_eq!((hello.node_id.as_str(), hello.epoch, hello.have), ("relay-1", 1, None));
    {
        let registered = world.fake.registered.lock();
        let (request, node, proof) = &registered[0];
        assert_eq!((request.node_id.as_str(), request.epoch, request.boot_id.as_str()), ("relay-1", 1, "boot"));
        assert_eq!(node, "relay-1");
        let expected = sluice_sealed::join_proof(&"join".into(), &NodeId::parse("relay-1").unwrap());
        assert_eq!(proof.as_deref(), Some(secrecy::ExposeSecret::expose_secret(&expected)));
    }
    assert!(world.view.digest("key").is_none(), "nothing can be served yet");
    let resources = vec![group("default", "1", 1), group("vip", "2", 1)];
    let ack = world.snapshot(4, resources.clone()).await;
    assert_eq!(ack.version, Some(version(4)));
    assert_eq!(ack.state_hash, hash_of(&resources));
    assert_eq!(world.ratio("vip"), Some("2".into()));
    assert!(world.view.digest("key").is_some());
    world.say(heartbeat(4, hash_of(&resources))).await;
    world.until("the fleet is known", |world| world.standing.fleet_size() == 5).await;
    world.stop().await;
}

#[tokio::test]
async fn deltas_are_applied_and_a_gap_asks_for_a_snapshot() {
    let folder = tempfile::tempdir().unwrap();
    let world = World::start(folder.path(), 1);
    world.hello().await;
    world.snapshot(1, vec![group("vip", "2", 1)]).await;
    world.say(delta(1, 2, vec![group("vip", "3", 2)])).await;
    let ack = world.ack().await;
    assert_eq!((ack.version, ack.state_hash.to_vec()), (Some(version(2)), hash_of(&[group("vip", "3", 2)])));
    world.say(delta(3, 4, vec![group("vip", "5", 4)])).await;
    assert_eq!(world.nack().await, "a delta that starts elsewhere");
    assert_eq!(world.ratio("vip"), Some("3".into()));
    world.say(delta(4, 5, vec![group("vip", "6", 5)])).await;
    for chunk in chunks(4, vec![group("vip", "5", 4)]) {
        world.say(pb::config_down::Message::Snapshot(chunk)).await;
    }
    world.ack().await;
    assert_eq!(world.ratio("vip"), Some("5".into()));
    world.stop().await;
}

fn identities(tokens: Vec<pb::Token>) -> pb::config_down::Message {
    let page = pb::IdentityPage { as_of_seq: 1, tokens, users: vec![user()], last: true, complete: true };
    pb::config_down::Message::Identities(page)
}

#[tokio::test]
async fn a_head_that_no_change_leads_to_for_ten_heartbeats_asks_for_a_snapshot_and_chunks_under_way_excuse_it() {
    let folder = tempfile::tempdir().unwrap();
    let world = World::start(folder.path(), 1);
    assert!(world.hello().await.acks_chunks);
    let resources = vec![group("vip", "2", 1)];
    world.snapshot(1, resources.clone()).await;
    let lag = async |heartbeats: u32| {
        for _ in 0..heartbeats {
            world.say(heartbeat(2, vec![9; 16])).await;
        }
    };
    lag(9).await;
    world.say(heartbeat(1, hash_of(&resources))).await;
    lag(9).await;
    // the first of two chunks: what the heartbeats tell of is on its way
    let half = pb::SnapshotChunk { version: Some(version(2)), chunks: 2, bytes: vec![1].into(), ..pb::SnapshotChunk::default() };
    world.say(pb::config_down::Message::Snapshot(half)).await;
    lag(9).await;
    world.say(heartbeat(1, hash_of(&resources))).await;
    lag(10).await;
    // each heartbeat is answered with how the relay is
    let (mut beats, mut chunks) = (0, 0);
    let reason = loop {
        use pb::config_up::Message as Up;
        match world.fake.config.heard_where(|up| up.message).await {
            Up::Status(_) => beats += 1,
            Up::Chunk(_) => chunks += 1,
            Up::Nack(nack) => break nack.reason,
            _ => {}
        }
    };
    assert_eq!((reason.as_str(), beats, chunks), ("a head that no change leads to", 9 + 1 + 9 + 9 + 1 + 10, 1));
    assert_eq!(world.ratio("vip"), Some("2".into()), "what is here stays in force");
    world.stop().await;
}

#[tokio::test]
async fn identities_after_a_snapshot_midway_say_what_was_missed() {
    let folder = tempfile::tempdir().unwrap();
    let world = World::start(folder.path(), 1);
    world.hello().await;
    world.snapshot(1, vec![]).await;
    world.say(identities(vec![token(1, 1), token(2, 1)])).await;
    world.until("the prewarm is in", |world| world.view.identity_count() == 2).await;
    world.snapshot(4, vec![]).await;
    assert_eq!(world.view.identify(&digest(1)).await.unwrap().token.rev, 1, "it is served meanwhile");
    world.say(identities(vec![token(2, 3)])).await;
    world.until("what is not among them is forgotten", |world| world.view.identity_count() == 1).await;
    assert_eq!(world.view.identify(&digest(2)).await.unwrap().token.rev, 3);
    assert_eq!(world.fake.registered.lock().len(), 1, "the stream went on");
    world.stop().await;
}

#[tokio::test]
async fn a_control_plane_that_sends_no_identities_after_a_snapshot_midway_is_joined_anew() {
    let folder = tempfile::tempdir().unwrap();
    let world = World::start(folder.path(), 1);
    world.hello().await;
    world.snapshot(1, vec![]).await;
    world.say(identities(vec![token(1, 1)])).await;
    world.until("the prewarm is in", |world| world.view.identity_count() == 1).await;
    world.snapshot(4, vec![]).await;
    for _ in 0..=10 {
        world.say(heartbeat(4, hash_of(&[]))).await;
    }
    assert_eq!(world.hello().await.have, Some(version(4)));
    world.stop().await;
}

#[tokio::test]
async fn a_snapshot_of_another_history_midway_joins_anew_because_leases_are_void() {
    let folder = tempfile::tempdir().unwrap();
    let world = World::start(folder.path(), 1);
    world.hello().await;
    world.snapshot(9, vec![]).await;
    world.say(identities(vec![token(1, 1)])).await;
    world.until("the prewarm is in", |world| world.view.identity_count() == 1).await;
    for mut chunk in chunks(2, vec![group("vip", "5", 4)]) {
        chunk.version = Some(pb::Version { lineage: "b".into(), seq: 2 });
        world.say(pb::config_down::Message::Snapshot(chunk)).await;
    }
    assert_eq!(world.hello().await.have.map(|have| have.lineage), Some("b".into()));
    assert_eq!(world.view.identity_count(), 0);
    world.stop().await;
}

#[tokio::test]
async fn identities_in_a_delta_behind_a_gap_are_taken_in() {
    let folder = tempfile::tempdir().unwrap();
    let world = World::start(folder.path(), 1);
    world.hello().await;
    world.snapshot(1, vec![]).await;
    world.say(identities(vec![token(1, 1)])).await;
    world.until("the prewarm is in", |world| world.view.identity_count() == 1).await;
    let gap = pb::Delta {
        from: Some(version(5)),
        to: Some(version(6)),
        tokens: vec![pb::Token { status: 2, ..token(1, 2) }],
        ..pb::Delta::default()
    };
    world.say(pb::config_down::Message::Delta(gap)).await;
    assert_eq!(world.nack().await, "a delta that starts elsewhere");
    assert_eq!(world.view.identify(&digest(1)).await.unwrap().token.status, Standing_::Disabled);
    world.stop().await;
}

#[tokio::test]
async fn a_poisoned_resource_is_named_and_the_rest_is_in_force() {
    let folder = tempfile::tempdir().unwrap();
    let world = World::start(folder.path(), 1);
    world.hello().await;
    world.snapshot(1, vec![group("vip", "2", 1), group("default", "1", 1)]).await;
    let poisoned = pb::Resource { body: vec![0xff; 9].into(), ..group("vip", "9", 2) };
    world.say(delta(1, 2, vec![poisoned.clone(), group("default", "4", 2)])).await;
    let ack = world.ack().await;
    assert_eq!(ack.rejected.iter().map(|rejected| rejected.key.as_str()).collect::<Vec<_>>(), ["vip"]);
    assert_eq!(ack.state_hash, hash_of(&[poisoned, group("default", "4", 2)]), "what was refused is hashed as it was sent");
    assert_eq!((world.ratio("vip"), world.ratio("default")), (Some("2".into()), Some("4".into())));
    world.stop().await;
}

#[tokio::test]
async fn a_broken_snapshot_or_a_wrong_hash_asks_for_a_snapshot() {
    let folder = tempfile::tempdir().unwrap();
    let world = World::start(folder.path(), 1);
    world.hello().await;
    let mut broken = chunks(1, vec![group("vip", "2", 1)]);
    for chunk in &mut broken {
        chunk.crc = 7;
    }
    for chunk in broken {
        world.say(pb::config_down::Message::Snapshot(chunk)).await;
    }
    assert_eq!(world.nack().await, "a snapshot with a wrong checksum");
    world.snapshot(1, vec![group("vip", "2", 1)]).await;
    world.say(heartbeat(1, hash_of(&[group("vip", "2", 2)]))).await;
    assert_eq!(world.nack().await, "the hash differs at the same version");
    world.stop().await;
}

#[tokio::test]
async fn after_a_broken_connection_it_goes_on_from_its_version() {
    let folder = tempfile::tempdir().unwrap();
    let world = World::start(folder.path(), 1);
    world.hello().await;
    world.snapshot(8, vec![group("vip", "2", 1)]).await;
    world.fake.config.cut().await;
    let hello = world.hello().await;
    assert_eq!(hello.have, Some(version(8)));
    assert_eq!(hello.state_hash, hash_of(&[group("vip", "2", 1)]));
    assert_eq!(world.ratio("vip"), Some("2".into()), "it served meanwhile");
    let registered: Vec<(i64, String)> =
        world.fake.registered.lock().iter().map(|(request, ..)| (request.epoch, request.boot_id.clone())).collect();
    assert_eq!(registered, [(1, "boot".into()), (1, "boot".into())]);
    world.stop().await;
}

#[tokio::test]
async fn a_revocation_ahead_of_its_answer_wins() {
    let folder = tempfile::tempdir().unwrap();
    let world = World::start(folder.path(), 1);
    world.hello().await;
    world.snapshot(1, vec![]).await;
    world.fake.leases.heard_where(|up| up.hello).await;
    let deny = pb::Deny { seq: 50, rev: 9, target: Some(pb::deny::Target::TokenId(1)) };
    world.fake.leases.say(pb::LeaseDown { denies: vec![deny], ..pb::LeaseDown::default() }).await;
    let denied_seq = world.fake.leases.heard_where(|up| (up.denied_seq > 0).then_some(up.denied_seq)).await;
    assert_eq!(denied_seq, 50);
    let answers = vec![reply(token(1, 8), 49), reply(token(1, 9), 50)];
    world.fake.identities.lock().insert(digest(1).0.to_vec(), answers);
    let identity = world.view.identify(&digest(1)).await.unwrap();
    assert_eq!(identity.token.rev, 9);
    assert_eq!(*world.fake.resolves.lock(), 2, "the first answer was from before the revocation");
    world.stop().await;
}

#[tokio::test]
async fn a_revoked_channel_is_off_before_the_configuration_says_so() {
    let folder = tempfile::tempdir().unwrap();
    let world = World::start(folder.path(), 1);
    world.hello().await;
    world.snapshot(1, vec![channel(3)]).await;
    world.fake.leases.heard_where(|up| up.hello).await;
    let status = |world: &World| world.view.table().channel(ChannelId::new(3)).unwrap().status;
    assert_eq!(status(&world), Standing_::Enabled);
    let deny = pb::Deny { seq: 2, rev: 2, target: Some(pb::deny::Target::ChannelId(3)) };
    world.fake.leases.say(pb::LeaseDown { denies: vec![deny], ..pb::LeaseDown::default() }).await;
    world.until("the channel is off", |world| status(world) == Standing_::Disabled).await;
    world.stop().await;
}

#[tokio::test]
async fn keys_are_known_from_the_prewarm_from_changes_and_by_asking() {
    let folder = tempfile::tempdir().unwrap();
    let world = World::start(folder.path(), 1);
    world.hello().await;
    world.snapshot(1, vec![]).await;
    let page = pb::IdentityPage { as_of_seq: 1, tokens: vec![token(1, 1)], users: vec![user()], last: true, complete: false };
    world.say(pb::config_down::Message::Identities(page)).await;
    world.until("the prewarm is in", |world| world.view.identity_count() == 1).await;
    assert_eq!(world.view.identify(&digest(1)).await.unwrap().user.account_id, WALLET);
    assert_eq!(*world.fake.resolves.lock(), 0);
    world.fake.identities.lock().insert(digest(2).0.to_vec(), vec![reply(token(2, 1), 1)]);
    assert_eq!(world.view.identify(&digest(2)).await.unwrap().token.id, TokenId::new(2));
    assert_eq!(world.view.identify(&digest(3)).await.unwrap_err(), IdentifyError::Unknown);
    let change = pb::Delta {
        from: Some(version(1)),
        to: Some(version(2)),
        tokens: vec![pb::Token { status: 2, ..token(2, 2) }],
        ..pb::Delta::default()
    };
    world.say(pb::config_down::Message::Delta(change)).await;
    world.ack().await;
    assert_eq!(world.view.identify(&digest(2)).await.unwrap().token.status, Standing_::Disabled);
    let later = pb::Delta {
        from: Some(version(2)),
        to: Some(version(3)),
        tokens: vec![pb::Token { status: 99, ..token(1, 2) }],
        ..pb::Delta::default()
    };
    world.say(pb::config_down::Message::Delta(later)).await;
    world.ack().await;
    let unreadable = reply(pb::Token { status: 99, ..token(1, 2) }, 3);
    world.fake.identities.lock().insert(digest(1).0.to_vec(), vec![unreadable]);
    let refused = world.view.identify(&digest(1)).await.unwrap_err();
    assert_eq!(refused, IdentifyError::NotKnown, "a status of a later version is not served, and not called unknown");
    world.stop().await;
}

#[tokio::test]
async fn identities_that_a_new_stream_does_not_confirm_are_asked_for_again() {
    let folder = tempfile::tempdir().unwrap();
    let world = World::start(folder.path(), 1);
    world.hello().await;
    world.snapshot(1, vec![group("vip", "2", 1)]).await;
    let page = |tokens| {
        let page = pb::IdentityPage { as_of_seq: 1, tokens, users: vec![user()], last: true, complete: true };
        pb::config_down::Message::Identities(page)
    };
    world.say(page(vec![token(1, 1), token(2, 1)])).await;
    world.until("the prewarm is in", |world| world.view.identity_count() == 2).await;
    world.fake.config.cut().await;
    assert_eq!(world.hello().await.have, Some(version(1)));
    assert_eq!(world.view.identity_count(), 2, "they are served meanwhile");
    world.until("the stream is open", |world| world.fake.config.is_open()).await;
    world.say(page(vec![token(2, 1)])).await;
    world.until("the other one is forgotten", |world| world.view.identity_count() == 1).await;
    assert_eq!(world.view.identify(&digest(1)).await.unwrap_err(), IdentifyError::Unknown);
    world.stop().await;
}

#[tokio::test]
async fn a_refill_that_is_refused_is_no_verdict_about_a_request() {
    let folder = tempfile::tempdir().unwrap();
    let world = World::start(folder.path(), 1);
    world.fake.leases.heard_where(|up| up.hello).await;
    let (chain, amount) = (WALLET_ONLY, Quota::clamped(500));
    let play = async {
        let asked = world.fake.leases.heard_where(|up| up.grants.first().copied()).await;
        world.fake.leases.say(grant_of(&asked, 1)).await;
    };
    let (reserved, ()) = tokio::join!(world.quotas.reserve(USER, chain, amount), play);
    reserved.unwrap().settle(Due { quota: Quota::clamped(500), is_answered: true }, |_| {});
    let refill = world.fake.leases.heard_where(|up| up.grants.iter().find(|asked| asked.need == 0).copied()).await;
    let reason = pb::RefusalReason::Exhausted.into();
    let refusal = pb::Refusal { grant_seq: refill.grant_seq, account_id: 70, reason, need: 0, account_rev: 1 };
    world.fake.leases.say(pb::LeaseDown { refusals: vec![refusal], ..pb::LeaseDown::default() }).await;
    world.until("the refusal is in", |world| world.quotas.outstanding().is_empty()).await;
    let play = async {
        let asked = world.fake.leases.heard_where(|up| up.grants.iter().find(|asked| asked.need > 0).copied()).await;
        world.fake.leases.say(grant_of(&asked, 2)).await;
    };
    let (reserved, ()) = tokio::join!(world.quotas.reserve(USER, chain, Quota::clamped(3)), play);
    assert!(reserved.is_ok());
    world.stop().await;
}

#[tokio::test]
async fn a_grant_whose_answer_was_lost_is_asked_again_with_its_number_and_a_lease_that_is_void_is_forgotten() {
    let folder = tempfile::tempdir().unwrap();
    let world = World::start(folder.path(), 1);
    world.fake.leases.heard_where(|up| up.hello).await;
    let (chain, amount) = (WALLET_ONLY, Quota::clamped(500));
    let play = async {
        let first = world.fake.leases.heard_where(|up| up.grants.first().copied()).await;
        world.fake.leases.cut().await;
        let again =
            world.fake.leases.heard_where(|up| up.hello.as_ref().map(|hello| (hello.held.clone(), up.grants.clone()))).await;
        assert_eq!(again, (vec![], vec![first]));
        world.fake.leases.say(grant_of(&first, 33)).await;
    };
    let (reserved, ()) = tokio::join!(world.quotas.reserve(USER, chain, amount), play);
    let reservation = reserved.unwrap();
    world.fake.leases.cut().await;
    let hello = world.fake.leases.heard_where(|up| up.hello).await;
    assert_eq!(hello.held, [33]);
    world.fake.leases.say(pb::LeaseDown { void_leases: vec![33], ..pb::LeaseDown::default() }).await;
    world.until("the lease is forgotten", |world| world.quotas.held().is_empty()).await;
    let mut charged = Vec::new();
    reservation.settle(Due { quota: Quota::clamped(10), is_answered: true }, |charges| charged = charges);
    assert_eq!(charged[0].lease_id, LeaseId::new(33), "what it reserved is still charged to it");
    world.stop().await;
}

#[tokio::test]
async fn a_refusal_is_passed_on_and_money_that_came_in_is_asked_for_again() {
    let folder = tempfile::tempdir().unwrap();
    let world = World::start(folder.path(), 1);
    world.fake.leases.heard_where(|up| up.hello).await;
    let (chain, amount) = (WALLET_ONLY, Quota::clamped(500));
    let refuse = async {
        let asked = world.fake.leases.heard_where(|up| up.grants.first().copied()).await;
        let reason = pb::RefusalReason::Exhausted.into();
        let refusal = pb::Refusal { grant_seq: asked.grant_seq, account_id: 70, reason, need: asked.need, account_rev: 1 };
        world.fake.leases.say(pb::LeaseDown { refusals: vec![refusal], ..pb::LeaseDown::default() }).await;
    };
    let (reserved, ()) = tokio::join!(world.quotas.reserve(USER, chain, amount), refuse);
    assert_eq!(reserved.unwrap_err(), ReserveError::Exhausted { account: WALLET });
    let credit = pb::Credit { account_id: 70, account_rev: 2 };
    world.fake.leases.say(pb::LeaseDown { credits: vec![credit], ..pb::LeaseDown::default() }).await;
    let serve = async {
        let asked = world.fake.leases.heard_where(|up| up.grants.first().copied()).await;
        world.fake.leases.say(grant_of(&asked, 1)).await;
    };
    let again = async {
        loop {
            if let Ok(reservation) = world.quotas.reserve(USER, chain, amount).await {
                return reservation;
            }
            tokio::task::yield_now().await;
        }
    };
    let (reservation, ()) = tokio::join!(again, serve);
    assert_eq!(reservation.held(), Quota::clamped(500));
    world.stop().await;
}

#[tokio::test]
async fn without_a_control_plane_it_serves_from_the_last_good_configuration() {
    let folder = tempfile::tempdir().unwrap();
    let world = World::start(folder.path(), 1);
    world.hello().await;
    world.snapshot(8, vec![group("vip", "2", 1), channel(3)]).await;
    let page = pb::IdentityPage { as_of_seq: 8, tokens: vec![token(1, 1)], users: vec![user()], last: true, complete: true };
    world.say(pb::config_down::Message::Identities(page)).await;
    world.until("it is kept on disk", |_| folder.path().join("last-good").exists()).await;
    world.stop().await;

    let tasks = Tasks::new();
    let fake = Fake::new(&tasks);
    let (dial, connections) = mpsc::channel(8);
    drop(connections);
    let world = World::start_at(folder.path(), 2, ControlEndpoint::InMemory(dial), fake, tasks);
    world.until("the last good configuration is in force", |world| world.view.is_usable()).await;
    assert!(world.standing.serves_last_good() && !world.standing.is_registered());
    assert_eq!(world.ratio("vip"), Some("2".into()));
    assert_eq!(world.view.identify(&digest(1)).await.unwrap().user.account_id, WALLET);
    let later = world.view.identify(&digest(2)).await.unwrap_err();
    assert_eq!(later, IdentifyError::NotKnown, "it may have been made since");
    world.stop().await;

    let world = World::start(folder.path(), 3);
    let hello = world.hello().await;
    assert_eq!(hello.have, Some(version(8)), "what is on disk saves the snapshot");
    assert_eq!(hello.state_hash, hash_of(&[group("vip", "2", 1), channel(3)]));
    world.say(delta(8, 9, vec![group("vip", "7", 2)])).await;
    world.ack().await;
    assert_eq!(world.ratio("vip"), Some("7".into()));
    assert_eq!(world.view.identify(&digest(1)).await.unwrap().token.rev, 1);
    world.stop().await;
}

#[tokio::test]
async fn what_is_on_disk_of_another_history_is_not_used() {
    let folder = tempfile::tempdir().unwrap();
    let world = World::start(folder.path(), 1);
    world.hello().await;
    world.snapshot(8, vec![group("vip", "2", 1)]).await;
    world.until("it is kept on disk", |_| folder.path().join("last-good").exists()).await;
    world.stop().await;
    let tasks = Tasks::new();
    let fake = Fake::new(&tasks);
    *fake.lineage.lock() = "b".into();
    let (dial, connections) = mpsc::channel(8);
    tasks.spawn("fake", fake.clone().serve(connections));
    let world = World::start_at(folder.path(), 2, ControlEndpoint::InMemory(dial), fake, tasks);
    assert_eq!(world.hello().await.have, None);
    assert!(!world.view.is_usable());
    world.stop().await;
}

#[tokio::test]
async fn a_node_that_was_taken_over_ends() {
    let folder = tempfile::tempdir().unwrap();
    let tasks = Tasks::new();
    let fake = Fake::new(&tasks);
    *fake.refusal.lock() = Some(Status::failed_precondition("epoch 1 is not the newest"));
    let (dial, connections) = mpsc::channel(8);
    tasks.spawn("fake", fake.clone().serve(connections));
    let world = World::start_at(folder.path(), 1, ControlEndpoint::InMemory(dial), fake, tasks);
    let fenced = tokio::time::timeout(DEADLINE, world.fenced).await.unwrap().unwrap();
    assert_eq!(fenced, Some(Fenced));
}

#[tokio::test]
async fn of_several_addresses_one_that_answers_is_found() {
    let folder = tempfile::tempdir().unwrap();
    let tasks = Tasks::new();
    let fake = Fake::new(&tasks);
    let closed = {
        let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        listener.local_addr().unwrap()
    };
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let open = listener.local_addr().unwrap();
    tasks.spawn("fake", fake.clone().serve_tcp(listener));
    let urls = [closed, open].map(|address| format!("http://{address}").parse().unwrap()).to_vec();
    let endpoint = ControlEndpoint::Urls { urls, authority: None };
    let world = World::start_at(folder.path(), 1, endpoint, fake, tasks);
    world.hello().await;
    world.until("it is connected", |world| world.standing.is_connected()).await;
    world.stop().await;
}

/// Takes connections, says nothing, and hangs up after more than a good session lasts: a host that is gone, behind something that is not.
async fn keeps_silent(listener: tokio::net::TcpListener) {
    while let Ok((connection, _)) = listener.accept().await {
        tokio::time::sleep(GOOD_LIFE + Duration::from_millis(100)).await;
        drop(connection);
    }
}

#[tokio::test]
async fn an_address_that_is_silent_for_long_is_left_for_another_one() {
    let folder = tempfile::tempdir().unwrap();
    let tasks = Tasks::new();
    let fake = Fake::new(&tasks);
    let [silent, answers] = [(); 2].map(|()| {
        let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        listener.set_nonblocking(true).unwrap();
        tokio::net::TcpListener::from_std(listener).unwrap()
    });
    let urls = [&silent, &answers].map(|listener| format!("http://{}", listener.local_addr().unwrap()).parse().unwrap()).to_vec();
    let mut silence = tokio::task::JoinSet::new();
    silence.spawn(keeps_silent(silent));
    tasks.spawn("fake", fake.clone().serve_tcp(answers));
    let world = World::start_at(folder.path(), 1, ControlEndpoint::Urls { urls, authority: None }, fake, tasks);
    world.hello().await;
    world.until("it is connected", |world| world.standing.is_connected()).await;
    world.stop().await;
}

#[tokio::test]
async fn a_recall_is_answered_with_returns_in_the_same_message_and_they_are_said_again_after_a_reconnect() {
    let folder = tempfile::tempdir().unwrap();
    let world = World::start(folder.path(), 1);
    world.fake.leases.heard_where(|up| up.hello).await;
    let play = async {
        let asked = world.fake.leases.heard_where(|up| up.grants.first().copied()).await;
        world.fake.leases.say(grant_of(&asked, 33)).await;
    };
    let (reserved, ()) = tokio::join!(world.quotas.reserve(USER, WALLET_ONLY, Quota::clamped(500)), play);
    reserved.unwrap().settle(Due { quota: Quota::clamped(100), is_answered: true }, |_| {});
    let running = world.quotas.reserve(USER, WALLET_ONLY, Quota::clamped(50)).await.unwrap();
    let recall = pb::Recall { account_id: 70, recall_seq: 12 };
    world.fake.leases.say(pb::LeaseDown { recalls: vec![recall], ..pb::LeaseDown::default() }).await;
    let said = world.fake.leases.heard_where(|up| (!up.recalled.is_empty()).then_some(up)).await;
    assert_eq!(said.recalled, [pb::Recalled { account_id: 70, recall_seq: 12, lease_ids: vec![33] }]);
    assert_eq!(said.returns.iter().map(|one| one.lease_id).collect::<Vec<_>>(), [33]);
    let total = said.returns[0].returned_total;
    assert!(total >= 350, "all but what is charged and reserved: {total}");
    world.fake.leases.cut().await;
    let hello = world.fake.leases.heard_where(|up| up.hello.is_some().then_some(up)).await;
    assert_eq!(hello.returns, said.returns);
    drop(running);
    world.stop().await;
}

#[tokio::test]
async fn leases_of_another_history_are_void_before_they_are_listed() {
    let folder = tempfile::tempdir().unwrap();
    let world = World::start(folder.path(), 1);
    world.fake.leases.heard_where(|up| up.hello).await;
    let play = async {
        let asked = world.fake.leases.heard_where(|up| up.grants.first().copied()).await;
        world.fake.leases.say(grant_of(&asked, 33)).await;
    };
    let (reserved, ()) = tokio::join!(world.quotas.reserve(USER, WALLET_ONLY, Quota::clamped(500)), play);
    *world.fake.lineage.lock() = "b".into();
    world.fake.leases.cut().await;
    let hello = world.fake.leases.heard_where(|up| up.hello).await;
    assert_eq!(hello.held, Vec::<i64>::new());
    drop(reserved);
    world.stop().await;
}

#[tokio::test]
async fn what_is_seen_of_channels_is_told() {
    let folder = tempfile::tempdir().unwrap();
    let world = World::start(folder.path(), 1);
    let way = (ChannelId::new(3), sluice_domain::ChannelKeyId::new(4));
    let said = Evidence { status: 401, kind: "t".into(), code: "invalid_api_key".into(), keyword: "no".into(), fault: None };
    world.seen.failed(way, true, Some(said));
    world.seen.failed(way, true, Some(Evidence { fault: Some(Fault::Address), ..Evidence::default() }));
    let told = async {
        loop {
            if let Some(told) = world.fake.observed.lock().pop() {
                return told;
            }
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    };
    let told = tokio::time::timeout(Duration::from_secs(20), told).await.expect("it is told");
    let channel = &told.channels[0];
    assert_eq!((told.node_id.as_str(), channel.channel_id, channel.key_id), ("relay-1", 3, 4));
    assert_eq!((channel.attempts, channel.successes, channel.evidence[0].code.as_str()), (2, 0, "invalid_api_key"));
    assert_eq!((channel.evidence[0].fault.as_str(), channel.evidence[1].fault.as_str()), ("", "channel:invalid_address"));
    world.stop().await;
}
