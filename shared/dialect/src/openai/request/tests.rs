use super::*;

fn read(surface: Surface, body: &str) -> Result<Request, RequestError> {
    Request::read(Bytes::copy_from_slice(body.as_bytes()), surface)
}

fn chat(body: &str) -> Request {
    read(Surface::ChatCompletions, body).unwrap()
}

fn refused(body: &str) -> String {
    read(Surface::ChatCompletions, body).unwrap_err().to_string()
}

fn upstream(body: &str, model: Option<&str>, options: StreamOptions) -> String {
    String::from_utf8(chat(body).upstream_body(model, options, None).to_vec()).unwrap()
}

const PLAIN: &str = r#"{"model":"gpt-4o","messages":[{"role":"user","content":"hi"}]}"#;

#[test]
fn facts_of_a_full_request_are_read() {
    let request = chat(
        r#"{"model":"gpt-4\u006f","messages":[{}],"stream":true,"stream_options":{"include_usage":true,"x":1},
            "max_tokens":10,"max_completion_tokens":20,"n":3,"tools":[{}],"user":"ana","unknown":1e400}"#,
    );
    let facts = Facts {
        model: ModelName::parse("gpt-4o").unwrap(),
        stream: true,
        include_usage: true,
        max_output: Some(20),
        choices: 3,
        has_tools: true,
        user: Some("ana".into()),
    };
    assert_eq!(request.facts(), &facts);
}

#[test]
fn null_is_the_same_as_absent() {
    let request = chat(
        r#"{"model":"m","messages":[1],"stream":null,"stream_options":null,"max_tokens":null,"n":null,"tools":null,"user":null}"#,
    );
    assert_eq!(request.facts(), chat(r#"{"model":"m","messages":[1]}"#).facts());
}

#[test]
fn a_model_is_required_and_must_be_a_name() {
    for body in [r#"{"messages":[1]}"#, r#"{"model":null,"messages":[1]}"#, r#"{"model":"","messages":[1]}"#] {
        let error = read(Surface::ChatCompletions, body).unwrap_err();
        assert_eq!((error.code(), error.param()), ("missing_model", Some("model")), "{body}");
    }
    assert_eq!(refused(r#"{"model":["a"],"messages":[1]}"#), "`model`: expected a string, got an array");
    assert_eq!(refused(r#"{"model":"a,b","messages":[1]}"#), "`model` must not contain ','");
}

#[test]
fn wrong_types_and_values_are_refused_by_name_and_rule() {
    let rows = [
        (r#""stream":"true""#, "`stream`: expected a boolean, got a string", "stream"),
        (r#""stream":1"#, "`stream`: expected a boolean, got a number", "stream"),
        (r#""stream_options":[]"#, "`stream_options`: expected an object, got an array", "stream_options"),
        (
            r#""stream_options":{"include_usage":1}"#,
            "`stream_options.include_usage`: expected a boolean, got a number",
            "stream_options.include_usage",
        ),
        (r#""max_tokens":0"#, "`max_tokens` must be from 1 to 1073741823", "max_tokens"),
        (r#""max_tokens":-5"#, "`max_tokens` must be from 1 to 1073741823", "max_tokens"),
        (r#""max_tokens":1073741824"#, "`max_tokens` must be from 1 to 1073741823", "max_tokens"),
        (r#""max_tokens":99999999999999999999"#, "`max_tokens` must be from 1 to 1073741823", "max_tokens"),
        (
            r#""max_completion_tokens":1.5"#,
            "`max_completion_tokens`: expected a whole number, got a number with a fraction or exponent",
            "max_completion_tokens",
        ),
        (r#""max_tokens":"8""#, "`max_tokens`: expected a whole number, got a string", "max_tokens"),
        (r#""n":129"#, "`n` must be from 1 to 128", "n"),
        (r#""n":{}"#, "`n`: expected a whole number, got an object", "n"),
    ];
    for (field, message, param) in rows {
        let error = read(Surface::ChatCompletions, &format!(r#"{{"model":"m","messages":[1],{field}}}"#)).unwrap_err();
        assert_eq!((error.to_string().as_str(), error.param(), error.code()), (message, Some(param), "invalid_request"));
    }
}

#[test]
fn each_surface_needs_its_prompt() {
    let rows = [
        (Surface::ChatCompletions, r#"{"model":"m"}"#, "`messages` is required"),
        (Surface::ChatCompletions, r#"{"model":"m","messages":[]}"#, "`messages` must not be empty"),
        (Surface::ChatCompletions, r#"{"model":"m","messages":"hi"}"#, "`messages`: expected an array, got a string"),
        (Surface::Completions, r#"{"model":"m"}"#, "`prompt` is required"),
        (Surface::Completions, r#"{"model":"m","prompt":7}"#, "`prompt`: expected a string or an array, got a number"),
        (Surface::Embeddings, r#"{"model":"m","prompt":"x"}"#, "`input` is required"),
        (Surface::Embeddings, r#"{"model":"m","input":[ ]}"#, "`input` must not be empty"),
    ];
    for (surface, body, message) in rows {
        assert_eq!(read(surface, body).unwrap_err().to_string(), message);
    }
    assert!(read(Surface::ChatCompletions, r#"{"model":"m","suffix":"}"}"#).is_ok());
    assert!(read(Surface::ChatCompletions, r#"{"model":"m","messages":[],"prefix":"{"}"#).is_ok());
    assert!(read(Surface::Completions, r#"{"model":"m","prompt":""}"#).is_ok());
}

#[test]
fn completions_may_generate_nothing_and_pay_for_the_best_of_many() {
    let request = read(Surface::Completions, r#"{"model":"m","prompt":"x","max_tokens":0,"n":2,"best_of":5}"#).unwrap();
    assert_eq!((request.facts().max_output, request.facts().choices), (Some(0), 5));
}

#[test]
fn each_prompt_of_a_batch_is_answered() {
    let choices = |prompt: &str| {
        let body = format!(r#"{{"model":"m","n":2,"prompt":{prompt}}}"#);
        read(Surface::Completions, &body).unwrap().facts().choices
    };
    assert_eq!([choices("\"a\""), choices("[1,2,3]"), choices("[\"a\",\"b\",\"c\"]"), choices("[[1],[2,3]]")], [2, 2, 6, 4]);
}

#[test]
fn embeddings_are_never_streamed() {
    let request = read(Surface::Embeddings, r#"{"model":"m","input":"x","stream":true,"max_tokens":5}"#).unwrap();
    assert!(!request.facts().stream);
    assert_eq!(request.facts().max_output, None);
}

#[test]
fn errors_and_debug_never_show_values() {
    for body in [
        r#"{"model":"m","messages":"secret"}"#,
        r#"{"model":{"secret":1},"messages":[1]}"#,
        r#"{"model":"m","stream":"secret"}"#,
        "secret",
    ] {
        let error = read(Surface::ChatCompletions, body).unwrap_err();
        assert!(!format!("{error}{error:?}").contains("secret"));
    }
    assert!(!format!("{:?}", chat(r#"{"model":"m","messages":["secret"],"user":"secret"}"#)).contains("secret"));
}

#[test]
fn a_body_that_needs_no_change_is_the_very_same_bytes() {
    let streamed = r#"{ "stream_options" : {"include_usage":true}, "stream": true, "model":"gpt-4o","messages":[1]}"#;
    for (text, model, options) in [
        (PLAIN, None, StreamOptions::Force),
        (PLAIN, Some("gpt-4o"), StreamOptions::Strip),
        (streamed, None, StreamOptions::Force),
        (streamed, None, StreamOptions::Forward),
    ] {
        let request = chat(text);
        assert_eq!(request.upstream_body(model, options, None).as_ptr(), request.body().as_ptr(), "{text}");
    }
}

#[test]
fn a_mapped_model_replaces_the_name_and_nothing_else() {
    let body = r#"{"temperature":0.10,"model":"a","messages":[{"content":"\u00e9"}],"x":{"b":1,"a":2}}"#;
    let expected = r#"{"temperature":0.10,"model":"b \"q\"","messages":[{"content":"\u00e9"}],"x":{"b":1,"a":2}}"#;
    assert_eq!(upstream(body, Some("b \"q\""), StreamOptions::Force), expected);
}

#[test]
fn usage_of_a_stream_is_asked_for_and_other_stream_options_stay() {
    let body = |options: &str| format!(r#"{{"model":"m","messages":[1],"stream":true{options}}}"#);
    let rows = [
        ("", r#","stream_options":{"include_usage":true}"#),
        (r#","stream_options":null"#, r#","stream_options":{"include_usage":true}"#),
        (r#","stream_options":{"include_usage":false}"#, r#","stream_options":{"include_usage":true}"#),
        (r#","stream_options":{"x":1.0}"#, r#","stream_options":{"x":1.0,"include_usage":true}"#),
    ];
    for (before, after) in rows {
        assert_eq!(upstream(&body(before), None, StreamOptions::Force), body(after));
        assert_eq!(upstream(&body(before), None, StreamOptions::Forward), body(before));
        assert_eq!(upstream(&body(before), None, StreamOptions::Strip), body(""));
    }
}

#[test]
fn of_a_field_written_twice_only_the_judged_one_goes_upstream() {
    let body = r#"{"model":"dear","messages":[1],"model":"cheap"}"#;
    assert_eq!(chat(body).facts().model.as_str(), "cheap");
    assert_eq!(upstream(body, None, StreamOptions::Forward), r#"{"messages":[1],"model":"cheap"}"#);
}

#[test]
fn reranking_needs_something_to_look_for_and_something_to_look_in() {
    let good = r#"{"model":"m","query":"q","documents":["a",{"text":"b"}],"top_n":2,"return_documents":true,"x":1.0}"#;
    let request = read(Surface::Rerank, good).unwrap();
    assert_eq!(request.upstream_body(None, StreamOptions::Force, Some(7)), good, "every byte passes");
    for (field, rest, said) in [
        ("query", r#""documents":["a"]"#, "`query` is required"),
        ("query", r#""query":"","documents":["a"]"#, "`query` must not be empty"),
        ("query", r#""query":["q"],"documents":["a"]"#, "`query`: expected a string or an object, got an array"),
        ("documents", r#""query":"q""#, "`documents` is required"),
        ("documents", r#""query":"q","documents":[]"#, "`documents` must not be empty"),
        ("documents", r#""query":"q","documents":"a""#, "`documents`: expected an array, got a string"),
        ("documents", r#""query":"q","documents":["a",1]"#, "`documents`: expected strings and objects, got a number"),
        ("top_n", r#""query":"q","documents":["a"],"top_n":0"#, "`top_n` must be from 1 to 4294967295"),
        (
            "return_documents",
            r#""query":"q","documents":["a"],"return_documents":1"#,
            "`return_documents`: expected a boolean, got a number",
        ),
    ] {
        let error = read(Surface::Rerank, &format!(r#"{{"model":"m",{rest}}}"#)).unwrap_err();
        assert_eq!((error.to_string().as_str(), error.param()), (said, Some(field)));
    }
}

#[test]
fn a_model_that_the_body_does_not_name_is_the_address_s_or_the_usual_one_and_is_sent() {
    let request = read(Surface::Moderations, r#"{"input":"x"}"#).unwrap();
    assert_eq!(request.facts().model.as_str(), "omni-moderation-latest");
    let sent = request.upstream_body(Some("omni-moderation-latest"), StreamOptions::Force, None);
    assert_eq!(sent, r#"{"input":"x","model":"omni-moderation-latest"}"#);
    let body = || Bytes::from_static(br#"{"input":"x"}"#);
    let of_address = Request::read_of(body(), Surface::Embeddings, Some("text-embedding-3-small")).unwrap();
    assert_eq!(of_address.facts().model.as_str(), "text-embedding-3-small");
    let named = Request::read_of(Bytes::from_static(br#"{"model":"own","input":"x"}"#), Surface::Embeddings, Some("address"));
    assert_eq!(named.unwrap().facts().model.as_str(), "own");
    assert_eq!(read(Surface::Embeddings, r#"{"input":"x"}"#).unwrap_err().code(), "missing_model");
}

#[test]
fn what_is_compacted_has_a_name_of_its_own_that_no_upstream_sees() {
    let body = r#"{"model":"gpt-5","input":[{"type":"message","role":"user","content":"hi"}],"x":1.0}"#;
    let request = read(Surface::Compact, body).unwrap();
    assert_eq!((request.facts().model.as_str(), request.plain_model()), ("gpt-5-openai-compact", "gpt-5"));
    assert_eq!(request.upstream_body(Some("gpt-5"), StreamOptions::Force, Some(9)), body);
    let named = read(Surface::Compact, r#"{"model":"gpt-5-openai-compact","previous_response_id":"resp_1"}"#).unwrap();
    assert_eq!(named.facts().model.as_str(), "gpt-5-openai-compact");
    let sent = named.upstream_body(Some("gpt-5"), StreamOptions::Force, None);
    assert_eq!(sent, r#"{"model":"gpt-5","previous_response_id":"resp_1"}"#);
    assert_eq!(read(Surface::Compact, r#"{"model":"gpt-5"}"#).unwrap_err().param(), Some("input"));
}
