//! What a catalogue file must keep to beyond its grammar.

use http::{HeaderName, HeaderValue};
use url::Url;

use crate::endpoint::{PLACES, REGION, VERSION};
use crate::{BaseUrl, BaseUrlMeaning, Hook, Provider};

/// The first rule a file breaks.
pub(crate) fn broken_rule(slug: &str, provider: &Provider) -> Option<&'static str> {
    if provider.slug != slug || !is_word(slug) {
        return Some("the slug must be the file's name, of a-z, 0-9 and -");
    }
    let is_full = provider.base_url.meaning == BaseUrlMeaning::FullUrl;
    if is_full != provider.endpoints.is_empty() || is_full == provider.base_url.serves.is_empty() {
        return Some("a prefix needs endpoints, a full URL needs a list of what it serves");
    }
    if !provider.paths().all(is_path) {
        return Some("every path must start with / and hold no braces but those of known places");
    }
    if provider.versions.is_none() && provider.paths().any(|path| path.contains(VERSION)) {
        return Some("a path with a version needs [versions]");
    }
    if provider.stream_endpoints.keys().any(|capability| !provider.endpoints.contains_key(capability)) {
        return Some("a path for streams needs one for whole answers");
    }
    let mut addresses = provider.base_url.default.iter().chain(&provider.base_url.alternatives);
    if addresses.any(|text| BaseUrl::parse(text, provider.base_url.meaning).is_err()) {
        return Some("the default base URL and its alternatives must be base URLs");
    }
    if !provider.base_url.regional.as_ref().is_none_or(|text| text.contains(REGION) && is_address(&text.replace(REGION, "x"))) {
        return Some("a regional base URL must have a place for the region");
    }
    if !provider.plans.iter().all(|plan| is_word(&plan.name) && plan.endpoints.values().all(|text| is_address(text))) {
        return Some("a plan is a word of a-z, 0-9 and -, and whole addresses");
    }
    if !provider.headers.iter().all(is_header) {
        return Some("a header must have a name, in small letters, and a value or a setting");
    }
    if !provider.hooks.iter().all(is_hook) {
        return Some("a hook's range, places or statuses make no sense");
    }
    provider.auth.broken_rule().or_else(|| provider.balance.as_ref()?.broken_rule())
}

fn is_word(text: &str) -> bool {
    !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'-')
}

fn is_path(path: &str) -> bool {
    let rest = PLACES.iter().fold(path.to_owned(), |rest, place| rest.replace(place, ""));
    let (front, query) = path.split_once('?').map_or((path, None), |(front, query)| (front, Some(query)));
    let is_query = query.is_none_or(|query| query.contains('=') && !query.contains(['?', '{']));
    front.starts_with('/') && (front == "/" || !front.ends_with('/')) && is_query && !rest.contains(['{', '}', '#', ' '])
}

fn is_address(text: &str) -> bool {
    Url::parse(text).is_ok_and(|url| url.scheme() == "https") && !text.contains('{')
}

fn is_header(rule: &crate::HeaderRule) -> bool {
    let is_name = HeaderName::try_from(rule.name.as_str()).is_ok_and(|name| name.as_str() == rule.name);
    let is_value = rule.value.as_deref().is_none_or(|value| HeaderValue::from_str(value).is_ok());
    is_name && is_value && (rule.value.is_some() || rule.setting.is_some())
}

fn is_hook(hook: &Hook) -> bool {
    match hook {
        Hook::Clamp { min, max, .. } => min <= max,
        Hook::ModelSuffix(suffix) => suffix.suffix.starts_with('-') && suffix.suffix.len() > 1,
        Hook::BodyError { code, message, statuses } => {
            code.starts_with('/') && message.starts_with('/') && statuses.values().all(|status| (400..600).contains(status))
        }
        Hook::Drop { on, .. } | Hook::Rename { on, .. } | Hook::SetDefault { on, .. } | Hook::Set { on, .. } => !on.is_empty(),
        _ => true,
    }
}
