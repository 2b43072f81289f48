//! OpenAI's Responses.
//!
//! Refused as the real service refuses it: unknown fields, wrong types and words, fewer than 16 output tokens, outputs without their
//! call and calls without their output, reasoning that this simulator did not produce or that nothing follows, ids of the wrong kind,
//! `previous_response_id` of a response it did not give out or that was not to be stored, strict schemas that are open.
//!
//! Lenient, because it is not known for sure what the service does: a function without `strict` may have an open schema; outputs may
//! stand anywhere after their call; hosted tools are accepted and never called; items of hosted tools are accepted unread. Not there:
//! reading, deleting and cancelling of stored responses, conversations, background responses, and stored prompts.
//!
//! Thinking is asked for by `reasoning.effort` or `reasoning.summary`; without a summary the reasoning item is empty.

mod answer;
mod items;
mod request;
mod stream;
#[cfg(test)]
mod tests;
mod tools;

pub(super) use answer::{count, remembered, whole};
pub(super) use request::{check, check_count};
pub(super) use stream::{Events, MALFORMED_EVENT};
