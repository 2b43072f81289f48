//! Identifiers. Row ids are `i64`; nodes and requests are named by text.

use std::fmt;
use std::hash::{Hash, Hasher};
use std::marker::PhantomData;
use std::sync::Arc;

use serde::{Deserialize, Deserializer, Serialize, Serializer};
use uuid::Uuid;

use crate::name::{self, NameError};

/// The database id of a row of kind `K`. Two kinds cannot be mixed up.
pub struct Id<K>(i64, PhantomData<fn() -> K>);

/// Kinds of rows, used only as type arguments of [`Id`].
pub mod kind {
    /// A person, owner of a wallet and of tokens.
    #[derive(Debug)]
    pub enum User {}
    /// A client key.
    #[derive(Debug)]
    pub enum Token {}
    /// A way to a provider.
    #[derive(Debug)]
    pub enum Channel {}
    /// One provider key of a channel.
    #[derive(Debug)]
    pub enum ChannelKey {}
    /// A wallet or a token's cap.
    #[derive(Debug)]
    pub enum Account {}
    /// Money handed to one relay for one account.
    #[derive(Debug)]
    pub enum Lease {}
}

/// The id of a user.
pub type UserId = Id<kind::User>;
/// The id of a token.
pub type TokenId = Id<kind::Token>;
/// The id of a channel.
pub type ChannelId = Id<kind::Channel>;
/// The id of one provider key of a channel.
pub type ChannelKeyId = Id<kind::ChannelKey>;
/// The id of an account: a user's wallet or a token's cap.
pub type AccountId = Id<kind::Account>;
/// The id of a lease.
pub type LeaseId = Id<kind::Lease>;

impl<K> Id<K> {
    /// Wraps a database id.
    #[must_use]
    pub const fn new(raw: i64) -> Self {
        Self(raw, PhantomData)
    }

    /// The database id.
    #[must_use]
    pub const fn get(self) -> i64 {
        self.0
    }
}

impl<K> Clone for Id<K> {
    fn clone(&self) -> Self {
        *self
    }
}
impl<K> Copy for Id<K> {}
impl<K> PartialEq for Id<K> {
    fn eq(&self, other: &Self) -> bool {
        self.0 == other.0
    }
}
impl<K> Eq for Id<K> {}
impl<K> PartialOrd for Id<K> {
    fn partial_cmp(&self, other: &Self) -> Option<std::cmp::Ordering> {
        Some(self.cmp(other))
    }
}
impl<K> Ord for Id<K> {
    fn cmp(&self, other: &Self) -> std::cmp::Ordering {
        self.0.cmp(&other.0)
    }
}
impl<K> Hash for Id<K> {
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.0.hash(state);
    }
}
impl<K> fmt::Debug for Id<K> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}
impl<K> fmt::Display for Id<K> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}
impl<K> Serialize for Id<K> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_i64(self.0)
    }
}
impl<'de, K> Deserialize<'de> for Id<K> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        i64::deserialize(deserializer).map(Self::new)
    }
}

/// The life of a relay node: it grows by one at each start on the same data folder.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct Epoch(pub i64);

impl Epoch {
    /// The epoch of the next start.
    #[must_use]
    pub const fn next(self) -> Self {
        Self(self.0.saturating_add(1))
    }
}

impl fmt::Display for Epoch {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// The stable name of a relay node: 1–63 characters of `a-z 0-9 - .`, kept in its data folder.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
pub struct NodeId(Arc<str>);

impl NodeId {
    /// The longest name, in characters (a DNS label).
    pub const MAX_CHARS: usize = 63;

    /// Reads a node name.
    ///
    /// # Errors
    /// When it is empty, too long, or has a character outside `a-z 0-9 - .`.
    pub fn parse(text: &str) -> Result<Self, NameError> {
        let fits = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '-' || c == '.';
        name::check(text, Self::MAX_CHARS, fits)?;
        Ok(Self(text.into()))
    }

    /// The name as text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for NodeId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// Names one request of one caller, from its first log line to its settled row.
///
/// Made by the relay as a UUIDv7 in 32 hex digits, which sorts by time and is unique across nodes; or taken from a trusted
/// proxy's `X-Request-Id` when that is 1–64 characters of `A-Z a-z 0-9 . _ -`.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
pub struct RequestId(Arc<str>);

impl RequestId {
    /// The longest accepted id, in characters.
    pub const MAX_CHARS: usize = 64;

    /// Reads an id given from outside.
    ///
    /// # Errors
    /// When it is empty, too long, or has another character than `A-Z a-z 0-9 . _ -`.
    pub fn parse(text: &str) -> Result<Self, NameError> {
        let fits = |c: char| c.is_ascii_alphanumeric() || matches!(c, '.' | '_' | '-');
        name::check(text, Self::MAX_CHARS, fits)?;
        Ok(Self(text.into()))
    }

    /// The id as text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl From<Uuid> for RequestId {
    fn from(uuid: Uuid) -> Self {
        let mut buffer = Uuid::encode_buffer();
        Self(Arc::from(&*uuid.simple().encode_lower(&mut buffer)))
    }
}

impl fmt::Display for RequestId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn request_ids_made_here_are_accepted_back() {
        let made = RequestId::from(Uuid::from_u128(0x0190_0000_0000_7000_8000_0000_0000_0001));
        assert_eq!(made.as_str().len(), 32);
        assert_eq!(RequestId::parse(made.as_str()), Ok(made));
    }

    #[test]
    fn request_ids_with_line_breaks_or_no_text_are_refused() {
        for text in ["", "a b", "a\r\nb", "é", &"x".repeat(65)] {
            assert!(RequestId::parse(text).is_err(), "{text:?}");
        }
    }

    #[test]
    fn node_names_are_dns_labels() {
        assert!(NodeId::parse("relay-1.eu").is_ok());
        for text in ["", "Relay", "a_b", &"x".repeat(64)] {
            assert!(NodeId::parse(text).is_err(), "{text:?}");
        }
    }
}
