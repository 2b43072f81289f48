use axum::body::Body;
use axum::http::Request;
use http_body_util::BodyExt;
use prost::Message;
use sluice_domain::{ChannelId, ChannelKeyId, GroupName, ModelName, Now, Status};
use sluice_rpc::{pb, resource};
use sluice_snapshot::{Channel, ChannelKey, Group, Resource};
use sluice_telemetry::clock as machine;
use sluice_telemetry::tasks::Shutdown;
use tower::ServiceExt;

use super::*;
use crate::config::{NodeOptions, Options, RequestOptions};
use crate::link::fake::{DEADLINE, Fake};

fn settings(folder: &Path) -> Settings {
    let node = NodeOptions {
        control_url: Some("https://unused:1".into()),
        join_secret: Some("join".into()),
        data_dir: Some(folder.to_owned()),
        ..NodeOptions::default()
    };
    let requests = RequestOptions { spool_max_mb: Some("256".into()), ..RequestOptions::default() };
    Options { version: false, command: None, node, requests }.read().unwrap()
}

fn surroundings() -> Surroundings {
    let clock = Clock::new(|| Now { wall: UnixMillis(machine::wall_millis()), boot_millis: machine::boot_millis() });
    Surroundings { clock, chance: Chance::new(1), registry: Registry::new(), tasks: Tasks::new() }
}

/// A relay that runs, and the control plane it talks to.
async fn start(folder: &Path) -> (Relay, Fake) {
    // the first test to come here installs it for all
    let _ = rustls::crypto::ring::default_provider().install_default();
    let around = surroundings();
    let fake = Fake::new(&around.tasks);
    let (dial, connections) = tokio::sync::mpsc::channel(8);
    around.tasks.spawn("fake", fake.clone().serve(connections));
    let relay = Relay::build(settings(folder), ControlEndpoint::InMemory(dial), around).await.unwrap();
    relay.start();
    (relay, fake)
}

async fn get(router: Router, path: &str) -> (u16, String) {
    let response = router.oneshot(Request::get(path).body(Body::empty()).unwrap()).await.unwrap();
    let status = response.status().as_u16();
    let body = response.into_body().collect().await.unwrap().to_bytes();
    (status, String::from_utf8(body.to_vec()).unwrap())
}

fn channel(id: i64, status: Status) -> pb::Resource {
    let channel = Channel {
        id: ChannelId::new(id),
        name: format!("channel {id}"),
        provider: "openai".into(),
        base_url: None,
        api_version: None,
        keys: vec![ChannelKey { id: ChannelKeyId::new(id), secret: "sk-canary".into(), status: Status::Enabled }],
        models: vec![ModelName::parse("gpt-4o").unwrap()],
        groups: vec![GroupName::parse("default").unwrap()],
        priority: 0,
        weight: 1,
        status,
        model_mapping: std::collections::BTreeMap::new(),
        cache_read_ratio: None,
        policy: sluice_snapshot::ChannelPolicy::default(),
        limits: sluice_domain::Limits::default(),
        settings: std::sync::Arc::default(),
        definition: None,
    };
    resource::encode(&Resource::Channel(channel), 1)
}

async fn snapshot(fake: &Fake) {
    let group = Group {
        name: GroupName::parse("default").unwrap(),
        ratio: "1".parse().unwrap(),
        usable: vec![],
        limits: sluice_domain::Limits::default(),
    };
    let resources = vec![resource::encode(&Resource::Group(group), 1), channel(1, Status::Enabled), channel(2, Status::Disabled)];
    let bytes = pb::Snapshot { resources }.encode_to_vec();
    let chunk = pb::SnapshotChunk {
        version: Some(pb::Version { lineage: "a".into(), seq: 1 }),
        chunk: 0,
        chunks: 1,
        crc: crc32fast::hash(&bytes),
        bytes: bytes.into(),
    };
    fake.config.heard().await;
    fake.config.say(pb::ConfigDown { message: Some(pb::config_down::Message::Snapshot(chunk)) }).await;
    let is_ack = |up: pb::ConfigUp| matches!(up.message, Some(pb::config_up::Message::Ack(_))).then_some(());
    fake.config.heard_where(is_ack).await;
}

#[tokio::test]
async fn a_relay_is_ready_with_a_configuration_and_ends_with_everything_reported() {
    let folder = tempfile::tempdir().unwrap();
    let (relay, fake) = start(folder.path()).await;
    let (status, text) = get(relay.ops_router(), "/readyz").await;
    assert_eq!(status, 503);
    assert!(text.starts_with("not ready\nconfig: failed: no configuration yet\nspool: ok\nmoney: "), "{text}");
    snapshot(&fake).await;
    assert_eq!(get(relay.ops_router(), "/readyz").await, (200, "ready\nconfig: ok\nspool: ok\nmoney: ok\n".to_owned()));
    assert_eq!(get(relay.ops_router(), "/livez").await.0, 200);
    let page = get(relay.ops_router(), "/metrics").await.1;
    assert!(page.contains("sluice_relay_config_seq 1"), "{page}");

    relay.app().tasks.drain().leave();
    assert_eq!(get(relay.ops_router(), "/readyz").await.0, 503);
    let finish = relay.finish();
    let settle = async {
        let last = fake.usage.heard().await;
        assert_eq!((last.first_seq, last.records.len(), last.epoch_ended), (1, 0, true));
        let reply = pb::usage_reply::Reply::AckedBelow(1);
        fake.usage.say(pb::UsageReply { epoch: last.epoch, reply: Some(reply), pause_ms: 0, ended: true }).await;
    };
    tokio::time::timeout(DEADLINE, async { tokio::join!(finish, settle) }).await.unwrap();
    assert_eq!(relay.app().tasks.lost(), None);
    // the fake goes on serving, everything of the relay has ended
    assert!(matches!(relay.app().tasks.shutdown(Duration::from_millis(1)).await, Shutdown::TimedOut { .. } | Shutdown::Clean));
}

#[tokio::test]
async fn the_plan_of_a_model_can_be_looked_at_without_any_key_in_it() {
    let folder = tempfile::tempdir().unwrap();
    let (relay, fake) = start(folder.path()).await;
    snapshot(&fake).await;
    let (status, text) = get(relay.ops_router(), "/debug/plan?group=default&model=gpt-4o").await;
    assert_eq!(status, 200);
    let plan: serde_json::Value = serde_json::from_str(&text).unwrap();
    assert_eq!((&plan["channels"][0]["id"], &plan["channels"][0]["usable_keys"]), (&1.into(), &1.into()));
    assert_eq!(plan["left_out"], serde_json::json!([{"id": 2, "reason": "disabled"}]));
    assert!(!text.contains("canary"));
    let (_, text) = get(relay.ops_router(), "/debug/plan?group=default&model=nope").await;
    assert!(text.contains("no channel serves this model"), "{text}");
    assert_eq!(get(relay.ops_router(), "/debug/plan").await.0, 400);
}

#[tokio::test]
async fn nothing_on_the_disk_shows_a_provider_key() {
    let folder = tempfile::tempdir().unwrap();
    let (_relay, fake) = start(folder.path()).await;
    snapshot(&fake).await;
    let kept = folder.path().join("last-good");
    let saved = async {
        while !kept.exists() {
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    };
    tokio::time::timeout(DEADLINE, saved).await.unwrap();
    let bytes = std::fs::read(kept).unwrap();
    assert!(bytes.len() > 100 && !bytes.windows(9).any(|window| window == b"sk-canary"));
}

#[tokio::test]
async fn a_data_folder_that_cannot_be_used_is_named_with_the_remedies() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("file");
    std::fs::write(&file, "x").unwrap();
    let (dial, _connections) = tokio::sync::mpsc::channel(1);
    let error = Relay::build(settings(&file), ControlEndpoint::InMemory(dial), surroundings()).await.unwrap_err();
    assert!(error.is_setting());
    let text = error.to_string();
    for part in [file.to_str().unwrap(), "chown", "SLUICE_DATA_DIR", "--user"] {
        assert!(text.contains(part), "{text}");
    }
}
