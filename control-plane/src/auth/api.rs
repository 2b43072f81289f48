//! `/api/setup` and `/api/session`.

use axum::extract::State;
use secrecy::SecretString;
use serde::{Deserialize, Serialize};
use sluice_domain::Role;
use tower_sessions::Session as Cookie;
use utoipa::ToSchema;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use super::actor::Scope;
use super::identify::away;
use super::session_store::{SESSION_MILLIS, SIGNED_IN};
use super::set_up::{self, NewRoot};
use super::sign_in::SignedIn;
use super::{Actor, management};
use crate::app::App;
use crate::http::{Answer, ApiError, Asking, Caller, Done, FRESH_MILLIS, Json, Moment, Query, Refused, Shown};
use crate::users::{self, User, UserView};

/// Who is signed in, and what they may do.
#[derive(Debug, Serialize, ToSchema)]
pub struct Session {
    /// The user.
    user: UserView,
    /// What the console may offer them.
    abilities: Vec<Ability>,
    /// What the management token allows; `null` for a session, which allows everything its role does.
    scopes: Option<Vec<Scope>>,
    /// When they signed in; `null` for a management token.
    signed_in_at: Option<Moment>,
    /// Until when keys may be revealed without signing in again.
    fresh_until: Option<Moment>,
    /// When the session ends.
    expires_at: Option<Moment>,
}

/// Something a role may do.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, ToSchema)]
#[serde(rename_all = "snake_case")]
enum Ability {
    /// Use models with tokens of their own.
    UseModels,
    /// See and change users of a lower role, and adjust their balance.
    ManageUsers,
    /// See and change channels.
    ManageChannels,
    /// Change groups and prices.
    ManagePrices,
    /// See everybody's requests and the relays.
    SeeEverything,
    /// Change settings.
    ManageSettings,
    /// See provider keys after signing in again, and make administrators.
    ManageAdmins,
}

fn abilities(role: Role) -> Vec<Ability> {
    let mut abilities = vec![Ability::UseModels];
    if role >= Role::Admin {
        abilities.extend([Ability::ManageUsers, Ability::ManageChannels, Ability::ManagePrices, Ability::SeeEverything]);
    }
    if role >= Role::Root {
        abilities.extend([Ability::ManageSettings, Ability::ManageAdmins]);
    }
    abilities
}

/// What the first user chooses.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
struct Setup {
    /// The secret of the set-up link that was printed at the last start.
    #[schema(value_type = String)]
    secret: SecretString,
    /// Their username: 1 to 64 characters.
    username: String,
    /// Their password: at least 12 characters, none of the usual ones.
    #[schema(value_type = String, format = Password)]
    password: SecretString,
}

/// Who signs in.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
struct Credentials {
    /// The username, in any case of letters.
    username: String,
    /// The password.
    #[schema(value_type = String, format = Password)]
    password: SecretString,
}

/// The routes of set-up, sessions and management tokens.
pub fn routes() -> OpenApiRouter<App> {
    OpenApiRouter::new()
        .routes(routes!(set_up))
        .routes(routes!(create_session, get_session, delete_session))
        .merge(management::routes())
}

/// Makes the first user, who is root, and signs them in. Works once; 410 afterwards.
#[utoipa::path(post, path = "/api/setup", tag = "site", operation_id = "set_up", security(()), request_body = Setup, responses(
    (status = 201, body = Session),
    Refused,
))]
async fn set_up(
    State(app): State<App>,
    caller: Caller,
    cookie: Cookie,
    Json(body): Json<Setup>,
) -> Result<Answer<Session>, ApiError> {
    let new = NewRoot { secret: body.secret, username: body.username, password: body.password };
    let user = set_up::set_up(&app, &caller, new).await?;
    begin(&app, &cookie, user).await
}

/// Signs in with username and password.
#[utoipa::path(post, path = "/api/session", tag = "session", operation_id = "sign_in", security(()), request_body = Credentials, responses(
    (status = 201, body = Session),
    Refused,
))]
async fn create_session(
    State(app): State<App>,
    caller: Caller,
    cookie: Cookie,
    Json(body): Json<Credentials>,
) -> Result<Answer<Session>, ApiError> {
    let user = super::sign_in(&app, &caller, &body.username, body.password).await?;
    begin(&app, &cookie, user).await
}

/// Tells who the caller is and what they may do.
#[utoipa::path(get, path = "/api/session", tag = "session", operation_id = "get_session", params(Shown), responses(
    (status = 200, body = Session),
    Refused,
))]
async fn get_session(State(app): State<App>, asking: Asking, Query(shown): Query<Shown>) -> Result<Answer<Session>, ApiError> {
    let Actor { user_id, role, scopes } = asking.actor.clone();
    let user = UserView::of(users::get(&app, &asking, user_id).await?, shown.currency);
    Ok(Answer::ok(Session {
        user,
        abilities: abilities(role),
        scopes,
        signed_in_at: asking.signed_in_at.map(Moment),
        fresh_until: asking.signed_in_at.map(|at| Moment(at.plus_millis(FRESH_MILLIS))),
        expires_at: asking.signed_in_at.map(|at| Moment(at.plus_millis(SESSION_MILLIS))),
    }))
}

/// Signs out.
#[utoipa::path(delete, path = "/api/session", tag = "session", operation_id = "sign_out", responses(
    (status = 204, description = "Signed out."),
    Refused,
))]
async fn delete_session(asking: Asking, cookie: Cookie) -> Result<Done, ApiError> {
    if asking.signed_in_at.is_some() {
        cookie.flush().await.map_err(away)?;
    }
    Ok(Done { config_seq: None })
}

/// Starts a session under a new id, so that one planted before the sign-in is worth nothing.
async fn begin(app: &App, cookie: &Cookie, user: User) -> Result<Answer<Session>, ApiError> {
    let now = app.clock.wall();
    cookie.cycle_id().await.map_err(away)?;
    cookie.insert(SIGNED_IN, SignedIn { user_id: user.id, at: now }).await.map_err(away)?;
    cookie.save().await.map_err(away)?;
    let role = user.role;
    let session = Session {
        user: UserView::of(users::with_wallet(app.db.read(), user).await?, None),
        abilities: abilities(role),
        scopes: None,
        signed_in_at: Some(Moment(now)),
        fresh_until: Some(Moment(now.plus_millis(FRESH_MILLIS))),
        expires_at: Some(Moment(now.plus_millis(SESSION_MILLIS))),
    };
    Ok(Answer::created(session, "/api/session".to_owned()))
}
