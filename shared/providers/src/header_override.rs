//! Headers that a channel's administrator wants sent, and rules about which of the caller's are (providers.md §13.3).
//!
//! A name with a value is an entry: `{api_key}` in it is the channel's key, and `{client_header:Name}` alone is the caller's header of that
//! name. The names `*`, `re:<pattern>` and `regex:<pattern>` are rules: the caller's headers that fit are sent, where nothing of our own has
//! that name. Entries win over rules. What proves who somebody is, what belongs to one connection and what our own work has changed is never
//! taken from the caller.

use std::collections::BTreeMap;
use std::fmt;

use http::header::{HeaderMap, HeaderName, HeaderValue};
use regex::{Regex, RegexBuilder};
use secrecy::{ExposeSecret, SecretString};

/// Stands for the channel's key.
const API_KEY: &str = "{api_key}";
/// Begins what stands for a header of the caller's.
const CLIENT_HEADER: &str = "{client_header:";
/// What rules begin with that are patterns.
const PATTERNS: [&str; 2] = ["re:", "regex:"];
/// The rule that every header fits.
const ALL: &str = "*";
/// The most entries and rules of a channel.
const MAX_ENTRIES: usize = 100;
/// The longest pattern, in bytes.
const MAX_PATTERN_BYTES: usize = 1_024;
/// The most memory a pattern may take, in bytes.
const MAX_COMPILED_BYTES: usize = 1 << 20;

/// Headers that make a message what it is, or belong to its connection: no entry may have them.
const FRAMING: [&str; 16] = [
    "accept-encoding",
    "connection",
    "content-encoding",
    "content-length",
    "keep-alive",
    "proxy-connection",
    "te",
    "trailer",
    "transfer-encoding",
    "upgrade",
    "expect",
    "proxy-authenticate",
    "proxy-authorization",
    "sec-websocket-extensions",
    "sec-websocket-key",
    "sec-websocket-version",
];
/// How our own headers begin.
const OUR_OWN: &str = "x-sluice-";
/// Headers that say who the caller is, to us.
const CREDENTIALS: [&str; 8] = [
    "api-key",
    "authorization",
    "cookie",
    "mj-api-secret",
    "new-api-user",
    "sec-websocket-protocol",
    "x-api-key",
    "x-goog-api-key",
];
/// Headers beside these that are no upstream's business: where the caller is, how it reached us, and what we write ourselves.
const OURS: [&str; 7] = ["content-type", "forwarded", "host", "via", "x-oneapi-request-id", "x-real-ip", "x-request-id"];
/// Beginnings of such names.
const OURS_BEGIN: [&str; 3] = ["x-forwarded-", OUR_OWN, "cf-connecting-"];

/// Whether a header of a caller's may never reach an upstream by a rule.
fn is_kept_back(name: &HeaderName) -> bool {
    let name = name.as_str();
    FRAMING.contains(&name)
        || CREDENTIALS.contains(&name)
        || OURS.contains(&name)
        || OURS_BEGIN.iter().any(|beginning| name.starts_with(beginning))
}

/// Changes of a request's headers, ready to be made.
#[derive(Clone, Default)]
pub struct HeaderOverride {
    entries: Vec<(HeaderName, Entry)>,
    rules: Vec<Rule>,
}

/// What an entry's value is made of.
#[derive(Clone)]
enum Entry {
    /// A text.
    Fixed(HeaderValue),
    /// A text with places for the channel's key.
    WithKey(Box<str>),
    /// The caller's header; no entry where there is none.
    Client(HeaderName),
}

/// Which of the caller's headers are sent.
#[derive(Debug, Clone)]
enum Rule {
    All,
    Fitting(Regex),
}

/// An entry or rule that is none, or a value that cannot be sent. It shows the name, and no value.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("`{name}` {rule}")]
pub struct HeaderOverrideError {
    /// The name as it is written.
    pub name: String,
    /// What it breaks, as a clause that follows the name.
    pub rule: &'static str,
}

impl fmt::Debug for HeaderOverride {
    /// Without values: they may be secret.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let names: Vec<_> = self.entries.iter().map(|(name, _)| name).collect();
        f.debug_struct("HeaderOverride").field("entries", &names).field("rules", &self.rules.len()).finish()
    }
}

impl HeaderOverride {
    /// Reads and judges the entries and rules of a channel.
    ///
    /// # Errors
    /// When one of them can never be followed, or would give a caller's credentials away.
    pub fn compile(written: &BTreeMap<String, String>) -> Result<Self, HeaderOverrideError> {
        let mut made = Self::default();
        for (number, (name, value)) in written.iter().enumerate() {
            let failed = |rule| HeaderOverrideError { name: name.clone(), rule };
            if number >= MAX_ENTRIES {
                return Err(failed("is one too many: there may be 100"));
            }
            match rule(name).map_err(failed)? {
                Some(rule) => made.rules.push(rule),
                None => made.entries.push(entry(name, value).map_err(failed)?),
            }
        }
        Ok(made)
    }

    /// Whether it changes nothing, whatever the request.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.entries.is_empty() && self.rules.is_empty()
    }

    /// Whether what is written asks for headers of the caller's, so that they have to be kept until it is followed.
    #[must_use]
    pub fn reads_caller(written: &BTreeMap<String, String>) -> bool {
        let is_rule = |name: &String| name == ALL || PATTERNS.iter().any(|beginning| name.starts_with(beginning));
        written.iter().any(|(name, value)| is_rule(name) || value.trim().starts_with(CLIENT_HEADER))
    }

    /// What of a caller's headers may reach an upstream at all.
    #[must_use]
    pub fn passable(client: &HeaderMap) -> HeaderMap {
        let may_pass = client.iter().filter(|(name, _)| !is_kept_back(name));
        may_pass.map(|(name, value)| (name.clone(), value.clone())).collect()
    }

    /// Changes the headers of a request. `client` are the caller's.
    ///
    /// # Errors
    /// When the channel's key has letters that no header may have.
    pub fn apply(&self, headers: &mut HeaderMap, client: &HeaderMap, secret: &SecretString) -> Result<(), HeaderOverrideError> {
        let passed: Vec<&HeaderName> = client.keys().filter(|name| self.passes(name) && !headers.contains_key(*name)).collect();
        for name in passed {
            for value in client.get_all(name) {
                headers.append(name.clone(), value.clone());
            }
        }
        for (name, entry) in &self.entries {
            match entry {
                Entry::Fixed(value) => {
                    headers.insert(name.clone(), value.clone());
                }
                Entry::WithKey(text) => {
                    let text = text.replace(API_KEY, secret.expose_secret().trim());
                    let rule = "cannot be sent with the channel's key in it";
                    let mut value =
                        HeaderValue::try_from(text).map_err(|_| HeaderOverrideError { name: name.as_str().to_owned(), rule })?;
                    value.set_sensitive(true);
                    headers.insert(name.clone(), value);
                }
                Entry::Client(wanted) => {
                    if let Some(value) = client.get(wanted) {
                        headers.insert(name.clone(), value.clone());
                    }
                }
            }
        }
        Ok(())
    }

    fn passes(&self, name: &HeaderName) -> bool {
        let fits = |rule: &Rule| match rule {
            Rule::All => true,
            Rule::Fitting(pattern) => pattern.is_match(name.as_str()),
        };
        !is_kept_back(name) && self.rules.iter().any(fits)
    }
}

/// The rule that a name is; `None` where it is a name.
fn rule(name: &str) -> Result<Option<Rule>, &'static str> {
    if name == ALL {
        return Ok(Some(Rule::All));
    }
    let Some(pattern) = PATTERNS.iter().find_map(|beginning| name.strip_prefix(beginning)) else { return Ok(None) };
    if pattern.is_empty() || pattern.len() > MAX_PATTERN_BYTES {
        return Err("must have a pattern of at most 1024 bytes");
    }
    let built = RegexBuilder::new(pattern)
        .case_insensitive(true)
        .size_limit(MAX_COMPILED_BYTES)
        .dfa_size_limit(MAX_COMPILED_BYTES)
        .build();
    built
        .map(|pattern| Some(Rule::Fitting(pattern)))
        .map_err(|_| "must be a regular expression that RE2 takes, and not a huge one")
}

fn entry(name: &str, value: &str) -> Result<(HeaderName, Entry), &'static str> {
    let header = HeaderName::try_from(name.trim()).map_err(|_| "is no name of a header")?;
    if FRAMING.contains(&header.as_str()) {
        return Err("cannot be set: it makes the message what it is");
    }
    if header.as_str().starts_with(OUR_OWN) {
        return Err("cannot be set: such headers are Sluice's own");
    }
    let value = value.trim();
    let made = if let Some(wanted) = value.strip_prefix(CLIENT_HEADER) {
        let wanted = wanted.strip_suffix('}').ok_or("must be {client_header:Name} and nothing else")?;
        let wanted = HeaderName::try_from(wanted.trim()).map_err(|_| "asks for a header that cannot be one")?;
        if is_kept_back(&wanted) {
            return Err("asks for a header of the caller's that is never passed on");
        }
        Entry::Client(wanted)
    } else if value.contains(CLIENT_HEADER) {
        return Err("must be {client_header:Name} and nothing else");
    } else if value.contains(API_KEY) {
        HeaderValue::try_from(value.replace(API_KEY, "")).map_err(|_| "has letters that no header may have")?;
        Entry::WithKey(value.into())
    } else {
        let mut fixed = HeaderValue::try_from(value).map_err(|_| "has letters that no header may have")?;
        fixed.set_sensitive(true);
        Entry::Fixed(fixed)
    };
    Ok((header, made))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use rstest::rstest;

    use super::*;

    fn written(entries: &[(&str, &str)]) -> BTreeMap<String, String> {
        entries.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect()
    }

    fn map(headers: &[(&str, &str)]) -> HeaderMap {
        let parsed = |(name, value): &(&str, &str)| (name.parse::<HeaderName>().unwrap(), value.parse().unwrap());
        headers.iter().map(parsed).collect()
    }

    /// What is sent in place of `own`, as `name: value`, sorted.
    fn sent(entries: &[(&str, &str)], own: &[(&str, &str)], client: &[(&str, &str)]) -> Vec<String> {
        let mut headers = map(own);
        let made = HeaderOverride::compile(&written(entries)).unwrap();
        made.apply(&mut headers, &map(client), &"sk-up".into()).unwrap();
        let mut lines: Vec<_> = headers.iter().map(|(name, value)| format!("{name}: {}", value.to_str().unwrap())).collect();
        lines.sort();
        lines
    }

    #[rstest]
    #[case(&[("X-One", "1")], &[], &["x-one: 1"])]
    #[case(&[("X-Key", "Token {api_key}!")], &[], &["x-key: Token sk-up!"])]
    #[case(&[("X-Two", "{client_header:X-Their}")], &[("x-their", "t")], &["x-two: t"])]
    #[case(&[("X-Two", "{client_header:X-Their}")], &[], &[])]
    #[case(&[("X-Two", "{client_header:X-Their}")], &[("x-their", "{api_key}")], &["x-two: {api_key}"])]
    #[case(&[("*", "")], &[("x-a", "1"), ("x-b", "2")], &["x-a: 1", "x-b: 2"])]
    #[case(&[("*", "ignored"), ("X-A", "mine")], &[("x-a", "1"), ("x-b", "2")], &["x-a: mine", "x-b: 2"])]
    #[case(&[("re:^X-A", "")], &[("x-a", "1"), ("x-ab", "2"), ("x-b", "3")], &["x-a: 1", "x-ab: 2"])]
    #[case(&[("regex:b$", "")], &[("x-a", "1"), ("x-b", "3")], &["x-b: 3"])]
    #[case(&[("*", "")], &[("x-a", "1"), ("x-a", "2")], &["x-a: 1", "x-a: 2"])]
    fn entries_and_rules_make_headers(
        #[case] entries: &[(&str, &str)],
        #[case] client: &[(&str, &str)],
        #[case] expected: &[&str],
    ) {
        assert_eq!(sent(entries, &[], client), expected);
        let reads = entries.iter().any(|(name, value)| name.contains(['*', ':']) || value.contains("client_header"));
        assert_eq!(HeaderOverride::reads_caller(&written(entries)), reads);
    }

    #[test]
    fn an_entry_replaces_what_we_send_and_a_rule_does_not() {
        let own = [("authorization", "Bearer sk-up"), ("appid", "ours")];
        assert_eq!(sent(&[("*", "")], &own, &[("appid", "theirs")]), ["appid: ours", "authorization: Bearer sk-up"]);
        let entries = [("Authorization", "Key {api_key}"), ("Host", "api.example")];
        assert_eq!(sent(&entries, &own, &[]), ["appid: ours", "authorization: Key sk-up", "host: api.example"]);
    }

    #[test]
    fn what_may_be_secret_is_marked_so_that_nothing_shows_it() {
        let made = HeaderOverride::compile(&written(&[("X-Key", "{api_key}"), ("X-Fixed", "hunter2")])).unwrap();
        let mut headers = HeaderMap::new();
        made.apply(&mut headers, &HeaderMap::new(), &"sk-up".into()).unwrap();
        assert!(headers.values().all(HeaderValue::is_sensitive));
        assert!(!format!("{headers:?} {made:?}").contains("sk-up") && !format!("{headers:?} {made:?}").contains("hunter2"));
    }

    #[rstest]
    #[case("X A", "1", "is no name of a header")]
    #[case("X-Sluice-Channel", "1", "cannot be set: such headers are Sluice's own")]
    #[case("Sec-WebSocket-Key", "1", "cannot be set: it makes the message what it is")]
    #[case("X-A", "a\nb", "has letters that no header may have")]
    #[case("X-A", "{api_key}\n", "")]
    #[case("X-A", "{api_key}\nx", "has letters that no header may have")]
    #[case("re:(", "", "must be a regular expression that RE2 takes, and not a huge one")]
    #[case(r"re:(?:\pL{1000}){1000}", "", "must be a regular expression that RE2 takes, and not a huge one")]
    #[case("regex:", "", "must have a pattern of at most 1024 bytes")]
    #[case("X-A", "Bearer {client_header:X-B}", "must be {client_header:Name} and nothing else")]
    #[case("X-A", "{client_header:X-B}!", "must be {client_header:Name} and nothing else")]
    #[case("X-A", "{client_header:Authorization}", "asks for a header of the caller's that is never passed on")]
    #[case("Transfer-Encoding", "chunked", "cannot be set: it makes the message what it is")]
    fn what_can_never_be_sent_is_refused_by_name(#[case] name: &str, #[case] value: &str, #[case] rule: &str) {
        let refused = HeaderOverride::compile(&written(&[(name, value)])).err().map(|error| (error.name, error.rule));
        assert_eq!(refused, (!rule.is_empty()).then(|| (name.to_owned(), rule)));
    }

    #[test]
    fn a_key_that_no_header_takes_is_told_without_its_letters() {
        let made = HeaderOverride::compile(&written(&[("X-Key", "{api_key}")])).unwrap();
        let told = made.apply(&mut HeaderMap::new(), &HeaderMap::new(), &"hunter2\nx".into()).unwrap_err();
        assert_eq!(told.to_string(), "`x-key` cannot be sent with the channel's key in it");
        let shown = HeaderOverride::compile(&written(&[("X-A", "hunter2"), ("*", "")])).unwrap();
        assert!(!format!("{shown:?}").contains("hunter2"));
    }

    fn reserved() -> impl Strategy<Value = String> {
        let names = FRAMING.iter().chain(&CREDENTIALS).chain(&OURS).map(|name| (*name).to_owned());
        let all: Vec<String> = names.chain(OURS_BEGIN.iter().map(|beginning| format!("{beginning}for"))).collect();
        prop::sample::select(all)
    }

    fn spelled(name: &str, upper: &[bool]) -> String {
        name.chars().zip(upper.iter().cycle()).map(|(c, upper)| if *upper { c.to_ascii_uppercase() } else { c }).collect()
    }

    proptest! {
        #[test]
        fn nothing_that_is_kept_back_reaches_an_upstream(
            name in reserved(),
            upper in prop::collection::vec(any::<bool>(), 1..5),
            rule in prop_oneof![Just("*".to_owned()), "re:[a-z.*-]{0,5}", "regex:.*"],
        ) {
            let name = spelled(&name, &upper);
            let client = map(&[(&name, "topsecret"), ("x-fine", "1")]);
            let leaks = |headers: &HeaderMap| headers.values().any(|value| value == "topsecret");
            if let Ok(made) = HeaderOverride::compile(&written(&[(&rule, "")])) {
                let mut headers = HeaderMap::new();
                made.apply(&mut headers, &client, &"k".into()).unwrap();
                prop_assert!(!leaks(&headers), "{rule} {name}");
            }
            let asking = HeaderOverride::compile(&written(&[("x-a", &format!("{{client_header:{name}}}"))]));
            prop_assert!(asking.is_err(), "{}", name);
            prop_assert!(!leaks(&HeaderOverride::passable(&client)) && HeaderOverride::passable(&client).len() == 1);
        }

        #[test]
        fn no_entry_makes_it_panic(name in ".{0,12}", value in ".{0,24}") {
            if let Ok(made) = HeaderOverride::compile(&written(&[(&name, &value)])) {
                let _ = made.apply(&mut HeaderMap::new(), &HeaderMap::new(), &"k".into());
            }
        }
    }
}
