//! What hooks left out of a request, for its caller to be told.

use sluice_dialect::json::Shape;

/// Fields of Chat and its relatives. What else is left out has no name here: a caller could write anything into the answer's headers.
const KNOWN: [&str; 57] = [
    "audio",
    "documents",
    "encoding_format",
    "enable_thinking",
    "extra_body",
    "frequency_penalty",
    "function_call",
    "functions",
    "input",
    "instructions",
    "logit_bias",
    "logprobs",
    "max_chunk_per_doc",
    "max_completion_tokens",
    "max_output_tokens",
    "max_tokens",
    "metadata",
    "min_p",
    "modalities",
    "n",
    "name",
    "overlap_tokens",
    "parallel_tool_calls",
    "prediction",
    "presence_penalty",
    "prompt_cache_key",
    "prompt_cache_retention",
    "quality",
    "rank_fields",
    "reasoning",
    "reasoning_content",
    "reasoning_details",
    "reasoning_effort",
    "refusal",
    "repetition_penalty",
    "response_format",
    "return_documents",
    "safety_identifier",
    "seed",
    "service_tier",
    "size",
    "stop",
    "store",
    "stream_options",
    "style",
    "suffix",
    "temperature",
    "thinking",
    "tool_choice",
    "tools",
    "top_k",
    "top_logprobs",
    "top_p",
    "truncation",
    "user",
    "verbosity",
    "web_search_options",
];
/// Whatever has no name.
const OTHERS: &str = "others";
/// What says only how the answer is sent, which its sender knows.
const UNTOLD: [&str; 2] = ["stream", "stream_options"];

/// The names of what was left out, each once.
#[derive(Debug, Default)]
pub struct Dropped(Vec<&'static str>);

impl Dropped {
    /// A field was left out. One that said nothing is not missed.
    pub(super) fn note(&mut self, name: &str, value: &[u8]) {
        if Shape::of(value) == Shape::Null || UNTOLD.contains(&name) {
            return;
        }
        let name = KNOWN.into_iter().find(|known| *known == name).unwrap_or(OTHERS);
        if !self.0.contains(&name) {
            self.0.push(name);
        }
    }

    /// The names.
    #[must_use]
    pub fn into_names(self) -> Vec<&'static str> {
        self.0
    }
}
