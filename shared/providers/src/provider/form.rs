//! What a channel of a provider can be given beyond key, base URL and models, and the headers made of it.

use std::collections::BTreeMap;

use http::HeaderValue;
use serde::{Deserialize, Serialize};

use crate::endpoint::is_region;

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
    /// The features of Messages that callers may ask for, with commas between them; `*`: all.
    Betas,
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
            Self::Betas => "betas",
            Self::Region => "region",
            Self::BotId => "bot_id",
            Self::BotType => "bot_type",
            Self::UserId => "user_id",
            Self::LibraryId => "library_id",
        }
    }

    /// Judges a value of it, which is not empty.
    ///
    /// # Errors
    /// The rule it breaks, as a clause that follows the name.
    pub fn judge(self, value: &str) -> Result<(), &'static str> {
        match self {
            Self::StripDots | Self::BetaQuery if !matches!(value, "true" | "false") => Err("must be true or false"),
            Self::AccountId if !value.bytes().all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_')) => {
                Err("may have letters, digits, - and _ only: it stands in an address")
            }
            Self::Region if !is_regions(value) => {
                Err("must be a region such as us-central1, or a JSON object of models and regions with `default` for the others")
            }
            Self::BotType if !KINDS_OF_APPS.contains(&value) => Err("must be chatflow, agent, workflow or completion"),
            _ if HeaderValue::from_str(value).is_err() => Err("has characters that cannot be sent"),
            _ => Ok(()),
        }
    }
}

/// Kinds of Dify's apps.
const KINDS_OF_APPS: [&str; 4] = ["chatflow", "agent", "workflow", "completion"];

/// One region for all models, or one for each.
fn is_regions(value: &str) -> bool {
    let several = || serde_json::from_str::<BTreeMap<String, String>>(value);
    is_region(value) || several().is_ok_and(|regions| !regions.is_empty() && regions.values().all(|region| is_region(region)))
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_stands_in_an_address_or_a_header_is_judged() {
        let fits = |name: FieldName, value: &str| name.judge(value).is_ok();
        assert!(fits(FieldName::Region, "us-central1") && fits(FieldName::Region, r#"{"default":"global","m":"eu-west1"}"#));
        assert!(!fits(FieldName::Region, "evil.example/") && !fits(FieldName::Region, r#"{"m":"evil.example/"}"#));
        assert!(!fits(FieldName::Region, "{}") && !fits(FieldName::Region, r#"{"m":1}"#));
        assert!(fits(FieldName::AccountId, "023e105f_a-B") && !fits(FieldName::AccountId, "../x"));
        assert!(fits(FieldName::BetaQuery, "false") && !fits(FieldName::StripDots, "yes"));
        assert!(KINDS_OF_APPS.iter().all(|kind| fits(FieldName::BotType, kind)));
        assert!(!fits(FieldName::BotType, "chat") && !fits(FieldName::BotType, "Workflow"));
        assert!(fits(FieldName::Title, "Our gateway") && !fits(FieldName::Title, "a\r\nb: c"));
    }
}
