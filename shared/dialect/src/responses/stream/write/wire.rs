//! Events on the wire, numbered without gaps.

use bytes::{BufMut, BytesMut};
use serde_json::{Map, Value, json};

/// The state of a stream's numbers.
#[derive(Debug, Clone, Default)]
pub(super) struct Wire {
    sequence: u64,
}

impl Wire {
    /// Writes one event: its type, its number, its own fields.
    pub(super) fn send(&mut self, kind: &str, fields: Value, out: &mut BytesMut) {
        let mut event =
            Map::from_iter([("type".to_owned(), Value::from(kind)), ("sequence_number".to_owned(), Value::from(self.sequence))]);
        if let Value::Object(fields) = fields {
            event.extend(fields);
        }
        self.sequence += 1;
        out.put_slice(b"event: ");
        out.put_slice(kind.as_bytes());
        out.put_slice(b"\ndata: ");
        out.put_slice(Value::Object(event).to_string().as_bytes());
        out.put_slice(b"\n\n");
    }

    /// Announces an item.
    pub(super) fn added(&mut self, item: &Value, index: usize, out: &mut BytesMut) {
        self.send("response.output_item.added", json!({"output_index": index, "item": item}), out);
    }
}
