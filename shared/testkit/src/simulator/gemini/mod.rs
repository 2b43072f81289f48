//! Google's Gemini API.
//!
//! Refused as the real service refuses it: unknown fields at any depth, with the path as Google writes it; wrong enum words; parts
//! that say nothing or several things; media that is no base64; schemas in `parameters` and `responseSchema` beyond what the service
//! knows; function responses that are not as many as the calls of the turn before; calls that do not follow a user's turn; thinking
//! budget and level together; and, for Gemini 3, a call of the current turn that comes back without its thought signature.
//!
//! Both spellings of a field are read (`inlineData`, `inline_data`), and both alphabets of base64.
//!
//! Lenient, because it is not known for sure what the service does: a conversation may end with a model's turn; names of function
//! responses need not be those of the calls; signatures on anything but a call of the current turn need only be base64; a single object
//! is read where a list is expected; ids are compared only where both sides have them. Files, caches and batches are not there.

mod answer;
mod config;
mod contents;
mod embed;
mod fields;
mod pairing;
mod request;
mod schema;
mod stream;
#[cfg(test)]
mod tests;
mod tools;

pub(super) use answer::{count, whole};
pub(super) use embed::{check_batch_embed, check_embed, embeddings};
pub(super) use request::{check, check_count};
pub(super) use stream::Events;

/// Whether a model is of the third generation or later: it signs its calls, and wants the signatures back.
fn signs_calls(model: &str) -> bool {
    model.contains("gemini-3")
}
