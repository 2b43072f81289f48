//! The settings relays follow, read from their text form.

use crate::resource::Setting;

/// How relays behave, site-wide. Each field is one setting of the same name.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct RelaySettings {
    /// Attempts after the first (`retry_times`, 0–10, default 2).
    pub retry_times: u32,
    /// Whether usage is always given to callers of streams, asked or not (`enforce_include_usage`, default false).
    pub enforce_include_usage: bool,
    /// Whether the upstream is asked for usage in streams (`force_stream_option`, default true).
    pub force_stream_option: bool,
    /// The least input that is held for, in tokens (`pre_consumed_quota`, 0–1,000,000, default 500).
    pub pre_consumed_tokens: u64,
    /// Output held for when the caller sets no limit, in tokens (`default_output_hold`, 0–1,000,000, default 2,000).
    pub default_output_hold: u64,
}

impl Default for RelaySettings {
    fn default() -> Self {
        Self {
            retry_times: 2,
            enforce_include_usage: false,
            force_stream_option: true,
            pre_consumed_tokens: 500,
            default_output_hold: 2_000,
        }
    }
}

impl RelaySettings {
    /// Every name this build knows.
    pub const NAMES: [&'static str; 5] =
        ["retry_times", "enforce_include_usage", "force_stream_option", "pre_consumed_quota", "default_output_hold"];

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
            "default_output_hold" => self.default_output_hold = number(setting, 1_000_000)?,
            _ => {}
        }
        Ok(())
    }
}

fn number<N: std::str::FromStr + PartialOrd + From<u32>>(setting: &Setting, most: u32) -> Result<N, String> {
    let fits = |value: &N| *value <= N::from(most);
    setting.value.parse().ok().filter(fits).ok_or_else(|| format!("{} must be a whole number from 0 to {most}", setting.name))
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
        for name in RelaySettings::NAMES {
            let value = if name.contains("force") { "x" } else { "-1" };
            assert!(set(name, value).is_err(), "{name} takes anything, so it is not read");
        }
        assert_eq!(set("retry_times", "5").unwrap().retry_times, 5);
        assert!(set("enforce_include_usage", "true").unwrap().enforce_include_usage);
    }

    #[test]
    fn bad_values_are_refused_with_the_rule() {
        assert_eq!(set("retry_times", "11").unwrap_err(), "retry_times must be a whole number from 0 to 10");
        assert!(set("retry_times", "-1").is_err());
        assert!(set("force_stream_option", "yes").is_err());
        assert_eq!(set("of_a_later_version", "anything"), Ok(RelaySettings::default()));
    }
}
