//! OpenAI's Responses.
//!
//! Refused as the real service refuses it: unknown fields, wrong types and words, fewer than 16 output tokens, outputs without their
//! call and calls without their output, reasoning that this simulator did not produce or that nothing follows, ids of the wrong kind,
//! `previous_response_id` of a response it did not give out or that was not to be stored, strict schemas that are open.
//!
//! Lenient, because it is not known for sure what the service does: a function without `strict` may have an open schema; outputs may
//! stand anywhere after their call; hosted tools are accepted and never called; items of hosted tools are accepted unread. Not there:
//! conversations and stored prompts.
//!
//! What was to be stored can be retrieved, deleted and cancelled by the key that made it, and by no other. A response in the background is
//! made as soon as somebody asks for it, unless it was cancelled before.
//!
//! Thinking is asked for by `reasoning.effort` or `reasoning.summary`; without a summary the reasoning item is empty.

mod answer;
mod items;
mod request;
mod stored;
mod stream;
#[cfg(test)]
mod tests;
mod tools;

pub(super) use answer::{count, remembered, whole};
pub(super) use request::{check, check_count};
pub(super) use stored::{Stored, StoredCall};
pub(super) use stream::{Events, MALFORMED_EVENT};
