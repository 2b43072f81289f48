//! Channels and keys that are switched off by what relays saw.

use serde_json::{Value, json};
use sluice_control_plane::channels::{Evidence, Observed, SuccessRate, Watch};
use sluice_domain::{ChannelId, ChannelKeyId};
use sluice_testkit::database::engines;

use crate::world::{Client, World, no_limits};

pub(crate) async fn switch_on(root: &Client) {
    root.patch("/api/settings/automatic_disable_channel_enabled", json!({"value": true})).await;
}

pub(crate) async fn make(root: &Client, keys: Value) -> Value {
    let body = json!({"name": "main", "provider": "openai", "keys": keys, "models": ["gpt-4o"]});
    let made = root.post("/api/channels", body).await;
    assert_eq!(made.status, 201, "{}", made.text);
    made.body
}

pub(crate) fn seen(channel: &Value, key: usize, said: Option<(u16, &str, &str)>) -> Observed {
    let evidence = said.map(|(status, code, message)| Evidence {
        status,
        code: code.to_owned(),
        message: message.to_owned(),
        ..Evidence::default()
    });
    Observed {
        channel: ChannelId::new(channel["id"].as_i64().unwrap()),
        key: ChannelKeyId::new(channel["keys"][key]["id"].as_i64().unwrap()),
        attempts: 1,
        successes: u64::from(evidence.is_none()),
        evidence: evidence.into_iter().collect(),
    }
}

async fn status(root: &Client, channel: &Value) -> (Value, Value, Vec<Value>) {
    let shown = root.get(&format!("/api/channels/{}", channel["id"])).await.body;
    let keys = shown["keys"].as_array().unwrap().iter().map(|key| key["status"].clone()).collect();
    (shown["status"].clone(), shown["status_reason"].clone(), keys)
}

#[tokio::test]
async fn a_key_goes_off_first_and_its_channel_with_the_last_one_on_every_engine() {
    for engine in engines() {
        let world = World::on(engine, no_limits()).await;
        let root = world.root().await;
        switch_on(&root).await;
        let channel = make(&root, json!(["key-one-0123456789", "key-two-0123456789"])).await;
        let (watch, head) = (Watch::default(), world.head().await);

        watch.observe(&world.app, seen(&channel, 0, Some((401, "", "no")))).await;
        let off = json!("auto_disabled");
        let (state, reason, keys) = status(&root, &channel).await;
        assert_eq!((state, reason, keys), (json!("enabled"), json!(null), vec![off.clone(), json!("enabled")]), "{engine}");
        assert_eq!(world.head().await, head + 1, "relays are told");
        watch.observe(&world.app, seen(&channel, 0, Some((401, "", "no")))).await;
        assert_eq!(world.head().await, head + 1, "what is off stays as it is");

        watch.observe(&world.app, seen(&channel, 1, Some((429, "billing_not_active", "no")))).await;
        let (state, reason, keys) = status(&root, &channel).await;
        assert_eq!((state, reason), (off.clone(), json!("code billing_not_active")), "{engine}");
        assert_eq!(keys, [off.clone(), off]);

        let rows = root.get("/api/audit?action=channels.switch_off").await.body;
        assert_eq!((rows["items"].as_array().unwrap().len(), &rows["items"][0]["actor_id"]), (2, &json!(null)), "{rows}");
        assert!(rows["items"][0].to_string().contains("billing_not_active"), "{rows}");

        let path = format!("/api/channels/{}", channel["id"]);
        assert_eq!(root.patch(&path, json!({"status": "enabled"})).await.body["health"], "ok", "{engine}");
        assert_eq!(status(&root, &channel).await.1, json!(null));
    }
}

#[tokio::test]
async fn nothing_is_switched_off_unless_the_site_and_the_channel_want_it() {
    let (world, root) = World::set_up().await;
    let channel = make(&root, json!(["key-one-0123456789"])).await;
    let watch = Watch::default();
    let refused = || seen(&channel, 0, Some((401, "invalid_api_key", "no")));
    watch.observe(&world.app, refused()).await;
    assert_eq!(status(&root, &channel).await.0, "enabled", "the site does not want it by default");
    switch_on(&root).await;
    let path = format!("/api/channels/{}", channel["id"]);
    assert_eq!(root.patch(&path, json!({"auto_ban": false})).await.body["auto_ban"], false);
    watch.observe(&world.app, refused()).await;
    assert_eq!(status(&root, &channel).await.0, "enabled", "the channel stays on");
    root.patch(&path, json!({"auto_ban": true})).await;
    watch.observe(&world.app, seen(&channel, 0, Some((400, "", "a mistake of a caller")))).await;
    assert_eq!(status(&root, &channel).await.0, "enabled", "that says nothing of the channel");
    watch.observe(&world.app, refused()).await;
    assert_eq!(status(&root, &channel).await.0, "auto_disabled");
}

/// Two replicas of the control plane, on one database.
fn replicas() -> [Watch; 2] {
    let rate = SuccessRate { window: 10, threshold: 0.8 };
    [Watch::new(Some(rate)), Watch::new(Some(rate))]
}

fn results(channel: &Value, attempts: u64, successes: u64) -> Observed {
    Observed { attempts, successes, ..seen(channel, 0, None) }
}

#[tokio::test]
async fn a_word_in_the_message_counts_only_when_it_comes_again_and_again_to_whichever_replica() {
    for engine in engines() {
        let world = World::on(engine, no_limits()).await;
        let root = world.root().await;
        switch_on(&root).await;
        let channel = make(&root, json!(["key-one-0123456789", "key-two-0123456789"])).await;
        let [one, other] = replicas();
        let off = json!("auto_disabled");
        for (watch, key, expected) in
            [(&one, 0, "enabled"), (&other, 1, "enabled"), (&other, 0, "enabled"), (&one, 0, "auto_disabled")]
        {
            watch.observe(&world.app, seen(&channel, key, Some((400, "", "Your credit balance is too low.")))).await;
            assert_eq!(status(&root, &channel).await.2, [json!(expected), json!("enabled")], "{engine}");
        }
        for expected in [json!("enabled"), off] {
            one.observe(&world.app, seen(&channel, 1, Some((400, "", "Your credit balance is too low.")))).await;
            assert_eq!(status(&root, &channel).await.0, expected, "{engine}");
        }
        assert_eq!(status(&root, &channel).await.1, "keyword: your credit balance is too low");
    }
}

#[tokio::test]
async fn a_channel_that_fails_too_often_over_all_relays_is_switched_off_for_its_success_rate() {
    for engine in engines() {
        let world = World::on(engine, no_limits()).await;
        let root = world.root().await;
        switch_on(&root).await;
        let channel = make(&root, json!(["key-one-0123456789"])).await;
        let [one, other] = replicas();
        one.observe(&world.app, results(&channel, 6, 6)).await;
        one.observe(&world.app, results(&channel, 2, 1)).await;
        one.count(&world.app).await;
        other.observe(&world.app, results(&channel, 2, 1)).await;
        other.count(&world.app).await;
        assert_eq!(status(&root, &channel).await.0, "enabled", "{engine}: eight of ten");
        one.observe(&world.app, results(&channel, 1, 0)).await;
        other.observe(&world.app, results(&channel, 2, 0)).await;
        assert_eq!(status(&root, &channel).await.0, "enabled", "{engine}: nobody has counted");
        tokio::join!(one.count(&world.app), other.count(&world.app));
        assert_eq!(status(&root, &channel).await.1, "success_rate", "{engine}");

        let path = format!("/api/channels/{}", channel["id"]);
        assert_eq!(root.patch(&path, json!({"status": "enabled"})).await.body["health"], "ok", "{engine}");
        // of the two that counted at once the second one's results, two at the most, may be in the new window
        other.observe(&world.app, results(&channel, 7, 0)).await;
        other.count(&world.app).await;
        assert_eq!(status(&root, &channel).await.0, "enabled", "{engine}: it begins anew");
    }
}

#[tokio::test]
async fn replicas_that_count_at_the_same_time_lose_nothing() {
    for engine in engines() {
        let world = World::on(engine, no_limits()).await;
        let root = world.root().await;
        switch_on(&root).await;
        let mut channels = Vec::new();
        for _ in 0..5 {
            channels.push(make(&root, json!(["key-one-0123456789"])).await);
        }
        let [one, other] = replicas();
        for _ in 0..5 {
            for channel in &channels {
                one.observe(&world.app, results(channel, 1, 0)).await;
                other.observe(&world.app, results(channel, 1, 0)).await;
            }
            for channel in &channels {
                assert_eq!(status(&root, channel).await.0, "enabled", "{engine}");
            }
            tokio::join!(one.count(&world.app), other.count(&world.app));
        }
        for channel in &channels {
            assert_eq!(status(&root, channel).await.1, "success_rate", "{engine}: the tenth result is the one");
        }
    }
}

#[tokio::test]
async fn what_is_told_while_nothing_is_to_be_switched_off_is_not_remembered() {
    let (world, root) = World::set_up().await;
    let channel = make(&root, json!(["key-one-0123456789"])).await;
    let [watch, _] = replicas();
    watch.observe(&world.app, results(&channel, 9, 0)).await;
    watch.count(&world.app).await;
    switch_on(&root).await;
    watch.observe(&world.app, results(&channel, 1, 0)).await;
    watch.count(&world.app).await;
    assert_eq!(status(&root, &channel).await.0, "enabled");
}

#[tokio::test]
async fn a_channel_whose_own_settings_are_no_good_goes_off_with_all_its_keys_and_a_bad_key_alone() {
    let (world, root) = World::set_up().await;
    switch_on(&root).await;
    let channel = make(&root, json!(["key-one-0123456789", "key-two-0123456789"])).await;
    let watch = Watch::default();
    let fault = |word: &str| Observed {
        evidence: vec![Evidence { fault: word.to_owned(), ..Evidence::default() }],
        ..results(&channel, 1, 0)
    };
    watch.observe(&world.app, fault("channel:invalid_key")).await;
    let (state, _, keys) = status(&root, &channel).await;
    assert_eq!((state, keys), (json!("enabled"), vec![json!("auto_disabled"), json!("enabled")]));
    watch.observe(&world.app, fault("channel:invalid_address")).await;
    let (state, reason, _) = status(&root, &channel).await;
    assert_eq!((state, reason), (json!("auto_disabled"), json!("channel:invalid_address")));
}

#[tokio::test]
async fn what_a_channel_does_differently_is_kept_and_shown() {
    let (_world, root) = World::set_up().await;
    let channel = make(&root, json!(["key-one-0123456789"])).await;
    let policy =
        |body: &Value| ["auto_ban", "empty_reply_retry", "client_abort", "first_output_secs"].map(|name| body[name].clone());
    assert_eq!(policy(&channel), [json!(true), json!(true), json!("cancel"), json!(null)]);
    let path = format!("/api/channels/{}", channel["id"]);
    let wanted = json!({"empty_reply_retry": false, "client_abort": "drain", "first_output_secs": 90});
    let changed = root.patch(&path, wanted).await;
    assert_eq!(policy(&changed.body), [json!(true), json!(false), json!("drain"), json!(90)], "{}", changed.text);
    assert_eq!(policy(&root.get(&path).await.body), policy(&changed.body));
    assert_eq!(root.patch(&path, json!({"first_output_secs": 0})).await.status, 422);
    assert_eq!(root.patch(&path, json!({"first_output_secs": null})).await.body["first_output_secs"], json!(null));
}
