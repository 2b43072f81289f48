//! The order of all changes to what relays know.
//!
//! `config_head` has one row. Each changing transaction counts its `seq` up and holds the row until it commits: so commit order is seq
//! order, without gaps, and whoever reads "everything above seq n" misses nothing. That is also why it comes last in a transaction.
//! Each number is stamped, so that another transaction that gets it from a database that went back is told apart.

use sea_orm::DbErr;
use sluice_domain::{AccountId, ChannelId, GroupName, ModelName, TokenId, UnixMillis, UserId};

use super::head::Stamp;
use super::store;
use crate::db::Tx;

/// The most changes in one transaction, so that an import cannot hold up a revocation.
pub const MAX_CHANGES: usize = 500;

/// Something relays know and that a transaction changed.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub enum Changed {
    /// A channel or one of its keys.
    Channel(ChannelId),
    /// A group.
    Group(GroupName),
    /// A price.
    Price(ModelName),
    /// A setting.
    Setting(String),
    /// A provider that administrators described, by its slug.
    Provider(String),
    /// A token; revoking one also needs the urgent lane, which reads it from here.
    Token(TokenId),
    /// A user.
    User(UserId),
    /// An account that money came into: relays forget that it was exhausted.
    Account(AccountId),
    /// Nothing changed: money of an account that relays hold and nobody uses is needed elsewhere.
    Recall(AccountId),
}

impl Changed {
    /// The word kept in `config_log.kind`.
    #[must_use]
    pub const fn kind(&self) -> &'static str {
        match self {
            Self::Channel(_) => "channel",
            Self::Group(_) => "group",
            Self::Price(_) => "price",
            Self::Setting(_) => "setting",
            Self::Provider(_) => "provider",
            Self::Token(_) => "token",
            Self::User(_) => "user",
            Self::Account(_) => "account",
            Self::Recall(_) => "recall",
        }
    }

    /// The text kept in `config_log.name`.
    #[must_use]
    pub fn name(&self) -> String {
        match self {
            Self::Channel(id) => id.to_string(),
            Self::Group(name) => name.to_string(),
            Self::Price(model) => model.to_string(),
            Self::Setting(name) | Self::Provider(name) => name.clone(),
            Self::Token(id) => id.to_string(),
            Self::User(id) => id.to_string(),
            Self::Account(id) | Self::Recall(id) => id.to_string(),
        }
    }

    /// Reads a row of `config_log` back. `None` for a kind of a later version.
    #[must_use]
    pub fn from_row(kind: &str, name: &str) -> Option<Self> {
        match kind {
            "channel" => name.parse().ok().map(|id| Self::Channel(ChannelId::new(id))),
            "group" => GroupName::parse(name).ok().map(Self::Group),
            "price" => ModelName::parse(name).ok().map(Self::Price),
            "setting" => Some(Self::Setting(name.to_owned())),
            "provider" => Some(Self::Provider(name.to_owned())),
            "token" => name.parse().ok().map(|id| Self::Token(TokenId::new(id))),
            "user" => name.parse().ok().map(|id| Self::User(UserId::new(id))),
            "account" => name.parse().ok().map(|id| Self::Account(AccountId::new(id))),
            "recall" => name.parse().ok().map(|id| Self::Recall(AccountId::new(id))),
            _ => None,
        }
    }
}

/// A figure that requests are priced with.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum RateKind {
    /// The price of a model; the body is a `ModelPrice` as JSON.
    Price,
    /// The ratio of a group; the body is decimal text.
    Group,
    /// The cache ratio of a channel, by its id; the body is decimal text.
    Channel,
}

impl RateKind {
    /// The word kept in `rate_history.kind`.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Price => "price",
            Self::Group => "group",
            Self::Channel => "channel",
        }
    }
}

/// What a rate is from a transaction on.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RateChange {
    /// Which rate.
    pub kind: RateKind,
    /// Of what: the model, the group, or the channel's id in decimal.
    pub name: String,
    /// The rate; `None` when there is none any more.
    pub body: Option<String>,
}

/// Like [`record`], for a transaction that changes what requests are priced with: settlement prices a record with the rates at the
/// sequence number it was priced with by the relay.
///
/// # Errors
/// When the database is away, there is nothing to record, or more than [`MAX_CHANGES`].
pub async fn record_rates(tx: &Tx, now: UnixMillis, changes: &[Changed], rates: &[RateChange]) -> Result<i64, DbErr> {
    if rates.len() > MAX_CHANGES {
        return Err(DbErr::Custom(format!("a transaction changes at most {MAX_CHANGES} rates, not {}", rates.len())));
    }
    let seq = record(tx, now, changes).await?;
    store::insert_rates(tx, now, seq, rates).await?;
    Ok(seq)
}

/// Takes the next sequence number and writes down what this transaction changed. Call it last, then commit, then poke.
///
/// # Errors
/// When the database is away, there is nothing to record, or more than [`MAX_CHANGES`].
pub async fn record(tx: &Tx, now: UnixMillis, changes: &[Changed]) -> Result<i64, DbErr> {
    if changes.is_empty() || changes.len() > MAX_CHANGES {
        return Err(DbErr::Custom(format!("a transaction records 1 to {MAX_CHANGES} changes, not {}", changes.len())));
    }
    let stamp = Stamp::draw();
    let seq = store::count_up(tx, stamp).await?;
    store::insert_changes(tx, now, (seq, stamp), changes).await?;
    Ok(seq)
}
