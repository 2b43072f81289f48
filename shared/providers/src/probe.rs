//! What a model is asked to see whether it answers: by its name, because a list of models says no more (providers.md §11, §13.13).

use serde_json::{Value, json};

/// Output that is asked for, in tokens.
const LIMIT: u32 = 16;
/// The same of models that think before they answer, and count it.
const LIMIT_THINKING: u32 = 50;
/// The same of Gemini, whose thinking is longer than that.
const LIMIT_GEMINI: u32 = 3_000;
/// What models are called that only Responses has.
const RESPONSES_ONLY: [&str; 3] = ["o3-pro", "o3-deep-research", "o4-mini-deep-research"];
/// How names of models begin that make images.
const IMAGES: [&str; 4] = ["dall-e-", "gpt-image-", "imagen-", "flux"];

/// What is asked.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Probe {
    /// A word of greeting, as a chat completion.
    Chat,
    /// The same, as a response.
    Responses,
    /// A vector of a text.
    Embeddings,
    /// Two documents in order.
    Rerank,
    /// A picture. It costs as much as any, so nobody is asked for it.
    Images,
}

impl Probe {
    /// What a model of this name is asked.
    #[must_use]
    pub fn of(model: &str) -> Self {
        let name = model.to_ascii_lowercase();
        let plain = name.rsplit('/').next().unwrap_or(&name);
        let has = |parts: &[&str]| parts.iter().any(|part| name.contains(part));
        let starts = |starts: &[&str]| starts.iter().any(|start| plain.starts_with(start));
        if has(&["rerank"]) {
            Self::Rerank
        } else if has(&["embedding", "embed", "bge-"]) || starts(&["m3e"]) {
            Self::Embeddings
        } else if starts(&IMAGES) {
            Self::Images
        } else if has(&["codex"]) || starts(&RESPONSES_ONLY) {
            Self::Responses
        } else {
            Self::Chat
        }
    }

    /// The body it is asked with; `None`: it is not asked.
    #[must_use]
    pub fn body(self, model: &str) -> Option<Value> {
        match self {
            Self::Chat => {
                let mut body = json!({"model": model, "messages": [{"role": "user", "content": "hi"}]});
                let field = if is_o_series(model) { "max_completion_tokens" } else { "max_tokens" };
                body[field] = limit(model).into();
                Some(body)
            }
            Self::Responses => Some(json!({"model": model, "input": "hi", "max_output_tokens": limit(model)})),
            Self::Embeddings => Some(json!({"model": model, "input": "hello world"})),
            Self::Rerank => Some(json!({
                "model": model,
                "query": "What carries water?",
                "documents": ["A sluice carries water.", "A ladder has rungs."],
                "top_n": 2,
            })),
            Self::Images => None,
        }
    }
}

/// OpenAI's models that refuse `max_tokens`: `o` and a digit, and the fifth generation.
fn is_o_series(model: &str) -> bool {
    let name = model.rsplit('/').next().unwrap_or(model);
    let is_o = name.strip_prefix('o').is_some_and(|rest| rest.starts_with(|c: char| c.is_ascii_digit()));
    is_o || name.starts_with("gpt-5")
}

fn limit(model: &str) -> u32 {
    if model.contains("gemini") {
        LIMIT_GEMINI
    } else if model.contains("thinking") && !model.contains("claude") {
        LIMIT_THINKING
    } else {
        LIMIT
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_asked_goes_by_the_name() {
        for (model, probe) in [
            ("gpt-4o", Probe::Chat),
            ("o3", Probe::Chat),
            ("o3-pro", Probe::Responses),
            ("o4-mini-deep-research-2025", Probe::Responses),
            ("gpt-5-codex", Probe::Responses),
            ("text-embedding-3-small", Probe::Embeddings),
            ("BAAI/bge-m3", Probe::Embeddings),
            ("m3e-base", Probe::Embeddings),
            ("BAAI/bge-reranker-v2-m3", Probe::Rerank),
            ("jina-reranker-m0", Probe::Rerank),
            ("dall-e-3", Probe::Images),
            ("black-forest-labs/FLUX.1-schnell", Probe::Images),
            ("gpt-image-1", Probe::Images),
            ("opus-fluxional", Probe::Chat),
        ] {
            assert_eq!(Probe::of(model), probe, "{model}");
            assert_eq!(probe.body(model).is_none(), probe == Probe::Images, "{model}");
        }
    }

    #[test]
    fn little_is_asked_for_under_the_name_the_model_takes() {
        let chat = |model: &str| Probe::Chat.body(model).unwrap();
        assert_eq!(chat("gpt-4o")["max_tokens"], 16);
        for model in ["o1-mini", "o3", "openai/o4-mini", "gpt-5-mini"] {
            assert_eq!(
                (&chat(model)["max_completion_tokens"], &chat(model)["max_tokens"]),
                (&json!(16), &Value::Null),
                "{model}"
            );
        }
        assert_eq!(chat("olmo-2")["max_tokens"], 16, "the letter o alone is no series");
        assert_eq!(chat("gemini-2.5-pro")["max_tokens"], 3_000);
        assert_eq!(chat("qwen3-thinking")["max_tokens"], 50);
        assert_eq!(chat("claude-opus-4-thinking")["max_tokens"], 16);
    }
}
