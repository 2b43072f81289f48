//! Anthropic's Messages.
//!
//! Refused as the real service refuses it: a missing `anthropic-version`, unknown fields at any depth, missing `max_tokens`, empty
//! conversations and contents, a first turn that is not the user's, calls that the next message does not answer at once and answers
//! that no call asked for, thinking budgets out of bounds, sampling that does not go with thinking, thinking blocks whose signature is
//! not ours, a tool loop that goes on without its thinking, media that is no base64 or not of the type it claims, open or unsupported
//! schemas of structured answers, and more than four cache marks.
//!
//! Lenient, because it is not known for sure what the service does: fields that want a beta header are accepted without it; media of
//! a form nobody knows passes; a last assistant turn (prefill) is accepted of every model; hosted tools and their blocks are accepted
//! and never called. Neighbouring messages of one role are taken together, as the service does.

mod answer;
mod blocks;
mod conversation;
mod fields;
mod format;
mod request;
mod stream;
#[cfg(test)]
mod tests;
mod tools;

pub(super) use answer::{count, whole};
pub(super) use request::{check, check_count, check_version, model_of};
pub(super) use stream::{Events, MALFORMED_EVENT};
