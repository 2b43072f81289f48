use sluice_domain::Dialect;

use super::*;

fn of(status: u16, body: &str) -> Failure {
    let status = StatusCode::from_u16(status).unwrap();
    Failure::refused(status, &HeaderMap::new(), UpstreamError::read(status.as_u16(), body.as_bytes(), &[]), &[])
}

const CODED: &str = r#"{"error":{"message":"no","type":"some_error","code":"some_code","param":"p"}}"#;

#[test]
fn which_statuses_are_tried_elsewhere() {
    for status in [429, 500, 501, 502, 503, 505, 520, 523, 525, 529, 599] {
        assert_ne!(of(status, CODED).retry, Retry::Never, "{status}");
        assert!(of(status, CODED).counts, "{status}");
    }
    for status in [300, 302, 400, 404, 408, 409, 413, 422, 451, 504, 524] {
        assert_eq!(of(status, CODED).retry, Retry::Never, "{status}");
    }
    assert_eq!(of(401, CODED).retry, Retry::NextKey);
    assert_eq!(of(402, CODED).retry, Retry::NextKey);
    assert_eq!(of(403, CODED).retry, Retry::NextKey);
}

#[test]
fn a_key_that_a_cloud_has_no_status_for_is_known_by_its_words() {
    let google = r#"{"error":{"code":400,"message":"API key not valid. Please pass a valid API key.","status":"INVALID_ARGUMENT","details":[{"@type":"type.googleapis.com/google.rpc.ErrorInfo","reason":"API_KEY_INVALID"}]}}"#;
    let claude = r#"{"type":"error","error":{"type":"invalid_request_error","message":"Your credit balance is too low to access the Anthropic API."}}"#;
    let alibaba = r#"{"code":"Arrearage","message":"Access denied, please make sure your account is in good standing."}"#;
    let amazon = r#"{"message":"The security token included in the request is invalid."}"#;
    for (status, body) in [(400, google), (400, claude), (400, alibaba), (403, amazon)] {
        let failure = of(status, body);
        let told = (failure.refusal.status(), failure.refusal.code());
        assert_eq!((told, failure.retry), ((502, Some("upstream_auth_failed")), Retry::NextKey), "{body}");
    }
    // one that is no good at all is judged like a 401, which has a rule of its own
    let evidence = of(400, google).evidence.unwrap();
    assert_eq!((evidence.status, evidence.code.as_str()), (401, "API_KEY_INVALID"));
    let mut headers = HeaderMap::new();
    headers.insert(X_AMZN_ERRORTYPE, "UnrecognizedClientException:http://internal.amazon.com/".parse().unwrap());
    let read = UpstreamError::read(403, amazon.as_bytes(), &[]);
    let evidence = Failure::refused(StatusCode::FORBIDDEN, &headers, read, &[]).evidence.unwrap();
    assert_eq!((evidence.status, evidence.code.as_str()), (401, "UnrecognizedClientException"));
    // a caller's own words inside an error say nothing of the key
    let echoed = r#"{"error":{"message":"Invalid value: 'your credit balance is too low'","type":"invalid_request_error"}}"#;
    assert_eq!(of(400, echoed).retry, Retry::Never);
}

#[test]
fn a_403_about_what_was_said_is_the_requests() {
    for body in [
        r#"{"error":{"message":"Your chosen model requires moderation","code":403,"metadata":{"reasons":["violence"],"flagged_input":"x"}}}"#,
        r#"{"error":{"message":"no","type":"invalid_request_error","code":"content_policy_violation"}}"#,
    ] {
        let failure = of(403, body);
        assert_eq!((failure.refusal.status(), failure.retry, failure.status), (400, Retry::Never, 403), "{body}");
    }
}

#[test]
fn callers_of_another_dialect_read_words_of_their_own() {
    let busy = r#"{"type":"error","error":{"type":"overloaded_error","message":"Overloaded"}}"#;
    let told = |caller| {
        let refusal = of(529, busy).refusal.for_caller(caller);
        (refusal.status(), refusal.error_type().to_owned(), refusal.native(caller).is_some())
    };
    assert_eq!(told(Dialect::Anthropic), (529, "overloaded_error".to_owned(), true));
    assert_eq!(told(Dialect::OpenAi), (503, "server_error".to_owned(), false));
    assert_eq!(told(Dialect::Gemini).0, 503);
}

#[test]
fn an_error_about_our_key_never_reaches_the_caller_as_theirs() {
    let billing = r#"{"error":{"message":"pay","type":"insufficient_quota","code":"insufficient_quota"}}"#;
    for (status, body) in [(401, CODED), (402, CODED), (403, r#"{"error":{"type":"permission_error"}}"#), (429, billing)] {
        let failure = of(status, body);
        assert_eq!((failure.refusal.status(), failure.refusal.code()), (502, Some("upstream_auth_failed")), "{status}");
        assert_eq!((failure.status, failure.retry), (status, Retry::NextKey));
        assert!(!failure.refusal.message.contains("pay"));
    }
}

#[test]
fn other_errors_keep_the_providers_words() {
    let refusal = of(400, CODED).refusal;
    assert_eq!(
        (refusal.status(), refusal.error_type(), refusal.code(), refusal.param()),
        (400, "some_error", Some("some_code"), Some("p"))
    );
    assert_eq!(refusal.message, "no");
    let refusal = of(500, "oops").refusal;
    assert_eq!(refusal.message, "bad response status code 500");
    assert_eq!(
        (refusal.status(), refusal.error_type(), refusal.code()),
        (500, "upstream_error", Some("bad_response_status_code"))
    );
    let refusal = of(400, r#"{"error":{"message":"no","type":"some_error","code":null}}"#).refusal;
    assert_eq!((refusal.error_type(), refusal.code(), refusal.recorded_code()), ("some_error", None, "bad_response_status_code"));
    assert_eq!(of(302, "").refusal.status(), 502);
}

#[test]
fn a_404_is_tried_elsewhere_only_when_the_model_is_unknown_there() {
    for body in [
        r#"{"error":{"message":"x","code":"model_not_found"}}"#,
        r#"{"error":{"message":"The model `gpt-9` does not exist"}}"#,
        r#"{"error":{"message":"x","code":"DeploymentNotFound"}}"#,
    ] {
        assert_eq!(of(404, body).retry, Retry::NextChannel, "{body}");
    }
    assert_eq!(of(404, r#"{"error":{"message":"no such thing"}}"#).retry, Retry::Never);
}

#[test]
fn of_an_error_its_words_are_told_and_the_keyword_in_it_but_not_its_message() {
    let said =
        r#"{"error":{"message":"Cannot serve: MY SECRET PLAN, pay first","type":"a sentence of theirs","code":"no_money"}}"#;
    let keywords: [Box<str>; 2] = ["never said".into(), "pay first".into()];
    let error = UpstreamError::read(403, said.as_bytes(), &[]);
    let failure = Failure::refused(StatusCode::FORBIDDEN, &HeaderMap::new(), error, &keywords);
    let expected = Evidence { status: 403, code: "no_money".into(), keyword: "pay first".into(), ..Evidence::default() };
    assert_eq!((failure.evidence, failure.detail.as_str()), (Some(expected), ""));
}

#[test]
fn a_server_without_such_a_path_is_told_from_one_that_knows_nothing_of_what_was_asked() {
    let lacks = |status: u16, body: &str| is_no_interface(status, &UpstreamError::read(status, body.as_bytes(), &[]));
    for (status, body) in [
        (404, r#"{"detail":"Not Found"}"#),
        (404, "<html>404</html>"),
        (404, r#"{"error":{"message":"Invalid URL (POST /v1/responses)","type":"invalid_request_error","param":"","code":""}}"#),
        (405, ""),
        (404, r#"{"object":"error","message":"no route","code":404}"#),
    ] {
        assert!(lacks(status, body), "{body}");
    }
    for (status, body) in [
        (400, r#"{"detail":"Not Found"}"#),
        (404, r#"{"error":{"message":"The model `x` does not exist","code":"model_not_found"}}"#),
        (404, r#"{"error":{"message":"Previous response not found","code":"previous_response_not_found"}}"#),
        (404, r#"{"error":{"message":"nothing there","param":"previous_response_id"}}"#),
    ] {
        assert!(!lacks(status, body), "{body}");
    }
}

#[test]
fn a_busy_upstream_may_say_for_how_long() {
    let mut headers = HeaderMap::new();
    headers.insert(RETRY_AFTER, "1.5".parse().unwrap());
    let failure = Failure::refused(StatusCode::TOO_MANY_REQUESTS, &headers, UpstreamError::read(429, b"", &[]), &[]);
    let wait = Some(Duration::from_millis(1_500));
    assert_eq!((failure.retry, failure.refusal.retry_after), (Retry::NextAfter(wait), wait));
    for odd in ["-1", "nan", "inf", "1e30", "Wed, 21 Oct 2015 07:28:00 GMT", ""] {
        headers.insert(RETRY_AFTER, odd.parse().unwrap());
        assert_eq!(retry_after(&headers), None, "{odd}");
    }
}

#[test]
fn an_error_sent_with_200_is_judged_by_its_words() {
    let status = |body: &str| meant_status(&UpstreamError::read(200, body.as_bytes(), &[]));
    assert_eq!(status(r#"{"error":{"message":"x","type":"invalid_request_error"}}"#), 400);
    assert_eq!(status(r#"{"error":{"message":"x","code":429}}"#), 429);
    assert_eq!(status(r#"{"error":{"message":"x","type":"rate_limit_error"}}"#), 429);
    assert_eq!(status(r#"{"error":{"message":"x","code":"invalid_api_key","type":"invalid_request_error"}}"#), 401);
    assert_eq!(status(r#"{"error":{"message":"x","type":"permission_error"}}"#), 403);
    assert_eq!(status(r#"{"error":{"message":"x","code":"account_deactivated"}}"#), 403);
    assert_eq!(status(r#"{"error":"boom"}"#), 502);
}

#[test]
fn an_error_about_our_key_is_never_told_in_the_providers_words() {
    let inside = |body: &str| Failure::inside(Step::Error(Box::new(UpstreamError::read(200, body.as_bytes(), &[]))), &[]).refusal;
    for words in [
        r#""type":"invalid_request_error","code":"invalid_api_key""#,
        r#""type":"authentication_error""#,
        r#""type":"permission_error""#,
        r#""type":"insufficient_quota","code":"insufficient_quota""#,
        r#""code":"account_deactivated""#,
        r#""code":401"#,
    ] {
        let body = format!(r#"{{"error":{{"message":"your key is no good",{words}}}}}"#);
        let told = inside(&body);
        assert_eq!((told.kind, told.code()), (Kind::UpstreamAuth, Some("upstream_auth_failed")), "{words}");
        assert!(!told.message.contains("your key"), "{words}: {}", told.message);
    }
    let told = inside(r#"{"error":{"message":"too busy","type":"server_error"}}"#);
    assert_eq!((told.message.as_ref(), told.error_type()), ("too busy", "server_error"));
}

#[test]
fn a_token_that_is_not_given_out_is_the_keys_fault_unless_whoever_gives_it_is_busy() {
    for (status, retry) in [
        (400, Retry::NextKey),
        (401, Retry::NextKey),
        (403, Retry::NextKey),
        (429, Retry::NextChannel),
        (500, Retry::NextChannel),
    ] {
        let said = UpstreamError::read(status, br#"{"error":"invalid_grant","error_description":"Invalid JWT"}"#, &[]);
        let failure = Failure::no_token(StatusCode::from_u16(status).unwrap(), &said);
        let is_key = retry == Retry::NextKey;
        assert_eq!((failure.retry, failure.counts, failure.evidence.is_some()), (retry, !is_key, is_key), "{status}");
        assert_eq!(failure.refusal.status(), 502, "{status}");
        assert!(!failure.refusal.message.contains("JWT"), "{status}");
    }
}
