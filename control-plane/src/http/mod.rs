//! Everything on the HTTP port: the API, its description, the console.
//!
//! What lives here: extractors, the one shape of errors ([`problem`]) with its table of codes ([`codes`]), paging, idempotency, limits,
//! and what surrounds every route ([`layers`]). What must not: anything about users, channels or money; those are features, each with
//! its own `api.rs`. Start reading at [`router`].

mod answer;
mod asking;
mod body;
mod caller;
pub mod codes;
mod console;
mod elsewhere;
mod gate;
pub mod idempotency;
mod layers;
mod limits;
mod openapi;
mod page;
pub mod problem;
mod query;
mod rules;
mod status;
mod told;
mod values;
pub mod words;

use axum::Router;
use axum::response::{IntoResponse, Response};
use tower_http::catch_panic::CatchPanicLayer;
use tower_http::compression::CompressionLayer;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

pub use answer::{Answer, CONFIG_SEQ, Currency, Done, Shown, Written, twin, usd};
pub use asking::{Asking, FRESH_MILLIS, IdempotencyKey};
pub use body::{Json, MAX_BODY_BYTES, MAX_DEPTH, parse, read_field};
pub use caller::Caller;
pub use codes::Code;
pub use gate::{Gate, GateSettings};
pub use layers::{BUILD, REQUEST_ID};
pub use limits::{CountedName, LimitBody};
pub use openapi::description;
pub use page::{Between, Count, Listing, Page, Paging, SortKey, SortValue};
pub use problem::{ApiError, FieldError, Problem, Refused, unique_violation};
pub use query::{Path, Query, read, segment};
pub use rules::Rules;
pub use values::{DecimalText, Moment, Patch};

use crate::app::App;
use crate::settlement::quarantine;
use crate::{
    audit, auth, balances, channels, errands, groups, leases, models, nodes, notifications, pricing, providers, reconciliation,
    settings, tokens, usage, users, wallet,
};

/// Everything the control plane serves on its HTTP port. Serve it with `into_make_service_with_connect_info::<SocketAddr>()`: limits
/// and logs go by the other end of the connection.
pub fn router(app: App) -> Router {
    let (api, _) = routes().split_for_parts();
    Router::new()
        .merge(api)
        .merge(balances::routes())
        .route("/api", axum::routing::any(no_route))
        .route("/api/", axum::routing::any(no_route))
        .route("/api/{*rest}", axum::routing::any(no_route))
        .fallback_service(
            Router::new()
                .fallback(console::serve)
                .layer(CompressionLayer::new())
                .layer(axum::middleware::from_fn_with_state(app.clone(), elsewhere::refuse)),
        )
        .layer(auth::session_layer(&app))
        .layer(axum::middleware::from_fn_with_state(app.clone(), gate::limit))
        .layer(CatchPanicLayer::custom(layers::panicked))
        .layer(axum::middleware::from_fn_with_state(app.clone(), layers::finish))
        .with_state(app)
}

/// Every route of the API with its description.
fn routes() -> OpenApiRouter<App> {
    openapi::frame()
        .routes(routes!(status::status))
        .routes(routes!(openapi::openapi))
        .merge(auth::routes())
        .merge(users::routes())
        .merge(wallet::routes())
        .merge(groups::routes())
        .merge(tokens::routes())
        .merge(channels::routes())
        .merge(errands::routes())
        .merge(providers::routes())
        .merge(models::routes())
        .merge(pricing::routes())
        .merge(usage::routes())
        .merge(nodes::routes())
        .merge(reconciliation::routes())
        .merge(leases::routes())
        .merge(quarantine::routes())
        .merge(notifications::routes())
        .merge(settings::routes())
        .merge(audit::routes())
}

/// Whether a path belongs to the API rather than to the console.
fn is_api(path: &str) -> bool {
    path == "/api" || path.starts_with("/api/")
}

async fn no_route() -> Response {
    ApiError::new(Code::NoRoute, "see /api/openapi.json for what there is").into_response()
}
