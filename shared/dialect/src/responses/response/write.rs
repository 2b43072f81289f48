//! A caller's whole answer.

use bytes::Bytes;
use serde_json::{Value, json};
use sluice_domain::Usage;

use crate::codec::Asked;
use crate::ir::{Block, Choice, Family, MediaKind, Response, Signature, Source};
use crate::media;
use crate::responses::finish::{self, Ending};
use crate::responses::item::{self, Call};
use crate::responses::namespace::Callers;
use crate::responses::usage;

/// Writes the body of an answer. Only the first choice is told.
pub fn write(response: &Response, asked: &mut Asked) -> Bytes {
    let empty = Choice::default();
    let choice = response.choices.first().unwrap_or(&empty);
    let has_refusal = choice.blocks.iter().any(|block| matches!(block, Block::Refusal { .. }));
    let ending = finish::write(choice.finish.as_ref(), has_refusal);
    let output = output(choice, ending, asked);
    let envelope = Envelope::new(&response.id, response.created, asked);
    let outcome = Outcome {
        ending: Some(ending),
        error: None,
        usage: response.usage.as_ref(),
        service_tier: response.service_tier.as_deref(),
    };
    serde_json::to_vec(&envelope.render(&output, &outcome, asked)).map_or(Bytes::from_static(b"{}"), Bytes::from)
}

/// What is the same in every telling of one answer.
#[derive(Debug, Clone)]
pub(in crate::responses) struct Envelope {
    id: String,
    created: i64,
}

/// How far an answer has come.
#[derive(Debug, Clone, Copy, Default)]
pub(in crate::responses) struct Outcome<'a> {
    /// How it ended; `None` while it goes on.
    pub(in crate::responses) ending: Option<Ending>,
    /// What went wrong: code and message.
    pub(in crate::responses) error: Option<(&'a str, &'a str)>,
    /// What it consumed.
    pub(in crate::responses) usage: Option<&'a Usage>,
    /// The tier it was served in, in the provider's word.
    pub(in crate::responses) service_tier: Option<&'a str>,
}

impl Envelope {
    /// Of an answer with a provider's id and time. An id of another dialect is replaced.
    pub(in crate::responses) fn new(id: &str, created: Option<i64>, asked: &mut Asked) -> Self {
        let id = if id.starts_with("resp_") { id.to_owned() } else { asked.ids.make("resp_") };
        Self { id, created: created.unwrap_or(asked.created) }
    }

    /// The answer object. Fields of the caller's are repeated, as typed SDKs demand.
    pub(in crate::responses) fn render(&self, output: &[Value], outcome: &Outcome<'_>, asked: &Asked) -> Value {
        let echo = |name: &str| asked.echo.as_ref().and_then(|echo| echo.get(name)).filter(|value| !value.is_null()).cloned();
        let status = outcome.ending.map_or("in_progress", |ending| ending.status);
        let error = match outcome.error {
            None if status == "failed" => Some(("server_error", "the model called a tool wrongly")),
            error => error,
        };
        json!({
            "id": self.id,
            "object": "response",
            "created_at": self.created,
            "status": status,
            "background": false,
            "error": error.map(|(code, message)| json!({"code": code, "message": message})),
            "incomplete_details": outcome.ending.and_then(|ending| ending.reason).map(|reason| json!({"reason": reason})),
            "instructions": echo("instructions"),
            "max_output_tokens": echo("max_output_tokens"),
            "max_tool_calls": echo("max_tool_calls"),
            "model": asked.model,
            "output": output,
            "parallel_tool_calls": echo("parallel_tool_calls").unwrap_or(Value::Bool(true)),
            "previous_response_id": null,
            "prompt_cache_key": echo("prompt_cache_key"),
            "reasoning": echo("reasoning").unwrap_or_else(|| json!({"effort": null, "summary": null})),
            "safety_identifier": echo("safety_identifier"),
            "service_tier": outcome.service_tier.and_then(tier).or_else(|| echo("service_tier").and_then(|said| tier(said.as_str()?))),
            "store": echo("store").unwrap_or(Value::Bool(false)),
            "temperature": echo("temperature"),
            "text": echo("text").map_or_else(|| json!({"format": {"type": "text"}}), with_format),
            "tool_choice": echo("tool_choice").unwrap_or_else(|| Value::from("auto")),
            "tools": echo("tools").unwrap_or_else(|| json!([])),
            "top_logprobs": echo("top_logprobs").unwrap_or_else(|| Value::from(0)),
            "top_p": echo("top_p"),
            "truncation": echo("truncation").unwrap_or_else(|| Value::from("disabled")),
            "usage": outcome.usage.map(usage::write),
            "user": echo("user"),
            "metadata": echo("metadata").unwrap_or_else(|| json!({})),
        })
    }
}

fn with_format(mut text: Value) -> Value {
    if let Some(text) = text.as_object_mut() {
        text.entry("format").or_insert_with(|| json!({"type": "text"}));
    }
    text
}

/// The caller's word for a tier; other providers have their own.
fn tier(word: &str) -> Option<&'static str> {
    match word {
        "standard" => Some("default"),
        word => ["auto", "default", "flex", "scale", "priority"].into_iter().find(|known| *known == word),
    }
}

/// State of a text of another family's: reasoning that nobody reads, right behind the text it belongs to.
pub(in crate::responses) fn text_state(signature: Option<&Signature>, asked: &Asked) -> Option<String> {
    let signature = signature.filter(|signature| asked.wants_encrypted && signature.family != Family::OpenAi)?;
    Some(asked.sealer.seal(&Signature { item: Some(item::TEXT_STATE.to_owned()), ..signature.clone() }))
}

/// What a caller sends back of a piece of state, if it asked for that.
pub(in crate::responses) fn encrypted(signature: Option<&Signature>, asked: &Asked) -> Option<String> {
    signature.filter(|_| asked.wants_encrypted).map(|signature| asked.sealer.wire(signature, Family::OpenAi))
}

/// State of a call of another family's: reasoning that nobody reads, and that is attached to its call when it comes back.
pub(in crate::responses) fn call_state(call_id: &str, signature: Option<&Signature>, asked: &Asked) -> Option<String> {
    let signature = signature.filter(|signature| asked.wants_encrypted && signature.family != Family::OpenAi)?;
    Some(asked.sealer.seal(&Signature { item: Some(item::call_state(call_id)), ..signature.clone() }))
}

/// A picture's base64, or the text that stands for a medium: an address has no item here.
pub(in crate::responses) enum Medium {
    /// Base64.
    Picture(String),
    /// Markdown.
    Text(String),
}

/// What a medium becomes; `None`: it cannot be told.
pub(in crate::responses) fn medium(block: &Block) -> Option<Medium> {
    match block {
        Block::Media { kind: MediaKind::Image, source: Source::Inline { data, .. }, .. } => {
            Some(Medium::Picture(media::encode(data)))
        }
        Block::Media { kind: MediaKind::Image, source: Source::Url { url, .. }, .. } => {
            Some(Medium::Text(format!("![image]({url})")))
        }
        Block::Media { source: Source::Text(text), .. } => Some(Medium::Text(text.clone())),
        _ => None,
    }
}

fn output(choice: &Choice, ending: Ending, asked: &mut Asked) -> Vec<Value> {
    let tools = Callers::of(asked.echo.as_ref());
    let mut output = Output { asked, tools, logprobs: Some(choice), parts: Vec::new(), items: Vec::new() };
    for block in &choice.blocks {
        output.block(block);
    }
    output.close();
    let mut items = output.items;
    if let Some(status) = items.last_mut().and_then(|item| item.get_mut("status")) {
        *status = Value::from(ending.item_status());
    }
    items
}

struct Output<'a> {
    asked: &'a mut Asked,
    tools: Callers,
    /// The choice whose log probabilities the next text carries: they are not split by texts.
    logprobs: Option<&'a Choice>,
    /// Parts of the open message.
    parts: Vec<Value>,
    items: Vec<Value>,
}

impl Output<'_> {
    fn block(&mut self, block: &Block) {
        match block {
            Block::Text { text, citations, signature, .. } if !text.is_empty() => {
                let logprobs = self.logprobs.take().map(|choice| choice.logprobs.as_slice()).unwrap_or_default();
                self.parts.push(item::output_text(text, citations, logprobs));
                let state = text_state(signature.as_ref(), self.asked);
                self.reasoning("", state.as_deref());
            }
            Block::Refusal { text } => self.parts.push(item::refusal(text)),
            Block::Thinking { text, signature } => {
                let text = if self.asked.shows_reasoning { text.as_str() } else { "" };
                let encrypted = encrypted(signature.as_ref(), self.asked);
                self.reasoning(text, encrypted.as_deref());
            }
            Block::Redacted { signature } => {
                let encrypted = encrypted(Some(signature), self.asked);
                self.reasoning("", encrypted.as_deref());
            }
            Block::ToolCall { id, name, arguments, signature, .. } => {
                let state = call_state(id, signature.as_ref(), self.asked);
                self.reasoning("", state.as_deref());
                self.close();
                let arguments = crate::arguments::text(arguments);
                let (namespace, plain) = self.tools.parted(name);
                let is_custom = self.tools.is_custom(name);
                let call = Call { id, namespace, name: plain, arguments: &arguments, is_custom };
                self.items.push(call.item(&call.item_id(), "completed"));
            }
            Block::Media { .. } => match medium(block) {
                Some(Medium::Picture(base64)) => {
                    self.close();
                    let id = self.asked.ids.make("ig_");
                    self.items.push(item::image(&id, &base64));
                }
                Some(Medium::Text(text)) => self.parts.push(item::output_text(&text, &[], &[])),
                None => {}
            },
            Block::Text { .. } | Block::ToolResult { .. } | Block::Native { .. } => {}
        }
    }

    fn reasoning(&mut self, text: &str, encrypted: Option<&str>) {
        if text.is_empty() && encrypted.is_none() {
            return;
        }
        self.close();
        let id = self.asked.ids.make("rs_");
        self.items.push(item::reasoning(&id, text, encrypted));
    }

    /// The open message is whole.
    fn close(&mut self) {
        if self.parts.is_empty() {
            return;
        }
        let id = self.asked.ids.make("msg_");
        self.items.push(item::message(&id, "completed", &std::mem::take(&mut self.parts)));
    }
}
