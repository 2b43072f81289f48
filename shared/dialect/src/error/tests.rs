use proptest::prelude::*;
use sluice_domain::{Dialect, RequestId};

use super::*;

fn body<'a>(status: u16, kind: &'a str, code: Option<&'a str>, id: &'a RequestId) -> ErrorBody<'a> {
    ErrorBody {
        status,
        kind,
        is_native: false,
        code,
        message: "no such model",
        param: Some("model"),
        metadata: None,
        request_id: id,
    }
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8(bytes.to_vec()).unwrap()
}

#[test]
fn an_error_is_rendered_in_each_dialect() {
    let id = RequestId::parse("req-1").unwrap();
    let error = body(404, "invalid_request_error", Some("model_not_found"), &id);
    let openai = r#"{"error":{"message":"no such model (request id: req-1)","type":"invalid_request_error","param":"model","code":"model_not_found"}}"#;
    assert_eq!(text(&render(Dialect::OpenAi, &error)), openai);
    assert_eq!(text(&render(Dialect::Responses, &error)), openai);
    assert_eq!(
        text(&render(Dialect::Anthropic, &error)),
        r#"{"type":"error","error":{"type":"not_found_error","message":"no such model (request id: req-1)"},"request_id":"req-1"}"#
    );
    assert_eq!(
        text(&render(Dialect::Gemini, &error)),
        r#"{"error":{"code":404,"message":"no such model (request id: req-1)","status":"NOT_FOUND","details":[]}}"#
    );
}

#[test]
fn absent_code_and_param_are_null_in_openai_shape() {
    let id = RequestId::parse("r").unwrap();
    let error = ErrorBody { param: None, ..body(500, "sluice_error", None, &id) };
    let value: serde_json::Value = serde_json::from_slice(&render(Dialect::OpenAi, &error)).unwrap();
    assert!(value["error"]["param"].is_null() && value["error"]["code"].is_null());
    assert!(value["error"].get("metadata").is_none());
}

#[test]
fn words_of_the_other_dialects_follow_the_table() {
    let id = RequestId::parse("r").unwrap();
    let rows = [
        (401, "invalid_request_error", "invalid_api_key", "authentication_error", "UNAUTHENTICATED"),
        (403, "insufficient_quota", "insufficient_user_quota", "permission_error", "RESOURCE_EXHAUSTED"),
        (403, "permission_error", "ip_not_allowed", "permission_error", "PERMISSION_DENIED"),
        (400, "invalid_request_error", "missing_model", "invalid_request_error", "INVALID_ARGUMENT"),
        (413, "invalid_request_error", "request_too_large", "request_too_large", "INVALID_ARGUMENT"),
        (415, "invalid_request_error", "unsupported_media_type", "invalid_request_error", "INVALID_ARGUMENT"),
        (429, "rate_limit_error", "rate_limit_exceeded", "rate_limit_error", "RESOURCE_EXHAUSTED"),
        (501, "sluice_error", "api_not_implemented", "api_error", "UNIMPLEMENTED"),
        (502, "upstream_error", "do_request_failed", "api_error", "UNAVAILABLE"),
        (502, "upstream_error", "empty_response", "api_error", "INTERNAL"),
        (503, "sluice_error", "no_available_channel", "overloaded_error", "UNAVAILABLE"),
        (504, "upstream_error", "upstream_timeout", "timeout_error", "DEADLINE_EXCEEDED"),
        (500, "sluice_error", "internal_error", "api_error", "INTERNAL"),
    ];
    for (status, kind, code, anthropic, gemini) in rows {
        let error = body(status, kind, Some(code), &id);
        assert!(text(&render(Dialect::Anthropic, &error)).contains(&format!(r#""type":"{anthropic}""#)), "{code}");
        assert!(text(&render(Dialect::Gemini, &error)).contains(&format!(r#""status":"{gemini}""#)), "{code}");
    }
}

#[test]
fn the_last_frame_of_a_broken_stream_is_one_event() {
    let id = RequestId::parse("r").unwrap();
    let error = body(502, "upstream_error", None, &id);
    for dialect in Dialect::ALL {
        let frame = text(&render_event(dialect, &error));
        assert!(frame.ends_with("}\n\n") && !frame.contains("[DONE]"), "{frame}");
        assert_eq!(frame.starts_with("event: error\n"), matches!(dialect, Dialect::Anthropic | Dialect::Responses));
        assert_eq!(frame.contains(r#""sequence_number":0,"#), dialect == Dialect::Responses, "typed clients want a number");
    }
}

#[test]
fn rendering_masks_addresses() {
    let id = RequestId::parse("r").unwrap();
    let error = ErrorBody { message: "dial https://api.x.com/v1/p?k=v failed", ..body(502, "upstream_error", None, &id) };
    assert!(text(&render(Dialect::OpenAi, &error)).contains("dial https://***.com/***/***?k=*** failed (request id: r)"));
}

#[test]
fn addresses_and_keys_are_masked() {
    let rows = [
        ("see https://api.x.com/v1/p?k=v", "see https://***.com/***/***?k=***"),
        ("(http://user:pw@10.0.0.1:8080/a#b)", "(http://***.***.***.***/***)"),
        ("http://[::1]:80/x", "http://[***]/***"),
        ("ws://gateway/x", "ws://***/***"),
        ("dial tcp 192.168.1.7:443: refused", "dial tcp ***.***.***.***: refused"),
        ("host api.openai.com.", "host ***.com."),
        ("vllm.default.svc.cluster.local:8000/v1 is down", "***.local:***/*** is down"),
        ("localhost:3000 refused", "***:*** refused"),
        ("mail ana@example.com", "mail ***@***.com"),
        ("Incorrect API key provided: sk-abcdefgh12345678.", "Incorrect API key provided: ***."),
        ("Authorization: Bearer abcdefghijk", "Authorization: Bearer ***"),
        ("api_key=hunter22", "api_key=***"),
        ("AIzaSyA1234567890 leaked", "*** leaked"),
        ("key 0123456789abcdef0123456789abcdef", "key ***"),
    ];
    for (text, masked) in rows {
        assert_eq!(scrub(text, &[]), masked);
        assert_eq!(scrub(masked, &[]), masked, "masking twice");
    }
}

#[test]
fn ordinary_text_is_left_alone() {
    for text in [
        "The model `gpt-4.1-mini` does not exist",
        "Unsupported value: 'stream_options.include_usage'",
        "messages.0.content: expected a string, got an array",
        "Rate limit reached: limit 10000, used 9999.5 at 12:30:00",
        "use Qwen/Qwen3-235B-A22B-Instruct-2507-FP8-tput, e.g. with max_tokens=100",
        "Invalid URL (POST /v1/foo)",
        "模型不存在",
        "",
    ] {
        assert_eq!(scrub(text, &[]), text);
    }
}

#[test]
fn the_words_of_its_own_upstream_reach_a_caller_as_they_are() {
    let id = RequestId::parse("req-1").unwrap();
    let read = |body: &str| UpstreamError::read(400, body.as_bytes(), &["hunter2"]);
    let google = read(
        r#"{"error":{"code":400,"message":"m","status":"FAILED_PRECONDITION","details":[{"@type":"type.googleapis.com/google.rpc.RetryInfo","retryDelay":"34s","of":"hunter2"}]}}"#,
    );
    let told = |error: &UpstreamError, dialect, is_native| {
        let kind = error.kind.as_deref().unwrap();
        let body = ErrorBody { is_native, metadata: error.metadata.as_deref(), message: "m", ..body(400, kind, None, &id) };
        String::from_utf8(render(dialect, &body).to_vec()).unwrap()
    };
    assert_eq!(
        told(&google, Dialect::Gemini, true),
        r#"{"error":{"code":400,"message":"m (request id: req-1)","status":"FAILED_PRECONDITION","details":[{"@type":"type.googleapis.com/google.rpc.RetryInfo","retryDelay":"34s","of":"***"}]}}"#
    );
    assert_eq!(
        told(&google, Dialect::Gemini, false),
        r#"{"error":{"code":400,"message":"m (request id: req-1)","status":"INVALID_ARGUMENT","details":[]}}"#
    );
    let claude = read(r#"{"type":"error","error":{"type":"billing_error","message":"m"}}"#);
    assert!(told(&claude, Dialect::Anthropic, true).contains(r#""type":"billing_error""#));
    assert!(told(&claude, Dialect::Anthropic, false).contains(r#""type":"invalid_request_error""#));
}

#[test]
fn clouds_say_why_in_words_of_their_own() {
    let reason = |body: &str| UpstreamError::read(400, body.as_bytes(), &[]).reason_word().map(str::to_owned);
    let google = r#"{"error":{"code":400,"message":"API key not valid.","status":"INVALID_ARGUMENT","details":[{"@type":"type.googleapis.com/google.rpc.ErrorInfo","reason":"API_KEY_INVALID"}]}}"#;
    assert_eq!(reason(google).as_deref(), Some("API_KEY_INVALID"));
    assert_eq!(reason(r#"{"__type":"ExpiredTokenException","message":"m"}"#).as_deref(), Some("ExpiredTokenException"));
    assert_eq!(reason(r#"{"error":{"message":"m"}}"#), None);
}

#[test]
fn keys_in_use_are_masked_wherever_they_stand() {
    assert_eq!(scrub("the key:hunter2: is bad", &["hunter2", "is"]), "the key:***: is bad");
}

#[test]
fn long_messages_are_cut_at_a_letter() {
    let cut = "é".repeat(MAX_MESSAGE_BYTES);
    assert_eq!(scrub(&cut, &[]).len(), MAX_MESSAGE_BYTES);
}

#[test]
fn upstream_errors_are_read_in_every_known_shape() {
    let rows = [
        (r#"{"error":{"message":"m","type":"t","code":"c","param":"p"}}"#, "m", Some("t"), Some("c")),
        (r#"{"type":"error","error":{"type":"overloaded_error","message":"m"}}"#, "m", Some("overloaded_error"), None),
        (r#"{"error":{"code":429,"message":"m","status":"RESOURCE_EXHAUSTED"}}"#, "m", Some("RESOURCE_EXHAUSTED"), Some("429")),
        (r#"[{"error":{"code":400,"message":"m","status":"INVALID_ARGUMENT"}}]"#, "m", Some("INVALID_ARGUMENT"), Some("400")),
        (r#"{"error":"m"}"#, "m", None, None),
        (r#"{"statusCode":401,"message":"m"}"#, "m", None, None),
        (r#"{"msg":"m","code":7}"#, "m", None, Some("7")),
        (r#"{"err":"m"}"#, "m", None, None),
        (r#"{"error_msg":"m"}"#, "m", None, None),
        (r#"{"detail":"m"}"#, "m", None, None),
        (r#"{"detail":[{"msg":"m"}]}"#, "m", None, None),
        (r#"{"header":{"message":"m"}}"#, "m", None, None),
        (r#"{"response":{"error":{"message":"m"}}}"#, "m", None, None),
        (r#""m""#, "m", None, None),
        (r#"{"error":{}}"#, "bad response status code 500", None, None),
        ("<html>", "bad response status code 500", None, None),
        ("", "bad response status code 500", None, None),
    ];
    for (body, message, kind, code) in rows {
        let error = UpstreamError::read(500, body.as_bytes(), &[]);
        assert_eq!((error.message.as_str(), error.kind.as_deref(), error.code.as_deref()), (message, kind, code), "{body}");
    }
}

#[test]
fn an_upstream_error_never_carries_the_key_that_was_used() {
    let body =
        r#"{"error":{"message":"bad key topsecret","type":"topsecret","metadata":{"raw":"topsecret at api.x.com","n":1}}}"#;
    let error = UpstreamError::read(401, body.as_bytes(), &["topsecret"]);
    let metadata = error.metadata.clone().unwrap();
    assert_eq!(metadata.get(), r#"{"raw":"*** at ***.com","n":1}"#);
    assert!(!format!("{error:?}{}{:?}", error.message, error.kind).contains("topsecret"));
    assert_eq!(UpstreamError::read(200, b"{}", &[]).message, "the upstream reported an error");
}

#[test]
fn no_cut_leaves_the_beginning_of_a_key() {
    let key = "0b6f2a1c-7d43-4e9a-9f10-5c2e8d7a6b31";
    for before in [100, 110, 120, 490, 500, 4_070, 4_090] {
        let said = format!("{}{key}", "x ".repeat(before / 2));
        let body = format!(r#"{{"error":{{"message":"{said}","type":"{said}","code":"{said}","param":"{said}"}}}}"#);
        let error = UpstreamError::read(200, body.as_bytes(), &[key]);
        let words = [error.kind, error.code, error.param].map(Option::unwrap_or_default).concat();
        let shown = [error.message, words].concat();
        assert!(!shown.contains("0b6f"), "{before}: {shown}");
    }
}

#[test]
fn only_words_of_an_errors_vocabulary_are_words() {
    let words = |kind: &str| {
        let body = serde_json::json!({"error": {"message": "x", "type": kind, "code": kind}}).to_string();
        let error = UpstreamError::read(400, body.as_bytes(), &[]);
        assert_eq!(error.kind_word(), error.code_word());
        error.kind_word().map(str::to_owned)
    };
    for word in ["rate_limit_exceeded", "Arrearage", "Throttling.RateQuota", "1113"] {
        assert_eq!(words(word).as_deref(), Some(word));
    }
    for text in ["my secret plan", "\u{4f60}\u{597d}", &"x".repeat(65), "a:b"] {
        assert_eq!(words(text), None, "{text}");
    }
}

#[test]
fn an_error_with_half_a_character_in_it_is_read() {
    let error = UpstreamError::read(500, br#"{"error":{"message":"near \ud83d","code":"odd"}}"#, &[]);
    assert_eq!((error.message.as_str(), error.code.as_deref()), ("near \u{fffd}", Some("odd")));
}

#[test]
fn deep_error_bodies_do_not_overflow() {
    let deep = "[".repeat(100_000);
    assert_eq!(UpstreamError::read(502, deep.as_bytes(), &[]).message, "bad response status code 502");
}

proptest! {
    #[test]
    fn masking_is_stable_and_never_panics(text in "(https?://|sk-|[a-z.:/?=@#%\\[\\] é\"]|[0-9.]){0,40}") {
        let once = scrub(&text, &[]).into_owned();
        prop_assert_eq!(scrub(&once, &[]), once.as_str());
    }

    #[test]
    fn a_host_with_a_scheme_never_survives(host in "[a-z]{3,10}\\.[a-z]{3,8}\\.(com|example)", before in "[a-z ]{0,10}", after in "[ ./:?#a-z]{0,10}") {
        let label = host.split('.').next().unwrap().to_owned();
        prop_assume!(!before.contains(&label) && !after.contains(&label) && label != "com" && !label.contains("http"));
        let text = format!("{before} https://{host}{after}");
        let survivor = format!("{label}.");
        prop_assert!(!scrub(&text, &[]).contains(&survivor));
    }

    #[test]
    fn any_error_body_is_read(body in prop::collection::vec(any::<u8>(), 0..64)) {
        let _ = UpstreamError::read(500, &body, &[]);
    }
}
