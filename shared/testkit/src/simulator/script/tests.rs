use serde_json::json;

use super::super::asked::ToolResult;
use super::*;

fn asked() -> Asked {
    Asked { prompt_tokens: 7, choices: 1, parallel_calls: true, ..Asked::default() }
}

fn script(directive: &str, asked: &Asked) -> Script {
    Script::write(asked, &directive.parse().unwrap(), 1)
}

fn weather() -> Vec<Tool> {
    let parameters = json!({"type": "object", "properties": {"city": {"type": "string"}, "days": {"type": "integer"}}});
    vec![Tool { name: "weather".to_owned(), parameters }]
}

#[test]
fn the_pieces_of_an_answer_make_up_the_whole() {
    for directive in ["", "tokens=100 chunks=50", "tokens=7 chunks=3", "tokens=3 chunks=7", "chunks=4 chunk_bytes=10", "tokens=0"]
    {
        let script = script(directive, &asked());
        let joined: String = (0..script.content.pieces()).map(|place| script.content.piece(place)).collect();
        assert_eq!(joined, script.content.whole(), "{directive}");
    }
}

#[test]
fn usage_is_what_was_asked_and_said() {
    let usage = |directive: &str| script(directive, &asked()).usage.map(|usage| (usage.prompt_tokens, usage.completion_tokens));
    assert_eq!(usage("tokens=100 chunks=50"), Some((7, 100)));
    assert_eq!(usage("chunks=50"), Some((7, 50)));
    assert_eq!(usage("tokens=10 reasoning_tokens=5 cached_tokens=20"), Some((20, 15)));
    assert_eq!(usage("tokens=10 cached_tokens=20 cache_write_tokens=5"), Some((25, 10)));
    assert_eq!(usage("prompt_tokens=1 completion_tokens=2"), Some((1, 2)));
    assert_eq!(usage("usage=missing"), None);
    assert!(usage("usage=negative").is_some_and(|(prompt, completion)| prompt < 0 && completion < 0));
    assert_eq!(usage("usage=absurd"), Some((9_000_000_000_000_000, 9_000_000_000_000_000)));
    assert_eq!(usage("empty"), Some((7, 0)));
    assert_eq!(usage("tokens=10 thinking=hm"), Some((7, 11)));
}

#[test]
fn no_answer_is_longer_than_the_request_allows() {
    for directive in ["", "tokens=100", "chunks=50 chunk_bytes=3"] {
        let script = script(directive, &Asked { max_tokens: Some(5), ..asked() });
        assert_eq!((script.visible_tokens, &script.finish), (5, &Finish::Length), "{directive}");
        assert!(script.content.pieces() <= 5);
    }
}

#[test]
fn an_answer_ends_before_the_first_stop_sequence() {
    let asked = Asked { stops: vec!["nowhere".to_owned(), "provider".to_owned(), "Sluice".to_owned()], ..asked() };
    let script = script("", &asked);
    assert_eq!(script.content.whole(), "Hello! You are talking to the ");
    assert_eq!(script.finish, Finish::StopSequence("Sluice".to_owned()));
}

#[test]
fn tool_calls_fit_the_declared_schema() {
    let script = script("tools=2", &Asked { tools: weather(), ..asked() });
    assert_eq!((script.calls.len(), &script.finish), (2, &Finish::Calls));
    assert_ne!(script.calls[0].id, script.calls[1].id);
    assert_eq!(parsed(&script.calls[1].arguments), json!({"city": "sample 2", "days": 2}));
    assert!(script.calls[0].pieces() > 2, "arguments are streamed in pieces");
    assert_eq!(script.tokens_after(1, u32::MAX), script.visible_tokens);
    assert_eq!(script.tokens_after(0, 0), 1, "a name is a token");
}

#[test]
fn a_named_tool_is_called_even_when_no_scenario_asks() {
    let tool = |name: &str| Tool { name: name.to_owned(), parameters: Value::Null };
    let asked = Asked { tools: vec![tool("a"), tool("b")], must_call: MustCall::Tool("b".to_owned()), ..asked() };
    assert_eq!(script("", &asked).calls[0].name, "b");
}

#[test]
fn the_weather_makes_it_call_a_tool_and_both_two_and_a_result_none() {
    let about = |text: &str| Asked { tools: weather(), last_text: text.to_owned(), ..asked() };
    assert_eq!(script("", &about("What is the weather?")).calls.len(), 1);
    assert_eq!(script("", &about("Weather in both cities, please")).calls.len(), 2);
    assert_eq!(script("", &Asked { parallel_calls: false, ..about("weather in both") }).calls.len(), 1);
    assert!(script("", &about("whether")).calls.is_empty());
    assert!(script("tokens=3", &about("weather")).calls.is_empty());
    assert!(script("", &Asked { must_call: MustCall::Never, ..about("weather") }).calls.is_empty());
    let results = vec![ToolResult { name: "weather".to_owned(), said: "rain".to_owned() }];
    let answered = script("", &Asked { results, ..about("weather") });
    assert_eq!((answered.calls.len(), answered.content.whole().as_str()), (0, "weather said: rain"));
}

#[test]
fn thinking_comes_first_and_is_shown_as_asked() {
    let thinking = |thinking, directive: &str| script(directive, &Asked { thinking, last_text: "why".to_owned(), ..asked() });
    let shown = thinking(Thinking::Shown, "tokens=2");
    assert!(matches!(shown.parts().collect::<Vec<_>>()[..], [Part::Thought(_), Part::Text(_)]));
    let thought = shown.thought.as_ref().unwrap();
    assert!(thought.content.whole().contains("why"));
    assert_eq!(shown.sent_tokens(), 2 + thought.tokens);
    assert_eq!(shown.usage.unwrap().reasoning_tokens, thought.tokens);
    let hidden = thinking(Thinking::Hidden, "tokens=2");
    assert_eq!((hidden.sent_tokens(), hidden.usage), (2, shown.usage));
    assert!(thinking(Thinking::No, "").thought.is_none());
    assert_eq!(thinking(Thinking::Shown, "redacted=true").thought.unwrap().shown, Shown::Redacted);
}

#[test]
fn a_schema_is_answered_with_json_and_media_with_what_arrived() {
    let schema = json!({"type": "object", "properties": {"city": {"type": "string"}}});
    let structured = script("", &Asked { form: Form::Schema(schema), ..asked() });
    assert_eq!(structured.content.whole(), r#"{"city":"sample 1"}"#);
    let media = vec![Media::Inline { mime: "image/png".to_owned(), bytes: 68 }, Media::Elsewhere("http://x/y".to_owned())];
    assert_eq!(
        script("", &Asked { media, ..asked() }).content.whole(),
        "I received image/png of 68 bytes and something at http://x/y."
    );
}

#[test]
fn an_echo_repeats_a_part_of_the_request() {
    let asked = Asked { system: "be brief".to_owned(), roles: vec!["user", "assistant", "user"], tools: weather(), ..asked() };
    let echo = |directive: &str| script(directive, &asked).content.whole();
    assert_eq!(echo("echo=system"), "be brief");
    assert_eq!(echo("echo=roles"), "user assistant user");
    assert_eq!(echo("echo=tools"), "weather");
    assert_eq!(echo("echo=thinking"), "no");
}
