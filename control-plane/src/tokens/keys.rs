//! Keys: made, recognised, and shown in part.

use secrecy::{ExposeSecret, SecretString};
use sluice_domain::PresentedKey;
use sluice_domain::key::compose;
use sluice_sealed::{Keyring, Place, random};

use super::Key;
use crate::http::ApiError;

/// How keys begin where people see them.
pub(super) const PREFIX: &str = "sk-";
/// Characters of a secret shown at either end.
const SHOWN: usize = 4;

/// The first and last four characters of a secret. A short one shows less, so that most of it stays hidden; none shows nothing.
#[must_use]
pub fn hint(secret: &str) -> String {
    if secret.is_empty() {
        return String::new();
    }
    let bare = secret.strip_prefix(PREFIX).unwrap_or(secret);
    let chars: Vec<char> = bare.chars().collect();
    let shown = SHOWN.min(chars.len() / 6);
    let first: String = chars.iter().take(shown).collect();
    let last: String = chars.iter().skip(chars.len() - shown).collect();
    format!("{first}…{last}")
}

/// Makes a key nobody knows.
pub(super) fn make(keyring: &Keyring) -> Key {
    of_secret(keyring, SecretString::from(compose(&random::bytes())))
}

/// Takes a key that was given, with or without `sk-`.
pub(super) fn of_given(keyring: &Keyring, key: &SecretString) -> Result<Key, ApiError> {
    let presented = PresentedKey::parse(key.expose_secret()).ok_or_else(|| ApiError::internal("a given key is empty"))?;
    Ok(of_secret(keyring, SecretString::from(presented.secret())))
}

fn of_secret(keyring: &Keyring, secret: SecretString) -> Key {
    let digest = hex::encode(keyring.current().digest_key().digest(secret.expose_secret()).0);
    Key { digest, hint: hint(secret.expose_secret()), secret }
}

/// The sealed copy of a key, bound to its token.
pub(super) fn seal(keyring: &Keyring, public_id: &str, secret: &SecretString) -> Result<String, ApiError> {
    keyring.seal_text(&place(public_id), secret).map_err(ApiError::internal)
}

/// The key as programs send it.
pub(super) fn open(keyring: &Keyring, public_id: &str, sealed: &str) -> Result<String, ApiError> {
    let secret = keyring.open_text(&place(public_id), sealed).map_err(ApiError::internal)?;
    Ok(shown(&secret))
}

/// The key as programs send it.
pub(super) fn shown(secret: &SecretString) -> String {
    format!("{PREFIX}{}", secret.expose_secret())
}

fn place(public_id: &str) -> Place<'_> {
    Place::named("tokens", "sealed_key", public_id)
}

/// Checks a key that the settings give.
///
/// # Errors
/// The rule it breaks.
pub fn check_given_key(key: &str) -> Result<(), &'static str> {
    let bare = key.strip_prefix(PREFIX).unwrap_or(key);
    let fits = (16..=128).contains(&bare.len()) && bare.bytes().all(|byte| byte.is_ascii_alphanumeric());
    if fits { Ok(()) } else { Err("must be sk- followed by 16 to 128 letters and digits") }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_hint_shows_both_ends_and_hides_most() {
        assert_eq!(hint("sk-abcdefghijklmnopqrstuvwxyz0123456789"), "abcd…6789");
        assert_eq!(hint("slm_0123456789abcdef"), "slm…def");
        assert_eq!(hint("short"), "…");
        assert_eq!(hint(""), "");
        assert_eq!(hint("ключключключ"), "кл…юч");
    }

    #[test]
    fn a_made_key_is_presented_as_it_is_known() {
        let keyring = Keyring::from_secret(&"some secret".into()).unwrap();
        let key = make(&keyring);
        let again = of_given(&keyring, &SecretString::from(shown(&key.secret))).unwrap();
        assert_eq!(again.digest, key.digest);
        let sealed = seal(&keyring, "tok_1", &key.secret).unwrap();
        assert_eq!(open(&keyring, "tok_1", &sealed).unwrap(), shown(&key.secret));
        assert!(open(&keyring, "tok_2", &sealed).is_err());
    }

    #[test]
    fn keys_that_would_be_cut_apart_are_not_taken() {
        assert!(check_given_key("sk-0123456789abcdef").is_ok());
        for key in ["", "sk-", "short", "sk-0123456789-abcdef", "0123456789abcde ", "sk-ключключключключ"] {
            assert!(check_given_key(key).is_err(), "{key}");
        }
    }
}
