//! Which settings fit a channel and its provider.

use sluice_dialect::loss::Field;
use sluice_providers::{FieldName, Provider};
use sluice_snapshot::ChannelSettings;
use url::Url;

use super::{headers, overrides};
use crate::channels::Channel;
use crate::http::Rules;

/// The longest value of a provider's field, in characters.
const MOST_FIELD: usize = 4_096;
/// The largest form of changes of bodies, in bytes.
const MOST_OVERRIDE_BYTES: usize = 65_536;
/// The longest instructions, in bytes.
const MOST_PROMPT_BYTES: usize = 65_536;
/// The longest address of a proxy, in characters.
const MOST_PROXY: usize = 1_024;
/// How a relay can speak to a proxy.
const PROXY_SCHEMES: [&str; 4] = ["http", "https", "socks5", "socks5h"];
/// Statuses of refusals.
const REFUSALS: std::ops::RangeInclusive<u16> = 400..=599;
/// The largest settings altogether, in bytes.
const MOST_BYTES: usize = 262_144;

/// Judges the settings of a channel against its provider and models.
pub(in crate::channels) fn check(rules: &mut Rules, channel: &Channel, provider: &Provider) {
    let settings = &*channel.settings.0;
    check_fields(rules, channel, provider);
    if settings.is_default() {
        return;
    }
    check_override(rules, settings);
    headers::check(rules, &settings.header_override);
    if let Some(prompt) = &settings.system_prompt
        && (prompt.text.trim().is_empty() || prompt.text.len() > MOST_PROMPT_BYTES)
    {
        rules.refuse("settings.system_prompt.text", "length", format!("must have 1 to {MOST_PROMPT_BYTES} bytes"));
    }
    check_proxy(rules, "settings.proxy", settings.proxy.as_deref());
    check_proxy(rules, "settings.media_proxy", settings.media_proxy.as_deref());
    for (from, to) in &settings.status_mapping {
        if !REFUSALS.contains(from) || !REFUSALS.contains(to) {
            rules.refuse(&format!("settings.status_mapping.{from}"), "range", "must be from 400 to 599, to 400 to 599");
        }
    }
    for word in settings.losses.keys().filter(|word| Field::from_word(word).is_none()) {
        let words: Vec<&str> = Field::ALL.into_iter().filter_map(Field::word).collect();
        rules.refuse(&format!("settings.losses.{word}"), "choice", format!("must be one of {}", words.join(", ")));
    }
    if settings.test_model.as_deref().is_some_and(|name| channel.models.iter().all(|model| model.as_str() != name)) {
        rules.refuse("settings.test_model", "choice", "must be one of the channel's models");
    }
    let bytes = settings.to_text().len();
    if bytes > MOST_BYTES {
        rules.refuse("settings", "length", format!("must have at most {MOST_BYTES} bytes as JSON, have {bytes}"));
    }
}

/// A channel that is in use has what its provider needs, and none has what its provider does not know.
fn check_fields(rules: &mut Rules, channel: &Channel, provider: &Provider) {
    let given = &channel.settings.0.fields;
    for (name, value) in given {
        let field = format!("settings.fields.{name}");
        let known = provider.fields.iter().map(|field| field.name).find(|known| known.as_str() == name);
        match known {
            None => rules.refuse(&field, "unknown_field", format!("is no field of {}", provider.name)),
            Some(FieldName::ApiVersion) => rules.refuse(&field, "unknown_field", "must be given as the channel's api_version"),
            Some(_) if value.is_empty() || value.chars().count() > MOST_FIELD => {
                rules.refuse(&field, "length", format!("must have 1 to {MOST_FIELD} characters, or be left out"));
            }
            Some(known) => drop(rules.read(&field, "value", known.judge(value))),
        }
    }
    for needed in provider.fields.iter().filter(|field| field.required && channel.status.is_enabled()) {
        let (field, is_there) = match needed.name {
            FieldName::ApiVersion => ("api_version".to_owned(), channel.api_version.is_some()),
            name => (format!("settings.fields.{}", name.as_str()), given.contains_key(name.as_str())),
        };
        if !is_there {
            rules.refuse(&field, "required", format!("must be given: {} needs it", provider.name));
        }
    }
}

/// The changes of bodies: their size, and whether they are any.
fn check_override(rules: &mut Rules, settings: &ChannelSettings) {
    let bytes = serde_json::to_string(&settings.param_override).map_or(usize::MAX, |text| text.len());
    if bytes > MOST_OVERRIDE_BYTES {
        rules.refuse("settings.param_override", "length", format!("must have at most {MOST_OVERRIDE_BYTES} bytes as JSON"));
    } else if let Some(rule) = overrides::broken_rule(&settings.param_override) {
        rules.refuse("settings.param_override", "operation", rule);
    }
}

fn check_proxy(rules: &mut Rules, field: &str, proxy: Option<&str>) {
    let Some(address) = proxy else { return };
    let is_proxy = |url: &Url| {
        let has_host = url.host_str().is_some_and(|host| !host.is_empty());
        let is_bare = matches!(url.path(), "" | "/") && url.query().is_none() && url.fragment().is_none();
        PROXY_SCHEMES.contains(&url.scheme()) && has_host && is_bare
    };
    if address.chars().count() > MOST_PROXY {
        rules.refuse(field, "length", format!("must have at most {MOST_PROXY} characters"));
    } else if !Url::parse(address).is_ok_and(|url| is_proxy(&url)) {
        rules.refuse(
            field,
            "proxy",
            "must be http, https, socks5 or socks5h://[user:password@]host[:port], without path or query",
        );
    }
}
