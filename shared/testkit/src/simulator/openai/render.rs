//! A script as the bytes of Chat Completions and Completions: one JSON document, or the events of a stream.

use serde_json::{Value, json};

use crate::simulator::content::Call;
use crate::simulator::events::Event;
use crate::simulator::models::Task;
use crate::simulator::refusal::{House, Refusal};
use crate::simulator::script::{Finish, Part, Script, Shown};
use crate::simulator::stamp::{FILLER_MARK, Stamp};
use crate::simulator::usage::UsageFigures;

/// What a stream says between two good events when it is broken.
pub(in crate::simulator) const MALFORMED_EVENT: &[u8] =
    b"data: {\"id\":\"chatcmpl-cut\",\"object\":\"chat.completion.chunk\",\"choi\n\n";

/// An error in the middle of a stream.
pub(in crate::simulator) fn error_event(refusal: &Refusal) -> String {
    format!("data: {}\n\n", refusal.body(House::OpenAi, ""))
}

fn finish_reason(finish: &Finish) -> &'static str {
    match finish {
        Finish::Stop | Finish::StopSequence(_) | Finish::Pause => "stop",
        Finish::Length => "length",
        Finish::Calls => "tool_calls",
        Finish::Filter | Finish::Blocked => "content_filter",
    }
}

pub(super) fn usage_json(usage: UsageFigures, task: Task) -> Value {
    if task == Task::Embedding {
        return json!({"prompt_tokens": usage.prompt_tokens, "total_tokens": usage.total_tokens});
    }
    json!({
        "prompt_tokens": usage.prompt_tokens,
        "completion_tokens": usage.completion_tokens,
        "total_tokens": usage.total_tokens,
        "prompt_tokens_details": {"cached_tokens": usage.cached_tokens, "audio_tokens": usage.audio_prompt_tokens},
        "completion_tokens_details": {
            "reasoning_tokens": usage.reasoning_tokens,
            "audio_tokens": usage.audio_completion_tokens,
            "accepted_prediction_tokens": 0,
            "rejected_prediction_tokens": 0,
        },
    })
}

/// The plain answer.
pub(in crate::simulator) fn whole(task: Task, house: House, stamp: &Stamp, script: &Script, choices: u32) -> Value {
    let text = script.content.whole();
    let finish = finish_reason(&script.finish);
    let choice = |index: u32| {
        let mut choice = match task {
            Task::Completion => json!({"text": text, "index": index, "logprobs": null, "finish_reason": finish}),
            _ => json!({"index": index, "message": message(script, &text), "logprobs": null, "finish_reason": finish}),
        };
        if house == House::Azure {
            choice["content_filter_results"] = harmless();
        }
        choice
    };
    let mut answer = json!({
        "id": stamp.id,
        "object": if task == Task::Completion { "text_completion" } else { "chat.completion" },
        "created": stamp.created,
        "model": stamp.model,
        "choices": (0..choices).map(choice).collect::<Vec<_>>(),
    });
    if let Some(usage) = script.usage {
        answer["usage"] = usage_json(usage, task);
    }
    if house == House::Azure {
        answer["prompt_filter_results"] = json!([{"prompt_index": 0, "content_filter_results": harmless()}]);
    } else {
        answer["service_tier"] = json!("default");
    }
    answer["system_fingerprint"] = json!(stamp.fingerprint);
    answer
}

fn message(script: &Script, text: &str) -> Value {
    let mut message = json!({"role": "assistant", "content": text, "refusal": null, "annotations": []});
    if !script.calls.is_empty() {
        let call = |call: &Call| {
            let function = json!({"name": call.name, "arguments": call.arguments});
            json!({"id": call_id(call), "type": "function", "function": function})
        };
        message["tool_calls"] = script.calls.iter().map(call).collect();
        if text.is_empty() {
            message["content"] = Value::Null;
        }
    }
    if let Some(thought) = script.thought.as_ref().filter(|thought| thought.shown == Shown::Plainly) {
        message["reasoning_content"] = json!(thought.content.whole());
    }
    message
}

fn call_id(call: &Call) -> String {
    format!("call_{}", call.id)
}

fn harmless() -> Value {
    let safe = json!({"filtered": false, "severity": "safe"});
    json!({"hate": safe, "self_harm": safe, "sexual": safe, "violence": safe})
}

/// The events of a streamed answer, each made when it is sent.
///
/// Their order: Azure's filter event, a role event per choice (chat), the pieces, a finish event per choice, usage, `[DONE]`.
pub(in crate::simulator) struct Events {
    task: Task,
    house: House,
    script: Script,
    choices: u32,
    include_usage: bool,
    /// `data: {"id": …` up to the opening bracket of `choices`.
    opening: String,
}

impl Events {
    pub(in crate::simulator) fn new(
        task: Task,
        house: House,
        stamp: &Stamp,
        script: Script,
        choices: u32,
        include_usage: bool,
    ) -> Self {
        let object = if task == Task::Completion { "text_completion" } else { "chat.completion.chunk" };
        let tier = if house == House::Azure { "" } else { r#""service_tier":"default","# };
        let opening = format!(
            r#"data: {{"id":"{}","object":"{object}","created":{},"model":{},{tier}"system_fingerprint":"{}","choices":["#,
            stamp.id,
            stamp.created,
            Value::from(stamp.model.as_str()),
            stamp.fingerprint
        );
        Self { task, house, script, choices, include_usage, opening }
    }

    fn filters(&self) -> u64 {
        u64::from(self.house == House::Azure)
    }

    fn roles(&self) -> u64 {
        if self.task == Task::Chat { u64::from(self.choices) } else { 0 }
    }

    fn usage_events(&self) -> u64 {
        u64::from(self.include_usage && self.script.usage.is_some())
    }

    /// How many events there are, `[DONE]` included.
    pub(in crate::simulator) fn total(&self) -> u64 {
        let pieces = self.pieces() * u64::from(self.choices);
        self.filters() + self.roles() + pieces + u64::from(self.choices) + self.usage_events() + 1
    }

    pub(in crate::simulator) fn usage(&self) -> Option<UsageFigures> {
        self.script.usage
    }

    pub(in crate::simulator) fn get(&self, place: u64) -> Option<Event> {
        let choices = u64::from(self.choices);
        let pieces = self.pieces();
        let mut place = place;
        if place < self.filters() {
            return Some(Event::plain(self.filter_event(), 0));
        }
        place -= self.filters();
        if place < self.roles() {
            let says_nothing = !self.script.calls.is_empty() && self.script.content.pieces() == 0;
            let content = if says_nothing { "null" } else { r#""""# };
            let delta = format!(r#"{{"role":"assistant","content":{content},"refusal":null}}"#);
            return Some(Event::plain(self.around(&self.choice(place, &delta, None)), 0));
        }
        place -= self.roles();
        if place < pieces * choices {
            let (piece, index) = (place / choices, place % choices);
            let delta = self.delta(piece);
            return Some(Event::plain(self.around(&self.choice(index, &delta, None)), self.tokens_after(piece, index)));
        }
        place -= pieces * choices;
        let all = self.script.sent_tokens() * i64::from(self.choices);
        if place < choices {
            let delta = if self.task == Task::Chat { "{}" } else { r#""""# };
            return Some(Event::plain(self.around(&self.choice(place, delta, Some(finish_reason(&self.script.finish)))), all));
        }
        place -= choices;
        if place < self.usage_events() {
            let usage = self.script.usage.map(|usage| usage_json(usage, self.task)).unwrap_or_default();
            let bytes = format!("{}],\"usage\":{usage}}}\n\n", self.opening).into_bytes();
            return Some(Event { bytes, tokens: all, carries_usage: true });
        }
        (place == self.usage_events()).then(|| Event::plain("data: [DONE]\n\n".to_owned(), all))
    }

    /// A content event whose content is [`FILLER_MARK`].
    pub(in crate::simulator) fn with_filler(&self) -> String {
        let mark = Value::from(FILLER_MARK);
        let delta = if self.task == Task::Chat { format!(r#"{{"content":{mark}}}"#) } else { mark.to_string() };
        self.around(&self.choice(0, &delta, None))
    }

    /// Tokens of all choices when this piece has been sent for the choices up to this one.
    fn tokens_after(&self, piece: u64, index: u64) -> i64 {
        let after = |piece: u64| self.locate(piece).map_or(0, |(part, place)| self.script.tokens_after(part, place));
        let index = i64::try_from(index).unwrap_or(0);
        let before = piece.checked_sub(1).map_or(0, after);
        after(piece) * (index + 1) + before * (i64::from(self.choices) - index - 1)
    }

    /// Pieces of thought, text and calls. A call's first piece has its name; then come its arguments.
    fn pieces(&self) -> u64 {
        self.script.parts().map(|part| u64::from(pieces_of(part))).sum()
    }

    /// The part this piece belongs to, and how many pieces of it have been sent with this one (of a call: of its arguments).
    fn locate(&self, piece: u64) -> Option<(usize, u32)> {
        let mut left = piece;
        for (number, part) in self.script.parts().enumerate() {
            let pieces = u64::from(pieces_of(part));
            if left < pieces {
                let place = u32::try_from(left).unwrap_or(u32::MAX);
                return Some((number, if matches!(part, Part::Call(_)) { place } else { place + 1 }));
            }
            left -= pieces;
        }
        None
    }

    fn delta(&self, piece: u64) -> String {
        let Some((number, sent)) = self.locate(piece) else { return "{}".to_owned() };
        let Some(part) = self.script.parts().nth(number) else { return "{}".to_owned() };
        let calls_before = self.script.parts().take(number).filter(|part| matches!(part, Part::Call(_))).count();
        match (self.task, part) {
            (Task::Chat, Part::Thought(thought)) => {
                format!(r#"{{"reasoning_content":{}}}"#, Value::from(thought.content.piece(sent - 1)))
            }
            (Task::Chat, Part::Text(content)) => format!(r#"{{"content":{}}}"#, Value::from(content.piece(sent - 1))),
            (Task::Chat, Part::Call(call)) if sent == 0 => {
                let function = json!({"name": call.name, "arguments": ""});
                let opening = json!({"index": calls_before, "id": call_id(call), "type": "function", "function": function});
                format!(r#"{{"tool_calls":[{opening}]}}"#)
            }
            (Task::Chat, Part::Call(call)) => {
                let fragment = json!({"index": calls_before, "function": {"arguments": call.piece(sent - 1)}});
                format!(r#"{{"tool_calls":[{fragment}]}}"#)
            }
            (_, Part::Text(content)) => Value::from(content.piece(sent - 1)).to_string(),
            (_, Part::Thought(_) | Part::Call(_)) => r#""""#.to_owned(),
        }
    }

    fn choice(&self, index: u64, delta: &str, finish: Option<&str>) -> String {
        let name = if self.task == Task::Chat { "delta" } else { "text" };
        let finish = finish.map_or("null".to_owned(), |reason| format!("\"{reason}\""));
        let filter = if self.house == House::Azure { r#","content_filter_results":{}"# } else { "" };
        format!(r#"{{"index":{index},"{name}":{delta},"logprobs":null,"finish_reason":{finish}{filter}}}"#)
    }

    fn around(&self, choice: &str) -> String {
        let usage = if self.include_usage { r#","usage":null"# } else { "" };
        format!("{}{choice}]{usage}}}\n\n", self.opening)
    }

    fn filter_event(&self) -> String {
        let results = json!([{"prompt_index": 0, "content_filter_results": harmless()}]);
        let bare = r#"data: {"id":"","object":"","created":0,"model":"","prompt_filter_results":"#;
        let usage = if self.include_usage { r#","usage":null"# } else { "" };
        format!("{bare}{results},\"choices\":[]{usage}}}\n\n")
    }
}

fn pieces_of(part: Part<'_>) -> u32 {
    match part {
        Part::Thought(thought) => thought.content.pieces(),
        Part::Text(content) => content.pieces(),
        Part::Call(call) => call.pieces() + 1,
    }
}
