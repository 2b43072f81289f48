//! Ids of tool calls: every dialect has its own idea of them, and a call and its result must agree.
//!
//! Towards callers a provider's own id is kept where it fits, and a fresh one is made where there is none. Towards upstreams an id that does
//! not fit is replaced by a digest of it, the same on every turn, so that prompt caches hold and a call still finds its result. Ids are
//! never shortened: two of them may begin alike.

use std::borrow::Cow;

use sha2::{Digest, Sha256};
use sluice_domain::Dialect;

/// The longest id that callers of every dialect take, in bytes.
const MAX_BYTES: usize = 40;
/// The longest that Responses takes.
const MAX_RESPONSES_BYTES: usize = 64;
/// Hexadecimal digits of an id we make.
const DIGITS: usize = 24;

/// Makes ids. Two makers of the same seed make the same ones.
#[derive(Debug, Clone)]
pub struct IdMaker {
    seed: [u8; 16],
    made: u64,
}

impl IdMaker {
    /// A maker for one request: its seed has to be random.
    #[must_use]
    pub const fn new(seed: [u8; 16]) -> Self {
        Self { seed, made: 0 }
    }

    /// A maker whose ids are not those of this one.
    #[must_use]
    pub const fn apart(mut self) -> Self {
        self.seed[0] ^= 0x80;
        self
    }

    /// An id with a prefix: `call_`, `msg_`, `resp_`, …
    pub fn make(&mut self, prefix: &str) -> String {
        self.made += 1;
        let digest = Sha256::new().chain_update(self.seed).chain_update(self.made.to_be_bytes()).finalize();
        format!("{prefix}{}", hex(&digest))
    }

    /// The id of a call, for a caller: the provider's own where it fits, else a new one.
    pub fn of_call(&mut self, own: Option<&str>, client: Dialect) -> String {
        match own.filter(|own| is_plain(own, MAX_BYTES)) {
            Some(own) => own.to_owned(),
            None => self.make(if client == Dialect::Anthropic { "toolu_" } else { "call_" }),
        }
    }
}

/// The id of a call or its result, for an upstream.
#[must_use]
pub fn for_upstream(id: &str, upstream: Dialect) -> Cow<'_, str> {
    let fits = match upstream {
        Dialect::OpenAi => !id.is_empty() && id.len() <= MAX_BYTES,
        Dialect::Responses => !id.is_empty() && id.len() <= MAX_RESPONSES_BYTES,
        Dialect::Anthropic => is_plain(id, usize::MAX),
        Dialect::Gemini => true,
    };
    if fits {
        return Cow::Borrowed(id);
    }
    Cow::Owned(format!("call_{}", hex(&Sha256::digest(id.as_bytes()))))
}

/// Letters, digits, `_` and `-`, and not too many.
fn is_plain(id: &str, most: usize) -> bool {
    let is_plain = id.bytes().all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'_' | b'-'));
    is_plain && !id.is_empty() && id.len() <= most
}

fn hex(digest: &[u8]) -> String {
    let digits = digest.iter().flat_map(|byte| [byte >> 4, byte & 15]).take(DIGITS);
    digits.filter_map(|digit| char::from_digit(u32::from(digit), 16)).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ids_for_callers_are_kept_where_they_fit_and_never_made_twice() {
        let mut maker = IdMaker::new([7; 16]);
        assert_eq!(maker.of_call(Some("call_abc-1"), Dialect::Anthropic), "call_abc-1");
        let (first, second) = (maker.of_call(None, Dialect::Anthropic), maker.of_call(Some("with space"), Dialect::OpenAi));
        assert!(first.starts_with("toolu_") && second.starts_with("call_") && second.len() == 29, "{first} {second}");
        assert_ne!(first[6..], second[5..]);
        assert_eq!(IdMaker::new([7; 16]).make("x"), IdMaker::new([7; 16]).make("x"));
    }

    #[test]
    fn an_id_that_does_not_fit_is_the_same_on_every_turn() {
        let long = "a".repeat(41);
        assert_eq!(for_upstream(&long, Dialect::Anthropic), long);
        let short = for_upstream(&long, Dialect::OpenAi);
        assert_eq!((short.len(), &short), (29, &for_upstream(&long, Dialect::OpenAi)));
        assert_ne!(short, for_upstream(&"a".repeat(42), Dialect::OpenAi), "not by what they begin with");
        assert!(for_upstream("a.b:c", Dialect::Anthropic).starts_with("call_"));
        assert_eq!(for_upstream("a.b:c", Dialect::Gemini), "a.b:c");
    }
}
