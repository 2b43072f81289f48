//! The config stream as a relay sees it, over a real connection.

use std::time::Duration;

use sea_orm::ConnectionTrait;
use sea_orm::sea_query::{Expr, ExprTrait, Query};
use sluice_control_plane::config::{ControlOptions, ProcessOptions, Settings};
use sluice_control_plane::db::Tx;
use sluice_control_plane::publish::log::{self, Changed};
use sluice_control_plane::start::{ControlPlane, Host};
use sluice_domain::{Clock, NodeId, Now};
use sluice_rpc::auth::JoinProof;
use sluice_rpc::pb;
use sluice_rpc::pb::config_client::ConfigClient;
use sluice_rpc::pb::config_down::Message as Down;
use sluice_rpc::pb::config_up::Message as Up;
use sluice_telemetry::metrics::Registry;
use sluice_telemetry::tasks::Tasks;
use tempfile::TempDir;
use tokio::net::TcpListener;
use tokio::sync::mpsc;
use tokio_stream::wrappers::{ReceiverStream, TcpListenerStream};
use tonic::transport::{Endpoint, Server};

use crate::ground::START;
use crate::publishing::add_tokens;

/// Longer than this nobody waits for a message.
const PATIENCE: Duration = Duration::from_secs(20);

/// A control plane on SQLite that relays can connect to.
struct Site {
    plane: ControlPlane,
    address: String,
    tasks: Tasks,
    // removed last
    _folder: TempDir,
}

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
        let host = Host { clock, registry: Registry::new(), tasks: tasks.clone() };
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
        let channel = Endpoint::from_shared(self.address.clone()).unwrap().connect().await.unwrap();
        let proof = JoinProof::new(&NodeId::parse("relay-1").unwrap(), None).unwrap();
        let (up, receiver) = mpsc::channel(8);
        let hello = pb::Hello { node_id: "relay-1".into(), epoch: 1, have, ..pb::Hello::default() };
        up.send(pb::ConfigUp { message: Some(Up::Hello(hello)) }).await.unwrap();
        let opened = ConfigClient::with_interceptor(channel, proof).subscribe(ReceiverStream::new(receiver)).await;
        Relay { up, down: opened.unwrap().into_inner() }
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
async fn a_relay_that_knows_more_than_the_database_gets_what_the_database_has() {
    let site = Site::start().await;
    let head = site.head().await;
    let mut relay = site.relay(Some(pb::Version { seq: head.seq + 9, ..head.clone() })).await;
    assert_eq!(relay.hears_a_snapshot().await, head.seq);
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
