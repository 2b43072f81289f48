//! What other programs read of a key's money: the pages of OpenAI's old dashboard and of the family, which key checkers and chained
//! gateways still ask (relay-api.md §15).
//!
//! A key tells of itself alone. Whoever holds an unlimited one need not be whoever pays, and learns nothing of the owner's wallet, unless the
//! site wants it told (`display_token_stat`).

mod api;
mod rules;

use std::net::IpAddr;

use sea_orm::DbErr;
use sluice_domain::{PresentedKey, UnixMillis};
use sluice_snapshot::Token;

pub use self::api::{is_page, routes};
pub use self::rules::{Figures, Shown};
use crate::app::App;
use crate::{publish, settings, wallet};

/// What a key may be asked about.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Ask {
    /// About its money, while it may be used.
    Balance,
    /// About itself, though it may not be used any more.
    Itself,
}

/// A key's figures, and how amounts are shown.
#[derive(Debug, Clone)]
pub struct Told {
    /// The token.
    pub token: Token,
    /// What it may spend and has spent.
    pub figures: Figures,
    /// How amounts are shown.
    pub shown: Shown,
    /// When that was so.
    pub as_of: UnixMillis,
}

/// Why nothing is told.
#[derive(Debug, thiserror::Error)]
pub enum Refused {
    /// There is no key.
    #[error("no API key was given: send it in the header `Authorization: Bearer sk-...`")]
    NoKey,
    /// Nobody has the key.
    #[error("the API key is not valid")]
    UnknownKey,
    /// The token is switched off.
    #[error("the token is disabled")]
    Disabled,
    /// The token has ended.
    #[error("the token has expired")]
    Expired,
    /// The token may not be used from there.
    #[error("the token may not be used from this address")]
    Address,
    /// Its owner is switched off.
    #[error("the owner of the token is disabled")]
    Owner,
    /// It is not known now.
    #[error("the figures cannot be read at the moment, try again")]
    NotKnown(#[source] DbErr),
}

impl From<DbErr> for Refused {
    fn from(error: DbErr) -> Self {
        Self::NotKnown(error)
    }
}

/// Tells of the key that was presented from an address.
///
/// # Errors
/// When nobody has it, when it may not ask, or when that cannot be told now.
pub async fn tell(app: &App, presented: Option<&str>, address: IpAddr, ask: Ask) -> Result<Told, Refused> {
    let key = presented.and_then(PresentedKey::parse).ok_or(Refused::NoKey)?;
    let digest = app.keyring.current().digest_key().digest(key.secret());
    let resolved = publish::resolve(app, &digest).await?;
    let (token, user) = resolved.identity.ok_or(Refused::UnknownKey)?;
    let as_of = app.clock.wall();
    if ask == Ask::Balance {
        may_be_used(&token, address, as_of)?;
    }
    if !user.status.is_enabled() {
        return Err(Refused::Owner);
    }
    let site = settings::site(app).await.map_err(|error| Refused::NotKnown(DbErr::Custom(error.to_string())))?;
    let is_owners = ask == Ask::Balance && !site.display_token_stat;
    let (account, is_limited) = if is_owners { (user.account_id, true) } else { (token.account_id, token.capped) };
    let standing = wallet::standings(app.db.read(), &[account]).await?;
    let figures = Figures::of(is_limited, standing.first());
    Ok(Told { token, figures, shown: Shown::of(&site), as_of })
}

fn may_be_used(token: &Token, address: IpAddr, now: UnixMillis) -> Result<(), Refused> {
    if !token.status.is_enabled() {
        return Err(Refused::Disabled);
    }
    if token.is_expired_at(now) {
        return Err(Refused::Expired);
    }
    if !token.allows_address(address) {
        return Err(Refused::Address);
    }
    Ok(())
}
