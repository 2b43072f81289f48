//! Watching a stream go by, in whichever dialect: what each frame means, and what the caller gets of it.

use bytes::{Bytes, BytesMut};
use sluice_domain::Usage;

use super::answer::bystander;
use super::codecs::{Bystander, Codec, Reader, Writer};
use super::passage::{Kind as Way, Passage};
use super::stops::Cutter;
use super::telling::Telling;
use super::{output, rename};
use crate::error::{ErrorBody, failure};
use crate::ir::Event;
use crate::json;
use crate::openai::{self, Finish, OutputCounts, Reported, StreamSettings, Summary, Verdict};
use crate::sse::Frame;

/// Watches one stream of one upstream answer.
#[derive(Debug, Clone)]
pub struct StreamMeter(Kind);

#[derive(Debug, Clone)]
enum Kind {
    Plain(Box<openai::StreamMeter>),
    Read(Box<Watch>),
}

/// A stream that is read event by event.
#[derive(Debug, Clone)]
struct Watch {
    reader: Reader,
    /// `None`: the frames pass as they are.
    writer: Option<Writer>,
    /// Ends the stream where the upstream could not be asked to.
    cutter: Option<Cutter>,
    /// The caller's name of the model as JSON, where frames pass and the upstream has another.
    rename: Option<String>,
    /// The answer's id, empty as long as it is not known. `None`: the bytes are not those of an upstream of Responses.
    stored_id: Option<String>,
    /// What its caller was told, of such an upstream.
    telling: Option<Box<Telling>>,
    usage: Reported,
    /// It is of all that came.
    is_usage_final: bool,
    finish: Option<Finish>,
    counts: OutputCounts,
    saw_output: bool,
    is_complete: bool,
}

/// A stream that failed: in the provider's own words, if it has any.
struct Failed(Option<Bytes>);

impl StreamMeter {
    /// A meter at the start of a stream. `ends_after` is for providers of the Chat family that are known to send no `[DONE]`: how many
    /// answers were asked for, whose ends are the stream's.
    #[must_use]
    pub fn new(passage: Passage, show_usage: bool, ends_after: Option<u32>) -> Self {
        match passage.0 {
            Way::Same { beside: Bystander::Parser(surface), rename } => {
                let settings = StreamSettings { show_usage, rename, ends_after };
                Self(Kind::Plain(Box::new(openai::StreamMeter::new(surface, &settings))))
            }
            Way::Same { beside: Bystander::Codec(codec), rename } => {
                let rename = rename.as_deref().map(json::quoted);
                Self::read(Reader::new(codec, bystander(codec)), None, rename, codec == Codec::Responses)
            }
            // vectors are never streamed
            Way::Same { beside: Bystander::Vectors(_), .. } | Way::Vectors(_) => {
                Self(Kind::Plain(Box::new(openai::StreamMeter::new(openai::Surface::Embeddings, &StreamSettings::default()))))
            }
            Way::Other(way) => {
                let (reader, writer) = (way.from.reader(way.reading), Writer::new(way.to, way.asked));
                Self::read(reader, Some((writer, Cutter::of(&way.stops))), None, false)
            }
        }
    }

    fn read(reader: Reader, anew: Option<(Writer, Option<Cutter>)>, rename: Option<String>, is_of_responses: bool) -> Self {
        let (writer, cutter) = anew.map_or((None, None), |(writer, cutter)| (Some(writer), cutter));
        Self(Kind::Read(Box::new(Watch {
            reader,
            writer,
            cutter,
            rename,
            stored_id: is_of_responses.then(String::new),
            telling: is_of_responses.then(Box::default),
            usage: Reported::Missing,
            is_usage_final: false,
            finish: None,
            counts: OutputCounts::default(),
            saw_output: false,
            is_complete: false,
        })))
    }

    /// Looks at a frame. Generated text goes to `text`, piece by piece.
    pub fn observe(&mut self, frame: &Frame, text: &mut dyn FnMut(&str)) -> Verdict {
        match &mut self.0 {
            Kind::Plain(meter) => meter.observe(frame, text),
            Kind::Read(watch) => watch.observe(frame, text),
        }
    }

    /// The upstream has closed the stream: what the caller still gets, if that is a good end. `None`: nothing is left to say, or the
    /// stream broke off; the summary tells.
    pub fn close(&mut self, text: &mut dyn FnMut(&str)) -> Option<Bytes> {
        match &mut self.0 {
            Kind::Plain(_) => None,
            Kind::Read(watch) => watch.close(text),
        }
    }

    /// The answer's id at an upstream of Responses, as soon as it is known, where the bytes pass: it may be stored there under that id.
    #[must_use]
    pub fn stored_id(&self) -> Option<&str> {
        match &self.0 {
            Kind::Plain(_) => None,
            Kind::Read(watch) => watch.stored_id.as_deref().filter(|id| !id.is_empty()),
        }
    }

    /// What the caller gets last of an answer that failed after it had begun, where its dialect ends such an answer in another way than by
    /// an error alone: one of Responses, once it was announced.
    pub fn failed(&mut self, error: &ErrorBody<'_>) -> Option<Bytes> {
        let Kind::Read(watch) = &mut self.0 else { return None };
        let (code, message) = failure(error);
        match (&watch.telling, &mut watch.writer) {
            (Some(telling), _) => telling.failed(code, &message),
            (None, Some(writer)) => writer.fail(code, &message),
            (None, None) => None,
        }
    }

    /// Whether any text, tool call, reasoning or media came so far.
    #[must_use]
    pub fn saw_output(&self) -> bool {
        match &self.0 {
            Kind::Plain(meter) => meter.saw_output(),
            Kind::Read(watch) => watch.saw_output,
        }
    }

    /// The last usage reported so far.
    #[must_use]
    pub fn usage(&self) -> Reported {
        match &self.0 {
            Kind::Plain(meter) => meter.usage(),
            Kind::Read(watch) => watch.usage,
        }
    }

    /// Whether that usage is of all that came: nothing was left to come when it was sent, and nothing came after it.
    #[must_use]
    pub fn is_usage_final(&self) -> bool {
        match &self.0 {
            Kind::Plain(meter) => meter.is_usage_final(),
            Kind::Read(watch) => watch.is_usage_final,
        }
    }

    /// What the output held so far beside its text.
    #[must_use]
    pub fn counts(&self) -> OutputCounts {
        match &self.0 {
            Kind::Plain(meter) => meter.counts(),
            Kind::Read(watch) => watch.counts,
        }
    }

    /// What a caller gets last who asked for a usage that the upstream did not report. `last` is the end as it is without it. Only Chat tells
    /// it in a frame of its own.
    #[must_use]
    pub fn end_with(&self, usage: &Usage, last: Option<Bytes>) -> Vec<Bytes> {
        match &self.0 {
            Kind::Plain(meter) => std::iter::once(meter.usage_frame(usage)).chain(last).collect(),
            Kind::Read(watch) => {
                let told = |last: Bytes| match &watch.writer {
                    Some(Writer::Chat(writer)) => writer.end_with(usage, &last),
                    _ => last,
                };
                last.map(told).into_iter().collect()
            }
        }
    }

    /// What the stream was.
    #[must_use]
    pub fn finish(&self) -> Summary {
        match &self.0 {
            Kind::Plain(meter) => meter.finish(),
            Kind::Read(watch) => Summary {
                usage: watch.usage,
                fault: None,
                finish: watch.finish,
                saw_output: watch.saw_output,
                is_complete: watch.is_complete,
                saw_done: false,
                crowded: 0,
                counts: watch.counts,
            },
        }
    }
}

impl Watch {
    fn observe(&mut self, frame: &Frame, text: &mut dyn FnMut(&str)) -> Verdict {
        let event = frame.event();
        let Some(data) = event.data else {
            // comments of the upstream are kept from callers whose stream is written anew
            return if self.writer.is_none() && frame.is_terminated() { Verdict::Forward } else { Verdict::Withhold };
        };
        if !frame.is_terminated() && serde_json::from_slice::<serde::de::IgnoredAny>(&data).is_err() {
            return Verdict::Withhold;
        }
        let mut heard = Vec::new();
        self.reader.push(event.name, &data, &mut heard);
        let mut out = BytesMut::new();
        if let Err(Failed(raw)) = self.hear(heard, &mut out, text) {
            return raw.map_or(Verdict::Malformed, Verdict::Error);
        }
        if let Some(telling) = &mut self.telling {
            telling.hear(&data);
        }
        match (&self.writer, self.is_complete) {
            (None, is_complete) => match (self.passed(frame, event.name, &data), is_complete) {
                (Verdict::Rewritten(last), true) => Verdict::DoneWith(last),
                (_, true) => Verdict::Done,
                (passed, false) => passed,
            },
            (Some(_), true) => Verdict::DoneWith(out.freeze()),
            (Some(_), false) if out.is_empty() => Verdict::Withhold,
            (Some(_), false) => Verdict::Rewritten(out.freeze()),
        }
    }

    fn close(&mut self, text: &mut dyn FnMut(&str)) -> Option<Bytes> {
        if self.is_complete {
            return None;
        }
        let mut heard = Vec::new();
        self.reader.finish(&mut heard);
        let mut out = BytesMut::new();
        let heard = self.hear(heard, &mut out, text);
        (heard.is_ok() && !out.is_empty()).then(|| out.freeze())
    }

    /// Takes in what was read, and writes it for the caller.
    fn hear(&mut self, heard: Vec<Event>, out: &mut BytesMut, text: &mut dyn FnMut(&str)) -> Result<(), Failed> {
        let heard = match &mut self.cutter {
            Some(cutter) => cutter.cut(heard),
            None => heard,
        };
        for event in &heard {
            match event {
                Event::Error(error) => return Err(Failed(error.raw.clone())),
                Event::Start { id, .. } => {
                    if let Some(stored) = &mut self.stored_id {
                        stored.clone_from(id);
                    }
                }
                Event::Usage(usage) if !usage.is_empty() => {
                    self.saw_output |= usage.reasoning > 0;
                    (self.usage, self.is_usage_final) = (Reported::Counted(*usage), true);
                }
                Event::Finish { finish, .. } => self.finish = Some(output::finish(finish)),
                Event::End => self.is_complete = true,
                event => {
                    if output::hear(event, &mut self.counts, text) {
                        (self.saw_output, self.is_usage_final) = (true, false);
                    }
                }
            }
            if let Some(writer) = &mut self.writer {
                writer.push(event, out);
            }
        }
        Ok(())
    }

    /// A frame that passes: with the caller's name of the model, where it names one.
    fn passed(&self, frame: &Frame, name: Option<&[u8]>, data: &[u8]) -> Verdict {
        let Some(rename) = &self.rename else { return Verdict::Forward };
        match rename::place(data) {
            Some(place) => openai::renamed_frame(frame, name, data, place, rename),
            None => Verdict::Forward,
        }
    }
}
