//! The bytes of a sealed secret: `version(1) key-id(1) nonce(24) ciphertext tag(16)`, XChaCha20-Poly1305.
//!
//! The nonce is random: with 192 bits of it, no number of secrets makes a repetition likely. The header is authenticated together
//! with the caller's associated data.

use chacha20poly1305::aead::{Aead, Payload};
use chacha20poly1305::{KeyInit, XChaCha20Poly1305, XNonce};
use secrecy::SecretSlice;

use crate::random;

const VERSION: u8 = 1;
const NONCE_BYTES: usize = 24;
const TAG_BYTES: usize = 16;
const HEADER_BYTES: usize = 2;

/// A text that cannot be sealed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum SealError {
    /// It is beyond what the cipher takes under one nonce (256 GiB).
    #[error("cannot seal a secret that large")]
    TooLarge,
}

/// Sealed bytes that do not open.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum OpenError {
    /// They are not a sealed secret: too short, cut off, or not the text form.
    #[error("cannot open sealed secret: it is cut off or was never one")]
    Malformed,
    /// A later release sealed them.
    #[error("cannot open sealed secret: its format {0} is unknown to this release")]
    UnknownVersion(u8),
    /// None of the known keys sealed them.
    #[error("cannot open sealed secret: it was sealed with another key")]
    UnknownKey,
    /// They were altered, or stand in another place than they were sealed for.
    #[error("cannot open sealed secret: it was altered or moved")]
    Altered,
    /// They open, but not to text.
    #[error("cannot open sealed secret: it is not text")]
    NotText,
}

/// Sealed bytes, taken apart.
#[derive(Clone, Copy)]
pub(crate) struct Envelope<'a> {
    pub(crate) key_id: u8,
    nonce: [u8; NONCE_BYTES],
    ciphertext: &'a [u8],
}

impl<'a> Envelope<'a> {
    pub(crate) fn parse(sealed: &'a [u8]) -> Result<Self, OpenError> {
        let ([version, key_id], rest) = sealed.split_first_chunk::<HEADER_BYTES>().ok_or(OpenError::Malformed)?;
        if *version != VERSION {
            return Err(OpenError::UnknownVersion(*version));
        }
        let (nonce, ciphertext) = rest.split_first_chunk::<NONCE_BYTES>().ok_or(OpenError::Malformed)?;
        if ciphertext.len() < TAG_BYTES {
            return Err(OpenError::Malformed);
        }
        Ok(Self { key_id: *key_id, nonce: *nonce, ciphertext })
    }

    /// Opens with one key. `None` when this key, this associated data and these bytes do not belong together.
    pub(crate) fn open(&self, key: &[u8; 32], associated_data: &[u8]) -> Option<SecretSlice<u8>> {
        let aad = with_header(self.key_id, associated_data);
        let payload = Payload { msg: self.ciphertext, aad: &aad };
        XChaCha20Poly1305::new(key.into()).decrypt(&XNonce::from(self.nonce), payload).ok().map(SecretSlice::from)
    }
}

pub(crate) fn seal(key: &[u8; 32], key_id: u8, associated_data: &[u8], plaintext: &[u8]) -> Result<Vec<u8>, SealError> {
    let nonce: [u8; NONCE_BYTES] = random::bytes();
    let aad = with_header(key_id, associated_data);
    let payload = Payload { msg: plaintext, aad: &aad };
    let ciphertext =
        XChaCha20Poly1305::new(key.into()).encrypt(&XNonce::from(nonce), payload).map_err(|_| SealError::TooLarge)?;
    Ok([&[VERSION, key_id][..], &nonce, &ciphertext].concat())
}

fn with_header(key_id: u8, associated_data: &[u8]) -> Vec<u8> {
    [&[VERSION, key_id], associated_data].concat()
}
