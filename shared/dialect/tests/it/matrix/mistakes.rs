//! What others got wrong (conversions.md §16), one test each. Where a test elsewhere already fails when a mistake comes back, the page
//! names that one.

use serde_json::{Value, json};
use sluice_dialect::Surface;
use sluice_dialect::exchange::{Answer, Sent, StreamMeter};

use super::pair::{Pair, WITNESSES, Witness, pass};
use super::said::{Asks, End, Said, Says, Spent, Turn, items};
use crate::exchange::follow;

fn chat() -> &'static Witness {
    &WITNESSES[0]
}

fn responses() -> &'static Witness {
    &WITNESSES[1]
}

fn messages() -> &'static Witness {
    &WITNESSES[2]
}

fn gemini() -> &'static Witness {
    &WITNESSES[3]
}

/// What an upstream is sent for a caller's body.
fn sent(caller: &Witness, upstream: &Witness, body: &Value) -> Value {
    serde_json::from_slice(&passed(caller, upstream, body, false).body).unwrap()
}

fn passed(caller: &Witness, upstream: &Witness, body: &Value, streams: bool) -> Sent {
    pass(caller, upstream, upstream.model, body, streams).unwrap()
}

/// What a caller gets of a whole answer.
fn answered(caller: &Witness, upstream: &Witness, asks: &Value, answer: &Value) -> Value {
    let passage = passed(caller, upstream, asks, false).passage;
    serde_json::from_slice(&Answer::read(answer.to_string().into(), passage, &[]).unwrap().into_body()).unwrap()
}

/// What a caller gets of a stream.
fn streamed(caller: &Witness, upstream: &Witness, asks: &Value, stream: &str) -> String {
    let followed = follow(StreamMeter::new(passed(caller, upstream, asks, true).passage, true, None), stream.as_bytes());
    assert!(!followed.has_failed, "{followed:?}");
    String::from_utf8(followed.bytes).unwrap()
}

fn question(caller: &Witness, asks: Asks) -> Value {
    (caller.ask)(&Asks { turns: vec![Turn::user(vec![Said::Text("Go.".to_owned())])], max_output: Some(9_000), ..asks })
}

fn says(said: Vec<Said>, end: End) -> Says {
    let spent = Spent { input: 10, output: 5, ..Spent::default() };
    Says { model: "theirs".to_owned(), said, end, spent, states: Vec::new() }
}

fn call(at: usize, name: &str, arguments: Value) -> Said {
    Said::Call { at, name: name.to_owned(), arguments }
}

fn text(text: &str) -> Said {
    Said::Text(text.to_owned())
}

fn thought(text: &str) -> Said {
    Said::Thinking(text.to_owned())
}

/// 1 and 9: block indices with holes, stops of blocks never opened, thinking inside a text block, two beginnings, an empty text in front.
#[test]
fn blocks_of_messages_streams_follow_each_other_without_holes_behind_thinking_and_text() {
    let calls = [call(0, "now", json!({})), call(1, "look", json!({"at": "x"})), call(2, "look", json!({"at": "y"}))];
    let upstreams = WITNESSES.iter().filter(|upstream| upstream.surface != Surface::Messages);
    for (upstream, said) in upstreams.flat_map(|upstream| {
        let all = [vec![thought("Hm."), text("I look.")], calls.to_vec()].concat();
        [(upstream, all.clone()), (upstream, all[2..].to_vec()), (upstream, vec![thought("Hm."), text("So.")])]
    }) {
        let asks = question(messages(), Asks { thinks: true, streams: true, ..Asks::default() });
        let end = if said.iter().any(|said| matches!(said, Said::Call { .. })) { End::Tool } else { End::Stop };
        let says = says(said.clone(), end.clone());
        let stream = streamed(messages(), upstream, &asks, &(upstream.stream)(&says));
        let answer = (messages().assembled)(&stream).unwrap_or_else(|wrong| panic!("{}: {wrong}: {stream}", upstream.name));
        let heard = (messages().heard)(&answer);
        assert_eq!((heard.said, heard.end), (said, end), "{}", upstream.name);
    }
}

/// 2: Responses for channels of Claude and Gemini answered "not implemented".
#[test]
fn responses_callers_are_served_by_claude_and_gemini() {
    for upstream in [messages(), gemini(), chat()] {
        for streams in [false, true] {
            let asks = Asks { turns: vec![Turn::user(vec![text("hi")])], streams, max_output: Some(90), ..Asks::default() };
            let trip = Pair { caller: &WITNESSES[1], upstream: find(upstream) }.send(&asks).unwrap();
            trip.tells_either_way(&says(vec![text("hello")], End::Stop)).unwrap();
        }
    }
}

fn find(witness: &Witness) -> &'static Witness {
    WITNESSES.iter().find(|known| known.surface == witness.surface).unwrap()
}

/// 3: text beside calls of tools was dropped, in histories and in answers.
#[test]
fn text_beside_calls_is_kept_in_histories_and_in_answers() {
    let history = vec![
        Turn::user(vec![text("Weather?")]),
        Turn::model(vec![text("I look first."), call(0, "look", json!({"at": "x"}))]),
        Turn::user(vec![Said::Result { at: 0, text: "warm".to_owned() }, text("Well?")]),
    ];
    let asks = Asks { turns: history.clone(), max_output: Some(90), ..Asks::default() };
    for caller in &WITNESSES {
        for upstream in &WITNESSES {
            let understood = (upstream.asked)(&sent(caller, upstream, &(caller.ask)(&asks)));
            assert_eq!(understood.turns, history, "{} at {}", caller.name, upstream.name);
            let answer = (upstream.answer)(&says(history[1].said.clone(), End::Tool));
            let heard = (caller.heard)(&answered(caller, upstream, &question(caller, Asks::default()), &answer));
            assert_eq!(heard.said, history[1].said, "{} of {}", caller.name, upstream.name);
        }
    }
}

/// 4: ids of a Gemini caller's results were counted anew in each content, and its configuration was not looked at.
#[test]
fn a_gemini_callers_results_find_their_calls_over_many_turns() {
    let mut contents = vec![json!({"role": "user", "parts": [{"text": "Go."}]})];
    for turn in 0..3 {
        // no ids: the names and the order have to do
        contents.push(json!({"role": "model", "parts": [
            {"functionCall": {"name": "look", "args": {"turn": turn}}}, {"functionCall": {"name": "look", "args": {"turn": turn + 10}}}
        ]}));
        contents.push(json!({"role": "user", "parts": [
            {"functionResponse": {"name": "look", "response": {"result": format!("a{turn}")}}},
            {"functionResponse": {"name": "look", "response": {"result": format!("b{turn}")}}}
        ]}));
    }
    for upstream in [chat(), responses(), messages()] {
        let understood = (upstream.asked)(&sent(gemini(), upstream, &json!({"contents": contents})));
        let results = understood.turns.iter().flat_map(|turn| &turn.said).filter_map(|said| match said {
            Said::Result { at, text } => Some((*at, text.clone())),
            _ => None,
        });
        let meant = ["a0", "b0", "a1", "b1", "a2", "b2"].into_iter().map(str::to_owned).enumerate();
        assert_eq!(results.collect::<Vec<_>>(), meant.collect::<Vec<_>>(), "{}", upstream.name);
    }
}

#[test]
fn a_gemini_callers_configuration_reaches_chat_and_its_short_stop_list_too() {
    let body = json!({
        "contents": [{"parts": [{"text": "Go."}]}],
        "tools": [{"functionDeclarations": [{"name": "look", "parameters": {"type": "OBJECT", "properties": {"at": {"type": "STRING"}}}}]}],
        "toolConfig": {"functionCallingConfig": {"mode": "ANY", "allowedFunctionNames": ["look"]}},
        "generationConfig": {
            "stopSequences": ["a"], "responseMimeType": "application/json", "thinkingConfig": {"thinkingBudget": 20000},
            "responseSchema": {"type": "OBJECT", "properties": {"n": {"type": "INTEGER", "nullable": true}}}
        }
    });
    let got: Value = serde_json::from_slice(&pass(gemini(), chat(), "theirs", &body, false).unwrap().body).unwrap();
    assert_eq!(got["tool_choice"]["function"]["name"], "look", "{got}");
    assert_eq!(got["tools"][0]["function"]["parameters"]["properties"]["at"]["type"], "string", "{got}");
    assert_eq!(got["stop"], json!(["a"]));
    assert_eq!(got["reasoning_effort"], "high");
    assert_eq!(got.pointer("/response_format/json_schema/schema/properties/n/type"), Some(&json!(["integer", "null"])), "{got}");
}

#[test]
fn arguments_of_one_call_are_one_call_for_gemini_callers() {
    let arguments = json!({"at": "a place with a long name", "days": [1, 2, 3]});
    let says = says(vec![call(0, "look", arguments.clone()), call(1, "look", json!({"at": "b"}))], End::Tool);
    for upstream in [chat(), responses(), messages()] {
        let asks = question(gemini(), Asks { streams: true, ..Asks::default() });
        let stream = streamed(gemini(), upstream, &asks, &(upstream.stream)(&says));
        assert_eq!(stream.matches("functionCall").count(), 2, "{}: {stream}", upstream.name);
        assert_eq!((gemini().heard)(&(gemini().assembled)(&stream).unwrap()).said, says.said);
    }
}

/// 5: Messages for Chat lost thinking, the choice of tools, documents and images, and images of results became JSON text.
#[test]
fn messages_for_chat_keep_thinking_choice_documents_and_images() {
    let source = json!({"type": "base64", "media_type": "application/pdf", "data": "JVBERi0xLjQK"});
    let png = json!({"type": "base64", "media_type": "image/png", "data": "iVBORw0KGgo="});
    let body = json!({
        "model": "ours", "max_tokens": 9000, "thinking": {"type": "enabled", "budget_tokens": 4000},
        "tools": [{"name": "look", "input_schema": {"type": "object"}}], "tool_choice": {"type": "any"},
        "messages": [
            {"role": "user", "content": [
                {"type": "document", "source": source}, {"type": "image", "source": {"type": "url", "url": "https://example.com/a.png"}}
            ]},
            {"role": "assistant", "content": [{"type": "tool_use", "id": "toolu_1", "name": "look", "input": {}}]},
            {"role": "user", "content": [{"type": "tool_result", "tool_use_id": "toolu_1", "content": [
                {"type": "text", "text": "seen"}, {"type": "image", "source": png}
            ]}]}
        ]
    });
    let got = sent(messages(), chat(), &body);
    assert_eq!((&got["reasoning_effort"], &got["tool_choice"]), (&json!("medium"), &json!("required")), "{got}");
    let first = &got["messages"][0]["content"];
    assert_eq!(first[0]["file"]["file_data"], "data:application/pdf;base64,JVBERi0xLjQK");
    assert_eq!(first[1]["image_url"]["url"], "https://example.com/a.png");
    let tool = items(&got["messages"]).find(|message| message["role"] == "tool").unwrap();
    assert!(!tool.to_string().contains("iVBORw0KGgo"), "{tool}");
    let after = items(&got["messages"]).last().unwrap();
    assert!(after["role"] == "user" && after.to_string().contains("data:image/png;base64,iVBORw0KGgo="), "{got}");
}

/// 6: signatures were printed as line ends, and of several blocks only the last one counted.
#[test]
fn signatures_are_never_text_and_every_block_of_thinking_counts() {
    let block = |text: &str| json!({"type": "thinking", "thinking": text, "signature": "EqQBsig"});
    let answer = json!({
        "id": "msg_1", "type": "message", "role": "assistant", "model": "theirs", "stop_reason": "end_turn", "stop_sequence": null,
        "content": [block("One."), {"type": "text", "text": "A"}, block("Two."), {"type": "text", "text": "B"}],
        "usage": {"input_tokens": 1, "output_tokens": 1}
    });
    let got = answered(chat(), messages(), &question(chat(), Asks::default()), &answer);
    let message = &got["choices"][0]["message"];
    assert_eq!(message["content"], "AB");
    let reasoning = message["reasoning_content"].as_str().unwrap();
    assert!(reasoning.contains("One.") && reasoning.contains("Two."), "{reasoning}");
    let says = says(vec![thought("Hm."), text("So.")], End::Stop);
    let asks = question(chat(), Asks { streams: true, ..Asks::default() });
    let heard = (chat().heard)(&(chat().assembled)(&streamed(chat(), messages(), &asks, &(messages().stream)(&says))).unwrap());
    assert_eq!(heard.said, says.said);
}

/// Reasoning is for those who asked for it, where a dialect has a word for asking: strict clients do not know what to do with it.
#[test]
fn reasoning_is_shown_to_callers_of_messages_and_gemini_who_asked_for_it_alone() {
    let says = says(vec![thought("Hm."), text("So.")], End::Stop);
    for caller in [messages(), gemini()] {
        for upstream in WITNESSES.iter().filter(|upstream| upstream.surface != caller.surface) {
            for thinks in [false, true] {
                let whole = (caller.heard)(&answered(
                    caller,
                    upstream,
                    &question(caller, Asks { thinks, ..Asks::default() }),
                    &(upstream.answer)(&says),
                ));
                let asks = question(caller, Asks { thinks, streams: true, ..Asks::default() });
                let stream = streamed(caller, upstream, &asks, &(upstream.stream)(&says));
                let heard = (caller.heard)(&(caller.assembled)(&stream).unwrap());
                let meant = if thinks { says.said.clone() } else { vec![text("So.")] };
                let named = format!("{} of {}, asked: {thinks}", caller.name, upstream.name);
                assert_eq!((whole.said, heard.said), (meant.clone(), meant), "{named}: {stream}");
            }
        }
    }
}

/// 7: unknown ends of Gemini were a filter, parts were joined with line ends, and line ends alone were swallowed.
#[test]
fn unknown_ends_of_gemini_are_no_filter_and_texts_are_joined_as_they_are() {
    let answer = |finish: &str| {
        json!({
            "candidates": [{"content": {"role": "model", "parts": [{"text": "a"}, {"text": "\n"}, {"text": "b"}]}, "finishReason": finish}],
            "usageMetadata": {"promptTokenCount": 1, "candidatesTokenCount": 1, "totalTokenCount": 2}
        })
    };
    for (word, finish) in [("SOMETHING_NEW", "stop"), ("OTHER", "stop"), ("SAFETY", "content_filter"), ("MAX_TOKENS", "length")] {
        let got = answered(chat(), gemini(), &question(chat(), Asks::default()), &answer(word));
        assert_eq!(got["choices"][0]["finish_reason"], finish, "{word}");
        assert_eq!(got["choices"][0]["message"]["content"], "a\nb");
    }
}

/// 8: arguments that a provider tells only at the end were ignored, and calls arrived with `input: {}`.
#[test]
fn arguments_that_come_only_with_the_end_of_a_call_are_not_lost() {
    let says = says(vec![call(0, "look", json!({"at": "Rome"}))], End::Tool);
    let whole = (responses().stream)(&says);
    let without: String =
        whole.split_inclusive("\n\n").filter(|event| !event.contains("function_call_arguments.delta")).collect();
    assert!(without.len() < whole.len());
    for caller in [chat(), messages(), gemini()] {
        let asks = question(caller, Asks { streams: true, ..Asks::default() });
        let stream = streamed(caller, responses(), &asks, &without);
        assert_eq!((caller.heard)(&(caller.assembled)(&stream).unwrap()).said, says.said, "{}", caller.name);
    }
}

/// 10: parallel calls of Responses all had index 0, outputs were lists, and the usage of an incomplete answer was lost.
#[test]
fn parallel_calls_of_responses_have_an_index_each_and_a_cut_answer_its_usage() {
    let calls = says(vec![call(0, "look", json!({"at": "x"})), call(1, "look", json!({"at": "y"}))], End::Tool);
    let asks = question(chat(), Asks { streams: true, ..Asks::default() });
    let stream = streamed(chat(), responses(), &asks, &(responses().stream)(&calls));
    assert_eq!((chat().heard)(&(chat().assembled)(&stream).unwrap()).said, calls.said);
    let cut = says(vec![text("So far")], End::Length);
    let stream = streamed(chat(), responses(), &asks, &(responses().stream)(&cut));
    let heard = (chat().heard)(&(chat().assembled)(&stream).unwrap());
    assert_eq!((heard.end, heard.spent), (End::Length, cut.spent));
    let output = json!([{"type": "input_text", "text": "warm"}]);
    let body = json!({"model": "ours", "input": [
        {"role": "user", "content": "Go."}, {"type": "function_call", "call_id": "c1", "name": "look", "arguments": "{}"},
        {"type": "function_call_output", "call_id": "c1", "output": output}
    ]});
    let tool = sent(responses(), chat(), &body)["messages"][2].clone();
    assert_eq!((&tool["role"], &tool["content"]), (&json!("tool"), &json!("warm")));
}

/// 11: Gemini's signatures on thoughts and texts were lost.
#[test]
fn signatures_on_texts_of_gemini_come_back_to_it() {
    let answer = json!({
        "candidates": [{"content": {"role": "model", "parts": [
            {"text": "Hm.", "thought": true}, {"text": "So.", "thoughtSignature": "c2lnbmF0dXJl"}
        ]}, "finishReason": "STOP"}],
        "usageMetadata": {"promptTokenCount": 1, "candidatesTokenCount": 1, "totalTokenCount": 2}
    });
    for caller in [chat(), messages(), responses()] {
        let asks = Asks { turns: vec![Turn::user(vec![text("Go.")])], thinks: true, max_output: Some(9_000), ..Asks::default() };
        let got = answered(caller, gemini(), &(caller.ask)(&asks), &answer);
        let turns = vec![asks.turns[0].clone(), Turn::echo(got), Turn::user(vec![text("And?")])];
        let body = sent(caller, gemini(), &(caller.ask)(&Asks { turns, ..asks.clone() }));
        assert!(body["contents"][1].to_string().contains("c2lnbmF0dXJl"), "{}: {body}", caller.name);
        let asks = Asks { streams: true, ..asks };
        let stream = streamed(caller, gemini(), &(caller.ask)(&asks), &format!("data: {answer}\n\n"));
        if caller.surface != Surface::ChatCompletions {
            let got = (caller.assembled)(&stream).unwrap();
            let turns = vec![asks.turns[0].clone(), Turn::echo(got), Turn::user(vec![text("And?")])];
            let body = sent(caller, gemini(), &(caller.ask)(&Asks { turns, streams: false, ..asks }));
            assert!(body["contents"][1].to_string().contains("c2lnbmF0dXJl"), "{}: {body}", caller.name);
        }
    }
}

/// 12 and 13: parallel calls of one name were paired by name or place, and results of one turn were several contents.
#[test]
fn results_in_any_order_find_calls_of_one_name_and_are_one_content_of_gemini() {
    let results = |order: [usize; 3]| order.map(|at| Said::Result { at, text: format!("r{at}") }).to_vec();
    let calls: Vec<Said> = (0..3).map(|at| call(at, "look", json!({"at": at}))).collect();
    for order in [[2, 1, 0], [1, 2, 0], [0, 1, 2]] {
        let turns = vec![Turn::user(vec![text("Go.")]), Turn::model(calls.clone()), Turn::user(results(order))];
        for caller in [chat(), responses(), messages()] {
            let body =
                sent(caller, gemini(), &(caller.ask)(&Asks { turns: turns.clone(), max_output: Some(90), ..Asks::default() }));
            assert_eq!(body["contents"].as_array().unwrap().len(), 3, "{body}");
            let said = (gemini().asked)(&body).turns.remove(2).said;
            assert_eq!(said, results([0, 1, 2]), "{} {order:?}", caller.name);
        }
    }
}

/// 14: a fragment without `index` went to call 0.
#[test]
fn a_fragment_without_index_belongs_to_the_call_it_names() {
    let chunk = |delta: Value, finish: Value| {
        let choice = json!({"index": 0, "delta": delta, "finish_reason": finish});
        format!(
            "data: {}\n\n",
            json!({"id": "c", "object": "chat.completion.chunk", "created": 1, "model": "m", "choices": [choice]})
        )
    };
    let open = |id: &str| json!({"tool_calls": [{"id": id, "type": "function", "function": {"name": "look", "arguments": ""}}]});
    let more = |text: &str| json!({"tool_calls": [{"function": {"arguments": text}}]});
    let stream = [
        chunk(open("call_a"), Value::Null),
        chunk(more("{\"at\":"), Value::Null),
        chunk(more("\"x\"}"), Value::Null),
        chunk(open("call_b"), Value::Null),
        chunk(more("{\"at\":\"y\"}"), Value::Null),
        chunk(json!({}), "tool_calls".into()),
        "data: [DONE]\n\n".to_owned(),
    ]
    .concat();
    for caller in [responses(), messages()] {
        let asks = question(caller, Asks { streams: true, ..Asks::default() });
        let heard = (caller.heard)(&(caller.assembled)(&streamed(caller, chat(), &asks, &stream)).unwrap());
        assert_eq!(heard.said, [call(0, "look", json!({"at": "x"})), call(1, "look", json!({"at": "y"}))], "{}", caller.name);
    }
}

/// 15: ids were too long for their target, or cut so that two became one.
#[test]
fn long_ids_that_begin_alike_fit_and_stay_apart() {
    let (one, other) = (format!("call_{}1", "x".repeat(90)), format!("call_{}2", "x".repeat(90)));
    let turn = |id: &str| json!({"id": id, "type": "function", "function": {"name": "look", "arguments": "{}"}});
    let body = json!({"model": "ours", "messages": [
        {"role": "user", "content": "Go."}, {"role": "assistant", "content": null, "tool_calls": [turn(&one), turn(&other)]},
        {"role": "tool", "tool_call_id": other, "content": "second"}, {"role": "tool", "tool_call_id": one, "content": "first"}
    ]});
    for upstream in [responses(), messages(), gemini()] {
        let got = sent(chat(), upstream, &body);
        assert_eq!(got, sent(chat(), upstream, &body), "the same on every turn");
        let said = (upstream.asked)(&got).turns.remove(2).said;
        let results = ["first", "second"].map(str::to_owned);
        let meant: Vec<Said> = results.into_iter().enumerate().map(|(at, text)| Said::Result { at, text }).collect();
        assert_eq!(said, meant, "{}", upstream.name);
    }
    let got = sent(chat(), responses(), &body);
    assert!(items(&got["input"]).filter_map(|item| item["call_id"].as_str()).all(|id| id.len() <= 64), "{got}");
}

/// 16: words of JSON Schema that Gemini refuses.
#[test]
fn gemini_of_old_is_sent_no_word_of_a_schema_that_it_refuses() {
    let schema = json!({
        "$schema": "https://json-schema.org/draft/2020-12/schema", "type": "object", "additionalProperties": false,
        "$defs": {"size": {"type": "integer", "exclusiveMinimum": 0, "multipleOf": 2}},
        "properties": {
            "size": {"$ref": "#/$defs/size"}, "kind": {"const": "a"}, "const": {"type": ["string", "null"]},
            "either": {"oneOf": [{"type": "string", "format": "uri"}, {"type": "number", "not": {"const": 3}}]}
        },
        "required": ["size", "gone"]
    });
    let tool = json!({"type": "function", "function": {"name": "look", "description": "d", "parameters": schema}});
    let body = json!({"model": "ours", "messages": [{"role": "user", "content": "Go."}], "tools": [tool]});
    let got = pass(chat(), gemini(), "gemini-1.5-pro", &body, false).unwrap();
    let got: Value = serde_json::from_slice(&got.body).unwrap();
    let parameters = &got["tools"][0]["functionDeclarations"][0]["parameters"];
    let names: Vec<&String> = parameters["properties"].as_object().unwrap_or_else(|| panic!("{got}")).keys().collect();
    assert_eq!(names, ["size", "kind", "const", "either"], "names of properties are no keywords");
    only_known_words(parameters);
}

fn only_known_words(schema: &Value) {
    const KNOWN: [&str; 22] = [
        "type",
        "format",
        "title",
        "description",
        "nullable",
        "enum",
        "items",
        "minItems",
        "maxItems",
        "properties",
        "required",
        "minProperties",
        "maxProperties",
        "minLength",
        "maxLength",
        "pattern",
        "example",
        "anyOf",
        "propertyOrdering",
        "default",
        "minimum",
        "maximum",
    ];
    for (word, value) in schema.as_object().unwrap_or_else(|| panic!("{schema}")) {
        assert!(KNOWN.contains(&word.as_str()), "{word} in {schema}");
        match word.as_str() {
            "properties" => value.as_object().unwrap().values().for_each(only_known_words),
            "items" => only_known_words(value),
            "anyOf" => items(value).for_each(only_known_words),
            _ => {}
        }
    }
}

/// 17: cached input was left out, or counted twice.
#[test]
fn cached_input_is_inside_for_openai_and_google_and_beside_for_claude() {
    let mut says = says(vec![text("So.")], End::Stop);
    says.spent = Spent { input: 1000, cache_read: 600, cache_write: 100, output: 50, reasoning: 20 };
    let of_claude = answered(chat(), messages(), &question(chat(), Asks::default()), &(messages().answer)(&says));
    assert_eq!(of_claude["usage"]["prompt_tokens"], 1000, "{of_claude}");
    assert_eq!(of_claude["usage"]["prompt_tokens_details"]["cached_tokens"], 600);
    let of_openai = answered(messages(), chat(), &question(messages(), Asks::default()), &(chat().answer)(&says));
    assert_eq!(of_openai["usage"]["input_tokens"], 300, "{of_openai}");
    assert_eq!(of_openai["usage"]["cache_read_input_tokens"], 600);
}

/// 19: names that nobody had put on a list lost their system prompt and their schema.
#[test]
fn unknown_names_of_gemini_keep_their_system_prompt_and_their_schema() {
    let schema = json!({"type": "object", "properties": {"n": {"type": "integer"}}});
    let body = question(chat(), Asks { system: "Be brief.".to_owned(), schema: Some(schema), ..Asks::default() });
    for model in ["gemini-9-hyper", "somebodys-own", "gemini-3-pro-preview"] {
        let got = pass(chat(), gemini(), model, &body, false).unwrap();
        let got: Value = serde_json::from_slice(&got.body).unwrap();
        assert_eq!(got["systemInstruction"]["parts"][0]["text"], "Be brief.", "{model}: {got}");
        assert!(got["generationConfig"]["responseJsonSchema"].is_object(), "{model}: {got}");
    }
}
