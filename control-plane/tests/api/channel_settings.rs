//! What channels do beyond sending requests on: given, shown without secrets, kept, and told to relays.

use std::collections::BTreeSet;
use std::sync::Arc;

use sea_orm::ConnectionTrait;
use sea_orm::sea_query::{Expr, ExprTrait, Query};
use serde_json::{Map, Value, json};
use sluice_control_plane::http::description;
use sluice_control_plane::publish::Feed;
use sluice_domain::ChannelId;
use sluice_snapshot::{ChannelSettings, Resource, ResourceKey};
use sluice_testkit::database::engines;

use crate::world::{Reply, World, no_limits};

fn channel(settings: &Value) -> Value {
    json!({"name": "main", "provider": "openai", "key": "sk-provider-0123456789", "models": ["gpt-4o"], "settings": settings})
}

/// Every field there is.
fn all() -> Value {
    json!({
        "fields": {"organization": "org-1"},
        "param_override": {"temperature": 0.5, "operations": [{"mode": "delete", "path": "user"}]},
        "header_override": {"authorization": "Bearer hunter2", "x-team": "search"},
        "system_prompt": {"text": "Be brief.", "mode": "prepend"},
        "force_format": true,
        "thinking_to_content": true, "media_to_markdown": true,
        "pass_through_body": true,
        "proxy": "http://user:hunter3@proxy.example:8080",
        "media_by_url": "inline",
        "media_proxy": "socks5://user:hunter4@proxy.example:1080",
        "status_mapping": {"404": 400},
        "allow_service_tier": true,
        "allow_safety_identifier": true,
        "disable_store": true,
        "key_mode": "polling",
        "losses": {"seed": "reject"},
        "test_model": "gpt-4o",
    })
}

/// What relays are told of a channel.
async fn told(world: &World, channel: i64) -> Arc<ChannelSettings> {
    let state = Feed::start(&world.app).await.unwrap().state();
    match &state.get(&ResourceKey::Channel(ChannelId::new(channel))).unwrap().resource {
        Resource::Channel(channel) => Arc::clone(&channel.settings),
        other => panic!("{other:?}"),
    }
}

fn read(settings: Value) -> ChannelSettings {
    serde_json::from_value(settings).unwrap()
}

fn has_no_secret(reply: &Reply) {
    assert!(!reply.text.contains("hunter"), "{}", reply.text);
}

#[tokio::test]
async fn settings_are_kept_and_told_to_relays_and_their_secrets_shown_to_nobody_on_every_engine() {
    for engine in engines() {
        let world = World::on(engine, no_limits()).await;
        let root = world.root().await;
        let made = root.clone().with("idempotency-key", "once").post("/api/channels", channel(&all())).await;
        assert_eq!(made.status, 201, "{engine}: {}", made.text);
        let path = format!("/api/channels/{}", made.id());
        assert_eq!(*told(&world, made.id()).await, read(all()), "{engine}");

        let again = root.clone().with("idempotency-key", "once").post("/api/channels", channel(&all())).await;
        assert_eq!((again.id(), &again.body["settings"]), (made.id(), &made.body["settings"]));
        let (shown, listed) = (root.get(&path).await, root.get("/api/channels").await);
        assert_eq!(
            (&shown.body["settings"], &listed.body["items"][0]["settings"]),
            (&made.body["settings"], &made.body["settings"])
        );
        assert_eq!(shown.body["settings"]["proxy"], "http://user:***@proxy.example:8080/");
        assert_eq!(shown.body["settings"]["header_override"], json!({"authorization": "***", "x-team": "search"}));

        // what was shown, sent back with one change
        let mut settings = shown.body["settings"].clone();
        settings["status_mapping"] = json!({"429": 503});
        let changed = root.patch(&path, json!({"settings": settings})).await;
        assert_eq!(changed.status, 200, "{engine}: {}", changed.text);
        let mut expected = all();
        expected["status_mapping"] = json!({"429": 503});
        assert_eq!(*told(&world, made.id()).await, read(expected), "{engine}: masks keep what they hide");
        let untouched = root.patch(&path, json!({"weight": 7})).await;
        assert_eq!(untouched.body["settings"], changed.body["settings"]);

        for reply in [&made, &again, &shown, &listed, &changed, &untouched, &root.get("/api/audit?limit=100").await] {
            has_no_secret(reply);
        }
        let row = Query::select().column("sealed_settings").from("channels").and_where(Expr::col("id").eq(made.id())).to_owned();
        let row = world.app.db.read().query_one(&row).await.unwrap().unwrap();
        let sealed: String = row.try_get("", "sealed_settings").unwrap();
        assert!(!sealed.contains("proxy") && !sealed.contains("hunter"), "{engine}");

        let nulls: Map<String, Value> = all().as_object().unwrap().keys().map(|name| (name.clone(), Value::Null)).collect();
        assert_eq!(root.patch(&path, json!({"settings": nulls})).await.body["settings"], json!({}));
        assert!(told(&world, made.id()).await.is_default(), "{engine}");
    }
}

#[tokio::test]
async fn settings_as_large_as_allowed_are_kept_on_every_engine() {
    for engine in engines() {
        let world = World::on(engine, no_limits()).await;
        let root = world.root().await;
        let large = json!({
            "param_override": {"a": "ä".repeat(32_000)},
            "system_prompt": {"text": "ö".repeat(32_768)},
            "header_override": (0..14).map(|number| (format!("x-{number}"), json!("v".repeat(8_192)))).collect::<Map<_, _>>(),
        });
        let made = root.post("/api/channels", channel(&large)).await;
        assert_eq!(made.status, 201, "{engine}: {}", made.text);
        assert_eq!(*told(&world, made.id()).await, read(large), "{engine}");
    }
}

#[tokio::test]
async fn settings_that_cannot_be_are_refused_by_their_path_and_nothing_changes() {
    let (world, root) = World::set_up().await;
    let id = root.post("/api/channels", channel(&json!({"proxy": "http://user:hunter2@h"}))).await.id();
    let path = format!("/api/channels/{id}");
    let before = world.head().await;
    for (settings, field, code) in [
        (json!({"proxy": "http://user:***@elsewhere"}), "settings.proxy", "masked"),
        (json!({"proxies": []}), "settings.proxies", "unknown_field"),
        (json!({"status_mapping": {"404": 200}}), "settings.status_mapping.404", "range"),
        (json!({"status_mapping": {"all": 400}}), "settings.status_mapping", "wrong_type"),
        (json!({"header_override": {"re:(": ""}}), "settings.header_override.re:(", "header"),
        (json!({"fields": {"region": "x"}}), "settings.fields.region", "unknown_field"),
        (json!({"losses": {"colour": "drop"}}), "settings.losses.colour", "choice"),
    ] {
        let refused = root.patch(&path, json!({"settings": settings})).await;
        assert_eq!((refused.status, refused.fields()), (422, vec![(field, code)]), "{}", refused.text);
        has_no_secret(&refused);
    }
    let loses = root.patch(&path, json!({"settings": {"test_model": "gpt-4o"}})).await;
    assert_eq!(loses.status, 200, "{}", loses.text);
    let renamed = root.patch(&path, json!({"models": ["gpt-4"]})).await;
    assert_eq!(renamed.fields(), [("settings.test_model", "choice")]);
    let moved = root.patch(&path, json!({"settings": {"fields": {"organization": "o"}}})).await;
    assert_eq!(moved.status, 200, "{}", moved.text);
    let elsewhere = root.patch(&path, json!({"provider": "groq"})).await;
    assert_eq!(elsewhere.fields(), [("settings.fields.organization", "unknown_field")], "{}", elsewhere.text);
    assert_eq!(world.head().await, before + 2);
}

#[tokio::test]
async fn settings_of_another_channel_do_not_open_and_hold_up_no_other() {
    let (world, root) = World::set_up().await;
    let mine = root.post("/api/channels", channel(&json!({"proxy": "http://user:hunter2@h"}))).await.id();
    let other = root.post("/api/channels", channel(&json!({}))).await.id();
    let select = Query::select().column("sealed_settings").from("channels").and_where(Expr::col("id").eq(mine)).to_owned();
    let row = world.app.db.read().query_one(&select).await.unwrap().unwrap();
    let sealed: String = row.try_get("", "sealed_settings").unwrap();
    let steal =
        Query::update().table("channels").value("sealed_settings", sealed).and_where(Expr::col("id").eq(other)).to_owned();
    let tx = world.app.db.begin().await.unwrap();
    tx.execute(&steal).await.unwrap();
    tx.commit().await.unwrap();
    assert_eq!(root.get(&format!("/api/channels/{other}")).await.status, 500);
    let state = Feed::start(&world.app).await.unwrap().state();
    let is_told = |id| state.get(&ResourceKey::Channel(ChannelId::new(id))).is_some();
    assert_eq!((is_told(mine), is_told(other)), (true, false));
}

#[tokio::test]
async fn a_provider_that_needs_a_field_gets_it() {
    let (world, root) = World::set_up().await;
    let provider = root.get("/api/providers/cloudflare-workers-ai").await;
    let field = &provider.body["fields"][0];
    assert_eq!((&field["name"], &field["is_required"]), (&json!("account_id"), &json!(true)), "{}", provider.text);
    assert!(["label", "help", "example"].iter().all(|word| !field[word].as_str().unwrap().is_empty()));
    let with = |settings: Value| {
        let mut body = channel(&settings);
        body["provider"] = json!("cloudflare-workers-ai");
        body
    };
    let refused = root.post("/api/channels", with(json!({}))).await;
    assert_eq!((refused.status, refused.fields()), (422, vec![("settings.fields.account_id", "required")]));
    let made = root.post("/api/channels", with(json!({"fields": {"account_id": "023e"}}))).await;
    assert_eq!(made.status, 201, "{}", made.text);
    assert_eq!(told(&world, made.id()).await.fields["account_id"], "023e");
}

#[test]
fn every_setting_is_described() {
    let description = serde_json::to_value(description()).unwrap();
    let described = description.pointer("/components/schemas/ChannelSettings/properties").unwrap();
    let names = |object: &Value| object.as_object().unwrap().keys().cloned().collect::<BTreeSet<_>>();
    assert_eq!(names(described), names(&all()));
    assert_eq!(serde_json::to_value(read(all())).unwrap(), all(), "and nothing else is left out of the example");
}
