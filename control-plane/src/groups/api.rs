//! `/api/groups`.

use axum::extract::State;
use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use super::{Group, GroupFields};
use crate::app::App;
use crate::http::{
    Answer, ApiError, Asking, Count, DecimalText, Done, Json, LimitBody, Listing, Moment, Page, Paging, Path, Query, Refused,
    SortKey, segment,
};

const SORTS: [SortKey; 1] = [SortKey::text("name", "name")];

/// A group.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = Group)]
struct View {
    name: String,
    /// What every price is multiplied by, as decimal text.
    #[schema(example = "0.8")]
    ratio: String,
    /// Groups that tokens of its members may choose besides their own.
    usable: Vec<String>,
    /// What it is for, shown to its members.
    description: String,
    /// How much all who use it may use together; empty: any amount.
    limits: Vec<LimitBody>,
    created_at: Moment,
    updated_at: Moment,
    /// Where this write stands in the order of changes; only in answers to writes.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(required = false, nullable = false)]
    config_seq: Option<i64>,
}

impl View {
    fn of(group: Group, config_seq: Option<i64>) -> Self {
        let Group { name, ratio, usable, description, limits, rev: _, created_at, updated_at } = group;
        Self {
            name: name.to_string(),
            ratio: ratio.to_string(),
            usable: usable.iter().map(ToString::to_string).collect(),
            description,
            limits: LimitBody::list(&limits),
            created_at: Moment(created_at),
            updated_at: Moment(updated_at),
            config_seq,
        }
    }
}

/// What a new group is to be.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(as = NewGroup)]
struct NewBody {
    /// 1 to 64 characters. It stays for ever.
    name: String,
    /// What every price is multiplied by, 0 to 1,000,000. Left out: 1.
    ratio: Option<DecimalText>,
    /// Groups that tokens of its members may choose besides their own.
    usable: Option<Vec<String>>,
    /// At most 255 characters.
    description: Option<String>,
    /// How much all who use it may use together. Left out: any amount.
    limits: Option<Vec<LimitBody>>,
}

/// What is to change of a group. Fields that are left out stay.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(as = GroupPatch)]
struct PatchBody {
    /// What every price is multiplied by, 0 to 1,000,000.
    ratio: Option<DecimalText>,
    /// Groups that tokens of its members may choose besides their own.
    usable: Option<Vec<String>>,
    /// At most 255 characters.
    description: Option<String>,
    /// Takes the place of all there are.
    limits: Option<Vec<LimitBody>>,
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
    /// `name` (default) or `-name`.
    sort: Option<String>,
    /// Also count what is on all pages.
    count: Option<Count>,
}

/// The routes of groups.
pub fn routes() -> OpenApiRouter<App> {
    OpenApiRouter::new().routes(routes!(list, create)).routes(routes!(get, patch, delete))
}

/// Lists groups: all for administrators, else those the caller's tokens may choose.
#[utoipa::path(get, path = "/api/groups", tag = "groups", operation_id = "list_groups", params(ListQuery), responses(
    (status = 200, body = Page<View>),
    Refused,
))]
async fn list(State(app): State<App>, asking: Asking, Query(query): Query<ListQuery>) -> Result<Answer<Page<View>>, ApiError> {
    let paging = Paging { limit: query.limit, cursor: query.cursor, sort: query.sort, count: query.count };
    let listing = Listing::new(paging, &SORTS, "name", "name")?;
    Ok(Answer::ok(super::list(&app, &asking, &listing).await?.map(|group| View::of(group, None))))
}

/// Makes a group. Administrators only.
#[utoipa::path(post, path = "/api/groups", tag = "groups", operation_id = "create_group",
    params(("Idempotency-Key" = Option<String>, Header, description = "Makes sending it twice do it once, for 24 hours.")),
    request_body = NewBody, responses(
    (status = 201, body = View),
    Refused,
))]
async fn create(State(app): State<App>, asking: Asking, Json(body): Json<NewBody>) -> Result<Answer<View>, ApiError> {
    let (ratio, usable, description) = (body.ratio.map(|ratio| ratio.0), body.usable, body.description);
    let fields = GroupFields { ratio, usable, description, limits: body.limits };
    let made = super::create(&app, &asking, &body.name, fields).await?;
    let location = format!("/api/groups/{}", segment(&body.name));
    let (rev, seq) = (made.object.rev, made.config_seq);
    Ok(Answer::created(View::of(made.object, seq), location).at_rev(rev).at_seq(seq))
}

/// Shows a group.
#[utoipa::path(get, path = "/api/groups/{name}", tag = "groups", operation_id = "get_group", responses(
    (status = 200, body = View),
    Refused,
))]
async fn get(State(app): State<App>, asking: Asking, Path(name): Path<String>) -> Result<Answer<View>, ApiError> {
    let group = super::get(&app, &asking, &name).await?;
    let rev = group.rev;
    Ok(Answer::ok(View::of(group, None)).at_rev(rev))
}

/// Changes a group. Administrators only.
#[utoipa::path(patch, path = "/api/groups/{name}", tag = "groups", operation_id = "patch_group",
    params(("If-Match" = Option<String>, Header, description = "The ETag seen; 412 when the group changed since.")),
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
    let (ratio, usable, description) = (body.ratio.map(|ratio| ratio.0), body.usable, body.description);
    let fields = GroupFields { ratio, usable, description, limits: body.limits };
    let changed = super::patch(&app, &asking, &name, fields).await?;
    let (rev, seq) = (changed.object.rev, changed.config_seq);
    Ok(Answer::ok(View::of(changed.object, seq)).at_rev(rev).at_seq(seq))
}

/// Deletes a group that no user, token, channel or other group uses. Administrators only.
#[utoipa::path(delete, path = "/api/groups/{name}", tag = "groups", operation_id = "delete_group",
    params(("If-Match" = Option<String>, Header, description = "The ETag seen; 412 when the group changed since.")), responses(
    (status = 204, description = "Deleted."),
    Refused,
))]
async fn delete(State(app): State<App>, asking: Asking, Path(name): Path<String>) -> Result<Done, ApiError> {
    Ok(Done { config_seq: Some(super::delete(&app, &asking, &name).await?) })
}
