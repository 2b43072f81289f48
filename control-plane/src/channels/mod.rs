//! Channels: ways to providers, with their keys.

mod api;
mod change;
mod demo;
mod rules;
mod settings;
mod store;
mod verdict;
mod watch;

use std::collections::BTreeMap;

use sea_orm::{ConnectionTrait, DbErr};
use secrecy::SecretString;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};
use sluice_billing::Ratio;
use sluice_domain::{ChannelId, ChannelKeyId, GroupName, Limits, ModelName, Role, Status, UnixMillis};

use crate::app::App;
use crate::auth::Scope;
use crate::http::{ApiError, Asking, Between, LimitBody, Listing, Page, Patch};

pub use api::routes;
pub use change::{RevealedKey, create, delete, patch, reveal};
pub(crate) use change::{switch_off, switch_on};
pub use demo::{offer_demo, withdraw_demo};
pub use settings::Settings;
pub(crate) use store::place_of_key;
pub use verdict::{Evidence, Observed};
pub(crate) use watch::judge;
pub use watch::{SuccessRate, Watch};

/// A way to a provider.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Channel {
    /// Its id.
    pub id: ChannelId,
    /// What administrators call it.
    pub name: String,
    /// Slug of the provider.
    pub provider: String,
    /// Where it is, when not at the provider's own address.
    pub base_url: Option<String>,
    /// Version of the provider's API, where its address needs one.
    pub api_version: Option<String>,
    /// Models it serves, by the names callers use.
    pub models: Vec<ModelName>,
    /// Groups it serves.
    pub groups: Vec<GroupName>,
    /// Higher first.
    pub priority: i64,
    /// Share within a priority.
    pub weight: i32,
    /// Whether it may be used.
    pub status: Status,
    /// Why Sluice switched it off.
    pub status_reason: Option<String>,
    /// Requested model to upstream model.
    pub model_mapping: BTreeMap<String, String>,
    /// Price of cached input ÷ input price, when it differs from the model's.
    pub cache_read_ratio: Option<Ratio>,
    /// What it does differently from others.
    #[serde(default)]
    pub policy: Policy,
    /// How much may be sent over it.
    #[serde(default)]
    pub limits: Limits,
    /// What it does beyond sending requests on.
    #[serde(default)]
    pub settings: Settings,
    /// Its keys, without the keys themselves.
    pub keys: Vec<ChannelKey>,
    /// Grows with every change.
    pub rev: i64,
    /// When it was made.
    pub created_at: UnixMillis,
    /// When it was changed.
    pub updated_at: UnixMillis,
}

/// What a channel does differently from others.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Policy {
    /// The longest wait for the first output of a stream, in milliseconds; 0: as everywhere.
    pub first_output_millis: i64,
    /// An empty answer is passed on, instead of being tried elsewhere.
    pub keeps_empty: bool,
    /// When a caller leaves inside a stream, it is read on for its usage, instead of being cancelled.
    pub drains: bool,
    /// It is never switched off by itself.
    pub stays_on: bool,
}

/// One key of a channel, without the key itself.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ChannelKey {
    /// Its id.
    pub id: ChannelKeyId,
    /// The first and last characters of the key.
    pub hint: String,
    /// Whether it may be used.
    pub status: Status,
    /// Why Sluice switched it off.
    #[serde(default)]
    pub status_reason: Option<String>,
}

/// What a new channel is to be, or what is to change of one.
#[derive(Debug, Default)]
pub struct ChannelFields {
    /// What administrators call it.
    pub name: Option<String>,
    /// Slug of the provider.
    pub provider: Option<String>,
    /// Where it is.
    pub base_url: Patch<String>,
    /// Version of the provider's API.
    pub api_version: Patch<String>,
    /// Keys that take the place of those there are.
    pub keys: Option<Vec<SecretString>>,
    /// Models it serves.
    pub models: Option<Vec<String>>,
    /// Groups it serves.
    pub groups: Option<Vec<String>>,
    /// Higher first.
    pub priority: Option<i64>,
    /// Share within a priority.
    pub weight: Option<i64>,
    /// Whether it may be used.
    pub status: Option<Status>,
    /// Requested model to upstream model.
    pub model_mapping: Option<BTreeMap<String, String>>,
    /// Price of cached input ÷ input price, as decimal text.
    pub cache_read_ratio: Patch<String>,
    /// Whether it may be switched off by itself.
    pub auto_ban: Option<bool>,
    /// Whether an empty answer is tried elsewhere.
    pub empty_reply_retry: Option<bool>,
    /// Whether a stream whose caller left is read on for its usage.
    pub drains: Option<bool>,
    /// The longest wait for the first output of a stream, in seconds.
    pub first_output_secs: Patch<i64>,
    /// How much may be sent over it.
    pub limits: Option<Vec<LimitBody>>,
    /// What changes of what it does beyond sending requests on: what is left out stays, `null` unsets.
    pub settings: Option<Map<String, Value>>,
}

/// Which channels are asked for.
#[derive(Debug, Clone, Default)]
pub struct ChannelFilter {
    /// Part of the name or address.
    pub text: Option<String>,
    /// Only of this status.
    pub status: Option<Status>,
    /// Only of this provider.
    pub provider: Option<String>,
    /// Only those that serve this model.
    pub model: Option<String>,
    /// Only those that serve this group.
    pub group: Option<String>,
    /// Only those made in this span.
    pub made: Between,
}

/// A page of channels.
///
/// # Errors
/// 403 for all but administrators.
pub async fn list(app: &App, asking: &Asking, filter: &ChannelFilter, listing: &Listing) -> Result<Page<Channel>, ApiError> {
    asking.actor.need(Role::Admin, Scope::Read)?;
    let mut page = store::list(app.db.read(), &app.keyring, filter, listing).await?;
    let ids: Vec<ChannelId> = page.items.iter().map(|channel| channel.id).collect();
    let mut keys = store::keys_of(app.db.read(), &ids).await?;
    for channel in &mut page.items {
        channel.keys = keys.remove(&channel.id).unwrap_or_default();
    }
    Ok(page)
}

/// One channel.
///
/// # Errors
/// 403 for all but administrators, 404.
pub async fn get(app: &App, asking: &Asking, id: ChannelId) -> Result<Channel, ApiError> {
    asking.actor.need(Role::Admin, Scope::Read)?;
    store::find(app.db.read(), &app.keyring, id).await?.ok_or_else(not_found)
}

/// One channel, for what Sluice does by itself.
///
/// # Errors
/// When the database is away.
pub(crate) async fn find(app: &App, id: ChannelId) -> Result<Option<Channel>, DbErr> {
    store::find(app.db.read(), &app.keyring, id).await
}

/// What each channel in use serves: its models, in its groups.
///
/// # Errors
/// When the database is away.
pub async fn served(db: &impl ConnectionTrait) -> Result<Vec<(Vec<ModelName>, Vec<GroupName>)>, DbErr> {
    store::served(db).await
}

fn not_found() -> ApiError {
    ApiError::not_found("channel")
}
