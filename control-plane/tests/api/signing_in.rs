//! Sessions and management tokens.

use serde_json::json;
use sluice_control_plane::config::FirstRunSettings;
use sluice_control_plane::http::{Gate, GateSettings};
use sluice_limits::Rate;
use sluice_testkit::database::Engine;
use std::time::Duration;

use crate::world::{PASSWORD, World, no_limits};

#[tokio::test]
async fn a_session_lasts_until_it_is_ended() {
    let (world, root) = World::set_up().await;
    assert_eq!(root.get("/api/session").await.status, 200);
    assert_eq!(root.delete("/api/session").await.status, 204);
    assert_eq!(root.get("/api/session").await.refusal(), (401, "not_signed_in"));
    assert_eq!(world.anonymous().get("/api/session").await.refusal(), (401, "not_signed_in"));
}

#[tokio::test]
async fn a_session_ends_after_thirty_days() {
    let (world, root) = World::set_up().await;
    world.wait(30 * 86_400_000 - 1);
    assert_eq!(root.get("/api/session").await.status, 200);
    world.wait(1);
    assert_eq!(root.get("/api/session").await.refusal(), (401, "not_signed_in"));
}

#[tokio::test]
async fn the_cookie_is_out_of_reach_of_scripts_and_secure_behind_https() {
    let (world, _) = World::set_up().await;
    let body = json!({"username": "root", "password": PASSWORD});
    let plain = world.anonymous().post("/api/session", body.clone()).await;
    let cookie = plain.headers["set-cookie"].to_str().unwrap();
    assert!(cookie.contains("HttpOnly") && cookie.contains("SameSite=Lax") && !cookie.contains("Secure"), "{cookie}");
    let behind_proxy = world.anonymous().from("127.0.0.1").with("x-forwarded-proto", "https");
    let cookie = behind_proxy.post("/api/session", body.clone()).await.headers["set-cookie"].to_str().unwrap().to_owned();
    assert!(cookie.ends_with("; Secure"), "{cookie}");
    let pretending = world.anonymous().with("x-forwarded-proto", "https").post("/api/session", body).await;
    assert!(!pretending.headers["set-cookie"].to_str().unwrap().contains("Secure"));
}

#[tokio::test]
async fn signing_in_changes_the_session_id() {
    let (world, root) = World::set_up().await;
    let body = json!({"username": "root", "password": PASSWORD});
    let again = root.post("/api/session", body).await;
    let fresh = world.anonymous().with_cookie(&again);
    assert_ne!(fresh.headers["cookie"], root.headers["cookie"]);
    assert_eq!(root.get("/api/session").await.status, 401, "the id from before the sign-in is worth nothing");
    assert_eq!(fresh.get("/api/session").await.status, 200);
}

#[tokio::test]
async fn writes_by_cookie_need_the_header_and_reads_do_not() {
    let (_world, root) = World::set_up().await;
    let forged = root.clone().without("x-sluice-csrf");
    assert_eq!(forged.get("/api/users").await.status, 200);
    let body = json!({"name": "vip2", "ratio": "1"});
    assert_eq!(forged.post("/api/groups", body.clone()).await.refusal(), (403, "csrf_header_missing"));
    assert_eq!(forged.delete("/api/session").await.refusal(), (403, "csrf_header_missing"));
    assert_eq!(root.post("/api/groups", body).await.status, 201);
}

#[tokio::test]
async fn unknown_users_and_wrong_passwords_are_answered_alike() {
    let (world, root) = World::set_up().await;
    let (id, _) = world.member(&root, "ana", "user").await;
    let wrong = |username: &str| json!({"username": username, "password": "not the password"});
    let someone = world.anonymous();
    let (known, unknown) = (someone.post("/api/session", wrong("ana")).await, someone.post("/api/session", wrong("bob")).await);
    assert_eq!(known.refusal(), (401, "bad_credentials"));
    assert_eq!(unknown.body["detail"], known.body["detail"]);
    assert_eq!(root.patch(&format!("/api/users/{id}"), json!({"status": "disabled"})).await.status, 200);
    let right = someone.post("/api/session", json!({"username": "ana", "password": PASSWORD})).await;
    assert_eq!((right.refusal(), &right.body["detail"]), ((401, "bad_credentials"), &known.body["detail"]));
}

#[tokio::test]
async fn a_username_is_closed_for_a_while_after_failures_and_opens_again() {
    let (world, _) = World::set_up().await;
    let body = |password: &str| json!({"username": "ROOT", "password": password});
    let someone = world.anonymous();
    for _ in 0..Gate::FAILED_SIGN_INS {
        assert_eq!(someone.post("/api/session", body("not the password")).await.status, 401);
    }
    let closed = someone.clone().from("198.51.100.7").post("/api/session", body(PASSWORD)).await;
    assert_eq!(closed.refusal(), (429, "too_many_sign_ins"), "also from elsewhere, also with the right password");
    let secs: i64 = closed.headers["retry-after"].to_str().unwrap().parse().unwrap();
    world.wait(secs * 1_000);
    assert_eq!(someone.post("/api/session", body(PASSWORD)).await.status, 201);
}

#[tokio::test]
async fn sign_ins_are_limited_per_address() {
    let limits = GateSettings { critical: Some(Rate::new(2, Duration::from_mins(1)).unwrap()), ..no_limits() };
    let world = World::on(Engine::Sqlite, limits).await;
    let body = |name: &str| json!({"username": name, "password": "x"});
    let someone = world.anonymous();
    assert_eq!(someone.post("/api/session", body("a")).await.status, 401);
    assert_eq!(someone.post("/api/session", body("b")).await.status, 401);
    let refused = someone.post("/api/session", body("c")).await;
    assert_eq!(refused.refusal(), (429, "too_many_requests"));
    assert_eq!(refused.headers["retry-after"], "30");
    assert_eq!(someone.from("198.51.100.7").post("/api/session", body("c")).await.status, 401);
}

#[tokio::test]
async fn the_api_is_limited_per_address_seen_through_trusted_proxies() {
    let limits = GateSettings { api: Some(Rate::new(2, Duration::from_mins(1)).unwrap()), ..no_limits() };
    let world = World::on(Engine::Sqlite, limits).await;
    let behind_proxy = |address: &str| world.anonymous().from("127.0.0.1").with("x-forwarded-for", address);
    for _ in 0..2 {
        assert_eq!(behind_proxy("203.0.113.1").get("/api/status").await.status, 200);
    }
    assert_eq!(behind_proxy("203.0.113.1").get("/api/status").await.refusal(), (429, "too_many_requests"));
    assert_eq!(behind_proxy("203.0.113.2").get("/api/status").await.status, 200);
    let pretending = |address: &str| world.anonymous().with("x-forwarded-for", address);
    assert_eq!(pretending("203.0.113.7").get("/api/status").await.status, 200);
    assert_eq!(pretending("203.0.113.8").get("/api/status").await.status, 200);
    assert_eq!(pretending("203.0.113.9").get("/api/status").await.status, 429, "a stranger's header does not count");
}

#[tokio::test]
async fn whoever_is_known_has_a_budget_of_their_own_and_made_up_credentials_have_not() {
    let rate = |count| Some(Rate::new(count, Duration::from_mins(1)).unwrap());
    let world = World::on(Engine::Sqlite, GateSettings { api: rate(8), user_api: rate(5), ..no_limits() }).await;
    let root = world.root().await; // one of the address's eight
    assert_eq!(root.get("/api/session").await.status, 200); // the second proves the session, and is still the address's
    let script = root.token(&["read"]).await; // the user's first
    assert_eq!(script.get("/api/users").await.status, 200); // the third of the address proves the token
    for _ in 0..2 {
        assert_eq!(root.get("/api/session").await.status, 200);
        assert_eq!(script.get("/api/users").await.status, 200);
    }
    assert_eq!(script.get("/api/users").await.refusal(), (429, "too_many_requests"), "one budget for all their credentials");
    assert_eq!(root.from("198.51.100.7").get("/api/session").await.status, 429, "wherever they come from");

    let pretender = world.anonymous();
    for made_up in 0..5 {
        let bearer = format!("Bearer {made_up}");
        assert_eq!(pretender.clone().with("authorization", &bearer).get("/api/users").await.status, 401);
    }
    assert_eq!(pretender.with("authorization", "Bearer 9").get("/api/users").await.refusal(), (429, "too_many_requests"));
    world.wait(12_000);
    assert_eq!(script.get("/api/users").await.status, 200, "the user is not held back by the address");
}

#[tokio::test]
async fn whoever_is_disabled_demoted_or_deleted_is_so_at_once() {
    let (world, root) = World::set_up().await;
    let (id, admin) = world.member(&root, "ada", "admin").await;
    let script = admin.token(&["read"]).await;
    let path = format!("/api/users/{id}");
    assert_eq!(script.get("/api/users").await.status, 200);
    root.patch(&path, json!({"role": "user"})).await;
    assert_eq!(admin.get("/api/users").await.refusal(), (403, "role_too_low"));
    assert_eq!(script.get("/api/users").await.refusal(), (403, "role_too_low"));
    root.patch(&path, json!({"status": "disabled"})).await;
    assert_eq!(admin.get("/api/session").await.refusal(), (401, "not_signed_in"));
    assert_eq!(script.get("/api/session").await.refusal(), (401, "bad_management_token"));
    root.patch(&path, json!({"status": "enabled"})).await;
    assert_eq!(admin.get("/api/session").await.status, 401, "sessions ended for good");
    assert_eq!(script.get("/api/session").await.status, 200);
    root.delete(&path).await;
    assert_eq!(script.get("/api/session").await.refusal(), (401, "bad_management_token"));
}

#[tokio::test]
async fn a_management_token_does_what_its_scopes_say_until_it_ends() {
    let (world, root) = World::set_up().await;
    let body = json!({"name": "ci", "scopes": ["read", "read"], "expires_at": "2026-09-21T14:14:20Z"});
    let made = root.post("/api/management-tokens", body).await;
    assert_eq!((made.status, &made.body["scopes"]), (201, &json!(["read"])));
    let secret = made.body["secret"].as_str().unwrap();
    assert!(secret.starts_with("slm_") && secret.len() == 52, "{secret}");
    let script = world.anonymous().with("authorization", &format!("bearer {secret}"));
    assert_eq!(script.get("/api/users").await.status, 200);
    assert_eq!(script.post("/api/groups", json!({"name": "x"})).await.refusal(), (403, "scope_missing"));
    let listed = root.get("/api/management-tokens").await;
    assert_eq!(listed.body["items"][0]["last_used_at"], "2026-09-21T14:13:20Z");
    assert!(!listed.text.contains(secret));
    world.wait(60_000);
    assert_eq!(script.get("/api/users").await.refusal(), (401, "bad_management_token"));
}

#[tokio::test]
async fn a_management_token_cannot_make_one_that_may_do_more() {
    let (_world, root) = World::set_up().await;
    let script = root.token(&["read", "write"]).await;
    let body = |scopes: &[&str]| json!({"name": "more", "scopes": scopes});
    assert_eq!(script.post("/api/management-tokens", body(&["money"])).await.refusal(), (403, "scope_missing"));
    let made = script.post("/api/management-tokens", body(&["read"])).await;
    assert_eq!(made.status, 201);
    let path = format!("/api/management-tokens/{}", made.id());
    assert_eq!(root.delete(&path).await.status, 204);
    assert_eq!(root.get(&path).await.refusal(), (404, "not_found"));
}

#[tokio::test]
async fn a_management_token_cannot_make_one_that_lasts_longer() {
    let (world, root) = World::set_up().await;
    let body = json!({"name": "ci", "scopes": ["read", "write"], "expires_at": "2026-09-21T14:14:20Z"});
    let made = root.post("/api/management-tokens", body).await;
    let bearer = format!("Bearer {}", made.body["secret"].as_str().unwrap());
    let script = world.anonymous().with("authorization", &bearer);
    for (asked, given) in [
        (json!(null), "2026-09-21T14:14:20Z"),
        (json!("2030-01-01T00:00:00Z"), "2026-09-21T14:14:20Z"),
        (json!("2026-09-21T14:13:50Z"), "2026-09-21T14:13:50Z"),
    ] {
        let made = script.post("/api/management-tokens", json!({"name": "m", "scopes": ["read"], "expires_at": asked})).await;
        assert_eq!((made.status, &made.body["expires_at"]), (201, &json!(given)), "{asked}");
    }
}

#[tokio::test]
async fn root_without_password_is_given_one_by_a_management_token_with_every_scope_only() {
    let world = World::fresh().await;
    let settings =
        FirstRunSettings { root_access_token: Some("a-management-token-of-mine".into()), ..FirstRunSettings::default() };
    world.start(&settings).await;
    let every = world.anonymous().with("authorization", "Bearer a-management-token-of-mine");
    let some = every.token(&["read", "write", "money"]).await;
    let own = json!({"password": PASSWORD, "current_password": "anything"});
    assert_eq!(some.patch("/api/users/me", own.clone()).await.refusal(), (403, "scope_missing"));
    assert_eq!(some.patch("/api/users/1", own).await.refusal(), (403, "scope_missing"));
    assert_eq!(every.patch("/api/users/me", json!({"password": PASSWORD})).await.status, 200);
    world.sign_in("root").await;
}

#[tokio::test]
async fn an_authorization_header_counts_even_beside_a_good_session() {
    let (_world, root) = World::set_up().await;
    for value in ["Bearer nonsense", "Basic cm9vdDp4", "Bearer", "Bearer "] {
        let confused = root.clone().with("authorization", value);
        assert_eq!(confused.get("/api/session").await.refusal(), (401, "bad_management_token"), "{value}");
    }
}
