//! Models: what can be asked for, by whom, and whether it can be paid for. They are what channels in use serve; prices are in `pricing`.

mod api;
mod rules;

use sluice_billing::ModelPrice;
use sluice_domain::{GroupName, ModelName, TokenId};

use crate::app::App;
use crate::auth::Scope;
use crate::http::{ApiError, Asking, Listing, Page};
use crate::{channels, groups, pricing, tokens, users};

pub use api::routes;

/// A model that channels in use serve.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Model {
    /// The name requests ask for.
    pub name: ModelName,
    /// The groups it can be asked for in, of those that were looked at.
    pub groups: Vec<GroupName>,
    /// How many channels in use serve it in these groups.
    pub channels: u32,
    /// Its price; `None`: requests for it are refused.
    pub price: Option<ModelPrice>,
}

/// Which models are asked for.
#[derive(Debug, Clone, Default)]
pub struct ModelFilter {
    /// Part of the name.
    pub text: Option<String>,
    /// Only those with a price, or only those without.
    pub is_priced: Option<bool>,
    /// Only those of this group.
    pub group: Option<String>,
    /// Only these, whether a channel serves them or not; empty: all that are served.
    pub names: Vec<ModelName>,
    /// Only what this token may ask for.
    pub token: Option<TokenId>,
}

/// Whose models are looked at.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
struct Reach {
    /// In these groups; `None`: in all.
    groups: Option<Vec<GroupName>>,
    /// These only; `None`: every one.
    models: Option<Vec<ModelName>>,
}

/// A page of models, by name: what a token may ask for, or what tokens of the caller could, or for administrators everything that
/// channels in use serve.
///
/// # Errors
/// 404 when the token is not the caller's to see.
pub async fn list(app: &App, asking: &Asking, filter: &ModelFilter, listing: &Listing) -> Result<Page<Model>, ApiError> {
    asking.actor.need_scope(Scope::Read)?;
    let reach = reach(app, asking, filter).await?;
    let served = channels::served(app.db.read()).await?;
    let prices = pricing::book(app.db.read()).await?;
    let models = rules::models(served, &reach, &filter.names, &prices);
    Ok(rules::page(models, filter, listing))
}

async fn reach(app: &App, asking: &Asking, filter: &ModelFilter) -> Result<Reach, ApiError> {
    let db = app.db.read();
    if let Some(id) = filter.token {
        let token = tokens::get(app, asking, id).await?.token;
        let group = match token.group {
            Some(group) => group,
            None => users::visible(db, &asking.actor, token.user_id).await?.group,
        };
        return Ok(Reach { groups: Some(vec![group]), models: token.models });
    }
    if asking.actor.is_admin() {
        return Ok(Reach::default());
    }
    let user = users::visible(db, &asking.actor, asking.actor.user_id).await?;
    Ok(Reach { groups: Some(groups::usable_from(db, &user.group).await?), models: None })
}
