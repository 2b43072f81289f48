//! What providers report of an answer, counted in classes that do not overlap: `tests/golden/usage.json`, in whole answers and in streams,
//! for callers of every dialect; and that the classes are the whole, whatever is reported.

use std::fmt::Write as _;

use proptest::prelude::*;
use serde_json::{Value, json};
use sluice_dialect::Surface;
use sluice_dialect::exchange::{Answer, Passage, StreamMeter};
use sluice_dialect::openai::Reported;
use sluice_domain::Usage;

use crate::exchange::{SURFACES, follow, question, sent};

/// A report, where a dialect and a provider have it: a whole answer, and the stream of the same.
struct Told {
    surface: Surface,
    answer: Value,
    stream: String,
}

fn told(surface: Surface, place: &str, report: &Value) -> Told {
    let (answer, events) = match surface {
        Surface::Responses => {
            let item = json!({
                "id": "msg_1", "type": "message", "role": "assistant", "status": "completed",
                "content": [{"type": "output_text", "text": "So.", "annotations": [], "logprobs": []}]
            });
            let answer = json!({"id": "resp_1", "object": "response", "status": "completed", "model": "m", "output": [item], "usage": report});
            let mut begun = answer.clone();
            (begun["status"], begun["usage"], begun["output"]) = ("in_progress".into(), Value::Null, json!([]));
            let done = json!({"type": "response.output_item.done", "output_index": 0, "item": item});
            let events = vec![
                json!({"type": "response.created", "response": begun}),
                json!({"type": "response.output_item.added", "output_index": 0, "item": item}),
                done,
                json!({"type": "response.completed", "response": answer}),
            ];
            (answer, events)
        }
        Surface::Messages => {
            let answer = json!({
                "id": "msg_1", "type": "message", "role": "assistant", "model": "m", "content": [{"type": "text", "text": "So."}],
                "stop_reason": "end_turn", "stop_sequence": null, "usage": report
            });
            let mut begun = answer.clone();
            (begun["content"], begun["stop_reason"], begun["usage"]["output_tokens"]) = (json!([]), Value::Null, json!(1));
            let text = |text: &str| json!({"type": "text", "text": text});
            let events = vec![
                json!({"type": "message_start", "message": begun}),
                json!({"type": "content_block_start", "index": 0, "content_block": text("")}),
                json!({"type": "content_block_delta", "index": 0, "delta": {"type": "text_delta", "text": "So."}}),
                json!({"type": "content_block_stop", "index": 0}),
                // only what is told last counts, and nothing is added up
                json!({"type": "message_delta", "delta": {"stop_reason": "end_turn"}, "usage": report}),
                json!({"type": "message_stop"}),
            ];
            (answer, events)
        }
        Surface::GenerateContent => {
            let chunk = |text: &str, finish: Value, report: Value| {
                let mut candidate = json!({"content": {"role": "model", "parts": [{"text": text}]}, "index": 0});
                candidate["finishReason"] = finish;
                json!({"candidates": [candidate], "usageMetadata": report, "modelVersion": "m", "responseId": "r"})
            };
            let mut early = report.clone();
            early["candidatesTokenCount"] = json!(1);
            (
                chunk("So.", "STOP".into(), report.clone()),
                vec![chunk("S", Value::Null, early), chunk("o.", "STOP".into(), report.clone())],
            )
        }
        _ => {
            let choice = json!({"index": 0, "message": {"role": "assistant", "content": "So."}, "finish_reason": "stop"});
            let mut answer = json!({"id": "c", "object": "chat.completion", "created": 1, "model": "m", "choices": [choice]});
            let chunk = |choices: Value| json!({"id": "c", "object": "chat.completion.chunk", "created": 1, "model": "m", "choices": choices});
            let begun = chunk(json!([{"index": 0, "delta": {"role": "assistant", "content": "So."}, "finish_reason": null}]));
            let mut end = chunk(json!([{"index": 0, "delta": {}, "finish_reason": "stop"}]));
            let mut events = vec![begun];
            if place == "choice" {
                answer["choices"][0]["usage"] = report.clone();
                end["choices"][0]["usage"] = report.clone();
                events.push(end);
            } else {
                answer["usage"] = report.clone();
                let mut last = chunk(json!([]));
                last["usage"] = report.clone();
                events.extend([end, last]);
            }
            (answer, events)
        }
    };
    let mut stream = String::new();
    for event in &events {
        let name = event["type"].as_str().map(|name| format!("event: {name}\n")).unwrap_or_default();
        write!(stream, "{name}data: {event}\n\n").unwrap();
    }
    if surface == Surface::ChatCompletions {
        stream += "data: [DONE]\n\n";
    }
    Told { surface, answer, stream }
}

impl Told {
    fn passage(&self, caller: Surface, streams: bool) -> Passage {
        sent(&question(caller, streams), self.surface, "theirs").unwrap().passage
    }

    fn whole(&self, caller: Surface) -> Reported {
        Answer::read(self.answer.to_string().into(), self.passage(caller, false), &[]).unwrap().usage()
    }

    fn streamed(&self, caller: Surface) -> Reported {
        let followed = follow(StreamMeter::new(self.passage(caller, true), true, None), self.stream.as_bytes());
        assert!(!followed.has_failed && followed.summary.is_complete, "{followed:?}");
        followed.summary.usage
    }
}

fn surface_of(word: &Value) -> Surface {
    match word.as_str().unwrap() {
        "responses" => Surface::Responses,
        "messages" => Surface::Messages,
        "gemini" => Surface::GenerateContent,
        _ => Surface::ChatCompletions,
    }
}

fn classes(usage: &Usage) -> Value {
    json!({
        "input": usage.input, "cache_read": usage.cache_read, "cache_write_5m": usage.cache_write_5m,
        "cache_write_1h": usage.cache_write_1h, "output": usage.output, "reasoning": usage.reasoning
    })
}

#[test]
fn reports_of_every_family_are_counted_in_classes_that_do_not_overlap() {
    let goldens: Value = serde_json::from_str(include_str!("../golden/usage.json")).unwrap();
    let mut seen = 0;
    for family in goldens["families"].as_array().unwrap() {
        assert!(family["source"].as_str().unwrap().starts_with("https://"), "{family}");
        for report in family["reports"].as_array().unwrap() {
            let told = told(surface_of(&family["surface"]), family["place"].as_str().unwrap(), &report["report"]);
            let name = format!("{}, {}", family["family"], report["state"]);
            for caller in SURFACES {
                for (form, usage) in [("whole", told.whole(caller)), ("streamed", told.streamed(caller))] {
                    let Reported::Counted(usage) = usage else { panic!("{name}, {form} for {caller:?}: {usage:?}") };
                    assert_eq!(classes(&usage), report["classes"], "{name}, {form} for {caller:?}");
                    seen += 1;
                }
            }
        }
    }
    assert!(seen > 250, "{seen}");
}

/// The report of a dialect about so much prompt, of which so much was read from the cache and written to it, and so much output.
fn report(surface: Surface, (input, read, written): (u64, u64, u64), (output, reasoning): (u64, u64)) -> Value {
    match surface {
        Surface::Responses => json!({
            "input_tokens": input, "output_tokens": output, "total_tokens": input + output,
            "input_tokens_details": {"cached_tokens": read, "cache_write_tokens": written}, "output_tokens_details": {"reasoning_tokens": reasoning}
        }),
        Surface::Messages => json!({
            "input_tokens": input - read - written, "cache_read_input_tokens": read, "cache_creation_input_tokens": written,
            "output_tokens": output, "output_tokens_details": {"thinking_tokens": reasoning}
        }),
        Surface::GenerateContent => json!({
            "promptTokenCount": input, "cachedContentTokenCount": read, "thoughtsTokenCount": reasoning,
            "candidatesTokenCount": output - reasoning, "totalTokenCount": input + output
        }),
        _ => json!({
            "prompt_tokens": input, "completion_tokens": output, "total_tokens": input + output,
            "prompt_tokens_details": {"cached_tokens": read, "cache_write_tokens": written}, "completion_tokens_details": {"reasoning_tokens": reasoning}
        }),
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn classes_are_the_whole_in_every_dialect(
        plain in 0_u64..1 << 30, read in 0_u64..1 << 30, written in 0_u64..1 << 30, spoken in 1_u64..1 << 30, reasoning in 0_u64..1 << 30,
    ) {
        for surface in SURFACES {
            // Gemini does not tell what it writes to its cache
            let written = if surface == Surface::GenerateContent { 0 } else { written };
            let (input, output) = (plain + read + written, spoken + reasoning);
            let told = told(surface, "usage", &report(surface, (input, read, written), (output, reasoning)));
            for usage in [told.whole(surface), told.streamed(surface), told.whole(Surface::Messages)] {
                let Reported::Counted(usage) = usage else { panic!("{surface:?}: {usage:?}") };
                prop_assert_eq!((usage.total_input(), usage.total_output()), (input, output), "{:?}", surface);
                prop_assert_eq!((usage.input, usage.cache_read), (plain, read), "{:?}", surface);
                prop_assert_eq!(usage.cache_write_5m + usage.cache_write_1h, written);
                prop_assert_eq!(usage.reasoning, reasoning);
                prop_assert_eq!(usage.total(), input + output);
            }
        }
    }
}
