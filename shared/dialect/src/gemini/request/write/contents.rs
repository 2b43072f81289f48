//! `contents`.

use std::collections::BTreeMap;

use serde_json::{Map, Value, json};
use sluice_domain::Dialect;

use super::super::super::{mime, part, signature};
use super::upstream_id;
use crate::ir::{Block, MediaKind, Request, Role, Signature, Source, Turn};
use crate::loss::{Field, Losses, Unsupported};
use crate::target::Target;
use crate::tool_name::ToolNames;

/// What a conversation begins with that would begin with the model.
const OPENING: &str = "…";
/// Google's stand-in for the signature of a call that lost its own, or that another model made.
const NO_SIGNATURE: &str = "skip_thought_signature_validator";

/// The conversation. Turns of instructions are left out: they stand in the system slot.
pub(super) fn write(
    request: &Request,
    target: &Target<'_>,
    names: &mut ToolNames,
    losses: &mut Losses<'_>,
) -> Result<Vec<Value>, Unsupported> {
    let calls = request.turns.iter().flat_map(|turn| &turn.blocks).filter_map(|block| match block {
        Block::ToolCall { id, name, .. } => Some((id.as_str(), name.as_str())),
        _ => None,
    });
    let called = calls.collect();
    let mut writer = Writer { target, names, losses, called };
    let mut contents: Vec<(Role, Vec<Value>)> = Vec::new();
    for turn in request.turns.iter().filter(|turn| turn.role != Role::System) {
        let parts = writer.turn(turn)?;
        match contents.last_mut() {
            _ if parts.is_empty() => {}
            Some((role, last)) if *role == turn.role => last.extend(parts),
            _ => contents.push((turn.role, parts)),
        }
    }
    if contents.first().is_none_or(|(role, _)| *role == Role::Assistant) {
        contents.insert(0, (Role::User, vec![Value::Object(part::text(OPENING))]));
    }
    let is_prefilled = contents.last().is_some_and(|(role, _)| *role == Role::Assistant);
    if is_prefilled && !target.capabilities.prefill {
        writer.losses.reject(Field::Prefill)?;
    }
    Ok(contents
        .into_iter()
        .map(|(role, parts)| json!({"role": if role == Role::Assistant { "model" } else { "user" }, "parts": parts}))
        .collect())
}

struct Writer<'w, 't, 'p> {
    target: &'w Target<'t>,
    names: &'w mut ToolNames,
    losses: &'w mut Losses<'p>,
    /// Names of called tools, by id.
    called: BTreeMap<&'w str, &'w str>,
}

impl Writer<'_, '_, '_> {
    /// The parts of a turn: results of tools, then media that results cannot hold, then everything else.
    fn turn(&mut self, turn: &Turn) -> Result<Vec<Value>, Unsupported> {
        let (mut results, mut beside, mut others) = (Vec::new(), Vec::new(), Vec::new());
        let mut has_called = false;
        for block in &turn.blocks {
            match block {
                Block::ToolResult { id, name, content, is_error, .. } => {
                    let name = self.called.get(id.as_str()).copied().or(name.as_deref());
                    let answer = Answer { id, name, content, is_error: *is_error };
                    results.push(self.result(&answer, &mut beside)?);
                }
                Block::ToolCall { id, name, arguments, signature, .. } => {
                    let is_first = !std::mem::replace(&mut has_called, true);
                    let mut call = self.named(id, name);
                    call.insert("args".to_owned(), part::arguments(arguments));
                    let call = part::one("functionCall", Value::Object(call));
                    let own = self.own(signature.as_ref());
                    let stand_in = (is_first && self.target.capabilities.signed_calls).then(|| NO_SIGNATURE.to_owned());
                    others.push(part::signed(call, own.or(stand_in)));
                }
                other => others.extend(self.block(other)?),
            }
        }
        results.append(&mut beside);
        results.append(&mut others);
        Ok(results)
    }

    fn block(&mut self, block: &Block) -> Result<Option<Value>, Unsupported> {
        Ok(match block {
            Block::Text { text, signature, .. } => {
                let own = self.own(signature.as_ref());
                (!text.is_empty() || own.is_some()).then(|| part::signed(part::text(text), own))
            }
            Block::Refusal { text } => Some(Value::Object(part::text(text))),
            Block::Thinking { text, signature } => {
                let own = self.own(signature.as_ref());
                (!text.is_empty() || own.is_some()).then(|| part::signed(part::thought(text), own))
            }
            Block::Redacted { signature } => {
                let own = self.own(Some(signature));
                if own.is_none() {
                    self.losses.drop(Field::Reasoning)?;
                }
                own.map(|own| part::signed(part::text(""), Some(own)))
            }
            Block::Media { kind, source, title, .. } => self.medium(*kind, source, title.as_deref())?.map(Value::Object),
            Block::Native { family, raw } if *family == self.target.family => Some(raw.clone()),
            Block::Native { .. } => {
                self.losses.drop(Field::NativePart)?;
                None
            }
            Block::ToolCall { .. } | Block::ToolResult { .. } => None,
        })
    }

    fn own(&self, own: Option<&Signature>) -> Option<String> {
        own.and_then(|own| signature::for_upstream(own, self.target)).map(str::to_owned)
    }

    /// The beginning of a call or a result.
    fn named(&mut self, id: &str, name: &str) -> Map<String, Value> {
        let mut named = Map::new();
        if self.target.capabilities.call_ids {
            named.insert("id".to_owned(), json!(upstream_id(id)));
        }
        named.insert("name".to_owned(), json!(self.names.for_upstream(name, Dialect::Gemini)));
        named
    }

    fn result(&mut self, answer: &Answer<'_>, beside: &mut Vec<Value>) -> Result<Value, Unsupported> {
        let Some(name) = answer.name else {
            // A result of a call that nobody knows has no name to give.
            let said = answer.texts().join("\n");
            return Ok(Value::Object(part::text(&format!("[tool result] {said}"))));
        };
        let mut parts = Vec::new();
        for block in answer.content {
            let Block::Media { kind, source, title, .. } = block else { continue };
            let Some(medium) = self.medium(*kind, source, title.as_deref())? else { continue };
            if self.target.capabilities.result_images && !medium.contains_key("text") {
                parts.push(Value::Object(medium));
            } else {
                let label = format!("[{} from tool {name}]", kind_word(*kind));
                beside.extend([Value::Object(part::text(&label)), Value::Object(medium)]);
            }
        }
        let mut response = self.named(answer.id, name);
        response.insert("response".to_owned(), answer.response());
        if !parts.is_empty() {
            response.insert("parts".to_owned(), Value::Array(parts));
        }
        Ok(Value::Object(part::one("functionResponse", Value::Object(response))))
    }

    /// `None` for what the channel wants left out.
    fn medium(
        &mut self,
        kind: MediaKind,
        source: &Source,
        title: Option<&str>,
    ) -> Result<Option<Map<String, Value>>, Unsupported> {
        let capabilities = self.target.capabilities;
        let (field, is_taken) = match kind {
            MediaKind::Image => (Field::Image, capabilities.images),
            MediaKind::Audio => (Field::Audio, capabilities.audio),
            MediaKind::Video => (Field::Video, true),
            MediaKind::Document => (Field::Document, capabilities.documents),
        };
        match source {
            Source::Text(text) => {
                let title = title.map(|title| format!("{title}\n")).unwrap_or_default();
                return Ok(Some(part::text(&format!("{title}{text}"))));
            }
            Source::File { family, .. } if *family != self.target.family => {
                self.losses.reject(Field::FileId)?;
                return Ok(None);
            }
            _ if !is_taken => {
                self.losses.reject(field)?;
                return Ok(None);
            }
            Source::Url { url, .. } if !self.takes_address(url) => {
                self.losses.reject_because(field, "must be given inline to the provider of this model")?;
                return Ok(None);
            }
            _ => {}
        }
        Ok(part::medium(source))
    }

    fn takes_address(&self, url: &str) -> bool {
        mime::is_google_file(url) || mime::is_youtube(url) || self.target.capabilities.image_urls
    }
}

/// What a tool answered.
struct Answer<'a> {
    id: &'a str,
    name: Option<&'a str>,
    content: &'a [Block],
    is_error: bool,
}

impl Answer<'_> {
    fn texts(&self) -> Vec<&str> {
        let texts = self.content.iter().filter_map(|block| match block {
            Block::Text { text, .. } => Some(text.as_str()),
            _ => None,
        });
        texts.collect()
    }

    /// Always an object: one that the tool gave as it is, anything else under `result` or `error`.
    fn response(&self) -> Value {
        let value = match self.texts().as_slice() {
            [] => json!(""),
            [text] => parsed(text),
            texts => json!(texts),
        };
        match value {
            Value::Object(object) if !self.is_error => Value::Object(object),
            value => json!({ if self.is_error { "error" } else { "result" }: value }),
        }
    }
}

/// Objects, arrays and numbers as such, unless a number would lose digits; everything else stays text.
fn parsed(text: &str) -> Value {
    match serde_json::from_str(text) {
        Ok(value @ (Value::Object(_) | Value::Array(_))) => value,
        Ok(Value::Number(number)) if number.to_string() == text => Value::Number(number),
        _ => json!(text),
    }
}

const fn kind_word(kind: MediaKind) -> &'static str {
    match kind {
        MediaKind::Image => "image",
        MediaKind::Audio => "audio",
        MediaKind::Video => "video",
        MediaKind::Document => "document",
    }
}
