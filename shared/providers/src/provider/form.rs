//! What a channel of a provider can be given beyond key, base URL and models, and the headers made of it.

use serde::{Deserialize, Serialize};

/// One setting of a channel, as the form shows it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct FormField {
    /// Which setting.
    pub name: FieldName,
    /// The label beside it.
    pub label: String,
    /// What it does and when it is needed.
    pub help: String,
    /// What a value looks like.
    pub example: String,
    /// Whether a channel must have it.
    #[serde(default)]
    pub required: bool,
}

/// The settings a channel can have. The first three are fields of [`crate::ChannelAddress`], the others are in its `extra`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum FieldName {
    /// `api_version`
    ApiVersion,
    /// `organization`
    Organization,
    /// `strip_dots`
    StripDots,
    /// The account that stands in addresses.
    AccountId,
    /// Alibaba's plugin.
    Plugin,
    /// The page that requests are attributed to.
    Referer,
    /// The name that requests are attributed to.
    Title,
    /// `true`: Messages are asked for with `?beta=true`, as when the caller does.
    BetaQuery,
    /// The region that stands in addresses.
    Region,
    /// The bot that is asked (Coze).
    BotId,
    /// What kind of app is asked (Dify): `chatflow`, `agent`, `workflow` or `completion`.
    BotType,
    /// In whose name an app is asked where a request names nobody.
    UserId,
    /// The library that is asked (AI Proxy).
    LibraryId,
}

impl FieldName {
    /// The word used in catalogue files and in JSON.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::ApiVersion => "api_version",
            Self::Organization => "organization",
            Self::StripDots => "strip_dots",
            Self::AccountId => "account_id",
            Self::Plugin => "plugin",
            Self::Referer => "referer",
            Self::Title => "title",
            Self::BetaQuery => "beta_query",
            Self::Region => "region",
            Self::BotId => "bot_id",
            Self::BotType => "bot_type",
            Self::UserId => "user_id",
            Self::LibraryId => "library_id",
        }
    }
}

/// A header of every request, or of those with a streamed answer.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct HeaderRule {
    /// The header.
    pub name: String,
    /// The channel's setting that is its value.
    pub setting: Option<FieldName>,
    /// Its value where the channel has no such setting; without one it is not sent.
    pub value: Option<String>,
    /// Whether only requests for a stream have it.
    #[serde(default)]
    pub when_streamed: bool,
}
