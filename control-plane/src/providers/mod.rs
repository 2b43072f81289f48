//! The provider catalogue: what a channel form needs to know.

mod api;

use std::sync::Arc;

use sluice_domain::Role;
use sluice_providers::Provider;

use crate::app::App;
use crate::auth::Scope;
use crate::http::{ApiError, Asking};

pub use api::routes;

/// Every provider, in the order they are offered.
///
/// # Errors
/// 403 for all but administrators.
pub fn list(app: &App, asking: &Asking) -> Result<Vec<Arc<Provider>>, ApiError> {
    asking.actor.need(Role::Admin, Scope::Read)?;
    Ok(app.catalog.iter().map(Arc::clone).collect())
}

/// One provider.
///
/// # Errors
/// 403 for all but administrators, 404.
pub fn get(app: &App, asking: &Asking, slug: &str) -> Result<Arc<Provider>, ApiError> {
    asking.actor.need(Role::Admin, Scope::Read)?;
    app.catalog.get(slug).map(Arc::clone).ok_or_else(|| ApiError::not_found("provider"))
}
