//! OpenAI's older surfaces: Chat Completions, Completions, Embeddings, also under Azure; Moderations, and Jina's reranking.
//!
//! Chat refuses what the real service refuses: unknown top-level fields, wrong types and words, conversations in which a tool message
//! answers no call or a call is not answered, media that is no base64. It is lenient about unknown fields inside messages and tools,
//! and about the sampling fields that reasoning models refuse. It thinks aloud (`reasoning_content`) when `reasoning_effort` is asked
//! for, as compatible vendors do; OpenAI itself only reports the tokens.

mod chat;
pub(super) mod embedding;
pub(super) mod fields;
mod media;
pub(super) mod moderation;
mod older;
mod render;
pub(super) mod rerank;

pub(super) use chat::{chat, check_parameters, read_schema};
pub(super) use fields::model_of;
pub(super) use media::{file, image};
pub(super) use older::{completion, embedding as embedding_request};
pub(super) use render::{Events, MALFORMED_EVENT, error_event, whole};
