//! `/api/channels`.

use std::collections::BTreeMap;

use axum::extract::State;
use secrecy::{ExposeSecret, SecretString};
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};
use sluice_domain::{ChannelId, Status};
use utoipa::{IntoParams, ToSchema};
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use super::settings::{Form, Settings};
use super::{Channel, ChannelFields, ChannelFilter, ChannelKey};
use crate::app::App;
use crate::errands::{self, BalanceView, Check, TestView};
use crate::http::words::StatusName;
use crate::http::{
    Answer, ApiError, Asking, Between, Count, DecimalText, Done, Json, LimitBody, Listing, Moment, Page, Paging, Patch, Path,
    Query, Refused, SortKey,
};

const SORTS: [SortKey; 3] = [SortKey::number("id", "id"), SortKey::text("name", "name"), SortKey::number("priority", "priority")];

/// How a channel is, by its status and that of its keys.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, ToSchema)]
#[serde(rename_all = "snake_case")]
enum Health {
    /// It and all its keys are in use.
    Ok,
    /// It is in use, some of its keys are not.
    Degraded,
    /// It is not in use, or none of its keys is.
    Off,
}

/// A way to a provider.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = Channel)]
struct View {
    id: i64,
    name: String,
    /// Slug of the provider.
    #[schema(example = "openai")]
    provider: String,
    /// Where it is; `null`: at the provider's own address.
    base_url: Option<String>,
    /// Version of the provider's API; `null`: the default.
    api_version: Option<String>,
    /// Models it serves, by the names callers use.
    models: Vec<String>,
    /// Groups it serves.
    groups: Vec<String>,
    /// Higher is tried first.
    priority: i64,
    /// Share within a priority.
    weight: i32,
    #[schema(value_type = StatusName)]
    status: Status,
    /// Why Sluice switched it off.
    status_reason: Option<String>,
    health: Health,
    /// Requested model to upstream model.
    model_mapping: BTreeMap<String, String>,
    /// Price of cached input ÷ input price, as decimal text; `null`: the model's.
    cache_read_ratio: Option<String>,
    /// Whether it is switched off by itself when its upstream refuses it for good.
    auto_ban: bool,
    /// Whether an empty answer is tried elsewhere; `false`: it is passed on.
    empty_reply_retry: bool,
    /// What becomes of a stream whose caller left.
    client_abort: ClientAbort,
    /// The longest wait for the first output of a stream, in seconds; `null`: as everywhere.
    first_output_secs: Option<i64>,
    /// How much may be sent over it; empty: any amount. Beyond it, other channels are tried.
    limits: Vec<LimitBody>,
    /// What it does beyond sending requests on. Secrets are shown as `***`.
    #[schema(value_type = Form)]
    settings: Settings,
    /// The first and last characters of the first key; `null`: it has none.
    key_hint: Option<String>,
    /// Its keys, in order. The keys themselves are never shown here.
    keys: Vec<KeyView>,
    /// The last test of one of its models; `null`: there was none. Only where channels are shown.
    last_test: Option<TestView>,
    /// What was last known to be left of the money there; `null`: nobody asked. Only where channels are shown.
    balance: Option<BalanceView>,
    created_at: Moment,
    updated_at: Moment,
    /// Where this write stands in the order of changes; only in answers to writes.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(required = false, nullable = false)]
    config_seq: Option<i64>,
}

/// One key of a channel.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = ChannelKey)]
struct KeyView {
    id: i64,
    /// The first and last characters of the key; empty where the provider asks for none.
    key_hint: String,
    #[schema(value_type = StatusName)]
    status: Status,
    /// Why Sluice switched it off.
    status_reason: Option<String>,
}

/// What becomes of a stream whose caller left.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
enum ClientAbort {
    /// It is cancelled at once; what had come is billed.
    Cancel,
    /// It is read on for up to 15 seconds, for the usage that its upstream reports.
    Drain,
}

impl View {
    fn of(app: &App, channel: Channel, config_seq: Option<i64>) -> Self {
        let needs_key = app.catalog.get(&channel.provider).is_none_or(|provider| !provider.auth.key_optional);
        let health = Health::of(&channel, needs_key);
        let keys: Vec<KeyView> = channel.keys.into_iter().map(KeyView::from).collect();
        Self {
            id: channel.id.get(),
            name: channel.name,
            provider: channel.provider,
            base_url: channel.base_url,
            api_version: channel.api_version,
            models: channel.models.iter().map(ToString::to_string).collect(),
            groups: channel.groups.iter().map(ToString::to_string).collect(),
            priority: channel.priority,
            weight: channel.weight,
            status: channel.status,
            status_reason: channel.status_reason,
            health,
            model_mapping: channel.model_mapping,
            cache_read_ratio: channel.cache_read_ratio.map(|ratio| ratio.to_string()),
            auto_ban: !channel.policy.stays_on,
            empty_reply_retry: !channel.policy.keeps_empty,
            client_abort: if channel.policy.drains { ClientAbort::Drain } else { ClientAbort::Cancel },
            first_output_secs: Some(channel.policy.first_output_millis / 1_000).filter(|secs| *secs > 0),
            limits: LimitBody::list(&channel.limits),
            settings: channel.settings,
            key_hint: keys.first().map(|key| key.key_hint.clone()).filter(|hint| !hint.is_empty()),
            keys,
            last_test: None,
            balance: None,
            created_at: Moment(channel.created_at),
            updated_at: Moment(channel.updated_at),
            config_seq,
        }
    }
}

impl View {
    /// With how it did when it was last looked into.
    fn checked(self, check: Option<Check>) -> Self {
        let Check { test, balance } = check.unwrap_or_default();
        Self { last_test: test.map(Into::into), balance: balance.map(Into::into), ..self }
    }
}

impl From<ChannelKey> for KeyView {
    fn from(key: ChannelKey) -> Self {
        Self { id: key.id.get(), key_hint: key.hint, status: key.status, status_reason: key.status_reason }
    }
}

impl Health {
    /// Of a channel; `needs_key` says whether its provider asks for one.
    fn of(channel: &Channel, needs_key: bool) -> Self {
        let usable = channel.keys.iter().filter(|key| key.status.is_enabled()).count();
        let is_keyless = channel.keys.is_empty() && !needs_key;
        if !channel.status.is_enabled() || (usable == 0 && !is_keyless) {
            Self::Off
        } else if usable < channel.keys.len() {
            Self::Degraded
        } else {
            Self::Ok
        }
    }
}

/// What a new channel is to be.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(as = NewChannel)]
struct NewBody {
    /// 1 to 64 characters.
    name: String,
    /// Slug of the provider, see `/api/providers`.
    provider: String,
    /// The provider's key. It is stored sealed and never shown here.
    #[schema(value_type = Option<String>)]
    key: Option<SecretString>,
    /// Several keys to choose from, instead of `key`.
    #[schema(value_type = Option<Vec<String>>)]
    keys: Option<Vec<SecretString>>,
    /// Models it serves, by the names callers use.
    models: Vec<String>,
    /// Left out: the provider's own address, where it has one.
    base_url: Option<String>,
    /// Version of the provider's API, where its address needs one.
    api_version: Option<String>,
    /// Left out: `default`.
    groups: Option<Vec<String>>,
    /// Higher is tried first. Left out: 0.
    priority: Option<i64>,
    /// Share within a priority. Left out: 1.
    weight: Option<i64>,
    /// Requested model to upstream model.
    model_mapping: Option<BTreeMap<String, String>>,
    /// `enabled` (default) or `disabled`.
    #[schema(value_type = Option<StatusName>)]
    status: Option<Status>,
    /// Price of cached input ÷ input price, 0 to 1. Left out: the model's.
    cache_read_ratio: Option<DecimalText>,
    /// Whether it is switched off by itself when its upstream refuses it for good. Left out: `true`.
    auto_ban: Option<bool>,
    /// Whether an empty answer is tried elsewhere. Left out: `true`.
    empty_reply_retry: Option<bool>,
    /// What becomes of a stream whose caller left. Left out: `cancel`.
    client_abort: Option<ClientAbort>,
    /// The longest wait for the first output of a stream, 1 to 3600 seconds. Left out: as everywhere.
    first_output_secs: Option<i64>,
    /// How much may be sent over it. Left out: any amount.
    limits: Option<Vec<LimitBody>>,
    /// What it does beyond sending requests on. Left out: nothing.
    #[schema(value_type = Option<Form>)]
    settings: Option<Map<String, Value>>,
}

/// What is to change of a channel. Fields that are left out stay.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(as = ChannelPatch)]
struct PatchBody {
    name: Option<String>,
    /// Slug of the provider, see `/api/providers`.
    provider: Option<String>,
    /// A key that takes the place of all there are.
    #[schema(value_type = Option<String>)]
    key: Option<SecretString>,
    /// Keys that take the place of all there are.
    #[schema(value_type = Option<Vec<String>>)]
    keys: Option<Vec<SecretString>>,
    models: Option<Vec<String>>,
    /// `null`: the provider's own address.
    #[serde(default)]
    #[schema(value_type = Option<String>)]
    base_url: Patch<String>,
    /// `null`: the default.
    #[serde(default)]
    #[schema(value_type = Option<String>)]
    api_version: Patch<String>,
    groups: Option<Vec<String>>,
    priority: Option<i64>,
    weight: Option<i64>,
    /// Takes the place of the whole mapping.
    model_mapping: Option<BTreeMap<String, String>>,
    /// `enabled` or `disabled`.
    #[schema(value_type = Option<StatusName>)]
    status: Option<Status>,
    /// `null`: the model's.
    #[serde(default)]
    #[schema(value_type = Option<DecimalText>)]
    cache_read_ratio: Patch<DecimalText>,
    auto_ban: Option<bool>,
    empty_reply_retry: Option<bool>,
    client_abort: Option<ClientAbort>,
    /// `null`: as everywhere.
    #[serde(default)]
    #[schema(value_type = Option<i64>)]
    first_output_secs: Patch<i64>,
    /// Takes the place of all there are.
    limits: Option<Vec<LimitBody>>,
    /// Fields that are left out stay, `null` unsets one, others take the place of what there was; `***` keeps a secret.
    #[schema(value_type = Option<Form>)]
    settings: Option<Map<String, Value>>,
}

/// The keys of a channel themselves.
#[derive(Serialize, ToSchema)]
struct RevealedKeys {
    keys: Vec<RevealedKeyView>,
}

/// A key of a channel itself.
#[derive(Serialize, ToSchema)]
#[schema(as = RevealedKey)]
struct RevealedKeyView {
    id: i64,
    /// The provider's key.
    key: String,
}

/// Parameters of the list.
#[derive(Debug, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
struct ListQuery {
    /// At most so many items, 1 to 100; 20 by default.
    limit: Option<u32>,
    /// The `next_cursor` of the page before.
    cursor: Option<String>,
    /// `id`, `name` or `priority`, with a minus for the other way around; `-priority` by default.
    sort: Option<String>,
    /// Also count what is on all pages.
    count: Option<Count>,
    /// Part of the name or address.
    q: Option<String>,
    /// Only of this status.
    #[param(value_type = Option<StatusName>)]
    status: Option<Status>,
    /// Only of this provider.
    provider: Option<String>,
    /// Only those that serve this model.
    model: Option<String>,
    /// Only those that serve this group.
    group: Option<String>,
    /// Only those made then or later.
    #[serde(rename = "created_at.gte")]
    #[param(rename = "created_at.gte")]
    from: Option<Moment>,
    /// Only those made before.
    #[serde(rename = "created_at.lt")]
    #[param(rename = "created_at.lt")]
    before: Option<Moment>,
}

/// The routes of channels.
pub fn routes() -> OpenApiRouter<App> {
    OpenApiRouter::new().routes(routes!(list, create)).routes(routes!(get, patch, delete)).routes(routes!(reveal))
}

/// Lists channels. Administrators only.
#[utoipa::path(get, path = "/api/channels", tag = "channels", operation_id = "list_channels", params(ListQuery), responses(
    (status = 200, body = Page<View>),
    Refused,
))]
async fn list(State(app): State<App>, asking: Asking, Query(query): Query<ListQuery>) -> Result<Answer<Page<View>>, ApiError> {
    let paging = Paging { limit: query.limit, cursor: query.cursor, sort: query.sort, count: query.count };
    let listing = Listing::new(paging, &SORTS, "id", "-priority")?;
    let ListQuery { q, status, provider, model, group, from, before, .. } = query;
    let filter = ChannelFilter { text: q, status, provider, model, group, made: Between::new(from, before) };
    let page = super::list(&app, &asking, &filter, &listing).await?;
    let ids: Vec<ChannelId> = page.items.iter().map(|channel| channel.id).collect();
    let mut checks = errands::checks(app.db.read(), &ids).await?;
    Ok(Answer::ok(page.map(|channel| {
        let check = checks.remove(&channel.id);
        View::of(&app, channel, None).checked(check)
    })))
}

/// Makes a channel. Live on every relay within a second. Administrators only.
#[utoipa::path(post, path = "/api/channels", tag = "channels", operation_id = "create_channel",
    params(("Idempotency-Key" = Option<String>, Header, description = "Makes sending it twice do it once, for 24 hours.")),
    request_body = NewBody, responses(
    (status = 201, body = View),
    Refused,
))]
async fn create(State(app): State<App>, asking: Asking, Json(body): Json<NewBody>) -> Result<Answer<View>, ApiError> {
    fn set<T>(given: Option<T>) -> Patch<T> {
        given.map_or(Patch::Keep, Patch::Set)
    }
    let fields = ChannelFields {
        name: Some(body.name),
        provider: Some(body.provider),
        base_url: set(body.base_url),
        api_version: set(body.api_version),
        keys: keys(body.key, body.keys)?,
        models: Some(body.models),
        groups: body.groups,
        priority: body.priority,
        weight: body.weight,
        status: body.status,
        model_mapping: body.model_mapping,
        cache_read_ratio: set(body.cache_read_ratio.map(|ratio| ratio.0)),
        auto_ban: body.auto_ban,
        empty_reply_retry: body.empty_reply_retry,
        drains: body.client_abort.map(|abort| abort == ClientAbort::Drain),
        first_output_secs: set(body.first_output_secs),
        limits: body.limits,
        settings: body.settings,
    };
    let made = super::create(&app, &asking, fields).await?;
    let location = format!("/api/channels/{}", made.object.id);
    let (rev, seq) = (made.object.rev, made.config_seq);
    Ok(Answer::created(View::of(&app, made.object, seq), location).at_rev(rev).at_seq(seq))
}

/// Shows a channel. Administrators only.
#[utoipa::path(get, path = "/api/channels/{id}", tag = "channels", operation_id = "get_channel", params(("id" = i64, Path)), responses(
    (status = 200, body = View),
    Refused,
))]
async fn get(State(app): State<App>, asking: Asking, Path(id): Path<i64>) -> Result<Answer<View>, ApiError> {
    let channel = super::get(&app, &asking, ChannelId::new(id)).await?;
    let (rev, check) = (channel.rev, errands::checks(app.db.read(), &[channel.id]).await?.remove(&channel.id));
    Ok(Answer::ok(View::of(&app, channel, None).checked(check)).at_rev(rev))
}

/// Changes a channel. Live on every relay within a second. Administrators only.
#[utoipa::path(patch, path = "/api/channels/{id}", tag = "channels", operation_id = "patch_channel",
    params(
        ("id" = i64, Path),
        ("If-Match" = Option<String>, Header, description = "The ETag seen; 412 when the channel changed since."),
    ),
    request_body = PatchBody, responses(
    (status = 200, body = View),
    Refused,
))]
async fn patch(
    State(app): State<App>,
    asking: Asking,
    Path(id): Path<i64>,
    Json(body): Json<PatchBody>,
) -> Result<Answer<View>, ApiError> {
    let fields = ChannelFields {
        name: body.name,
        provider: body.provider,
        base_url: body.base_url,
        api_version: body.api_version,
        keys: keys(body.key, body.keys)?,
        models: body.models,
        groups: body.groups,
        priority: body.priority,
        weight: body.weight,
        status: body.status,
        model_mapping: body.model_mapping,
        cache_read_ratio: body.cache_read_ratio.try_map(|ratio| Ok::<_, ApiError>(ratio.0))?,
        auto_ban: body.auto_ban,
        empty_reply_retry: body.empty_reply_retry,
        drains: body.client_abort.map(|abort| abort == ClientAbort::Drain),
        first_output_secs: body.first_output_secs,
        limits: body.limits,
        settings: body.settings,
    };
    let changed = super::patch(&app, &asking, ChannelId::new(id), fields).await?;
    let (rev, seq) = (changed.object.rev, changed.config_seq);
    Ok(Answer::ok(View::of(&app, changed.object, seq)).at_rev(rev).at_seq(seq))
}

/// Deletes a channel and its keys. Administrators only.
#[utoipa::path(delete, path = "/api/channels/{id}", tag = "channels", operation_id = "delete_channel",
    params(
        ("id" = i64, Path),
        ("If-Match" = Option<String>, Header, description = "The ETag seen; 412 when the channel changed since."),
    ),
    responses(
    (status = 204, description = "Deleted."),
    Refused,
))]
async fn delete(State(app): State<App>, asking: Asking, Path(id): Path<i64>) -> Result<Done, ApiError> {
    Ok(Done { config_seq: Some(super::delete(&app, &asking, ChannelId::new(id)).await?) })
}

/// Shows the keys of a channel. Root only, with a sign-in in the last ten minutes; written to the audit trail.
#[utoipa::path(post, path = "/api/channels/{id}/reveal", tag = "channels", operation_id = "reveal_channel",
    params(("id" = i64, Path)), responses(
    (status = 200, body = RevealedKeys),
    Refused,
))]
async fn reveal(State(app): State<App>, asking: Asking, Path(id): Path<i64>) -> Result<Answer<RevealedKeys>, ApiError> {
    let keys = super::reveal(&app, &asking, ChannelId::new(id)).await?;
    let view = |key: super::RevealedKey| RevealedKeyView { id: key.id.get(), key: key.key.expose_secret().to_owned() };
    Ok(Answer::ok(RevealedKeys { keys: keys.into_iter().map(view).collect() }))
}

fn keys(key: Option<SecretString>, keys: Option<Vec<SecretString>>) -> Result<Option<Vec<SecretString>>, ApiError> {
    match (key, keys) {
        (Some(_), Some(_)) => Err(ApiError::field("keys", "two_views", "is another form of key: give one of them")),
        (Some(key), None) => Ok(Some(vec![key])),
        (None, keys) => Ok(keys),
    }
}
