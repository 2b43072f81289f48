use sluice_domain::Usage;

use super::*;

fn read(surface: Surface, body: &str) -> Answer {
    Answer::read(Bytes::copy_from_slice(body.as_bytes()), surface).unwrap()
}

const CHAT: &str = r#"{"id":"c1","model" : "up","choices":[{"index":0,"message":{"role":"assistant","content":"Hi","tool_calls":[{"id":"1","function":{"name":"f","arguments":"{}"}}]},"finish_reason":"stop"}],"usage":{"prompt_tokens":9,"completion_tokens":2},"x":1.0}"#;

#[test]
fn usage_end_and_text_of_an_answer_are_read() {
    let answer = read(Surface::ChatCompletions, CHAT);
    assert_eq!(answer.usage(), Reported::Counted(Usage { input: 9, output: 2, ..Usage::default() }));
    assert_eq!(answer.finish(), Some(Finish::Stop));
    assert!(matches!(answer.content(), Content::Output));
    let mut text = String::new();
    assert_eq!(answer.visit_output(&mut |piece| text.push_str(piece)), OutputCounts { tool_calls: 1 });
    assert_eq!(text, "Hif{}");
}

#[test]
fn the_body_is_the_very_same_bytes_unless_the_model_was_mapped() {
    let body = Bytes::from_static(CHAT.as_bytes());
    let same = Answer::read(body.clone(), Surface::ChatCompletions).unwrap().into_body(None);
    assert_eq!(same.as_ptr(), body.as_ptr());
    let renamed = read(Surface::ChatCompletions, CHAT).into_body(Some("mine"));
    assert_eq!(renamed, CHAT.replace("\"up\"", "\"mine\""));
}

#[test]
fn an_answer_without_a_model_is_not_given_one() {
    assert_eq!(read(Surface::ChatCompletions, r#"{"choices":[]}"#).into_body(Some("mine")), r#"{"choices":[]}"#);
}

#[test]
fn what_is_worth_paying_for_is_told_from_what_is_not() {
    let kind = |surface, body| match read(surface, body).content() {
        Content::Output => "output",
        Content::Empty => "empty",
        Content::Error(_) => "error",
    };
    let rows = [
        (Surface::ChatCompletions, r#"{"choices":[{"message":{"content":"x"}}]}"#, "output"),
        (Surface::ChatCompletions, r#"{"choices":[{"message":{"content":null,"refusal":"no"}}]}"#, "output"),
        (Surface::ChatCompletions, r#"{"choices":[{"message":{"content":"","reasoning":"hm"}}]}"#, "output"),
        (Surface::ChatCompletions, r#"{"choices":[{"message":{"tool_calls":[{"function":{"name":"f"}}]}}]}"#, "output"),
        (Surface::ChatCompletions, r#"{"choices":[{"message":{"audio":{"id":"a","data":"x"}}}]}"#, "output"),
        (
            Surface::ChatCompletions,
            r#"{"choices":[{"message":{"content":""}}],"usage":{"completion_tokens":5,"completion_tokens_details":{"reasoning_tokens":5}}}"#,
            "output",
        ),
        (Surface::ChatCompletions, r#"{"choices":[{"message":{"content":"","tool_calls":[]}}]}"#, "empty"),
        (Surface::ChatCompletions, r#"{"choices":[]}"#, "empty"),
        (Surface::ChatCompletions, "{}", "empty"),
        (Surface::ChatCompletions, "[]", "empty"),
        (Surface::ChatCompletions, r#"{"error":{"message":"x"}}"#, "error"),
        (Surface::ChatCompletions, r#"{"error":null,"choices":[{"message":{"content":"x"}}]}"#, "output"),
        (Surface::Completions, r#"{"choices":[{"text":"x"}]}"#, "output"),
        (Surface::Completions, r#"{"choices":[{"text":""}]}"#, "empty"),
        (Surface::Embeddings, r#"{"data":[{"embedding":[0.1]}],"usage":{"prompt_tokens":1,"total_tokens":1}}"#, "output"),
        (Surface::Embeddings, r#"{"data":[]}"#, "empty"),
    ];
    for (surface, body, expected) in rows {
        assert_eq!(kind(surface, body), expected, "{body}");
    }
}

#[test]
fn a_body_that_is_no_json_is_refused() {
    for body in ["<html></html>", "", "{\"choices\":[", "{} trailing"] {
        assert!(Answer::read(Bytes::copy_from_slice(body.as_bytes()), Surface::ChatCompletions).is_err(), "{body}");
    }
}

#[test]
fn debug_shows_no_text() {
    assert!(!format!("{:?}", read(Surface::ChatCompletions, CHAT)).contains("Hi"));
}
