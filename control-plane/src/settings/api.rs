//! `/api/settings`.

use axum::extract::State;
use serde::{Deserialize, Serialize};
use serde_json::Value;
use utoipa::ToSchema;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use super::definitions::{MOST_CAPABILITIES, MOST_GROUP_LIMITS};
use super::{Definition, Effect, Kind, Setting};
use crate::app::App;
use crate::http::{Answer, ApiError, Asking, Json, Moment, Page, Path, Refused};

/// What values a setting takes.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "snake_case")]
enum KindName {
    /// `true` or `false`.
    Switch,
    /// A whole number from `least` to `most`.
    Whole,
    /// Text of at most `most` characters.
    Text,
    /// An http(s) address, or empty.
    Address,
    /// One of `choices`.
    Choice,
}

/// Where a setting takes effect.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "snake_case")]
enum EffectName {
    /// On every relay, within a second.
    Relays,
    /// In the control plane and the console, at once.
    Site,
}

/// A setting.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = Setting)]
struct View {
    name: String,
    kind: KindName,
    /// The value, in the type of `kind`.
    value: Value,
    /// The default, in the type of `kind`.
    default: Value,
    /// Whether it was never changed, or taken back.
    is_default: bool,
    /// The least value of a whole number.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(required = false, nullable = false)]
    least: Option<i64>,
    /// The most of a whole number, or characters of a text.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(required = false, nullable = false)]
    most: Option<i64>,
    /// The words there are.
    #[serde(skip_serializing_if = "<[_]>::is_empty")]
    #[schema(required = false)]
    choices: &'static [&'static str],
    /// The unit of the value; empty: none.
    unit: String,
    effect: EffectName,
    /// What it does.
    description: String,
    /// When it was changed; `null`: never.
    updated_at: Option<Moment>,
    /// Where this write stands in the order of changes; only in answers to writes that relays must know.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(required = false, nullable = false)]
    config_seq: Option<i64>,
}

/// The longest rate, in characters: `1000000.000000`.
const MOST_RATE: i64 = 14;

impl View {
    fn of(setting: &Setting, config_seq: Option<i64>) -> Self {
        let Definition { name, kind, default, unit, effect, description } = setting.definition;
        let (kind_name, least, most, choices) = match *kind {
            Kind::Switch => (KindName::Switch, None, None, &[][..]),
            Kind::Whole { least, most } => (KindName::Whole, Some(least), Some(most), &[][..]),
            Kind::Text { most } => (KindName::Text, None, i64::try_from(most).ok(), &[][..]),
            Kind::GroupLimits => (KindName::Text, None, i64::try_from(MOST_GROUP_LIMITS).ok(), &[][..]),
            Kind::Capabilities => (KindName::Text, None, i64::try_from(MOST_CAPABILITIES).ok(), &[][..]),
            Kind::Rate => (KindName::Text, None, Some(MOST_RATE), &[][..]),
            Kind::Address => (KindName::Address, None, None, &[][..]),
            Kind::Choice(words) => (KindName::Choice, None, None, words),
        };
        let effect = match effect {
            Effect::Relays => EffectName::Relays,
            Effect::Site => EffectName::Site,
        };
        Self {
            name: (*name).to_owned(),
            kind: kind_name,
            value: setting.definition.show(&setting.value),
            default: setting.definition.show(default),
            is_default: setting.value == *default,
            least,
            most,
            choices,
            unit: (*unit).to_owned(),
            effect,
            description: (*description).to_owned(),
            updated_at: setting.updated_at.map(Moment),
            config_seq,
        }
    }
}

/// The new value of a setting.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(as = SettingPatch)]
struct PatchBody {
    /// The value in the type of the setting's `kind`; `null` takes it back to its default.
    #[serde(deserialize_with = "Value::deserialize")]
    value: Value,
}

/// The routes of settings.
pub fn routes() -> OpenApiRouter<App> {
    OpenApiRouter::new().routes(routes!(list)).routes(routes!(get, patch))
}

/// Lists every setting, all on one page. Administrators only.
#[utoipa::path(get, path = "/api/settings", tag = "settings", operation_id = "list_settings", responses(
    (status = 200, body = Page<View>),
    Refused,
))]
async fn list(State(app): State<App>, asking: Asking) -> Result<Answer<Page<View>>, ApiError> {
    let settings = super::list(&app, &asking).await?;
    let items = settings.iter().map(|setting| View::of(setting, None)).collect();
    Ok(Answer::ok(Page { items, next_cursor: None, total: None }))
}

/// Shows a setting. Administrators only.
#[utoipa::path(get, path = "/api/settings/{name}", tag = "settings", operation_id = "get_setting", responses(
    (status = 200, body = View),
    Refused,
))]
async fn get(State(app): State<App>, asking: Asking, Path(name): Path<String>) -> Result<Answer<View>, ApiError> {
    let setting = super::get(&app, &asking, &name).await?;
    Ok(Answer::ok(View::of(&setting, None)).at_rev(setting.rev))
}

/// Changes a setting. Root only.
#[utoipa::path(patch, path = "/api/settings/{name}", tag = "settings", operation_id = "patch_setting",
    params(("If-Match" = Option<String>, Header, description = "The ETag seen; 412 when the setting changed since.")),
    request_body = PatchBody, responses(
    (status = 200, body = View),
    Refused,
))]
async fn patch(
    State(app): State<App>,
    asking: Asking,
    Path(name): Path<String>,
    Json(body): Json<PatchBody>,
) -> Result<Answer<View>, ApiError> {
    let set = super::set(&app, &asking, &name, &body.value).await?;
    Ok(Answer::ok(View::of(&set.object, set.config_seq)).at_rev(set.object.rev).at_seq(set.config_seq))
}
