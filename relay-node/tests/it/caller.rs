//! Who may call: every form of the key, every check of the token, every verdict about money.

use reqwest::Method;
use serde_json::{Value, json};
use sluice_domain::{AccountId, GroupName, Outcome, Status, UnixMillis};
use sluice_snapshot::Token;
use sluice_testkit::client::{Answer, send};
use sluice_testkit::simulator::{Scenario, Simulator, SimulatorConfig};

use crate::relay::{ADMIN_KEY, CAP, KEY, TestRelay, WALLET, World, channel, group, token};

const CHAT: &str = "/v1/chat/completions";

fn simulator() -> Simulator {
    Simulator::start(SimulatorConfig::default())
}

fn hello() -> Value {
    json!({"model": "gpt-4o", "messages": [{"role": "user", "content": "hello there"}]})
}

async fn with_headers(relay: &TestRelay, headers: &[(&str, &str)]) -> Answer {
    let request = relay.anonymous().request(Method::POST, CHAT).json(&hello());
    send(headers.iter().fold(request, |request, (name, value)| request.header(*name, *value))).await.unwrap()
}

#[tokio::test]
async fn every_form_of_the_key_is_the_same_token() {
    let upstream = simulator();
    let relay = World::with_upstream(&upstream.base_url()).start().await;
    let (bare, prefixed) = (KEY.to_owned(), format!("sk-{KEY}"));
    let forms = [
        ("authorization", prefixed.clone()),
        ("authorization", bare.clone()),
        ("authorization", format!("Bearer {bare}")),
        ("authorization", format!("bearer {prefixed}")),
        ("x-api-key", prefixed.clone()),
        ("x-goog-api-key", prefixed.clone()),
        ("api-key", prefixed.clone()),
    ];
    for (name, value) in &forms {
        let answer = with_headers(&relay, &[(name, value)]).await;
        assert_eq!(answer.status, 200, "{name}: {}", answer.text());
    }
    let records = relay.wait_for_records(forms.len()).await;
    assert!(records.iter().all(|record| record.token_id.get() == 1));

    // These two forms belong to interfaces without a body: being somebody is enough there.
    let by_query = relay.anonymous().get(&format!("/v1/models?key={prefixed}")).await;
    assert_eq!(by_query.status, 200, "{}", by_query.text());
    let upgrade = relay
        .anonymous()
        .request(Method::GET, "/v1/realtime")
        .header("connection", "upgrade")
        .header("upgrade", "websocket")
        .header("sec-websocket-protocol", format!("realtime, openai-insecure-api-key.{prefixed}, openai-beta.realtime-v1"));
    assert_eq!(send(upgrade).await.unwrap().status, 501, "known, and not served");
}

#[tokio::test]
async fn a_missing_or_unknown_key_is_a_401_that_shows_nothing_of_it() {
    let upstream = simulator();
    let relay = World::with_upstream(&upstream.base_url()).start().await;
    for (headers, code) in [
        (vec![], "invalid_api_key"),
        (vec![("authorization", "Bearer ")], "invalid_api_key"),
        (vec![("authorization", "Bearer sk-nobodyknowsthiskey")], "invalid_api_key"),
        (vec![("authorization", "Basic dXNlcjpwYXNz")], "invalid_api_key"),
    ] {
        let answer = with_headers(&relay, &headers).await;
        assert_eq!(answer.status, 401, "{headers:?}");
        let error = &answer.json()["error"];
        assert_eq!((&error["code"], &error["type"]), (&json!(code), &json!("invalid_request_error")));
        assert!(!answer.text().contains("nobody") && !answer.text().contains("dXNl"), "{}", answer.text());
    }
    assert!(relay.records().await.is_empty());
    assert!(upstream.log().is_empty());
}

#[tokio::test]
async fn a_relay_that_knows_nothing_yet_says_503_and_never_401() {
    let upstream = simulator();
    let relay = World { is_configured: false, ..World::with_upstream(&upstream.base_url()) }.start().await;
    let answer = relay.caller().post(CHAT, &hello()).await;
    assert_eq!((answer.status.as_u16(), answer.json()["error"]["code"].as_str()), (503, Some("config_not_ready")));
    assert!(answer.header("retry-after").is_some());
    let status = relay.anonymous().get("/api/status").await;
    assert_eq!((status.status.as_u16(), &status.json()["success"]), (503, &json!(false)));
}

#[tokio::test]
async fn each_check_of_the_token_has_its_status_and_code() {
    let upstream = simulator();
    let in_group = |name: &str| Some(GroupName::parse(name).unwrap());
    let cases: Vec<(Token, u16, &str)> = vec![
        (Token { status: Status::Disabled, ..token(1, 1, KEY) }, 401, "token_disabled"),
        (Token { expires_at: Some(UnixMillis(1)), ..token(1, 1, KEY) }, 401, "token_expired"),
        (Token { ip_allow: vec!["198.51.100.0/24".parse().unwrap()], ..token(1, 1, KEY) }, 403, "access_denied"),
        (Token { group: in_group("staff"), ..token(1, 1, KEY) }, 403, "group_not_allowed"),
        (Token { group: in_group("gone"), ..token(1, 1, KEY) }, 403, "group_not_found"),
        (Token { group: in_group("auto"), ..token(1, 1, KEY) }, 503, "no_available_channel"),
        (Token { models: Some(vec![]), ..token(1, 1, KEY) }, 403, "model_not_allowed"),
        (Token { capped: true, ..token(1, 1, KEY) }, 403, "token_quota_exhausted"),
        (Token { uses_account_id: Some(sluice_domain::AccountId::new(999)), ..token(1, 1, KEY) }, 403, "token_uses_exhausted"),
    ];
    for (token, status, code) in cases {
        let mut world = World::with_upstream(&upstream.base_url());
        world.tokens[0] = token;
        world.groups = vec![group("default", "1", &["gone"]), group("staff", "1", &[])];
        let relay = world.start().await;
        let answer = relay.caller().post(CHAT, &hello()).await;
        assert_eq!((answer.status.as_u16(), answer.json()["error"]["code"].as_str()), (status, Some(code)));
        assert!(relay.records().await.is_empty(), "{code}: refused before it was admitted");
    }
    assert!(upstream.log().is_empty());
}

#[tokio::test]
async fn a_banned_owner_is_told_so_in_every_dialect() {
    let upstream = simulator();
    let mut world = World::with_upstream(&upstream.base_url());
    world.users[0].status = Status::Disabled;
    let relay = world.start().await;
    let caller = relay.caller();
    let at = async |path: &str| caller.post(path, &hello()).await.json();
    assert_eq!(at(CHAT).await["error"]["code"], "user_disabled");
    assert_eq!(at("/v1/messages").await["error"]["type"], "permission_error");
    assert_eq!(at("/v1beta/models/gemini-2.5-pro:generateContent").await["error"]["status"], "PERMISSION_DENIED");
    assert_eq!(at("/mj/submit/imagine").await["code"], 4);
    assert_eq!(at("/suno/submit/music").await["code"], "forbidden");
}

#[tokio::test]
async fn the_address_list_goes_by_trusted_proxies_and_cannot_be_talked_past() {
    let upstream = simulator();
    let allow = ["192.0.2.0/24", "2001:db8::/32", "198.51.100.7/32"].map(|net| net.parse().unwrap()).to_vec();
    let mut world = World::with_upstream(&upstream.base_url());
    world.tokens[0].ip_allow = allow.clone();
    let relay = world.start().await;
    let key = format!("Bearer {KEY}");
    let from = async |forwarded: &str| {
        with_headers(&relay, &[("authorization", &key), ("x-forwarded-for", forwarded)]).await.status.as_u16()
    };
    for address in ["192.0.2.9", "2001:db8::1", "198.51.100.7", "203.0.113.1, 192.0.2.9"] {
        assert_eq!(from(address).await, 200, "{address}");
    }
    for address in ["203.0.113.1", "192.0.2.9, 203.0.113.1", "2001:db9::1", "198.51.100.8", "nonsense"] {
        assert_eq!(from(address).await, 403, "{address}");
    }
    let records = relay.wait_for_records(4).await;
    assert_eq!(records[0].client_ip, "192.0.2.9");

    let mut world = World::with_upstream(&upstream.base_url());
    world.tokens[0].ip_allow = allow;
    world.adjust = |settings| settings.trusted_proxies.clear();
    let relay = world.start().await;
    let spoofed = with_headers(&relay, &[("authorization", &key), ("x-forwarded-for", "192.0.2.9")]).await;
    assert_eq!(spoofed.status, 403, "nobody is trusted to say where a caller is");
}

#[tokio::test]
async fn an_administrator_names_a_channel_and_nobody_else_does() {
    let upstream = simulator();
    let mut world = World::with_upstream(&upstream.base_url());
    world.channels.push(channel(12, &upstream.base_url()));
    let relay = world.start().await;
    let with_key = |key: String| relay.anonymous().with_key(key);

    upstream.queue(Scenario::status(500));
    let failed = with_key(format!("sk-{ADMIN_KEY}-12")).post(CHAT, &hello()).await;
    assert_eq!(failed.status, 500, "{}", failed.text());
    let record = relay.record().await;
    assert_eq!(record.attempts.len(), 1, "a pinned channel is not retried elsewhere");
    assert_eq!(record.attempts[0].channel_id.get(), 12);

    let served = with_key(format!("sk-{ADMIN_KEY}-12")).post(CHAT, &hello()).await;
    assert_eq!((served.status.as_u16(), served.header("x-sluice-channel")), (200, Some("12")));
    let plain = relay.caller().post(CHAT, &hello()).await;
    assert_eq!((plain.status.as_u16(), plain.header("x-sluice-channel")), (200, None));

    for (key, status, code) in [
        (format!("sk-{KEY}-12"), 403, "access_denied"),
        (format!("sk-{ADMIN_KEY}-99"), 400, "invalid_request"),
        (format!("sk-{ADMIN_KEY}-x"), 400, "invalid_request"),
    ] {
        let answer = with_key(key).post(CHAT, &hello()).await;
        assert_eq!((answer.status.as_u16(), answer.json()["error"]["code"].as_str()), (status, Some(code)));
    }
}

#[tokio::test]
async fn pinning_does_not_pass_the_model_list() {
    let upstream = simulator();
    let mut world = World::with_upstream(&upstream.base_url());
    world.tokens[1].models = Some(vec![crate::relay::name("mistral-large")]);
    let relay = world.start().await;
    let answer = relay.anonymous().with_key(format!("sk-{ADMIN_KEY}-1")).post(CHAT, &hello()).await;
    assert_eq!(answer.json()["error"]["code"], "model_not_allowed");
}

#[tokio::test]
async fn money_refusals_are_403_and_not_knowing_is_503() {
    let upstream = simulator();
    let refused = async |world: World| {
        let answer = world.start().await.caller().post(CHAT, &hello()).await;
        (answer.status.as_u16(), answer.json()["error"]["code"].as_str().unwrap().to_owned())
    };
    let poor = || {
        let world = World::with_upstream(&upstream.base_url());
        world.ledger.credit(WALLET, -99_999_999);
        world
    };
    assert_eq!(refused(poor()).await, (403, "insufficient_user_quota".to_owned()));

    let mut capped = World::with_upstream(&upstream.base_url());
    capped.tokens[0].capped = true;
    capped.ledger.credit(CAP, 10);
    assert_eq!(refused(capped).await, (403, "token_quota_exhausted".to_owned()));

    let frozen = World::with_upstream(&upstream.base_url());
    frozen.ledger.freeze(WALLET);
    assert_eq!(refused(frozen).await, (403, "access_denied".to_owned()));
    assert!(upstream.log().is_empty());
}

#[tokio::test]
async fn an_unreachable_ledger_is_a_503_with_a_hint_when_to_come_back() {
    let upstream = simulator();
    let world = World::with_upstream(&upstream.base_url());
    world.ledger.go_away();
    let relay = world.start().await;
    let answer = relay.caller().post(CHAT, &hello()).await;
    assert_eq!((answer.status.as_u16(), answer.json()["error"]["code"].as_str()), (503, Some("authority_unavailable")));
    assert!(answer.header("retry-after").is_some());
}

#[tokio::test]
async fn a_capped_token_pays_from_its_cap_and_from_its_owners_wallet() {
    let upstream = simulator();
    let mut world = World::with_upstream(&upstream.base_url());
    world.tokens[0].capped = true;
    world.ledger.credit(CAP, 50_000_000);
    let relay = world.start().await;
    assert_eq!(relay.caller().post(CHAT, &hello()).await.status, 200);
    let record = relay.record().await;
    for account in [CAP, WALLET] {
        let charged: i64 =
            record.charges.iter().filter(|charge| charge.account_id == AccountId::new(account)).map(|c| c.amount.get()).sum();
        assert_eq!(charged, record.quota.get(), "account {account}");
    }
    assert_eq!(record.outcome, Outcome::Completed);
}

#[tokio::test]
async fn a_request_id_is_taken_from_trusted_proxies_only() {
    let upstream = simulator();
    let world = World::with_upstream(&upstream.base_url());
    let relay = world.start().await;
    let key = format!("Bearer {KEY}");
    let named = with_headers(&relay, &[("authorization", &key), ("x-request-id", "from-proxy_1.2")]).await;
    assert_eq!(named.header("x-request-id"), Some("from-proxy_1.2"));
    assert_eq!(named.header("x-oneapi-request-id"), Some("from-proxy_1.2"));
    let odd = with_headers(&relay, &[("authorization", &key), ("x-request-id", "bad id!")]).await;
    let made = odd.header("x-request-id").unwrap();
    assert!(made.len() == 32 && made.bytes().all(|byte| byte.is_ascii_hexdigit()), "{made}");
    assert_eq!(&made[12..13], "7", "a UUIDv7");
    assert_eq!(relay.wait_for_records(2).await[0].request_id.as_str(), "from-proxy_1.2");

    let world = World { adjust: |settings| settings.trusted_proxies.clear(), ..World::with_upstream(&upstream.base_url()) };
    let relay = world.start().await;
    let spoofed = with_headers(&relay, &[("authorization", &key), ("x-request-id", "mine")]).await;
    assert_ne!(spoofed.header("x-request-id"), Some("mine"));
}
