//! OpenAI Chat Completions as one side of a conversion (conversions.md, dialect C). Where both sides speak it, [`openai`](crate::openai)
//! passes bytes through and this is not used.
//!
//! Dropped knowingly, from callers: `messages[].name`, `messages[].audio` (speech of earlier answers lies at its provider), `prediction`,
//! and every field that is no part of the API. Vendors' ways to ask for reasoning are read. From upstreams: the bytes of speech whose
//! encoding nobody says are taken for WAV; `system_fingerprint` and filter results are left out.
//!
//! Dropped knowingly, towards upstreams: `top_k`, cache marks, signatures of others. What only OpenAI and Azure take (`store`, `metadata`,
//! `verbosity`, `service_tier`, `prompt_cache_key`) does not go to the many others, which answer 400 to fields they do not know.
//! Towards callers: signatures of text blocks travel in `extra_content`; documents and films have no place.

mod arguments;
mod citations;
mod details;
mod finish;
mod logprobs;
mod message;
pub mod request;
pub mod response;
#[cfg(test)]
mod sample;
mod shown;
pub mod stream;
mod think;
pub(crate) mod usage;

#[cfg(test)]
mod tests;
