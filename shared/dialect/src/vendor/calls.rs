//! Calls of tools in answers: whole ones, and pieces of streamed ones.

use serde_json::{Map, Value};

use super::settings::text;
use crate::codec::Reading;
use crate::ir::{Arguments, Block, BlockStart, Blocks, Event};
use crate::json::mended;

/// Where a vendor's calls have their parts, as JSON pointers.
#[derive(Debug, Clone, Copy)]
pub(super) struct Places {
    pub(super) id: &'static str,
    pub(super) name: &'static str,
    pub(super) arguments: &'static str,
    pub(super) index: &'static str,
}

/// Those of Chat and its likes.
pub(super) const CHAT: Places = Places { id: "/id", name: "/function/name", arguments: "/function/arguments", index: "/index" };

/// What a call is made with: an object, or the text of one.
pub(super) fn arguments(value: Option<&Value>) -> Arguments {
    match value {
        Some(Value::Object(object)) => Arguments::Object(object.clone()),
        Some(Value::String(said)) if said.trim().is_empty() => Arguments::Object(Map::new()),
        Some(Value::String(said)) => {
            let object = serde_json::from_str(said).or_else(|_| serde_json::from_str(&mended(said.as_bytes())));
            object.map_or_else(|_| Arguments::Raw(said.clone()), Arguments::Object)
        }
        Some(Value::Null) | None => Arguments::Object(Map::new()),
        Some(other) => Arguments::Raw(other.to_string()),
    }
}

/// Whole calls of an answer. Those without a name are none.
pub(super) fn whole(made: Option<&Value>, places: Places, reading: &mut Reading) -> Vec<Block> {
    let made = made.and_then(Value::as_array).into_iter().flatten();
    made.filter_map(|call| {
        let name = Some(text(call, places.name)).filter(|name| !name.is_empty())?;
        let id = reading.ids.of_call(Some(text(call, places.id)), reading.client);
        let name = reading.names.restore(name).to_owned();
        Some(Block::ToolCall { id, name, arguments: arguments(call.pointer(places.arguments)), signature: None, cache: None })
    })
    .collect()
}

/// Calls of a stream that are told in pieces.
#[derive(Debug, Clone, Default)]
pub(super) struct Calls {
    /// The keys of calls that have begun, for vendors that tell no index.
    begun: u64,
}

/// Calls that are told apart; what comes of later ones is left out.
const MAX_CALLS: u64 = 1_024;

impl Calls {
    /// Pieces of calls. One with a name begins a call, one without goes on with the call of its index, or with the last one.
    pub(super) fn pieces(
        &mut self,
        made: Option<&Value>,
        places: Places,
        reading: &mut Reading,
        (blocks, out): (&mut Blocks, &mut Vec<Event>),
    ) {
        for piece in made.and_then(Value::as_array).into_iter().flatten() {
            let name = text(piece, places.name);
            let index = piece.pointer(places.index).and_then(Value::as_u64);
            let key = index.unwrap_or_else(|| if name.is_empty() { self.begun.saturating_sub(1) } else { self.begun });
            if key >= MAX_CALLS {
                continue;
            }
            if key >= self.begun {
                if name.is_empty() {
                    continue;
                }
                self.begun = key + 1;
                let id = reading.ids.of_call(Some(text(piece, places.id)), reading.client);
                let name = reading.names.restore(name).to_owned();
                blocks.call(0, key, BlockStart::ToolCall { id, name, whole: None }, out);
            }
            match piece.pointer(places.arguments) {
                Some(Value::String(json)) => blocks.arguments(0, key, json, out),
                Some(Value::Object(object)) => blocks.arguments(0, key, &Value::Object(object.clone()).to_string(), out),
                _ => {}
            }
        }
    }

    /// Calls that come whole.
    pub(super) fn whole(
        &mut self,
        made: Option<&Value>,
        places: Places,
        reading: &mut Reading,
        (blocks, out): (&mut Blocks, &mut Vec<Event>),
    ) {
        for block in whole(made, places, reading) {
            self.add(block, (&mut *blocks, &mut *out));
        }
    }

    /// One call that is whole.
    pub(super) fn add(&mut self, call: Block, (blocks, out): (&mut Blocks, &mut Vec<Event>)) {
        if let Block::ToolCall { id, name, arguments, .. } = call
            && self.begun < MAX_CALLS
        {
            blocks.call(0, self.begun, BlockStart::ToolCall { id, name, whole: Some(arguments) }, out);
            blocks.call_stop(0, self.begun, out);
            self.begun += 1;
        }
    }
}
