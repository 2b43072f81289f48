//! The table of settings.

use serde_json::Value;
use sluice_billing::HoldPolicy;
use sluice_dialect::capabilities::Table;
use sluice_domain::Quota;
use sluice_snapshot::RelaySettings;
use sluice_snapshot::RequestLimits;
use url::Url;

/// Where a setting takes effect.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Effect {
    /// On every relay, within a second.
    Relays,
    /// In the control plane and the console, at once.
    Site,
}

/// What values a setting takes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// Yes or no.
    Switch,
    /// A whole number within bounds.
    Whole {
        /// The least.
        least: i64,
        /// The most.
        most: i64,
    },
    /// Text up to some characters.
    Text {
        /// The most characters.
        most: usize,
    },
    /// An http(s) address, or empty.
    Address,
    /// Requests and successes of some groups, as JSON.
    GroupLimits,
    /// What models take, as JSON.
    Capabilities,
    /// A number above zero with at most six decimals.
    Rate,
    /// One of some words.
    Choice(&'static [&'static str]),
}

/// One setting: what it is, what it takes, and what it does.
#[derive(Debug, PartialEq, Eq)]
pub struct Definition {
    /// Its name, for ever.
    pub name: &'static str,
    /// What values it takes.
    pub kind: Kind,
    /// Its default in text form.
    pub default: &'static str,
    /// The unit of its value; empty: none.
    pub unit: &'static str,
    /// Where it takes effect.
    pub effect: Effect,
    /// What it does.
    pub description: &'static str,
}

/// The longest text of the limits of groups, in characters.
pub(super) const MOST_GROUP_LIMITS: usize = 20_000;

/// The longest table of what models take, in characters.
pub(super) const MOST_CAPABILITIES: usize = 20_000;

/// Every setting, grouped by topic.
pub const DEFINITIONS: [Definition; 37] = [
    text("system_name", 64, "Sluice", "Name of the site, on every page and in mails."),
    Definition {
        name: "server_address",
        kind: Kind::Address,
        default: "",
        unit: "",
        effect: Effect::Site,
        description: "Public address of the site, used in snippets and links. Empty: the address of the page.",
    },
    Definition {
        name: "logo",
        kind: Kind::Address,
        default: "",
        unit: "",
        effect: Effect::Site,
        description: "Address of the logo. Empty: ours.",
    },
    text("footer_html", 10_000, "", "HTML for the bottom of every page. It is cleaned before it is shown."),
    Definition {
        name: "docs_link",
        kind: Kind::Address,
        default: "",
        unit: "",
        effect: Effect::Site,
        description: "Address of the documents. Empty: those of the console.",
    },
    Definition {
        name: "top_up_link",
        kind: Kind::Address,
        default: "",
        unit: "",
        effect: Effect::Site,
        description: "Address of a shop that sells quota. Empty: no link.",
    },
    Definition {
        name: "quota_display_type",
        kind: Kind::Choice(&["USD", "CNY", "TOKENS", "CUSTOM"]),
        default: "USD",
        unit: "",
        effect: Effect::Site,
        description: "How amounts are shown to users.",
    },
    Definition {
        name: "usd_exchange_rate",
        kind: Kind::Rate,
        default: "7.3",
        unit: "CNY per USD",
        effect: Effect::Site,
        description: "What amounts are multiplied with where they are shown as CNY.",
    },
    Definition {
        name: "custom_currency_exchange_rate",
        kind: Kind::Rate,
        default: "1",
        unit: "per USD",
        effect: Effect::Site,
        description: "What amounts are multiplied with where they are shown in a currency of the site's own.",
    },
    Definition {
        name: "display_token_stat",
        kind: Kind::Switch,
        default: "true",
        unit: "",
        effect: Effect::Site,
        description: "Whether the balance pages that programs read tell of the token alone. Otherwise they tell of its owner's wallet, to \
                      whoever holds the token.",
    },
    Definition {
        name: "quota_for_new_user",
        kind: Kind::Whole { least: 0, most: Quota::LIMIT },
        default: "0",
        unit: "quota units",
        effect: Effect::Site,
        description: "Gift in the wallet of each new user.",
    },
    Definition {
        name: "max_user_tokens",
        kind: Kind::Whole { least: 1, most: 100_000 },
        default: "1000",
        unit: "tokens",
        effect: Effect::Site,
        description: "The most tokens a user has.",
    },
    Definition {
        name: "automatic_disable_channel_enabled",
        kind: Kind::Switch,
        default: "false",
        unit: "",
        effect: Effect::Site,
        description: "Switch channels and keys off for good when their upstream refuses them.",
    },
    text(
        "automatic_disable_status_codes",
        255,
        "401",
        "Statuses of an upstream that switch a channel or key off, separated by commas: 401, 500-503.",
    ),
    relay(
        "automatic_disable_keywords",
        Kind::Text { most: 4_000 },
        RelaySettings::DISABLE_KEYWORDS,
        "",
        "Words in an upstream's error that switch a channel or key off when they come three times in five minutes, one per line.",
    ),
    Definition {
        name: "automatic_enable_channel_enabled",
        kind: Kind::Switch,
        default: "false",
        unit: "",
        effect: Effect::Site,
        description: "Switch channels and keys that were switched off automatically on again when a test of them passes.",
    },
    Definition {
        name: "channel_disable_threshold",
        kind: Kind::Whole { least: 0, most: 3_600 },
        default: "5",
        unit: "seconds",
        effect: Effect::Site,
        description: "A test that takes longer switches its channel off, where channels are switched off automatically. 0: however long it \
                      takes.",
    },
    Definition {
        name: "channel_test_minutes",
        kind: Kind::Whole { least: 0, most: 44_640 },
        default: "0",
        unit: "minutes",
        effect: Effect::Site,
        description: "How often every channel that nobody switched off is tested, one after the other. Tests are charged to nobody; what \
                      upstreams charge for them is the site's. 0: as CHANNEL_TEST_FREQUENCY says, or not at all.",
    },
    Definition {
        name: "request_log_days",
        kind: Kind::Whole { least: 0, most: 36_500 },
        default: "0",
        unit: "days",
        effect: Effect::Site,
        description: "How long settled requests stay in the request log. 0: for ever. Sums per hour and the ledger stay.",
    },
    Definition {
        name: "audit_log_days",
        kind: Kind::Whole { least: 0, most: 36_500 },
        default: "0",
        unit: "days",
        effect: Effect::Site,
        description: "How long the audit trail is kept. 0: for ever.",
    },
    relay(
        "model_capabilities",
        Kind::Capabilities,
        "",
        "",
        "What models take, as JSON, before what is known of them: {\"model\": [{\"names\": [\"my-model*\"], \"takes\": {\"images\": false}}]}. \
         The fields are those of shared/dialect/src/capabilities.toml.",
    ),
    relay(
        "media_by_url",
        Kind::Choice(&["pass", "inline"]),
        "pass",
        "",
        "How images and other media that requests name by address reach providers, where a channel does not say it: pass gives the address \
         on, inline has the relay fetch them and send data, so that nobody outside sees where a provider is.",
    ),
    relay(
        "thinking_model_blacklist",
        Kind::Text { most: 4_000 },
        RelaySettings::WHOLE_NAMES,
        "",
        "Models that are asked for by their whole name even where nobody lists it and its end would ask for something (-thinking, -high), \
         one per line; `*` is any text, and alone all models.",
    ),
    relay("retry_times", Kind::Whole { least: 0, most: 10 }, "2", "attempts", "Attempts after the first when a channel fails."),
    relay(
        "force_stream_option",
        Kind::Switch,
        "true",
        "",
        "Ask the upstream for usage in streams, so that they are billed by its figures.",
    ),
    relay(
        "enforce_include_usage",
        Kind::Switch,
        "false",
        "",
        "Always give usage to callers of streams, whether they asked for it or not.",
    ),
    relay(
        "pre_consumed_quota",
        Kind::Whole { least: 0, most: 1_000_000 },
        "500",
        "tokens",
        "The least input that is held for before a request is sent.",
    ),
    relay(
        "default_output_hold",
        Kind::Whole { least: 0, most: 1_000_000 },
        "2000",
        "tokens",
        "Output that is held for at first where more is held for as it streams, and the step by which that grows.",
    ),
    relay(
        "hold_policy",
        Kind::Choice(&HoldPolicy::WORDS),
        "adaptive",
        "",
        "How output is held for, unless the model's price says otherwise. adaptive: by the usual length of the model's answers while the \
         balance is healthy, extended as they stream; strict where the balance is low or the caller sets a limit. strict: all that may \
         come. windowed: step by step, and the stream is cut where the balance ends.",
    ),
    relay(
        "assumed_max_output",
        Kind::Whole { least: 1, most: 1_000_000 },
        "16384",
        "tokens",
        "The most output of an answer, for a strict hold, where neither the caller nor the model's price says.",
    ),
    relay(
        "clamp_output",
        Kind::Switch,
        "true",
        "",
        "Lower the output limit that is sent upstream to what the balance covers, instead of refusing the request. The answer says so in \
         the header x-sluice-output-limit.",
    ),
    relay(
        "clamp_floor",
        Kind::Whole { least: 1, most: 100_000 },
        "16",
        "tokens",
        "The least output limit that is sent upstream for want of money; with less the request is refused.",
    ),
    relay("model_request_rate_limit_enabled", Kind::Switch, "false", "", "Limit how many requests each user makes in a group."),
    relay(
        "model_request_rate_limit_duration_minutes",
        Kind::Whole { least: 1, most: 44_640 },
        "1",
        "minutes",
        "The time in which those requests count.",
    ),
    relay(
        "model_request_rate_limit_count",
        Kind::Whole { least: 0, most: 1_000_000_000 },
        "0",
        "requests",
        "The most requests of a user in a group in that time, whatever becomes of them. 0: any number.",
    ),
    relay(
        "model_request_rate_limit_success_count",
        Kind::Whole { least: 0, most: 1_000_000_000 },
        "1000",
        "requests",
        "The most requests of a user in a group in that time that succeed. 0: any number.",
    ),
    relay(
        "model_request_rate_limit_group",
        Kind::GroupLimits,
        "{}",
        "",
        "Both limits for some groups instead, as JSON: {\"vip\": [600, 500]}.",
    ),
];

const fn text(name: &'static str, most: usize, default: &'static str, description: &'static str) -> Definition {
    Definition { name, kind: Kind::Text { most }, default, unit: "", effect: Effect::Site, description }
}

const fn relay(
    name: &'static str,
    kind: Kind,
    default: &'static str,
    unit: &'static str,
    description: &'static str,
) -> Definition {
    Definition { name, kind, default, unit, effect: Effect::Relays, description }
}

/// The setting of this name.
#[must_use]
pub(super) fn find(name: &str) -> Option<&'static Definition> {
    DEFINITIONS.iter().find(|definition| definition.name == name)
}

impl Definition {
    /// Reads a value into its text form.
    ///
    /// # Errors
    /// The rule it breaks.
    pub fn read(&self, value: &Value) -> Result<String, String> {
        match (self.kind, value) {
            (Kind::Switch, Value::Bool(on)) => Ok(on.to_string()),
            (Kind::Switch, _) => Err("must be true or false".to_owned()),
            (Kind::Whole { least, most }, value) => match value.as_i64() {
                Some(number) if (least..=most).contains(&number) => Ok(number.to_string()),
                _ => Err(format!("must be a whole number from {least} to {most}")),
            },
            (Kind::Text { most }, Value::String(text)) if text.chars().count() <= most && !text.contains(is_unprintable) => {
                Ok(text.clone())
            }
            (Kind::Text { most }, _) => Err(format!("must be text of at most {most} characters, without control characters")),
            (Kind::GroupLimits, Value::String(text)) if text.chars().count() <= MOST_GROUP_LIMITS => {
                RequestLimits::read_groups(text).map(|_| text.trim().to_owned())
            }
            (Kind::GroupLimits, Value::String(_)) => Err(format!("must have at most {MOST_GROUP_LIMITS} characters")),
            (Kind::Capabilities, Value::String(text)) if text.chars().count() <= MOST_CAPABILITIES => {
                let read = Table::read_json(text).map(|_| text.trim().to_owned());
                read.map_err(|error| format!("must be rows of names and what those models take: {error}"))
            }
            (Kind::Capabilities, Value::String(_)) => Err(format!("must have at most {MOST_CAPABILITIES} characters")),
            (Kind::Address, Value::String(text)) => read_address(text),
            (Kind::Address | Kind::GroupLimits | Kind::Capabilities, _) => Err("must be text".to_owned()),
            (Kind::Rate, Value::String(text)) if micros(text).is_some() => Ok(text.clone()),
            (Kind::Rate, _) => {
                Err("must be a text with a number above 0 and at most 1000000, with at most six decimals".to_owned())
            }
            (Kind::Choice(words), Value::String(word)) if words.contains(&word.as_str()) => Ok(word.clone()),
            (Kind::Choice(words), _) => Err(format!("must be one of {}", words.join(", "))),
        }
    }

    /// The JSON form of a value in text form.
    #[must_use]
    pub fn show(&self, text: &str) -> Value {
        match self.kind {
            Kind::Switch => Value::Bool(text == "true"),
            Kind::Whole { .. } => text.parse::<i64>().map_or(Value::Null, Value::from),
            Kind::Text { .. } | Kind::Rate | Kind::GroupLimits | Kind::Capabilities | Kind::Address | Kind::Choice(_) => {
                Value::String(text.to_owned())
            }
        }
    }
}

/// A rate in millionths; `None` where it is none.
#[must_use]
pub(super) fn micros(rate: &str) -> Option<i64> {
    const PLACES: usize = 6;
    let (whole, part) = rate.split_once('.').unwrap_or((rate, "0"));
    let is_digits = |text: &str| !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
    if !is_digits(whole) || !is_digits(part) || part.len() > PLACES || whole.len() > 7 {
        return None;
    }
    let micros: i64 = format!("{whole}{part:0<PLACES$}").parse().ok()?;
    (1..=1_000_000_000_000).contains(&micros).then_some(micros)
}

fn is_unprintable(c: char) -> bool {
    c.is_control() && !matches!(c, '\n' | '\r' | '\t')
}

/// The longest address, in characters.
const MAX_ADDRESS: usize = 2_000;

/// Reads an address of a site: without spaces around it and slashes at its end; empty is none.
///
/// # Errors
/// The rule it breaks.
pub fn read_address(text: &str) -> Result<String, String> {
    let text = text.trim().trim_end_matches('/');
    if text.is_empty() {
        return Ok(String::new());
    }
    let parsed = Url::parse(text).ok().filter(|url| ["http", "https"].contains(&url.scheme()) && url.host_str().is_some());
    match parsed {
        Some(_) if text.chars().count() <= MAX_ADDRESS => Ok(text.to_owned()),
        _ => Err("must be an address that begins with http:// or https://, or empty".to_owned()),
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use serde_json::json;
    use sluice_snapshot::resource::Setting;

    use super::*;

    #[test]
    fn every_default_keeps_its_own_rule_and_reads_back() {
        for definition in &DEFINITIONS {
            let shown = definition.show(definition.default);
            assert_eq!(definition.read(&shown).as_deref(), Ok(definition.default), "{}", definition.name);
        }
    }

    #[test]
    fn the_table_has_every_setting_relays_follow_with_their_defaults() {
        let ours: BTreeSet<&str> = DEFINITIONS
            .iter()
            .filter(|definition| definition.effect == Effect::Relays)
            .map(|definition| definition.name)
            .collect();
        assert_eq!(ours, RelaySettings::NAMES.into_iter().chain(RequestLimits::NAMES).collect());
        let (mut settings, mut limits) = (RelaySettings::default(), RequestLimits::default());
        for definition in DEFINITIONS.iter().filter(|definition| definition.effect == Effect::Relays) {
            let setting = Setting { name: definition.name.into(), value: definition.default.into() };
            settings.set(&setting).and_then(|()| limits.set(&setting)).unwrap();
        }
        assert_eq!((settings, limits), (RelaySettings::default(), RequestLimits::default()));
    }

    #[test]
    fn values_of_another_type_or_beyond_the_bounds_are_refused() {
        let refused = |name: &str, value: Value| find(name).unwrap().read(&value).is_err();
        for value in [json!(-1), json!(11), json!(1.5), json!("2"), json!(true), json!(u64::MAX), json!([2]), json!({})] {
            assert!(refused("retry_times", value.clone()), "{value}");
        }
        assert!(refused("force_stream_option", json!("true")));
        assert!(refused("quota_display_type", json!("EUR")));
        for value in
            [json!(7.3), json!("0"), json!("-1"), json!("1e3"), json!("7,3"), json!("1."), json!("1.0000001"), json!("1000001")]
        {
            assert!(refused("usd_exchange_rate", value.clone()), "{value}");
        }
        assert_eq!((micros("7.3"), micros("0.000001"), micros("1000000")), (Some(7_300_000), Some(1), Some(1_000_000_000_000)));
        for value in [json!("[]"), json!(r#"{"vip": [1, 0]}"#), json!({"vip": [1, 1]}), json!(" ".repeat(20_001))] {
            assert!(refused("model_request_rate_limit_group", value.clone()), "{value}");
        }
        for value in [json!("[]"), json!(r#"{"model": [{"names": ["x"], "takes": {"imges": true}}]}"#), json!(" ".repeat(20_002))]
        {
            assert!(refused("model_capabilities", value.clone()), "{value}");
        }
        assert!(refused("server_address", json!("javascript:alert(1)")));
        assert!(refused("server_address", json!("example.com")));
        assert!(refused("system_name", json!("x".repeat(65))));
        assert_eq!(find("server_address").unwrap().read(&json!("https://a.example/")), Ok("https://a.example".to_owned()));
    }
}
