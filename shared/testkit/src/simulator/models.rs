//! The models the simulator serves.

use std::collections::BTreeSet;

use serde_json::{Value, json};

use super::refusal::House;
use super::scenario::{Scenario, preset_models};

/// What a request asks a model to do.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Task {
    /// `/v1/chat/completions`.
    Chat,
    /// `/v1/completions`.
    Completion,
    /// `/v1/embeddings`.
    Embedding,
    /// `/v1/rerank`.
    Rerank,
    /// `/v1/moderations`.
    Moderation,
    /// `/v1/responses`.
    Responses,
    /// `/v1/responses/input_tokens`.
    ResponsesCount,
    /// `/v1/messages`.
    Messages,
    /// `/v1/messages/count_tokens`.
    MessagesCount,
    /// `:generateContent` and `:streamGenerateContent`.
    Gemini,
    /// `:countTokens`.
    GeminiCount,
    /// `:embedContent`.
    GeminiEmbed,
    /// `:batchEmbedContents`.
    GeminiBatchEmbed,
}

impl Task {
    /// Whether the answer is one document, whatever the request says.
    pub(super) fn is_plain(self) -> bool {
        !matches!(self, Self::Chat | Self::Completion | Self::Responses | Self::Messages | Self::Gemini)
    }
}

/// What a model can do.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    /// OpenAI's, by Chat and Responses.
    Gpt,
    /// OpenAI's, by Completions alone.
    Base,
    /// OpenAI's embeddings.
    Embedding,
    /// Jina's reranking.
    Reranker,
    /// OpenAI's moderation.
    Moderator,
    /// Anthropic's.
    Claude,
    /// Google's.
    Gemini,
    /// Google's embeddings.
    GeminiEmbedding,
}

impl Kind {
    fn serves(self, task: Task) -> bool {
        match self {
            Self::Gpt => matches!(task, Task::Chat | Task::Responses | Task::ResponsesCount),
            Self::Base => task == Task::Completion,
            Self::Embedding => task == Task::Embedding,
            Self::Reranker => task == Task::Rerank,
            Self::Moderator => task == Task::Moderation,
            Self::Claude => matches!(task, Task::Messages | Task::MessagesCount),
            Self::Gemini => matches!(task, Task::Gemini | Task::GeminiCount),
            Self::GeminiEmbedding => matches!(task, Task::GeminiEmbed | Task::GeminiBatchEmbed | Task::GeminiCount),
        }
    }

    /// Whether a house has models of this kind.
    fn is_of(self, house: House) -> bool {
        match house {
            House::OpenAi | House::Azure => {
                matches!(self, Self::Gpt | Self::Base | Self::Embedding | Self::Reranker | Self::Moderator)
            }
            House::Anthropic => self == Self::Claude,
            House::Google => matches!(self, Self::Gemini | Self::GeminiEmbedding),
        }
    }
}

/// A public model name, the dated name answers carry, and what it can do.
type Known = (&'static str, &'static str, Kind);

const KNOWN: &[Known] = &[
    ("gpt-4o", "gpt-4o-2024-08-06", Kind::Gpt),
    ("gpt-4o-mini", "gpt-4o-mini-2024-07-18", Kind::Gpt),
    ("gpt-4.1", "gpt-4.1-2025-04-14", Kind::Gpt),
    ("gpt-4.1-mini", "gpt-4.1-mini-2025-04-14", Kind::Gpt),
    ("gpt-4.1-nano", "gpt-4.1-nano-2025-04-14", Kind::Gpt),
    ("gpt-4-turbo", "gpt-4-turbo-2024-04-09", Kind::Gpt),
    ("gpt-4", "gpt-4-0613", Kind::Gpt),
    ("gpt-3.5-turbo", "gpt-3.5-turbo-0125", Kind::Gpt),
    ("gpt-5", "gpt-5-2025-08-07", Kind::Gpt),
    ("gpt-5-mini", "gpt-5-mini-2025-08-07", Kind::Gpt),
    ("o1", "o1-2024-12-17", Kind::Gpt),
    ("o3", "o3-2025-04-16", Kind::Gpt),
    ("o3-mini", "o3-mini-2025-01-31", Kind::Gpt),
    ("o4-mini", "o4-mini-2025-04-16", Kind::Gpt),
    ("gpt-3.5-turbo-instruct", "gpt-3.5-turbo-instruct", Kind::Base),
    ("davinci-002", "davinci-002", Kind::Base),
    ("text-embedding-3-small", "text-embedding-3-small", Kind::Embedding),
    ("text-embedding-3-large", "text-embedding-3-large", Kind::Embedding),
    ("text-embedding-ada-002", "text-embedding-ada-002", Kind::Embedding),
    ("jina-reranker-v2-base-multilingual", "jina-reranker-v2-base-multilingual", Kind::Reranker),
    ("omni-moderation-latest", "omni-moderation-latest", Kind::Moderator),
    ("claude-3-5-haiku-latest", "claude-3-5-haiku-20241022", Kind::Claude),
    ("claude-3-7-sonnet-latest", "claude-3-7-sonnet-20250219", Kind::Claude),
    ("claude-sonnet-4-0", "claude-sonnet-4-20250514", Kind::Claude),
    ("claude-sonnet-4-5", "claude-sonnet-4-5-20250929", Kind::Claude),
    ("claude-opus-4-1", "claude-opus-4-1-20250805", Kind::Claude),
    ("claude-haiku-4-5", "claude-haiku-4-5-20251001", Kind::Claude),
    ("gemini-2.0-flash", "gemini-2.0-flash", Kind::Gemini),
    ("gemini-2.5-flash", "gemini-2.5-flash", Kind::Gemini),
    ("gemini-2.5-pro", "gemini-2.5-pro", Kind::Gemini),
    ("gemini-3-flash-preview", "gemini-3-flash-preview", Kind::Gemini),
    ("gemini-3-pro-preview", "gemini-3-pro-preview", Kind::Gemini),
    ("gemini-embedding-001", "gemini-embedding-001", Kind::GeminiEmbedding),
];

/// How a model name stands with a task.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Standing {
    /// It serves the task; answers carry this name.
    Serves(String),
    /// It exists, for other tasks.
    OtherTask(Kind),
    /// It does not exist.
    Unknown,
}

/// The models of one simulator.
pub(super) struct Models {
    extra: BTreeSet<String>,
    /// Whether answers carry a dated name.
    dated: bool,
}

impl Models {
    pub(super) fn new(extra: Vec<String>, dated: bool) -> Self {
        Self { extra: extra.into_iter().collect(), dated }
    }

    pub(super) fn standing(&self, name: &str, task: Task) -> Standing {
        let is_known = |(public, dated, _): &&Known| *public == name || *dated == name;
        if let Some((_, dated, kind)) = KNOWN.iter().find(is_known) {
            let echoed = if self.dated { dated } else { name };
            return if kind.serves(task) { Standing::Serves(echoed.to_owned()) } else { Standing::OtherTask(*kind) };
        }
        if self.extra.contains(name) || Scenario::directive_of_model(name).is_some() {
            return Standing::Serves(name.to_owned());
        }
        Standing::Unknown
    }

    /// The model list of a house.
    pub(super) fn list(&self, house: House) -> Value {
        let known = KNOWN.iter().filter(|(_, _, kind)| kind.is_of(house)).map(|(public, ..)| (*public).to_owned());
        let names = known.chain(["demo".to_owned()]).chain(preset_models()).chain(self.extra.iter().cloned());
        let data: Vec<Value> = names.map(|name| describe(&name, house)).collect();
        match house {
            House::OpenAi | House::Azure => json!({"object": "list", "data": data}),
            House::Anthropic => {
                let edge = |model: Option<&Value>| model.map(|model| model["id"].clone());
                json!({"first_id": edge(data.first()), "last_id": edge(data.last()), "has_more": false, "data": data})
            }
            House::Google => json!({"models": data}),
        }
    }

    pub(super) fn one(&self, name: &str, house: House) -> Option<Value> {
        let is_served = match self.standing(name, Task::Chat) {
            Standing::Serves(_) => KNOWN
                .iter()
                .find(|(public, dated, _)| *public == name || *dated == name)
                .is_none_or(|(_, _, kind)| kind.is_of(house)),
            Standing::OtherTask(kind) => kind.is_of(house),
            Standing::Unknown => false,
        };
        is_served.then(|| describe(name, house))
    }
}

fn describe(name: &str, house: House) -> Value {
    match house {
        House::OpenAi | House::Azure => {
            let owner = if name.starts_with("sim-") || name == "demo" { "sluice-simulator" } else { "system" };
            json!({"id": name, "object": "model", "created": 1_715_367_049, "owned_by": owner})
        }
        House::Anthropic => json!({"type": "model", "id": name, "display_name": name, "created_at": "2025-02-24T00:00:00Z"}),
        House::Google => json!({
            "name": format!("models/{name}"),
            "version": "001",
            "displayName": name,
            "inputTokenLimit": 1_048_576,
            "outputTokenLimit": 65_536,
            "supportedGenerationMethods": if name.contains("embedding") {
                json!(["embedContent", "countTextTokens", "countTokens"])
            } else {
                json!(["generateContent", "countTokens", "createCachedContent", "batchGenerateContent"])
            },
        }),
    }
}
