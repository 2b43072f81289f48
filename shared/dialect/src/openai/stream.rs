//! Watching a stream go by: what each frame means, what it adds to the bill, and whether the caller gets it as it is.

use bytes::{BufMut, Bytes, BytesMut};

use super::output::{self, Calls, Found};
use super::usage::{Fault, Reported, normalise};
use super::{Finish, OutputCounts, Surface};
use crate::error::UpstreamError;
use crate::json::{self, span_in};
use crate::sse::Frame;

/// What the caller of a stream is to see.
#[derive(Debug, Clone, Default)]
pub struct StreamSettings {
    /// Whether the frame that carries only usage is shown: the caller asked for it, or the site always shows it.
    pub show_usage: bool,
    /// The caller's name of the model, when the channel maps it to another one.
    pub rename: Option<Box<str>>,
}

/// What to do with a frame.
#[derive(Debug)]
pub enum Verdict {
    /// The caller gets the frame's own bytes.
    Forward,
    /// The caller gets these bytes instead.
    Rewritten(Bytes),
    /// The caller does not get it: usage nobody asked for, or the torn end of a cut stream.
    Withhold,
    /// The terminal event: the caller gets the frame's own bytes, and nothing after it.
    Done,
    /// The upstream reports an error. The caller gets it in our own words.
    Error(Box<UpstreamError>),
}

/// What a stream was, when it is over.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Summary {
    /// The last usage reported that is not zero.
    pub usage: Reported,
    /// A usage report that could not be true, beside a good one or alone.
    pub fault: Option<Fault>,
    /// Why the answer ended, if the provider said.
    pub finish: Option<Finish>,
    /// Any text, tool call, reasoning or media came.
    pub saw_output: bool,
    /// The stream ended as it should: with its terminal event, or with an end for every answer that was begun.
    pub is_complete: bool,
    /// `[DONE]` came.
    pub saw_done: bool,
    /// Events that are not one JSON value. They were passed on.
    pub unreadable: u32,
    /// What the output held beside its text.
    pub counts: OutputCounts,
}

/// Watches one stream of one upstream answer. It holds no bytes of it beyond the names it may need for a usage frame.
#[derive(Debug)]
pub struct StreamMeter {
    surface: Surface,
    show_usage: bool,
    /// The caller's model name as JSON.
    rename: Option<String>,
    head: Option<Head>,
    calls: Calls,
    usage: Reported,
    fault: Option<Fault>,
    finish: Option<Finish>,
    started: u128,
    finished: u128,
    saw_output: bool,
    saw_done: bool,
    unreadable: u32,
}

/// What all chunks of a stream share, as JSON.
#[derive(Debug)]
struct Head {
    id: Box<str>,
    created: Box<str>,
    model: Box<str>,
}

/// Longest value kept for [`Head`], in bytes.
const MAX_HEAD_BYTES: usize = 512;

impl StreamMeter {
    /// A meter at the start of a stream.
    #[must_use]
    pub fn new(surface: Surface, settings: &StreamSettings) -> Self {
        Self {
            surface,
            show_usage: settings.show_usage,
            rename: settings.rename.as_deref().map(json::quoted),
            head: None,
            calls: Calls::default(),
            usage: Reported::Missing,
            fault: None,
            finish: None,
            started: 0,
            finished: 0,
            saw_output: false,
            saw_done: false,
            unreadable: 0,
        }
    }

    /// Looks at a frame. Generated text goes to `text`, piece by piece.
    ///
    /// Comments and events without data are forwarded; so are events that are no JSON, unless the stream broke off inside them.
    pub fn observe(&mut self, frame: &Frame, text: &mut dyn FnMut(&str)) -> Verdict {
        let event = frame.event();
        let Some(data) = event.data else { return Verdict::Forward };
        if data.trim_ascii() == b"[DONE]" {
            self.saw_done = true;
            return Verdict::Done;
        }
        if event.name == Some(b"error") {
            return Verdict::Error(Box::new(UpstreamError::read(200, &data, &[])));
        }
        let Ok(found) = output::read(&data, &mut self.calls, text) else {
            self.unreadable = self.unreadable.saturating_add(1);
            return if frame.is_terminated() { Verdict::Forward } else { Verdict::Withhold };
        };
        // Careless servers put two events into one: the first counts, and all of it is passed on.
        self.unreadable = self.unreadable.saturating_add(u32::from(found.more_at.is_some()));
        self.take(&found);
        if found.error.is_some_and(|raw| UpstreamError::is_reported(raw.get().as_bytes())) {
            return Verdict::Error(Box::new(UpstreamError::read(200, &data, &[])));
        }
        if found.usage.is_some() && found.choices == 0 && !found.has_output && !self.show_usage {
            return Verdict::Withhold;
        }
        match (&self.rename, found.model) {
            (Some(name), Some(model)) => renamed(frame, event.name, &data, model.get(), name),
            _ => Verdict::Forward,
        }
    }

    /// Whether any text, tool call, reasoning or media came so far.
    #[must_use]
    pub fn saw_output(&self) -> bool {
        self.saw_output
    }

    /// The last usage reported so far.
    #[must_use]
    pub fn usage(&self) -> Reported {
        self.usage
    }

    /// What the output held so far beside its text.
    #[must_use]
    pub fn counts(&self) -> OutputCounts {
        self.calls.counts()
    }

    /// The usage frame for a caller who asked for one when the upstream sent none. It belongs before `[DONE]`.
    #[must_use]
    pub fn usage_frame(&self, usage: &sluice_domain::Usage) -> Bytes {
        let object = match self.surface {
            Surface::Completions => "text_completion",
            Surface::ChatCompletions | Surface::Embeddings => "chat.completion.chunk",
        };
        let (id, created, model) = match &self.head {
            Some(head) => (&*head.id, &*head.created, &*head.model),
            None => ("\"\"", "0", "\"\""),
        };
        let model = self.rename.as_deref().unwrap_or(model);
        let (prompt, completion) = (usage.total_input(), usage.total_output());
        let frame = format!(
            concat!(
                r#"data: {{"id":{},"object":"{}","created":{},"model":{},"choices":[],"usage":{{"prompt_tokens":{},"#,
                r#""completion_tokens":{},"total_tokens":{},"prompt_tokens_details":{{"cached_tokens":{}}},"#,
                r#""completion_tokens_details":{{"reasoning_tokens":{}}}}}}}"#,
                "\n\n"
            ),
            id,
            object,
            created,
            model,
            prompt,
            completion,
            prompt.saturating_add(completion),
            usage.cache_read,
            usage.reasoning,
        );
        frame.into()
    }

    /// What the stream was.
    #[must_use]
    pub fn finish(&self) -> Summary {
        let all_ended = self.started != 0 && self.started & !self.finished == 0;
        Summary {
            usage: self.usage,
            fault: self.fault,
            finish: self.finish,
            saw_output: self.saw_output,
            is_complete: self.saw_done || all_ended,
            saw_done: self.saw_done,
            unreadable: self.unreadable,
            counts: self.calls.counts(),
        }
    }

    fn take(&mut self, found: &Found<'_>) {
        self.saw_output |= found.has_output;
        self.started |= found.started;
        self.finished |= found.finished;
        self.finish = found.finish.or(self.finish);
        if found.usage.is_some() || found.choice_usage.is_some() {
            self.take_usage(found);
        }
        if self.head.is_none()
            && let Some(id) = found.id
        {
            let keep = |raw: Option<&serde_json::value::RawValue>, default: &str| {
                let text = raw.map_or(default, |raw| raw.get());
                Box::from(if text.len() > MAX_HEAD_BYTES { default } else { text })
            };
            let created = keep(found.created, "0");
            self.head = Some(Head { id: keep(Some(id), "\"\""), created, model: keep(found.model, "\"\"") });
        }
    }

    fn take_usage(&mut self, found: &Found<'_>) {
        match normalise(found.usage.map(|raw| raw.get().as_bytes()), found.choice_usage.map(|raw| raw.get().as_bytes())) {
            Reported::Missing => {}
            Reported::Implausible(fault) => {
                self.fault = Some(fault);
                if self.usage == Reported::Missing {
                    self.usage = Reported::Implausible(fault);
                }
            }
            counted @ Reported::Counted(usage) => {
                self.saw_output |= usage.reasoning > 0;
                self.usage = counted;
            }
        }
    }
}

/// The frame with another model name. One line of data keeps every other byte; several are written anew.
fn renamed(frame: &Frame, name: Option<&[u8]>, data: &[u8], model: &str, new: &str) -> Verdict {
    let Some(span) = span_in(data, model.as_bytes()) else { return Verdict::Forward };
    let (front, back) = (data.get(..span.start).unwrap_or_default(), data.get(span.end..).unwrap_or_default());
    let mut out = BytesMut::with_capacity(frame.bytes().len() + new.len());
    if let Some(at) = span_in(frame.bytes(), data) {
        out.put_slice(frame.bytes().get(..at.start).unwrap_or_default());
        out.put_slice(front);
        out.put_slice(new.as_bytes());
        out.put_slice(back);
        out.put_slice(frame.bytes().get(at.end..).unwrap_or_default());
        return Verdict::Rewritten(out.freeze());
    }
    if let Some(name) = name {
        out.put_slice(b"event: ");
        out.put_slice(name);
        out.put_u8(b'\n');
    }
    for line in [front, new.as_bytes(), back].concat().split(|byte| *byte == b'\n') {
        out.put_slice(b"data: ");
        out.put_slice(line);
        out.put_u8(b'\n');
    }
    out.put_u8(b'\n');
    Verdict::Rewritten(out.freeze())
}

#[cfg(test)]
mod tests;
