//! Counting the tokens of a request: asked for in one dialect, done by an upstream of the same or another (conversions.md §14).
//!
//! What is counted is a conversation, so it is read and written as one, without what only an answer would need.

use std::sync::Arc;

use bytes::Bytes;
use serde_json::{Map, Value, json};
use sluice_domain::Dialect;

use super::passage::{Site, Unwritable, Way};
use super::request::{Incoming, Request, RequestError};
use crate::json::{self, Document};
use crate::node::{BodyError, Rule};
use crate::signature::Sealer;
use crate::surface::Surface;
use crate::target::Host;

/// An interface that counts tokens.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum CountSurface {
    /// `POST /v1/messages/count_tokens`
    Messages,
    /// `POST /v1beta/models/{model}:countTokens`
    Gemini,
    /// `POST /v1/responses/input_tokens`
    Responses,
}

impl CountSurface {
    /// Every one.
    pub const ALL: [Self; 3] = [Self::Messages, Self::Gemini, Self::Responses];

    /// The surface of the conversations that are counted.
    #[must_use]
    pub const fn conversation(self) -> Surface {
        match self {
            Self::Messages => Surface::Messages,
            Self::Gemini => Surface::GenerateContent,
            Self::Responses => Surface::Responses,
        }
    }

    /// The dialect that is spoken there.
    #[must_use]
    pub const fn dialect(self) -> Dialect {
        self.conversation().dialect()
    }

    /// The answer for a caller.
    #[must_use]
    pub fn answer(self, tokens: u64) -> Bytes {
        let answer = match self {
            Self::Messages => json!({"input_tokens": tokens}),
            Self::Responses => json!({"object": "response.input_tokens", "input_tokens": tokens}),
            Self::Gemini => {
                json!({"totalTokens": tokens, "promptTokensDetails": [{"modality": "TEXT", "tokenCount": tokens}]})
            }
        };
        Bytes::from(answer.to_string())
    }

    /// The tokens an upstream counted; `None` where it says no such thing.
    #[must_use]
    pub fn read(self, answer: &[u8]) -> Option<u64> {
        let answer: Value = serde_json::from_slice(answer).ok()?;
        let name = if self == Self::Gemini { "totalTokens" } else { "input_tokens" };
        answer.get(name)?.as_u64()
    }

    /// What of a conversation's body is counted. `None`: all of it.
    const fn counted(self) -> Option<&'static [&'static str]> {
        match self {
            Self::Messages => Some(&[
                "model",
                "system",
                "messages",
                "tools",
                "tool_choice",
                "thinking",
                "output_config",
                "cache_control",
                "context_management",
                "mcp_servers",
                "speed",
            ]),
            Self::Responses => Some(&[
                "model",
                "instructions",
                "input",
                "tools",
                "tool_choice",
                "parallel_tool_calls",
                "reasoning",
                "text",
                "truncation",
                "previous_response_id",
                "conversation",
            ]),
            Self::Gemini => None,
        }
    }
}

/// The field of Gemini's body that holds a whole request, in its two spellings.
const WHOLE: [&str; 2] = ["generateContentRequest", "generate_content_request"];

/// A request whose tokens are to be counted.
#[derive(Debug, Clone)]
pub struct Count {
    surface: CountSurface,
    request: Arc<Request>,
    /// The body around the request, and the field it stands in (Gemini).
    around: Option<(Document, &'static str)>,
}

/// The body for an upstream that counts.
#[derive(Debug)]
pub struct Counted {
    /// The body.
    pub body: Bytes,
    /// `anthropic-beta` features that it needs.
    pub betas: Vec<&'static str>,
}

impl Count {
    /// Reads and judges a body. `model` is what the address says (Gemini).
    ///
    /// # Errors
    /// As [`Request::read`]; nothing is asked for that only an answer needs.
    pub fn read(surface: CountSurface, body: Bytes, model: Option<&str>, sealer: &Sealer) -> Result<Self, RequestError> {
        let conversation = |body| Incoming { surface: surface.conversation(), body, model: model.map(Into::into), form: None };
        if surface != CountSurface::Gemini {
            return Ok(Self { surface, request: Arc::new(Request::read(conversation(body), sealer)?), around: None });
        }
        let document = Document::parse(body)?;
        let Some(field) = WHOLE.into_iter().find(|field| document.get_some(field).is_some()) else {
            let request = Arc::new(Request::read(conversation(document.body().clone()), sealer)?);
            return Ok(Self { surface, request, around: None });
        };
        if document.get_some("contents").is_some() {
            let rule = Rule::Other(" must not stand beside `generateContentRequest`");
            return Err(BodyError { path: "contents".to_owned(), rule }.into());
        }
        let inner = Bytes::copy_from_slice(document.get_some(field).unwrap_or_default());
        let request = Request::read(conversation(inner), sealer).map_err(|error| inside(error, field))?;
        Ok(Self { surface, request: Arc::new(request), around: Some((document, field)) })
    }

    /// The conversation.
    #[must_use]
    pub const fn request(&self) -> &Arc<Request> {
        &self.request
    }

    /// Where it came in.
    #[must_use]
    pub const fn surface(&self) -> CountSurface {
        self.surface
    }

    /// The body for an upstream. `way` leads to the surface of the conversation, `host` says in which envelope.
    ///
    /// # Errors
    /// When the upstream could not be sent the conversation itself.
    pub fn write(&self, to: CountSurface, way: &Way<'_>, site: &Site) -> Result<Counted, Unwritable> {
        let way = Way { surface: to.conversation(), output_limit: None, ..*way };
        let sent = self.request.write(&way, site)?;
        let is_own = self.surface == to && !sent.passage.is_written();
        let body = match (&self.around, is_own, to) {
            (Some((document, field)), true, _) => within(document, field, &sent.body, way.model),
            (None, true, _) => sent.body,
            (_, false, CountSurface::Gemini) if way.host == Host::Own => whole(&sent.body, way.model),
            (_, false, _) => only(&sent.body, to.counted()),
        };
        Ok(Counted { body, betas: sent.betas })
    }
}

/// The error of a request that stands inside a field.
fn inside(error: RequestError, field: &str) -> RequestError {
    match error {
        RequestError::Body(BodyError { path, rule }) if path == "body" => BodyError { path: field.to_owned(), rule }.into(),
        RequestError::Body(BodyError { path, rule }) => BodyError { path: format!("{field}.{path}"), rule }.into(),
        error => error,
    }
}

/// The caller's body with the request in it as it goes upstream, and the model named as the address does, where it is named.
fn within(document: &Document, field: &str, request: &Bytes, model: &str) -> Bytes {
    // it was read as an object before, so it parses again
    let Ok(request) = Document::parse(request.clone()) else { return document.body().clone() };
    let name = json::quoted(&format!("models/{model}"));
    let mut inner = request.edit();
    if request.get_some("model").is_some_and(|named| named != name.as_bytes()) {
        inner.set("model", name.as_bytes());
    }
    let inner = inner.finish();
    let mut edit = document.edit();
    if document.get_some(field) != Some(&*inner) {
        edit.set(field, inner.to_vec());
    }
    edit.finish()
}

/// Google counts a whole request only in an envelope.
fn whole(body: &Bytes, model: &str) -> Bytes {
    let mut request = fields(body);
    request.insert("model".to_owned(), format!("models/{model}").into());
    Bytes::from(json!({"generateContentRequest": request}).to_string())
}

fn only(body: &Bytes, counted: Option<&[&str]>) -> Bytes {
    let Some(counted) = counted else { return body.clone() };
    let mut fields = fields(body);
    fields.retain(|name, _| counted.contains(&name.as_str()));
    Bytes::from(Value::Object(fields).to_string())
}

fn fields(body: &[u8]) -> Map<String, Value> {
    serde_json::from_slice(body).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::call_id::IdMaker;
    use crate::capabilities::Table;
    use crate::exchange::Manner;
    use crate::ir::Family;
    use crate::loss::LossPolicy;
    use crate::openai::StreamOptions;
    use crate::target::Options;

    const MODEL: &str = "upstream-model";

    fn read(surface: CountSurface, body: &Value) -> Result<Count, RequestError> {
        let model = (surface == CountSurface::Gemini).then_some("gemini-2.5-pro");
        Count::read(surface, Bytes::from(body.to_string()), model, &Sealer::new(&[0; 32]))
    }

    fn written(count: &Count, to: CountSurface, model: &str) -> Value {
        let (options, losses) = (Options::default(), LossPolicy::default());
        let (table, manner) = (Table::default(), Manner::default());
        let way = Way {
            surface: Surface::ChatCompletions,
            model,
            suffix: None,
            table: &table,
            family: Family::Compatible,
            host: Host::Own,
            options: &options,
            output_limit: Some(7),
            account: None,
            stream_options: StreamOptions::Force,
            losses: &losses,
            manner: &manner,
        };
        let site = Site { sealer: Sealer::new(&[0; 32]), ids: IdMaker::new([0; 16]), now: 0, shows_usage: false };
        let counted = count.write(to, &way, &site).unwrap();
        serde_json::from_slice(&counted.body).unwrap()
    }

    fn of_messages() -> Count {
        let tool = json!({"name": "look", "description": "Looks.", "input_schema": {"type": "object", "properties": {}}});
        let body =
            json!({"model": "claude-x", "system": "Be brief.", "messages": [{"role": "user", "content": "hi"}], "tools": [tool]});
        read(CountSurface::Messages, &body).unwrap()
    }

    #[test]
    fn no_limit_of_output_is_needed_to_count() {
        let body = written(&of_messages(), CountSurface::Messages, "claude-x");
        assert_eq!(body["system"], "Be brief.");
        assert!(body.get("max_tokens").is_none());
        assert_eq!(written(&of_messages(), CountSurface::Messages, MODEL)["model"], MODEL);
    }

    #[test]
    fn a_conversation_is_counted_by_a_service_of_another_dialect_with_its_tools_and_instructions() {
        let gemini = written(&of_messages(), CountSurface::Gemini, MODEL);
        let request = &gemini["generateContentRequest"];
        assert_eq!(gemini.as_object().unwrap().len(), 1);
        assert_eq!(request["model"], "models/upstream-model");
        assert_eq!(request["systemInstruction"]["parts"][0]["text"], "Be brief.");
        assert_eq!(request["tools"][0]["functionDeclarations"][0]["name"], "look");

        let responses = written(&of_messages(), CountSurface::Responses, MODEL);
        assert_eq!(responses["instructions"], "Be brief.");
        assert_eq!(responses["tools"][0]["name"], "look");
        for absent in ["store", "stream", "max_output_tokens"] {
            assert!(responses.get(absent).is_none(), "{absent}");
        }
        let gemini = json!({"contents": [{"role": "user", "parts": [{"text": "hi"}]}]});
        let messages = written(&read(CountSurface::Gemini, &gemini).unwrap(), CountSurface::Messages, MODEL);
        assert_eq!(messages["messages"][0]["role"], "user");
        assert!(messages.get("max_tokens").is_none());
    }

    #[test]
    fn a_request_in_its_envelope_passes_with_the_name_that_the_upstream_has() {
        let request = json!({"model": "models/gemini-2.5-pro", "contents": [{"parts": [{"text": "hi"}]}], "x": 1.0});
        let count = read(CountSurface::Gemini, &json!({"generateContentRequest": request})).unwrap();
        assert_eq!(count.request().facts().model.as_str(), "gemini-2.5-pro");
        let same = written(&count, CountSurface::Gemini, "gemini-2.5-pro");
        assert_eq!(same, json!({"generateContentRequest": request}));
        let mapped = written(&count, CountSurface::Gemini, MODEL);
        assert_eq!(mapped["generateContentRequest"]["model"], "models/upstream-model");
    }

    #[test]
    fn what_is_wrong_is_named_where_it_stands() {
        let named = |surface, body: Value| read(surface, &body).unwrap_err().to_string();
        assert_eq!(named(CountSurface::Messages, json!({"messages": []})), "`model` is required");
        assert_eq!(named(CountSurface::Messages, json!({"model": "m"})), "`messages` is required");
        assert_eq!(named(CountSurface::Responses, json!({"model": "m"})), "`input` is required");
        assert_eq!(
            named(CountSurface::Gemini, json!({"generateContentRequest": {"contents": 1}})),
            "`generateContentRequest.contents`: expected an array, got a number"
        );
        assert_eq!(
            named(CountSurface::Gemini, json!({"generateContentRequest": {}, "contents": []})),
            "`contents` must not stand beside `generateContentRequest`"
        );
    }

    #[test]
    fn counts_are_read_and_told_in_each_form() {
        for surface in CountSurface::ALL {
            assert_eq!(surface.read(&surface.answer(12)), Some(12));
            assert_eq!(surface.read(b"{}"), None);
        }
    }
}
