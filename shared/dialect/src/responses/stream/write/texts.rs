//! Texts, refusals, reasoning and pictures of a stream.

use bytes::BytesMut;
use serde_json::{Value, json};

use super::Writer;
use crate::ir::{Block, TokenLogprob};
use crate::responses::item;
use crate::responses::response::{Medium, medium};
use crate::responses::stream::open::{Message, Part, Reasoning};

impl Writer {
    pub(super) fn text(&mut self, text: &str, logprobs: &[TokenLogprob], out: &mut BytesMut) {
        if text.is_empty() {
            return;
        }
        self.part(false, out);
        let index = self.output.len();
        let Some(message) = &mut self.message else { return };
        let Some(part) = &mut message.part else { return };
        part.text.push_str(text);
        part.logprobs.extend_from_slice(logprobs);
        let fields = json!({
            "item_id": message.id, "output_index": index, "content_index": message.parts.len(), "delta": text,
            "logprobs": item::probabilities(logprobs),
        });
        self.wire.send("response.output_text.delta", fields, out);
    }

    pub(super) fn refusal(&mut self, text: &str, out: &mut BytesMut) {
        if text.is_empty() {
            return;
        }
        self.has_refusal = true;
        self.part(true, out);
        let index = self.output.len();
        let Some(message) = &mut self.message else { return };
        let Some(part) = &mut message.part else { return };
        part.text.push_str(text);
        let fields = json!({
            "item_id": message.id, "output_index": index, "content_index": message.parts.len(), "delta": text,
        });
        self.wire.send("response.refusal.delta", fields, out);
    }

    pub(super) fn citation(&mut self, citation: &Value, out: &mut BytesMut) {
        let index = self.output.len();
        let Some(message) = &mut self.message else { return };
        let Some(part) = message.part.as_mut().filter(|part| !part.is_refusal) else { return };
        let fields = json!({
            "item_id": message.id, "output_index": index, "content_index": message.parts.len(),
            "annotation_index": part.annotations.len(), "annotation": citation,
        });
        part.annotations.push(citation.clone());
        self.wire.send("response.output_text.annotation.added", fields, out);
    }

    /// Sees to an open message with an open part of a kind.
    fn part(&mut self, is_refusal: bool, out: &mut BytesMut) {
        if self.message.is_none() {
            self.close("completed", out);
        }
        let open = self.message.as_ref().and_then(|message| message.part.as_ref());
        if open.is_some_and(|part| part.is_refusal != is_refusal) {
            self.end_part(out);
        }
        let index = self.output.len();
        let message = self.message.get_or_insert_with(|| {
            let id = self.asked.ids.make("msg_");
            self.wire.added(&item::message(&id, "in_progress", &[]), index, out);
            Message { id, parts: Vec::new(), part: None }
        });
        if message.part.is_none() {
            let part = Part { is_refusal, ..Part::default() };
            let fields = json!({
                "item_id": message.id, "output_index": index, "content_index": message.parts.len(), "part": part.render(),
            });
            self.wire.send("response.content_part.added", fields, out);
            message.part = Some(part);
        }
    }

    /// The open part is whole; its message stays open for what follows it.
    pub(super) fn end_part(&mut self, out: &mut BytesMut) {
        let index = self.output.len();
        let Some(message) = &mut self.message else { return };
        let Some(part) = message.part.take() else { return };
        let (id, content_index) = (&message.id, message.parts.len());
        let (kind, mut fields) = if part.is_refusal {
            ("response.refusal.done", json!({"item_id": id, "output_index": index, "content_index": content_index}))
        } else {
            let logprobs = item::probabilities(&part.logprobs);
            let fields = json!({"item_id": id, "output_index": index, "content_index": content_index, "logprobs": logprobs});
            ("response.output_text.done", fields)
        };
        let rendered = part.render();
        if let Some(fields) = fields.as_object_mut() {
            fields.insert(if part.is_refusal { "refusal" } else { "text" }.to_owned(), Value::from(part.text));
        }
        self.wire.send(kind, fields, out);
        let fields = json!({"item_id": id, "output_index": index, "content_index": content_index, "part": &rendered});
        self.wire.send("response.content_part.done", fields, out);
        message.parts.push(rendered);
    }

    pub(super) fn end_message(&mut self, out: &mut BytesMut) {
        self.end_part(out);
        if let Some(message) = self.message.take() {
            self.whole = Some(item::message(&message.id, "completed", &message.parts));
        }
    }

    /// Reasoning that is not to be shown is told by its seal alone.
    pub(super) fn thinking(&mut self, text: &str, out: &mut BytesMut) {
        let index = self.output.len();
        let Some(reasoning) = self.reasoning.as_mut().filter(|_| self.asked.shows_reasoning && !text.is_empty()) else {
            return;
        };
        let id = reasoning.id.get_or_insert_with(|| {
            let id = self.asked.ids.make("rs_");
            self.wire.added(&item::reasoning(&id, "", None), index, out);
            let fields = json!({"item_id": id, "output_index": index, "summary_index": 0, "part": item::summary("")});
            self.wire.send("response.reasoning_summary_part.added", fields, out);
            id
        });
        reasoning.text.push_str(text);
        let fields = json!({"item_id": id, "output_index": index, "summary_index": 0, "delta": text});
        self.wire.send("response.reasoning_summary_text.delta", fields, out);
    }

    pub(super) fn end_reasoning(&mut self, reasoning: Reasoning, out: &mut BytesMut) {
        let Reasoning { id, text, encrypted } = reasoning;
        let Some(id) = id else { return self.sealed(encrypted, out) };
        let index = self.output.len();
        let fields = json!({"item_id": id, "output_index": index, "summary_index": 0, "text": text});
        self.wire.send("response.reasoning_summary_text.done", fields, out);
        let fields = json!({"item_id": id, "output_index": index, "summary_index": 0, "part": item::summary(&text)});
        self.wire.send("response.reasoning_summary_part.done", fields, out);
        self.whole = Some(item::reasoning(&id, &text, encrypted.as_deref()));
    }

    /// Reasoning that nobody reads here; nothing where there is no seal.
    pub(super) fn sealed(&mut self, encrypted: Option<String>, out: &mut BytesMut) {
        let Some(encrypted) = encrypted else { return };
        let id = self.asked.ids.make("rs_");
        self.wire.added(&item::reasoning(&id, "", None), self.output.len(), out);
        self.whole = Some(item::reasoning(&id, "", Some(&encrypted)));
    }

    pub(super) fn media(&mut self, block: &Block, out: &mut BytesMut) {
        match medium(block) {
            Some(Medium::Picture(base64)) => {
                self.close("completed", out);
                let id = self.asked.ids.make("ig_");
                let added = json!({"id": id, "type": "image_generation_call", "status": "in_progress", "result": null});
                self.wire.added(&added, self.output.len(), out);
                self.whole = Some(item::image(&id, &base64));
            }
            Some(Medium::Text(text)) => {
                self.text(&text, &[], out);
                self.end_part(out);
            }
            None => {}
        }
    }
}
