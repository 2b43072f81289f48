//! Zhipu's tokens for its third interface: a key `id.secret` signs a short-lived JWT.

use base64::Engine as _;
use base64::prelude::BASE64_URL_SAFE_NO_PAD;
use secrecy::SecretString;

use super::{SignError, hmac_sha256};

/// How long a token is good for, in milliseconds.
pub const LIFETIME_MS: i64 = 24 * 60 * 60 * 1_000;
const HEADER: &str = r#"{"alg":"HS256","sign_type":"SIGN"}"#;

/// A token for a key, made now. It is sent as `Authorization`, without the word `Bearer`.
///
/// # Errors
/// When the key is not `id.secret`.
pub fn token(key: &str, now_ms: i64) -> Result<SecretString, SignError> {
    let (id, secret) = key.trim().split_once('.').ok_or(SignError::Key("id.secret"))?;
    if id.is_empty() || secret.is_empty() {
        return Err(SignError::Key("id.secret"));
    }
    let id = serde_json::Value::from(id);
    let claims = format!(r#"{{"api_key":{id},"exp":{},"timestamp":{now_ms}}}"#, now_ms.saturating_add(LIFETIME_MS));
    let signed = format!("{}.{}", BASE64_URL_SAFE_NO_PAD.encode(HEADER), BASE64_URL_SAFE_NO_PAD.encode(claims));
    let signature = BASE64_URL_SAFE_NO_PAD.encode(hmac_sha256(secret.as_bytes(), signed.as_bytes()));
    Ok(format!("{signed}.{signature}").into())
}

#[cfg(test)]
mod tests {
    use secrecy::ExposeSecret;

    use super::*;

    #[test]
    fn a_token_is_signed_as_in_the_vector() {
        let token = token("abc.def", 1_700_000_000_000).unwrap();
        let parts: Vec<&str> = token.expose_secret().split('.').collect();
        let claims = BASE64_URL_SAFE_NO_PAD.decode(parts[1]).unwrap();
        assert_eq!(claims, br#"{"api_key":"abc","exp":1700086400000,"timestamp":1700000000000}"#);
        assert_eq!(parts[2], "_bRQOkxBtdGFgwaD37IV1TvfQA3n-hc-e9l2mpMCquc");
    }

    #[test]
    fn a_key_without_its_parts_is_refused() {
        for key in ["abc", ".def", "abc.", ""] {
            assert_eq!(token(key, 0).unwrap_err(), SignError::Key("id.secret"), "{key}");
        }
    }
}
