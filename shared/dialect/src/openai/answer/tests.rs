use sluice_domain::Usage;

use super::*;

fn read(surface: Surface, body: &str) -> Answer {
    Answer::read(Bytes::copy_from_slice(body.as_bytes()), surface, &[]).unwrap()
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
    let same = Answer::read(body.clone(), Surface::ChatCompletions, &[]).unwrap().into_body(None);
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
        (Surface::Rerank, r#"{"results":[{"index":0,"relevance_score":0.9}],"usage":{"total_tokens":3}}"#, "output"),
        (Surface::Rerank, r#"{"results":[]}"#, "empty"),
        (
            Surface::Compact,
            r#"{"object":"response.compaction","output":[{}],"usage":{"input_tokens":9,"output_tokens":2}}"#,
            "output",
        ),
        (Surface::Compact, r#"{"object":"response.compaction","output":[]}"#, "empty"),
        (Surface::Moderations, r#"{"id":"modr-1","model":"m","results":[{"flagged":false}]}"#, "output"),
    ];
    for (surface, body, expected) in rows {
        assert_eq!(kind(surface, body), expected, "{body}");
    }
}

#[test]
fn half_a_character_in_an_answer_is_no_reason_to_refuse_it() {
    let body = r#"{"id":"\ud83d","model":"up","choices":[{"message":{"content":"Hi \ud83d","reasoning":"hm\ude00","x":"\ud83d"},"finish_reason":"stop"}],"\ud83d":1,"usage":{"prompt_tokens":9,"completion_tokens":2}}"#;
    let answer = read(Surface::ChatCompletions, body);
    assert!(matches!(answer.content(), Content::Output));
    assert_eq!(answer.usage(), Reported::Counted(Usage { input: 9, output: 2, ..Usage::default() }));
    assert_eq!(answer.finish(), Some(Finish::Stop));
    let mut text = String::new();
    answer.visit_output(&mut |piece| text.push_str(piece));
    assert_eq!(text, "Hi \u{fffd}hm\u{fffd}");
    assert_eq!(answer.clone().into_body(None), body);
    assert_eq!(answer.into_body(Some("mine")), body.replace("\"up\"", "\"mine\""));
}

#[test]
fn bytes_cut_out_of_a_character_pass_as_they_came() {
    let body = Bytes::from_static(b"{\"model\":\"up\",\"choices\":[{\"message\":{\"content\":\"Hi \xF0\x9F\"}}]}");
    let answer = Answer::read(body.clone(), Surface::ChatCompletions, &[]).unwrap();
    assert!(matches!(answer.content(), Content::Output));
    assert_eq!(answer.into_body(None), body);
}

#[test]
fn an_error_in_an_answer_does_not_show_the_key() {
    let body = br#"{"error":{"message":"no such key 0b6f2a1c-7d43-4e9a-9f10-5c2e8d7a6b31"}}"#;
    let answer = Answer::read(Bytes::from_static(body), Surface::ChatCompletions, &["0b6f2a1c-7d43-4e9a-9f10-5c2e8d7a6b31"]);
    let Content::Error(error) = answer.unwrap().content().clone() else { panic!("an error") };
    assert_eq!(error.message, "no such key ***");
}

#[test]
fn a_body_that_is_no_json_is_refused() {
    for body in ["<html></html>", "", "{\"choices\":[", "{} trailing"] {
        assert!(Answer::read(Bytes::copy_from_slice(body.as_bytes()), Surface::ChatCompletions, &[]).is_err(), "{body}");
    }
}

#[test]
fn debug_shows_no_text() {
    assert!(!format!("{:?}", read(Surface::ChatCompletions, CHAT)).contains("Hi"));
}
