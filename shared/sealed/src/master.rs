//! The master key, and the keys made from it.

use std::fmt;

use sluice_domain::KeyDigest;
use zeroize::Zeroizing;

use crate::random;

/// The secret behind every other secret of an installation: 32 bytes.
#[derive(Clone)]
pub struct MasterKey(Zeroizing<[u8; 32]>);

/// What a derived key is for. Each has its own context, so that one key gives away nothing of another.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Purpose {
    /// Sealing secrets in the database.
    Sealing,
    /// Digests of client keys. The only derived key that relays are given.
    TokenDigests,
    /// The value by which a database knows its master key.
    Check,
    /// The byte by which a sealed secret names its key.
    KeyId,
    /// Signing of OAuth state, set-up, e-mail and unsubscribe links.
    Links,
    /// The join secret of a relay that runs in the same process.
    InProcessJoin,
}

impl Purpose {
    /// The context of the key derivation. Changing one makes everything made with it unreadable.
    const fn context(self) -> &'static str {
        match self {
            Self::Sealing => "sluice v1 sealing of secrets at rest",
            Self::TokenDigests => "sluice v1 digests of client keys",
            Self::Check => "sluice v1 check value of the master key",
            Self::KeyId => "sluice v1 key id in sealed secrets",
            Self::Links => "sluice v1 signatures of links",
            Self::InProcessJoin => "sluice v1 join secret within one process",
        }
    }
}

impl MasterKey {
    /// Makes the key out of a secret text, such as `CRYPTO_SECRET`. The same text gives the same key.
    ///
    /// The derivation is fast: the text must be unguessable by itself (see [`crate::Keyring::is_guessable`]).
    #[must_use]
    pub fn from_text(text: &str) -> Self {
        Self(Zeroizing::new(blake3::derive_key("sluice v1 master key from secret text", text.as_bytes())))
    }

    /// Wraps 32 bytes that are a key already.
    #[must_use]
    pub fn from_bytes(bytes: [u8; 32]) -> Self {
        Self(Zeroizing::new(bytes))
    }

    /// Makes a key nobody knows.
    #[must_use]
    pub fn generate() -> Self {
        Self::from_bytes(random::bytes())
    }

    /// Derives the key for one purpose.
    #[must_use]
    pub fn derive(&self, purpose: Purpose) -> DerivedKey {
        DerivedKey(Zeroizing::new(blake3::derive_key(purpose.context(), &self.0[..])))
    }

    /// The key that digests client keys.
    #[must_use]
    pub fn digest_key(&self) -> DigestKey {
        DigestKey(self.derive(Purpose::TokenDigests))
    }

    /// The value by which the database recognises this key: 32 hex digits that tell nothing of the key.
    #[must_use]
    pub fn check_value(&self) -> String {
        hex::encode(&self.derive(Purpose::Check).expose()[..16])
    }

    pub(crate) fn id(&self) -> u8 {
        self.derive(Purpose::KeyId).expose()[0]
    }
}

impl fmt::Debug for MasterKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("MasterKey(..)")
    }
}

/// A key made from the master key for one purpose.
#[derive(Clone)]
pub struct DerivedKey(Zeroizing<[u8; 32]>);

impl DerivedKey {
    /// The key itself.
    #[must_use]
    pub fn expose(&self) -> &[u8; 32] {
        &self.0
    }

    /// The key in hex, where a secret text is asked for.
    #[must_use]
    pub fn expose_hex(&self) -> secrecy::SecretString {
        hex::encode(&self.0[..]).into()
    }

    /// A tag that only a holder of this key can make, for signing. Compare tags with [`crate::is_same_secret`].
    #[must_use]
    pub fn sign(&self, message: &[u8]) -> [u8; 32] {
        *blake3::keyed_hash(&self.0, message).as_bytes()
    }
}

impl fmt::Debug for DerivedKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("DerivedKey(..)")
    }
}

/// Digests client keys. Relays get it at registration, so that they recognise keys without ever holding one.
#[derive(Clone)]
pub struct DigestKey(DerivedKey);

impl DigestKey {
    /// Wraps the key as a relay received it.
    #[must_use]
    pub fn from_bytes(bytes: [u8; 32]) -> Self {
        Self(DerivedKey(Zeroizing::new(bytes)))
    }

    /// The key itself, to hand to a relay.
    #[must_use]
    pub fn expose(&self) -> &[u8; 32] {
        self.0.expose()
    }

    /// The key of the envelopes that a site's relays put into the hands of callers. No digest of a client key shows it.
    #[must_use]
    pub fn envelope_key(&self) -> [u8; 32] {
        DerivedKey(Zeroizing::new(self.0.sign(b"sluice envelopes"))).sign(b"of state that callers keep")
    }

    /// The digest of the secret part of a client key ([`sluice_domain::PresentedKey::secret`]).
    #[must_use]
    pub fn digest(&self, secret: &str) -> KeyDigest {
        KeyDigest(self.0.sign(secret.as_bytes()))
    }
}

impl fmt::Debug for DigestKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("DigestKey(..)")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const PURPOSES: [Purpose; 6] =
        [Purpose::Sealing, Purpose::TokenDigests, Purpose::Check, Purpose::KeyId, Purpose::Links, Purpose::InProcessJoin];

    #[test]
    fn a_text_always_gives_the_same_key_and_each_purpose_its_own() {
        let (key, again) = (MasterKey::from_text("correct horse"), MasterKey::from_text("correct horse"));
        for purpose in PURPOSES {
            assert_eq!(key.derive(purpose).expose(), again.derive(purpose).expose());
            let twins = PURPOSES.iter().filter(|p| key.derive(**p).expose() == key.derive(purpose).expose());
            assert_eq!(twins.count(), 1, "{purpose:?}");
        }
        assert_ne!(key.check_value(), MasterKey::from_text("correct horsf").check_value());
    }

    /// These values stand in databases. If this fails, no installation reads its secrets any more.
    #[test]
    fn derived_values_are_those_of_every_earlier_release() {
        let key = MasterKey::from_text("correct horse");
        assert_eq!(key.check_value(), "2cd8e9ecc9e92ec29b469760e6f72dae");
        assert_eq!(
            hex::encode(key.digest_key().digest("abc").0),
            "046e52405f9e98944641e14d58212d9ed809c0daae80e9dee356aac4fb94d144"
        );
        assert_eq!(key.id(), 221);
    }

    #[test]
    fn a_relay_given_the_digest_key_makes_the_same_digests() {
        let ours = MasterKey::generate().digest_key();
        let theirs = DigestKey::from_bytes(*ours.expose());
        assert_eq!(ours.digest("secret"), theirs.digest("secret"));
        assert_ne!(ours.digest("secret"), MasterKey::generate().digest_key().digest("secret"));
    }

    #[test]
    fn debug_shows_no_key() {
        let key = MasterKey::from_bytes([0xAB; 32]);
        let shown = format!("{key:?} {:?} {:?}", key.derive(Purpose::Links), key.digest_key());
        assert_eq!(shown, "MasterKey(..) DerivedKey(..) DigestKey(..)");
    }
}
