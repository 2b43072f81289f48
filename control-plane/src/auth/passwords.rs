//! Passwords: which are good enough, and their argon2id digests.

use std::sync::Arc;
use std::time::Duration;

use argon2::password_hash::{PasswordHash, PasswordHasher, PasswordVerifier, SaltString};
use argon2::{Algorithm, Argon2, Params, Version};
use secrecy::{ExposeSecret, SecretString};
use sluice_domain::Role;
use tokio::sync::Semaphore;

use crate::http::{ApiError, Code};

/// Digests worked on at the same time: each takes 19 MiB and tens of milliseconds of a core.
const AT_ONCE: usize = 2;
/// How long a sign-in waits for its turn.
const TURN_LIMIT: Duration = Duration::from_secs(5);
/// The longest password, in characters: far beyond what people type, and cheap to digest.
const MAX_CHARS: usize = 128;
/// Letters a password needs besides a common word, repeated or not.
const OWN_LETTERS: usize = 5;
/// Usernames below this many characters may be part of a password: nearly every password has an `a`.
const TELLING_USERNAME: usize = 3;
/// What passwords are most often made of. With digits and signs taken off, a password must be something else.
const COMMON: &str = include_str!("common_passwords.txt");

/// The rule a password broke.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum PasswordRule {
    /// It is too short.
    #[error("must have at least {0} characters")]
    TooShort(usize),
    /// It is too long.
    #[error("must have at most {MAX_CHARS} characters")]
    TooLong,
    /// It is among the first that are tried.
    #[error("is too easily guessed: common words, runs and repetitions do not count")]
    Common,
    /// It contains the username.
    #[error("must not contain the username")]
    HasUsername,
}

/// Checks a password that somebody chooses.
///
/// # Errors
/// The first rule it breaks.
pub fn check_password(password: &SecretString, username: &str, role: Role) -> Result<(), PasswordRule> {
    let text = password.expose_secret();
    let chars = text.chars().count();
    let least = least_chars(role);
    if chars < least {
        return Err(PasswordRule::TooShort(least));
    }
    if chars > MAX_CHARS {
        return Err(PasswordRule::TooLong);
    }
    let folded = text.to_lowercase();
    if username.chars().count() >= TELLING_USERNAME && folded.contains(&username.to_lowercase()) {
        return Err(PasswordRule::HasUsername);
    }
    if is_common(&folded) {
        return Err(PasswordRule::Common);
    }
    Ok(())
}

/// The shortest password of a role, in characters.
const fn least_chars(role: Role) -> usize {
    match role {
        Role::User => 8,
        Role::Admin | Role::Root => 12,
    }
}

fn is_common(folded: &str) -> bool {
    let mut distinct: Vec<char> = folded.chars().collect();
    distinct.sort_unstable();
    distinct.dedup();
    if distinct.len() < 5 || is_run(folded) {
        return true;
    }
    let letters: String = folded.chars().filter(char::is_ascii_alphabetic).collect();
    let read_as_letters: String = folded.chars().map(unleet).filter(char::is_ascii_alphabetic).collect();
    let is_mostly = |text: &str, word: &str| text.contains(word) && text.replace(word, "").len() < OWN_LETTERS;
    let words = COMMON.lines().filter(|word| !word.is_empty());
    words.into_iter().any(|word| is_mostly(&letters, word) || is_mostly(&read_as_letters, word))
}

/// Whether most neighbours follow each other: `12345678abcd`, `87654321`.
fn is_run(text: &str) -> bool {
    let codes: Vec<i64> = text.chars().map(|c| i64::from(u32::from(c))).collect();
    let steps = codes.windows(2).filter(|pair| matches!(pair, [a, b] if (b - a).abs() <= 1)).count();
    steps * 4 >= codes.len().saturating_sub(1) * 3
}

fn unleet(c: char) -> char {
    match c {
        '0' => 'o',
        '1' | '!' => 'i',
        '3' => 'e',
        '4' | '@' => 'a',
        '5' | '$' => 's',
        '7' => 't',
        other => other,
    }
}

/// Makes and checks digests, a few at a time. Clones share the turns.
#[derive(Debug, Clone)]
pub struct Passwords {
    turns: Arc<Semaphore>,
    /// Checked when there is no digest, so that unknown users take as long as known ones.
    decoy: Arc<str>,
}

impl Passwords {
    /// Makes the decoy.
    ///
    /// # Errors
    /// When the digest cannot be made, which the fixed parameters rule out.
    pub fn new() -> Result<Self, ApiError> {
        let decoy = digest(&SecretString::from(hex::encode(sluice_sealed::random::bytes::<16>())))?;
        Ok(Self { turns: Arc::new(Semaphore::new(AT_ONCE)), decoy: decoy.into() })
    }

    /// The digest to store, with its parameters and salt.
    ///
    /// # Errors
    /// 503 when too many are waiting.
    pub async fn digest(&self, password: SecretString) -> Result<String, ApiError> {
        self.in_turn(move || digest(&password)).await?
    }

    /// Whether a password is the one of a stored digest. Takes as long when there is none.
    ///
    /// # Errors
    /// 503 when too many are waiting.
    pub async fn verify(&self, stored: Option<String>, password: SecretString) -> Result<bool, ApiError> {
        let decoy = Arc::clone(&self.decoy);
        self.in_turn(move || {
            let fits = fits(stored.as_deref().unwrap_or(&decoy), &password);
            fits && stored.is_some()
        })
        .await
    }

    async fn in_turn<T: Send + 'static>(&self, work: impl FnOnce() -> T + Send + 'static) -> Result<T, ApiError> {
        let waited = tokio::time::timeout(TURN_LIMIT, Arc::clone(&self.turns).acquire_owned()).await;
        let Ok(Ok(turn)) = waited else {
            return Err(ApiError::new(Code::Busy, "too many sign-ins at once").retry_after(TURN_LIMIT.as_secs()));
        };
        let done = tokio::task::spawn_blocking(move || {
            let done = work();
            drop(turn);
            done
        });
        done.await.map_err(ApiError::internal)
    }
}

fn argon2() -> Argon2<'static> {
    // 19 MiB, two passes, one lane: the crate's defaults, which are OWASP's
    Argon2::new(Algorithm::Argon2id, Version::V0x13, Params::DEFAULT)
}

fn digest(password: &SecretString) -> Result<String, ApiError> {
    let broken = |error: argon2::password_hash::Error| ApiError::internal(error.to_string());
    let salt = SaltString::encode_b64(&sluice_sealed::random::bytes::<16>()).map_err(broken)?;
    let digest = argon2().hash_password(password.expose_secret().as_bytes(), &salt).map_err(broken)?;
    Ok(digest.to_string())
}

fn fits(stored: &str, password: &SecretString) -> bool {
    let Ok(parsed) = PasswordHash::new(stored) else { return false };
    argon2().verify_password(password.expose_secret().as_bytes(), &parsed).is_ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn rule(password: &str) -> Result<(), PasswordRule> {
        check_password(&password.into(), "root", Role::Root)
    }

    #[test]
    fn passwords_that_are_tried_first_are_refused() {
        for password in [
            "password1234",
            "P@ssw0rd2026",
            "qwertyuiop12",
            "123456789012",
            "aaaaaaaaaaaa",
            "abcabcabcabc",
            "letmein!!!!!",
            "Administrator",
            "welcome12345",
            "abcdefghijkl",
            "changeme2026!",
            "987654321098",
        ] {
            assert_eq!(rule(password), Err(PasswordRule::Common), "{password}");
        }
    }

    #[test]
    fn length_and_username_have_rules_of_their_own() {
        assert_eq!(rule("kettle-9x"), Err(PasswordRule::TooShort(12)));
        assert_eq!(check_password(&"kettle-9x".into(), "ana", Role::User), Ok(()));
        assert_eq!(rule(&"kettle-harbour ".repeat(20)), Err(PasswordRule::TooLong));
        assert_eq!(rule("my-ROOT-kettle-9"), Err(PasswordRule::HasUsername));
    }

    #[test]
    fn a_username_of_one_or_two_letters_may_be_part_of_a_password() {
        for (username, expected) in [("a", Ok(())), ("ki", Ok(())), ("kit", Err(PasswordRule::HasUsername)), ("小明", Ok(()))] {
            assert_eq!(check_password(&"a kitten and 小明".into(), username, Role::User), expected, "{username}");
        }
    }

    #[test]
    fn sentences_and_random_text_are_accepted() {
        for password in ["kettle harbour violin", "correct horse battery", "x9$Kf02mPq-ZZw1", "我的密码是一只会游泳的猫在河边"]
        {
            assert_eq!(rule(password), Ok(()), "{password}");
        }
    }

    #[tokio::test]
    async fn a_digest_fits_its_password_only_and_nothing_fits_no_digest() {
        let passwords = Passwords::new().unwrap();
        let stored = passwords.digest("kettle harbour".into()).await.unwrap();
        assert!(stored.starts_with("$argon2id$v=19$m=19456,t=2,p=1$"), "{stored}");
        assert!(passwords.verify(Some(stored.clone()), "kettle harbour".into()).await.unwrap());
        assert!(!passwords.verify(Some(stored), "kettle harbours".into()).await.unwrap());
        assert!(!passwords.verify(None, "kettle harbour".into()).await.unwrap());
        assert!(!passwords.verify(Some("not a digest".into()), "x".into()).await.unwrap());
    }
}
