//! Errands between the wire and whoever runs them.

use sluice_domain::{ChannelKeyId, Usage};

use super::*;

async fn told(world: &World) -> pb::ErrandReport {
    let told = async {
        loop {
            if let Some(told) = world.fake.reported.lock().pop() {
                return told;
            }
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    };
    tokio::time::timeout(DEADLINE, told).await.expect("it is told")
}

#[tokio::test]
async fn errands_come_with_the_lease_stream_and_what_came_of_them_is_told() {
    let folder = tempfile::tempdir().unwrap();
    let mut world = World::start(folder.path(), 1);
    assert!(world.fake.leases.heard_where(|up| up.hello).await.runs_errands);
    let errand =
        pb::Errand { id: 9, kind: pb::ErrandKind::Test.into(), channel_id: 3, key_id: 4, model: "gpt-4o".into(), config_seq: 5 };
    let of_a_later_version = pb::Errand { id: 8, kind: 99, ..errand.clone() };
    let keyless = pb::Errand { id: 10, key_id: 0, kind: pb::ErrandKind::Balance.into(), ..errand.clone() };
    let errands = vec![of_a_later_version, errand, keyless];
    world.fake.leases.say(pb::LeaseDown { errands, ..pb::LeaseDown::default() }).await;
    let asked = world.errands.recv().await.unwrap();
    let expected = Errand {
        id: 9,
        deed: Deed::Test,
        channel: ChannelId::new(3),
        key: Some(ChannelKeyId::new(4)),
        model: "gpt-4o".into(),
        config_seq: 5,
    };
    assert_eq!(asked, expected);
    let keyless = world.errands.recv().await.unwrap();
    assert_eq!((keyless.id, keyless.key, keyless.deed), (10, None, Deed::Balance));

    let usage = Usage { input: 7, output: 2, ..Usage::default() };
    let tried = Tried { status: 200, first_byte: Some(Duration::from_millis(20)), usage };
    let report = Report { errand: 9, outcome: Ok(Found::Answer(tried)), latency: Duration::from_millis(30) };
    world.reports.send(report).await.unwrap();
    let good = told(&world).await;
    assert_eq!((good.node_id.as_str(), good.errand_id, good.ok, good.status), ("relay-1", 9, true, 200));
    assert_eq!((good.latency_ms, good.first_byte_ms), (30, 20));
    assert_eq!(good.usage.map(|usage| (usage.input, usage.output)), Some((7, 2)));
    assert_eq!((good.error.as_str(), good.evidence), ("", None));

    let said = Evidence { status: 401, code: "invalid_api_key".into(), ..Evidence::default() };
    let trouble = Trouble { word: "upstream_auth_failed", message: "no".into(), status: 401, evidence: Some(said) };
    world.reports.send(Report { errand: 10, outcome: Err(trouble), latency: Duration::ZERO }).await.unwrap();
    let bad = told(&world).await;
    assert_eq!((bad.errand_id, bad.ok, bad.status, bad.error.as_str()), (10, false, 401, "upstream_auth_failed"));
    assert_eq!((bad.message.as_str(), bad.evidence.unwrap().code.as_str()), ("no", "invalid_api_key"));
    world.stop().await;
}
