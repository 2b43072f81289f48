//! Providers that administrators describe themselves: made, told to relays, used by channels, and gone.

use sea_orm::ConnectionTrait;
use sea_orm::sea_query::{Order, Query};
use serde_json::{Value, json};
use sluice_control_plane::publish::Feed;
use sluice_snapshot::{Resource, ResourceKey};
use sluice_testkit::database::engines;

use crate::world::{World, no_limits};

fn definition() -> Value {
    json!({
        "slug": "our-own", "name": "Our own", "stream_options": "force", "models": ["our-model"],
        "base_url": {"meaning": "prefix", "default": "https://llm.example", "help": "Leave empty."},
        "auth": {"scheme": "bearer", "key_example": "sk-..."},
        "endpoints": {"chat": "/v1/chat/completions"},
        "fields": [{"name": "account_id", "label": "Account", "help": "Its id.", "example": "a", "required": true}],
    })
}

/// The definition relays are told, if they are.
async fn told(world: &World) -> Option<Value> {
    let state = Feed::start(&world.app).await.unwrap().state();
    match &state.get(&ResourceKey::Provider("our-own".into()))?.resource {
        Resource::Provider(provider) => Some(serde_json::from_str(&provider.definition).unwrap()),
        other => panic!("{other:?}"),
    }
}

#[tokio::test]
async fn a_described_provider_lives_and_dies_on_every_engine() {
    for engine in engines() {
        let world = World::on(engine, no_limits()).await;
        let root = world.root().await;
        let made = root.post("/api/providers", json!({"definition": definition()})).await;
        assert_eq!(made.status, 201, "{engine}: {}", made.text);
        assert_eq!((&made.body["slug"], &made.body["definition"]), (&json!("our-own"), &definition()));
        assert_eq!(made.body["config_seq"], world.head().await);
        assert_eq!(told(&world).await, Some(definition()), "{engine}");
        let newest =
            Query::select().columns(["kind", "name"]).from("config_log").order_by("seq", Order::Desc).limit(1).to_owned();
        let row = world.app.db.read().query_one(&newest).await.unwrap().unwrap();
        let (kind, name): (String, String) = (row.try_get("", "kind").unwrap(), row.try_get("", "name").unwrap());
        assert_eq!((kind.as_str(), name.as_str()), ("provider", "our-own"));

        let channel =
            |settings: Value| json!({"name": "c", "provider": "our-own", "key": "k", "models": ["m"], "settings": settings});
        assert_eq!(root.post("/api/channels", channel(json!({}))).await.fields(), [("settings.fields.account_id", "required")]);
        let used = root.post("/api/channels", channel(json!({"fields": {"account_id": "a"}}))).await;
        assert_eq!(used.status, 201, "{engine}: {}", used.text);
        let path = "/api/providers/our-own";
        assert_eq!(root.delete(path).await.refusal(), (409, "in_use"), "{engine}");

        let mut changed = definition();
        changed["models"] = json!(["another"]);
        let patched = root.patch(path, json!({"definition": changed})).await;
        assert_eq!((patched.status, &patched.body["models"]), (200, &json!(["another"])), "{engine}: {}", patched.text);
        assert_eq!(told(&world).await, Some(changed), "{engine}");
        let page = root.get("/api/providers").await;
        let described =
            page.body["items"].as_array().unwrap().iter().filter(|provider| !provider["definition"].is_null()).count();
        assert_eq!(described, 1);

        root.delete(&format!("/api/channels/{}", used.id())).await;
        assert_eq!(root.delete(path).await.status, 204, "{engine}");
        assert_eq!(root.get(path).await.refusal(), (404, "not_found"));
        assert_eq!(told(&world).await, None, "{engine}");
    }
}

#[tokio::test]
async fn a_description_is_judged_as_relays_will_judge_it() {
    let (world, root) = World::set_up().await;
    let with = |change: fn(&mut Value)| {
        let mut definition = definition();
        change(&mut definition);
        json!({"definition": definition})
    };
    for (body, field) in [
        (with(|fields| fields["colour"] = json!("red")), "definition.colour"),
        (with(|fields| drop(fields.as_object_mut().unwrap().remove("auth"))), "definition.auth"),
        (with(|fields| fields["base_url"]["meaning"] = json!("guess")), "definition.base_url.meaning"),
        (with(|fields| fields["endpoints"]["chat"] = json!("no slash")), "definition"),
        (with(|fields| fields["slug"] = json!("Our Own")), "definition"),
        (with(|fields| fields["slug"] = json!("x".repeat(65))), "definition"),
        (with(|fields| fields["name"] = json!("x".repeat(70_000))), "definition"),
    ] {
        let refused = root.post("/api/providers", body).await;
        assert_eq!((refused.status, refused.fields()[0].0), (422, field), "{}", refused.text);
    }
    let taken = root.post("/api/providers", with(|fields| fields["slug"] = json!("openai"))).await;
    assert_eq!(taken.refusal(), (409, "name_taken"));
    assert_eq!(root.delete("/api/providers/openai").await.refusal(), (409, "protected"));
    assert_eq!(root.post("/api/providers", with(|_| {})).await.status, 201);
    assert_eq!(root.post("/api/providers", with(|_| {})).await.refusal(), (409, "name_taken"));
    let renamed = root.patch("/api/providers/our-own", with(|fields| fields["slug"] = json!("other"))).await;
    assert_eq!(renamed.fields(), [("definition.slug", "slug")]);
    let stale = root.clone().with("if-match", "\"7\"").patch("/api/providers/our-own", with(|_| {})).await;
    assert_eq!(stale.status, 412, "{}", stale.text);
    assert_eq!(told(&world).await, Some(definition()));
}
