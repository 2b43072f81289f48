//! The description of the API, generated from the routes.

mod answers;

use axum::Json;
use utoipa::openapi::security::{ApiKey, ApiKeyValue, HttpAuthScheme, HttpBuilder, SecurityScheme};
use utoipa::{Modify, OpenApi};
use utoipa_axum::router::OpenApiRouter;

use super::problem::Refused;
use crate::app::App;

/// The frame that the routes are filled into.
#[derive(Debug, OpenApi)]
#[openapi(
    info(
        title = "Sluice management API",
        description = "Everything the console can do. JSON in and out, `snake_case`; errors are `application/problem+json` with a \
            stable `code`. Authenticate with a management token (`Authorization: Bearer …`) or the session cookie; writes by cookie \
            also need the header `X-Sluice-Csrf` with any value. `me` stands for the caller wherever a user id does. Writes that relays \
            must know tell their `config_seq`; `/api/relays/applied` says where it is live.",
        license(name = "MIT OR Apache-2.0", identifier = "MIT OR Apache-2.0")
    ),
    security(("management_token" = []), ("session" = [])),
    components(schemas(
        super::problem::Problem,
        super::page::Count,
        super::answer::Currency,
        super::words::RoleName,
        super::words::StatusName,
        super::words::OutcomeName
    )),
    modifiers(&Schemes),
    tags(
        (name = "site", description = "Status, set-up and this description"),
        (name = "session", description = "Signing in and management tokens"),
        (name = "users", description = "People, their balance and their ledger"),
        (name = "tokens", description = "Keys for programs that call models"),
        (name = "channels", description = "Ways to providers"),
        (name = "groups", description = "Who may use which channels, at which ratio"),
        (name = "models", description = "What can be asked for"),
        (name = "prices", description = "What models cost"),
        (name = "requests", description = "The request log"),
        (name = "relays", description = "Relay nodes and what is live on them"),
        (name = "reconciliation", description = "Whether the money adds up, and what waits for somebody's decision"),
        (name = "notifications", description = "What people are told"),
        (name = "settings", description = "How the site behaves"),
        (name = "audit", description = "Who changed what")
    )
)]
struct Frame;

struct Schemes;

impl Modify for Schemes {
    fn modify(&self, openapi: &mut utoipa::openapi::OpenApi) {
        let components = openapi.components.get_or_insert_default();
        let token = HttpBuilder::new().scheme(HttpAuthScheme::Bearer).description(Some("A management token.")).build();
        components.add_security_scheme("management_token", SecurityScheme::Http(token));
        let cookie = ApiKeyValue::with_description(crate::auth::COOKIE, "The session cookie of a browser.");
        components.add_security_scheme("session", SecurityScheme::ApiKey(ApiKey::Cookie(cookie)));
    }
}

/// An empty router with the frame of the description.
pub(super) fn frame() -> OpenApiRouter<App> {
    OpenApiRouter::with_openapi(Frame::openapi())
}

/// The description as it is served and committed: the same on every build of one source.
#[must_use]
pub fn description() -> utoipa::openapi::OpenApi {
    let mut description = super::routes().into_openapi();
    answers::complete(&mut description);
    description
}

/// This description.
#[utoipa::path(get, path = "/api/openapi.json", tag = "site", operation_id = "get_openapi", security(()), responses(
    (status = 200, description = "The OpenAPI description of this API.", content_type = "application/json"),
    Refused,
))]
pub(super) async fn openapi() -> Json<utoipa::openapi::OpenApi> {
    Json(description())
}

#[cfg(test)]
mod tests {
    use super::*;

    const COMMITTED: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../docs/reference/openapi.json");

    #[test]
    fn the_committed_description_is_that_of_the_routes() {
        let text = format!("{}\n", serde_json::to_string_pretty(&description()).unwrap());
        #[expect(clippy::disallowed_methods, reason = "a switch of this test, not a setting")]
        if std::env::var("UPDATE").is_ok() {
            std::fs::create_dir_all(std::path::Path::new(COMMITTED).parent().unwrap()).unwrap();
            std::fs::write(COMMITTED, &text).unwrap();
        }
        let committed = std::fs::read_to_string(COMMITTED).unwrap_or_default();
        let hint = "docs/reference/openapi.json is out of date: UPDATE=1 cargo test -p sluice-control-plane openapi";
        assert!(committed == text, "{hint}");
    }

    #[test]
    fn every_operation_has_a_name_a_tag_a_summary_and_an_error() {
        let mut names = std::collections::BTreeSet::new();
        let json = serde_json::to_value(description()).unwrap();
        for (path, methods) in json["paths"].as_object().unwrap() {
            for (method, operation) in methods.as_object().unwrap() {
                let name = operation["operationId"].as_str().unwrap_or_else(|| panic!("{method} {path} has no name"));
                assert!(names.insert(name.to_owned()), "{name} is the name of two operations");
                assert_eq!(operation["tags"].as_array().map(Vec::len), Some(1), "{name}");
                assert!(operation["summary"].as_str().is_some_and(|text| !text.is_empty()), "{name} has no summary");
                assert!(operation["responses"]["default"].is_object(), "{name} does not tell of errors");
            }
        }
        assert!(names.len() > 40, "{}", names.len());
    }

    #[test]
    fn every_reference_leads_somewhere_and_every_placeholder_is_described() {
        let json = serde_json::to_value(description()).unwrap();
        let text = json.to_string();
        for reference in text.split("\"$ref\":\"#/").skip(1).filter_map(|rest| rest.split('"').next()) {
            assert!(json.pointer(&format!("/{reference}")).is_some(), "{reference} leads nowhere");
        }
        for (path, methods) in json["paths"].as_object().unwrap() {
            let placeholders: Vec<&str> = path.split('{').skip(1).filter_map(|rest| rest.split('}').next()).collect();
            for (method, operation) in methods.as_object().unwrap() {
                let empty = Vec::new();
                let described = operation["parameters"].as_array().unwrap_or(&empty).iter();
                let described: Vec<_> =
                    described.filter(|parameter| parameter["in"] == "path").map(|p| p["name"].as_str().unwrap()).collect();
                assert_eq!(described, placeholders, "{method} {path}");
            }
        }
    }
}
