//! Calls of a stream, one item each, one after the other.

use bytes::BytesMut;
use serde_json::{Value, json};

use super::Writer;
use crate::ir::{Arguments, Signature};
use crate::responses::item;
use crate::responses::response::{call_state, encrypted, text_state};
use crate::responses::stream::open::Call;

impl Writer {
    /// A call begins. It is announced with its first piece: its state, if it has one, comes before it.
    pub(super) fn call(&mut self, block: u32, called: (&str, &str), whole: Option<&Arguments>, out: &mut BytesMut) {
        if self.calls.is_empty() {
            self.close("completed", out);
        }
        let (id, name) = called;
        let (namespace, plain) = self.tools.parted(name);
        self.calls.push_back(Call {
            block,
            id: id.to_owned(),
            namespace: namespace.map(ToOwned::to_owned),
            name: plain.to_owned(),
            is_custom: self.tools.is_custom(name),
            arguments: whole.map(crate::arguments::text).unwrap_or_default(),
            told: 0,
            item: None,
            signature: None,
            is_whole: false,
        });
    }

    pub(super) fn arguments(&mut self, block: u32, json: &str, out: &mut BytesMut) {
        if let Some(call) = self.calls.iter_mut().find(|call| call.block == block) {
            call.arguments.push_str(json);
            self.tell_calls(out);
        }
    }

    /// State of a call, of reasoning or of a text.
    pub(super) fn signed(&mut self, block: u32, signature: &Signature) {
        if let Some(call) = self.calls.iter_mut().find(|call| call.block == block) {
            call.signature = Some(signature.clone());
        } else if let Some(reasoning) = &mut self.reasoning {
            reasoning.encrypted = encrypted(Some(signature), &self.asked);
        } else if self.message.is_some() {
            self.text_state = text_state(Some(signature), &self.asked);
        }
    }

    /// Tells what is there of the first call, and of the next ones where it is whole.
    pub(super) fn tell_calls(&mut self, out: &mut BytesMut) {
        while let Some(mut call) = self.calls.pop_front() {
            if call.is_whole && call.arguments.is_empty() {
                call.arguments.push_str("{}");
            }
            if call.told < call.arguments.len() {
                self.announce(&mut call, out);
                self.tell_arguments(&mut call, out);
            }
            if !call.is_whole {
                self.calls.push_front(call);
                return;
            }
            self.end_call(&call, out);
        }
    }

    fn announce(&mut self, call: &mut Call, out: &mut BytesMut) {
        if call.item.is_some() {
            return;
        }
        self.settle("completed", out);
        let state = call_state(&call.id, call.signature.as_ref(), &self.asked);
        self.sealed(state, out);
        self.settle("completed", out);
        let shown = item::Call { arguments: "", ..call.as_item() };
        let id = shown.item_id();
        self.wire.added(&shown.item(&id, "in_progress"), self.output.len(), out);
        call.item = Some(id);
    }

    fn tell_arguments(&mut self, call: &mut Call, out: &mut BytesMut) {
        if call.is_custom {
            return;
        }
        let piece = call.arguments.get(call.told..).unwrap_or_default();
        let fields = json!({"item_id": call.item, "output_index": self.output.len(), "delta": piece});
        self.wire.send("response.function_call_arguments.delta", fields, out);
        call.told = call.arguments.len();
    }

    fn end_call(&mut self, call: &Call, out: &mut BytesMut) {
        let id = call.item.as_deref().unwrap_or_default();
        let index = self.output.len();
        let item = call.as_item().item(id, "completed");
        if call.is_custom {
            let input = item.get("input").and_then(Value::as_str).unwrap_or_default();
            let fields = json!({"item_id": id, "output_index": index, "delta": input});
            self.wire.send("response.custom_tool_call_input.delta", fields, out);
            let fields = json!({"item_id": id, "output_index": index, "input": input});
            self.wire.send("response.custom_tool_call_input.done", fields, out);
        } else {
            let fields = json!({"item_id": id, "output_index": index, "name": call.name, "arguments": call.arguments});
            self.wire.send("response.function_call_arguments.done", fields, out);
        }
        self.whole = Some(item);
    }
}
