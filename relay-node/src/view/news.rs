//! What the control plane says about tokens and users.

use std::sync::Arc;

use sluice_domain::{TokenId, UserId};
use sluice_snapshot::{Token, User};

/// A change of a token or a user.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Taken<T> {
    /// It is like this.
    Is(T),
    /// It no longer exists.
    Gone {
        /// Its id.
        id: i64,
        /// Its last revision.
        rev: i64,
    },
}

/// Identities read at one point of the history.
#[derive(Debug, Clone, Default)]
pub struct Page {
    /// That point.
    pub as_of_seq: i64,
    /// Tokens.
    pub tokens: Vec<Taken<Token>>,
    /// Users.
    pub users: Vec<Taken<User>>,
    /// Whether no more pages follow.
    pub is_last: bool,
    /// Whether these pages hold every identity there is.
    pub is_complete: bool,
}

/// A revocation.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Deny {
    /// Sequence of the transaction that revoked it.
    pub seq: i64,
    /// Forms with a lower revision are revoked.
    pub rev: i64,
    /// Of what.
    pub target: DenyTarget,
}

/// What is revoked.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum DenyTarget {
    /// A token.
    Token(TokenId),
    /// A user, and with them all their tokens.
    User(UserId),
}

/// What the control plane said about a key.
#[derive(Debug, Clone)]
pub enum Answer {
    /// It is this token.
    Found {
        /// The token.
        token: Box<Token>,
        /// Its owner.
        user: Box<User>,
        /// The answer is as of this point of the history.
        as_of_seq: i64,
    },
    /// There is no such token.
    Unknown,
}

/// Everything held, for the disk.
#[derive(Debug, Clone, Default)]
pub struct Held {
    /// Tokens.
    pub tokens: Vec<Arc<Token>>,
    /// Users.
    pub users: Vec<Arc<User>>,
}
