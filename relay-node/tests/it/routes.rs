//! What a relay answers besides models' answers: lists, status, redirects, refusals of paths and methods, CORS.

use reqwest::Method;
use reqwest::header::LOCATION;
use serde_json::json;
use sluice_domain::{GroupName, Status};
use sluice_telemetry::build;
use sluice_testkit::client::{Answer, send};

use crate::relay::{KEY, TestRelay, World, channel, group, name};

const NOWHERE: &str = "http://127.0.0.1:9";

async fn ask(relay: &TestRelay, method: &str, path: &str) -> Answer {
    send(relay.anonymous().request(Method::from_bytes(method.as_bytes()).unwrap(), path)).await.unwrap()
}

/// Every interface of the catalogue, and the shape its errors have.
const CATALOGUE: &[(&str, &str, char)] = &[
    ("POST", "/v1/chat/completions", 'O'),
    ("POST", "/v1/completions", 'O'),
    ("POST", "/v1/embeddings", 'O'),
    ("POST", "/v1/edits", 'O'),
    ("POST", "/v1/responses", 'O'),
    ("POST", "/v1/responses/compact", 'O'),
    ("GET", "/v1/responses/r", 'O'),
    ("POST", "/v1/messages", 'A'),
    ("POST", "/v1/messages/count_tokens", 'A'),
    ("POST", "/v1beta/models/gemini-2.5-pro:generateContent", 'G'),
    ("POST", "/v1beta/models/gemini-2.5-pro:streamGenerateContent", 'G'),
    ("POST", "/v1beta/models/gemini-2.5-pro:embedContent", 'G'),
    ("POST", "/v1beta/models/gemini-2.5-pro:countTokens", 'G'),
    ("POST", "/v1beta/models/imagen-4:predict", 'G'),
    ("POST", "/v1/models/gemini-2.5-pro:generateContent", 'G'),
    ("POST", "/v1beta/openai/chat/completions", 'O'),
    ("POST", "/v1/engines/ada/embeddings", 'O'),
    ("POST", "/v1/moderations", 'O'),
    ("POST", "/v1/rerank", 'O'),
    ("POST", "/rerank", 'O'),
    ("POST", "/v1/images/generations", 'O'),
    ("POST", "/v1/images/edits", 'O'),
    ("POST", "/v1/images/variations", 'O'),
    ("POST", "/v1/audio/speech", 'O'),
    ("POST", "/v1/audio/transcriptions", 'O'),
    ("POST", "/v1/audio/translations", 'O'),
    ("GET", "/v1/realtime", 'O'),
    ("POST", "/mj/submit/imagine", 'M'),
    ("POST", "/mj-fast/mj/submit/imagine", 'M'),
    ("POST", "/mj/insight-face/swap", 'M'),
    ("GET", "/mj/task/1/fetch", 'M'),
    ("POST", "/suno/submit/music", 'T'),
    ("GET", "/suno/fetch/1", 'T'),
    ("POST", "/v1/video/generations", 'T'),
    ("GET", "/v1/video/generations/1", 'T'),
    ("POST", "/v1/videos", 'O'),
    ("GET", "/v1/videos/1/content", 'O'),
    ("POST", "/kling/v1/videos/text2video", 'K'),
    ("POST", "/jimeng/", 'J'),
    ("GET", "/v1/models", 'O'),
    ("GET", "/v1/models/gpt-4o", 'O'),
    ("GET", "/v1beta/models", 'G'),
    ("GET", "/v1/files", 'O'),
    ("DELETE", "/v1/models/gpt-4o", 'O'),
    ("GET", "/v1/fine_tuning/jobs", 'O'),
    ("GET", "/v1/assistants", 'O'),
    ("GET", "/v1/threads/1", 'O'),
    ("GET", "/v1/batches", 'O'),
];

#[tokio::test]
async fn every_interface_refuses_a_missing_key_in_its_own_shape_and_other_methods_with_405() {
    let relay = World::with_upstream(NOWHERE).start().await;
    for (method, path, shape) in CATALOGUE {
        let answer = ask(&relay, method, path).await;
        assert_eq!(answer.status, 401, "{method} {path}: {}", answer.text());
        let body = answer.json();
        let looks_right = match shape {
            'A' => body["error"]["type"] == "authentication_error" && body["request_id"] == answer.header("request-id").unwrap(),
            'G' => body["error"]["status"] == "UNAUTHENTICATED" && body["error"]["code"] == 401,
            'M' => body["code"] == 4 && body["description"].is_string(),
            'T' => body["code"] == "unauthorized" && body["data"].is_null(),
            'K' | 'J' => body["code"] == 401 && body["request_id"].is_string(),
            _ => body["error"]["code"] == "invalid_api_key" && body["error"]["param"].is_null(),
        };
        assert!(looks_right, "{method} {path}: {body}");
        let wrong = ask(&relay, "PATCH", path).await;
        assert_eq!(wrong.status, 405, "{path}");
        assert!(wrong.header("allow").is_some_and(|allow| allow.contains(method)), "{path}: {:?}", wrong.header("allow"));
    }
}

#[tokio::test]
async fn interfaces_that_are_not_served_say_so_to_whom_they_know() {
    let relay = World::with_upstream(NOWHERE).start().await;
    let answer = relay.caller().post("/v1beta/models/imagen-3:predict", &json!({})).await;
    assert_eq!((answer.status.as_u16(), answer.json()["error"]["status"].as_str()), (501, Some("UNIMPLEMENTED")));
    let answer = relay.caller().get("/v1/files").await;
    assert_eq!((answer.status.as_u16(), answer.json()["error"]["code"].as_str()), (501, Some("api_not_implemented")));
    let answer = relay.caller().post("/suno/submit/music", &json!({})).await;
    assert_eq!((answer.status.as_u16(), answer.json()["code"].as_str()), (501, Some("not_implemented")));
}

#[tokio::test]
async fn a_list_of_models_says_nothing_about_interfaces_without_one() {
    let mut world = World::with_upstream(NOWHERE);
    world.tokens[0].models = Some(vec![name("gpt-4o")]);
    world.tokens[1].models = Some(vec![]);
    let relay = world.start().await;
    let without_a_model: Vec<_> =
        CATALOGUE.iter().filter(|(method, path, _)| *method == "GET" && *path != "/v1/models/gpt-4o").collect();
    assert!(without_a_model.len() > 10);
    for (_, path, _) in without_a_model {
        for caller in [relay.caller(), relay.admin()] {
            let answer = caller.get(path).await;
            // tasks that a token may have submitted are its to poll: what is not served says so, and nobody is forbidden to ask
            assert!(!matches!(answer.status.as_u16(), 401 | 403), "{path}: {}", answer.text());
        }
    }
}

#[tokio::test]
async fn an_unknown_path_names_itself() {
    let relay = World::with_upstream(NOWHERE).start().await;
    let answer = ask(&relay, "POST", "/v1/chat/completion").await;
    assert_eq!(answer.status, 404);
    let error = &answer.json()["error"];
    let message = error["message"].as_str().unwrap();
    assert!(message.starts_with("Invalid URL (POST /v1/chat/completion) (request id: "), "{message}");
    assert_eq!((&error["code"], &error["type"]), (&json!(""), &json!("invalid_request_error")));
    for path in ["/v1", "/v1/nothing", "/api/nothing", "/login"] {
        assert_eq!(ask(&relay, "GET", path).await.status, 404, "{path}");
    }
}

#[tokio::test]
async fn browsers_are_let_in_without_cookies_and_without_a_key() {
    let relay = World::with_upstream(NOWHERE).start().await;
    let answer = ask(&relay, "OPTIONS", "/v1/chat/completions").await;
    assert_eq!(answer.status, 204);
    assert_eq!(answer.header("access-control-allow-origin"), Some("*"));
    assert_eq!(answer.header("access-control-allow-methods"), Some("GET, POST, PUT, DELETE, OPTIONS"));
    assert!(answer.header("access-control-allow-headers").unwrap().starts_with('*'));
    assert_eq!(answer.header("access-control-allow-credentials"), None);
    let refused = ask(&relay, "POST", "/v1/chat/completions").await;
    assert_eq!(refused.header("access-control-allow-origin"), Some("*"));
    assert_eq!(refused.header("x-sluice-version"), Some(build::VERSION));
}

#[tokio::test]
async fn status_and_root_are_short_documents() {
    let relay = World::with_upstream(NOWHERE).start().await;
    let answer = ask(&relay, "GET", "/api/status").await;
    let expected = json!({
        "success": true,
        "message": "",
        "data": {"version": build::VERSION, "start_time": 1_700_000_000, "quota_per_unit": 500_000},
    });
    assert_eq!((answer.status.as_u16(), answer.json()), (200, expected));
    assert!(answer.text().contains(r#""success":true"#), "compact, for those who look with grep");
    let root = ask(&relay, "GET", "/").await;
    assert_eq!((root.status.as_u16(), &root.json()["models"]), (200, &json!("/v1/models")));
}

#[tokio::test]
async fn pages_are_sent_to_the_console_and_interfaces_are_not() {
    let world = World {
        adjust: |settings| settings.frontend_base_url = Some("https://console.example.com/base".parse().unwrap()),
        ..World::with_upstream(NOWHERE)
    };
    let relay = world.start().await;
    sluice_testkit::install_tls_provider();
    let http = reqwest::Client::builder().no_proxy().redirect(reqwest::redirect::Policy::none()).build().unwrap();
    let location = async |path: &str| {
        let answer = http.get(format!("{}{path}", relay.base_url())).send().await.unwrap();
        (answer.status().as_u16(), answer.headers().get(LOCATION).map(|to| to.to_str().unwrap().to_owned()))
    };
    let to = |path: &str| (301, Some(format!("https://console.example.com/base{path}")));
    assert_eq!(location("/").await, to("/"));
    assert_eq!(location("/login?next=%2Fx").await, to("/login?next=%2Fx"));
    assert_eq!(location("//elsewhere.example.com").await, to("//elsewhere.example.com"));
    assert_eq!(location("/v1/nothing").await, (404, None));
    assert_eq!(location("/api/nothing").await, (404, None));
    let posted = http.post(format!("{}/login", relay.base_url())).send().await.unwrap();
    assert_eq!(posted.status(), 404);
}

#[tokio::test]
async fn the_model_list_holds_what_the_caller_can_use_and_pay_for() {
    let mut world = World::with_upstream(NOWHERE);
    world.channels[0].models.push(name("unpriced"));
    let mut off = channel(2, NOWHERE);
    (off.status, off.models) = (Status::Disabled, vec![name("mistral-off")]);
    world.channels.push(off);
    world.prices.push(("mistral-off", crate::relay::ratios("1", "1")));
    let relay = world.start().await;
    let list = relay.caller().get("/v1/models").await.json();
    let ids: Vec<_> = list["data"].as_array().unwrap().iter().map(|model| model["id"].as_str().unwrap()).collect();
    assert_eq!(ids, ["gpt-3.5-turbo-instruct", "gpt-4o", "mistral-large", "text-embedding-3-small"]);
    assert_eq!((&list["object"], &list["success"]), (&json!("list"), &json!(true)));
    let item = json!({
        "id": "gpt-4o", "object": "model", "created": 1_626_777_600, "owned_by": "custom", "supported_endpoint_types": ["openai"],
    });
    assert_eq!(relay.caller().get("/v1/models/gpt-4o").await.json(), item);
    for model in ["unpriced", "mistral-off", "unheard-of"] {
        let answer = relay.caller().get(&format!("/v1/models/{model}")).await;
        assert_eq!((answer.status.as_u16(), answer.json()["error"]["code"].as_str()), (404, Some("model_not_found")), "{model}");
    }
}

#[tokio::test]
async fn the_model_list_speaks_three_formats() {
    let mut world = World::with_upstream(NOWHERE);
    world.tokens[0].models = Some(vec![name("gpt-4o"), name("text-embedding-3-small"), name("not-served")]);
    let relay = world.start().await;
    let ids = relay.caller().get("/v1/models").await.json();
    assert_eq!(ids["data"].as_array().unwrap().len(), 2, "served and allowed");

    let request =
        relay.anonymous().request(Method::GET, "/v1/models").header("x-api-key", KEY).header("anthropic-version", "2023-06-01");
    let anthropic = send(request).await.unwrap().json();
    assert_eq!((&anthropic["first_id"], &anthropic["last_id"]), (&json!("gpt-4o"), &json!("text-embedding-3-small")));
    assert_eq!(anthropic["data"][0]["type"], "model");

    let request = relay.anonymous().request(Method::GET, "/v1/models").header("x-goog-api-key", KEY);
    let gemini = send(request).await.unwrap().json();
    assert_eq!(gemini["models"][0]["name"], "models/gpt-4o");
    assert!(gemini.get("nextPageToken").is_none());
}

#[tokio::test]
async fn an_empty_group_has_an_empty_list_in_every_format() {
    let mut world = World::with_upstream(NOWHERE);
    world.groups = vec![group("default", "1", &["empty"]), group("empty", "1", &[])];
    world.tokens[0].group = Some(GroupName::parse("empty").unwrap());
    world.tokens[1].group = Some(GroupName::parse("auto").unwrap());
    let relay = world.start().await;
    assert_eq!(relay.caller().get("/v1/models").await.text(), r#"{"object":"list","success":true,"data":[]}"#);
    assert_eq!(relay.admin().get("/v1/models").await.json()["data"], json!([]), "auto without groups");
    let request = relay.anonymous().request(Method::GET, "/v1/models").header("x-api-key", KEY).header("anthropic-version", "1");
    let expected = json!({"data": [], "first_id": null, "last_id": null, "has_more": false});
    assert_eq!(send(request).await.unwrap().json(), expected);
    let request = relay.anonymous().request(Method::GET, &format!("/v1/models?key={KEY}"));
    assert_eq!(send(request).await.unwrap().json(), json!({"models": []}));
}
