//! Headers that a channel sends, and rules about which of the caller's it does (providers.md §13.3). What relays cannot follow is refused
//! by their own judge ([`HeaderOverride::compile`]), entry by entry.

use std::collections::{BTreeMap, BTreeSet};

use sluice_providers::HeaderOverride;

use crate::http::Rules;

/// The most headers and rules of a channel.
const MOST_HEADERS: usize = 100;
/// The longest value, in bytes.
const MOST_VALUE_BYTES: usize = 8_192;
/// How expressions over the caller's headers begin.
const PATTERNS: [&str; 2] = ["regex:", "re:"];
/// What the names of headers that hold secrets have in them.
const SECRET_WORDS: [&str; 8] = ["auth", "cookie", "credential", "key", "passw", "secret", "signature", "token"];

/// Whether a name is a rule about the caller's headers.
pub(super) fn is_rule(name: &str) -> bool {
    name == "*" || PATTERNS.iter().any(|prefix| name.starts_with(prefix))
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
    let mut seen = BTreeSet::new();
    for (name, value) in headers.iter().take(MOST_HEADERS) {
        let field = format!("settings.header_override.{name}");
        if !is_rule(name) && !seen.insert(name.to_ascii_lowercase()) {
            rules.refuse(&field, "twice", "is there twice: names differ in more than case");
        } else if value.len() > MOST_VALUE_BYTES || value.trim() != value {
            let rule = format!("must be a line of at most {MOST_VALUE_BYTES} bytes without space around it");
            rules.refuse(&field, "value", rule);
        } else if let Err(error) = HeaderOverride::compile(&BTreeMap::from([(name.clone(), value.clone())])) {
            rules.refuse(&field, "header", error.rule);
        }
    }
}
