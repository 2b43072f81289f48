//! Reasoning beside a message in the forms that gateways have made up: `reasoning_details` (OpenRouter), `thinking_blocks` (LiteLLM).

use serde_json::{Value, json};

use crate::ir::{Family, Signature};

/// One entry. Entries that are neither are left out.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Detail<'a> {
    /// Reasoning that can be read, and what proves it.
    Readable { text: &'a str, signature: Option<&'a str>, item: Option<&'a str> },
    /// Reasoning that only its provider can read.
    Encrypted { data: &'a str, item: Option<&'a str> },
}

impl<'a> Detail<'a> {
    fn read(entry: &'a Value) -> Option<Self> {
        let text = |name| entry.get(name).and_then(Value::as_str);
        let item = text("id");
        let readable = |name| Some(Self::Readable { text: text(name).unwrap_or_default(), signature: text("signature"), item });
        match text("type")? {
            "reasoning.text" => readable("text"),
            "reasoning.summary" => readable("summary"),
            "thinking" => readable("thinking"),
            "reasoning.encrypted" | "redacted_thinking" => text("data").map(|data| Self::Encrypted { data, item }),
            _ => None,
        }
    }

    pub(super) const fn is_readable(&self) -> bool {
        matches!(self, Self::Readable { text, .. } if !text.is_empty())
    }
}

/// The entries of a message or a delta.
pub(super) fn read(message: &Value) -> Vec<Detail<'_>> {
    let places = ["reasoning_details", "thinking_blocks"];
    let entries = places.iter().find_map(|name| message.get(*name)?.as_array().filter(|entries| !entries.is_empty()));
    entries.into_iter().flatten().filter_map(Detail::read).collect()
}

/// The plain reasoning of a message or a delta, under either of its names.
pub(super) fn plain(message: &Value) -> Option<&str> {
    let names = ["reasoning_content", "reasoning"];
    names.iter().find_map(|name| message.get(*name)?.as_str().filter(|text| !text.is_empty()))
}

/// The signature that Google's own Chat endpoint puts beside a call or a message.
pub(super) fn google_signature(part: &Value) -> Option<&str> {
    part.pointer("/extra_content/google/thought_signature")?.as_str().filter(|value| !value.is_empty())
}

/// The same, written.
pub(super) fn google(signature: &str) -> Value {
    json!({"google": {"thought_signature": signature}})
}

/// An entry of readable reasoning.
pub(super) fn text_entry(text: &str, signature: &str, family: Family, index: usize) -> Value {
    json!({"type": "reasoning.text", "text": text, "signature": signature, "format": format(family), "index": index})
}

/// An entry of reasoning that cannot be read.
pub(super) fn encrypted_entry(data: &str, family: Family, index: usize) -> Value {
    json!({"type": "reasoning.encrypted", "data": data, "format": format(family), "index": index})
}

/// An upstream's own signature as an entry it takes back: with its own id.
pub(super) fn with_item(mut entry: Value, signature: &Signature) -> Value {
    if let (Some(item), Some(entry)) = (&signature.item, entry.as_object_mut()) {
        entry.insert("id".to_owned(), item.as_str().into());
    }
    entry
}

/// OpenRouter's words for whose reasoning it is.
const fn format(family: Family) -> &'static str {
    match family {
        Family::OpenAi => "openai-responses-v1",
        Family::Anthropic => "anthropic-claude-v1",
        Family::Google => "google-gemini-v1",
        Family::Compatible => "unknown",
    }
}
