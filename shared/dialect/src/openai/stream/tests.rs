use std::collections::VecDeque;

use proptest::prelude::*;
use sluice_domain::Usage;

use super::*;
use crate::openai::Problem;
use crate::sse::{DEFAULT_MAX_FRAME_BYTES, Splitter};

/// What a caller sees of a stream that arrives in the given chunks, the text counted, the errors met and the summary.
fn run(settings: &StreamSettings, chunks: &[&[u8]]) -> (String, String, Vec<String>, Summary) {
    let mut splitter = Splitter::new(DEFAULT_MAX_FRAME_BYTES);
    let mut meter = StreamMeter::new(Surface::ChatCompletions, settings);
    let (mut seen, mut counted, mut errors) = (Vec::new(), String::new(), Vec::new());
    let mut frames = Vec::new();
    for chunk in chunks {
        splitter.push(Bytes::copy_from_slice(chunk));
        while let Some(frame) = splitter.next_frame().unwrap() {
            frames.push(frame);
        }
    }
    frames.extend(splitter.finish().map(Frame::closed));
    let mut frames = VecDeque::from(frames);
    while let Some(frame) = frames.pop_front() {
        match meter.observe(&frame, &mut |text| counted.push_str(text)) {
            Verdict::Forward | Verdict::Done => seen.extend_from_slice(frame.bytes()),
            Verdict::Rewritten(bytes) | Verdict::DoneWith(bytes) => seen.extend_from_slice(&bytes),
            Verdict::Withhold => {}
            Verdict::Several(events) => events.into_iter().rev().for_each(|event| frames.push_front(event)),
            Verdict::Error(data) => errors.push(UpstreamError::read(200, &data, &[]).message),
            Verdict::Malformed => errors.push("malformed".to_owned()),
        }
    }
    (String::from_utf8(seen).unwrap(), counted, errors, meter.finish())
}

fn hidden() -> StreamSettings {
    StreamSettings::default()
}

fn showing() -> StreamSettings {
    StreamSettings { show_usage: true, ..StreamSettings::default() }
}

const PLAIN: &str = concat!(
    "data: {\"id\":\"c1\",\"object\":\"chat.completion.chunk\",\"created\":7,\"model\":\"up\",\"choices\":[{\"index\":0,\"delta\":{\"role\":\"assistant\",\"content\":\"\"},\"finish_reason\":null}],\"usage\":null}\n\n",
    "data: {\"id\":\"c1\",\"model\":\"up\",\"choices\":[{\"index\":0,\"delta\":{\"content\":\"Hel\"},\"finish_reason\":null}]}\n\n",
    "data: {\"id\":\"c1\",\"model\":\"up\",\"choices\":[{\"index\":0,\"delta\":{\"content\":\"lo \\ud83d\\ude00\"},\"finish_reason\":\"stop\"}]}\n\n",
);
const USAGE: &str = "data: {\"id\":\"c1\",\"model\":\"up\",\"choices\":[],\"usage\":{\"prompt_tokens\":3,\"completion_tokens\":2,\"total_tokens\":5}}\n\n";
const DONE: &str = "data: [DONE]\n\n";

fn usage(input: u64, output: u64) -> Reported {
    Reported::Counted(Usage { input, output, ..Usage::default() })
}

#[test]
fn usage_is_read_and_its_frame_hidden_from_callers_who_did_not_ask() {
    let stream = [PLAIN, USAGE, DONE].concat();
    let (seen, text, errors, summary) = run(&hidden(), &[stream.as_bytes()]);
    assert_eq!(seen, [PLAIN, DONE].concat());
    assert_eq!(text, "Hello \u{1f600}");
    assert!(errors.is_empty());
    let expected = Summary {
        usage: usage(3, 2),
        fault: None,
        finish: Some(Finish::Stop),
        saw_output: true,
        is_complete: true,
        saw_done: true,
        crowded: 0,
        counts: OutputCounts::default(),
    };
    assert_eq!(summary, expected);
}

#[test]
fn usage_is_shown_to_callers_who_asked() {
    let stream = [PLAIN, USAGE, DONE].concat();
    let (seen, ..) = run(&showing(), &[stream.as_bytes()]);
    assert_eq!(seen, stream);
}

#[test]
fn usage_beside_a_choice_is_read_and_forwarded() {
    let stream = "data: {\"choices\":[{\"delta\":{\"content\":\"x\"},\"finish_reason\":\"stop\"}],\"usage\":{\"prompt_tokens\":1,\"completion_tokens\":1}}\n\n";
    let (seen, _, _, summary) = run(&hidden(), &[stream.as_bytes()]);
    assert_eq!((seen.as_str(), summary.usage), (stream, usage(1, 1)));
}

#[test]
fn the_last_usage_that_is_not_zero_counts() {
    let frame = |p, c| format!("data: {{\"choices\":[],\"usage\":{{\"prompt_tokens\":{p},\"completion_tokens\":{c}}}}}\n\n");
    let stream = [frame(1, 1), frame(5, 6), frame(0, 0)].concat();
    assert_eq!(run(&hidden(), &[stream.as_bytes()]).3.usage, usage(5, 6));
}

#[test]
fn a_false_usage_does_not_replace_a_good_one_but_is_reported() {
    let good = "data: {\"choices\":[],\"usage\":{\"prompt_tokens\":1,\"completion_tokens\":1}}\n\n";
    let bad = "data: {\"choices\":[],\"usage\":{\"prompt_tokens\":-1}}\n\n";
    let fault = Fault { field: "prompt_tokens", problem: Problem::Negative };
    for stream in [[good, bad].concat(), [bad, good].concat()] {
        let summary = run(&hidden(), &[stream.as_bytes()]).3;
        assert_eq!((summary.usage, summary.fault), (usage(1, 1), Some(fault)));
    }
    assert_eq!(run(&hidden(), &[bad.as_bytes()]).3.usage, Reported::Implausible(fault));
}

#[test]
fn every_kind_of_output_is_counted_once() {
    let stream = concat!(
        "data: {\"choices\":[{\"delta\":{\"reasoning_content\":\"a\",\"reasoning\":\"a\"}}]}\n\n",
        "data: {\"choices\":[{\"delta\":{\"reasoning\":\"b\",\"reasoning_content\":null}}]}\n\n",
        "data: {\"choices\":[{\"delta\":{\"refusal\":\"c\"}}]}\n\n",
        "data: {\"choices\":[{\"delta\":{\"tool_calls\":[{\"index\":0,\"id\":\"1\",\"function\":{\"name\":\"d\",\"arguments\":\"\"}}]}}]}\n\n",
        "data: {\"choices\":[{\"delta\":{\"tool_calls\":[{\"index\":0,\"function\":{\"arguments\":\"e\"}},{\"index\":1,\"function\":{\"name\":\"f\"}}]}}]}\n\n",
        "data: {\"choices\":[{\"delta\":{\"content\":[{\"type\":\"text\",\"text\":\"g\"},{\"type\":\"thinking\",\"thinking\":[{\"text\":\"h\"}]}]}}]}\n\n",
        "data: {\"choices\":[{\"text\":\"i\",\"index\":0}]}\n\n",
    );
    let (_, text, _, summary) = run(&hidden(), &[stream.as_bytes()]);
    assert_eq!((text.as_str(), summary.counts.tool_calls), ("abcdefghi", 2));
}

#[test]
fn a_stream_without_output_is_seen_as_such() {
    let stream = "data: {\"choices\":[{\"delta\":{\"role\":\"assistant\",\"content\":\"\"},\"finish_reason\":\"stop\"}]}\n\ndata: [DONE]\n\n";
    let summary = run(&hidden(), &[stream.as_bytes()]).3;
    assert!(!summary.saw_output && summary.is_complete);
}

#[test]
fn hidden_reasoning_and_media_are_output() {
    for stream in [
        "data: {\"choices\":[],\"usage\":{\"prompt_tokens\":1,\"completion_tokens\":9,\"completion_tokens_details\":{\"reasoning_tokens\":9}}}\n\n",
        "data: {\"choices\":[{\"delta\":{\"audio\":{\"data\":\"x\"}}}]}\n\n",
        "data: {\"choices\":[{\"delta\":{\"images\":[{\"image_url\":{}}]}}]}\n\n",
    ] {
        assert!(run(&hidden(), &[stream.as_bytes()]).3.saw_output, "{stream}");
    }
}

#[test]
fn only_its_terminal_event_completes_a_stream() {
    assert!(run(&hidden(), &[DONE.as_bytes()]).3.is_complete);
    assert!(run(&hidden(), &[[PLAIN, DONE].concat().as_bytes()]).3.is_complete);
    assert!(!run(&hidden(), &[PLAIN.as_bytes()]).3.is_complete, "every answer ended, and still something may be missing");
    assert!(!run(&hidden(), &[]).3.is_complete);
}

#[test]
fn without_a_terminal_event_a_stream_is_complete_when_every_answer_asked_for_has_ended() {
    let start = |n| format!("data: {{\"choices\":[{{\"index\":{n},\"delta\":{{\"content\":\"x\"}}}}]}}\n\n");
    let end = |n| format!("data: {{\"choices\":[{{\"index\":{n},\"delta\":{{}},\"finish_reason\":\"length\"}}]}}\n\n");
    let complete = |answers, stream: String| {
        let settings = StreamSettings { ends_after: Some(answers), ..hidden() };
        run(&settings, &[stream.as_bytes()]).3.is_complete
    };
    assert!(!complete(1, String::new()));
    assert!(!complete(1, start(0)));
    assert!(complete(1, start(0) + &end(0)));
    assert!(!complete(2, start(0) + &end(0)), "the other one never began");
    assert!(!complete(2, start(0) + &start(1) + &end(0)));
    assert!(complete(2, start(0) + &start(1) + &end(1) + &end(0)));
    assert!(complete(128, (0..128).map(end).collect()));
    assert!(!complete(128, (0..127).map(end).collect()));
    assert!(complete(2, start(0) + DONE));
}

#[test]
fn usage_is_final_when_nothing_is_left_to_come() {
    let with =
        |choices: &str| format!("data: {{\"choices\":{choices},\"usage\":{{\"prompt_tokens\":3,\"completion_tokens\":1}}}}\n\n");
    let delta = |finish: &str| format!("[{{\"index\":0,\"delta\":{{\"content\":\"x\"}},\"finish_reason\":{finish}}}]");
    let is_final = |stream: String| {
        let mut splitter = Splitter::new(DEFAULT_MAX_FRAME_BYTES);
        let mut meter = StreamMeter::new(Surface::ChatCompletions, &hidden());
        splitter.push(stream.into());
        while let Some(frame) = splitter.next_frame().unwrap() {
            meter.observe(&frame, &mut |_| {});
        }
        meter.is_usage_final()
    };
    assert!(is_final(PLAIN.to_owned() + USAGE));
    assert!(is_final(with("[]")));
    assert!(is_final(with(&delta("\"stop\""))));
    assert!(!is_final(with(&delta("null"))), "sent with every chunk");
    assert!(!is_final(with("[]") + PLAIN), "sent first");
    assert!(!is_final(PLAIN.to_owned()), "not sent");
}

#[test]
fn the_callers_model_name_replaces_the_upstreams_byte_for_byte() {
    let settings = StreamSettings { rename: Some("my \"model\"".into()), ..showing() };
    let stream =
        ["event: x\r\ndata:{\"a\" : 1.0, \"model\" : \"up\" ,\"choices\":[]}\r\n\r\n", USAGE, ": note\n\n", DONE].concat();
    let (seen, ..) = run(&settings, &[stream.as_bytes()]);
    assert_eq!(seen, stream.replace("\"up\"", "\"my \\\"model\\\"\""));
}

#[test]
fn a_model_name_in_several_data_lines_is_replaced_too() {
    let settings = StreamSettings { rename: Some("mine".into()), ..hidden() };
    let (seen, ..) = run(&settings, &[b"event: x\ndata: {\"model\":\ndata: \"up\"}\n\n"]);
    assert_eq!(seen, "event: x\ndata: {\"model\":\ndata: \"mine\"}\n\n");
}

#[test]
fn errors_inside_a_stream_are_recognised() {
    for stream in [
        "data: {\"error\":{\"message\":\"boom\",\"code\":502}}\n\n",
        "event: error\ndata: {\"message\":\"boom\"}\n\n",
        "data: {\"error\":\"boom\",\"choices\":[{\"delta\":{\"content\":\"\"},\"finish_reason\":\"error\"}]}\n\n",
    ] {
        let (seen, _, errors, _) = run(&hidden(), &[stream.as_bytes()]);
        assert_eq!((seen.as_str(), errors), ("", vec!["boom".to_owned()]));
    }
    let harmless = "data: {\"error\":null,\"choices\":[{\"delta\":{\"content\":\"x\"}}]}\n\n";
    assert_eq!(run(&hidden(), &[harmless.as_bytes()]).0, harmless);
}

#[test]
fn comments_and_unknown_events_pass_and_a_torn_end_does_not() {
    let stream = ": keep-alive\n\nid: 4\n\ndata:\n\nevent: ping\ndata: {}\n\ndata: {\"later\":true}\n\n";
    let (seen, _, errors, summary) = run(&hidden(), &[stream.as_bytes(), b"data: {\"choices\":[{\"del"]);
    assert_eq!((seen.as_str(), errors.len(), summary.crowded), (stream, 0, 0));
    assert!(!summary.is_complete);
}

#[test]
fn an_event_that_is_no_json_is_not_passed_on() {
    for event in ["data: not json\n\n", "data: {\"choices\":[{\"del\n\n", "event: x\ndata: {\"a\":1\ndata: ,}\n\n"] {
        let (seen, _, errors, _) = run(&hidden(), &[event.as_bytes()]);
        assert_eq!((seen.as_str(), errors), ("", vec!["malformed".to_owned()]), "{event}");
    }
    let beside = ["data: {\"choices\":[{\"delta\":{\"content\":\"x\"}}]}", "data: {\"choi\n\n"].join("\n");
    let (seen, text, errors, _) = run(&hidden(), &[beside.as_bytes()]);
    assert_eq!((seen.matches("data:").count(), text.as_str(), errors.len()), (1, "x", 1), "{seen}");
}

#[test]
fn events_run_together_are_each_an_event() {
    let text = "data: {\"choices\":[{\"delta\":{\"content\":\"x\"}}]}";
    let shown = [text, "\n\n", DONE].concat();
    for stream in [
        [text, "\n", USAGE.trim_end(), "\n", DONE].concat(),
        [text, "\n\n", USAGE.trim_end(), "\r\n", DONE].concat(),
        [text, "\n", USAGE.trim_end(), "\ndata: [DONE]"].concat(),
    ] {
        let (seen, counted, _, summary) = run(&hidden(), &[stream.as_bytes()]);
        assert_eq!((seen.as_str(), counted.as_str(), summary.usage, summary.saw_done), (shown.as_str(), "x", usage(3, 2), true));
        assert_eq!(run(&showing(), &[stream.as_bytes()]).0, [text, "\n\n", USAGE, DONE].concat());
    }
    let failing = [text, "\ndata: {\"error\":{\"message\":\"boom\"}}\n\n"].concat();
    let (seen, _, errors, _) = run(&hidden(), &[failing.as_bytes()]);
    assert_eq!((seen, errors), ([text, "\n\n"].concat(), vec!["boom".to_owned()]));
    let torn = [text, "\ndata: {\"choi"].concat();
    assert_eq!(run(&hidden(), &[torn.as_bytes()]).0, [text, "\n\n"].concat());
}

#[test]
fn lines_of_one_event_stay_together() {
    let stream = "data: {\"choices\":\ndata: [{\"delta\":{\"content\":\"x\"}}]}\n\n";
    let (seen, text, ..) = run(&hidden(), &[stream.as_bytes()]);
    assert_eq!((seen.as_str(), text.as_str()), (stream, "x"));
}

#[test]
fn of_two_events_in_one_line_the_first_counts_and_neither_is_lost() {
    let stream = "data: {\"choices\":[],\"usage\":{\"prompt_tokens\":1}}{\"choices\":[{\"delta\":{\"content\":\"x\"}}]}\n\n";
    let (seen, _, _, summary) = run(&hidden(), &[stream.as_bytes()]);
    assert_eq!((seen.as_str(), summary.usage, summary.crowded), (stream, usage(1, 0), 1));
}

#[test]
fn half_a_character_costs_nothing_else_of_its_event() {
    let settings = StreamSettings { rename: Some("mine".into()), ..showing() };
    for half in ["\\ud83d", "\\ude00"] {
        let stream = format!(
            "data: {{\"id\":\"{half}\",\"choices\":[{{\"delta\":{{\"content\":\"a{half}\",\"x\":\"{half}\"}},\"finish_reason\":\"stop\"}}],\"model\":\"up\",\"usage\":{{\"prompt_tokens\":3,\"completion_tokens\":2}}}}\n\n"
        );
        let (seen, text, _, summary) = run(&settings, &[stream.as_bytes()]);
        assert_eq!((seen, text.as_str()), (stream.replace("\"up\"", "\"mine\""), "a\u{fffd}"));
        assert_eq!((summary.usage, summary.finish, summary.crowded), (usage(3, 2), Some(Finish::Stop), 0));
    }
}

#[test]
fn a_last_event_without_its_blank_line_still_counts() {
    let stream = [PLAIN, "data: [DONE]"].concat();
    assert!(run(&hidden(), &[stream.as_bytes()]).3.saw_done);
}

#[test]
fn a_usage_frame_of_our_own_looks_like_the_streams_other_chunks() {
    let settings = StreamSettings { rename: Some("mine".into()), ..showing() };
    let mut meter = StreamMeter::new(Surface::ChatCompletions, &settings);
    let first = PLAIN.split_inclusive("\n\n").next().unwrap();
    meter.observe(&Frame::whole(Bytes::from_static(first.as_bytes())), &mut |_| {});
    let frame = meter.usage_frame(&Usage { input: 1, cache_read: 2, output: 4, reasoning: 3, ..Usage::default() });
    assert_eq!(
        frame,
        "data: {\"id\":\"c1\",\"object\":\"chat.completion.chunk\",\"created\":7,\"model\":\"mine\",\"choices\":[],\"usage\":{\"prompt_tokens\":3,\"completion_tokens\":4,\"total_tokens\":7,\"prompt_tokens_details\":{\"cached_tokens\":2},\"completion_tokens_details\":{\"reasoning_tokens\":3}}}\n\n"
    );
}

#[test]
fn every_cut_gives_the_same_result() {
    let stream = [PLAIN, ": note\r\n\r\n", USAGE, DONE].concat();
    let whole = run(&hidden(), &[stream.as_bytes()]);
    for cut in 0..=stream.len() {
        let (front, back) = stream.as_bytes().split_at(cut);
        assert_eq!(run(&hidden(), &[front, back]), whole, "cut at {cut}");
    }
}

proptest! {
    #[test]
    fn any_data_is_observed_without_panic(data in "[\\[\\]{}:,\"a-z0-9 ]{0,60}") {
        run(&StreamSettings { rename: Some("x".into()), ..hidden() }, &[format!("data: {data}\n\n").as_bytes()]);
    }
}
