//! The settings relays follow, read from their text form.

use std::sync::Arc;

use sluice_billing::{HoldPolicy, HoldRules};

use crate::channel_settings::MediaByUrl;
use crate::resource::Setting;

/// How relays behave, site-wide. Each field is one setting of the same name.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RelaySettings {
    /// Attempts after the first (`retry_times`, 0–10, default 2).
    pub retry_times: u32,
    /// Whether usage is always given to callers of streams, asked or not (`enforce_include_usage`, default false).
    pub enforce_include_usage: bool,
    /// Whether the upstream is asked for usage in streams (`force_stream_option`, default true).
    pub force_stream_option: bool,
    /// The least input that is held for, in tokens (`pre_consumed_quota`, 0–1,000,000, default 500).
    pub pre_consumed_tokens: u64,
    /// How output is held for: `hold_policy` (default `adaptive`), `default_output_hold` (the window, 0–1,000,000 tokens, default 2,000),
    /// `assumed_max_output` (1–1,000,000 tokens, default 16,384), `clamp_output` (default true), `clamp_floor` (1–100,000 tokens,
    /// default 16).
    pub holds: HoldRules,
    /// Words in an upstream's error that are told of a channel, in lower case (`automatic_disable_keywords`, one per line).
    pub disable_keywords: Arc<[Box<str>]>,
    /// What models take beside what is known of them (`model_capabilities`, JSON, default empty). Whoever writes requests reads it.
    pub model_capabilities: Arc<str>,
    /// How media that requests name by address reach providers whose channels do not say it (`media_by_url`, `pass` or `inline`, default
    /// `pass`).
    pub media_by_url: MediaByUrl,
    /// Names of models whose end says nothing of how they are asked, in lower case; `*` is any text (`thinking_model_blacklist`, one per
    /// line). `*` alone: no name's does.
    pub whole_names: Arc<[Box<str>]>,
}

impl Default for RelaySettings {
    fn default() -> Self {
        Self {
            retry_times: 2,
            enforce_include_usage: false,
            force_stream_option: true,
            pre_consumed_tokens: 500,
            holds: HoldRules { policy: HoldPolicy::Adaptive, window: 2_000, assumed_max: 16_384, clamps: true, floor: 16 },
            disable_keywords: words(Self::DISABLE_KEYWORDS),
            model_capabilities: Arc::from(""),
            media_by_url: MediaByUrl::Pass,
            whole_names: words(Self::WHOLE_NAMES),
        }
    }
}

impl RelaySettings {
    /// Every name this build knows.
    pub const NAMES: [&'static str; 13] = [
        "retry_times",
        "enforce_include_usage",
        "force_stream_option",
        "pre_consumed_quota",
        "default_output_hold",
        "hold_policy",
        "assumed_max_output",
        "clamp_output",
        "clamp_floor",
        "automatic_disable_keywords",
        "model_capabilities",
        "media_by_url",
        "thinking_model_blacklist",
    ];

    /// The default of `thinking_model_blacklist`.
    pub const WHOLE_NAMES: &'static str = "kimi-k2-thinking\nmoonshotai/kimi-k2-thinking";

    /// The default of `automatic_disable_keywords`.
    pub const DISABLE_KEYWORDS: &'static str = "your credit balance is too low\nthis organization has been disabled.\n\
        you exceeded your current quota\npermission denied\nthe security token included in the request is invalid\n\
        operation not allowed\nyour account is not authorized";

    /// Takes over one setting. A name of a later version is none of our business and is skipped.
    ///
    /// # Errors
    /// When the value breaks the rule of that setting; the text says which.
    pub fn set(&mut self, setting: &Setting) -> Result<(), String> {
        match setting.name.as_str() {
            "retry_times" => self.retry_times = number(setting, 10)?,
            "enforce_include_usage" => self.enforce_include_usage = switch(setting)?,
            "force_stream_option" => self.force_stream_option = switch(setting)?,
            "pre_consumed_quota" => self.pre_consumed_tokens = number(setting, 1_000_000)?,
            "default_output_hold" => self.holds.window = number(setting, 1_000_000)?,
            "hold_policy" => self.holds.policy = policy(setting)?,
            "assumed_max_output" => self.holds.assumed_max = above_zero(setting, 1_000_000)?,
            "clamp_output" => self.holds.clamps = switch(setting)?,
            "clamp_floor" => self.holds.floor = above_zero(setting, 100_000)?,
            "automatic_disable_keywords" => self.disable_keywords = words(&setting.value),
            "model_capabilities" => self.model_capabilities = setting.value.as_str().into(),
            "media_by_url" => self.media_by_url = media_by_url(setting)?,
            "thinking_model_blacklist" => self.whole_names = words(&setting.value),
            _ => {}
        }
        Ok(())
    }

    /// Whether a model's name is to be left whole, whatever it ends with.
    #[must_use]
    pub fn keeps_suffix(&self, model: &str) -> bool {
        let model = model.to_lowercase();
        self.whole_names.iter().any(|pattern| is_like(&model, pattern))
    }
}

/// Whether a name fits a pattern in which `*` is any text.
fn is_like(name: &str, pattern: &str) -> bool {
    let Some((start, rest)) = pattern.split_once('*') else { return name == pattern };
    let Some(mut name) = name.strip_prefix(start) else { return false };
    let (middle, end) = rest.rsplit_once('*').unwrap_or(("", rest));
    for part in middle.split('*') {
        let Some((_, after)) = name.split_once(part) else { return false };
        name = after;
    }
    name.ends_with(end)
}

fn number<N: std::str::FromStr + PartialOrd + From<u32>>(setting: &Setting, most: u32) -> Result<N, String> {
    let fits = |value: &N| *value <= N::from(most);
    setting.value.parse().ok().filter(fits).ok_or_else(|| format!("{} must be a whole number from 0 to {most}", setting.name))
}

fn above_zero(setting: &Setting, most: u32) -> Result<u64, String> {
    let value: u64 = number(setting, most).unwrap_or(0);
    Some(value).filter(|value| *value > 0).ok_or_else(|| format!("{} must be a whole number from 1 to {most}", setting.name))
}

fn policy(setting: &Setting) -> Result<HoldPolicy, String> {
    let rule = || format!("{} must be one of {}", setting.name, HoldPolicy::WORDS.join(", "));
    HoldPolicy::from_word(&setting.value).ok_or_else(rule)
}

fn media_by_url(setting: &Setting) -> Result<MediaByUrl, String> {
    match setting.value.as_str() {
        "pass" => Ok(MediaByUrl::Pass),
        "inline" => Ok(MediaByUrl::Inline),
        _ => Err(format!("{} must be pass or inline", setting.name)),
    }
}

/// One word per line, in lower case, without empty ones.
fn words(text: &str) -> Arc<[Box<str>]> {
    text.lines().map(|line| line.trim().to_lowercase().into_boxed_str()).filter(|line| !line.is_empty()).collect()
}

fn switch(setting: &Setting) -> Result<bool, String> {
    setting.value.parse().map_err(|_| format!("{} must be true or false", setting.name))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn set(name: &str, value: &str) -> Result<RelaySettings, String> {
        let mut settings = RelaySettings::default();
        settings.set(&Setting { name: name.into(), value: value.into() }).map(|()| settings)
    }

    #[test]
    fn every_named_setting_can_be_set() {
        let takes_any = ["automatic_disable_keywords", "model_capabilities", "thinking_model_blacklist"];
        for name in RelaySettings::NAMES.into_iter().filter(|name| !takes_any.contains(name)) {
            let value = if name.contains("force") { "x" } else { "-1" };
            assert!(set(name, value).is_err(), "{name} takes anything, so it is not read");
        }
        assert_eq!(
            *set("automatic_disable_keywords", " Two Words \n\nx").unwrap().disable_keywords,
            ["two words".into(), "x".into()]
        );
        assert_eq!(&*set("model_capabilities", "{}").unwrap().model_capabilities, "{}");
        assert_eq!(set("hold_policy", "windowed").unwrap().holds.policy, HoldPolicy::Windowed);
        assert_eq!(set("media_by_url", "inline").unwrap().media_by_url, MediaByUrl::Inline);
        assert_eq!(set("retry_times", "5").unwrap().retry_times, 5);
        assert!(set("enforce_include_usage", "true").unwrap().enforce_include_usage);
    }

    #[test]
    fn names_are_kept_whole_by_pattern() {
        assert!(RelaySettings::default().keeps_suffix("moonshotai/Kimi-K2-Thinking"));
        for (pattern, name, fits) in [
            ("*", "x", true),
            ("gemini-*", "gemini-2.5-pro-high", true),
            ("*-high", "gemini-2.5-pro-high", true),
            ("g*-pro-*h", "gemini-2.5-pro-high", true),
            ("g*-flash-*h", "gemini-2.5-pro-high", false),
            ("gemini", "gemini-2.5-pro-high", false),
            ("", "gemini-2.5-pro-high", false),
        ] {
            assert_eq!(set("thinking_model_blacklist", pattern).unwrap().keeps_suffix(name), fits, "{pattern}");
        }
    }

    #[test]
    fn bad_values_are_refused_with_the_rule() {
        assert_eq!(set("retry_times", "11").unwrap_err(), "retry_times must be a whole number from 0 to 10");
        assert!(set("retry_times", "-1").is_err());
        assert!(set("force_stream_option", "yes").is_err());
        assert_eq!(set("hold_policy", "fixed").unwrap_err(), "hold_policy must be one of adaptive, strict, windowed");
        assert_eq!(set("clamp_floor", "0").unwrap_err(), "clamp_floor must be a whole number from 1 to 100000");
        assert_eq!(set("of_a_later_version", "anything"), Ok(RelaySettings::default()));
    }
}
