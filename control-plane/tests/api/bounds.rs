//! What surrounds every route: status, errors, headers, the console.

use std::time::Duration;

use axum::http::Method;
use sea_orm::SqlxPostgresConnector;
use serde_json::json;
use sluice_control_plane::db::{Db, PoolSettings};
use sluice_control_plane::http::{GateSettings, description};
use sluice_limits::Rate;
use sluice_testkit::database::Engine;
use sqlx::postgres::{PgConnectOptions, PgPoolOptions};

use crate::world::{World, no_limits};

#[tokio::test]
async fn status_has_the_familys_shape_and_turns_when_the_process_leaves() {
    let world = World::fresh().await;
    let someone = world.anonymous();
    let status = someone.get("/api/status").await;
    assert_eq!(status.status, 200);
    // health checks of the family grep for exactly this
    assert!(status.text.contains(r#""success":true"#), "{}", status.text);
    let data = &status.body["data"];
    assert_eq!((&data["quota_per_unit"], &data["start_time"]), (&json!(500_000), &json!(1_790_000_000)));
    for field in [
        "version",
        "system_name",
        "logo",
        "footer_html",
        "server_address",
        "quota_display_type",
        "top_up_link",
        "docs_link",
        "chats",
    ] {
        assert!(!data[field].is_null(), "{field}");
    }
    world.app.drain.leave();
    let leaving = someone.get("/api/status").await;
    assert_eq!((leaving.status, &leaving.body["success"]), (503, &json!(false)));
    assert_eq!(leaving.body["message"], "shutting down");
}

#[tokio::test]
async fn status_tells_when_the_database_is_gone() {
    let world = World::fresh().await;
    world.app.db.clone().close().await;
    let status = world.anonymous().get("/api/status").await;
    assert_eq!((status.status, &status.body["message"]), (503, &json!("the database cannot be reached")));
    let refused = world.anonymous().with("authorization", "Bearer x").get("/api/users").await;
    assert_eq!(refused.refusal(), (503, "database_unavailable"));
    assert_eq!(refused.headers["retry-after"], "1");
}

#[tokio::test]
async fn status_tells_soon_when_the_database_accepts_and_never_answers() {
    let world = World::fresh().await;
    let silent = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let server = PgConnectOptions::new_without_pgpass().host("127.0.0.1").port(silent.local_addr().unwrap().port());
    let pool = PgPoolOptions::new().acquire_timeout(Duration::from_mins(1)).connect_lazy_with(server);
    let someone = world
        .anonymous_on(Db::shared(SqlxPostgresConnector::from_sqlx_postgres_pool(pool), PoolSettings::default().statement_limit));
    let status = tokio::time::timeout(Duration::from_secs(30), someone.get("/api/status")).await.expect("an answer in time");
    assert_eq!((status.status, &status.body["message"]), (503, &json!("the database cannot be reached")));
}

#[tokio::test]
async fn a_page_that_is_refused_says_why() {
    let limits = GateSettings { web: Some(Rate::new(1, Duration::from_mins(1)).unwrap()), ..no_limits() };
    let world = World::on(Engine::Sqlite, limits).await;
    let someone = world.anonymous();
    assert_eq!(someone.get("/tokens").await.status, 200);
    let refused = someone.get("/tokens").await;
    assert_eq!((refused.status, &refused.headers["content-type"]), (429, &"text/plain; charset=utf-8".parse().unwrap()));
    assert!(refused.text.starts_with("Too many requests: the next one is allowed in"), "{}", refused.text);
    assert!(refused.headers.contains_key("retry-after"));
}

#[tokio::test]
async fn a_program_that_asks_the_control_plane_for_a_model_is_told_so_in_json() {
    let world = World::fresh().await;
    let someone = world.anonymous();
    for (reply, status, code) in [
        (someone.get("/v1/models").await, 404, "not_a_relay"),
        (someone.post("/v1/chat/completions", json!({})).await, 404, "not_a_relay"),
        (someone.get("/v1/dashboard/billing/credit_grants").await, 404, "no_route"),
        (someone.get("/v1/dashboard/billing/usage").await, 401, "invalid_api_key"),
    ] {
        assert_eq!((reply.status, &reply.body["error"]["code"]), (status, &json!(code)), "{}", reply.text);
        assert_eq!(reply.headers["content-type"], "application/json");
    }
    assert_eq!(someone.get("/dashboard").await.status, 200, "a page of the console");
}

#[tokio::test]
async fn every_error_has_one_shape_and_quotes_the_request() {
    let world = World::fresh().await;
    let someone = world.anonymous().from("127.0.0.1").with("x-request-id", "mine-1");
    for (reply, refusal) in [
        (someone.get("/api/nothing").await, (404, "no_route")),
        (someone.get("/api").await, (404, "no_route")),
        (someone.get("/api/").await, (404, "no_route")),
        (someone.get("/api/users").await, (401, "not_signed_in")),
        (someone.send(Method::PUT, "/api/users", Vec::new()).await, (405, "method_not_allowed")),
        (someone.post("/api/session", json!([])).await, (422, "invalid")),
    ] {
        assert_eq!(reply.refusal(), refusal, "{}", reply.text);
        assert_eq!(
            (reply.body["request_id"].as_str().unwrap(), &reply.headers["x-request-id"]),
            ("mine-1", &"mine-1".parse().unwrap())
        );
        assert!(reply.body["type"].as_str().unwrap().ends_with(refusal.1) && reply.body["title"].is_string());
    }
    let stranger = world.anonymous().with("x-request-id", "mine-1").get("/api/nothing").await;
    assert_ne!(stranger.headers["x-request-id"], "mine-1", "only proxies name requests");
    let method = someone.send(Method::PUT, "/api/users", Vec::new()).await;
    assert!(method.headers["allow"].to_str().unwrap().contains("POST"));
}

#[tokio::test]
async fn answers_carry_what_keeps_browsers_safe() {
    let world = World::fresh().await;
    for path in ["/api/status", "/", "/channels/12", "/api/nothing"] {
        let headers = world.anonymous().get(path).await.headers;
        assert_eq!(headers["x-content-type-options"], "nosniff", "{path}");
        assert_eq!(headers["x-frame-options"], "DENY", "{path}");
        assert!(headers["content-security-policy"].to_str().unwrap().contains("frame-ancestors 'none'"), "{path}");
        assert!(!headers.contains_key("access-control-allow-origin"), "{path}");
        assert!(headers.contains_key("x-sluice-build"), "{path}");
    }
    assert_eq!(world.anonymous().get("/api/status").await.headers["cache-control"], "no-store");
}

#[tokio::test]
async fn every_answer_names_the_build_of_the_console() {
    let world = World::fresh().await;
    let builds = ["/api/status", "/api/nothing", "/", "/tokens"].map(|path| {
        let someone = world.anonymous();
        async move { someone.get(path).await.headers["x-sluice-build"].to_str().unwrap().to_owned() }
    });
    let [first, rest @ ..] = builds;
    let first = first.await;
    for build in rest {
        assert_eq!(build.await, first);
    }
    let page = world.anonymous().get("/").await;
    let is_built = page.text.contains("/assets/");
    let digest = page.headers.get("etag").map(|tag| tag.to_str().unwrap().trim_matches('"')[..16].to_owned());
    assert!(if is_built { digest.as_ref() == Some(&first) } else { first == sluice_telemetry::build::VERSION }, "{first}");
}

#[tokio::test]
async fn every_page_is_the_one_page_of_the_console_and_missing_files_are_not() {
    let world = World::fresh().await;
    let someone = world.anonymous();
    let (home, deep) = (someone.get("/").await, someone.get("/users/12?tab=ledger").await);
    assert_eq!((home.status, deep.status), (200, 200));
    assert_eq!(home.text, deep.text);
    assert!(home.text.to_lowercase().contains("<!doctype html>"));
    assert_eq!(home.headers["cache-control"], "no-cache");
    assert_eq!(someone.get("/assets/of-another-build-0123abcd.js").await.status, 404);
    assert_eq!(someone.get("/..%2f..%2fCargo.toml").await.text, home.text);
    assert_eq!(someone.post("/", json!({})).await.status, 405);
}

#[tokio::test]
async fn the_description_is_served_as_it_is_committed() {
    let world = World::fresh().await;
    let served = world.anonymous().get("/api/openapi.json").await;
    assert_eq!((served.status, served.body), (200, serde_json::to_value(description()).unwrap()));
}
