//! Ways to prove a key that are more than a header: signatures over a request, and tokens that a key is exchanged for.
//!
//! Everything is computed from its arguments; the time is one of them. Nothing here sends anything: where a token has to be fetched, the
//! request is made here and the answer is read here.

use hmac::{Hmac, KeyInit, Mac};
use jiff::Timestamp;
use sha2::{Digest, Sha256};

pub mod aws;
pub mod baidu;
pub mod google;
pub mod spark;
pub mod tencent;
pub mod zhipu;

/// Why a request cannot be signed. No value is shown.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum SignError {
    /// The key does not have its parts.
    #[error("the key must be {0}")]
    Key(&'static str),
    /// The time is out of any calendar.
    #[error("the time is out of range")]
    Time,
    /// The request's parts cannot be signed.
    #[error("the request cannot be signed")]
    Request,
    /// The private key of a service account is not one.
    #[error("the private key cannot be used")]
    PrivateKey,
}

/// A token that a key was exchanged for.
#[derive(Clone)]
pub struct AccessToken {
    /// The token.
    pub secret: secrecy::SecretString,
    /// How long it is good for, in seconds.
    pub lifetime_secs: u64,
}

impl std::fmt::Debug for AccessToken {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("AccessToken").field("lifetime_secs", &self.lifetime_secs).finish_non_exhaustive()
    }
}

impl AccessToken {
    /// Reads `{"access_token": ..., "expires_in": ...}`; `None` when the answer has no token.
    #[must_use]
    pub fn read(answer: &[u8]) -> Option<Self> {
        #[derive(serde::Deserialize)]
        struct Wire {
            access_token: String,
            expires_in: u64,
        }
        let wire: Wire = serde_json::from_slice(answer).ok()?;
        (!wire.access_token.is_empty()).then(|| Self { secret: wire.access_token.into(), lifetime_secs: wire.expires_in })
    }
}

/// The parts of a key between `|`, trimmed, when there are exactly so many and none is empty.
fn parts<const N: usize>(key: &str) -> Option<[&str; N]> {
    let parts: Vec<&str> = key.split(crate::auth::SEPARATOR).map(str::trim).collect();
    <[&str; N]>::try_from(parts).ok().filter(|parts| parts.iter().all(|part| !part.is_empty()))
}

/// A time in a form of the C library.
fn time(now_secs: i64, form: &str) -> Result<String, SignError> {
    let time = Timestamp::from_second(now_secs).map_err(|_| SignError::Time)?;
    Ok(time.strftime(form).to_string())
}

fn sha256_hex(bytes: &[u8]) -> String {
    hex::encode(Sha256::digest(bytes))
}

fn hmac_sha256(key: &[u8], text: &[u8]) -> [u8; 32] {
    // as HMAC fits a key to its block
    let mut block = [0; 64];
    if key.len() > block.len() {
        block[..32].copy_from_slice(&Sha256::digest(key));
    } else {
        block[..key.len()].copy_from_slice(key);
    }
    let mut mac = Hmac::<Sha256>::new(&block.into());
    mac.update(text);
    mac.finalize().into_bytes().into()
}

#[cfg(test)]
mod tests {
    use secrecy::ExposeSecret;

    use super::*;

    #[test]
    fn hmac_is_that_of_rfc_4231() {
        let short = hmac_sha256(b"Jefe", b"what do ya want for nothing?");
        assert_eq!(hex::encode(short), "5bdcc146bf60754e6a042426089575c75a003f089d2739839dec58b964ec3843");
        let long = hmac_sha256(&[0xaa; 131], b"Test Using Larger Than Block-Size Key - Hash Key First");
        assert_eq!(hex::encode(long), "60e431591ee0b67f0d8a26aacbf5b77f8e0bc6213728c5140546040f0ee37f54");
    }

    #[test]
    fn keys_have_exactly_their_parts() {
        assert_eq!(parts(" a | b|c "), Some(["a", "b", "c"]));
        for key in ["a|b", "a|b|c|d", "a||c", ""] {
            assert_eq!(parts::<3>(key), None, "{key}");
        }
    }

    #[test]
    fn a_token_is_read_and_not_shown() {
        let token = AccessToken::read(br#"{"access_token":"t","expires_in":3599,"token_type":"Bearer"}"#).unwrap();
        assert_eq!((token.secret.expose_secret(), token.lifetime_secs), ("t", 3599));
        assert_eq!(format!("{token:?}"), "AccessToken { lifetime_secs: 3599, .. }");
        assert!(AccessToken::read(br#"{"error":"invalid_client"}"#).is_none());
        assert!(AccessToken::read(br#"{"access_token":"","expires_in":1}"#).is_none());
    }
}
