//! Google Gemini: `generateContent` and `streamGenerateContent`, on both sides.
//!
//! Bodies are proto-JSON: callers may write every field in `camelCase` or `snake_case`, numbers as strings, base64 in either
//! alphabet (`spelling.rs`). What is inside `args`, `response` and schemas is the caller's and is never re-cased.
//!
//! Known and left out on purpose:
//!
//! * of requests: `videoMetadata`, `safetySettings`, `generationConfig.{imageConfig,audioTimestamp,routingConfig,…}` and
//!   `toolConfig.retrievalConfig` are [`NativeField`](crate::ir::NativeField)s that other dialects leave out; `cachedContent`,
//!   `text/x.enum` answers and speech of several speakers are ones they refuse. `functionDeclarations[].{response,behavior}`,
//!   `functionResponse.{willContinue,scheduling}` and `displayName` of images mean nothing elsewhere.
//! * of answers: `safetyRatings`, `citationMetadata`, `urlContextMetadata`, `avgLogprobs`, `finishMessage`, `createTime`, search
//!   entry points, and parts of code execution, which is never asked for by callers of another dialect. A signature on media, which
//!   the IR has no place for. Fragments of a call (`partialArgs`), which we never ask for.

mod answer_part;
mod finish;
mod grounding;
mod logprobs;
mod mime;
mod part;
pub mod request;
pub mod response;
mod signature;
pub(crate) mod spelling;
pub mod stream;
mod usage;

/// Whether Gemini itself takes what is at an address: its own store, and films it watches where they are.
pub(crate) fn takes_address(uri: &str) -> bool {
    mime::is_google_file(uri) || mime::is_youtube(uri)
}

#[cfg(test)]
mod arbitrary;
