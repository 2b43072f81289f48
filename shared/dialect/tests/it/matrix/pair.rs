//! One caller and one upstream: what the caller asks goes through `exchange`, and what the upstream says comes back through it.

use serde_json::{Value, json};
use sluice_dialect::Surface;
use sluice_dialect::error::{ErrorBody, UpstreamError, render, render_event};
use sluice_dialect::exchange::{Answer, Form, Incoming, Passage, Request, Sent, StreamMeter, Unwritable};
use sluice_dialect::openai::{Content, Reported};
use sluice_domain::{Dialect, RequestId};

use super::said::{Asks, End, Said, Says, in_order};
use super::{chat, gemini, messages, responses};
use crate::exchange::{Followed, follow, sealer, sent};

/// A dialect, as its callers and its provider use it. None of this is code of ours.
pub(super) struct Witness {
    pub name: &'static str,
    pub surface: Surface,
    /// A model of the provider's that takes everything the matrix asks for.
    pub model: &'static str,
    /// What the provider wants back of its thinking, if anything.
    pub state: Option<&'static str>,
    /// What ends a stream, and nothing else.
    pub end: &'static str,
    pub ask: fn(&Asks) -> Value,
    pub asked: fn(&Value) -> Asks,
    pub answer: fn(&Says) -> Value,
    pub stream: fn(&Says) -> String,
    pub assembled: fn(&str) -> Result<Value, String>,
    pub heard: fn(&Value) -> Says,
}

pub(super) const WITNESSES: [Witness; 4] = [
    Witness {
        name: "Chat",
        surface: Surface::ChatCompletions,
        model: "gpt-5",
        state: None,
        end: "[DONE]",
        ask: chat::ask,
        asked: chat::asked,
        answer: chat::answer,
        stream: chat::stream,
        assembled: chat::assembled,
        heard: chat::heard,
    },
    Witness {
        name: "Responses",
        surface: Surface::Responses,
        model: "gpt-5",
        state: Some(responses::STATE),
        end: "event: response.completed",
        ask: responses::ask,
        asked: responses::asked,
        answer: responses::answer,
        stream: responses::stream,
        assembled: responses::assembled,
        heard: responses::heard,
    },
    Witness {
        name: "Messages",
        surface: Surface::Messages,
        model: "claude-sonnet-4-5",
        state: Some(messages::STATE),
        end: "event: message_stop",
        ask: messages::ask,
        asked: messages::asked,
        answer: messages::answer,
        stream: messages::stream,
        assembled: messages::assembled,
        heard: messages::heard,
    },
    Witness {
        name: "Gemini",
        surface: Surface::GenerateContent,
        model: "gemini-3-pro-preview",
        state: Some(gemini::STATE),
        end: "\"finishReason\"",
        ask: gemini::ask,
        asked: gemini::asked,
        answer: gemini::answer,
        stream: gemini::stream,
        assembled: gemini::assembled,
        heard: gemini::heard,
    },
];

/// A difference between what was said and what was understood.
pub(super) type Checked = Result<(), String>;

pub(super) fn same<T: PartialEq + std::fmt::Debug>(what: &str, got: &T, meant: &T) -> Checked {
    if got == meant { Ok(()) } else { Err(format!("{what}: {got:?}, where {meant:?} was meant")) }
}

/// What a caller's body becomes at an upstream.
pub(super) fn pass(caller: &Witness, upstream: &Witness, model: &str, body: &Value, streams: bool) -> Result<Sent, Unwritable> {
    let is_gemini = caller.surface == Surface::GenerateContent;
    let form = if streams { Form::Events } else { Form::Whole };
    let incoming = Incoming {
        surface: caller.surface,
        body: body.to_string().into(),
        model: is_gemini.then(|| "ours".into()),
        form: is_gemini.then_some(form),
    };
    let request = Request::read(incoming, &sealer()).unwrap_or_else(|error| panic!("{}: {error}: {body}", caller.name));
    sent(&request, upstream.surface, model)
}

/// A caller and an upstream.
#[derive(Clone, Copy)]
pub(super) struct Pair {
    pub caller: &'static Witness,
    pub upstream: &'static Witness,
}

/// A request that was sent: what it asked, and how its answer comes back.
pub(super) struct Trip {
    pair: Pair,
    asks: Asks,
    body: Value,
    dropped: Vec<&'static str>,
    passage: Passage,
}

impl Pair {
    pub(super) fn send(self, asks: &Asks) -> Result<Trip, String> {
        let body = (self.caller.ask)(asks);
        let sent =
            pass(self.caller, self.upstream, self.upstream.model, &body, asks.streams).map_err(|error| error.to_string())?;
        let body = serde_json::from_slice(&sent.body).map_err(|error| error.to_string())?;
        Ok(Trip { pair: self, asks: asks.clone(), body, dropped: sent.dropped, passage: sent.passage })
    }

    /// What of an answer can be said in both dialects.
    fn in_both(self, says: &Says) -> Says {
        let (has, both) = (|surface| self.caller.surface == surface || self.upstream.surface == surface, self);
        let mut says = says.clone();
        says.model = "ours".to_owned();
        says.said = in_order(&says.said);
        says.states.clear();
        // conversions.md §10.1: only Messages says which text ended the answer
        let is_messages = both.caller.surface == Surface::Messages && both.upstream.surface == Surface::Messages;
        if matches!(says.end, End::StopText(_)) && !is_messages {
            says.end = End::Stop;
        }
        // conversions.md §10.3: Gemini does not count what was written to its cache apart
        if has(Surface::GenerateContent) {
            says.spent.cache_write = 0;
        }
        says
    }

    /// An error of the upstream's own, in its shape.
    fn error(self, status: u16, kind: &str, message: &str) -> Value {
        match self.upstream.surface {
            Surface::Messages => json!({"type": "error", "error": {"type": kind, "message": message}, "request_id": "req_1"}),
            Surface::GenerateContent => json!({"error": {"code": status, "message": message, "status": kind}}),
            _ => json!({"error": {"message": message, "type": kind, "param": null, "code": kind}}),
        }
    }

    /// An error with a status, as the caller reads it.
    pub(super) fn fails(self, status: u16) -> Checked {
        let (asks, words) =
            (Asks { turns: vec![super::said::Turn::user(vec![Said::Text("hi".to_owned())])], ..Asks::default() }, kinds(status));
        let message = "the model is resting, try again";
        let theirs = self.error(status, words.of(self.upstream), message).to_string();
        let read = UpstreamError::read(status, theirs.as_bytes(), &[]);
        same("kind", &read.kind.as_deref(), &Some(words.of(self.upstream)))?;
        let (caller, id) = (self.caller.surface.dialect(), RequestId::parse("req-1").unwrap());
        let (told, read) = read.for_caller(status, caller);
        let ours = ErrorBody {
            status: told,
            kind: read.kind.as_deref().ok_or("no word for it")?,
            is_native: self.speaks_as_its_caller(),
            code: read.code.as_deref(),
            message: &read.message,
            param: None,
            metadata: None,
            request_id: &id,
        };
        let body: Value = serde_json::from_slice(&render(caller, &ours)).unwrap();
        let expected = if self.speaks_as_its_caller() { status } else { told_to_others(status) };
        same("status", &told, &expected)?;
        self.is_error(&body, message, kinds(told).of(self.caller))?;
        // the same told with status 200
        let trip = self.send(&asks)?;
        let answer = Answer::read(theirs.into(), trip.passage, &[]).map_err(|error| error.to_string())?;
        match answer.content() {
            Content::Error(error) => same("message", &error.message.as_str(), &message),
            other => Err(format!("no error: {other:?}")),
        }
    }

    /// Whether errors of the upstream are in the form of the caller's dialect.
    fn speaks_as_its_caller(self) -> bool {
        let family = |witness: &Witness| match witness.surface.dialect() {
            Dialect::Responses => Dialect::OpenAi,
            other => other,
        };
        family(self.caller) == family(self.upstream)
    }

    /// An error in the caller's shape.
    fn is_error(self, body: &Value, message: &str, kind: &str) -> Checked {
        let (error, word) = match self.caller.surface {
            Surface::Messages => {
                same("type", &body["type"], &json!("error"))?;
                (&body["error"], "type")
            }
            Surface::GenerateContent => (&body["error"], "status"),
            // the events of a stream of Responses are flat
            Surface::Responses if body["type"] == "error" => (body, "type"),
            _ => {
                let keys: Vec<&String> = body["error"].as_object().ok_or("no error")?.keys().collect();
                same("keys", &keys.len(), &4)?;
                (&body["error"], "type")
            }
        };
        same("message", &error["message"].as_str().is_some_and(|text| text.starts_with(message)), &true)?;
        let is_flat = std::ptr::eq(error, body);
        if is_flat { Ok(()) } else { same("kind", &error[word], &json!(kind)) }
    }
}

/// The words of one situation.
struct Kinds {
    openai: &'static str,
    anthropic: &'static str,
    google: &'static str,
}

impl Kinds {
    fn of(&self, witness: &Witness) -> &'static str {
        match witness.surface {
            Surface::Messages => self.anthropic,
            Surface::GenerateContent => self.google,
            _ => self.openai,
        }
    }
}

/// The status of an upstream's error for callers of another dialect (conversions.md §12).
fn told_to_others(status: u16) -> u16 {
    if status == 500 { 502 } else { status }
}

/// The table of conversions.md §12.
fn kinds(status: u16) -> Kinds {
    let (openai, anthropic, google) = match status {
        400 => ("invalid_request_error", "invalid_request_error", "INVALID_ARGUMENT"),
        404 => ("invalid_request_error", "not_found_error", "NOT_FOUND"),
        429 => ("rate_limit_error", "rate_limit_error", "RESOURCE_EXHAUSTED"),
        502 => ("upstream_error", "api_error", "UNAVAILABLE"),
        503 => ("server_error", "overloaded_error", "UNAVAILABLE"),
        504 => ("upstream_error", "timeout_error", "DEADLINE_EXCEEDED"),
        _ => ("server_error", "api_error", "INTERNAL"),
    };
    Kinds { openai, anthropic, google }
}

impl Trip {
    /// The body means what was asked, with what may differ by the rules of the upstream's dialect.
    pub(super) fn means(&self, asks: &Asks) -> Checked {
        let got = (self.pair.upstream.asked)(&self.body);
        let turns = |asks: &Asks| -> Vec<(bool, Vec<Said>)> {
            asks.turns.iter().map(|turn| (turn.is_models, in_order(&turn.said))).collect()
        };
        same("turns", &turns(&got), &turns(asks))?;
        same("system", &got.system, &asks.system)?;
        same("tools", &got.tools, &asks.tools)?;
        same("choice", &got.choice, &asks.choice)?;
        same("thinking", &got.thinks, &asks.thinks)?;
        same("schema", &got.schema, &asks.schema)?;
        same("state", &got.states, &asks.states)?;
        // Gemini's address says whether the answer is streamed
        if self.pair.upstream.surface != Surface::GenerateContent {
            same("stream", &got.streams, &asks.streams)?;
        }
        // Claude thinks within the limit of output, so it is raised by what may be thought
        if !asks.thinks {
            same("limit", &got.max_output, &asks.max_output)?;
        }
        Ok(())
    }

    pub(super) fn loses(&self, names: &[&str]) -> Checked {
        same("dropped", &self.dropped, &names.to_vec())
    }

    pub(super) fn body(&self) -> &Value {
        &self.body
    }

    /// A whole answer of the upstream's, as the caller gets it.
    pub(super) fn answered(&self, says: &Says) -> Result<Value, String> {
        let body = (self.pair.upstream.answer)(says).to_string();
        let answer = Answer::read(body.into(), self.passage.clone(), &[]).map_err(|error| error.to_string())?;
        counted(answer.usage(), says)?;
        serde_json::from_slice(&answer.into_body()).map_err(|error| error.to_string())
    }

    /// A streamed answer, as the caller puts it together.
    pub(super) fn streamed(&self, says: &Says) -> Result<Value, String> {
        let stream = (self.pair.upstream.stream)(says);
        let followed = self.follow(&stream);
        if followed.has_failed || !followed.summary.is_complete {
            return Err(format!("the stream failed: {followed:?}"));
        }
        counted(followed.summary.usage, says)?;
        let text = String::from_utf8(followed.bytes).map_err(|error| error.to_string())?;
        (self.pair.caller.assembled)(&text).map_err(|error| format!("{error} in {text}"))
    }

    fn follow(&self, stream: &str) -> Followed {
        follow(StreamMeter::new(self.passage.clone(), self.asks.streams, None), stream.as_bytes())
    }

    /// The caller hears what the upstream said.
    pub(super) fn tells(&self, says: &Says, answer: &Value) -> Checked {
        let heard = (self.pair.caller.heard)(answer);
        let meant = self.pair.in_both(says);
        same("model", &heard.model, &meant.model)?;
        same("answer", &in_order(&heard.said), &meant.said)?;
        same("end", &heard.end, &meant.end)?;
        same("usage", &heard.spent, &meant.spent)
    }

    /// Both forms of an answer.
    pub(super) fn tells_either_way(&self, says: &Says) -> Checked {
        let answer = if self.asks.streams { self.streamed(says)? } else { self.answered(says)? };
        self.tells(says, &answer)
    }

    /// A stream that ends in an error of the upstream's: the caller gets what came before it, and the error last.
    pub(super) fn breaks(&self, says: &Says) -> Checked {
        let (upstream, message) = (self.pair.upstream, "the model is resting");
        let whole = (upstream.stream)(says);
        let before: String = whole.split_inclusive("\n\n").take_while(|event| !is_last(upstream, event)).collect();
        let error = self.pair.error(503, kinds(503).of(upstream), message);
        let stream = match upstream.surface {
            Surface::Responses => {
                let response = json!({"id": "resp_1", "status": "failed", "error": {"code": "server_error", "message": message}});
                before
                    + &format!("event: response.failed\ndata: {}\n\n", json!({"type": "response.failed", "response": response}))
            }
            Surface::Messages => before + &format!("event: error\ndata: {error}\n\n"),
            _ => before + &format!("data: {error}\n\n"),
        };
        let followed = self.follow(&stream);
        let raw = followed.error.ok_or_else(|| format!("no error was seen in {stream}"))?;
        same("complete", &followed.summary.is_complete, &false)?;
        let read = UpstreamError::read(200, &raw, &[]);
        same("message", &read.message.as_str(), &message)?;
        let id = RequestId::parse("req-1").unwrap();
        let kind = kinds(503).openai;
        let ours = ErrorBody {
            status: 503,
            kind,
            is_native: false,
            code: None,
            message: &read.message,
            param: None,
            metadata: None,
            request_id: &id,
        };
        let last = render_event(self.pair.caller.surface.dialect(), &ours);
        let text = String::from_utf8([followed.bytes.as_slice(), &last].concat()).unwrap();
        let events = super::said::events(&text)?;
        let data: Value = serde_json::from_str(&events.last().ok_or("nothing")?.1).map_err(|error| error.to_string())?;
        self.pair.is_error(&data, message, kinds(503).of(self.pair.caller))?;
        if text.contains(self.pair.caller.end) {
            return Err(format!("it looks complete: {text}"));
        }
        let Some(Said::Text(said)) = says.said.first() else { return Err("a text first".to_owned()) };
        let first = super::said::pieces(said).remove(0);
        same("text before the error", &text.contains(&first), &true)
    }
}

/// The event that tells why an answer ended, or one after it.
fn is_last(upstream: &Witness, event: &str) -> bool {
    match upstream.surface {
        Surface::Messages => event.contains("message_delta"),
        Surface::Responses => event.contains("event: response.completed"),
        Surface::GenerateContent => event.contains("finishReason"),
        _ => event.contains("\"finish_reason\":\"stop\""),
    }
}

/// What is billed is what the provider said.
fn counted(usage: Reported, says: &Says) -> Checked {
    let Reported::Counted(usage) = usage else { return Err(format!("no usage: {usage:?}")) };
    same("tokens in", &usage.total_input(), &says.spent.input)?;
    same("tokens out", &usage.total_output(), &says.spent.output)
}
