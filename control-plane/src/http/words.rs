//! The closed sets of words, as the API description shows them. The values themselves are the domain's.

use utoipa::ToSchema;

/// What a person may do: `user`, `admin` (also manages channels, prices and users), `root` (also manages settings and administrators).
#[derive(Debug, ToSchema)]
#[schema(rename_all = "snake_case")]
pub enum RoleName {
    /// Uses models with tokens of their own.
    User,
    /// Also manages channels, prices and users of a lower role.
    Admin,
    /// Also manages settings and administrators.
    Root,
}

/// Whether something may be used.
#[derive(Debug, ToSchema)]
#[schema(rename_all = "snake_case")]
pub enum StatusName {
    /// In use.
    Enabled,
    /// Switched off by a person.
    Disabled,
    /// Switched off by Sluice because it kept failing. Channels and their keys only.
    AutoDisabled,
}

/// How a request ended.
#[derive(Debug, ToSchema)]
#[schema(rename_all = "snake_case")]
pub enum OutcomeName {
    /// The caller has the whole answer.
    Completed,
    /// Every attempt failed before the first byte.
    Failed,
    /// The upstream broke off after the first byte.
    Truncated,
    /// The caller went away before the end.
    Aborted,
    /// The relay died; settled at the last progress point.
    Orphaned,
}
