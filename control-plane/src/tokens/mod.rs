//! Tokens: keys for programs that call models. Known by a keyed digest; a sealed copy lets their owner see them again.

mod api;
mod change;
mod keys;
mod rules;
mod store;

use std::collections::BTreeMap;

use sea_orm::ConnectionTrait;
use secrecy::SecretString;
use serde::{Deserialize, Serialize};
use sluice_domain::{AccountId, GroupName, Limits, ModelName, Status, TokenId, UnixMillis, UserId};

use crate::app::App;
use crate::auth::{Actor, Scope};
use crate::http::{ApiError, Asking, Between, LimitBody, Listing, Page, Patch};
use crate::wallet::{self, Standing};

pub use api::routes;
pub use change::{create, delete, delete_all_of, open_given, patch, reveal, rotate};
pub use keys::{check_given_key, hint};
pub use store::find_any;

/// A key for programs.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Token {
    /// Its id.
    pub id: TokenId,
    /// Its stable public name.
    pub public_id: String,
    /// Whose it is.
    pub user_id: UserId,
    /// The account of its cap.
    pub account_id: AccountId,
    /// What its owner calls it.
    pub name: String,
    /// The first and last characters of the key.
    pub hint: String,
    /// Whether it may be used.
    pub status: Status,
    /// The group it is used in; `None`: its owner's.
    pub group: Option<GroupName>,
    /// Whether its cap limits anything.
    pub capped: bool,
    /// The account that counts its uses, once they were limited.
    #[serde(default)]
    pub uses_account_id: Option<AccountId>,
    /// Whether that account limits anything.
    #[serde(default)]
    pub uses_limited: bool,
    /// When it ends.
    pub expires_at: Option<UnixMillis>,
    /// Models it may ask for; `None`: every one.
    pub models: Option<Vec<ModelName>>,
    /// Addresses and blocks it may be used from; empty: anywhere.
    pub ip_allow: Vec<String>,
    /// How much may be used with it.
    #[serde(default)]
    pub limits: Limits,
    /// Grows with every change.
    pub rev: i64,
    /// When it was made.
    pub created_at: UnixMillis,
    /// When it was changed.
    pub updated_at: UnixMillis,
    /// When it was last used.
    pub last_used_at: Option<UnixMillis>,
}

/// A token with what its cap holds.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TokenWithCap {
    /// The token.
    pub token: Token,
    /// Its cap: a count of what it spent, and what is left of its quota when it is capped.
    pub cap: Standing,
    /// Its number of uses, in requests, once they were limited.
    pub uses: Option<Standing>,
}

/// A token with its key.
#[derive(Serialize, Deserialize)]
pub struct TokenWithKey {
    /// The token.
    pub token: Token,
    /// The key, as programs send it: `sk-…`.
    pub key: String,
}

/// What a new token is to be, or what is to change of one.
#[derive(Debug, Default)]
pub struct TokenFields {
    /// What its owner calls it.
    pub name: Option<String>,
    /// Whether it may be used.
    pub status: Option<Status>,
    /// What may be spent through it in its whole life, in quota units; `Clear`: as much as its owner has.
    pub quota: Patch<i64>,
    /// How often it may be used in its whole life; `Clear`: as often as one likes.
    pub request_limit: Patch<i64>,
    /// When it ends; `Clear`: never.
    pub expires_at: Patch<UnixMillis>,
    /// Models it may ask for; `Clear`: every one.
    pub models: Patch<Vec<String>>,
    /// Addresses and blocks it may be used from; `Clear`: anywhere.
    pub ip_allow: Patch<Vec<String>>,
    /// The group it is used in; `Clear`: its owner's.
    pub group: Patch<String>,
    /// How much may be used with it.
    pub limits: Option<Vec<LimitBody>>,
}

/// Which tokens are asked for.
#[derive(Debug, Clone, Default)]
pub struct TokenFilter {
    /// Only of this user.
    pub user_id: Option<UserId>,
    /// Part of the name.
    pub text: Option<String>,
    /// Only of this status.
    pub status: Option<Status>,
    /// Only for this group.
    pub group: Option<String>,
    /// Only those made in this span.
    pub made: Between,
}

/// A page of tokens: one's own, or anybody's for administrators.
///
/// # Errors
/// 404 when tokens of somebody else are asked for by a user.
pub async fn list(app: &App, asking: &Asking, filter: &TokenFilter, listing: &Listing) -> Result<Page<TokenWithCap>, ApiError> {
    asking.actor.need_scope(Scope::Read)?;
    let user_id = match filter.user_id {
        Some(user) if !asking.actor.sees(user) => return Err(ApiError::not_found("user")),
        None if !asking.actor.is_admin() => Some(asking.actor.user_id),
        given => given,
    };
    let filter = TokenFilter { user_id, ..filter.clone() };
    let Page { items, next_cursor, total } = store::list(app.db.read(), &filter, listing).await?;
    Ok(Page { items: with_caps(app.db.read(), items).await?, next_cursor, total })
}

/// One token.
///
/// # Errors
/// 404 when there is none of this id for the caller.
pub async fn get(app: &App, asking: &Asking, id: TokenId) -> Result<TokenWithCap, ApiError> {
    asking.actor.need_scope(Scope::Read)?;
    let token = visible(app.db.read(), &asking.actor, id).await?;
    with_cap(app.db.read(), token).await
}

/// A token the actor may see.
async fn visible(db: &impl ConnectionTrait, actor: &Actor, id: TokenId) -> Result<Token, ApiError> {
    let found = store::find(db, id).await?.filter(|token| actor.sees(token.user_id));
    found.ok_or_else(|| ApiError::not_found("token"))
}

/// A token with its cap.
///
/// # Errors
/// When the database is away.
pub async fn with_cap(db: &impl ConnectionTrait, token: Token) -> Result<TokenWithCap, ApiError> {
    let mut tokens = with_caps(db, vec![token]).await?;
    tokens.pop().ok_or_else(|| ApiError::internal("a list of one has no last"))
}

async fn with_caps(db: &impl ConnectionTrait, tokens: Vec<Token>) -> Result<Vec<TokenWithCap>, ApiError> {
    let own = |token: &Token| std::iter::once(token.account_id).chain(token.uses_account_id);
    let accounts: Vec<AccountId> = tokens.iter().flat_map(own).collect();
    let standings = wallet::standings(db, &accounts).await?;
    let by_id: BTreeMap<AccountId, Standing> = standings.into_iter().map(|standing| (standing.account, standing)).collect();
    let capped = |token: Token| {
        let cap = by_id.get(&token.account_id).copied();
        let missing = || ApiError::internal(format!("token {} has no account", token.id));
        let uses = token.uses_account_id.and_then(|account| by_id.get(&account).copied());
        Ok(TokenWithCap { cap: cap.ok_or_else(missing)?, uses, token })
    };
    tokens.into_iter().map(capped).collect()
}

/// What is stored of a key.
struct Key {
    digest: String,
    hint: String,
    secret: SecretString,
}
