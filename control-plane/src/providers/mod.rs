//! The provider catalogue: what a channel form needs to know, and the providers that administrators described beside the shipped ones.

mod api;
mod store;

use std::sync::Arc;

use sea_orm::DbErr;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};
use sluice_domain::{Role, UnixMillis};
use sluice_providers::{Catalog, Provider};
use tracing::warn;

use crate::app::App;
use crate::audit;
use crate::auth::Scope;
use crate::db::Tx;
use crate::http::idempotency::{remember, replay};
use crate::http::{ApiError, Asking, Code, Written, read_field};
use crate::publish::log::{self, Changed};

pub use api::routes;

/// The most providers that administrators can describe: the list has them on one page.
const MOST_CUSTOM: usize = 200;
/// Characters the column of the slug holds.
const MOST_SLUG: usize = 64;

/// A provider that administrators described.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Custom {
    /// Its slug, for ever.
    pub slug: String,
    /// The content of a catalogue file, as JSON.
    pub definition: String,
    /// Grows with every change.
    pub rev: i64,
    /// When it was made.
    pub created_at: UnixMillis,
    /// When it was changed.
    pub updated_at: UnixMillis,
}

/// A provider, shipped or described.
#[derive(Debug, Clone)]
pub struct Known {
    /// What there is to know of it.
    pub provider: Arc<Provider>,
    /// How administrators described it; `None`: it comes with Sluice.
    pub custom: Option<Custom>,
}

/// Every provider, in the order they are offered: those that come with Sluice, then those that administrators described.
///
/// # Errors
/// 403 for all but administrators.
pub async fn list(app: &App, asking: &Asking) -> Result<Vec<Known>, ApiError> {
    asking.actor.need(Role::Admin, Scope::Read)?;
    let described = store::list(app.db.read()).await?;
    let mut all: Vec<Known> = app.catalog.iter().map(shipped).collect();
    for custom in described {
        let slug = custom.slug.clone();
        all.retain(|known| known.provider.slug != slug);
        match known(custom) {
            Ok(custom) => all.push(custom),
            // written by another version: the others are offered all the same
            Err(error) => warn!(slug, %error, "the description of provider {slug} cannot be read by this version"),
        }
    }
    Ok(all)
}

/// One provider.
///
/// # Errors
/// 403 for all but administrators, 404.
pub async fn get(app: &App, asking: &Asking, slug: &str) -> Result<Known, ApiError> {
    asking.actor.need(Role::Admin, Scope::Read)?;
    match store::find(app.db.read(), slug).await? {
        Some(custom) => known(custom),
        None => app.catalog.get(slug).map(shipped).ok_or_else(not_found),
    }
}

/// The provider of a slug, for what Sluice does by itself. `None`: there is none, or its description is of another version.
///
/// # Errors
/// When the database is away.
pub(crate) async fn find(app: &App, slug: &str) -> Result<Option<Arc<Provider>>, DbErr> {
    match store::find(app.db.read(), slug).await? {
        Some(custom) => Ok(known(custom).ok().map(|known| known.provider)),
        None => Ok(app.catalog.get(slug).map(Arc::clone)),
    }
}

/// The provider of a channel that is written: it stays until the transaction ends.
///
/// # Errors
/// 422 when there is none of this slug.
pub async fn need(tx: &Tx, catalog: &Catalog, slug: &str) -> Result<Arc<Provider>, ApiError> {
    if let Some(custom) = store::lock(tx, slug).await? {
        return Ok(known(custom)?.provider);
    }
    let unknown = || ApiError::field("provider", "unknown_provider", "must be the slug of a provider, see /api/providers");
    catalog.get(slug).map(Arc::clone).ok_or_else(unknown)
}

/// Makes a provider of a description.
///
/// # Errors
/// 403 for all but administrators, 409 when the slug is taken or there are too many, 422 when it is no description.
pub async fn create(app: &App, asking: &Asking, definition: Map<String, Value>) -> Result<Written<Custom>, ApiError> {
    asking.actor.need(Role::Admin, Scope::Write)?;
    if let Some(made) = replay(app, asking).await? {
        return Ok(made);
    }
    let (provider, definition) = judge(definition)?;
    if app.catalog.get(&provider.slug).is_some() {
        return Err(ApiError::new(Code::NameTaken, "a provider that comes with Sluice has this slug"));
    }
    let now = asking.now;
    let custom = Custom { slug: provider.slug, definition, rev: 1, created_at: now, updated_at: now };
    let tx = app.db.begin().await?;
    if store::list(&tx).await?.len() >= MOST_CUSTOM {
        return Err(ApiError::new(Code::Protected, format!("there are {MOST_CUSTOM} described providers, more cannot be")));
    }
    store::insert(&tx, &custom).await?;
    audit::write(&tx, asking, "providers.create", &target(&custom), &custom).await?;
    let config_seq = record(&tx, asking, &custom).await?;
    let made = Written { object: custom, config_seq: Some(config_seq) };
    remember(app, &tx, asking, &made).await?;
    tx.commit().await?;
    app.poke.look();
    Ok(made)
}

/// Gives a provider another description, of the same slug.
///
/// # Errors
/// 403 for all but administrators, 404 when administrators described none of this slug, 412, 422.
pub async fn patch(app: &App, asking: &Asking, slug: &str, definition: Map<String, Value>) -> Result<Written<Custom>, ApiError> {
    asking.actor.need(Role::Admin, Scope::Write)?;
    let (provider, definition) = judge(definition)?;
    if provider.slug != slug {
        return Err(ApiError::field("definition.slug", "slug", "must stay as it is"));
    }
    let tx = app.db.begin().await?;
    let before = store::lock(&tx, slug).await?.ok_or_else(not_found)?;
    asking.need_unchanged(before.rev)?;
    let after = Custom { definition, rev: before.rev + 1, updated_at: asking.now, ..before.clone() };
    store::update(&tx, &after).await?;
    let detail = serde_json::json!({"before": &before, "after": &after});
    audit::write(&tx, asking, "providers.patch", &target(&after), &detail).await?;
    let config_seq = record(&tx, asking, &after).await?;
    tx.commit().await?;
    app.poke.look();
    Ok(Written { object: after, config_seq: Some(config_seq) })
}

/// Deletes a provider that administrators described and no channel is of.
///
/// # Errors
/// 403 for all but administrators, 404, 409 when a channel is of it or it comes with Sluice, 412.
pub async fn delete(app: &App, asking: &Asking, slug: &str) -> Result<i64, ApiError> {
    asking.actor.need(Role::Admin, Scope::Write)?;
    let tx = app.db.begin().await?;
    let Some(custom) = store::lock(&tx, slug).await? else {
        let is_shipped = app.catalog.get(slug).is_some();
        return Err(if is_shipped { ApiError::new(Code::Protected, "it comes with Sluice and stays") } else { not_found() });
    };
    asking.need_unchanged(custom.rev)?;
    let channels = store::channels_of(&tx, slug).await?;
    // a provider of the same slug may have come with Sluice since: its channels go on with that one
    if channels > 0 && app.catalog.get(slug).is_none() {
        return Err(ApiError::new(Code::InUse, format!("{channels} channels are of it")));
    }
    store::delete(&tx, slug).await?;
    audit::write(&tx, asking, "providers.delete", &target(&custom), &custom).await?;
    let seq = record(&tx, asking, &custom).await?;
    tx.commit().await?;
    app.poke.look();
    Ok(seq)
}

/// Reads a description as relays will, and refuses it by the path of the field that is wrong.
fn judge(definition: Map<String, Value>) -> Result<(Provider, String), ApiError> {
    let text = Value::Object(definition.clone()).to_string();
    let refused = match Provider::from_definition(&text) {
        Ok(provider) if provider.slug.len() > MOST_SLUG => format!("slug must have at most {MOST_SLUG} characters"),
        Ok(provider) if !provider.is_served() => "auth.scheme must be one whose keys are sent as they are".to_owned(),
        Ok(provider) => return Ok((provider, text)),
        Err(error) => error.to_string(),
    };
    let mut fields = definition;
    fields.entry("id").or_insert(Value::from(0));
    // the same reader, for the path of what has another shape
    read_field::<Provider>("definition", Value::Object(fields))?;
    Err(ApiError::field("definition", "definition", refused))
}

fn shipped(provider: &Arc<Provider>) -> Known {
    Known { provider: Arc::clone(provider), custom: None }
}

fn known(custom: Custom) -> Result<Known, ApiError> {
    let provider = Provider::from_definition(&custom.definition).map_err(ApiError::internal)?;
    Ok(Known { provider: Arc::new(provider), custom: Some(custom) })
}

async fn record(tx: &Tx, asking: &Asking, custom: &Custom) -> Result<i64, DbErr> {
    log::record(tx, asking.now, &[Changed::Provider(custom.slug.clone())]).await
}

fn target(custom: &Custom) -> String {
    format!("provider:{}", custom.slug)
}

fn not_found() -> ApiError {
    ApiError::not_found("provider")
}
