//! How often one address may come, by the family's three limits, and how often one user.

use std::time::Duration;

use clap::Args;
use sluice_limits::Rate;

use super::reader::Reader;

/// Limits per client address and per user, as text.
#[derive(Debug, Clone, Default, Args)]
#[command(next_help_heading = "Limits")]
pub struct LimitOptions {
    /// Whether requests to /api by nobody who is known are limited per address. Default true
    #[arg(long, env = "GLOBAL_API_RATE_LIMIT_ENABLE", value_name = "BOOL")]
    pub global_api_rate_limit_enable: Option<String>,
    /// Requests to /api per address and period. Default 180
    #[arg(long, env = "GLOBAL_API_RATE_LIMIT", value_name = "COUNT")]
    pub global_api_rate_limit: Option<String>,
    /// The period of GLOBAL_API_RATE_LIMIT, in seconds. Default 180
    #[arg(long, env = "GLOBAL_API_RATE_LIMIT_DURATION", value_name = "SECONDS")]
    pub global_api_rate_limit_duration: Option<String>,
    /// Whether requests to /api by signed-in people and management tokens are limited per user; they do not count for their address.
    /// Default true
    #[arg(long, env = "USER_API_RATE_LIMIT_ENABLE", value_name = "BOOL")]
    pub user_api_rate_limit_enable: Option<String>,
    /// Requests to /api per user and period, over all their sessions and management tokens. Default 1800
    #[arg(long, env = "USER_API_RATE_LIMIT", value_name = "COUNT")]
    pub user_api_rate_limit: Option<String>,
    /// The period of USER_API_RATE_LIMIT, in seconds. Default 180
    #[arg(long, env = "USER_API_RATE_LIMIT_DURATION", value_name = "SECONDS")]
    pub user_api_rate_limit_duration: Option<String>,
    /// Whether pages of the console are limited per address. Default true
    #[arg(long, env = "GLOBAL_WEB_RATE_LIMIT_ENABLE", value_name = "BOOL")]
    pub global_web_rate_limit_enable: Option<String>,
    /// Pages of the console per address and period. Default 60
    #[arg(long, env = "GLOBAL_WEB_RATE_LIMIT", value_name = "COUNT")]
    pub global_web_rate_limit: Option<String>,
    /// The period of GLOBAL_WEB_RATE_LIMIT, in seconds. Default 180
    #[arg(long, env = "GLOBAL_WEB_RATE_LIMIT_DURATION", value_name = "SECONDS")]
    pub global_web_rate_limit_duration: Option<String>,
    /// Whether sign-ins, set-ups and revealed keys are limited per address. Default true
    #[arg(long, env = "CRITICAL_RATE_LIMIT_ENABLE", value_name = "BOOL")]
    pub critical_rate_limit_enable: Option<String>,
    /// Sign-ins, set-ups and revealed keys per address and period. Default 20
    #[arg(long, env = "CRITICAL_RATE_LIMIT", value_name = "COUNT")]
    pub critical_rate_limit: Option<String>,
    /// The period of CRITICAL_RATE_LIMIT, in seconds. Default 1200
    #[arg(long, env = "CRITICAL_RATE_LIMIT_DURATION", value_name = "SECONDS")]
    pub critical_rate_limit_duration: Option<String>,
}

/// Limits per client address and per user. `None`: not limited.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Limits {
    /// Requests to `/api` by nobody who is known, per address.
    pub api: Option<Rate>,
    /// Requests to `/api` by somebody who is, per user.
    pub user_api: Option<Rate>,
    /// Pages of the console.
    pub web: Option<Rate>,
    /// Sign-ins, set-ups and revealed keys.
    pub critical: Option<Rate>,
}

/// One limit: names of its settings, what was given, and its defaults.
struct Limit<'a> {
    names: [&'static str; 3],
    given: [&'a Option<String>; 3],
    defaults: (u64, u64),
}

impl LimitOptions {
    pub(super) fn read(&self, reader: &mut Reader) -> Limits {
        let api = Limit {
            names: ["GLOBAL_API_RATE_LIMIT_ENABLE", "GLOBAL_API_RATE_LIMIT", "GLOBAL_API_RATE_LIMIT_DURATION"],
            given: [&self.global_api_rate_limit_enable, &self.global_api_rate_limit, &self.global_api_rate_limit_duration],
            defaults: (180, 180),
        };
        let user_api = Limit {
            names: ["USER_API_RATE_LIMIT_ENABLE", "USER_API_RATE_LIMIT", "USER_API_RATE_LIMIT_DURATION"],
            given: [&self.user_api_rate_limit_enable, &self.user_api_rate_limit, &self.user_api_rate_limit_duration],
            defaults: (1_800, 180),
        };
        let web = Limit {
            names: ["GLOBAL_WEB_RATE_LIMIT_ENABLE", "GLOBAL_WEB_RATE_LIMIT", "GLOBAL_WEB_RATE_LIMIT_DURATION"],
            given: [&self.global_web_rate_limit_enable, &self.global_web_rate_limit, &self.global_web_rate_limit_duration],
            defaults: (60, 180),
        };
        let critical = Limit {
            names: ["CRITICAL_RATE_LIMIT_ENABLE", "CRITICAL_RATE_LIMIT", "CRITICAL_RATE_LIMIT_DURATION"],
            given: [&self.critical_rate_limit_enable, &self.critical_rate_limit, &self.critical_rate_limit_duration],
            defaults: (20, 1_200),
        };
        Limits { api: api.read(reader), user_api: user_api.read(reader), web: web.read(reader), critical: critical.read(reader) }
    }
}

impl Limit<'_> {
    fn read(&self, reader: &mut Reader) -> Option<Rate> {
        let ([enable, count, period], [enable_given, count_given, period_given]) = (self.names, self.given);
        let is_enabled = reader.parse(enable, enable_given.as_ref(), "must be true or false", true);
        let count = reader.number(count, count_given.as_ref(), 1, 1_000_000, self.defaults.0);
        let period = reader.number(period, period_given.as_ref(), 1, 86_400, self.defaults.1);
        let rate = u32::try_from(count).ok().and_then(|count| Rate::new(count, Duration::from_secs(period)).ok());
        rate.filter(|_| is_enabled)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn limits_have_the_familys_defaults_and_can_be_switched_off() {
        let mut reader = Reader::default();
        let limits = LimitOptions::default().read(&mut reader);
        let rate = |count, secs| Rate::new(count, Duration::from_secs(secs)).ok();
        assert_eq!(
            limits,
            Limits { api: rate(180, 180), user_api: rate(1_800, 180), web: rate(60, 180), critical: rate(20, 1_200) }
        );
        let off = LimitOptions { global_api_rate_limit_enable: Some("false".into()), ..LimitOptions::default() };
        assert_eq!(off.read(&mut reader).api, None);
        assert!(reader.problems.is_empty());
    }

    #[test]
    fn a_limit_of_nothing_is_refused_by_name() {
        let mut reader = Reader::default();
        let zero = LimitOptions { critical_rate_limit: Some("0".into()), ..LimitOptions::default() };
        zero.read(&mut reader);
        assert_eq!(reader.problems[0].setting, "CRITICAL_RATE_LIMIT");
    }
}
