//! Headers that a channel sends, and rules about which of the caller's it does (providers.md §13.3).

use std::collections::BTreeMap;

use http::{HeaderName, HeaderValue};
use regex::RegexBuilder;

use crate::http::Rules;

/// The most headers and rules of a channel.
const MOST_HEADERS: usize = 100;
/// The longest value, in bytes.
const MOST_VALUE_BYTES: usize = 8_192;
/// The longest expression, in bytes.
const MOST_PATTERN_BYTES: usize = 512;
/// What an expression may become when it is compiled, in bytes.
const MOST_PROGRAM_BYTES: usize = 1 << 18;
/// How expressions over the caller's headers begin.
const PATTERNS: [&str; 2] = ["regex:", "re:"];
/// Headers that belong to one connection, or say how its bytes are to be read: they are Sluice's to set.
const CONNECTIONS: [&str; 16] = [
    "accept-encoding",
    "connection",
    "content-encoding",
    "content-length",
    "expect",
    "keep-alive",
    "proxy-authenticate",
    "proxy-authorization",
    "proxy-connection",
    "sec-websocket-extensions",
    "sec-websocket-key",
    "sec-websocket-version",
    "te",
    "trailer",
    "transfer-encoding",
    "upgrade",
];
/// Headers by which callers prove who they are, to Sluice alone.
const CALLERS_OWN: [&str; 9] = [
    "api-key",
    "authorization",
    "cookie",
    "mj-api-secret",
    "new-api-user",
    "proxy-authorization",
    "sec-websocket-protocol",
    "x-api-key",
    "x-goog-api-key",
];
/// How Sluice's own headers begin.
const OURS: &str = "x-sluice-";
/// What the names of headers that hold secrets have in them.
const SECRET_WORDS: [&str; 8] = ["auth", "cookie", "credential", "key", "passw", "secret", "signature", "token"];

/// Whether a name is a rule about the caller's headers.
pub(super) fn is_rule(name: &str) -> bool {
    name == "*" || pattern(name).is_some()
}

/// Whether a header of this name is likely to hold a secret.
pub(super) fn is_secret_name(name: &str) -> bool {
    let name = name.to_ascii_lowercase();
    SECRET_WORDS.iter().any(|word| name.contains(word))
}

pub(super) fn check(rules: &mut Rules, headers: &BTreeMap<String, String>) {
    if headers.len() > MOST_HEADERS {
        rules.refuse("settings.header_override", "length", format!("must have at most {MOST_HEADERS} entries"));
    }
    let mut seen: Vec<HeaderName> = Vec::new();
    for (name, value) in headers.iter().take(MOST_HEADERS) {
        let field = format!("settings.header_override.{name}");
        if name == "*" {
            continue;
        }
        if let Some(pattern) = pattern(name) {
            check_pattern(rules, &field, pattern);
            continue;
        }
        match HeaderName::try_from(name.as_str()) {
            Ok(known) if seen.contains(&known) => rules.refuse(&field, "twice", "is there twice: names differ in more than case"),
            Ok(known) => {
                check_name(rules, &field, &known);
                seen.push(known);
            }
            Err(_) => rules.refuse(&field, "name", "must be the name of a header, *, or an expression after re:"),
        }
        check_value(rules, &field, value);
    }
}

fn pattern(name: &str) -> Option<&str> {
    PATTERNS.iter().find_map(|prefix| name.strip_prefix(prefix))
}

fn check_pattern(rules: &mut Rules, field: &str, pattern: &str) {
    let is_long = pattern.len() > MOST_PATTERN_BYTES;
    if pattern.is_empty() || is_long || RegexBuilder::new(pattern).size_limit(MOST_PROGRAM_BYTES).build().is_err() {
        let rule = format!("must be a regular expression (RE2) of 1 to {MOST_PATTERN_BYTES} bytes");
        rules.refuse(field, "pattern", rule);
    }
}

fn check_name(rules: &mut Rules, field: &str, name: &HeaderName) {
    if CONNECTIONS.contains(&name.as_str()) || name.as_str().starts_with(OURS) {
        rules.refuse(field, "reserved", "is reserved: Sluice sets it, or leaves it out");
    }
}

fn check_value(rules: &mut Rules, field: &str, value: &str) {
    if value.len() > MOST_VALUE_BYTES || value.trim() != value || HeaderValue::from_str(value).is_err() {
        let rule = format!("must be a line of at most {MOST_VALUE_BYTES} bytes without space around it");
        return rules.refuse(field, "value", rule);
    }
    let Some(at) = value.find("{client_header:") else { return };
    let named = value.strip_prefix("{client_header:").and_then(|rest| rest.strip_suffix('}')).filter(|_| at == 0);
    match named.map(HeaderName::try_from) {
        Some(Ok(theirs)) if CALLERS_OWN.contains(&theirs.as_str()) => {
            rules.refuse(field, "reserved", "must not pass on what callers prove themselves to Sluice with");
        }
        Some(Ok(_)) => {}
        Some(Err(_)) | None => rules.refuse(field, "placeholder", "must be {client_header:NAME} and nothing else"),
    }
}
