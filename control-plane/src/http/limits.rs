//! Limits, as every resource that can be limited shows and takes them.

use serde::{Deserialize, Serialize};
use sluice_domain::{Counted, Limit, Limits};
use utoipa::ToSchema;

use super::Rules;

/// What a limit counts: `requests` whatever becomes of them, `successes` (status below 400), `tokens` (estimated first, corrected at the
/// end), `concurrency` (requests that run at the same time).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
#[schema(as = Counted)]
pub enum CountedName {
    /// Requests, whatever becomes of them.
    Requests,
    /// Requests that are answered with a status below 400.
    Successes,
    /// Tokens of prompts and answers.
    Tokens,
    /// Requests that run at the same time.
    Concurrency,
}

/// How much there may be in a time.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(as = Limit)]
pub struct LimitBody {
    /// What is counted.
    pub of: CountedName,
    /// The most there may be.
    pub count: u64,
    /// In which time, in seconds, at most 31 days; left out for concurrency.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(required = false, nullable = false)]
    pub window_secs: Option<u32>,
    /// Whether what is beyond the limit is only counted, and let pass.
    #[serde(default)]
    #[schema(required = false)]
    pub shadow: bool,
}

impl LimitBody {
    /// Shows limits.
    #[must_use]
    pub fn list(limits: &Limits) -> Vec<Self> {
        limits.iter().map(Self::of).collect()
    }

    fn of(limit: &Limit) -> Self {
        let of = match limit.of {
            Counted::Requests => CountedName::Requests,
            Counted::Successes => CountedName::Successes,
            Counted::Tokens => CountedName::Tokens,
            Counted::Concurrency => CountedName::Concurrency,
        };
        let window_secs = limit.of.has_window().then_some(limit.window_secs);
        Self { of, count: limit.count, window_secs, shadow: limit.is_shadow }
    }

    fn limit(self) -> Limit {
        let of = match self.of {
            CountedName::Requests => Counted::Requests,
            CountedName::Successes => Counted::Successes,
            CountedName::Tokens => Counted::Tokens,
            CountedName::Concurrency => Counted::Concurrency,
        };
        Limit { of, count: self.count, window_secs: self.window_secs.unwrap_or_default(), is_shadow: self.shadow }
    }

    /// Reads limits; each that breaks a rule is named by its place. `None` where nothing was given.
    pub fn read(rules: &mut Rules, given: Option<&[Self]>) -> Option<Limits> {
        let limits: Vec<Limit> = given?.iter().map(|limit| limit.limit()).collect();
        let mut are_good = true;
        for (at, limit) in limits.iter().take(Limits::MOST).enumerate() {
            are_good &= rules.read(&format!("limits[{at}]"), "limit", limit.checked()).is_some();
        }
        if are_good { rules.read("limits", "limit", Limits::new(limits)) } else { None }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(text: &str) -> Result<Limits, Vec<String>> {
        let given: Vec<LimitBody> = serde_json::from_str(text).map_err(|error| vec![error.to_string()])?;
        let mut rules = Rules::new();
        let limits = LimitBody::read(&mut rules, Some(&given));
        rules.finish(limits).map_err(|error| error.errors.into_iter().map(|error| error.field).collect())
    }

    #[test]
    fn limits_are_shown_as_they_are_given() {
        let text =
            r#"[{"of":"requests","count":60,"window_secs":60,"shadow":false},{"of":"concurrency","count":5,"shadow":true}]"#;
        let limits = read(text).unwrap();
        assert_eq!(serde_json::to_string(&LimitBody::list(&limits)).unwrap(), text);
        assert_eq!(read("[]").unwrap(), Limits::default());
        let stored = serde_json::to_string(&limits).unwrap();
        assert_eq!(serde_json::from_str::<Limits>(&stored).unwrap(), limits, "as a column holds them");
    }

    #[test]
    fn each_limit_that_breaks_a_rule_is_named() {
        let good = r#"{"of":"tokens","count":1,"window_secs":1}"#;
        let refused = read(&format!(r#"[{good},{{"of":"requests","count":0,"window_secs":60}},{{"of":"tokens","count":9}}]"#));
        assert_eq!(refused.unwrap_err(), ["limits[1]", "limits[2]"]);
        assert_eq!(read(&format!("[{good},{good}]")).unwrap_err(), ["limits"]);
        assert_eq!(read(r#"[{"of":"concurrency","count":1,"window_secs":60}]"#).unwrap_err(), ["limits[0]"]);
        assert!(read(r#"[{"of":"dollars","count":1}]"#).is_err());
    }
}
