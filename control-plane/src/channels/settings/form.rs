//! Settings as the API describes them.

use std::collections::BTreeMap;

use utoipa::ToSchema;

/// What a channel does beyond sending requests on. What is left out is not set.
#[derive(ToSchema)]
#[schema(as = ChannelSettings)]
#[expect(dead_code, reason = "a description: what is answered is made of the settings themselves")]
pub(in crate::channels) struct Form {
    /// What the provider's `fields` name (see `/api/providers`), but for `api_version`.
    #[schema(example = json!({"region": "us-central1"}))]
    fields: Option<BTreeMap<String, String>>,
    /// Changes of the body that is sent: fields to replace, or `operations`. At most 64 KiB; `stream` cannot be changed.
    #[schema(example = json!({"operations": [{"mode": "set", "path": "temperature", "value": 0.7}]}))]
    param_override: Option<BTreeMap<String, serde_json::Value>>,
    /// Headers that are sent. Values may hold `{api_key}` or be `{client_header:NAME}`; the names `*` and `re:…` pass on the caller's.
    #[schema(example = json!({"x-team": "search", "re:^x-trace-": ""}))]
    header_override: Option<BTreeMap<String, String>>,
    /// Instructions for the model beside the caller's.
    system_prompt: Option<SystemPromptForm>,
    /// Whether answers are written anew, so that they hold nothing beyond their dialect.
    force_format: Option<bool>,
    /// Whether reasoning is given as `<think>` within the answer's text.
    thinking_to_content: Option<bool>,
    /// Whether generated images are given once more as Markdown within the text of converted answers.
    media_to_markdown: Option<bool>,
    /// Whether the caller's bytes are sent as they are, where both sides speak one dialect.
    pass_through_body: Option<bool>,
    /// The proxy requests take: `http`, `https`, `socks5` or `socks5h`. Its password is shown as `***`, which sent back keeps it.
    #[schema(example = "socks5h://user:***@10.0.0.1:1080")]
    proxy: Option<String>,
    /// How media that a request names by address reach the provider; `null`: as everywhere.
    media_by_url: Option<MediaByUrlWord>,
    /// The proxy that media are fetched through, like `proxy`.
    media_proxy: Option<String>,
    /// Statuses of refusals, 400 to 599, from what the upstream said to what the caller is told.
    #[schema(example = json!({"404": 400}))]
    status_mapping: Option<BTreeMap<String, u16>>,
    /// Whether `service_tier` is sent.
    allow_service_tier: Option<bool>,
    /// Whether `safety_identifier` is sent.
    allow_safety_identifier: Option<bool>,
    /// Whether `store` is left out.
    disable_store: Option<bool>,
    /// How one of several keys is chosen; `random` where nothing is said.
    key_mode: Option<KeyModeWord>,
    /// What is done with parts of requests that the provider's dialect cannot say; otherwise as usual.
    losses: Option<BTreeMap<String, OnLossWord>>,
    /// The model that the channel is tested with, one of its own; `null`: its first.
    test_model: Option<String>,
}

/// Instructions that a channel adds.
#[derive(ToSchema)]
#[schema(as = ChannelSystemPrompt)]
#[expect(dead_code, reason = "a description")]
struct SystemPromptForm {
    /// The instructions.
    text: String,
    /// What becomes of the caller's; `fill` where nothing is said.
    #[schema(required = false)]
    mode: SystemPromptModeWord,
}

/// What becomes of the caller's instructions: the channel's fill in where there are none, come first, or are sent alone.
#[derive(ToSchema)]
#[schema(as = SystemPromptMode)]
#[serde(rename_all = "snake_case")]
#[expect(dead_code, reason = "a description")]
enum SystemPromptModeWord {
    Fill,
    Prepend,
    Replace,
}

/// Whether media are passed on as addresses, or fetched and sent as data.
#[derive(ToSchema)]
#[schema(as = MediaByUrl)]
#[serde(rename_all = "snake_case")]
#[expect(dead_code, reason = "a description")]
enum MediaByUrlWord {
    Pass,
    Inline,
}

/// Whether each key is as likely as the others, or one follows the other.
#[derive(ToSchema)]
#[schema(as = KeyMode)]
#[serde(rename_all = "snake_case")]
#[expect(dead_code, reason = "a description")]
enum KeyModeWord {
    Random,
    Polling,
}

/// Whether a part is left out and named in `x-sluice-dropped-fields`, or the request refused.
#[derive(ToSchema)]
#[schema(as = OnLoss)]
#[serde(rename_all = "snake_case")]
#[expect(dead_code, reason = "a description")]
enum OnLossWord {
    Drop,
    Reject,
}
