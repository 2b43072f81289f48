//! The config stream as a relay sees it, over a real connection.

use std::time::Duration;

use sea_orm::ConnectionTrait;
use sea_orm::sea_query::{Expr, ExprTrait, Query};
use sluice_control_plane::config::{ControlOptions, ProcessOptions, Settings};
use sluice_control_plane::db::Tx;
use sluice_control_plane::nodes;
use sluice_control_plane::publish::log::{self, Changed};
use sluice_control_plane::start::{ControlPlane, Host, Time};
use sluice_domain::{Clock, NodeId, Now};
use sluice_rpc::auth::JoinProof;
use sluice_rpc::pb;
use sluice_rpc::pb::config_client::ConfigClient;
use sluice_rpc::pb::config_down::Message as Down;
use sluice_rpc::pb::config_up::Message as Up;
use sluice_rpc::pb::nodes_client::NodesClient;
use sluice_telemetry::metrics::Registry;
use sluice_telemetry::tasks::Tasks;
use tempfile::TempDir;
use tokio::net::TcpListener;
use tokio::sync::mpsc;
use tokio_stream::wrappers::{ReceiverStream, TcpListenerStream};
use tonic::transport::{Channel, Endpoint, Server};
use tonic::{Code, Status};

use crate::ground::START;
use crate::publishing::add_tokens;

/// Longer than this nobody waits for a message.
const PATIENCE: Duration = Duration::from_mins(1);

/// A control plane on SQLite that relays can connect to.
struct Site {
    plane: ControlPlane,
    address: String,
    tasks: Tasks,
    // removed last
    _folder: TempDir,
}

/// Both ends of a config stream as a relay holds them.
type Ends = (mpsc::Sender<pb::ConfigUp>, tonic::Streaming<pb::ConfigDown>);

/// A relay's side of its config stream.
struct Relay {
    up: mpsc::Sender<pb::ConfigUp>,
    down: tonic::Streaming<pb::ConfigDown>,
}

impl Site {
    async fn start() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let process = ProcessOptions { data_dir: folder.path().to_str().map(Into::into), ..ProcessOptions::default() };
        let settings = Settings::read(&process, &ControlOptions::default()).unwrap();
        let tasks = Tasks::new();
        let clock = Clock::new(|| Now { wall: START, boot_millis: 1 });
        let host = Host { clock, time: Time::OfTheClock, registry: Registry::new(), tasks: tasks.clone() };
        let plane = ControlPlane::build(settings, host).await.unwrap();
        plane.start();
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = format!("http://{}", listener.local_addr().unwrap());
        let server = Server::builder().add_routes(plane.in_process_routes());
        tasks.spawn("relays", server.serve_with_incoming_shutdown(TcpListenerStream::new(listener), tasks.drain().closing()));
        Self { plane, address, tasks, _folder: folder }
    }

    /// A relay that says it has this.
    async fn relay(&self, have: Option<pb::Version>) -> Relay {
        let (up, down) = self.subscribe(have).await.unwrap();
        Relay { up, down }
    }

    /// The same, of a build that acknowledges chunks.
    async fn relay_that_acks(&self, have: Option<pb::Version>) -> Relay {
        let hello = pb::Hello { node_id: "relay-1".into(), epoch: 1, have, acks_chunks: true, ..pb::Hello::default() };
        let (up, down) = self.subscribe_as(hello, 0).await.unwrap();
        Relay { up, down }
    }

    async fn relay_in_session(&self, session: i64) -> Relay {
        let hello = pb::Hello { node_id: "relay-1".into(), epoch: 1, ..pb::Hello::default() };
        let (up, down) = self.subscribe_as(hello, session).await.unwrap();
        Relay { up, down }
    }

    async fn subscribe(&self, have: Option<pb::Version>) -> Result<Ends, Status> {
        self.subscribe_as(pb::Hello { node_id: "relay-1".into(), epoch: 1, have, ..pb::Hello::default() }, 0).await
    }

    async fn subscribe_as(&self, hello: pb::Hello, session: i64) -> Result<Ends, Status> {
        let (up, receiver) = mpsc::channel(8);
        up.send(pb::ConfigUp { message: Some(Up::Hello(hello)) }).await.unwrap();
        let (channel, proof) = self.connect().await;
        let mut client = ConfigClient::with_interceptor(channel, proof.in_session(session));
        let down = client.subscribe(ReceiverStream::new(receiver)).await?.into_inner();
        Ok((up, down))
    }

    async fn connect(&self) -> (Channel, JoinProof) {
        let channel = Endpoint::from_shared(self.address.clone()).unwrap().connect().await.unwrap();
        (channel, JoinProof::new(&NodeId::parse("relay-1").unwrap(), None).unwrap())
    }

    /// Registers the relay, and answers its session.
    async fn register(&self) -> i64 {
        let (channel, proof) = self.connect().await;
        let request =
            pb::RegisterRequest { node_id: "relay-1".into(), epoch: 1, boot_id: "boot".into(), ..pb::RegisterRequest::default() };
        NodesClient::with_interceptor(channel, proof).register(request).await.unwrap().into_inner().session
    }

    async fn head(&self) -> pb::Version {
        let select = Query::select().columns(["lineage", "seq"]).from("config_head").to_owned();
        let row = self.plane.app().db.read().query_one(&select).await.unwrap().unwrap();
        pb::Version { lineage: row.try_get("", "lineage").unwrap(), seq: row.try_get("", "seq").unwrap() }
    }

    /// Changes a setting, and what else the story does in the same transaction.
    async fn change(&self, value: &str, also: impl AsyncFnOnce(&Tx, i64)) {
        let tx = self.plane.app().db.begin().await.unwrap();
        let gone = Query::delete().from_table("settings").and_where(Expr::col("name").eq("retry_times")).to_owned();
        tx.execute(&gone).await.unwrap();
        let setting = Query::insert()
            .into_table("settings")
            .columns(["name", "value", "rev", "updated_at"])
            .values_panic(["retry_times".into(), value.into(), 1_i64.into(), START.0.into()])
            .to_owned();
        tx.execute(&setting).await.unwrap();
        let seq = log::record(&tx, START, &[Changed::Setting("retry_times".into())]).await.unwrap();
        also(&tx, seq).await;
        tx.commit().await.unwrap();
        self.plane.app().poke.look();
    }

    async fn stop(self) {
        drop(self.plane);
        self.tasks.shutdown(Duration::from_secs(5)).await;
    }
}

impl Relay {
    /// The next message that is no heartbeat.
    async fn hears(&mut self) -> Down {
        loop {
            let next = tokio::time::timeout(PATIENCE, self.down.message()).await.expect("nothing is said");
            match next.unwrap().expect("the stream goes on").message.unwrap() {
                Down::Heartbeat(_) => {}
                message => return message,
            }
        }
    }

    /// A snapshot, in one chunk or many: its sequence number.
    async fn hears_a_snapshot(&mut self) -> i64 {
        loop {
            let Down::Snapshot(chunk) = self.hears().await else { panic!("no snapshot") };
            if chunk.chunk + 1 == chunk.chunks {
                return chunk.version.unwrap().seq;
            }
        }
    }

    async fn hears_all_identities(&mut self) -> usize {
        let mut tokens = 0;
        loop {
            let Down::Identities(page) = self.hears().await else { panic!("no identities") };
            tokens += page.tokens.len();
            if page.last {
                assert!(page.complete);
                return tokens;
            }
        }
    }

    async fn refuses(&self) {
        let nack = pb::Nack { reason: "a test".into() };
        self.up.send(pb::ConfigUp { message: Some(Up::Nack(nack)) }).await.unwrap();
    }
}

#[tokio::test]
async fn identities_follow_every_snapshot_and_not_only_the_first() {
    let site = Site::start().await;
    add_tokens(site.plane.app(), 1_001).await;
    let mut relay = site.relay(None).await;
    relay.hears_a_snapshot().await;
    assert_eq!(relay.hears_all_identities().await, 1_001);

    relay.refuses().await;
    relay.hears_a_snapshot().await;
    assert_eq!(relay.hears_all_identities().await, 1_001, "it may have missed changes of theirs");

    site.change("3", async |tx, seq| {
        let trimmed = Query::delete().from_table("config_log").and_where(Expr::col("seq").eq(seq)).to_owned();
        tx.execute(&trimmed).await.unwrap();
    })
    .await;
    assert_eq!(relay.hears_a_snapshot().await, site.head().await.seq, "the log has a gap, so everything was read anew");
    assert_eq!(relay.hears_all_identities().await, 1_001);

    site.change("4", async |_, _| {}).await;
    assert!(matches!(relay.hears().await, Down::Delta(_)), "a change is told as one");
    site.stop().await;
}

#[tokio::test]
async fn a_relay_that_knows_more_than_this_replica_is_not_sent_back_in_time() {
    let site = Site::start().await;
    let head = site.head().await;
    let mut relay = site.relay(Some(pb::Version { seq: head.seq + 1, ..head.clone() })).await;
    site.change("3", async |_, _| {}).await;
    assert_eq!(relay.hears_a_snapshot().await, head.seq + 1);
    site.stop().await;
}

#[tokio::test]
async fn a_relay_that_knows_more_than_the_database_proves_that_it_went_back_and_joins_another_history() {
    let site = Site::start().await;
    let before = site.head().await;
    let have = pb::Version { seq: before.seq + 9, ..before.clone() };
    let mut refused = site.relay(Some(have.clone())).await;
    let status = tokio::time::timeout(PATIENCE, refused.down.message()).await.unwrap().unwrap_err();
    assert_eq!(status.code(), Code::Unavailable);
    let after = site.head().await;
    assert_ne!(after.lineage, before.lineage);
    let mut relay = site.relay(Some(have)).await;
    let Down::Snapshot(chunk) = relay.hears().await else { panic!("no snapshot") };
    assert_eq!(chunk.version, Some(after.clone()));
    site.stop().await;
}

#[tokio::test]
async fn a_relay_that_acknowledges_chunks_has_four_of_them_under_way_and_hears_heartbeats_meanwhile() {
    let site = Site::start().await;
    site.change(&"x".repeat(7 << 18), async |_, _| {}).await;
    // until the replica has seen it
    while site.relay(None).await.hears_a_snapshot().await < site.head().await.seq {}
    let mut relay = site.relay_that_acks(None).await;
    for _ in 0..4 {
        assert!(matches!(relay.hears().await, Down::Snapshot(_)));
    }
    for _ in 0..2 {
        let next = tokio::time::timeout(PATIENCE, relay.down.message()).await.unwrap().unwrap().unwrap();
        assert!(matches!(next.message, Some(Down::Heartbeat(_))), "no fifth chunk before one is acknowledged");
    }
    let chunk = pb::ConfigUp { message: Some(Up::Chunk(pb::ChunkReceived { chunk: 0 })) };
    relay.up.send(chunk).await.unwrap();
    let Down::Snapshot(fifth) = relay.hears().await else { panic!("no chunk") };
    assert_eq!(fifth.chunk, 4);
    site.stop().await;
}

#[tokio::test]
async fn a_relay_that_registers_anew_ends_the_streams_of_its_earlier_session() {
    let site = Site::start().await;
    let first = site.register().await;
    let mut stream = site.relay_in_session(first).await;
    stream.hears_a_snapshot().await;
    let second = site.register().await;
    assert!(second > first);
    let ends = async {
        loop {
            if let Err(ended) = stream.down.message().await {
                break ended;
            }
        }
    };
    let ended = tokio::time::timeout(PATIENCE, ends).await.expect("the stream of the earlier session goes on");
    assert_eq!(ended.code(), Code::FailedPrecondition);
    let late = site.subscribe_as(pb::Hello { node_id: "relay-1".into(), epoch: 1, ..pb::Hello::default() }, first).await;
    assert_eq!(late.unwrap_err().code(), Code::FailedPrecondition, "a call of the earlier session comes too late");
    site.stop().await;
}

#[tokio::test]
async fn what_a_relay_cannot_use_is_shown_with_its_reason() {
    let site = Site::start().await;
    let session = site.register().await;
    let mut relay = site.relay_in_session(session).await;
    relay.hears_a_snapshot().await;
    let rejected = pb::Rejected { kind: pb::Kind::Price.into(), key: "gpt-4o".into(), reason: "ratio: must be a number".into() };
    for message in [
        Up::Ack(pb::Ack { rejected: vec![rejected], ..pb::Ack::default() }),
        Up::Status(pb::NodeStatus { config_seq: 1, ..pb::NodeStatus::default() }),
    ] {
        relay.up.send(pb::ConfigUp { message: Some(message) }).await.unwrap();
    }
    let shown = tokio::time::timeout(PATIENCE, async {
        loop {
            let relays = nodes::list(site.plane.app().db.read()).await.unwrap();
            match relays.first().and_then(|relay| relay.status.rejected.first()) {
                Some(rejected) => break rejected.clone(),
                None => tokio::time::sleep(Duration::from_millis(50)).await,
            }
        }
    });
    let shown = shown.await.expect("it is shown");
    assert_eq!((shown.kind.as_str(), shown.key.as_str(), shown.reason.as_str()), ("price", "gpt-4o", "ratio: must be a number"));
    site.stop().await;
}

#[tokio::test]
async fn a_change_that_is_too_large_for_one_message_comes_as_a_snapshot() {
    let site = Site::start().await;
    let mut relay = site.relay(None).await;
    relay.hears_a_snapshot().await;
    relay.hears_all_identities().await;
    site.change(&"9".repeat(9 << 20), async |_, _| {}).await;
    assert_eq!(relay.hears_a_snapshot().await, site.head().await.seq);
    relay.hears_all_identities().await;
    site.stop().await;
}
