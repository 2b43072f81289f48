//! What becomes of every golden in every other dialect, kept beside them as `tests/golden/rendered/<dialect>/<case>.json`: a change of a
//! codec shows there, field by field. `UPDATE=1 cargo test -p sluice-dialect rendered` writes them anew.

use std::path::{Path, PathBuf};

use serde_json::{Map, Value, json};
use sluice_dialect::Surface;
use sluice_dialect::exchange::{Answer, Form, StreamMeter};

use crate::exchange::{SURFACES, folder_of, follow, question, read, sent, stream_of};

fn golden_folder() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/golden")
}

/// The cases of a dialect: their names and what they hold.
fn cases(surface: Surface) -> Vec<(String, Value)> {
    let mut cases: Vec<(String, Value)> = std::fs::read_dir(golden_folder().join(folder_of(surface)))
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .filter(|path| path.extension().is_some_and(|extension| extension == "json"))
        .map(|path| {
            (
                path.file_stem().unwrap().to_str().unwrap().to_owned(),
                serde_json::from_slice(&std::fs::read(&path).unwrap()).unwrap(),
            )
        })
        .collect();
    cases.sort_by(|one, other| one.0.cmp(&other.0));
    cases
}

/// A model of an upstream that takes most of what there is.
fn model_at(upstream: Surface) -> &'static str {
    match upstream {
        Surface::Messages => "claude-sonnet-4-5",
        Surface::GenerateContent => "gemini-3-pro-preview",
        _ => "gpt-5",
    }
}

fn request(caller: Surface, golden: &Value, upstream: Surface) -> Value {
    let request = read(caller, golden.to_string(), Form::Whole).unwrap();
    match sent(&request, upstream, model_at(upstream)) {
        Ok(sent) => json!({"dropped": sent.dropped, "body": serde_json::from_slice::<Value>(&sent.body).unwrap()}),
        Err(refused) => json!({"refused": refused.to_string()}),
    }
}

fn answer(upstream: Surface, golden: &Value, caller: Surface) -> Value {
    let passage = sent(&question(caller, false), upstream, "theirs").unwrap().passage;
    let answer = Answer::read(golden.to_string().into(), passage, &[]).unwrap();
    match answer.content() {
        sluice_dialect::openai::Content::Error(error) => json!({"error": error.message}),
        _ => serde_json::from_slice(&answer.into_body()).unwrap(),
    }
}

fn stream(upstream: Surface, golden: &Value, caller: Surface) -> Value {
    let passage = sent(&question(caller, true), upstream, "theirs").unwrap().passage;
    let followed = follow(StreamMeter::new(passage, true, None), &stream_of(golden));
    let text = String::from_utf8(followed.bytes).unwrap();
    let mut lines: Vec<Value> = text.split_terminator("\n\n").map(Value::from).collect();
    if let Some(error) = followed.error {
        lines.push(json!({"error": String::from_utf8(error.to_vec()).unwrap()}));
    }
    lines.into()
}

fn rendered(surface: Surface, golden: &Value) -> Value {
    let others = || SURFACES.into_iter().filter(move |other| *other != surface);
    let mut whole = Map::new();
    for (part, render) in [("request", request as fn(Surface, &Value, Surface) -> Value), ("answer", answer), ("stream", stream)]
    {
        if !golden[part].is_null() {
            let each = others().map(|other| (folder_of(other).to_owned(), render(surface, &golden[part], other)));
            whole.insert(part.to_owned(), Value::Object(each.collect()));
        }
    }
    Value::Object(whole)
}

#[test]
fn every_golden_is_rendered_to_every_other_dialect_as_before() {
    let mut wrong = Vec::new();
    for surface in SURFACES {
        let folder = golden_folder().join("rendered").join(folder_of(surface));
        for (name, golden) in cases(surface) {
            let text = serde_json::to_string_pretty(&rendered(surface, &golden)).unwrap() + "\n";
            let path = folder.join(format!("{name}.json"));
            if std::fs::read_to_string(&path).unwrap_or_default() == text {
                continue;
            }
            wrong.push(format!("{}/{name}", folder_of(surface)));
            #[expect(clippy::disallowed_methods, reason = "a switch of this test, not a setting")]
            if std::env::var("UPDATE").is_ok() {
                std::fs::create_dir_all(&folder).unwrap();
                std::fs::write(&path, &text).unwrap();
            }
        }
    }
    assert!(wrong.is_empty(), "rendered otherwise: {wrong:?}: UPDATE=1 cargo test -p sluice-dialect rendered");
}

/// What conversions.md §17 asks for, as words that stand in a golden of each dialect (chat, responses, messages, gemini), and in which part.
const FEATURES: [(&str, &str, [&str; 4]); 16] = [
    ("text", "answer", ["\"content\":\"", "output_text", "\"text\":\"", "\"text\":\""]),
    ("a stream", "stream", ["chat.completion.chunk", "response.created", "message_start", "candidates"]),
    ("an error inside a stream", "stream", ["\\\"error\\\":", "response.failed", "event: error", "\\\"error\\\":"]),
    ("calls and results", "request", ["\"role\":\"tool\"", "function_call_output", "tool_result", "functionResponse"]),
    ("calls in an answer", "answer", ["\"tool_calls\"", "function_call", "tool_use", "functionCall"]),
    ("an image", "request", ["image_url", "input_image", "\"type\":\"image\"", "image/"]),
    ("a document", "request", ["file_data", "input_file", "\"type\":\"document\"", "application/pdf"]),
    ("instructions", "request", ["\"role\":\"system\"", "\"instructions\"", "\"system\"", "systemInstruction"]),
    ("thinking", "request", ["reasoning", "reasoning", "\"thinking\"", "thought"]),
    ("state of thinking", "request", ["signature", "encrypted_content", "\"signature\"", "thoughtSignature"]),
    ("a form of the answer", "request", ["json_schema", "json_schema", "json_schema", "responseMimeType"]),
    ("cached usage", "answer", ["cached_tokens\":1", "cached_tokens\":", "cache_read_input_tokens", "cachedContentTokenCount"]),
    ("a cut answer", "answer", ["\"length\"", "max_output_tokens\"}", "max_tokens", "MAX_TOKENS"]),
    ("a filtered answer", "answer", ["content_filter", "content_filter", "\"refusal\"", "RECITATION"]),
    ("an error", "answer", ["\"error\":{", "\"error\":{", "\"error\":{", "\"error\":{"]),
    ("a call in a stream", "stream", ["tool_calls", "function_call", "tool_use", "functionCall"]),
];

#[test]
fn goldens_name_their_page_and_hold_what_the_dialects_are_asked_for() {
    let mut missing = Vec::new();
    for (at, surface) in SURFACES.into_iter().enumerate() {
        let cases = cases(surface);
        for (name, golden) in &cases {
            assert!(golden["source"].as_str().is_some_and(|source| source.starts_with("https://")), "{name} cites no page");
        }
        for (feature, part, words) in FEATURES {
            if !cases.iter().any(|(_, golden)| golden[part].to_string().contains(words[at])) {
                missing.push(format!("{feature} in a {part} of {}", folder_of(surface)));
            }
        }
    }
    assert!(missing.is_empty(), "{missing:?}");
}
