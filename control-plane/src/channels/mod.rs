//! Channels: ways to providers, with their keys.

mod api;
mod change;
mod demo;
mod rules;
mod store;

use std::collections::BTreeMap;

use secrecy::SecretString;
use serde::{Deserialize, Serialize};
use sluice_billing::Ratio;
use sluice_domain::{ChannelId, ChannelKeyId, GroupName, ModelName, Role, Status, UnixMillis};

use crate::app::App;
use crate::auth::Scope;
use crate::http::{ApiError, Asking, Listing, Page, Patch};

pub use api::routes;
pub use change::{RevealedKey, create, delete, patch, reveal};
pub use demo::{DEMO_CHANNEL, offer_demo};

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
    /// Its keys, without the keys themselves.
    pub keys: Vec<ChannelKey>,
    /// Grows with every change.
    pub rev: i64,
    /// When it was made.
    pub created_at: UnixMillis,
    /// When it was changed.
    pub updated_at: UnixMillis,
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
}

/// A page of channels.
///
/// # Errors
/// 403 for all but administrators.
pub async fn list(app: &App, asking: &Asking, filter: &ChannelFilter, listing: &Listing) -> Result<Page<Channel>, ApiError> {
    asking.actor.need(Role::Admin, Scope::Read)?;
    let mut page = store::list(app.db.read(), filter, listing).await?;
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
    store::find(app.db.read(), id).await?.ok_or_else(not_found)
}

fn not_found() -> ApiError {
    ApiError::not_found("channel")
}
