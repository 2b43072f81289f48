//! How many requests each user may make in a group, by the family's settings.

use std::collections::BTreeMap;

use sluice_domain::{Counted, GroupName, Limit};

use crate::resource::Setting;

/// The family's limits of requests per user, read from their text form.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RequestLimits {
    /// Whether there are any (`model_request_rate_limit_enabled`, default false).
    is_enabled: bool,
    /// In which time they count, in minutes (`model_request_rate_limit_duration_minutes`, 1–44,640, default 1).
    minutes: u32,
    /// Requests, whatever becomes of them (`model_request_rate_limit_count`, 0 is no limit, the default).
    total: u64,
    /// Requests that succeed (`model_request_rate_limit_success_count`, 0 is no limit, default 1,000).
    successes: u64,
    /// Both for some groups, instead (`model_request_rate_limit_group`, default `{}`).
    groups: BTreeMap<String, [u64; 2]>,
}

impl Default for RequestLimits {
    fn default() -> Self {
        Self { is_enabled: false, minutes: 1, total: 0, successes: 1_000, groups: BTreeMap::new() }
    }
}

impl RequestLimits {
    /// Every name this build knows.
    pub const NAMES: [&'static str; 5] = [
        "model_request_rate_limit_enabled",
        "model_request_rate_limit_duration_minutes",
        "model_request_rate_limit_count",
        "model_request_rate_limit_success_count",
        "model_request_rate_limit_group",
    ];
    /// The longest time, in minutes.
    pub const MOST_MINUTES: u32 = Limit::MAX_WINDOW_SECS / 60;
    /// The highest count.
    pub const MOST_COUNT: u64 = 1_000_000_000;
    /// The most groups with limits of their own.
    const MOST_GROUPS: usize = 1_000;

    /// Takes over one setting. Another name is none of our business and is skipped.
    ///
    /// # Errors
    /// When the value breaks the rule of that setting; the text says which.
    pub fn set(&mut self, setting: &Setting) -> Result<(), String> {
        let Setting { name, value } = setting;
        match name.as_str() {
            "model_request_rate_limit_enabled" => {
                self.is_enabled = value.parse().map_err(|_| format!("{name} must be true or false"))?;
            }
            "model_request_rate_limit_duration_minutes" => {
                let minutes = value.parse().ok().filter(|minutes| (1..=Self::MOST_MINUTES).contains(minutes));
                self.minutes = minutes.ok_or_else(|| format!("{name} must be from 1 to {}", Self::MOST_MINUTES))?;
            }
            "model_request_rate_limit_count" => self.total = count(name, value)?,
            "model_request_rate_limit_success_count" => self.successes = count(name, value)?,
            "model_request_rate_limit_group" => self.groups = Self::read_groups(value)?,
            _ => {}
        }
        Ok(())
    }

    /// Reads the limits of groups: `{"vip": [requests, successes]}`. No requests is no limit of them; one success at least.
    ///
    /// # Errors
    /// The rule that is broken.
    pub fn read_groups(text: &str) -> Result<BTreeMap<String, [u64; 2]>, String> {
        let rule = || r#"must be a JSON object of groups, each with its requests and successes: {"vip": [600, 500]}"#.to_owned();
        if text.trim().is_empty() {
            return Ok(BTreeMap::new());
        }
        let groups: BTreeMap<String, [u64; 2]> = serde_json::from_str(text).map_err(|_| rule())?;
        if groups.len() > Self::MOST_GROUPS {
            return Err(format!("must have at most {} groups", Self::MOST_GROUPS));
        }
        let fits = |(group, [total, successes]): (&String, &[u64; 2])| {
            GroupName::parse(group).is_ok() && *total <= Self::MOST_COUNT && (1..=Self::MOST_COUNT).contains(successes)
        };
        if groups.iter().all(fits) { Ok(groups) } else { Err(rule()) }
    }

    /// The limits of each user in a group.
    pub fn of(&self, group: &str) -> impl Iterator<Item = Limit> {
        let [total, successes] = self.groups.get(group).copied().unwrap_or([self.total, self.successes]);
        let window_secs = self.minutes * 60;
        let limit = move |(of, count): (Counted, u64)| Limit { of, count, window_secs, is_shadow: false };
        let counts = [(Counted::Requests, total), (Counted::Successes, successes)];
        let is_enabled = self.is_enabled;
        counts.into_iter().filter(move |(_, count)| is_enabled && *count > 0).map(limit)
    }
}

fn count(name: &str, value: &str) -> Result<u64, String> {
    let most = RequestLimits::MOST_COUNT;
    value.parse().ok().filter(|count| *count <= most).ok_or_else(|| format!("{name} must be a whole number from 0 to {most}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn with(settings: &[(&str, &str)]) -> Result<RequestLimits, String> {
        let mut limits = RequestLimits::default();
        for (name, value) in settings {
            limits.set(&Setting { name: format!("model_request_rate_limit_{name}"), value: (*value).into() })?;
        }
        Ok(limits)
    }

    fn counts(limits: &RequestLimits, group: &str) -> Vec<(Counted, u64, u32)> {
        limits.of(group).map(|limit| (limit.of, limit.count, limit.window_secs)).collect()
    }

    #[test]
    fn nothing_is_limited_unless_it_is_switched_on() {
        let limits = with(&[("count", "5")]).unwrap();
        assert!(counts(&limits, "default").is_empty());
        let limits = with(&[("enabled", "true"), ("duration_minutes", "2")]).unwrap();
        assert_eq!(counts(&limits, "default"), [(Counted::Successes, 1_000, 120)]);
        let limits = with(&[("enabled", "true"), ("count", "9"), ("success_count", "0")]).unwrap();
        assert_eq!(counts(&limits, "default"), [(Counted::Requests, 9, 60)]);
    }

    #[test]
    fn a_group_has_both_limits_of_its_own() {
        let limits = with(&[("enabled", "true"), ("count", "9"), ("group", r#"{"vip": [90, 80], "free": [0, 3]}"#)]).unwrap();
        assert_eq!(counts(&limits, "vip"), [(Counted::Requests, 90, 60), (Counted::Successes, 80, 60)]);
        assert_eq!(counts(&limits, "free"), [(Counted::Successes, 3, 60)]);
        assert_eq!(counts(&limits, "default").len(), 2);
    }

    #[test]
    fn bad_values_are_refused_with_the_rule() {
        for (name, value) in [
            ("enabled", "yes"),
            ("duration_minutes", "0"),
            ("duration_minutes", "44641"),
            ("count", "-1"),
            ("success_count", "1000000001"),
            ("group", "[]"),
            ("group", r#"{"vip": [1]}"#),
            ("group", r#"{"vip": [1, 0]}"#),
            ("group", r#"{"": [1, 1]}"#),
        ] {
            assert!(with(&[(name, value)]).is_err(), "{name} {value}");
        }
        assert_eq!(with(&[("group", " ")]), Ok(RequestLimits::default()));
        for name in RequestLimits::NAMES {
            assert!(
                RequestLimits::default().set(&Setting { name: name.into(), value: "x".into() }).is_err(),
                "{name} is not read"
            );
        }
    }
}
