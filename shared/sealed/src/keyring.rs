//! The master keys of an installation: the first seals, all of them open.

use std::fmt;

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use secrecy::{ExposeSecret, SecretSlice, SecretString};

use crate::envelope::{self, Envelope, OpenError, SealError};
use crate::master::{DerivedKey, DigestKey, MasterKey, Purpose};
use crate::place::Place;
use crate::same::is_same_secret;

/// A secret text that no keyring can be made of. Name the setting when reporting it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum SecretError {
    /// One of the comma-separated parts is empty.
    #[error("must not be empty, nor have an empty part between commas")]
    Empty,
    /// It is the value of an example, which everybody knows.
    #[error("must not be the example value random_string")]
    Example,
    /// There are more parts than a rotation needs.
    #[error("must have at most {} comma-separated parts: the current secret, then older ones", Keyring::MAX_KEYS)]
    TooMany,
}

/// Which key a stored check value belongs to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum KeyMatch {
    /// The current key.
    Current,
    /// An older key: a rotation has begun. Store the current check value once every secret is sealed anew.
    Older,
}

/// The current master key and the older ones that may still be needed for opening.
#[derive(Clone)]
pub struct Keyring {
    current: Entry,
    older: Vec<Entry>,
    is_guessable: bool,
}

#[derive(Clone)]
struct Entry {
    id: u8,
    sealing: DerivedKey,
    master: MasterKey,
}

impl Keyring {
    /// The most keys a keyring takes.
    pub const MAX_KEYS: usize = 8;
    /// Characters below which a secret text may be guessed.
    const MIN_CHARS: usize = 16;

    /// Reads `CRYPTO_SECRET`: the current secret, then, during a rotation, older ones after commas.
    ///
    /// # Errors
    /// When a part is empty or an example's value, or there are too many.
    pub fn from_secret(text: &SecretString) -> Result<Self, SecretError> {
        let parts: Vec<&str> = text.expose_secret().split(',').map(str::trim).collect();
        if parts.len() > Self::MAX_KEYS {
            return Err(SecretError::TooMany);
        }
        if parts.iter().any(|part| part.is_empty()) {
            return Err(SecretError::Empty);
        }
        if parts.contains(&"random_string") {
            return Err(SecretError::Example);
        }
        let mut entries = parts.iter().map(|part| Entry::new(MasterKey::from_text(part)));
        let current = entries.next().ok_or(SecretError::Empty)?;
        let is_guessable = parts.iter().any(|part| part.chars().count() < Self::MIN_CHARS);
        Ok(Self { current, older: entries.collect(), is_guessable })
    }

    /// A keyring of one key.
    #[must_use]
    pub fn from_master(master: MasterKey) -> Self {
        Self { current: Entry::new(master), older: Vec::new(), is_guessable: false }
    }

    /// Whether a secret text is so short that a stolen database would give it away: worth a warning at start.
    #[must_use]
    pub const fn is_guessable(&self) -> bool {
        self.is_guessable
    }

    /// The current master key.
    #[must_use]
    pub const fn current(&self) -> &MasterKey {
        &self.current.master
    }

    /// The keys that digest client keys: the current one first, then those of secrets being rotated out.
    #[must_use]
    pub fn digest_keys(&self) -> Vec<DigestKey> {
        self.entries().map(|entry| entry.master.digest_key()).collect()
    }

    /// Seals a secret for one place.
    ///
    /// # Errors
    /// When it is larger than the cipher can take.
    pub fn seal(&self, place: &Place<'_>, secret: &[u8]) -> Result<Vec<u8>, SealError> {
        envelope::seal(self.current.sealing.expose(), self.current.id, &place.associated_data(), secret)
    }

    /// Opens what was sealed for this place.
    ///
    /// # Errors
    /// When the bytes are damaged, stand in another place, or none of the keys sealed them.
    pub fn open(&self, place: &Place<'_>, sealed: &[u8]) -> Result<SecretSlice<u8>, OpenError> {
        let envelope = Envelope::parse(sealed)?;
        let associated_data = place.associated_data();
        // A key id is one byte: two keys may share it, so each that fits is tried.
        let mut fitting = self.entries().filter(|entry| entry.id == envelope.key_id).peekable();
        if fitting.peek().is_none() {
            return Err(OpenError::UnknownKey);
        }
        fitting.find_map(|entry| envelope.open(entry.sealing.expose(), &associated_data)).ok_or(OpenError::Altered)
    }

    /// Seals a text for one place, as text for a text column (URL-safe base64, a third longer).
    ///
    /// # Errors
    /// When it is larger than the cipher can take.
    pub fn seal_text(&self, place: &Place<'_>, secret: &SecretString) -> Result<String, SealError> {
        self.seal(place, secret.expose_secret().as_bytes()).map(|sealed| URL_SAFE_NO_PAD.encode(sealed))
    }

    /// Opens what [`Keyring::seal_text`] made.
    ///
    /// # Errors
    /// When it is damaged, stands in another place, or none of the keys sealed it.
    pub fn open_text(&self, place: &Place<'_>, sealed: &str) -> Result<SecretString, OpenError> {
        let sealed = URL_SAFE_NO_PAD.decode(sealed).map_err(|_| OpenError::Malformed)?;
        let secret = self.open(place, &sealed)?;
        std::str::from_utf8(secret.expose_secret()).map(SecretString::from).map_err(|_| OpenError::NotText)
    }

    /// Whether a key that is being rotated out sealed this, so that it should be sealed anew.
    ///
    /// A hint: the key id is one byte, and once in 256 rotations the old and the new key share it. Before an old secret is dropped,
    /// everything is opened and sealed without asking here.
    #[must_use]
    pub fn is_sealed_with_older(&self, sealed: &[u8]) -> bool {
        Envelope::parse(sealed).is_ok_and(|envelope| envelope.key_id != self.current.id)
    }

    /// Which of these keys a check value in a database belongs to. `None` means: this is not the secret of that database.
    #[must_use]
    pub fn check(&self, stored: &str) -> Option<KeyMatch> {
        let fits = |entry: &Entry| is_same_secret(entry.master.check_value().as_bytes(), stored.as_bytes());
        if fits(&self.current) {
            return Some(KeyMatch::Current);
        }
        self.older.iter().any(fits).then_some(KeyMatch::Older)
    }

    fn entries(&self) -> impl Iterator<Item = &Entry> {
        std::iter::once(&self.current).chain(&self.older)
    }
}

impl Entry {
    fn new(master: MasterKey) -> Self {
        Self { id: master.id(), sealing: master.derive(Purpose::Sealing), master }
    }
}

impl fmt::Debug for Keyring {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Keyring").field("keys", &self.entries().count()).finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const PLACE: Place<'_> = Place::row("channel_keys", "secret", 7);

    fn ring(text: &str) -> Keyring {
        Keyring::from_secret(&text.into()).unwrap()
    }

    #[test]
    fn a_rotated_secret_opens_what_the_old_one_sealed_and_seals_with_the_new_one() {
        let old = ring("the old secret");
        let sealed = old.seal(&PLACE, b"sk-provider").unwrap();
        let rotating = ring("the new secret, the old secret");
        assert_eq!(rotating.open(&PLACE, &sealed).unwrap().expose_secret(), b"sk-provider");
        assert!(rotating.is_sealed_with_older(&sealed));
        let anew = rotating.seal(&PLACE, b"sk-provider").unwrap();
        assert!(!rotating.is_sealed_with_older(&anew));
        assert_eq!(old.open(&PLACE, &anew).unwrap_err(), OpenError::UnknownKey);
        assert_eq!(ring("the new secret").open(&PLACE, &anew).unwrap().expose_secret(), b"sk-provider");
    }

    #[test]
    fn a_database_recognises_its_secret() {
        let stored = ring("the old secret").current().check_value();
        assert_eq!(ring("the old secret").check(&stored), Some(KeyMatch::Current));
        assert_eq!(ring("the new secret,the old secret").check(&stored), Some(KeyMatch::Older));
        assert_eq!(ring("another secret").check(&stored), None);
        assert_eq!(ring("another secret").check(""), None);
    }

    #[test]
    fn keys_that_share_an_id_are_told_apart_by_trying() {
        let first = ring("secret 0");
        let twin = (1..10_000).map(|n| format!("secret {n}")).find(|text| ring(text).current.id == first.current.id).unwrap();
        let sealed = first.seal(&PLACE, b"x").unwrap();
        let both = ring(&format!("{twin},secret 0"));
        assert_eq!(both.open(&PLACE, &sealed).unwrap().expose_secret(), b"x");
        assert_eq!(ring(&twin).open(&PLACE, &sealed).unwrap_err(), OpenError::Altered);
    }

    #[test]
    fn secrets_that_protect_nothing_are_refused_or_flagged() {
        let refused = |text: &str| Keyring::from_secret(&text.into()).unwrap_err();
        assert_eq!(refused(""), SecretError::Empty);
        assert_eq!(refused("a,,b"), SecretError::Empty);
        assert_eq!(refused("random_string"), SecretError::Example);
        assert_eq!(refused("1,2,3,4,5,6,7,8,9"), SecretError::TooMany);
        assert!(ring("short").is_guessable());
        assert!(!ring("long enough to be unguessable").is_guessable());
    }

    #[test]
    fn a_secret_of_a_later_release_is_named_as_such() {
        let keys = ring("some secret");
        let mut sealed = keys.seal(&PLACE, b"x").unwrap();
        sealed[0] = 2;
        assert_eq!(keys.open(&PLACE, &sealed).unwrap_err(), OpenError::UnknownVersion(2));
    }

    proptest! {
        #[test]
        fn what_was_sealed_opens_to_the_same(secret: Vec<u8>, text: String, id: i64) {
            let keys = ring("some secret");
            let place = Place::row("t", "c", id);
            let sealed = keys.seal(&place, &secret).unwrap();
            let opened = keys.open(&place, &sealed).unwrap();
            prop_assert_eq!(opened.expose_secret(), &secret[..]);
            let sealed = keys.seal_text(&place, &text.clone().into()).unwrap();
            let opened = keys.open_text(&place, &sealed).unwrap();
            prop_assert_eq!(opened.expose_secret(), &text);
        }

        #[test]
        fn any_changed_bit_makes_it_fail(secret in prop::collection::vec(any::<u8>(), 0..40), at: prop::sample::Index, bit in 0_u8..8) {
            let keys = ring("some secret");
            let mut sealed = keys.seal(&PLACE, &secret).unwrap();
            let at = at.index(sealed.len());
            sealed[at] ^= 1 << bit;
            prop_assert!(keys.open(&PLACE, &sealed).is_err());
        }

        #[test]
        fn any_cut_makes_it_fail(secret in prop::collection::vec(any::<u8>(), 0..40), at: prop::sample::Index) {
            let keys = ring("some secret");
            let sealed = keys.seal(&PLACE, &secret).unwrap();
            prop_assert!(keys.open(&PLACE, &sealed[..at.index(sealed.len())]).is_err());
        }

        #[test]
        fn another_place_makes_it_fail(id: i64, other: i64) {
            let keys = ring("some secret");
            let sealed = keys.seal(&Place::row("t", "c", id), b"secret").unwrap();
            let opened = keys.open(&Place::row("t", "c", other), &sealed);
            prop_assert_eq!(opened.is_ok(), id == other);
        }
    }
}
