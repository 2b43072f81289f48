//! Channels, groups, prices, settings: what relays are told.

use sea_orm::ConnectionTrait;
use sea_orm::sea_query::{Expr, ExprTrait, Order, Query};
use serde_json::{Value, json};
use sluice_testkit::database::engines;

use crate::world::{World, no_limits};

fn channel() -> Value {
    json!({"name": "main", "provider": "openai", "key": "sk-provider-0123456789", "models": ["gpt-4o", "gpt-4o-mini"]})
}

/// What one transaction said it changed.
async fn logged(world: &World, seq: i64) -> Vec<(String, String)> {
    let select = Query::select()
        .columns(["kind", "name"])
        .from("config_log")
        .and_where(Expr::col("seq").eq(seq))
        .order_by("ordinal", Order::Asc)
        .to_owned();
    let rows = world.app.db.read().query_all(&select).await.unwrap();
    rows.iter().map(|row| (row.try_get("", "kind").unwrap(), row.try_get("", "name").unwrap())).collect()
}

/// What a rate became, newest first.
async fn rates(world: &World, kind: &str, name: &str) -> Vec<Option<String>> {
    let select = Query::select()
        .column("body")
        .from("rate_history")
        .and_where(Expr::col("kind").eq(kind))
        .and_where(Expr::col("name").eq(name))
        .order_by("seq", Order::Desc)
        .to_owned();
    world.app.db.read().query_all(&select).await.unwrap().iter().map(|row| row.try_get("", "body").unwrap()).collect()
}

#[tokio::test]
async fn a_channel_lives_and_dies_on_every_engine() {
    for engine in engines() {
        let world = World::on(engine, no_limits()).await;
        let root = world.root().await;
        let made = root.post("/api/channels", channel()).await;
        assert_eq!(made.status, 201, "{engine}: {}", made.text);
        assert_eq!((&made.body["groups"], &made.body["health"]), (&json!(["default"]), &json!("ok")));
        assert_eq!(made.body["key_hint"], "pro…789");
        assert!(!made.text.contains("sk-provider"));
        let seq = made.body["config_seq"].as_i64().unwrap();
        assert_eq!((seq, seq), (world.head().await, made.headers["x-sluice-config-seq"].to_str().unwrap().parse().unwrap()));
        assert_eq!(logged(&world, seq).await, [("channel".to_owned(), made.id().to_string())]);

        let path = format!("/api/channels/{}", made.id());
        let changed = root.patch(&path, json!({"keys": ["one-key-0123456789", "other-key-0123456789"], "weight": 5})).await;
        assert_eq!((changed.body["keys"].as_array().unwrap().len(), &changed.body["weight"]), (2, &json!(5)), "{}", changed.text);
        let shown = root.post(&format!("{path}/reveal"), json!({})).await;
        assert_eq!(shown.body["keys"][1]["key"], "other-key-0123456789");
        assert_eq!(root.patch(&path, json!({"status": "disabled"})).await.body["health"], "off");
        let untouched = root.patch(&path, json!({})).await;
        assert_eq!((untouched.status, &untouched.body["config_seq"]), (200, &json!(null)));
        for query in ["q=MAI", "model=gpt-4o", "group=default", "provider=openai", "status=disabled"] {
            assert_eq!(root.get(&format!("/api/channels?{query}")).await.body["items"].as_array().unwrap().len(), 1, "{query}");
        }
        assert_eq!(root.get("/api/channels?model=gpt-4").await.body["items"], json!([]), "names are found whole");

        assert_eq!(root.delete(&path).await.status, 204);
        assert_eq!(root.get(&path).await.refusal(), (404, "not_found"));
        let keys = Query::select().column("id").from("channel_keys").to_owned();
        assert!(world.app.db.read().query_all(&keys).await.unwrap().is_empty(), "{engine}: no key outlives its channel");
    }
}

#[tokio::test]
async fn a_channel_as_large_as_allowed_is_kept_on_every_engine() {
    for engine in engines() {
        let world = World::on(engine, no_limits()).await;
        let root = world.root().await;
        let name = |number: usize| format!("{number:0>191}");
        let mapping = |count: usize| (0..count).map(|number| (name(number), json!(name(number + 5_000)))).collect::<Value>();
        let mut body = channel();
        body["models"] = (0..2_000).map(name).collect();
        body["model_mapping"] = mapping(1_000);
        let made = root.clone().with("idempotency-key", "large").post("/api/channels", body.clone()).await;
        assert_eq!(made.status, 201, "{engine}: {}", made.text);
        let path = format!("/api/channels/{}", made.id());
        let keys: Vec<String> = (0..1_000).map(|number| format!("a-key-of-a-provider-{number:0>40}")).collect();
        assert_eq!(root.patch(&path, json!({"keys": keys, "weight": 2})).await.status, 200, "{engine}");
        let kept = root.get(&path).await;
        let length = |field: &str| kept.body[field].as_array().map_or(0, Vec::len);
        assert_eq!((length("models"), length("keys")), (2_000, 1_000), "{engine}");
        assert_eq!(kept.body["model_mapping"].as_object().unwrap().len(), 1_000, "{engine}");
        let shown = root.post(&format!("{path}/reveal"), json!({})).await;
        assert_eq!(shown.body["keys"][999]["key"], keys[999].as_str(), "{engine}");
        let again = root.clone().with("idempotency-key", "large").post("/api/channels", body).await;
        assert_eq!((again.status, again.id()), (201, made.id()), "{engine}");
    }
}

#[tokio::test]
async fn a_channels_own_rate_is_history_from_the_moment_it_changes() {
    let (world, root) = World::set_up().await;
    let with_rate = |rate: Value| {
        let mut body = channel();
        body["cache_read_ratio"] = rate;
        body
    };
    let id = root.post("/api/channels", with_rate(json!("0.5"))).await.id();
    let path = format!("/api/channels/{id}");
    root.patch(&path, json!({"weight": 2})).await;
    root.patch(&path, json!({"cache_read_ratio": 0.25})).await;
    root.delete(&path).await;
    let told = rates(&world, "channel", &id.to_string()).await;
    assert_eq!(told, [None, Some("0.25".to_owned()), Some("0.5".to_owned())]);
}

#[tokio::test]
async fn a_channel_must_fit_its_provider() {
    let (_world, root) = World::set_up().await;
    let with = |field: &str, value: Value| {
        let mut body = channel();
        body[field] = value;
        body
    };
    let refused = async |body: Value| {
        let reply = root.post("/api/channels", body).await;
        let fields = reply.fields().into_iter().map(|(field, code)| format!("{field} {code}")).collect::<Vec<_>>();
        (reply.status, fields.join(", "))
    };
    assert_eq!(refused(with("provider", json!("nobody"))).await, (422, "provider unknown_provider".into()));
    assert_eq!(refused(with("provider", json!("openai-compatible"))).await, (422, "base_url base_url".into()));
    assert_eq!(refused(with("base_url", json!("https://u:p@x"))).await, (422, "base_url base_url".into()));
    assert_eq!(refused(with("models", json!([]))).await, (422, "models length".into()));
    assert_eq!(refused(with("groups", json!(["default", "nowhere"]))).await, (422, "groups[1] unknown_group".into()));
    assert_eq!(refused(with("keys", json!(["a"]))).await, (422, "keys two_views".into()));
    assert_eq!(refused(with("key", json!("a\r\nHost: x"))).await, (422, "keys[0] key".into()));
    assert_eq!(refused(with("weight", json!(-1))).await, (422, "weight range".into()));
    assert_eq!(refused(with("cache_read_ratio", json!("1.5"))).await, (422, "cache_read_ratio range".into()));
    assert_eq!(refused(with("model_mapping", json!({"a": "b", "b": "a"}))).await.0, 422);
    assert_eq!(root.get("/api/channels").await.body["items"], json!([]));
}

#[tokio::test]
async fn provider_keys_are_shown_to_root_alone_after_a_fresh_sign_in() {
    let (world, root) = World::set_up().await;
    let (_, ada) = world.member(&root, "ada", "admin").await;
    let path = format!("/api/channels/{}/reveal", ada.post("/api/channels", channel()).await.id());
    assert_eq!(ada.post(&path, json!({})).await.refusal(), (403, "role_too_low"));
    assert_eq!(root.post(&path, json!({})).await.body["keys"][0]["key"], "sk-provider-0123456789");
    world.wait(10 * 60_000 + 1);
    assert_eq!(root.post(&path, json!({})).await.refusal(), (403, "sign_in_again"));
}

#[tokio::test]
async fn the_catalogue_tells_what_a_channel_form_needs() {
    let (_world, root) = World::set_up().await;
    let page = root.get("/api/providers").await;
    let slugs: Vec<_> =
        page.body["items"].as_array().unwrap().iter().map(|provider| provider["slug"].as_str().unwrap()).collect();
    assert!(slugs.contains(&"openai") && slugs.contains(&"openai-compatible"), "{slugs:?}");
    let azure = root.get("/api/providers/azure-openai").await;
    assert_eq!(azure.body["base_url"]["default"], json!(null));
    assert_eq!(azure.body["fields"][0]["name"], "api_version");
    assert_eq!(root.get("/api/providers/nobody").await.status, 404);
}

#[tokio::test]
async fn a_group_lives_and_dies_on_every_engine() {
    for engine in engines() {
        let world = World::on(engine, no_limits()).await;
        let root = world.root().await;
        let made = root.post("/api/groups", json!({"name": "团队 a", "ratio": 0.8, "usable": ["vip"], "description": "d"})).await;
        assert_eq!((made.status, &made.body["ratio"]), (201, &json!("0.8")), "{engine}: {}", made.text);
        let path = made.headers["location"].to_str().unwrap();
        let changed = root.patch(path, json!({"ratio": "0.123456789012345678"})).await;
        assert_eq!(changed.body["ratio"], "0.123456789012345678");
        assert_eq!(rates(&world, "group", "团队 a").await[..2], [Some("0.123456789012345678".into()), Some("0.8".into())]);
        assert_eq!(root.post("/api/groups", json!({"name": "团队 a"})).await.refusal(), (409, "name_taken"));
        let mut used = channel();
        used["groups"] = json!(["团队 a"]);
        let channel = root.post("/api/channels", used).await.id();
        assert_eq!(root.delete(path).await.refusal(), (409, "in_use"), "{engine}");
        root.delete(&format!("/api/channels/{channel}")).await;
        assert_eq!(root.delete(path).await.status, 204, "{engine}");
        assert_eq!(rates(&world, "group", "团队 a").await[0], None);
        assert_eq!(root.delete("/api/groups/default").await.refusal(), (409, "protected"));
        assert_eq!(root.delete("/api/groups/vip").await.refusal(), (409, "in_use"), "other groups list it");
    }
}

#[tokio::test]
async fn a_fresh_site_has_the_shipped_prices() {
    let (world, root) = World::set_up().await;
    let (_, ana) = world.member(&root, "ana", "user").await;
    let page = ana.get("/api/prices?count=exact&limit=100&source=shipped").await;
    assert_eq!((&page.body["total"], page.body["items"].as_array().unwrap().len()), (&json!(271), 100));
    let price = ana.get("/api/prices/gpt-4o").await;
    assert_eq!(
        (&price.body["model_ratio"], &price.body["usd_per_1m_input"], &price.body["source"]),
        (&json!("1.25"), &json!("2.5"), &json!("shipped"))
    );
    assert_eq!((&price.body["completion_ratio"], &price.body["usd_per_1m_output"]), (&json!("4"), &json!("10")));
    let found = ana.get("/api/prices?q=HERMES-4-405b").await;
    let model = found.body["items"][0]["model"].as_str().unwrap();
    assert!(model.contains('/'), "{model}");
    let path = format!("/api/prices/{}", model.replace('/', "%2F"));
    assert_eq!(ana.get(&path).await.body["model"], model);
}

#[tokio::test]
async fn a_price_lives_and_dies_and_has_a_history_on_every_engine() {
    for engine in engines() {
        let world = World::on(engine, no_limits()).await;
        let root = world.root().await;
        let body = json!({"model": "my/model", "usd_per_1m_input": 3, "usd_per_1m_output": "15", "cache_read_ratio": "0.1"});
        let made = root.post("/api/prices", body.clone()).await;
        assert_eq!(made.status, 201, "{engine}: {}", made.text);
        assert_eq!((&made.body["model_ratio"], &made.body["completion_ratio"]), (&json!("1.5"), &json!("5")));
        assert_eq!(root.post("/api/prices", body).await.refusal(), (409, "name_taken"));
        let path = made.headers["location"].to_str().unwrap();
        assert_eq!(path, "/api/prices/my%2Fmodel");
        let changed = root.patch(path, json!({"model_ratio": "2", "cache_read_ratio": null, "per_call_usd": "0.04"})).await;
        assert_eq!((&changed.body["per_call_usd"], &changed.body["usd_per_1m_input"]), (&json!("0.04"), &json!(null)));
        assert_eq!(root.delete(path).await.status, 204);
        assert_eq!(root.get(path).await.status, 404);
        let history = root.get(&format!("{path}/history?limit=2")).await;
        assert_eq!(history.body["items"][0]["figures"], json!(null));
        assert_eq!(history.body["items"][1]["figures"]["model_ratio"], "2");
        let cursor = history.body["next_cursor"].as_str().unwrap();
        let older = root.get(&format!("{path}/history?limit=2&cursor={cursor}")).await;
        assert_eq!(
            (&older.body["items"][0]["figures"]["cache_read_ratio"], &older.body["next_cursor"]),
            (&json!("0.1"), &json!(null))
        );
        let stored = rates(&world, "price", "my/model").await;
        assert_eq!(stored[2].as_deref(), Some(r#"{"model_ratio":"1.5","completion_ratio":"5","cache_read_ratio":"0.1"}"#));
    }
}

#[tokio::test]
async fn a_price_says_how_output_is_held_for_and_relays_are_told() {
    let (world, root) = World::set_up().await;
    let path = "/api/prices/gpt-4o";
    let before = world.head().await;
    let changed = root.patch(path, json!({"max_output_tokens": 16_384, "hold_policy": "windowed"})).await;
    assert_eq!((&changed.body["max_output_tokens"], &changed.body["hold_policy"]), (&json!(16_384), &json!("windowed")));
    assert_eq!(changed.body["model_ratio"], "1.25", "and the price stays");
    assert_eq!(world.head().await, before + 1);
    for (body, field) in
        [(json!({"max_output_tokens": 0}), "max_output_tokens"), (json!({"max_output_tokens": 10_000_001}), "max_output_tokens")]
    {
        assert_eq!(root.patch(path, body).await.fields()[0].0, field);
    }
    assert_eq!(root.patch(path, json!({"hold_policy": "fixed"})).await.status, 422);
    let cleared = root.patch(path, json!({"max_output_tokens": null, "hold_policy": null})).await;
    assert_eq!((&cleared.body["max_output_tokens"], &cleared.body["hold_policy"]), (&json!(null), &json!(null)));
}

#[tokio::test]
async fn models_are_told_to_whom_they_serve_with_their_price() {
    let (world, root) = World::set_up().await;
    let (_, ana) = world.member(&root, "ana", "user").await;
    let mine = |name: &str, models: Value, groups: Value| json!({"name": name, "provider": "openai", "key": "k", "models": models, "groups": groups});
    root.post("/api/channels", mine("open", json!(["gpt-4o", "house-model"]), json!(["default"]))).await;
    root.post("/api/channels", mine("closed", json!(["gpt-4o", "secret-model"]), json!(["svip"]))).await;
    let mut off = mine("off", json!(["gone-model"]), json!(["default"]));
    off["status"] = json!("disabled");
    root.post("/api/channels", off).await;
    let names = |reply: &crate::world::Reply| -> Vec<String> {
        let items = reply.body["items"].as_array().unwrap_or_else(|| panic!("{}", reply.text));
        items.iter().map(|item| item["model"].as_str().unwrap().to_owned()).collect()
    };

    let of_ana = ana.get("/api/models").await;
    assert_eq!(names(&of_ana), ["gpt-4o", "house-model"]);
    let expected = json!({"model": "gpt-4o", "groups": ["default"], "is_priced": true, "price": {
        "per_call_usd": null, "usd_per_1m_input": "2.5", "usd_per_1m_output": "10", "usd_per_1m_cache_read": "1.25"}});
    assert_eq!(of_ana.body["items"][0], expected);
    assert_eq!(
        of_ana.body["items"][1],
        json!({"model": "house-model", "groups": ["default"], "is_priced": false, "price": null})
    );

    let of_root = root.get("/api/models?count=exact").await;
    assert_eq!((names(&of_root).len(), &of_root.body["total"]), (3, &json!(3)));
    assert_eq!(
        (&of_root.body["items"][0]["channels"], &of_root.body["items"][0]["groups"]),
        (&json!(2), &json!(["default", "svip"]))
    );
    assert_eq!(names(&root.get("/api/models?is_priced=false").await), ["house-model", "secret-model"]);
    assert_eq!(names(&root.get("/api/models?is_priced=true&group=svip&q=GPT").await), ["gpt-4o"]);
    let asked = root.get("/api/models?names=gpt-4o-mini,secret-model,unheard-of").await;
    assert_eq!(names(&asked), ["gpt-4o-mini", "secret-model", "unheard-of"]);
    let priced: Vec<_> = asked.body["items"].as_array().unwrap().iter().map(|item| &item["is_priced"]).collect();
    assert_eq!(priced, [&json!(true), &json!(false), &json!(false)]);
    assert_eq!(asked.body["items"][2]["groups"], json!([]));
    let first = root.get("/api/models?sort=-model&limit=2").await;
    let cursor = first.body["next_cursor"].as_str().unwrap();
    let rest = root.get(&format!("/api/models?sort=-model&limit=2&cursor={cursor}")).await;
    assert_eq!((names(&first), names(&rest)), (vec!["secret-model".into(), "house-model".into()], vec!["gpt-4o".into()]));

    let token = ana.post("/api/tokens", json!({"name": "t", "models": ["house-model", "secret-model"]})).await.id();
    let by_token = format!("/api/models?token_id={token}");
    assert_eq!(names(&ana.get(&by_token).await), ["house-model"]);
    assert_eq!(names(&root.get(&by_token).await), ["house-model"]);
    let of_root = root.post("/api/tokens", json!({"name": "t"})).await.id();
    assert_eq!(ana.get(&format!("/api/models?token_id={of_root}")).await.refusal(), (404, "not_found"));
}

#[tokio::test]
async fn a_channel_of_a_provider_that_asks_for_no_key_is_healthy_without_one() {
    let (_world, root) = World::set_up().await;
    let body = json!({"name": "local", "provider": "openai-compatible", "base_url": "http://10.0.0.1:8000", "models": ["m"]});
    for keys in [json!(null), json!([])] {
        let mut body = body.clone();
        body["keys"] = keys;
        let made = root.post("/api/channels", body).await;
        assert_eq!((&made.body["health"], &made.body["key_hint"]), (&json!("ok"), &json!(null)), "{}", made.text);
        let moved = root.patch(&format!("/api/channels/{}", made.id()), json!({"provider": "openai"})).await;
        assert_eq!(moved.fields(), [("keys", "required")]);
    }
}

#[tokio::test]
async fn settings_are_typed_and_relays_hear_of_theirs() {
    let (world, root) = World::set_up().await;
    let (_, ada) = world.member(&root, "ada", "admin").await;
    let listed = ada.get("/api/settings").await;
    let retry = listed.body["items"].as_array().unwrap().iter().find(|setting| setting["name"] == "retry_times").unwrap();
    assert_eq!(
        (&retry["value"], &retry["default"], &retry["most"], &retry["effect"]),
        (&json!(2), &json!(2), &json!(10), &json!("relays"))
    );
    let path = "/api/settings/retry_times";
    assert_eq!(ada.patch(path, json!({"value": 5})).await.refusal(), (403, "role_too_low"));
    let changed = root.patch(path, json!({"value": 5})).await;
    assert_eq!((&changed.body["value"], &changed.body["is_default"]), (&json!(5), &json!(false)));
    let seq = changed.body["config_seq"].as_i64().unwrap();
    assert_eq!(logged(&world, seq).await, [("setting".to_owned(), "retry_times".to_owned())]);
    assert_eq!(ada.get(path).await.body["value"], 5);
    let back = root.patch(path, json!({"value": null})).await;
    assert_eq!((&back.body["value"], &back.body["is_default"]), (&json!(2), &json!(true)));
    let before = world.head().await;
    let named = root.patch("/api/settings/system_name", json!({"value": "Acme"})).await;
    assert_eq!((&named.body["config_seq"], world.head().await), (&json!(null), before), "relays need not know");
    assert_eq!(world.anonymous().get("/api/status").await.body["data"]["system_name"], "Acme");
    assert_eq!(root.get("/api/settings/nothing").await.refusal(), (404, "not_found"));
    let script = root.token(&["read", "write", "money"]).await;
    assert_eq!(script.patch(path, json!({"value": 5})).await.refusal(), (403, "scope_missing"));
}

#[tokio::test]
async fn nobody_is_behind_when_there_is_no_relay() {
    let (world, root) = World::set_up().await;
    let (_, ana) = world.member(&root, "ana", "user").await;
    assert_eq!(root.get("/api/relays").await.body, json!({"items": [], "next_cursor": null}));
    let applied = root.get("/api/relays/applied?seq=1").await;
    assert_eq!(applied.body, json!({"seq": 1, "applied": 0, "total": 0, "is_live_everywhere": true, "lagging": []}));
    assert_eq!(ana.get("/api/relays/applied?seq=1").await.body["lagging"], json!(null));
    assert_eq!(ana.get("/api/relays").await.refusal(), (403, "role_too_low"));
    assert_eq!(root.get("/api/relays/applied").await.fields(), [("seq", "required")]);
}
