//! State of one family in the hands of a caller of another: an envelope that only we can make, and that says whose it is.
//!
//! `slc1.` + base64url(payload) + `.` + base64url(first 16 bytes of HMAC-SHA256). The payload is a JSON array: family, account, item, value.
//! Whoever sends an envelope back gets the state to the family it came from, and to no other; a changed one is as good as none.

use base64::Engine as _;
use base64::prelude::BASE64_URL_SAFE_NO_PAD;
use hmac::{Hmac, KeyInit, Mac};
use sha2::Sha256;

use crate::ir::{Family, Signature};

const PREFIX: &str = "slc1.";
/// Whether a body may hold an envelope of ours.
#[must_use]
pub fn has_envelope(body: &[u8]) -> bool {
    memchr::memmem::find(body, PREFIX.as_bytes()).is_some()
}

/// Bytes of the tag.
const TAG_BYTES: usize = 16;

/// Makes and opens envelopes. Every relay of a site has the same key, so that any of them opens what another made.
#[derive(Clone)]
pub struct Sealer(Hmac<Sha256>);

impl std::fmt::Debug for Sealer {
    /// Shows no key.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Sealer")
    }
}

impl Sealer {
    /// A sealer with a key of the site's.
    #[must_use]
    pub fn new(key: &[u8; 32]) -> Self {
        // as HMAC pads a key shorter than its block
        let mut block = [0; 64];
        block[..32].copy_from_slice(key);
        Self(Hmac::new(&block.into()))
    }

    /// What a caller of a dialect of `reader`'s sees: the provider's own value where it is the same family, else an envelope.
    #[must_use]
    pub fn wire(&self, signature: &Signature, reader: Family) -> String {
        if signature.family == reader { signature.value.clone() } else { self.seal(signature) }
    }

    /// What a caller of a dialect of `writer`'s sent back: an envelope of ours, or the family's own value. `None` for a broken envelope.
    #[must_use]
    pub fn read(&self, wire: &str, writer: Family) -> Option<Signature> {
        if wire.starts_with(PREFIX) {
            return self.open(wire);
        }
        Some(Signature { family: writer, account: None, item: None, value: wire.to_owned() })
    }

    /// An envelope around a signature.
    #[must_use]
    pub fn seal(&self, signature: &Signature) -> String {
        let Signature { family, account, item, value } = signature;
        let payload = serde_json::json!([word(*family), account, item, value]).to_string();
        let (payload, tag) = (BASE64_URL_SAFE_NO_PAD.encode(&payload), self.tag(payload.as_bytes()));
        format!("{PREFIX}{payload}.{}", BASE64_URL_SAFE_NO_PAD.encode(tag))
    }

    /// What is in an envelope; `None` when it is none of ours.
    #[must_use]
    pub fn open(&self, envelope: &str) -> Option<Signature> {
        let (payload, tag) = envelope.strip_prefix(PREFIX)?.split_once('.')?;
        let payload = BASE64_URL_SAFE_NO_PAD.decode(payload).ok()?;
        let tag = BASE64_URL_SAFE_NO_PAD.decode(tag).ok()?;
        let mut mac = self.0.clone();
        mac.update(&payload);
        if tag.len() != TAG_BYTES || mac.verify_truncated_left(&tag).is_err() {
            return None;
        }
        let (family, account, item, value): (String, Option<u64>, Option<String>, String) =
            serde_json::from_slice(&payload).ok()?;
        Some(Signature { family: family_of(&family)?, account, item, value })
    }

    fn tag(&self, payload: &[u8]) -> [u8; TAG_BYTES] {
        let mut mac = self.0.clone();
        mac.update(payload);
        let mut tag = [0; TAG_BYTES];
        for (to, from) in tag.iter_mut().zip(mac.finalize().into_bytes()) {
            *to = from;
        }
        tag
    }
}

const FAMILIES: [(Family, &str); 4] =
    [(Family::OpenAi, "o"), (Family::Anthropic, "a"), (Family::Google, "g"), (Family::Compatible, "c")];

fn word(family: Family) -> &'static str {
    FAMILIES.into_iter().find(|(known, _)| *known == family).map_or("c", |(_, word)| word)
}

fn family_of(word: &str) -> Option<Family> {
    FAMILIES.into_iter().find(|(_, known)| *known == word).map(|(family, _)| family)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn signature() -> Signature {
        Signature { family: Family::Google, account: Some(7), item: Some("rs_1".to_owned()), value: "CpQB+/==".to_owned() }
    }

    #[test]
    fn an_envelope_comes_back_as_it_went() {
        let sealer = Sealer::new(&[1; 32]);
        let wire = sealer.wire(&signature(), Family::Anthropic);
        assert!(
            wire.starts_with("slc1.") && wire.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"._-".contains(&byte)),
            "{wire}"
        );
        assert_eq!(sealer.read(&wire, Family::Anthropic), Some(signature()));
        assert_eq!(sealer.wire(&signature(), Family::Google), "CpQB+/==", "their own callers get their own value");
    }

    #[test]
    fn a_changed_envelope_and_one_of_another_site_are_none() {
        let sealer = Sealer::new(&[1; 32]);
        let wire = sealer.seal(&signature());
        for place in 5..wire.len() {
            let mut changed = wire.clone().into_bytes();
            changed[place] ^= 1;
            let changed = String::from_utf8(changed).unwrap();
            assert_ne!(sealer.open(&changed), Some(signature()).filter(|_| changed != wire), "{changed}");
        }
        assert_eq!(Sealer::new(&[2; 32]).open(&wire), None);
        assert_eq!(sealer.read("slc1.x", Family::Anthropic), None);
        assert_eq!(sealer.read("EqQB", Family::Anthropic).map(|raw| raw.family), Some(Family::Anthropic));
    }
}
