//! Unguessable bytes: for nonces, keys, session ids and links.
//!
//! Elsewhere chance is a parameter, so that tests can freeze it. Here it must not be: a frozen source would repeat nonces, and a
//! repeated nonce gives the text away.

use rand::Rng;

/// Makes `N` unguessable bytes, from a generator seeded by the operating system.
#[must_use]
pub fn bytes<const N: usize>() -> [u8; N] {
    let mut bytes = [0; N];
    #[expect(clippy::disallowed_methods, reason = "the one place where chance may not be frozen")]
    rand::rng().fill_bytes(&mut bytes);
    bytes
}
