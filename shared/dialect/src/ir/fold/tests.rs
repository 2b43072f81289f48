use bytes::Bytes;
use proptest::collection::vec;
use proptest::option;
use proptest::prelude::*;
use serde_json::{Map, Value, json};
use sluice_domain::Usage;

use super::*;
use crate::ir::replay::replay;
use crate::ir::{Family, Finish, MediaKind, order};

fn fold(events: Vec<Event>, max_bytes: usize) -> Result<Response, FoldError> {
    let mut fold = Fold::new(max_bytes);
    events.into_iter().try_for_each(|event| fold.push(event))?;
    fold.finish()
}

fn start() -> Event {
    Event::Start { id: "r1".to_owned(), model: "m".to_owned(), created: Some(7) }
}

fn call(id: &str) -> BlockStart {
    BlockStart::ToolCall { id: id.to_owned(), name: "f".to_owned(), whole: None }
}

fn arguments(block: u32, json: &str) -> Event {
    Event::Arguments { choice: 0, block, json: json.to_owned() }
}

fn object(value: Value) -> Arguments {
    serde_json::from_value(value).map(Arguments::Object).unwrap()
}

#[test]
fn fragments_of_calls_that_interleave_are_put_together() {
    let begin = |block, start| Event::BlockStart { choice: 0, block, start };
    let events = vec![
        start(),
        begin(0, call("a")),
        begin(1, call("b")),
        arguments(0, "{\"x\":"),
        arguments(1, "{\"y\": \"\\ud83d"),
        arguments(0, "1}"),
        arguments(1, "\"}"),
        Event::BlockStop { choice: 0, block: 0 },
        Event::BlockStop { choice: 0, block: 1 },
        begin(2, call("c")),
        Event::BlockStop { choice: 0, block: 2 },
        begin(3, call("d")),
        arguments(3, "{\"cut\":"),
        Event::BlockStop { choice: 0, block: 3 },
        Event::Finish { choice: 0, finish: Finish::Length, stop_sequence: None },
        Event::Usage(Usage { input: 1, ..Usage::default() }),
        Event::Usage(Usage { input: 2, ..Usage::default() }),
        Event::End,
    ];
    order::check(&events).unwrap();
    let response = fold(events, 10_000).unwrap();
    assert_eq!((response.id.as_str(), response.model.as_str(), response.created), ("r1", "m", Some(7)));
    assert_eq!(response.usage.unwrap().input, 2);
    let [choice] = &*response.choices else { panic!("one choice") };
    assert_eq!(choice.finish, Some(Finish::Length));
    let called: Vec<_> = choice
        .blocks
        .iter()
        .map(|block| match block {
            Block::ToolCall { id, arguments, .. } => (id.as_str(), arguments.clone()),
            other => panic!("{other:?}"),
        })
        .collect();
    assert_eq!(
        called,
        [
            ("a", object(json!({"x": 1}))),
            ("b", object(json!({"y": "\u{fffd}"}))),
            ("c", object(json!({}))),
            ("d", Arguments::Raw("{\"cut\":".to_owned())),
        ]
    );
}

#[test]
fn what_failed_broke_off_or_is_too_long_is_no_answer() {
    let text = |text: &str| Event::Text { choice: 0, block: 0, text: text.to_owned(), logprobs: Vec::new() };
    let begin = Event::BlockStart { choice: 0, block: 0, start: BlockStart::Text };
    let stream = |last: Event| vec![start(), begin.clone(), text("abc"), last];
    let error = StreamError { raw: None, reason: "broken" };
    assert_eq!(fold(stream(Event::Error(error.clone())), 1_000), Err(FoldError::Failed(error)));
    assert_eq!(fold(stream(Event::BlockStop { choice: 0, block: 0 }), 1_000), Err(FoldError::BrokeOff));
    let long = "x".repeat(1_000);
    assert_eq!(fold(stream(text(&long)), 1_000), Err(FoldError::TooLong));
    assert!(fold([stream(Event::End), vec![text(&long)]].concat(), 1_000).is_ok(), "what follows the end is left out");
}

#[test]
fn what_a_stream_cannot_say_is_left_out_of_it() {
    let signature = Signature { family: Family::Google, account: None, item: None, value: "s".to_owned() };
    let blocks = vec![
        Block::text(""),
        Block::Text { text: String::new(), cache: None, citations: Vec::new(), signature: Some(signature.clone()) },
        Block::Native { family: Family::OpenAi, raw: json!({}) },
        Block::Refusal { text: String::new() },
    ];
    let choice = Choice { blocks, ..Choice::default() };
    let events = replay(&Response { choices: vec![choice], ..Response::default() });
    order::check(&events).unwrap();
    let folded = fold(events, 1_000).unwrap();
    assert_eq!(folded.choices[0].blocks, [Block::Redacted { signature }]);
    assert_eq!(folded.choices[0].finish, Some(Finish::Stop));
}

fn signatures() -> impl Strategy<Value = Signature> {
    (option::of(any::<u64>()), option::of("rs_[a-z]{3}"), "[A-Za-z0-9+/]{1,20}").prop_map(|(account, item, value)| Signature {
        family: Family::Google,
        account,
        item,
        value,
    })
}

fn blocks() -> impl Strategy<Value = Block> {
    let citations = vec(Just(json!({"type": "url_citation"})), 0..2);
    let arguments = prop_oneof![
        vec(("[a-z]{1,3}", any::<i64>().prop_map(Value::from)), 0..3)
            .prop_map(|fields| Arguments::Object(Map::from_iter(fields))),
        ".{0,8}".prop_map(Arguments::Raw),
    ];
    prop_oneof![
        (".{1,8}", citations, option::of(signatures())).prop_map(|(text, citations, signature)| Block::Text {
            text,
            cache: None,
            citations,
            signature
        }),
        (".{1,8}", option::of(signatures())).prop_map(|(text, signature)| Block::Thinking { text, signature }),
        signatures().prop_map(|signature| Block::Thinking { text: String::new(), signature: Some(signature) }),
        signatures().prop_map(|signature| Block::Redacted { signature }),
        ".{1,8}".prop_map(|text| Block::Refusal { text }),
        ("[a-z]{1,5}", "[a-z]{0,5}", arguments, option::of(signatures()))
            .prop_map(|(id, name, arguments, signature)| Block::ToolCall { id, name, arguments, signature, cache: None }),
        vec(any::<u8>(), 0..9).prop_map(|data| Block::Media {
            kind: MediaKind::Image,
            source: Source::Inline { mime: "image/png".to_owned(), data: Bytes::from(data) },
            detail: None,
            title: None,
            cache: None,
        }),
    ]
}

fn responses() -> impl Strategy<Value = Response> {
    let logprob =
        ("[a-z]{1,3}", -9.0..0.0).prop_map(|(token, logprob)| TokenLogprob { token, logprob, bytes: None, top: Vec::new() });
    let finish = prop_oneof![Just(Finish::Stop), Just(Finish::Length), Just(Finish::Filter { detail: Some("x".to_owned()) })];
    let choice = (vec(blocks(), 0..6), finish, option::of("[a-z]{1,4}"), vec(logprob, 0..3));
    let usage = option::of(any::<u32>().prop_map(|input| Usage { input: input.into(), ..Usage::default() }));
    ("[a-z]{0,4}", option::of(any::<i64>()), "[a-z]{0,4}", vec(choice, 0..3), usage).prop_map(
        |(id, created, model, choices, usage)| {
            let choices = choices.into_iter().zip(0..).map(|((blocks, finish, stop_sequence, logprobs), index)| {
                let has_text = blocks.iter().any(|block| matches!(block, Block::Text { .. }));
                let logprobs = if has_text { logprobs } else { Vec::new() };
                Choice { index, blocks, finish: Some(finish), stop_sequence, logprobs }
            });
            Response { id, created, model, choices: choices.collect(), usage, service_tier: None }
        },
    )
}

proptest! {
    #[test]
    fn an_answer_that_is_replayed_and_folded_is_the_same(response in responses()) {
        let events = replay(&response);
        prop_assert_eq!(order::check(&events), Ok(()));
        prop_assert_eq!(fold(events, 1 << 20), Ok(response));
    }
}
