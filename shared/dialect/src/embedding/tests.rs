//! Vectors between the two forms.

use serde_json::json;

use super::*;
use crate::json::JsonError;
use crate::loss::LossPolicy;
use crate::openai::{Content, Reported};
use sluice_domain::Dialect;

fn google(form: Form, body: &Value) -> Result<Request, RequestError> {
    let document = Document::parse(Bytes::from(body.to_string())).unwrap();
    Request::read(form, document, body, "models/gemini-embedding-001")
}

fn wrong(form: Form, body: &Value) -> String {
    match google(form, body).unwrap_err() {
        RequestError::Body(error) => error.to_string(),
        RequestError::Model(error) => error.to_string(),
    }
}

fn sent(wish: &Wish, form: Form, client: Dialect) -> Result<(Value, Vec<&'static str>), Unsupported> {
    let policy = LossPolicy::default();
    let mut losses = Losses::new(client, Dialect::Gemini, &policy);
    let body = write(wish, form, "up", &mut losses)?;
    Ok((Value::Object(body), losses.dropped().collect()))
}

fn from_openai(body: &Value) -> Result<(Value, Vec<&'static str>), Unsupported> {
    sent(&wish_of_openai(body).unwrap(), Form::Batch, Dialect::OpenAi)
}

fn from_google(form: Form, body: &Value) -> Result<(Value, Vec<&'static str>), Unsupported> {
    sent(&google(form, body).unwrap().wish, Form::OpenAi, Dialect::Gemini)
}

fn came(body: &str, passage: &Passage) -> Result<Answer, JsonError> {
    Answer::read(&Bytes::copy_from_slice(body.as_bytes()), passage, &[])
}

fn told(body: &str, passage: &Passage, charged: u64) -> Value {
    let usage = sluice_domain::Usage { input: charged, ..sluice_domain::Usage::default() };
    serde_json::from_slice(&came(body, passage).unwrap().into_body(Some(&usage))).unwrap()
}

#[test]
fn one_text_or_many_become_a_batch() {
    let body = json!({"model": "m", "input": "one", "dimensions": 256, "user": "u", "encoding_format": "base64"});
    let request = json!({"model": "models/up", "content": {"parts": [{"text": "one"}]}, "outputDimensionality": 256});
    assert_eq!(from_openai(&body), Ok((json!({"requests": [request]}), vec!["user"])));
    let (batch, _) = from_openai(&json!({"input": ["one", "two"]})).unwrap();
    assert_eq!(batch["requests"][1], json!({"model": "models/up", "content": {"parts": [{"text": "two"}]}}));
}

#[test]
fn token_ids_are_refused_for_google_by_the_name_of_their_field() {
    for input in [json!([1, 2, 3]), json!([[1, 2], [3]]), json!(["text", [3]])] {
        let error = from_openai(&json!({"input": input})).unwrap_err();
        assert_eq!(error.path, "input");
        assert!(error.reason.contains("token ids"), "{error}");
    }
    let many: Vec<String> = (0..101).map(|n| n.to_string()).collect();
    assert_eq!(from_openai(&json!({"input": many})).unwrap_err().path, "input");
}

#[test]
fn what_openai_would_refuse_is_refused_before_google_is_asked() {
    for (body, said) in [
        (json!({}), "`input` is required"),
        (json!({"input": []}), "`input` must not be empty"),
        (json!({"input": {"text": "x"}}), "`input`: expected a string, or an array of strings or of token ids, got an object"),
        (json!({"input": ["x", 1]}), "`input[1]`: expected a string or an array of token ids, got a number"),
        (json!({"input": [1, "x"]}), "`input[1]`: expected a whole number, got a string"),
        (json!({"input": "x", "dimensions": 0}), "`dimensions` must be from 1 to 4294967295"),
        (json!({"input": "x", "encoding_format": "hex"}), "`encoding_format` must be one of float, base64"),
    ] {
        assert_eq!(wish_of_openai(&body).unwrap_err().to_string(), said, "{body}");
    }
}

#[test]
fn googles_verbs_become_embeddings() {
    let content = json!({"parts": [{"text": "one"}, {"text": "two"}]});
    let body = json!({"content": content, "taskType": "RETRIEVAL_QUERY", "output_dimensionality": 64});
    let expected = json!({"model": "up", "input": "one\ntwo", "dimensions": 64});
    assert_eq!(from_google(Form::One, &body), Ok((expected, vec!["taskType"])));
    let body = json!({"requests": [
        {"model": "models/gemini-embedding-001", "content": {"parts": [{"text": "one"}]}},
        {"content": {"parts": [{"text": "two"}]}, "title": "t"},
    ]});
    assert_eq!(from_google(Form::Batch, &body), Ok((json!({"model": "up", "input": ["one", "two"]}), vec!["requests.title"])));
}

#[test]
fn what_openai_cannot_be_asked_for_is_refused_by_its_name() {
    let part = |part: Value| json!({"content": {"parts": [part]}});
    let image = part(json!({"inlineData": {"mimeType": "image/png", "data": "AA=="}}));
    assert_eq!(from_google(Form::One, &image).unwrap_err().path, "content.parts");
    let text = |dimensions: Value| json!({"content": {"parts": [{"text": "x"}]}, "outputDimensionality": dimensions});
    let mixed = json!({"requests": [text(json!(1)), text(json!(2))]});
    assert_eq!(from_google(Form::Batch, &mixed).unwrap_err().path, "requests.outputDimensionality");
    let late = json!({"requests": [text(Value::Null), text(json!(2))]});
    assert!(from_google(Form::Batch, &late).is_err());
}

#[test]
fn a_wrong_body_of_googles_is_refused_by_the_name_of_its_field() {
    let long = json!({"requests": [{"model": "models/other", "content": {"parts": [{"text": "x"}]}}]});
    for (form, body, said) in [
        (Form::One, json!({}), "`content` is required"),
        (Form::One, json!({"content": {"parts": []}}), "`content.parts` must not be empty"),
        (Form::One, json!({"content": {"parts": [{"text": 1}]}}), "`content.parts[0].text`: expected a string, got a number"),
        (Form::Batch, json!({"requests": []}), "`requests` must not be empty"),
        (Form::Batch, json!({"requests": [{}]}), "`requests[0].content` is required"),
        (Form::Batch, long, "`requests[0].model` must be the model of the address, as `models/…`"),
    ] {
        assert_eq!(wrong(form, &body), said, "{body}");
    }
}

#[test]
fn between_googles_own_only_the_name_of_the_model_changes() {
    let body = r#"{"requests": [ {"model":"models/gemini-embedding-001","content":{"parts":[{"text":"a"}]},"x":1.0} ],"y":2}"#;
    let value: Value = serde_json::from_str(body).unwrap();
    let document = Document::parse(Bytes::from_static(body.as_bytes())).unwrap();
    let request = Request::read(Form::Batch, document, &value, "gemini-embedding-001").unwrap();
    assert_eq!(request.native_body("gemini-embedding-001"), body);
    let renamed = r#"{"requests":[{"model":"models/up","content":{"parts":[{"text":"a"}]},"x":1.0}],"y":2}"#;
    assert_eq!(request.native_body("up"), renamed);
    let one = google(Form::One, &json!({"content": {"parts": [{"text": "a"}]}})).unwrap();
    let named: Value = serde_json::from_slice(&one.native_body("up")).unwrap();
    assert_eq!(named["model"], "models/up", "Google wants it in the body as well");
}

#[test]
fn vectors_come_back_with_their_digits_and_the_usage_that_is_charged() {
    let passage = Passage::new(Form::OpenAi, Form::Batch, 2, false, "asked-for");
    let body = told(r#"{"embeddings":[{"values":[0.1,-1e-7]},{"values":[2]}]}"#, &passage, 9);
    assert_eq!(body["data"][0], json!({"object": "embedding", "index": 0, "embedding": [0.1, -1e-7]}));
    assert_eq!(body["data"][1]["index"], 1);
    assert_eq!(body["usage"], json!({"prompt_tokens": 9, "total_tokens": 9}));
    assert_eq!((&body["object"], &body["model"]), (&json!("list"), &json!("asked-for")));
    let reported = r#"{"embeddings":[{"values":[1]},{"values":[2]}],"usageMetadata":{"promptTokenCount":4}}"#;
    assert_eq!(told(reported, &passage, 9)["usage"]["prompt_tokens"], 4, "what was reported wins");
}

#[test]
fn base64_is_floats_of_32_bits_with_the_least_byte_first() {
    let passage = Passage::new(Form::OpenAi, Form::Batch, 1, true, "m");
    let body = told(r#"{"embeddings":[{"values":[1.0,-2.5]}]}"#, &passage, 1);
    // 1.0 is 0x3f800000, -2.5 is 0xc0200000
    assert_eq!(body["data"][0]["embedding"], "AACAPwAAIMA=");
    let passage = Passage::new(Form::One, Form::OpenAi, 1, false, "m");
    let body = told(r#"{"data":[{"embedding":"AACAPwAAIMA="}],"usage":{"total_tokens":3}}"#, &passage, 1);
    assert_eq!(body, json!({"embedding": {"values": [1.0, -2.5]}}));
}

#[test]
fn vectors_go_back_in_the_order_they_were_asked_for() {
    let passage = Passage::new(Form::Batch, Form::OpenAi, 2, false, "m");
    let body =
        r#"{"data":[{"index":1,"embedding":[2]},{"index":0,"embedding":[1]}],"usage":{"prompt_tokens":3,"total_tokens":3}}"#;
    let answer = came(body, &passage).unwrap();
    assert!(matches!(answer.usage(), Reported::Counted(usage) if usage.input == 3));
    assert_eq!(answer.into_body(None), r#"{"embeddings":[{"values":[1]},{"values":[2]}]}"#);
}

#[test]
fn fewer_vectors_than_texts_or_none_at_all_are_no_answer() {
    let passage = Passage::new(Form::OpenAi, Form::Batch, 2, false, "m");
    for body in [
        r#"{"embeddings":[{"values":[1]}]}"#,
        "{}",
        "[]",
        r#"{"embeddings":"x"}"#,
        r#"{"embeddings":[{"values":[1]},{"values":{}}]}"#,
    ] {
        assert!(matches!(came(body, &passage).unwrap().content(), Content::Empty), "{body}");
    }
    assert!(came("{\"embeddings\":", &passage).is_err());
    let error = came(r#"{"error":{"message":"no","code":400}}"#, &passage).unwrap();
    assert!(matches!(error.content(), Content::Error(_)));
    assert!(matches!(came("{}", &Passage::same(Form::One)).unwrap().content(), Content::Empty));
}
