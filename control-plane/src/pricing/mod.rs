//! What models cost: the price of each model, and what it was before.

mod api;
mod rules;
mod store;

use sea_orm::{ConnectionTrait, DbErr};
use serde::{Deserialize, Serialize};
use sluice_billing::{ModelPrice, PriceBook};
use sluice_domain::{Limits, ModelName, Role, UnixMillis};

use crate::app::App;
use crate::audit;
use crate::auth::Scope;
use crate::db::Tx;
use crate::http::idempotency::{remember, replay};
use crate::http::{ApiError, Asking, Listing, Page, Patch, Written};
use crate::publish::log::{self, Changed, RateChange, RateKind};

pub use api::routes;
pub use rules::{PriceFields, UsdView, usd_view};

/// The price of a model.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Price {
    /// The model, or the normal form of a family of names.
    pub model: ModelName,
    /// The figures.
    pub figures: ModelPrice,
    /// How much of the model all callers may use together.
    #[serde(default)]
    pub limits: Limits,
    /// Where the figures are from.
    pub source: Source,
    /// Grows with every change.
    pub rev: i64,
    /// When it was made.
    pub created_at: UnixMillis,
    /// When it was changed.
    pub updated_at: UnixMillis,
}

/// Where the figures of a price are from.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, utoipa::ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum Source {
    /// They came with Sluice and were never changed.
    Shipped,
    /// An administrator set them.
    Admin,
}

impl Source {
    const fn as_str(self) -> &'static str {
        match self {
            Self::Shipped => "shipped",
            Self::Admin => "admin",
        }
    }

    fn from_word(word: &str) -> Self {
        if word == Self::Shipped.as_str() { Self::Shipped } else { Self::Admin }
    }
}

/// What a price was from some moment on.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PastPrice {
    /// The config sequence number it came with.
    pub seq: i64,
    /// When.
    pub at: UnixMillis,
    /// The figures; `None`: the model had no price from then on.
    pub figures: Option<ModelPrice>,
}

/// Which prices are asked for.
#[derive(Debug, Clone, Default)]
pub struct PriceFilter {
    /// Part of the model's name.
    pub text: Option<String>,
    /// Only from this source.
    pub source: Option<Source>,
}

/// A page of prices.
///
/// # Errors
/// When the database is away.
pub async fn list(app: &App, asking: &Asking, filter: &PriceFilter, listing: &Listing) -> Result<Page<Price>, ApiError> {
    asking.actor.need_scope(Scope::Read)?;
    Ok(store::list(app.db.read(), filter, listing).await?)
}

/// The price of one model, by its exact name.
///
/// # Errors
/// 404 when the model has none.
pub async fn get(app: &App, asking: &Asking, model: &str) -> Result<Price, ApiError> {
    asking.actor.need_scope(Scope::Read)?;
    store::find(app.db.read(), model).await?.ok_or_else(not_found)
}

/// What a model cost over time, newest first. Prices that were taken away have a history, too.
///
/// # Errors
/// When the database is away.
pub async fn history(app: &App, asking: &Asking, model: &str, listing: &Listing) -> Result<Page<PastPrice>, ApiError> {
    asking.actor.need_scope(Scope::Read)?;
    Ok(store::history(app.db.read(), model, listing).await?)
}

/// The prices in force, as relays look them up.
///
/// # Errors
/// When the database is away.
pub async fn book(db: &impl ConnectionTrait) -> Result<PriceBook, DbErr> {
    let prices = store::all(db).await?;
    Ok(PriceBook::new(prices.into_iter().map(|(model, figures)| (model.to_string(), figures))))
}

/// Gives a model a price.
///
/// # Errors
/// 403 for all but administrators, 409 when it has one, 422 when a figure breaks a rule.
pub async fn create(app: &App, asking: &Asking, model: &str, fields: PriceFields) -> Result<Written<Price>, ApiError> {
    asking.actor.need(Role::Admin, Scope::Write)?;
    if let Some(made) = replay(app, asking).await? {
        return Ok(made);
    }
    let model = ModelName::parse(model).map_err(|rule| ApiError::field("model", "name", rule.to_string()))?;
    let (figures, limits) = fields.put_into(ModelPrice::default(), Limits::default())?;
    let now = asking.now;
    let price = Price { model, figures, limits, source: Source::Admin, rev: 1, created_at: now, updated_at: now };

    let tx = app.db.begin().await?;
    store::insert(&tx, &price).await?;
    audit::write(&tx, asking, "prices.create", &target(&price), &price).await?;
    let config_seq = record(&tx, asking, &price.model, Some(&price.figures)).await?;
    let made = Written { object: price, config_seq: Some(config_seq) };
    remember(app, &tx, asking, &made).await?;
    tx.commit().await?;
    app.poke.look();
    Ok(made)
}

/// Changes the price of a model.
///
/// # Errors
/// 403 for all but administrators, 404, 412, 422.
pub async fn patch(app: &App, asking: &Asking, model: &str, fields: PriceFields) -> Result<Written<Price>, ApiError> {
    asking.actor.need(Role::Admin, Scope::Write)?;
    let tx = app.db.begin().await?;
    let before = store::lock(&tx, model).await?.ok_or_else(not_found)?;
    asking.need_unchanged(before.rev)?;
    let (figures, limits) = fields.put_into(before.figures.clone(), before.limits.clone())?;
    // a limit makes a shipped price nobody's own
    let is_only_limits = figures == before.figures && limits != before.limits;
    let source = if is_only_limits { before.source } else { Source::Admin };
    let after = Price { figures, limits, source, rev: before.rev + 1, updated_at: asking.now, ..before.clone() };
    store::update(&tx, &after).await?;
    let detail = serde_json::json!({"before": &before, "after": &after});
    audit::write(&tx, asking, "prices.patch", &target(&after), &detail).await?;
    let config_seq = record(&tx, asking, &after.model, Some(&after.figures)).await?;
    tx.commit().await?;
    app.poke.look();
    Ok(Written { object: after, config_seq: Some(config_seq) })
}

/// Takes the price of a model away: the model cannot be used until it has another.
///
/// # Errors
/// 403 for all but administrators, 404, 412.
pub async fn delete(app: &App, asking: &Asking, model: &str) -> Result<i64, ApiError> {
    asking.actor.need(Role::Admin, Scope::Write)?;
    let tx = app.db.begin().await?;
    let price = store::lock(&tx, model).await?.ok_or_else(not_found)?;
    asking.need_unchanged(price.rev)?;
    store::delete(&tx, &price.model).await?;
    audit::write(&tx, asking, "prices.delete", &target(&price), &price).await?;
    let seq = record(&tx, asking, &price.model, None).await?;
    tx.commit().await?;
    app.poke.look();
    Ok(seq)
}

async fn record(tx: &Tx, asking: &Asking, model: &ModelName, figures: Option<&ModelPrice>) -> Result<i64, ApiError> {
    let body = figures.map(serde_json::to_string).transpose().map_err(ApiError::internal)?;
    let rate = RateChange { kind: RateKind::Price, name: model.to_string(), body };
    let recorded: Result<i64, DbErr> = log::record_rates(tx, asking.now, &[Changed::Price(model.clone())], &[rate]).await;
    Ok(recorded?)
}

fn target(price: &Price) -> String {
    format!("price:{}", price.model)
}

fn not_found() -> ApiError {
    ApiError::not_found("price")
}

/// A figure of a price in a request: left out, cleared, or decimal text.
pub type Figure = Patch<String>;
