//! Masking of addresses and keys in text that other people will read.
//!
//! The text is cut at space, quotes, brackets and commas; each piece is judged alone. Masking twice changes nothing. What cannot be
//! told from an ordinary word (a host without dots, a short key without a known beginning) stays: name real keys in `known`.

use std::borrow::Cow;
use std::net::{Ipv4Addr, Ipv6Addr};

/// The longest message that is passed on, in bytes; the rest is cut off.
pub const MAX_MESSAGE_BYTES: usize = 4096;

const MASK: &str = "***";
const MASKED_IP: &str = "***.***.***.***";

/// How keys of known providers begin.
const KEY_STARTS: &[&str] = &[
    "sk-", "sk_", "pk-", "pk_", "rk-", "rk_", "gsk_", "xai-", "AIza", "AKIA", "ASIA", "ya29.", "eyJ", "ghp_", "hf_", "nvapi-",
    "r8_", "pplx-", "fw_", "app-", "tgp_", "csk-",
];
/// Letters a key has after its beginning, at least.
const KEY_TAIL: usize = 8;
/// A run of letters and digits, mixed and unbroken, of this length is taken for a key.
const OPAQUE_RUN: usize = 32;

/// How Google begins the names of its types: these are no addresses.
const NAMES_OF_TYPES: &str = "type.googleapis.com/google.";

/// Last labels of host names that are masked without a scheme in front.
const ENDINGS: &[&str] = &[
    "com",
    "net",
    "org",
    "io",
    "ai",
    "cn",
    "dev",
    "app",
    "co",
    "cloud",
    "internal",
    "local",
    "lan",
    "svc",
    "cluster",
    "corp",
    "home",
    "localdomain",
    "us",
    "uk",
    "eu",
    "de",
    "fr",
    "jp",
    "kr",
    "ru",
    "hk",
    "tw",
    "sg",
    "br",
    "ca",
    "au",
    "xyz",
    "top",
    "site",
    "tech",
    "info",
    "gov",
    "edu",
    "biz",
    "cc",
    "vip",
    "pro",
    "online",
    "run",
    "space",
];

/// The text with URLs, hosts, IP addresses, mail addresses and keys masked, and cut to [`MAX_MESSAGE_BYTES`].
///
/// `known` are keys that must not show even if they look like words; those under six characters are ignored.
#[must_use]
pub fn scrub<'a>(text: &'a str, known: &[&str]) -> Cow<'a, str> {
    // Keys go first: the cut must not leave the beginning of one.
    let text = match redact(text, known) {
        Cow::Borrowed(text) => Cow::Borrowed(shorten(text)),
        Cow::Owned(text) => Cow::Owned(shorten(&text).to_owned()),
    };
    let mut out = String::with_capacity(text.len());
    let mut is_after_bearer = false;
    for piece in text.split_inclusive(is_border) {
        let word = piece.trim_end_matches(is_border);
        let border = piece.get(word.len()..).unwrap_or_default();
        if is_after_bearer && word.len() >= KEY_TAIL {
            out.push_str(MASK);
        } else {
            push_word(&mut out, word);
        }
        if !word.is_empty() {
            is_after_bearer = word.eq_ignore_ascii_case("bearer");
        }
        out.push_str(border);
    }
    if out == *text { text } else { Cow::Owned(out) }
}

fn shorten(text: &str) -> &str {
    let end = text.floor_char_boundary(MAX_MESSAGE_BYTES);
    text.get(..end).unwrap_or(text)
}

pub(super) fn redact<'a>(text: &'a str, known: &[&str]) -> Cow<'a, str> {
    let mut text = Cow::Borrowed(text);
    for key in known.iter().filter(|key| key.len() >= 6) {
        if text.contains(key) {
            text = Cow::Owned(text.replace(key, MASK));
        }
    }
    text
}

fn is_border(c: char) -> bool {
    c.is_whitespace()
        || c.is_control()
        || matches!(c, '"' | '\'' | '`' | ',' | ';' | '|' | '<' | '>' | '(' | ')' | '{' | '}' | '\\')
}

fn push_word(out: &mut String, word: &str) {
    let core = word.trim_end_matches(['.', ':', '!', '?']);
    let tail = word.get(core.len()..).unwrap_or_default();
    if let Some((head, address)) = core.split_once("://") {
        let scheme_at = head.rfind(|c: char| !c.is_ascii_alphanumeric()).map_or(0, |at| at + 1);
        out.push_str(head);
        if scheme_at < head.len() {
            out.push_str("://");
            push_address(out, address);
        } else {
            out.push_str("://***");
        }
    } else if let Some((name, value)) = core.split_once('=') {
        out.push_str(name);
        out.push('=');
        if names_a_secret(name) && value.len() > MASK.len() { out.push_str(MASK) } else { push_plain(out, value) }
    } else {
        push_plain(out, core);
    }
    out.push_str(tail);
}

/// A word that is neither a URL nor an assignment.
fn push_plain(out: &mut String, word: &str) {
    if word.starts_with(NAMES_OF_TYPES) {
        out.push_str(word);
    } else if looks_like_key(word) {
        out.push_str(MASK);
    } else if let Some(masked) = masked_ip(word) {
        out.push_str(&masked);
    } else if let Some((user, domain)) = word.split_once('@')
        && !user.is_empty()
        && is_host(domain)
    {
        out.push_str("***@");
        push_host(out, domain);
    } else if is_host(authority(word)) {
        push_address(out, word);
    } else {
        out.push_str(word);
    }
}

fn names_a_secret(name: &str) -> bool {
    let name = name.to_ascii_lowercase();
    ["key", "token", "secret", "password", "authorization"].iter().any(|word| name.ends_with(word))
}

fn looks_like_key(word: &str) -> bool {
    let has_key_start = KEY_STARTS.iter().any(|start| {
        word.strip_prefix(start).is_some_and(|tail| {
            let run = tail.bytes().take_while(|b| b.is_ascii_alphanumeric() || matches!(b, b'-' | b'_' | b'.' | b'*')).count();
            run >= KEY_TAIL && tail.bytes().take(run).any(|b| b.is_ascii_digit() || b.is_ascii_uppercase() || b == b'*')
        })
    });
    has_key_start
        || word.split(|c: char| !c.is_ascii_alphanumeric()).any(|run| {
            run.len() >= OPAQUE_RUN && run.bytes().any(|b| b.is_ascii_digit()) && run.bytes().any(|b| b.is_ascii_alphabetic())
        })
}

/// An IP address with an optional port or path, masked.
fn masked_ip(word: &str) -> Option<String> {
    let host = authority(word);
    if let Some(inner) = host.strip_prefix('[').and_then(|rest| rest.split(']').next()) {
        return inner.parse::<Ipv6Addr>().ok().map(|_| "[***]".to_owned());
    }
    let name = host.split(':').next().unwrap_or(host);
    if name.parse::<Ipv4Addr>().is_ok() {
        return Some(MASKED_IP.to_owned());
    }
    (host.len() > 2 && host.parse::<Ipv6Addr>().is_ok()).then(|| MASKED_IP.to_owned())
}

/// The part of an address before its path.
fn authority(address: &str) -> &str {
    address.split(['/', '?', '#']).next().unwrap_or(address)
}

fn is_host(text: &str) -> bool {
    let (name, port) = text.split_once(':').unwrap_or((text, ""));
    if !port.bytes().all(|b| b.is_ascii_digit() || b == b'*') {
        return false;
    }
    if name.eq_ignore_ascii_case("localhost") {
        return true;
    }
    let Some((front, ending)) = name.rsplit_once('.') else { return false };
    let fits = |label: &str| !label.is_empty() && label.bytes().all(|b| b.is_ascii_alphanumeric() || matches!(b, b'-' | b'*'));
    ENDINGS.iter().any(|known| ending.eq_ignore_ascii_case(known)) && front.split('.').all(fits)
}

/// `host/path?query` with only the last label of the host and the names of query fields left.
fn push_address(out: &mut String, address: &str) {
    let host = authority(address);
    let rest = address.get(host.len()..).unwrap_or_default();
    push_host(out, host.rsplit('@').next().unwrap_or(host));
    let rest = rest.split('#').next().unwrap_or_default();
    let (path, query) = rest.split_once('?').unwrap_or((rest, ""));
    for segment in path.split('/').skip(1) {
        out.push('/');
        if !segment.is_empty() {
            out.push_str(MASK);
        }
    }
    for (place, pair) in query.split('&').filter(|pair| !pair.is_empty()).enumerate() {
        out.push(if place == 0 { '?' } else { '&' });
        if let Some((name, _)) = pair.split_once('=') {
            out.push_str(if name.len() <= 32 { name } else { MASK });
            out.push('=');
        }
        out.push_str(MASK);
    }
}

fn push_host(out: &mut String, host: &str) {
    if let Some(masked) = masked_ip(host) {
        out.push_str(&masked);
        return;
    }
    let (name, port) = host.split_once(':').unwrap_or((host, ""));
    match name.rsplit_once('.') {
        // The last label tells nothing; that of a masked IP address is itself a mask.
        Some(_) if name == MASKED_IP => out.push_str(MASKED_IP),
        Some((_, ending)) if ending.bytes().all(|b| b.is_ascii_alphabetic()) => {
            out.push_str("***.");
            out.push_str(ending);
        }
        _ => out.push_str(if name == "[***]" { "[***]" } else { MASK }),
    }
    if !port.is_empty() {
        out.push_str(":***");
    }
}
