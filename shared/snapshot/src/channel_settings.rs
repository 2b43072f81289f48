//! What a channel does beyond sending requests on: as administrators write it, and as relays get it.
//!
//! It is one JSON object everywhere: in the database (sealed: an address of a proxy and a header may hold secrets), in the API and in what
//! is pushed to relays. What a field means for a body or a header is known to those who apply it, never here.

use std::collections::BTreeMap;
use std::fmt;

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

/// What a channel does beyond sending requests on. Everything may be left out.
#[derive(Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
#[expect(clippy::struct_excessive_bools, reason = "each is a switch of its own, and one field of the JSON")]
pub struct ChannelSettings {
    /// Settings that the provider's `fields` name, such as `region` or `account_id`.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub fields: BTreeMap<String, String>,
    /// Changes of the body that is sent, the last before it is signed: fields to replace, or `operations` (providers.md §13.2).
    #[serde(skip_serializing_if = "Map::is_empty")]
    pub param_override: Map<String, Value>,
    /// Headers that are sent, and rules about which of the caller's are (providers.md §13.3).
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub header_override: BTreeMap<String, String>,
    /// Instructions for the model beside the caller's.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub system_prompt: Option<SystemPrompt>,
    /// Answers are read and written anew, so that they hold nothing beyond their dialect.
    #[serde(skip_serializing_if = "is_false")]
    pub force_format: bool,
    /// Reasoning is given as `<think>` within the answer's text.
    #[serde(skip_serializing_if = "is_false")]
    pub thinking_to_content: bool,
    /// Generated images are given once more as Markdown within the text of converted answers.
    #[serde(skip_serializing_if = "is_false")]
    pub media_to_markdown: bool,
    /// The caller's bytes are sent as they are, where both sides speak one dialect.
    #[serde(skip_serializing_if = "is_false")]
    pub pass_through_body: bool,
    /// The proxy its requests take: `http`, `https`, `socks5` or `socks5h`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub proxy: Option<String>,
    /// How media that a request names by address reach the provider; `None`: as everywhere.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub media_by_url: Option<MediaByUrl>,
    /// The proxy that media are fetched through.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub media_proxy: Option<String>,
    /// Statuses of refusals, from what the upstream said to what the caller is told.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub status_mapping: BTreeMap<u16, u16>,
    /// `service_tier` is sent.
    #[serde(skip_serializing_if = "is_false")]
    pub allow_service_tier: bool,
    /// `safety_identifier` is sent.
    #[serde(skip_serializing_if = "is_false")]
    pub allow_safety_identifier: bool,
    /// `store` is not sent.
    #[serde(skip_serializing_if = "is_false")]
    pub disable_store: bool,
    /// How one of several keys is chosen.
    #[serde(skip_serializing_if = "is_default")]
    pub key_mode: KeyMode,
    /// What is done with a part of a request that the provider's dialect cannot say, by the part's word: otherwise as usual.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub losses: BTreeMap<String, OnLoss>,
    /// The model that the channel is tested with; `None`: its first.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub test_model: Option<String>,
}

/// Instructions that a channel adds.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct SystemPrompt {
    /// The instructions.
    pub text: String,
    /// What becomes of the caller's.
    #[serde(default)]
    pub mode: SystemPromptMode,
}

/// What becomes of the caller's instructions where a channel has its own.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum SystemPromptMode {
    /// The channel's are sent where the caller has none.
    #[default]
    Fill,
    /// The channel's come first.
    Prepend,
    /// The channel's alone are sent.
    Replace,
}

/// How media that a request names by address reach a provider.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum MediaByUrl {
    /// As an address, where the model takes one.
    Pass,
    /// Fetched by the relay, and sent as data.
    Inline,
}

/// How one of several keys is chosen.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum KeyMode {
    /// Each as likely as the others.
    #[default]
    Random,
    /// One after the other.
    Polling,
}

/// What is done with a part of a request that cannot be said to a provider.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum OnLoss {
    /// It is left out, and named in `x-sluice-dropped-fields`.
    Drop,
    /// The request is refused.
    Reject,
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde asks so")]
fn is_false(flag: &bool) -> bool {
    !*flag
}

fn is_default<T: Default + PartialEq>(value: &T) -> bool {
    *value == T::default()
}

impl ChannelSettings {
    /// Whether nothing is set.
    #[must_use]
    pub fn is_default(&self) -> bool {
        *self == Self::default()
    }

    /// As text, for the database and for relays; empty where nothing is set.
    #[must_use]
    pub fn to_text(&self) -> String {
        if self.is_default() {
            return String::new();
        }
        // what could not be written would be no JSON, and refused by whoever reads it
        serde_json::to_string(self).unwrap_or_else(|error| error.to_string())
    }

    /// Reads what [`ChannelSettings::to_text`] wrote.
    ///
    /// # Errors
    /// When it is not that, or holds something that only a later version knows.
    pub fn from_text(text: &str) -> Result<Self, UnreadableSettings> {
        if text.is_empty() {
            return Ok(Self::default());
        }
        // serde's message may quote what is secret; its place is enough
        serde_json::from_str(text).map_err(|error| UnreadableSettings { column: error.column() })
    }
}

/// Settings of a channel that cannot be read. Shows none of them.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("hold something that is not known here, at column {column}")]
pub struct UnreadableSettings {
    /// How far they could be read, in bytes.
    pub column: usize,
}

impl fmt::Debug for ChannelSettings {
    /// Without what may be secret.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ChannelSettings").field("key_mode", &self.key_mode).finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_not_set_is_not_written_and_what_nobody_knows_is_refused() {
        assert_eq!(serde_json::to_string(&ChannelSettings::default()).unwrap(), "{}");
        let text = r#"{"fields":{"region":"eu-west-1"},"system_prompt":{"text":"Be brief.","mode":"prepend"},"status_mapping":{"404":400},"key_mode":"polling","losses":{"seed":"reject"}}"#;
        let settings: ChannelSettings = serde_json::from_str(text).unwrap();
        assert_eq!(serde_json::to_string(&settings).unwrap(), text);
        assert!(serde_json::from_str::<ChannelSettings>(r#"{"proxies":[]}"#).is_err());
    }

    #[test]
    fn what_is_written_reads_back_and_what_cannot_be_read_is_not_quoted() {
        assert_eq!(ChannelSettings::default().to_text(), "");
        assert_eq!(ChannelSettings::from_text(""), Ok(ChannelSettings::default()));
        let settings = ChannelSettings { status_mapping: [(404, 400)].into(), allow_service_tier: true, ..Default::default() };
        assert_eq!(ChannelSettings::from_text(&settings.to_text()), Ok(settings));
        for text in [r#"{"proxies":["hunter2"]}"#, r#"{"allow_service_tier":"hunter2"}"#, "hunter2"] {
            let refused = ChannelSettings::from_text(text).unwrap_err();
            assert!(!format!("{refused} {refused:?}").contains("hunter2"), "{refused}");
        }
    }

    #[test]
    fn secrets_are_not_shown() {
        let settings = ChannelSettings { proxy: Some("socks5://u:hunter2@h:1".into()), ..ChannelSettings::default() };
        assert!(!format!("{settings:?}").contains("hunter2"));
    }
}
