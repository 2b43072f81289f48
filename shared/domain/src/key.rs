//! Client keys: how they are written, and the digest by which they are known.

use std::fmt;

use crate::id::ChannelId;

/// Characters of the secret part of a key.
pub const KEY_CHARS: usize = 48;
/// Random characters of a key that Sluice makes; the rest of the 48 is a checksum of them.
pub const RANDOM_CHARS: usize = 42;
/// The letters keys are made of, in checksum order.
pub const ALPHABET: &[u8; 62] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789";

/// The keyed digest of a token's key. Relays and the database know keys only by this.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct KeyDigest(pub [u8; 32]);

impl fmt::Debug for KeyDigest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "KeyDigest({:02x}{:02x}..)", self.0[0], self.0[1])
    }
}

/// A channel an administrator asks for, written after the key: `sk-KEY-12`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ChannelPin {
    /// This channel and no other.
    Channel(ChannelId),
    /// Something stood there that is not a channel number.
    Unreadable,
}

/// A key as a caller presented it, cut into its parts.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct PresentedKey<'a> {
    secret: &'a str,
    /// The channel asked for, if any.
    pub pin: Option<ChannelPin>,
}

impl<'a> PresentedKey<'a> {
    /// Cuts a presented key: `[sk-] key [- channel [- ignored]]`, surrounding space ignored. `None` when there is no key in it.
    #[must_use]
    pub fn parse(text: &'a str) -> Option<Self> {
        let text = text.trim();
        let bare = text.strip_prefix("sk-").unwrap_or(text);
        let mut parts = bare.splitn(3, '-');
        let secret = parts.next().filter(|part| !part.is_empty())?;
        Some(Self { secret, pin: parts.next().map(read_pin) })
    }

    /// The part the digest is taken of.
    #[must_use]
    pub fn secret(&self) -> &'a str {
        self.secret
    }
}

impl fmt::Debug for PresentedKey<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("PresentedKey").field("pin", &self.pin).finish_non_exhaustive()
    }
}

fn read_pin(text: &str) -> ChannelPin {
    let digits = !text.is_empty() && text.bytes().all(|b| b.is_ascii_digit());
    match text.parse::<i64>() {
        Ok(id) if digits => ChannelPin::Channel(ChannelId::new(id)),
        _ => ChannelPin::Unreadable,
    }
}

/// Makes a key of [`KEY_CHARS`] letters from random bytes: [`RANDOM_CHARS`] of them, then the checksum.
///
/// Each byte picks a letter by its value modulo 62; the slight bias leaves more than 249 bits.
#[must_use]
pub fn compose(random: &[u8; RANDOM_CHARS]) -> String {
    let letters: String = random.iter().map(|byte| letter(u64::from(*byte))).collect();
    let sum = checksum(&letters);
    letters + &sum
}

/// Whether the last letters of a key are the checksum of the others: true of every key Sluice made. Imported keys may say false.
#[must_use]
pub fn has_checksum(key: &str) -> bool {
    key.len() == KEY_CHARS && key.is_char_boundary(RANDOM_CHARS) && key[RANDOM_CHARS..] == checksum(&key[..RANDOM_CHARS])
}

/// Six letters that change with every typo. FNV-1a: no secret is in it, and it must never change.
fn checksum(letters: &str) -> String {
    let hash =
        letters.bytes().fold(0xcbf2_9ce4_8422_2325_u64, |hash, byte| (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3));
    (0..KEY_CHARS - RANDOM_CHARS)
        .scan(hash, |rest, _| {
            let digit = *rest % 62;
            *rest /= 62;
            Some(letter(digit))
        })
        .collect()
}

fn letter(value: u64) -> char {
    let place = usize::try_from(value % 62).unwrap_or(0);
    char::from(ALPHABET[place])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_made_key_carries_its_checksum_and_a_typo_breaks_it() {
        let mut random = [0_u8; RANDOM_CHARS];
        for (place, byte) in random.iter_mut().enumerate() {
            *byte = u8::try_from(place * 6).unwrap();
        }
        let key = compose(&random);
        assert_eq!(key.len(), KEY_CHARS);
        assert!(key.bytes().all(|b| b.is_ascii_alphanumeric()));
        assert!(has_checksum(&key));
        for place in 0..KEY_CHARS {
            let mut typo = key.clone().into_bytes();
            typo[place] = if typo[place] == b'x' { b'y' } else { b'x' };
            assert!(!has_checksum(std::str::from_utf8(&typo).unwrap()), "typo at {place}");
        }
    }

    #[test]
    fn presented_keys_are_cut_as_the_family_does() {
        let pin = |text| PresentedKey::parse(text).map(|key| (key.secret(), key.pin));
        assert_eq!(pin("sk-abc"), Some(("abc", None)));
        assert_eq!(pin("  abc "), Some(("abc", None)));
        assert_eq!(pin("sk-abc-12"), Some(("abc", Some(ChannelPin::Channel(ChannelId::new(12))))));
        assert_eq!(pin("sk-abc-12-more"), Some(("abc", Some(ChannelPin::Channel(ChannelId::new(12))))));
        assert_eq!(pin("sk-abc-x"), Some(("abc", Some(ChannelPin::Unreadable))));
        assert_eq!(pin("sk-abc-"), Some(("abc", Some(ChannelPin::Unreadable))));
        assert_eq!(pin("sk-abc-+1"), Some(("abc", Some(ChannelPin::Unreadable))));
        assert_eq!(pin("sk-abc-99999999999999999999"), Some(("abc", Some(ChannelPin::Unreadable))));
        assert_eq!(pin("sk-"), None);
        assert_eq!(pin(""), None);
    }

    #[test]
    fn debug_never_shows_the_secret() {
        let shown = format!("{:?}", PresentedKey::parse("sk-topsecret-1"));
        assert!(!shown.contains("topsecret"));
    }
}
