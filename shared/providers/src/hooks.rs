//! Named behaviours that any provider may have.
//!
//! [`Provider::adjust`] edits a request's body just before it is sent, [`Provider::amend`] an answer just after it was read. Both apply
//! the hooks of the catalogue file in its order. What a hook does is a function over the JSON object, in one of the files here; none knows a
//! provider. Of a request all that a hook does not change keeps its bytes, and what it leaves out is noted, for the caller to be told.
//! Hooks that act on addresses are read in [`Provider::call`].

use std::borrow::Cow;
use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};
use sluice_dialect::json::{self, Fields};

use crate::{Capability, Provider};

mod cloud;
mod dropped;
mod failure;
mod fields;
mod images;
mod names;
mod openai;
mod openrouter;
mod rerank;
mod run_endpoint;
mod suffix;
#[cfg(test)]
mod tests;
mod tool_ids;
mod usage;

pub use dropped::Dropped;
pub use failure::BodyError;
pub use names::{BedrockIds, RegionGroup};
pub use rerank::RerankUsage;
pub use suffix::ModelSuffix;

/// A named behaviour that any provider may have.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", deny_unknown_fields)]
pub enum Hook {
    /// Behind Cloudflare's AI Gateway the path loses `/v1` or `/openai/deployments`.
    CfAiGatewayPrefix,
    /// Behind Cloudflare's AI Gateway the path of Workers AI loses what names the account.
    AiGatewayBase,
    /// OpenAI's models that reason: what they refuse is left out, `max_tokens` is `max_completion_tokens`, and instructions are the
    /// developer's.
    OpenaiReasoningRules,
    /// An ending of a model's name is taken off, and a field set in its place.
    ModelSuffix(ModelSuffix),
    /// Names of models become AWS' ids in addresses.
    BedrockIds(BedrockIds),
    /// In addresses the date of a Claude stands after `@`.
    VertexClaudeNames,
    /// Names of models become words of addresses: those of a table, or their own in small letters.
    PathNames {
        /// A name and its word each.
        names: Vec<(String, String)>,
    },
    /// Claude in a cloud: the address names the model, and the body the version of the interface.
    ClaudeInCloud {
        /// The version.
        version: String,
        /// Whether the body says that the answer is streamed, as the address does.
        keeps_stream: bool,
    },
    /// Gemini's calls and results have no ids.
    DropCallIds,
    /// A number is moved into a range. One that is not there is not added.
    Clamp {
        /// Which field.
        field: String,
        /// The least.
        min: f64,
        /// The most.
        max: f64,
    },
    /// Only these fields of a chat request are sent.
    Allowlist {
        /// Fields of the body.
        fields: Vec<String>,
        /// Fields of each message; empty: all.
        #[serde(default)]
        message_fields: Vec<String>,
    },
    /// Fields that are not sent.
    Drop {
        /// Which fields.
        fields: Vec<String>,
        /// In requests for what.
        on: Vec<Capability>,
    },
    /// A field under another name, unless that is there.
    Rename {
        /// The caller's name.
        from: String,
        /// The provider's.
        to: String,
        /// In requests for what.
        #[serde(default = "chat")]
        on: Vec<Capability>,
        /// Only for models whose names start with one of these; empty: all.
        #[serde(default)]
        starts_with: Vec<String>,
    },
    /// A field with a value, unless it is there.
    SetDefault {
        /// Which field.
        field: String,
        /// Its value.
        value: Value,
        /// In requests for what.
        #[serde(default = "chat")]
        on: Vec<Capability>,
    },
    /// A field with a value, whatever the caller sent.
    Set {
        /// Which field.
        field: String,
        /// Its value.
        value: Value,
        /// In requests for what.
        on: Vec<Capability>,
    },
    /// A single `stop` becomes a list.
    StopToArray,
    /// Images in the request are bare base64, without `data:...;base64,`.
    ImageDataUrlToBase64,
    /// `{"image_url": {"url": ...}}` becomes `{"image_url": ...}`.
    ImageUrlFlatten,
    /// Ids of calls have nine letters and digits; others are replaced, the same by the same.
    MistralToolIds,
    /// A completion in the middle (`prefix`, `suffix`) without messages gets an empty one.
    FimPadMessages,
    /// `reasoning_effort` and Anthropic's `thinking` become OpenRouter's `reasoning`.
    OpenrouterReasoning,
    /// Completions by Cloudflare's `/ai/run`.
    RunEndpointCodec,
    /// Answers have the model's name as it was asked for.
    ResponseModelRewrite,
    /// The tokens of an answer are all those beyond the prompt's: what is reported leaves out reasoning.
    CompletionFromTotal,
    /// An answer in an envelope.
    Unwrap {
        /// The field that tells success.
        flag: String,
        /// The field the answer is in.
        data: String,
    },
    /// An answer with status 200 whose code is not zero is an error.
    BodyError {
        /// Where the code is, as JSON pointer.
        code: String,
        /// Where the message is, as JSON pointer.
        message: String,
        /// The status a code stands for; of others it is 500.
        #[serde(default)]
        statuses: BTreeMap<String, u16>,
    },
    /// Reranking in Alibaba's form.
    RerankCodecDashscope,
    /// Where an answer of reranking tells its usage.
    RerankUsage {
        /// Where.
        from: RerankUsage,
    },
    /// The results of reranking stand in another field.
    RerankResults {
        /// Where.
        from: String,
    },
    /// Documents missing in an answer of reranking are taken from the request.
    RerankDocumentRefill,
}

fn chat() -> Vec<Capability> {
    vec![Capability::Chat]
}

impl Provider {
    /// The model's name as it is sent: without endings that a hook reads.
    #[must_use]
    pub fn plain_model<'m>(&self, capability: impl Into<Capability>, model: &'m str) -> &'m str {
        let capability = capability.into();
        self.hooks.iter().fold(model, |model, hook| hook.plain(capability, model))
    }

    /// The model's name as it stands in an address in a region.
    pub(crate) fn name_for<'m>(&self, model: &'m str, region: &str) -> Cow<'m, str> {
        let named = self.hooks.iter().find_map(|hook| match hook {
            Hook::BedrockIds(ids) => Some(ids.id(model, region)),
            Hook::VertexClaudeNames => Some(names::claude_at_vertex(model)),
            Hook::PathNames { names } => Some(names::in_path(names, model)),
            _ => None,
        });
        named.unwrap_or(Cow::Borrowed(model))
    }

    /// Whether [`Provider::adjust`] may change a request. Where it may not, the body need not be read.
    #[must_use]
    pub fn adjusts(&self, capability: impl Into<Capability>, model: &str) -> bool {
        let capability = capability.into();
        self.hooks.iter().any(|hook| hook.is_for_request(capability, model))
    }

    /// Edits a request's body as the provider wants it, and notes what is left out of it. `model` is the upstream's name of the model, after
    /// mapping; where the body has one, it is replaced by [`Provider::plain_model`] of that.
    pub fn adjust(&self, capability: impl Into<Capability>, model: &str, body: &mut Fields, dropped: &mut Dropped) {
        let capability = capability.into();
        let mut plain = model;
        for hook in &self.hooks {
            if hook.is_for_request(capability, plain) {
                hook.adjust(plain, body, dropped);
                plain = hook.plain(capability, plain);
            }
        }
        if plain != model && body.contains("model") {
            body.set("model", json::quoted(plain));
        }
    }

    /// Whether [`Provider::amend`] may change an answer, or the events of one that is streamed. Where it may not, they need not be read.
    #[must_use]
    pub fn amends(&self, capability: impl Into<Capability>, is_streamed: bool) -> bool {
        let capability = capability.into();
        let is_whole = |hook: &Hook| matches!(hook, Hook::Unwrap { .. });
        self.hooks.iter().any(|hook| hook.is_for_answer(capability) && !(is_streamed && is_whole(hook)))
    }

    /// Edits an answer, or one event of a stream, into the form of its interface. `model` is the name it was asked for.
    pub fn amend(&self, capability: impl Into<Capability>, model: &str, answer: &mut Map<String, Value>) {
        let capability = capability.into();
        for hook in self.hooks.iter().filter(|hook| hook.is_for_answer(capability)) {
            hook.amend(model, answer);
        }
    }

    /// Whether [`Provider::refill`] may change an answer of reranking.
    #[must_use]
    pub fn refills(&self) -> bool {
        self.hooks.contains(&Hook::RerankDocumentRefill)
    }

    /// Puts documents into an answer of reranking that came without them, from the request.
    pub fn refill(&self, asked: &Map<String, Value>, answer: &mut Map<String, Value>) {
        if self.refills() {
            rerank::refill(asked, answer);
        }
    }

    /// The error an answer with status 200 tells, or an event of a stream.
    #[must_use]
    pub fn body_error(&self, answer: &Map<String, Value>) -> Option<BodyError> {
        self.hooks.iter().find_map(|hook| match hook {
            Hook::BodyError { code, message, statuses } => failure::read(answer, code, message, statuses),
            _ => None,
        })
    }

    /// Whether [`Provider::body_error`] can find one.
    #[must_use]
    pub fn has_body_errors(&self) -> bool {
        self.hooks.iter().any(|hook| matches!(hook, Hook::BodyError { .. }))
    }
}

impl Hook {
    /// The model's name without what this hook reads at its end.
    fn plain<'m>(&self, capability: Capability, model: &'m str) -> &'m str {
        match self {
            Self::ModelSuffix(suffix) => suffix.plain(capability, model),
            _ => model,
        }
    }

    fn is_for_request(&self, capability: Capability, model: &str) -> bool {
        match self {
            Self::OpenaiReasoningRules => openai::is_for(capability, model),
            Self::ModelSuffix(_) => self.plain(capability, model) != model,
            Self::Clamp { .. } => matches!(capability, Capability::Chat | Capability::Completions),
            Self::Allowlist { .. }
            | Self::StopToArray
            | Self::ImageDataUrlToBase64
            | Self::ImageUrlFlatten
            | Self::MistralToolIds
            | Self::FimPadMessages
            | Self::OpenrouterReasoning => capability == Capability::Chat,
            Self::Drop { on, .. } | Self::SetDefault { on, .. } | Self::Set { on, .. } => on.contains(&capability),
            Self::ClaudeInCloud { .. } => capability == Capability::Messages,
            Self::DropCallIds => matches!(capability, Capability::GenerateContent | Capability::GeminiCountTokens),
            Self::Rename { on, starts_with, .. } => {
                on.contains(&capability)
                    && (starts_with.is_empty() || starts_with.iter().any(|start| model.starts_with(start.as_str())))
            }
            Self::RunEndpointCodec => capability == Capability::Completions,
            Self::RerankCodecDashscope => capability == Capability::Rerank,
            Self::CfAiGatewayPrefix
            | Self::AiGatewayBase
            | Self::BedrockIds(_)
            | Self::VertexClaudeNames
            | Self::PathNames { .. }
            | Self::ResponseModelRewrite
            | Self::CompletionFromTotal
            | Self::Unwrap { .. }
            | Self::BodyError { .. }
            | Self::RerankUsage { .. }
            | Self::RerankResults { .. }
            | Self::RerankDocumentRefill => false,
        }
    }

    fn adjust(&self, model: &str, body: &mut Fields, dropped: &mut Dropped) {
        match self {
            Self::OpenaiReasoningRules => openai::adjust(model, body, dropped),
            Self::ModelSuffix(suffix) => suffix.put(body),
            Self::Clamp { field, min, max } => fields::clamp(body, field, *min, *max),
            Self::Allowlist { fields, message_fields } => fields::allow(body, fields, message_fields, dropped),
            Self::Drop { fields, .. } => fields::drop_all(body, fields, dropped),
            Self::Rename { from, to, .. } => fields::rename(body, from, to),
            Self::SetDefault { field, value, .. } => body.set_default(field, value.to_string()),
            Self::Set { field, value, .. } => body.set(field, value.to_string()),
            Self::ClaudeInCloud { version, keeps_stream } => cloud::claude(body, version, *keeps_stream),
            Self::DropCallIds => cloud::drop_call_ids(body),
            Self::StopToArray => fields::stop_to_array(body),
            Self::ImageDataUrlToBase64 => images::to_base64(body),
            Self::ImageUrlFlatten => images::flatten(body),
            Self::MistralToolIds => tool_ids::shorten(body),
            Self::FimPadMessages => fields::pad_messages(body),
            Self::OpenrouterReasoning => openrouter::reason(model, body),
            Self::RunEndpointCodec => run_endpoint::adjust(body, dropped),
            Self::RerankCodecDashscope => rerank::to_dashscope(body, dropped),
            Self::CfAiGatewayPrefix
            | Self::AiGatewayBase
            | Self::BedrockIds(_)
            | Self::VertexClaudeNames
            | Self::PathNames { .. }
            | Self::ResponseModelRewrite
            | Self::CompletionFromTotal
            | Self::Unwrap { .. }
            | Self::BodyError { .. }
            | Self::RerankUsage { .. }
            | Self::RerankResults { .. }
            | Self::RerankDocumentRefill => {}
        }
    }

    fn is_for_answer(&self, capability: Capability) -> bool {
        match self {
            Self::RunEndpointCodec => capability == Capability::Completions,
            Self::RerankCodecDashscope | Self::RerankUsage { .. } | Self::RerankResults { .. } => {
                capability == Capability::Rerank
            }
            Self::ResponseModelRewrite => true,
            Self::CompletionFromTotal => matches!(capability, Capability::Chat | Capability::Completions),
            Self::Unwrap { .. } => capability != Capability::Messages,
            _ => false,
        }
    }

    fn amend(&self, model: &str, answer: &mut Map<String, Value>) {
        match self {
            Self::RunEndpointCodec => run_endpoint::amend(model, answer),
            Self::RerankCodecDashscope => rerank::from_dashscope(answer),
            Self::RerankUsage { from } => rerank::put_usage(answer, *from),
            Self::RerankResults { from } => rerank::put_results(answer, from),
            Self::ResponseModelRewrite => {
                answer.insert("model".to_owned(), model.into());
            }
            Self::CompletionFromTotal => usage::completion_from_total(answer),
            Self::Unwrap { flag, data } => fields::unwrap(answer, flag, data),
            _ => {}
        }
    }
}
