//! Whether what an upstream said switches its channel or key off for good (relay-api.md §8). Pure.

use std::ops::RangeInclusive;

use sluice_domain::{ChannelId, ChannelKeyId};

use crate::settings::Site;

/// How one key of a channel did on one relay lately.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Observed {
    /// The channel.
    pub channel: ChannelId,
    /// The key.
    pub key: ChannelKeyId,
    /// Attempts that tell something about the channel.
    pub attempts: u64,
    /// Those of them that brought a good answer.
    pub successes: u64,
    /// Errors that its upstream answered with, and reasons why it could not be asked.
    pub evidence: Vec<Evidence>,
}

/// What an upstream said, masked, or why it could not be asked.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Evidence {
    /// The HTTP status; 0: it was not asked.
    pub status: u16,
    /// The provider's `type`; empty: none.
    pub kind: String,
    /// The provider's `code`; empty: none.
    pub code: String,
    /// The keyword that the relay found in the provider's message; empty: none.
    pub keyword: String,
    /// The provider's message, from relays that do not look for keywords themselves; empty: not told.
    pub message: String,
    /// What of the channel's own settings is at fault, as `channel:…`. Relays say that, no upstream can; empty: nothing.
    pub fault: String,
}

/// How faults of a channel's own settings begin.
const FAULT: &str = "channel:";
/// The one of them that another key may not have.
const KEY_FAULT: &str = "channel:invalid_key";
/// Codes of providers that say: this key is no good.
const CODES: [&str; 5] =
    ["invalid_api_key", "account_deactivated", "billing_not_active", "pre_consume_token_quota_failed", "Arrearage"];
/// Types that say the same.
const TYPES: [&str; 5] =
    ["insufficient_quota", "insufficient_user_quota", "authentication_error", "permission_error", "forbidden"];
/// Statuses at which a gateway behind us means our own key when it says that a user has run out of money.
const OUR_MONEY: [u16; 3] = [401, 402, 403];

/// What switches off.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(super) struct DisableRules {
    /// Anything at all.
    pub(super) is_on: bool,
    statuses: Vec<RangeInclusive<u16>>,
    keywords: Vec<String>,
}

/// Why something is switched off.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Ground {
    /// The key is no good, or the provider said so by status, type or code: once is enough.
    Plain(String),
    /// The channel is no good, whatever the key.
    Channel(String),
    /// A word in its message: only when it comes again and again.
    Keyword(String),
}

impl DisableRules {
    pub(super) fn of(site: &Site) -> Self {
        let keywords = site.automatic_disable_keywords.lines().map(|word| word.trim().to_lowercase());
        Self {
            is_on: site.automatic_disable_channel_enabled,
            statuses: site.automatic_disable_status_codes.split(',').filter_map(range).collect(),
            keywords: keywords.filter(|word| !word.is_empty()).collect(),
        }
    }

    pub(super) fn judge(&self, provider: &str, said: &Evidence) -> Option<Ground> {
        if !self.is_on {
            return None;
        }
        if said.fault.starts_with(FAULT) {
            let ground = if said.fault == KEY_FAULT { Ground::Plain } else { Ground::Channel };
            return Some(ground(said.fault.clone()));
        }
        if self.statuses.iter().any(|range| range.contains(&said.status)) {
            return Some(Ground::Plain(format!("status {}", said.status)));
        }
        if said.status == 403 && provider.contains("gemini") {
            return Some(Ground::Plain("status 403".to_owned()));
        }
        if CODES.contains(&said.code.as_str()) {
            return Some(Ground::Plain(format!("code {}", said.code)));
        }
        let is_meant = said.kind != "insufficient_user_quota" || OUR_MONEY.contains(&said.status);
        if is_meant && TYPES.contains(&said.kind.as_str()) {
            return Some(Ground::Plain(format!("type {}", said.kind)));
        }
        let message = said.message.to_lowercase();
        let found = self.keywords.iter().find(|word| **word == said.keyword || message.contains(word.as_str()));
        found.map(|word| Ground::Keyword(format!("keyword: {word}")))
    }
}

/// `401`, or `500-503`.
fn range(text: &str) -> Option<RangeInclusive<u16>> {
    let text = text.trim();
    let (first, last) = text.split_once('-').unwrap_or((text, text));
    Some(first.trim().parse().ok()?..=last.trim().parse().ok()?)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn rules() -> DisableRules {
        DisableRules::of(&Site { automatic_disable_channel_enabled: true, ..Site::default() })
    }

    fn said(status: u16, kind: &str, code: &str, message: &str) -> Evidence {
        Evidence { status, kind: kind.into(), code: code.into(), message: message.into(), ..Evidence::default() }
    }

    #[test]
    fn each_rule_has_its_ground() {
        let judge = |provider: &str, evidence: Evidence| rules().judge(provider, &evidence);
        let plain = |text: &str| Some(Ground::Plain(text.to_owned()));
        assert_eq!(judge("openai", said(401, "", "", "")), plain("status 401"));
        assert_eq!(judge("google-gemini", said(403, "", "", "")), plain("status 403"));
        assert_eq!(judge("openai", said(403, "", "", "")), None);
        assert_eq!(judge("openai", said(429, "", "billing_not_active", "")), plain("code billing_not_active"));
        assert_eq!(judge("openai", said(429, "insufficient_quota", "", "")), plain("type insufficient_quota"));
        let keyword = judge("openai", said(400, "", "", "Your credit balance is TOO LOW to go on"));
        assert_eq!(keyword, Some(Ground::Keyword("keyword: your credit balance is too low".to_owned())));
        assert_eq!(judge("openai", said(500, "server_error", "", "oops")), None);
        let found = Evidence { keyword: "permission denied".into(), ..said(400, "", "", "") };
        assert_eq!(judge("openai", found), Some(Ground::Keyword("keyword: permission denied".to_owned())));
        let of_before = Evidence { keyword: "a word that was taken out".into(), ..said(400, "", "", "") };
        assert_eq!(judge("openai", of_before), None);
    }

    #[test]
    fn what_relays_say_of_a_channels_settings_is_no_code_that_an_upstream_can_send() {
        let fault = |word: &str| rules().judge("openai", &Evidence { fault: word.into(), ..Evidence::default() });
        assert_eq!(fault("channel:invalid_key"), Some(Ground::Plain("channel:invalid_key".to_owned())));
        assert_eq!(fault("channel:invalid_address"), Some(Ground::Channel("channel:invalid_address".to_owned())));
        assert_eq!((fault(""), fault("something else")), (None, None));
        assert_eq!(rules().judge("openai", &said(500, "", "channel:invalid_key", "")), None);
        let off = DisableRules::of(&Site::default());
        assert_eq!(off.judge("openai", &Evidence { fault: "channel:invalid_key".into(), ..Evidence::default() }), None);
    }

    #[test]
    fn a_user_of_a_gateway_behind_us_without_money_is_not_our_key_without_money() {
        assert_eq!(rules().judge("openai", &said(429, "insufficient_user_quota", "", "")), None);
        assert!(rules().judge("openai", &said(403, "insufficient_user_quota", "", "")).is_some());
    }

    #[test]
    fn statuses_are_numbers_and_ranges_and_nothing_counts_while_it_is_off() {
        let site = Site {
            automatic_disable_channel_enabled: true,
            automatic_disable_status_codes: "402, 500-503,x, 9-".into(),
            ..Site::default()
        };
        let rules = DisableRules::of(&site);
        let hits: Vec<u16> = (400..600).filter(|status| rules.judge("openai", &said(*status, "", "", "")).is_some()).collect();
        assert_eq!(hits, [402, 500, 501, 502, 503]);
        assert_eq!(DisableRules::of(&Site::default()).judge("openai", &said(401, "", "", "")), None);
    }
}
