//! Input that is wrong in every way: each is refused with its status, loses nothing, and panics nowhere.

use axum::http::Method;
use serde_json::json;
use sluice_testkit::database::engines;

use crate::world::{World, no_limits};

/// Writes with the shape of a good body, for tables over all of them.
const WRITES: [(&str, &str); 8] = [
    ("POST", "/api/users"),
    ("PATCH", "/api/users/me"),
    ("POST", "/api/tokens"),
    ("POST", "/api/channels"),
    ("POST", "/api/groups"),
    ("POST", "/api/prices"),
    ("PATCH", "/api/settings/retry_times"),
    ("POST", "/api/users/1/adjustments"),
];

#[tokio::test]
async fn bodies_that_are_no_json_are_refused_before_anything_is_done() {
    let (world, root) = World::set_up().await;
    let before = world.head().await;
    let nested = [b"{\"name\":".repeat(10_000), b"[".repeat(10_000)].concat();
    let large = format!("{{\"name\":\"{}\"}}", "x".repeat(1 << 20)).into_bytes();
    for (method, path) in WRITES {
        let method: Method = method.parse().unwrap();
        let send = async |body: Vec<u8>| root.send(method.clone(), path, body).await;
        for body in [&b"{"[..], b"{\"name\":}", b"nul", b"{} {}", b"{\"name\":\"\xff\xfe\"}", b"\xef\xbb\xbf{}", b"'x'"] {
            let reply = send(body.to_vec()).await;
            assert_eq!(reply.refusal(), (400, "bad_json"), "{path} {:?}", String::from_utf8_lossy(body));
        }
        assert_eq!(send(nested.clone()).await.refusal(), (400, "too_deep"), "{path}");
        assert_eq!(send(large.clone()).await.refusal(), (413, "body_too_large"), "{path}");
        for body in [json!([]), json!("text"), json!(1), json!(null)] {
            assert_eq!(send(body.to_string().into_bytes()).await.refusal(), (422, "invalid"), "{path} {body}");
        }
        let reply = send(br#"{"surprise": 1}"#.to_vec()).await;
        assert_eq!(reply.fields()[0], ("surprise", "unknown_field"), "{path}: {}", reply.text);
        let text = root.clone().with("content-type", "text/plain").send(method, path, b"{}".to_vec()).await;
        assert_eq!(text.refusal(), (415, "not_json"), "{path}");
    }
    assert_eq!(world.head().await, before);
}

#[tokio::test]
async fn values_of_another_type_are_named_by_their_field() {
    let (_world, root) = World::set_up().await;
    for (method, path, body, field) in [
        ("POST", "/api/users", json!({"username": 1}), "username"),
        ("POST", "/api/users", json!({"username": "a", "role": "god"}), "role"),
        ("POST", "/api/users", json!({"username": "a", "role": "god"}), "role"),
        ("PATCH", "/api/users/me", json!({"email": ["a"]}), "email"),
        ("POST", "/api/tokens", json!({"name": "a", "quota": "10"}), "quota"),
        ("POST", "/api/tokens", json!({"name": "a", "quota": 1.5}), "quota"),
        ("POST", "/api/tokens", json!({"name": "a", "quota": 1e30}), "quota"),
        ("POST", "/api/tokens", json!({"name": "a", "models": ["a", 2]}), "models[1]"),
        ("POST", "/api/tokens", json!({"name": "a", "expires_at": "tomorrow"}), "expires_at"),
        ("POST", "/api/tokens", json!({"name": "a", "expires_at": 1_790_000_000}), "expires_at"),
        ("POST", "/api/channels", json!({"name": "a", "provider": "openai", "models": "gpt-4o"}), "models"),
        (
            "POST",
            "/api/channels",
            json!({"name": "a", "provider": "openai", "models": ["m"], "model_mapping": {"a": 1}}),
            "model_mapping.a",
        ),
        ("POST", "/api/groups", json!({"name": "a", "ratio": true}), "ratio"),
        ("POST", "/api/groups", json!({"name": "a", "ratio": {"a": 1}}), "ratio"),
        ("POST", "/api/prices", json!({"model": "a", "model_ratio": [1]}), "model_ratio"),
        ("POST", "/api/users/1/adjustments", json!({"amount": "5", "reason": "r"}), "amount"),
        ("POST", "/api/management-tokens", json!({"name": "a", "scopes": ["everything"]}), "scopes[0]"),
    ] {
        let reply = root.send(method.parse().unwrap(), path, body.to_string().into_bytes()).await;
        assert_eq!(reply.status, 422, "{path} {body}: {}", reply.text);
        assert_eq!(reply.fields(), [(field, "wrong_type")], "{path} {body}");
    }
}

#[tokio::test]
async fn fields_that_are_missing_are_named() {
    let (_world, root) = World::set_up().await;
    for (path, fields) in [
        ("/api/users", "username"),
        ("/api/tokens", "name"),
        ("/api/channels", "name"),
        ("/api/groups", "name"),
        ("/api/prices", "model"),
        ("/api/users/1/adjustments", "amount"),
        ("/api/management-tokens", "name"),
    ] {
        assert_eq!(root.post(path, json!({})).await.fields(), [(fields, "required")], "{path}");
    }
    assert_eq!(root.patch("/api/settings/retry_times", json!({})).await.fields(), [("value", "required")]);
}

#[tokio::test]
async fn numbers_that_are_negative_or_overflow_are_refused_with_the_rule() {
    let (world, root) = World::set_up().await;
    let before = world.head().await;
    for value in
        [json!(-1), json!(11), json!(2.5), json!(9_223_372_036_854_775_807_i64), json!(1e300), json!("2"), json!(true), json!([])]
    {
        let reply = root.patch("/api/settings/retry_times", json!({"value": value})).await;
        assert_eq!((reply.status, reply.fields()), (422, vec![("value", "rule")]), "{value}");
        assert!(reply.body["detail"].as_str().unwrap().contains("from 0 to 10"), "{}", reply.text);
    }
    let gift = "/api/settings/quota_for_new_user";
    for value in [json!(-1), json!(9_007_199_254_740_992_i64), json!(u64::MAX)] {
        assert_eq!(root.patch(gift, json!({"value": value})).await.status, 422, "{value}");
    }
    for figure in ["-1", "-0.000001", "1000001", "1e30", "1e-30", "NaN", "Infinity", "", "1,5", "0x10", "1.2.3"] {
        for field in ["model_ratio", "usd_per_1m_input", "completion_ratio", "per_call_usd"] {
            let reply = root.patch("/api/prices/gpt-4o", json!({field: figure})).await;
            let allowed = field == "usd_per_1m_input" && figure == "1000001";
            assert_eq!(reply.status, if allowed { 200 } else { 422 }, "{field} {figure}: {}", reply.text);
        }
        let reply = root.patch("/api/groups/vip", json!({"ratio": figure})).await;
        assert_eq!((reply.status, reply.fields()), (422, vec![("ratio", "ratio")]), "{figure}");
    }
    for number in ["-1", "1e400", "99999999999999999999999999"] {
        let body = format!(r#"{{"model_ratio": {number}}}"#).into_bytes();
        let reply = root.send(Method::PATCH, "/api/prices/gpt-4o", body).await;
        assert_eq!((reply.status, reply.fields()), (422, vec![("model_ratio", "decimal")]), "{number}: {}", reply.text);
    }
    assert_eq!(world.head().await, before + 1, "only the one that was allowed");
}

#[tokio::test]
async fn an_exact_decimal_stays_exact_as_text_and_as_number() {
    let (_world, root) = World::set_up().await;
    for body in [&br#"{"ratio": 0.123456789012345678}"#[..], br#"{"ratio": "0.123456789012345678"}"#] {
        let reply = root.send(Method::PATCH, "/api/groups/vip", body.to_vec()).await;
        assert_eq!(reply.body["ratio"], "0.123456789012345678", "{}", reply.text);
    }
}

#[tokio::test]
async fn queries_and_paths_that_make_no_sense_are_refused() {
    let (_world, root) = World::set_up().await;
    for (query, field, code) in [
        ("limit=0", "limit", "range"),
        ("limit=101", "limit", "range"),
        ("limit=x", "limit", "wrong_type"),
        ("limit=-1", "limit", "wrong_type"),
        ("cursor=!", "cursor", "unreadable"),
        ("sort=password_hash", "sort", "choice"),
        ("count=all", "count", "wrong_type"),
        ("nothing=1", "nothing", "unknown_field"),
        ("limit=1&limit=2", "limit", "twice"),
        ("status=on", "status", "wrong_type"),
    ] {
        let reply = root.get(&format!("/api/users?{query}")).await;
        assert_eq!((reply.status, reply.fields()), (422, vec![(field, code)]), "{query}: {}", reply.text);
    }
    for path in ["/api/users/abc", "/api/users/99999999999999999999", "/api/tokens/1.5", "/api/channels/-1", "/api/requests/%00"]
    {
        assert_eq!(root.get(path).await.refusal(), (404, "not_found"), "{path}");
    }
    assert_eq!(root.get("/api/requests?finished_at.gte=yesterday").await.fields(), [("finished_at.gte", "wrong_type")]);
    assert_eq!(root.get("/api/requests?user_id=everybody").await.fields(), [("user_id", "wrong_type")]);
}

#[tokio::test]
async fn headers_that_cannot_be_read_are_refused() {
    let (_world, root) = World::set_up().await;
    let body = json!({"name": "t"});
    let long = "k".repeat(129);
    for key in ["", &long, "é"] {
        let reply = root.clone().with("idempotency-key", key).post("/api/tokens", body.clone()).await;
        assert_eq!(reply.refusal(), (400, "bad_header"), "{key:?}");
    }
    for cookie in ["sluice_session=", "sluice_session=nonsense", "sluice_session=AAAAAAAAAAAAAAAAAAAAAA", "; ; ="] {
        let reply = root.clone().with("cookie", cookie).get("/api/session").await;
        assert_eq!(reply.refusal(), (401, "not_signed_in"), "{cookie}");
    }
}

#[tokio::test]
async fn texts_with_every_sign_come_back_as_they_went() {
    let (_world, root) = World::set_up().await;
    let name = "' OR 1=1; -- \" \\ % _ <script>🙂 كلمة";
    let made = root.post("/api/tokens", json!({"name": name})).await;
    assert_eq!((made.status, made.body["name"].as_str().unwrap()), (201, name));
    let found = root.get("/api/tokens?q=%25%20_").await;
    assert_eq!(found.body["items"].as_array().unwrap().len(), 1);
    assert_eq!(root.get("/api/tokens?q=%25%25").await.body["items"], json!([]));
    for control in ["a\u{1}b", "a\nb", "a\u{7f}b"] {
        assert_eq!(root.post("/api/tokens", json!({"name": control})).await.fields(), [("name", "characters")], "{control:?}");
    }
}

#[tokio::test]
async fn the_character_nul_is_refused_everywhere_on_every_engine() {
    for engine in engines() {
        let world = World::on(engine, no_limits()).await;
        let root = world.root().await;
        for body in [json!({"username": "a\0b", "password": "x"}), json!({"username": "a", "password": "x\0"})] {
            assert_eq!(world.anonymous().post("/api/session", body).await.refusal(), (400, "bad_json"), "{engine}");
        }
        let footer = json!({"value": "<b>\u{1}</b>"});
        assert_eq!(root.patch("/api/settings/footer_html", footer).await.fields(), [("value", "rule")], "{engine}");
        for query in ["q=a%00b", "group=%00", "sort=%00"] {
            let reply = root.get(&format!("/api/users?{query}")).await;
            assert_eq!((reply.status, reply.fields()[0].1), (422, "characters"), "{engine} {query}");
        }
        for path in ["/api/groups/a%00", "/api/prices/%00", "/api/requests/%00", "/api/settings/%00", "/api/users/%00"] {
            assert_eq!(root.get(path).await.refusal(), (404, "not_found"), "{engine} {path}");
        }
        for bytes in ["%ff", "%c3%28"] {
            assert_eq!(root.get(&format!("/api/groups/{bytes}")).await.status, 404, "{engine} {bytes}");
            assert_eq!(root.get(&format!("/api/users?q={bytes}")).await.status, 200, "{engine} {bytes}");
        }
    }
}
