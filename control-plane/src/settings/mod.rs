//! How the site behaves: a typed list of settings, each with default, unit and effect.

mod api;
mod definitions;
mod store;

use serde_json::Value;
use sluice_domain::{Quota, Role, UnixMillis};
use sluice_snapshot::RelaySettings;
use sluice_snapshot::resource::Setting as RelaySetting;

use crate::app::App;
use crate::audit;
use crate::auth::Scope;
use crate::http::{ApiError, Asking, Written};
use crate::publish::log::{self, Changed};

pub use api::routes;
pub use definitions::{DEFINITIONS, Definition, Effect, Kind, read_address};

/// A setting as it stands.
#[derive(Debug, Clone, PartialEq)]
pub struct Setting {
    /// What it is.
    pub definition: &'static Definition,
    /// Its value in text form.
    pub value: String,
    /// Counts its changes; 0 while it was never changed.
    pub rev: i64,
    /// When it was changed.
    pub updated_at: Option<UnixMillis>,
}

/// The settings that the control plane itself goes by.
#[derive(Debug, Clone)]
pub struct Site {
    /// Name of the site.
    pub system_name: String,
    /// Address of the logo.
    pub logo: String,
    /// HTML for the bottom of every page.
    pub footer_html: String,
    /// The public address.
    pub server_address: String,
    /// How amounts are shown.
    pub quota_display_type: String,
    /// What amounts are multiplied with where they are shown as CNY, in millionths.
    pub usd_exchange_micros: i64,
    /// The same for a currency of the site's own.
    pub custom_exchange_micros: i64,
    /// Whether balance pages tell of a token alone.
    pub display_token_stat: bool,
    /// Where to buy quota outside.
    pub top_up_link: String,
    /// Where the documents are.
    pub docs_link: String,
    /// The gift in a new user's wallet.
    pub quota_for_new_user: Quota,
    /// The most tokens a user has.
    pub max_user_tokens: i64,
    /// Whether channels are switched off by what their upstreams say.
    pub automatic_disable_channel_enabled: bool,
    /// Statuses that do, separated by commas.
    pub automatic_disable_status_codes: String,
    /// Words that do, one per line.
    pub automatic_disable_keywords: String,
    /// Whether channels that were switched off that way are switched on again by a test that passes.
    pub automatic_enable_channel_enabled: bool,
    /// Seconds after which a test switches its channel off; 0: never.
    pub channel_disable_threshold: i64,
    /// Minutes between two tests of a channel; 0: the process says.
    pub channel_test_minutes: i64,
    /// Days settled requests are kept; 0: for ever.
    pub request_log_days: i64,
    /// Days the audit trail is kept; 0: for ever.
    pub audit_log_days: i64,
}

/// A rate of one, in millionths.
const ONE: i64 = 1_000_000;

impl Default for Site {
    fn default() -> Self {
        Self::of(&[])
    }
}

impl Site {
    fn of(stored: &[store::Stored]) -> Self {
        let text = |name: &str| {
            let set = stored.iter().find(|stored| stored.name == name).map(|stored| stored.value.clone());
            set.or_else(|| definitions::find(name).map(|definition| definition.default.to_owned())).unwrap_or_default()
        };
        let whole = |name: &str| text(name).parse().unwrap_or(0);
        Self {
            system_name: text("system_name"),
            logo: text("logo"),
            footer_html: text("footer_html"),
            server_address: text("server_address"),
            quota_display_type: text("quota_display_type"),
            usd_exchange_micros: definitions::micros(&text("usd_exchange_rate")).unwrap_or(ONE),
            custom_exchange_micros: definitions::micros(&text("custom_currency_exchange_rate")).unwrap_or(ONE),
            display_token_stat: text("display_token_stat") == "true",
            top_up_link: text("top_up_link"),
            docs_link: text("docs_link"),
            quota_for_new_user: Quota::clamped(whole("quota_for_new_user")),
            max_user_tokens: whole("max_user_tokens"),
            automatic_disable_channel_enabled: text("automatic_disable_channel_enabled") == "true",
            automatic_disable_status_codes: text("automatic_disable_status_codes"),
            automatic_disable_keywords: text("automatic_disable_keywords"),
            automatic_enable_channel_enabled: text("automatic_enable_channel_enabled") == "true",
            channel_disable_threshold: whole("channel_disable_threshold"),
            channel_test_minutes: whole("channel_test_minutes"),
            request_log_days: whole("request_log_days"),
            audit_log_days: whole("audit_log_days"),
        }
    }
}

/// The settings that the control plane itself goes by, as they stand.
///
/// # Errors
/// When the database is away.
pub async fn site(app: &App) -> Result<Site, ApiError> {
    Ok(Site::of(&store::all(app.db.read()).await?))
}

/// Every setting, in the order of the table.
///
/// # Errors
/// 403 for all but administrators.
pub async fn list(app: &App, asking: &Asking) -> Result<Vec<Setting>, ApiError> {
    asking.actor.need(Role::Admin, Scope::Read)?;
    let stored = store::all(app.db.read()).await?;
    let setting = |definition: &'static Definition| {
        let set = stored.iter().find(|stored| stored.name == definition.name);
        standing(definition, set)
    };
    Ok(DEFINITIONS.iter().map(setting).collect())
}

/// One setting.
///
/// # Errors
/// 403 for all but administrators, 404 when there is none of this name.
pub async fn get(app: &App, asking: &Asking, name: &str) -> Result<Setting, ApiError> {
    asking.actor.need(Role::Admin, Scope::Read)?;
    let definition = definitions::find(name).ok_or_else(|| ApiError::not_found("setting"))?;
    let stored = store::all(app.db.read()).await?;
    Ok(standing(definition, stored.iter().find(|stored| stored.name == name)))
}

/// Changes a setting; `null` takes it back to its default.
///
/// # Errors
/// 403 for all but root, 404 when there is none of this name, 422 when the value breaks its rule, 412 when it changed.
pub async fn set(app: &App, asking: &Asking, name: &str, value: &Value) -> Result<Written<Setting>, ApiError> {
    asking.actor.need(Role::Root, Scope::Settings)?;
    let definition = definitions::find(name).ok_or_else(|| ApiError::not_found("setting"))?;
    let text = match value {
        Value::Null => None,
        value => Some(definition.read(value).map_err(|rule| ApiError::field("value", "rule", rule))?),
    };
    if let (Effect::Relays, Some(text)) = (definition.effect, &text) {
        let setting = RelaySetting { name: name.to_owned(), value: text.clone() };
        RelaySettings::default().set(&setting).map_err(|rule| ApiError::field("value", "rule", rule))?;
    }

    let tx = app.db.begin().await?;
    let before = store::lock(&tx, name).await?;
    asking.need_unchanged(before.as_ref().map_or(0, |before| before.rev))?;
    let rev = store::write(&tx, name, text.as_deref(), before.as_ref(), asking.now).await?;
    let detail = serde_json::json!({"before": before.map(|before| before.value), "after": &text});
    audit::write(&tx, asking, "settings.set", &format!("setting:{name}"), &detail).await?;
    let config_seq = match definition.effect {
        Effect::Relays => Some(log::record(&tx, asking.now, &[Changed::Setting(name.to_owned())]).await?),
        Effect::Site => None,
    };
    tx.commit().await?;
    app.poke.look();
    let value = text.unwrap_or_else(|| definition.default.to_owned());
    Ok(Written { object: Setting { definition, value, rev, updated_at: Some(asking.now) }, config_seq })
}

fn standing(definition: &'static Definition, stored: Option<&store::Stored>) -> Setting {
    Setting {
        definition,
        value: stored.map_or_else(|| definition.default.to_owned(), |stored| stored.value.clone()),
        rev: stored.map_or(0, |stored| stored.rev),
        updated_at: stored.map(|stored| stored.updated_at),
    }
}
