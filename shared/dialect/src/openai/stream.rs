//! Watching a stream go by: what each frame means, what it adds to the bill, and whether the caller gets it as it is.

use std::borrow::Cow;
use std::ops::Range;

use bytes::{BufMut, Bytes, BytesMut};
use serde::de::IgnoredAny;

use super::output::{self, Calls, Found};
use super::usage::{Fault, Reported, normalise};
use super::{Finish, OutputCounts, Surface};
use crate::error::UpstreamError;
use crate::json::{self, Shape, span_in};
use crate::sse::Frame;

/// What the caller of a stream is to see.
#[derive(Debug, Clone, Default)]
pub struct StreamSettings {
    /// Whether the frame that carries only usage is shown: the caller asked for it, or the site always shows it.
    pub show_usage: bool,
    /// The caller's name of the model, when the channel maps it to another one.
    pub rename: Option<Box<str>>,
    /// For a provider that is known to send no `[DONE]`: how many answers were asked for, whose ends are the stream's.
    pub ends_after: Option<u32>,
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
    /// The terminal event: the caller gets these bytes instead, and nothing after them.
    DoneWith(Bytes),
    /// The frame was several events run together. Each of these is to be observed in its place.
    Several(Vec<Frame>),
    /// The upstream reports an error with this data ([`UpstreamError::read`]). The caller gets it in our own words.
    Error(Bytes),
    /// The event's data is no JSON: nobody knows what is missing, so the caller gets neither it nor what follows.
    Malformed,
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
    /// The stream ended as it should: with its terminal event or, where there is none, with an end for every answer asked for.
    pub is_complete: bool,
    /// `[DONE]` came.
    pub saw_done: bool,
    /// Events of more than one JSON value. They were passed on, and their first value counts.
    pub crowded: u32,
    /// What the output held beside its text.
    pub counts: OutputCounts,
}

/// Watches one stream of one upstream answer. It holds no bytes of it beyond the names it may need for a usage frame.
#[derive(Debug, Clone)]
pub struct StreamMeter {
    surface: Surface,
    show_usage: bool,
    /// The caller's model name as JSON.
    rename: Option<String>,
    ends_after: Option<u32>,
    head: Option<Head>,
    calls: Calls,
    usage: Latest,
    fault: Option<Fault>,
    finish: Option<Finish>,
    started: u128,
    finished: u128,
    saw_output: bool,
    saw_done: bool,
    crowded: u32,
}

/// The usage reported last.
#[derive(Debug, Clone, Default)]
struct Latest {
    reported: Reported,
    /// It is of all that came, and nothing was left to come.
    is_final: bool,
}

/// What all chunks of a stream share, as JSON.
#[derive(Debug, Clone)]
struct Head {
    id: Box<str>,
    created: Box<str>,
    model: Box<str>,
}

/// Longest value kept for [`Head`], in bytes.
const MAX_HEAD_BYTES: usize = 512;
/// Events run together that are taken apart; more of them are passed on as they are.
const MAX_TOGETHER: usize = 64;

impl StreamMeter {
    /// A meter at the start of a stream.
    #[must_use]
    pub fn new(surface: Surface, settings: &StreamSettings) -> Self {
        Self {
            surface,
            show_usage: settings.show_usage,
            rename: settings.rename.as_deref().map(json::quoted),
            ends_after: settings.ends_after,
            head: None,
            calls: Calls::default(),
            usage: Latest::default(),
            fault: None,
            finish: None,
            started: 0,
            finished: 0,
            saw_output: false,
            saw_done: false,
            crowded: 0,
        }
    }

    /// Looks at a frame. Generated text goes to `text`, piece by piece.
    ///
    /// Comments and events without data are forwarded. An event that the stream broke off inside is withheld.
    pub fn observe(&mut self, frame: &Frame, text: &mut dyn FnMut(&str)) -> Verdict {
        let as_it_is = if frame.is_terminated() { Verdict::Forward } else { Verdict::Withhold };
        let event = frame.event();
        let Some(data) = event.data else { return as_it_is };
        match data.trim_ascii() {
            b"" => return as_it_is,
            b"[DONE]" => {
                self.saw_done = true;
                return Verdict::Done;
            }
            _ => {}
        }
        if let Cow::Owned(lines) = &data
            && let Some(events) = taken_apart(frame, event.name, lines)
        {
            return Verdict::Several(events);
        }
        if event.name == Some(b"error") {
            return Verdict::Error(data.into_owned().into());
        }
        let json = json::mended(&data);
        let Ok(found) = output::read(&json, &mut self.calls, text) else {
            return if frame.is_terminated() { Verdict::Malformed } else { Verdict::Withhold };
        };
        // Of two events in one line the first counts, and all of it is passed on.
        self.crowded = self.crowded.saturating_add(u32::from(found.more_at.is_some()));
        self.take(&found);
        if found.error.is_some_and(|raw| UpstreamError::is_reported(raw.get().as_bytes())) {
            return Verdict::Error(Bytes::copy_from_slice(&data));
        }
        let is_usage_alone = found.usage.is_some() && found.choices == 0 && !found.has_output && found.more_at.is_none();
        if is_usage_alone && !self.show_usage {
            return Verdict::Withhold;
        }
        let model = found.model.and_then(|model| span_in(json.as_bytes(), model.get().as_bytes()));
        match (&self.rename, model) {
            (Some(name), Some(model)) => renamed_frame(frame, event.name, &data, model, name),
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
        self.usage.reported
    }

    /// Whether that usage is of all that came: nothing was left to come when it was sent, and nothing came after it.
    #[must_use]
    pub fn is_usage_final(&self) -> bool {
        self.usage.is_final
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
            _ => "chat.completion.chunk",
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
        let all_ended = self.ends_after.is_some_and(|answers| {
            let all = u128::MAX >> u128::BITS.saturating_sub(answers.clamp(1, u128::BITS));
            self.finished & all == all
        });
        Summary {
            usage: self.usage.reported,
            fault: self.fault,
            finish: self.finish,
            saw_output: self.saw_output,
            is_complete: self.saw_done || all_ended,
            saw_done: self.saw_done,
            crowded: self.crowded,
            counts: self.calls.counts(),
        }
    }

    fn take(&mut self, found: &Found<'_>) {
        self.saw_output |= found.has_output;
        self.started |= found.started;
        self.finished |= found.finished;
        self.finish = found.finish.or(self.finish);
        self.usage.is_final &= !found.has_output;
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
                if self.usage.reported == Reported::Missing {
                    self.usage.reported = Reported::Implausible(fault);
                }
            }
            counted @ Reported::Counted(usage) => {
                self.saw_output |= usage.reasoning > 0;
                let has_ended = self.started != 0 && self.started & !self.finished == 0;
                let is_final = (found.choices == 0 && !found.has_output) || has_ended;
                self.usage = Latest { reported: counted, is_final };
            }
        }
    }
}

/// The frame with another model name. One line of data keeps every other byte; several are written anew.
pub(crate) fn renamed_frame(frame: &Frame, name: Option<&[u8]>, data: &[u8], model: Range<usize>, new: &str) -> Verdict {
    let (front, back) = (data.get(..model.start).unwrap_or_default(), data.get(model.end..).unwrap_or_default());
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

/// Careless servers leave out the blank line between two events, so that each line of data is an event of its own. `None` when they
/// are the lines of one event, as they should be.
fn taken_apart(frame: &Frame, name: Option<&[u8]>, data: &[u8]) -> Option<Vec<Frame>> {
    let mut lines = data.split(|byte| *byte == b'\n').filter(|line| !line.trim_ascii().is_empty()).peekable();
    let is_event =
        |line: &&[u8]| Shape::of(line.trim_ascii_start()) == Shape::Object && serde_json::from_slice::<IgnoredAny>(line).is_ok();
    if !lines.peek().is_some_and(is_event) || !(2..=MAX_TOGETHER).contains(&lines.clone().take(MAX_TOGETHER + 1).count()) {
        return None;
    }
    let name = name.map(|name| [b"event: ", name, b"\n"].concat()).unwrap_or_default();
    let mut events = Vec::new();
    while let Some(line) = lines.next() {
        let is_terminated = frame.is_terminated() || lines.peek().is_some();
        events.push(Frame::made([name.as_slice(), b"data: ", line, b"\n\n"].concat().into(), is_terminated));
    }
    Some(events)
}

#[cfg(test)]
mod tests;
