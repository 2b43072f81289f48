//! Who may call what: every route of the description with every kind of caller.

use std::collections::BTreeSet;

use axum::http::Method;
use serde_json::json;
use sluice_control_plane::http::description;

use crate::world::{Client, World};

/// One route: method, path with real ids, body, and the statuses for nobody, a user, an administrator, root, and root's management
/// token without the scope it needs.
type Row = (&'static str, &'static str, &'static str, &'static str, [u16; 5]);

/// `{user}`, `{token}`, `{channel}` stand for objects of somebody else; `{own}` for a management token of the caller.
const TABLE: [Row; 71] = [
    // anybody
    ("get_status", "GET", "/api/status", "", [200, 200, 200, 200, 200]),
    ("get_openapi", "GET", "/api/openapi.json", "", [200, 200, 200, 200, 200]),
    (
        "set_up",
        "POST",
        "/api/setup",
        r#"{"secret":"x","username":"u","password":"kettle harbour violin"}"#,
        [410, 410, 410, 410, 410],
    ),
    ("sign_in", "POST", "/api/session", r#"{"username":"nobody","password":"x"}"#, [401, 401, 401, 401, 401]),
    // everybody who is signed in
    ("get_session", "GET", "/api/session", "", [401, 200, 200, 200, 403]),
    ("list_management_tokens", "GET", "/api/management-tokens", "", [401, 200, 200, 200, 403]),
    ("create_management_token", "POST", "/api/management-tokens", r#"{"name":"n","scopes":["read"]}"#, [401, 201, 201, 201, 403]),
    ("get_management_token", "GET", "/api/management-tokens/999", "", [401, 404, 404, 404, 403]),
    ("delete_management_token", "DELETE", "/api/management-tokens/999", "", [401, 404, 404, 404, 403]),
    ("list_groups", "GET", "/api/groups", "", [401, 200, 200, 200, 403]),
    ("get_group", "GET", "/api/groups/default", "", [401, 200, 200, 200, 403]),
    ("list_models", "GET", "/api/models", "", [401, 200, 200, 200, 403]),
    ("list_prices", "GET", "/api/prices", "", [401, 200, 200, 200, 403]),
    ("get_price", "GET", "/api/prices/gpt-4o", "", [401, 200, 200, 200, 403]),
    ("list_price_history", "GET", "/api/prices/gpt-4o/history", "", [401, 200, 200, 200, 403]),
    ("get_applied", "GET", "/api/relays/applied?seq=1", "", [401, 200, 200, 200, 403]),
    // one's own, or anybody's for administrators
    ("get_user", "GET", "/api/users/{user}", "", [401, 404, 200, 200, 403]),
    ("get_balance", "GET", "/api/users/{user}/balance", "", [401, 404, 200, 200, 403]),
    ("list_ledger", "GET", "/api/users/{user}/ledger", "", [401, 404, 200, 200, 403]),
    ("list_user_tokens", "GET", "/api/users/{user}/tokens", "", [401, 404, 200, 200, 403]),
    ("list_tokens", "GET", "/api/tokens", "", [401, 200, 200, 200, 403]),
    ("get_token", "GET", "/api/tokens/{token}", "", [401, 404, 200, 200, 403]),
    ("create_token", "POST", "/api/tokens", r#"{"name":"t","user_id":{user}}"#, [401, 404, 201, 201, 403]),
    ("patch_token", "PATCH", "/api/tokens/{token}", r#"{"name":"t"}"#, [401, 404, 200, 200, 403]),
    ("rotate_token", "POST", "/api/tokens/{token}/rotate", "{}", [401, 404, 200, 200, 403]),
    ("reveal_token", "POST", "/api/tokens/{token}/reveal", "{}", [401, 404, 404, 404, 403]),
    ("patch_user", "PATCH", "/api/users/{user}", r#"{"display_name":"d"}"#, [401, 404, 200, 200, 403]),
    ("list_requests", "GET", "/api/requests", "", [401, 200, 200, 200, 403]),
    ("get_request", "GET", "/api/requests/none", "", [401, 404, 404, 404, 403]),
    // administrators
    ("list_users", "GET", "/api/users", "", [401, 403, 200, 200, 403]),
    ("create_user", "POST", "/api/users", r#"{"username":"{fresh}"}"#, [401, 403, 201, 201, 403]),
    (
        "create_user",
        "POST",
        "/api/users",
        r#"{"username":"{fresh}-p","password":"kettle harbour violin"}"#,
        [401, 403, 201, 201, 403],
    ),
    ("create_user", "POST", "/api/users", r#"{"username":"{fresh}-a","role":"admin"}"#, [401, 403, 403, 201, 403]),
    ("patch_user", "PATCH", "/api/users/{user}", r#"{"password":"kettle harbour violin"}"#, [401, 404, 200, 200, 403]),
    ("patch_user", "PATCH", "/api/users/{user}", r#"{"role":"admin"}"#, [401, 404, 403, 200, 200]),
    ("patch_user", "PATCH", "/api/users/{user}", r#"{"role":"user"}"#, [401, 404, 403, 200, 200]),
    ("create_adjustment", "POST", "/api/users/{user}/adjustments", r#"{"amount":1,"reason":"r"}"#, [401, 403, 201, 201, 403]),
    ("create_group", "POST", "/api/groups", r#"{"name":"{fresh}"}"#, [401, 403, 201, 201, 403]),
    ("patch_group", "PATCH", "/api/groups/vip", r#"{"ratio":"2"}"#, [401, 403, 200, 200, 403]),
    ("delete_group", "DELETE", "/api/groups/none", "", [401, 403, 404, 404, 403]),
    ("list_channels", "GET", "/api/channels", "", [401, 403, 200, 200, 403]),
    (
        "create_channel",
        "POST",
        "/api/channels",
        r#"{"name":"c","provider":"openai","key":"k","models":["m"]}"#,
        [401, 403, 201, 201, 403],
    ),
    ("get_channel", "GET", "/api/channels/{channel}", "", [401, 403, 200, 200, 403]),
    ("patch_channel", "PATCH", "/api/channels/{channel}", r#"{"weight":2}"#, [401, 403, 200, 200, 403]),
    ("delete_channel", "DELETE", "/api/channels/999", "", [401, 403, 404, 404, 403]),
    ("test_channels", "POST", "/api/channels/test", "", [401, 403, 202, 202, 403]),
    ("test_channel", "POST", "/api/channels/999/test", "{}", [401, 403, 404, 404, 403]),
    ("fetch_channel_models", "POST", "/api/channels/999/models", "", [401, 403, 404, 404, 403]),
    ("ask_channel_balance", "POST", "/api/channels/999/balance", "", [401, 403, 404, 404, 403]),
    ("list_errands", "GET", "/api/errands", "", [401, 403, 200, 200, 403]),
    ("get_errand", "GET", "/api/errands/999", "", [401, 403, 404, 404, 403]),
    ("list_providers", "GET", "/api/providers", "", [401, 403, 200, 200, 403]),
    ("get_provider", "GET", "/api/providers/openai", "", [401, 403, 200, 200, 403]),
    ("create_provider", "POST", "/api/providers", r#"{"definition":{}}"#, [401, 403, 422, 422, 403]),
    ("patch_provider", "PATCH", "/api/providers/nobody", r#"{"definition":{}}"#, [401, 403, 422, 422, 403]),
    ("delete_provider", "DELETE", "/api/providers/nobody", "", [401, 403, 404, 404, 403]),
    ("create_price", "POST", "/api/prices", r#"{"model":"{fresh}","model_ratio":"1"}"#, [401, 403, 201, 201, 403]),
    ("patch_price", "PATCH", "/api/prices/gpt-4o", r#"{"model_ratio":"1"}"#, [401, 403, 200, 200, 403]),
    ("delete_price", "DELETE", "/api/prices/none", "", [401, 403, 404, 404, 403]),
    ("list_relays", "GET", "/api/relays", "", [401, 403, 200, 200, 403]),
    ("get_reconciliation", "GET", "/api/reconciliation", "", [401, 403, 200, 200, 403]),
    ("list_doubted_leases", "GET", "/api/doubted-leases", "", [401, 403, 200, 200, 403]),
    ("release_lease", "POST", "/api/doubted-leases/999/release", "{}", [401, 403, 404, 404, 403]),
    ("list_quarantine", "GET", "/api/quarantine", "", [401, 403, 200, 200, 403]),
    ("retry_quarantined", "POST", "/api/quarantine/999/retry", "{}", [401, 403, 404, 404, 403]),
    ("discard_quarantined", "POST", "/api/quarantine/999/discard", "{}", [401, 403, 404, 404, 403]),
    ("list_settings", "GET", "/api/settings", "", [401, 403, 200, 200, 403]),
    ("get_setting", "GET", "/api/settings/retry_times", "", [401, 403, 200, 200, 403]),
    ("list_notifications", "GET", "/api/notifications", "", [401, 403, 200, 200, 403]),
    ("list_audit", "GET", "/api/audit", "", [401, 403, 200, 200, 403]),
    // root
    ("patch_setting", "PATCH", "/api/settings/retry_times", r#"{"value":3}"#, [401, 403, 403, 200, 403]),
];

/// Routes that end what the table is tried on, so they are tried apart, with the same columns.
const ENDINGS: [Row; 4] = [
    ("reveal_channel", "POST", "/api/channels/{channel}/reveal", "{}", [401, 403, 403, 200, 403]),
    ("delete_token", "DELETE", "/api/tokens/{token}", "", [401, 404, 204, 404, 403]),
    ("delete_user", "DELETE", "/api/users/{user}", "", [401, 403, 204, 404, 403]),
    ("sign_out", "DELETE", "/api/session", "", [401, 204, 204, 204, 204]),
];

#[tokio::test]
async fn every_route_lets_in_whom_the_table_says() {
    let (world, root) = World::set_up().await;
    let (user, _) = world.member(&root, "owner", "user").await;
    let (_, member) = world.member(&root, "ana", "user").await;
    let (_, admin) = world.member(&root, "ada", "admin").await;
    let token = root.post("/api/tokens", json!({"name": "t", "user_id": user})).await.id();
    let channel = json!({"name": "c", "provider": "openai", "key": "k", "models": ["m"]});
    let channel = root.post("/api/channels", channel).await.id();

    for (name, method, path, body, expected) in TABLE.into_iter().chain(ENDINGS) {
        let scopes: &[&str] = match (name, method) {
            ("create_adjustment" | "release_lease" | "retry_quarantined" | "discard_quarantined", _) => {
                &["read", "write", "settings"]
            }
            ("patch_setting", _) => &["read", "write", "money"],
            // what gives somebody a way in, or a higher role, needs every scope
            ("create_user" | "patch_user", _) if body.contains("password") || body.contains("role") => {
                &["read", "write", "settings"]
            }
            (_, "GET") => &["write", "money", "settings"],
            _ => &["read", "money", "settings"],
        };
        let script = root.token(scopes).await;
        let callers = [&world.anonymous(), &member, &admin, &root, &script];
        for (place, (caller, expected)) in callers.into_iter().zip(expected).enumerate() {
            let fill = |text: &str| {
                let text = text.replace("{user}", &user.to_string()).replace("{token}", &token.to_string());
                text.replace("{channel}", &channel.to_string()).replace("{fresh}", &format!("{name}-{place}"))
            };
            let status = status_of(caller, method, &fill(path), &fill(body)).await;
            assert_eq!(
                status,
                expected,
                "{name} by {}",
                ["nobody", "a user", "an administrator", "root", "a token without scope"][place]
            );
        }
    }
}

async fn status_of(caller: &Client, method: &str, path: &str, body: &str) -> u16 {
    let method: Method = method.parse().unwrap();
    let reply = caller.send(method, path, body.as_bytes().to_vec()).await;
    if reply.status >= 400 && path != "/api/status" {
        reply.refusal();
    }
    reply.status
}

#[test]
fn the_table_has_every_route_of_the_description() {
    let json = serde_json::to_value(description()).unwrap();
    let methods = json["paths"].as_object().unwrap().values().flat_map(|methods| methods.as_object().unwrap().values());
    let described: BTreeSet<&str> = methods.map(|operation| operation["operationId"].as_str().unwrap()).collect();
    let tabled: BTreeSet<&str> = TABLE.iter().chain(&ENDINGS).map(|row| row.0).collect();
    assert_eq!(described, tabled);
}
