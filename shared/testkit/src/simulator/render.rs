//! A script as the bytes of OpenAI's protocol: one JSON document, or the events of a stream.

use serde_json::{Value, json};

use super::models::Task;
use super::refusal::House;
use super::script::{Content, Script, token};

/// What identifies an answer.
#[derive(Debug)]
pub(super) struct Stamp {
    pub(super) id: String,
    /// Unix seconds.
    pub(super) created: i64,
    pub(super) model: String,
    pub(super) fingerprint: String,
}

impl Stamp {
    pub(super) fn new(task: Task, model: String, created: i64, seed: u64) -> Self {
        let prefix = if task == Task::Completion { "cmpl" } else { "chatcmpl" };
        let fingerprint = format!("fp_{}", token(created.unsigned_abs() / 86_400, 10).to_ascii_lowercase());
        Self { id: format!("{prefix}-{}", token(seed, 29)), created, model, fingerprint }
    }
}

/// Stands for the content where filler is to be poured in.
pub(super) const FILLER_MARK: &str = "@filler@";

/// The plain answer.
pub(super) fn whole(task: Task, house: House, stamp: &Stamp, script: &Script, choices: u32) -> Value {
    let text = script.content.whole();
    let choice = |index: u32| {
        let mut choice = match task {
            Task::Completion => json!({"text": text, "index": index, "logprobs": null, "finish_reason": script.finish}),
            _ => json!({"index": index, "message": message(script, &text), "logprobs": null, "finish_reason": script.finish}),
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
        answer["usage"] = usage.to_json(task);
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
    match &script.content {
        Content::Calls { calls, .. } => {
            let calls: Vec<Value> = calls
                .iter()
                .map(|call| json!({"id": call.id, "type": "function", "function": {"name": call.name, "arguments": call.arguments}}))
                .collect();
            json!({"role": "assistant", "content": null, "tool_calls": calls, "refusal": null, "annotations": []})
        }
        _ => json!({"role": "assistant", "content": text, "refusal": null, "annotations": []}),
    }
}

fn harmless() -> Value {
    let safe = json!({"filtered": false, "severity": "safe"});
    json!({"hate": safe, "self_harm": safe, "sexual": safe, "violence": safe})
}

/// One event of a stream.
pub(super) struct Event {
    pub(super) bytes: Vec<u8>,
    /// Visible tokens of all choices sent when this event has been.
    pub(super) tokens: i64,
    pub(super) carries_usage: bool,
}

impl Event {
    fn plain(text: String, tokens: i64) -> Self {
        Self { bytes: text.into_bytes(), tokens, carries_usage: false }
    }
}

/// The events of a streamed answer, each made when it is sent.
///
/// Their order: Azure's filter event, a role event per choice (chat), the pieces, a finish event per choice, usage, `[DONE]`.
pub(super) struct Events {
    task: Task,
    house: House,
    script: Script,
    choices: u32,
    include_usage: bool,
    /// `data: {"id": …` up to the opening bracket of `choices`.
    opening: String,
}

impl Events {
    pub(super) fn new(task: Task, house: House, stamp: &Stamp, script: Script, choices: u32, include_usage: bool) -> Self {
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
    pub(super) fn total(&self) -> u64 {
        let pieces = u64::from(self.script.content.pieces()) * u64::from(self.choices);
        self.filters() + self.roles() + pieces + u64::from(self.choices) + self.usage_events() + 1
    }

    pub(super) fn usage(&self) -> Option<super::script::UsageFigures> {
        self.script.usage
    }

    pub(super) fn get(&self, place: u64) -> Option<Event> {
        let choices = u64::from(self.choices);
        let pieces = u64::from(self.script.content.pieces());
        let mut place = place;
        if place < self.filters() {
            return Some(Event::plain(self.filter_event(), 0));
        }
        place -= self.filters();
        if place < self.roles() {
            let content = if matches!(self.script.content, Content::Calls { .. }) { "null" } else { r#""""# };
            let delta = format!(r#"{{"role":"assistant","content":{content},"refusal":null}}"#);
            return Some(Event::plain(self.around(&self.choice(place, &delta, None)), 0));
        }
        place -= self.roles();
        if place < pieces * choices {
            let (piece, index) = (place / choices, place % choices);
            let delta = self.delta(&self.script.content.piece(u32::try_from(piece).unwrap_or(u32::MAX)));
            return Some(Event::plain(self.around(&self.choice(index, &delta, None)), self.tokens_after(piece, index)));
        }
        place -= pieces * choices;
        let all = self.script.visible_tokens * i64::from(self.choices);
        if place < choices {
            let delta = if self.task == Task::Chat { "{}" } else { r#""""# };
            return Some(Event::plain(self.around(&self.choice(place, delta, Some(self.script.finish))), all));
        }
        place -= choices;
        if place < self.usage_events() {
            let usage = self.script.usage.map(|usage| usage.to_json(self.task)).unwrap_or_default();
            let bytes = format!("{}],\"usage\":{usage}}}\n\n", self.opening).into_bytes();
            return Some(Event { bytes, tokens: all, carries_usage: true });
        }
        (place == self.usage_events()).then(|| Event::plain("data: [DONE]\n\n".to_owned(), all))
    }

    /// A content event whose content is [`FILLER_MARK`].
    pub(super) fn with_filler(&self) -> String {
        self.around(&self.choice(0, &self.delta(FILLER_MARK), None))
    }

    fn tokens_after(&self, piece: u64, index: u64) -> i64 {
        let (piece, index) = (i64::try_from(piece).unwrap_or(0), i64::try_from(index).unwrap_or(0));
        let pieces = i64::from(self.script.content.pieces()).max(1);
        let share = |done: i64| self.script.visible_tokens.saturating_mul(done) / pieces;
        share(piece + 1) * (index + 1) + share(piece) * (i64::from(self.choices) - index - 1)
    }

    fn delta(&self, piece: &str) -> String {
        match (self.task, &self.script.content) {
            (Task::Chat, Content::Calls { .. }) => format!(r#"{{"tool_calls":[{piece}]}}"#),
            (Task::Chat, _) => format!(r#"{{"content":{}}}"#, Value::from(piece)),
            _ => Value::from(piece).to_string(),
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
