//! OpenAI Responses: requests and answers of `POST /v1/responses`, whole and streamed, to and from the [`ir`](crate::ir).
//!
//! Source: the API reference at <https://platform.openai.com/docs/api-reference/responses>.
//!
//! What is dropped knowingly:
//!
//! * Reading a request: ids and states of items, breakpoints of the prompt cache, names of users, the grammar of a custom tool beyond
//!   its text, `strict` where it is absent (the IR's `None`). Calls of the provider's own tools in the history stay as
//!   [`Block::Native`](crate::ir::Block::Native), so that other targets leave them out.
//! * Writing a request: everything that has no field here (`top_k`, `seed`, penalties, `logit_bias`, cache marks), citations of the
//!   history, reasoning of other families or accounts, reasoning that nothing follows, media of the model's turns.
//! * Reading an answer: calls of the provider's own tools (their texts and citations come), partial images.
//! * Writing an answer: every choice but the first, signatures of texts, sounds; reasoning that was not asked for.
//!
//! `store` is always false towards an upstream: a kept answer could not be fetched through us.

mod arguments;
mod finish;
mod item;
mod namespace;
pub mod request;
pub mod response;
pub mod stream;
mod usage;

/// The parameter of a custom tool, which takes text, once it is a function.
pub(crate) const CUSTOM_INPUT: &str = "input";
