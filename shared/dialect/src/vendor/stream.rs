//! A vendor's stream, event by event.

use bytes::Bytes;
use serde_json::{Value, json};

use super::calls::Calls;
use super::marks::Marks;
use super::{Answers, Vendor, cohere, coze, dashscope, dify, fault, hunyuan, library, ollama, spark, wenxin, zhipu};
use crate::codec::{AnswerError, Reading};
use crate::ir::replay::replay;
use crate::ir::{Blocks, Event, StreamError};
use crate::json::mended;

const BROKEN_OFF: &str = "the upstream's stream broke off";
const NO_JSON: &str = "the upstream sent an event that is no JSON object";
const NO_ANSWER: &str = "the upstream's answer is none";

/// Reads one stream.
#[derive(Debug, Clone)]
pub struct Reader {
    vendor: Vendor,
    told: Told,
}

/// What was told so far, for a vendor's own part of the reading.
#[derive(Debug, Clone)]
pub(super) struct Told {
    pub(super) reading: Reading,
    pub(super) blocks: Blocks,
    pub(super) calls: Calls,
    /// Text came in pieces: what is told once more as a whole is known.
    pub(super) has_pieces: bool,
    /// Text with reasoning between marks.
    pub(super) marks: Marks,
    /// What a run came to, to be told if nothing else is.
    pub(super) outcome: Option<Value>,
}

impl Reader {
    /// A reader at the start of a stream.
    #[must_use]
    pub fn new(vendor: Vendor, reading: Reading) -> Self {
        let (blocks, calls) = (Blocks::default(), Calls::default());
        Self { vendor, told: Told { reading, blocks, calls, has_pieces: false, marks: Marks::default(), outcome: None } }
    }

    /// Takes one event: its name, where it has one, and its data.
    pub fn push(&mut self, name: Option<&[u8]>, data: &[u8], out: &mut Vec<Event>) {
        let data = data.trim_ascii();
        if self.told.blocks.has_ended() || data.is_empty() || matches!(data, b"[DONE]" | b"\"[DONE]\"") {
            return;
        }
        let Ok(event @ Value::Object(_)) = serde_json::from_str::<Value>(&mended(data)) else {
            return self.told.fail(None, NO_JSON, out);
        };
        if let Some(error) = fault::of(self.vendor, &event) {
            return self.told.fail(Some(error.into()), "the upstream reported an error", out);
        }
        if self.vendor.answers() == Answers::Whole {
            return self.document(&event, out);
        }
        let name = name.and_then(|name| std::str::from_utf8(name).ok()).unwrap_or_default();
        match self.vendor {
            Vendor::Ollama => ollama::event(&event, &mut self.told, out),
            Vendor::Cohere => cohere::event(&event, &mut self.told, out),
            Vendor::DashScope => dashscope::event(&event, &mut self.told, out),
            Vendor::Dify => dify::event(&event, &mut self.told, out),
            Vendor::Coze => coze::event(name, &event, &mut self.told, out),
            Vendor::Hunyuan => hunyuan::event(&event, &mut self.told, out),
            Vendor::Wenxin => wenxin::event(&event, &mut self.told, out),
            Vendor::ZhipuV3 => zhipu::event(&event, &mut self.told, out),
            Vendor::Spark => spark::event(&event, &mut self.told, out),
            Vendor::Library => library::event(&event, &mut self.told, out),
            Vendor::Replicate | Vendor::DeepL => {}
        }
    }

    /// The upstream has closed the stream.
    pub fn finish(&mut self, out: &mut Vec<Event>) {
        if self.vendor == Vendor::Dify {
            dify::finish(&mut self.told, out);
        }
        if self.told.blocks.have_all_finished() {
            self.told.blocks.end(out);
        } else {
            self.told.fail(None, BROKEN_OFF, out);
        }
    }

    /// All of an answer at once, told as a stream.
    fn document(&mut self, answer: &Value, out: &mut Vec<Event>) {
        match self.vendor.answer(answer, &mut self.told.reading) {
            Ok(response) => {
                out.extend(replay(&response));
                // what follows is nothing any more
                self.told.blocks.end(&mut Vec::new());
            }
            Err(AnswerError::NotJson | AnswerError::Reported | AnswerError::Without(_)) => self.told.fail(None, NO_ANSWER, out),
        }
    }
}

impl Told {
    /// The stream failed.
    pub(super) fn fail(&mut self, raw: Option<Bytes>, reason: &'static str, out: &mut Vec<Event>) {
        self.blocks.fail(StreamError { raw, reason }, out);
    }

    /// The stream failed, for a reason that the caller is told.
    pub(super) fn fail_because(&mut self, reason: &'static str, out: &mut Vec<Event>) {
        let told = json!({"error": {"message": reason, "type": "server_error", "code": null}});
        self.fail(Some(told.to_string().into()), reason, out);
    }

    /// More text.
    pub(super) fn text(&mut self, text: &str, out: &mut Vec<Event>) {
        self.blocks.text(0, text, Vec::new(), out);
    }

    /// More reasoning.
    pub(super) fn thinking(&mut self, text: &str, out: &mut Vec<Event>) {
        self.blocks.thinking(0, text, out);
    }
}
