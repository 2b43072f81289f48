//! Whoever asks for an operation, and what they may do.

use serde::{Deserialize, Serialize};
use sluice_domain::{Role, UserId};
use utoipa::ToSchema;

/// What a management token may be used for. A session may do all of them, within its user's role.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum Scope {
    /// See things.
    Read,
    /// Create, change and delete things.
    Write,
    /// Move money.
    Money,
    /// Change settings.
    Settings,
}

impl Scope {
    /// Every scope.
    pub const ALL: [Self; 4] = [Self::Read, Self::Write, Self::Money, Self::Settings];

    /// The word used in the database and in JSON.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Read => "read",
            Self::Write => "write",
            Self::Money => "money",
            Self::Settings => "settings",
        }
    }

    /// Reads the word back.
    #[must_use]
    pub fn from_word(word: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|scope| scope.as_str() == word)
    }
}

/// Why an operation was refused.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum Denied {
    /// The role is too low.
    #[error("this needs the role {}", role_word(*.0))]
    Role(Role),
    /// The management token was made for less.
    #[error("this needs a management token with the scope {}", .0.as_str())]
    Scope(Scope),
}

const fn role_word(role: Role) -> &'static str {
    match role {
        Role::User => "user",
        Role::Admin => "admin",
        Role::Root => "root",
    }
}

/// Whoever asks for an operation.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Actor {
    /// The user.
    pub user_id: UserId,
    /// Their role, read from the database for this request.
    pub role: Role,
    /// What the management token allows; `None` for a session.
    pub scopes: Option<Vec<Scope>>,
}

impl Actor {
    /// Whether they are at least administrators.
    #[must_use]
    pub fn is_admin(&self) -> bool {
        self.role >= Role::Admin
    }

    /// Lets them pass when they may use a scope.
    ///
    /// # Errors
    /// When they act by a management token without it.
    pub fn need_scope(&self, scope: Scope) -> Result<(), Denied> {
        match &self.scopes {
            Some(scopes) if !scopes.contains(&scope) => Err(Denied::Scope(scope)),
            _ => Ok(()),
        }
    }

    /// Lets them pass when they have a role and may use a scope.
    ///
    /// # Errors
    /// When either is missing; the role is looked at first.
    pub fn need(&self, role: Role, scope: Scope) -> Result<(), Denied> {
        if self.role < role {
            return Err(Denied::Role(role));
        }
        self.need_scope(scope)
    }

    /// Lets them pass who may do all that their role may: by session, or by a management token with every scope. What gives somebody
    /// a way in, or a higher role, needs it; with less, a script could come back by that way and do the rest.
    ///
    /// # Errors
    /// When they act by a management token that lacks a scope.
    pub fn need_every_scope(&self) -> Result<(), Denied> {
        Scope::ALL.into_iter().try_for_each(|scope| self.need_scope(scope))
    }

    /// Whether an object of this owner is theirs to see: their own, or anybody's for administrators.
    #[must_use]
    pub fn sees(&self, owner: UserId) -> bool {
        self.is_admin() || self.user_id == owner
    }
}
