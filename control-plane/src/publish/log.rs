//! The order of all changes to what relays know.
//!
//! `config_head` has one row. Each changing transaction counts its `seq` up and holds the row until it commits: so commit order is seq
//! order, without gaps, and whoever reads "everything above seq n" misses nothing. That is also why it comes last in a transaction.

use sea_orm::sea_query::{Expr, Query};
use sea_orm::{ConnectionTrait, DbErr};
use sluice_domain::{ChannelId, GroupName, ModelName, TokenId, UnixMillis, UserId};

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
    /// A token; revoking one also needs the urgent lane, which reads it from here.
    Token(TokenId),
    /// A user.
    User(UserId),
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
            Self::Token(_) => "token",
            Self::User(_) => "user",
        }
    }

    /// The text kept in `config_log.name`.
    #[must_use]
    pub fn name(&self) -> String {
        match self {
            Self::Channel(id) => id.to_string(),
            Self::Group(name) => name.to_string(),
            Self::Price(model) => model.to_string(),
            Self::Setting(name) => name.clone(),
            Self::Token(id) => id.to_string(),
            Self::User(id) => id.to_string(),
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
            "token" => name.parse().ok().map(|id| Self::Token(TokenId::new(id))),
            "user" => name.parse().ok().map(|id| Self::User(UserId::new(id))),
            _ => None,
        }
    }
}

/// Takes the next sequence number and writes down what this transaction changed. Call it last, then commit, then poke.
///
/// # Errors
/// When the database is away, there is nothing to record, or more than [`MAX_CHANGES`].
pub async fn record(tx: &Tx, now: UnixMillis, changes: &[Changed]) -> Result<i64, DbErr> {
    if changes.is_empty() || changes.len() > MAX_CHANGES {
        return Err(DbErr::Custom(format!("a transaction records 1 to {MAX_CHANGES} changes, not {}", changes.len())));
    }
    let count_up = Query::update().table("config_head").value("seq", Expr::col("seq").add(1)).and_where(Expr::col("id").eq(1)).to_owned();
    tx.execute(&count_up).await?;
    let read = Query::select().column("seq").from("config_head").and_where(Expr::col("id").eq(1)).to_owned();
    let row = tx.query_one(&read).await?.ok_or_else(|| DbErr::RecordNotFound("config_head has no row".into()))?;
    let seq: i64 = row.try_get("", "seq")?;

    let mut insert = Query::insert().into_table("config_log").columns(["seq", "ordinal", "kind", "name", "at"]).to_owned();
    for (ordinal, change) in (0_i32..).zip(changes) {
        insert.values_panic([seq.into(), ordinal.into(), change.kind().into(), change.name().into(), now.0.into()]);
    }
    tx.execute(&insert).await?;
    Ok(seq)
}
