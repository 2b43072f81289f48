//! Where a request goes, as far as its body depends on it.
//!
//! A writer asks [`Capabilities`] what the model takes and [`Options`] what the channel wants; it never knows a provider's name.

use serde_json::Value;

use crate::ir::{Effort, Family};

/// One upstream, for one request.
#[derive(Debug, Clone, Copy)]
pub struct Target<'a> {
    /// The model, as the upstream calls it.
    pub model: &'a str,
    /// Whose state and files it understands.
    pub family: Family,
    /// Where it is served.
    pub host: Host,
    /// What the model takes.
    pub capabilities: &'a Capabilities,
    /// What the channel wants.
    pub options: &'a Options,
    /// The longest answer that may be asked for, in tokens, in place of a longer one or none.
    pub output_limit: Option<u32>,
    /// The provider account, as a digest: state bound to another one is not sent.
    pub account: Option<u64>,
}

/// Where a model is served: the same dialect differs in its envelope.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Host {
    /// The provider's own service.
    #[default]
    Own,
    /// Google Vertex AI: model and verb are in the address.
    Vertex,
    /// AWS Bedrock: model and verb are in the address.
    Bedrock,
}

/// How a model takes the wish to think.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Thinking {
    /// It cannot think, or not be told to: nothing is sent.
    None,
    /// As a number of tokens.
    Budget,
    /// As it likes, with an effort at most (newest Claude).
    Adaptive,
    /// As a level (Gemini 3, OpenAI).
    Level,
    /// As a number of tokens or as it likes.
    #[default]
    Both,
    /// It always thinks: it cannot be switched off.
    Always,
}

/// Which sampling parameters a model takes.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Sampling {
    /// All of its dialect.
    #[default]
    Full,
    /// Temperature or nucleus, not both.
    TemperatureOrTopP,
    /// None.
    None,
}

/// What a model takes. The defaults are generous: a name nobody knows is a new model, not a poor one.
#[expect(clippy::struct_excessive_bools, reason = "each is an ability of its own")]
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Capabilities {
    /// How it takes the wish to think.
    pub thinking: Thinking,
    /// The smallest budget of thinking, in tokens.
    pub min_budget: u32,
    /// The largest, if there is one.
    pub max_budget: Option<u32>,
    /// A budget of zero is taken, or another way to switch thinking off.
    pub can_stop_thinking: bool,
    /// The levels it knows, from the lowest; empty: all.
    pub efforts: Vec<Effort>,
    /// Which sampling parameters it takes.
    pub sampling: Sampling,
    /// Frequency and presence penalties are taken.
    pub penalties: bool,
    /// The longest answer, in tokens, if it is known.
    pub max_output: Option<u32>,
    /// A turn of the model's at the end is continued.
    pub prefill: bool,
    /// Images may be given by address; otherwise they are fetched beforehand.
    pub image_urls: bool,
    /// Images may be given at all.
    pub images: bool,
    /// PDF documents may be given.
    pub documents: bool,
    /// Sound may be given.
    pub audio: bool,
    /// Answers keep to a schema; otherwise a tool or an instruction stands in.
    pub structured: bool,
    /// Schemas are taken as JSON Schema (Gemini: `parametersJsonSchema`); otherwise they are cleaned.
    pub json_schema: bool,
    /// Tools and a schema for the answer may come together.
    pub tools_with_schema: bool,
    /// Calls and results carry ids (Gemini 3).
    pub call_ids: bool,
    /// Results of tools may hold images.
    pub result_images: bool,
    /// Instructions may stand in the middle of a conversation.
    pub system_midway: bool,
    /// The first call of each step must carry its signature (Gemini 3).
    pub signed_calls: bool,
}

impl Default for Capabilities {
    fn default() -> Self {
        Self {
            thinking: Thinking::Both,
            min_budget: 0,
            max_budget: None,
            can_stop_thinking: true,
            efforts: Vec::new(),
            sampling: Sampling::Full,
            penalties: true,
            max_output: None,
            prefill: true,
            image_urls: true,
            images: true,
            documents: true,
            audio: true,
            structured: true,
            json_schema: true,
            tools_with_schema: true,
            call_ids: false,
            result_images: true,
            system_midway: false,
            signed_calls: false,
        }
    }
}

/// What a channel says of the app behind it, where its upstreams are apps rather than models.
#[derive(Debug, Clone, Default, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct App {
    /// Its id: Coze's bot, AI Proxy's library, Spark's application.
    pub id: Option<String>,
    /// What kind of app it is: Dify's `chatflow`, `agent`, `workflow` or `completion`.
    pub kind: Option<String>,
    /// In whose name it is asked where a request names nobody.
    pub user: Option<String>,
}

/// What a channel, or the site, wants of writers.
#[expect(clippy::struct_excessive_bools, reason = "each is a wish of its own")]
#[derive(Debug, Clone, PartialEq, serde::Serialize, serde::Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Options {
    /// Output asked for where the dialect demands a limit and neither the caller nor the model table has one, in tokens.
    pub default_max_output: u32,
    /// Tokens of thinking for each [`Effort`], from minimal to max.
    pub effort_budgets: [u32; 6],
    /// Claude: the usual places of a conversation with tools are marked for the prompt cache.
    pub marks_cache: bool,
    /// Responses: a hash of instructions and tools is the key of the prompt cache.
    pub derives_cache_key: bool,
    /// Texts that end an answer are looked for here where the upstream has no such field.
    pub emulates_stop: bool,
    /// Of too many such texts the first ones are sent; otherwise the request is refused.
    pub cuts_stop: bool,
    /// Gemini: filters of harm for callers that say none, as `safetySettings`; `None`: all off.
    pub safety: Option<Vec<Value>>,
    /// Claude: thinking between calls, by beta header.
    pub interleaves_thinking: bool,
    /// The limit of output is `max_completion_tokens` (OpenAI's own); otherwise `max_tokens`.
    pub limits_completion: bool,
    /// Instructions are `developer` where the caller wrote that; otherwise `system`.
    pub keeps_developer: bool,
    /// Conversations are answered with streams alone: one is asked for, and gathered for callers that want none.
    pub streams_only: bool,
    /// The app behind the channel.
    pub app: App,
}

impl Default for Options {
    fn default() -> Self {
        Self {
            default_max_output: 8_192,
            effort_budgets: [1_024, 1_024, 2_048, 4_096, 8_192, 16_384],
            marks_cache: true,
            derives_cache_key: true,
            emulates_stop: false,
            cuts_stop: false,
            safety: None,
            interleaves_thinking: false,
            limits_completion: false,
            keeps_developer: false,
            streams_only: false,
            app: App::default(),
        }
    }
}
