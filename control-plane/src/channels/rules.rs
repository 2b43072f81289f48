//! Pure decisions about channels: which fields fit the provider.

use std::collections::BTreeMap;

use secrecy::{ExposeSecret, SecretString};
use sluice_billing::Ratio;
use sluice_domain::{GroupName, ModelName, Status};
use sluice_providers::Provider;
use sluice_snapshot::resource;

use super::{Channel, ChannelFields, settings};
use crate::http::{ApiError, LimitBody, Patch, Rules};

/// The most keys of a channel.
pub(super) const MOST_KEYS: usize = 1_000;
/// The most models of a channel.
const MOST_MODELS: usize = 2_000;
/// The most groups of a channel.
const MOST_GROUPS: usize = 200;
/// The most entries of a mapping.
const MOST_MAPPINGS: usize = 1_000;
/// The longest key of a provider, in bytes: service accounts are JSON files.
const MOST_KEY_BYTES: usize = 16_384;
/// Characters the column of the address holds.
const MOST_ADDRESS: usize = 255;
/// Priorities reach this far either way.
pub(super) const MOST_PRIORITY: i64 = 1_000_000;
/// The longest wait for the first output of a stream, in seconds.
const MOST_FIRST_OUTPUT_SECS: i64 = 3_600;
/// The largest weight.
const MOST_WEIGHT: i64 = 1_000_000;

/// Puts the fields that are there into a channel and checks the whole against its provider. Keys are checked, not stored.
pub(super) fn put_into(channel: &mut Channel, fields: &mut ChannelFields, provider: &Provider) -> Result<(), ApiError> {
    let mut rules = Rules::new();
    if let Some(name) = fields.name.take() {
        rules.line("name", &name, 1, 64);
        channel.name = name;
    }
    read_lists(&mut rules, channel, fields);
    if let Some(priority) = fields.priority {
        rules.within("priority", priority, -MOST_PRIORITY, MOST_PRIORITY);
        channel.priority = priority;
    }
    if let Some(weight) = fields.weight {
        rules.within("weight", weight, 0, MOST_WEIGHT);
        channel.weight = i32::try_from(weight).unwrap_or_default();
    }
    if let Some(status) = fields.status {
        if status == Status::AutoDisabled {
            rules.refuse("status", "choice", "must be enabled or disabled");
        }
        channel.status = status;
        channel.status_reason = None;
    }
    put_policy(&mut rules, channel, fields);
    if let Some(limits) = LimitBody::read(&mut rules, fields.limits.as_deref()) {
        channel.limits = limits;
    }
    if let Some(mapping) = fields.model_mapping.take() {
        check_mapping(&mut rules, &mapping);
        channel.model_mapping = mapping;
    }
    let ratio = std::mem::take(&mut fields.cache_read_ratio).try_map(|text| text.parse::<Ratio>());
    match ratio {
        Ok(patch) => channel.cache_read_ratio = patch.apply(channel.cache_read_ratio),
        Err(error) => rules.refuse("cache_read_ratio", "ratio", error.to_string()),
    }
    if channel.cache_read_ratio.is_some_and(|ratio| ratio > Ratio::ONE) {
        rules.refuse("cache_read_ratio", "range", "must be at most 1");
    }
    check_address(&mut rules, channel, fields, provider);
    check_keys(&mut rules, channel, fields, provider);
    put_settings(&mut rules, channel, fields, provider)?;
    rules.done()
}

fn read_lists(rules: &mut Rules, channel: &mut Channel, fields: &mut ChannelFields) {
    if let Some(models) = fields.models.take() {
        rules.at_most("models", &models, MOST_MODELS);
        if models.is_empty() {
            rules.refuse("models", "length", "must have at least one entry");
        }
        channel.models = unique(rules, "models", &models, MOST_MODELS, ModelName::parse);
    }
    if let Some(groups) = fields.groups.take() {
        rules.at_most("groups", &groups, MOST_GROUPS);
        if groups.is_empty() {
            rules.refuse("groups", "length", "must have at least one entry");
        }
        channel.groups = unique(rules, "groups", &groups, MOST_GROUPS, GroupName::parse);
    }
}

/// Names in the order they were given, each once.
fn unique<T: PartialEq, E: std::fmt::Display>(
    rules: &mut Rules,
    field: &str,
    texts: &[String],
    most: usize,
    parse: impl Fn(&str) -> Result<T, E>,
) -> Vec<T> {
    let mut names = Vec::new();
    for (at, text) in texts.iter().take(most).enumerate() {
        let name = rules.read(&format!("{field}[{at}]"), "name", parse(text));
        names.extend(name.filter(|name| !names.contains(name)));
    }
    names
}

fn put_settings(
    rules: &mut Rules,
    channel: &mut Channel,
    fields: &mut ChannelFields,
    provider: &Provider,
) -> Result<(), ApiError> {
    if let Some(patch) = fields.settings.take() {
        match channel.settings.patched(patch) {
            Ok(patched) => channel.settings = patched,
            Err(refused) if refused.errors.is_empty() => return Err(refused),
            // what is no settings is not judged further
            Err(refused) => {
                rules.append(refused.errors);
                return Ok(());
            }
        }
    }
    settings::check(rules, channel, provider);
    Ok(())
}

fn check_mapping(rules: &mut Rules, mapping: &BTreeMap<String, String>) {
    if mapping.len() > MOST_MAPPINGS {
        rules.refuse("model_mapping", "length", format!("must have at most {MOST_MAPPINGS} entries"));
    }
    for (from, to) in mapping {
        let field = format!("model_mapping.{from}");
        // an empty name ends a chain
        let parsed = ModelName::parse(from).and_then(|_| if to.is_empty() { Ok(()) } else { ModelName::parse(to).map(drop) });
        if let Err(rule) = parsed {
            rules.refuse(&field, "name", rule.to_string());
        }
        check_chain(rules, &field, mapping, from);
    }
}

/// Follows a name as relays do: one that leads to itself or to nothing ends it.
fn check_chain(rules: &mut Rules, field: &str, mapping: &BTreeMap<String, String>, from: &str) {
    let most = resource::Channel::MAX_MAPPINGS;
    let (mut name, mut seen) = (from, Vec::new());
    while let Some(next) = mapping.get(name).map(String::as_str).filter(|next| *next != name && !next.is_empty()) {
        seen.push(name);
        if seen.contains(&next) {
            return rules.refuse(field, "model_mapping_contains_cycle", "must not lead back to a name it came by");
        }
        if seen.len() > most {
            return rules.refuse(field, "length", format!("must lead to a name within {most} steps"));
        }
        name = next;
    }
}

fn put_policy(rules: &mut Rules, channel: &mut Channel, fields: &mut ChannelFields) {
    let policy = &mut channel.policy;
    policy.stays_on = fields.auto_ban.map_or(policy.stays_on, |bans| !bans);
    policy.keeps_empty = fields.empty_reply_retry.map_or(policy.keeps_empty, |retries| !retries);
    policy.drains = fields.drains.unwrap_or(policy.drains);
    match std::mem::take(&mut fields.first_output_secs) {
        Patch::Keep => {}
        Patch::Clear => policy.first_output_millis = 0,
        Patch::Set(secs) => {
            rules.within("first_output_secs", secs, 1, MOST_FIRST_OUTPUT_SECS);
            policy.first_output_millis = secs.clamp(0, MOST_FIRST_OUTPUT_SECS) * 1_000;
        }
    }
}

fn check_address(rules: &mut Rules, channel: &mut Channel, fields: &mut ChannelFields, provider: &Provider) {
    let typed = std::mem::take(&mut fields.base_url).apply(channel.base_url.take()).filter(|text| !text.trim().is_empty());
    match provider.parse_base_url(typed.as_deref().unwrap_or_default()) {
        Ok(base) => channel.base_url = typed.map(|_| base.as_str().to_owned()),
        Err(rule) => rules.refuse("base_url", "base_url", rule.to_string()),
    }
    if channel.base_url.as_ref().is_some_and(|text| text.chars().count() > MOST_ADDRESS) {
        rules.refuse("base_url", "length", format!("must have at most {MOST_ADDRESS} characters"));
    }
    channel.api_version =
        std::mem::take(&mut fields.api_version).apply(channel.api_version.take()).filter(|text| !text.is_empty());
    if let Some(version) = &channel.api_version {
        rules.line("api_version", version, 1, 64);
        if !version.chars().all(|c| c.is_ascii_alphanumeric() || matches!(c, '.' | '-' | '_')) {
            rules.refuse("api_version", "characters", "may have letters, digits and . - _ only");
        }
    }
}

fn check_keys(rules: &mut Rules, channel: &Channel, fields: &mut ChannelFields, provider: &Provider) {
    let is_optional = provider.auth.key_optional;
    let Some(keys) = &mut fields.keys else {
        // it was made for a provider that asks for no key
        if !is_optional && channel.keys.iter().any(|key| key.hint.is_empty()) {
            rules.refuse("keys", "required", "must be given: this provider needs a key");
        }
        return;
    };
    rules.at_most("keys", keys, MOST_KEYS);
    if keys.is_empty() && is_optional {
        // relays ask with one of a channel's keys, so no key is one that is empty
        keys.push(SecretString::default());
    }
    if keys.is_empty() {
        rules.refuse("keys", "length", "must have at least one entry: this provider needs a key");
    }
    for (at, key) in keys.iter().take(MOST_KEYS).enumerate() {
        let text = key.expose_secret();
        if text.is_empty() && !is_optional {
            rules.refuse(&format!("keys[{at}]"), "length", "must not be empty: this provider needs a key");
        }
        // it becomes part of a header
        if text.len() > MOST_KEY_BYTES || text.chars().any(char::is_control) || text.trim() != text {
            let rule = format!("must be one line of at most {MOST_KEY_BYTES} bytes without space around it");
            rules.refuse(&format!("keys[{at}]"), "key", rule);
        }
    }
}

/// The fields of a new channel that take a default.
pub(super) fn with_defaults(fields: &mut ChannelFields) {
    if fields.groups.is_none() {
        fields.groups = Some(vec![GroupName::DEFAULT.to_owned()]);
    }
    if fields.keys.is_none() {
        fields.keys = Some(vec![SecretString::default()]);
    }
}

/// Whether a patch changes what providers are asked with.
pub(super) fn is_empty(fields: &ChannelFields) -> bool {
    let untouched = [&fields.base_url, &fields.api_version, &fields.cache_read_ratio].iter().all(|patch| **patch == Patch::Keep);
    untouched
        && fields.name.is_none()
        && fields.provider.is_none()
        && fields.keys.is_none()
        && fields.models.is_none()
        && fields.groups.is_none()
        && fields.priority.is_none()
        && fields.weight.is_none()
        && fields.status.is_none()
        && fields.model_mapping.is_none()
        && fields.limits.is_none()
        && fields.settings.is_none()
        && [fields.auto_ban, fields.empty_reply_retry, fields.drains].iter().all(Option::is_none)
        && fields.first_output_secs == Patch::Keep
}

#[cfg(test)]
pub(super) mod tests {
    use sluice_domain::{ChannelId, ChannelKeyId, UnixMillis};
    use sluice_providers::Catalog;

    use super::*;
    use crate::channels::ChannelKey;

    pub(in crate::channels) fn blank() -> Channel {
        Channel {
            id: ChannelId::new(0),
            name: String::new(),
            provider: "openai".into(),
            base_url: None,
            api_version: None,
            models: vec![],
            groups: vec![],
            priority: 0,
            weight: 1,
            status: Status::Enabled,
            status_reason: None,
            model_mapping: BTreeMap::new(),
            cache_read_ratio: None,
            policy: crate::channels::Policy::default(),
            limits: sluice_domain::Limits::default(),
            settings: settings::Settings::default(),
            keys: vec![],
            rev: 1,
            created_at: UnixMillis(0),
            updated_at: UnixMillis(0),
        }
    }

    fn put(slug: &str, mut fields: ChannelFields) -> Result<Channel, Vec<String>> {
        let catalog = Catalog::shipped().unwrap();
        let mut channel = blank();
        let put = put_into(&mut channel, &mut fields, catalog.get(slug).unwrap());
        put.map(|()| channel).map_err(|error| error.errors.into_iter().map(|error| error.field).collect())
    }

    fn texts(texts: &[&str]) -> Vec<String> {
        texts.iter().map(|text| (*text).to_owned()).collect()
    }

    #[test]
    fn names_are_kept_once_in_the_order_given() {
        let channel = put("openai", ChannelFields { models: Some(texts(&["b", "a", "b"])), ..ChannelFields::default() }).unwrap();
        assert_eq!(channel.models.iter().map(ModelName::as_str).collect::<Vec<_>>(), ["b", "a"]);
    }

    #[test]
    fn every_field_that_breaks_its_rule_is_named() {
        let mapping = BTreeMap::from([("a".to_owned(), "b".to_owned()), ("b".to_owned(), "a".to_owned())]);
        let fields = ChannelFields {
            name: Some(String::new()),
            models: Some(texts(&[])),
            groups: Some(texts(&["x,y"])),
            priority: Some(i64::MAX),
            weight: Some(-1),
            status: Some(Status::AutoDisabled),
            model_mapping: Some(mapping),
            cache_read_ratio: Patch::Set("1.1".into()),
            base_url: Patch::Set("ftp://x".into()),
            api_version: Patch::Set("a&b".into()),
            keys: Some(vec!["a\nb".into(), "".into()]),
            ..ChannelFields::default()
        };
        assert_eq!(
            put("openai", fields).unwrap_err(),
            [
                "name",
                "models",
                "groups[0]",
                "priority",
                "weight",
                "status",
                "model_mapping.a",
                "model_mapping.b",
                "cache_read_ratio",
                "base_url",
                "api_version",
                "keys[0]",
                "keys[1]"
            ]
        );
    }

    #[test]
    fn a_mapping_may_lead_to_itself_or_to_nothing_and_nowhere_else_back() {
        let codes = |pairs: &[(&str, &str)]| {
            let mapping = pairs.iter().map(|(from, to)| ((*from).to_owned(), (*to).to_owned())).collect();
            let mut rules = Rules::new();
            check_mapping(&mut rules, &mapping);
            let refused = rules.done().err().map(|refused| refused.errors).unwrap_or_default();
            refused.into_iter().map(|error| format!("{} {}", error.field, error.code)).collect::<Vec<_>>()
        };
        assert!(codes(&[("a", "b"), ("b", "b"), ("c", ""), ("d", "c")]).is_empty());
        let cycle = "model_mapping_contains_cycle";
        let into = codes(&[("a", "b"), ("b", "c"), ("c", "b")]);
        assert_eq!(into, ["a", "b", "c"].map(|from| format!("model_mapping.{from} {cycle}")));
        let names: Vec<String> = (10..28).map(|number| number.to_string()).collect();
        let chain: Vec<(&str, &str)> = names.iter().zip(&names[1..]).map(|(from, to)| (from.as_str(), to.as_str())).collect();
        assert_eq!(codes(&chain), ["model_mapping.10 length"], "17 steps");
    }

    #[test]
    fn a_channel_without_key_fits_only_a_provider_that_asks_for_none() {
        let none =
            || ChannelFields { keys: Some(vec![]), base_url: Patch::Set("http://10.0.0.1".into()), ..ChannelFields::default() };
        let mut fields = none();
        let catalog = Catalog::shipped().unwrap();
        put_into(&mut blank(), &mut fields, catalog.get("openai-compatible").unwrap()).unwrap();
        assert_eq!(fields.keys.unwrap().len(), 1, "one that is empty");
        assert_eq!(put("openai", none()).unwrap_err(), ["keys"]);
        let key = ChannelKey { id: ChannelKeyId::new(1), hint: String::new(), status: Status::Enabled, status_reason: None };
        let mut moved = Channel { keys: vec![key], ..blank() };
        let refused = put_into(&mut moved, &mut ChannelFields::default(), catalog.get("openai").unwrap()).unwrap_err();
        assert_eq!(refused.errors[0].field, "keys");
    }

    #[test]
    fn the_address_of_an_endpoint_is_refused_by_the_fields_name() {
        let endpoint = "https://my-resource.openai.azure.com/openai/deployments/gpt-4o/chat/completions";
        let mut fields = ChannelFields { base_url: Patch::Set(endpoint.into()), ..ChannelFields::default() };
        let catalog = Catalog::shipped().unwrap();
        let refused = put_into(&mut blank(), &mut fields, catalog.get("azure-openai").unwrap()).unwrap_err();
        assert_eq!(refused.errors[0].field, "base_url");
        let rule = "must not end with /openai/deployments/{model}/chat/completions: it is added";
        assert_eq!(refused.errors[0].detail, rule);
    }

    #[test]
    fn a_provider_without_address_needs_one() {
        assert_eq!(put("openai-compatible", ChannelFields::default()).unwrap_err(), ["base_url"]);
        let fields = ChannelFields { base_url: Patch::Set(" http://10.0.0.1:8000/ ".into()), ..ChannelFields::default() };
        assert_eq!(put("openai-compatible", fields).unwrap().base_url.as_deref(), Some("http://10.0.0.1:8000"));
        assert_eq!(put("openai", ChannelFields::default()).unwrap().base_url, None);
    }
}
