//! Whether something may be used, and what a person may do.

use serde::{Deserialize, Serialize};

/// Whether a user, token, channel or key may be used.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Status {
    /// In use.
    Enabled,
    /// Switched off by a person.
    Disabled,
    /// Switched off by Sluice because it kept failing; it may come back by itself. Channels and their keys only.
    AutoDisabled,
}

impl Status {
    /// The number kept in the database and sent to relays (the family's numbers).
    #[must_use]
    pub const fn code(self) -> i32 {
        match self {
            Self::Enabled => 1,
            Self::Disabled => 2,
            Self::AutoDisabled => 3,
        }
    }

    /// Reads the number kept in the database.
    #[must_use]
    pub const fn from_code(code: i32) -> Option<Self> {
        match code {
            1 => Some(Self::Enabled),
            2 => Some(Self::Disabled),
            3 => Some(Self::AutoDisabled),
            _ => None,
        }
    }

    /// Whether it may be used.
    #[must_use]
    pub const fn is_enabled(self) -> bool {
        matches!(self, Self::Enabled)
    }
}

/// What a person may do. Ordered: a later role may do everything an earlier one may.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Role {
    /// Uses models with tokens of their own.
    User,
    /// Also manages channels, prices and users of a lower role.
    Admin,
    /// Also manages settings and administrators.
    Root,
}

impl Role {
    /// The number kept in the database (the family's numbers).
    #[must_use]
    pub const fn code(self) -> i32 {
        match self {
            Self::User => 1,
            Self::Admin => 10,
            Self::Root => 100,
        }
    }

    /// Reads the number kept in the database.
    #[must_use]
    pub const fn from_code(code: i32) -> Option<Self> {
        match code {
            1 => Some(Self::User),
            10 => Some(Self::Admin),
            100 => Some(Self::Root),
            _ => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn codes_read_back() {
        for status in [Status::Enabled, Status::Disabled, Status::AutoDisabled] {
            assert_eq!(Status::from_code(status.code()), Some(status));
        }
        for role in [Role::User, Role::Admin, Role::Root] {
            assert_eq!(Role::from_code(role.code()), Some(role));
        }
        assert_eq!(Status::from_code(0), None);
        assert_eq!(Role::from_code(0), None);
    }
}
