//! The caller's name of the model in an answer whose bytes pass.

use std::ops::Range;

use bytes::{BufMut, Bytes, BytesMut};
use serde::Deserialize;
use serde_json::value::RawValue;

use crate::json::{self, span_in};
use crate::openai::{self, Verdict};
use crate::sse::Frame;

/// Where answers of any dialect name their model.
#[derive(Deserialize)]
struct Places<'a> {
    #[serde(borrow, default)]
    model: Option<&'a RawValue>,
    #[serde(borrow, default, rename = "modelVersion")]
    model_version: Option<&'a RawValue>,
    #[serde(borrow, default)]
    message: Option<Inner<'a>>,
    #[serde(borrow, default)]
    response: Option<Inner<'a>>,
}

#[derive(Deserialize)]
struct Inner<'a> {
    #[serde(borrow, default)]
    model: Option<&'a RawValue>,
}

/// Where in a JSON text the model is named.
pub(super) fn place(json: &[u8]) -> Option<Range<usize>> {
    let places: Places<'_> = serde_json::from_slice(json).ok()?;
    let inner = [places.message, places.response].into_iter().flatten().find_map(|inner| inner.model);
    let named = places.model.or(places.model_version).or(inner)?;
    span_in(json, named.get().as_bytes())
}

/// A JSON text with another name of the model; as it is where it names none.
#[must_use]
pub fn renamed(json: &Bytes, name: &str) -> Bytes {
    let Some(span) = place(json) else { return json.clone() };
    let name = json::quoted(name);
    let mut out = BytesMut::with_capacity(json.len() + name.len());
    out.put_slice(json.get(..span.start).unwrap_or_default());
    out.put_slice(name.as_bytes());
    out.put_slice(json.get(span.end..).unwrap_or_default());
    out.freeze()
}

/// An event with another name of the model; as it is where it names none.
#[must_use]
pub fn renamed_frame(frame: Frame, name: &str) -> Bytes {
    let event = frame.event();
    let found = event.data.as_deref().and_then(|data| Some((data, place(data)?)));
    match found.map(|(data, place)| openai::renamed_frame(&frame, event.name, data, place, &json::quoted(name))) {
        Some(Verdict::Rewritten(bytes)) => bytes,
        _ => frame.into_bytes(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_model_is_renamed_wherever_a_dialect_names_it_and_every_other_byte_stays() {
        let cases = [
            (r#"{ "id":1, "model" : "theirs", "x":[1e400] }"#, r#"{ "id":1, "model" : "ours", "x":[1e400] }"#),
            (r#"{"modelVersion":"theirs","candidates":[]}"#, r#"{"modelVersion":"ours","candidates":[]}"#),
            (
                r#"{"type":"message_start","message":{"model":"theirs"}}"#,
                r#"{"type":"message_start","message":{"model":"ours"}}"#,
            ),
            (r#"{"response":{"id":"r","model":"theirs"}}"#, r#"{"response":{"id":"r","model":"ours"}}"#),
            (r#"{"type":"ping"}"#, r#"{"type":"ping"}"#),
            ("no JSON", "no JSON"),
        ];
        for (theirs, ours) in cases {
            assert_eq!(renamed(&Bytes::from_static(theirs.as_bytes()), "ours"), ours);
        }
    }
}
