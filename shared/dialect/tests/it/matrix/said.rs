//! What a conversation says, in words of no dialect: what the writers of this test put in and its readers find on the other side.

use serde_json::{Value, json};

/// One thing that is said.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum Said {
    Text(String),
    Thinking(String),
    /// An image or a document, as base64.
    Media {
        mime: String,
        data: String,
    },
    /// The `at`-th call of the conversation.
    Call {
        at: usize,
        name: String,
        arguments: Value,
    },
    /// What the `at`-th call gave.
    Result {
        at: usize,
        text: String,
    },
}

/// What one side says before the other goes on.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Turn {
    pub is_models: bool,
    pub said: Vec<Said>,
    /// A whole answer, sent back as the caller got it, in place of what is said.
    pub echo: Option<Value>,
}

impl Turn {
    pub(super) fn user(said: Vec<Said>) -> Self {
        Self { is_models: false, said, echo: None }
    }

    pub(super) fn model(said: Vec<Said>) -> Self {
        Self { is_models: true, said, echo: None }
    }

    pub(super) fn echo(answer: Value) -> Self {
        Self { is_models: true, said: Vec::new(), echo: Some(answer) }
    }
}

/// A tool of the caller's.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Tool {
    pub name: String,
    pub description: String,
    pub schema: Value,
}

/// Which tools are to be called.
#[derive(Debug, Clone, Default, PartialEq)]
pub(super) enum Choice {
    /// As the model likes.
    #[default]
    Free,
    Any,
    Named(String),
}

/// What a request asks for.
#[derive(Debug, Clone, Default, PartialEq)]
pub(super) struct Asks {
    pub system: String,
    pub turns: Vec<Turn>,
    pub tools: Vec<Tool>,
    pub choice: Choice,
    pub thinks: bool,
    pub schema: Option<Value>,
    pub max_output: Option<u64>,
    pub streams: bool,
    /// State of the provider's own that comes back with the history.
    pub states: Vec<String>,
}

/// Why an answer ended.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum End {
    Stop,
    StopText(String),
    Tool,
    Length,
    Filter,
}

/// Tokens, each a total.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub(super) struct Spent {
    /// The whole prompt, however it was served.
    pub input: u64,
    pub cache_read: u64,
    pub cache_write: u64,
    /// All that was generated.
    pub output: u64,
    pub reasoning: u64,
}

/// What an answer says.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Says {
    pub model: String,
    pub said: Vec<Said>,
    pub end: End,
    pub spent: Spent,
    pub states: Vec<String>,
}

/// Ids of calls, in the order of the calls.
#[derive(Debug, Default)]
pub(super) struct Calls(Vec<(String, String)>);

impl Calls {
    /// A call is made: which of the conversation's it is.
    pub(super) fn made(&mut self, id: &str, name: &str) -> usize {
        assert!(!self.0.iter().any(|(known, _)| known == id && !id.is_empty()), "two calls with the id {id}");
        self.0.push((id.to_owned(), name.to_owned()));
        self.0.len() - 1
    }

    pub(super) fn id(&self, at: usize) -> &str {
        &self.0[at].0
    }

    pub(super) fn name(&self, at: usize) -> &str {
        &self.0[at].1
    }

    /// Which call an id is of.
    pub(super) fn at(&self, id: &str) -> usize {
        self.0.iter().position(|(known, _)| known == id).unwrap_or_else(|| panic!("a result of no call: {id}"))
    }

    pub(super) fn len(&self) -> usize {
        self.0.len()
    }
}

/// Adds to the conversation, in the same turn as long as the same side speaks.
pub(super) fn add(turns: &mut Vec<Turn>, is_models: bool, said: Said) {
    match turns.last_mut() {
        Some(turn) if turn.is_models == is_models => turn.said.push(said),
        _ => turns.push(Turn { is_models, said: vec![said], echo: None }),
    }
}

/// The order of results is the calls', wherever they stood; text pieces next to each other are one text.
pub(super) fn in_order(said: &[Said]) -> Vec<Said> {
    let mut results: Vec<Said> = said.iter().filter(|said| matches!(said, Said::Result { .. })).cloned().collect();
    results.sort_by_key(|said| if let Said::Result { at, .. } = said { *at } else { 0 });
    for said in said.iter().filter(|said| !matches!(said, Said::Result { .. })) {
        match (results.last_mut(), said) {
            (Some(Said::Text(before)), Said::Text(text)) | (Some(Said::Thinking(before)), Said::Thinking(text)) => {
                before.push_str(text);
            }
            _ => results.push(said.clone()),
        }
    }
    results
}

/// Pieces of a text as models stream them: a few characters each, a line end alone.
pub(super) fn pieces(text: &str) -> Vec<String> {
    let mut pieces = vec![String::new()];
    for c in text.chars() {
        let piece = pieces.last_mut().unwrap();
        if c == '\n' || piece.ends_with('\n') || piece.chars().count() == 5 {
            pieces.push(c.to_string());
        } else {
            piece.push(c);
        }
    }
    pieces.retain(|piece| !piece.is_empty());
    pieces
}

/// `data:<mime>;base64,<data>` taken apart.
pub(super) fn data_url(url: &str) -> Said {
    let (mime, data) = url.strip_prefix("data:").and_then(|rest| rest.split_once(";base64,")).unwrap_or_else(|| panic!("{url}"));
    Said::Media { mime: mime.to_owned(), data: data.to_owned() }
}

pub(super) fn text(value: &Value) -> String {
    value.as_str().unwrap_or_default().to_owned()
}

/// The items of an array; none of anything else.
pub(super) fn items(value: &Value) -> impl Iterator<Item = &Value> {
    value.as_array().into_iter().flatten()
}

/// The events of a stream as their names and data. Every event has data, and ends with a blank line.
pub(super) fn events(stream: &str) -> Result<Vec<(Option<String>, String)>, String> {
    if !stream.ends_with("\n\n") {
        return Err("the last event has no blank line".to_owned());
    }
    let mut events = Vec::new();
    for event in stream.trim_end_matches('\n').split("\n\n") {
        let (mut name, mut data) = (None, None);
        for line in event.lines() {
            match line.split_once(": ") {
                Some(("event", word)) => name = Some(word.to_owned()),
                Some(("data", text)) if data.is_none() => data = Some(text.to_owned()),
                _ => return Err(format!("an odd line: {line}")),
            }
        }
        events.push((name, data.ok_or_else(|| format!("an event without data: {event}"))?));
    }
    Ok(events)
}

pub(super) fn event(name: &str, mut data: Value, number: Option<&mut u64>) -> String {
    data["type"] = name.into();
    if let Some(number) = number {
        data["sequence_number"] = json!(*number);
        *number += 1;
    }
    format!("event: {name}\ndata: {data}\n\n")
}

pub(super) fn count(value: &Value, place: &str) -> u64 {
    value.pointer(place).and_then(Value::as_u64).unwrap_or(0)
}

pub(super) fn parsed(arguments: &Value) -> Value {
    serde_json::from_str(arguments.as_str().unwrap_or_default()).unwrap_or_else(|error| panic!("{arguments}: {error}"))
}
