//! Which endpoint a request is for, and whether its key is good there.

use http::{HeaderMap, Method, Uri};

use super::models::Task;
use super::refusal::{House, Refusal};

/// An endpoint.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Route {
    /// Something a model does.
    Task {
        /// What.
        task: Task,
        /// Azure names the model in the path.
        deployment: Option<String>,
    },
    /// `GET /v1/models`.
    ModelList,
    /// `GET /v1/models/{id}`.
    Model(String),
}

/// Azure's paths start with `/openai/`.
pub(super) fn house_of(path: &str) -> House {
    if path.starts_with("/openai/") { House::Azure } else { House::OpenAi }
}

pub(super) fn route_of(method: &Method, uri: &Uri) -> Result<Route, Refusal> {
    let path = uri.path();
    let house = house_of(path);
    let unknown = || Refusal::unknown_path(method.as_str(), path, house);
    let (rest, deployment) = match path.strip_prefix("/openai/deployments/") {
        Some(rest) => {
            let (deployment, rest) = rest.split_once('/').ok_or_else(unknown)?;
            let has_version =
                uri.query().unwrap_or("").split('&').any(|pair| pair.len() > 12 && pair.starts_with("api-version="));
            if deployment.is_empty() || !has_version {
                return Err(unknown());
            }
            (rest, Some(deployment.to_owned()))
        }
        None => (path.strip_prefix("/openai").unwrap_or(path).strip_prefix("/v1/").ok_or_else(unknown)?, None),
    };
    let task = |task| Route::Task { task, deployment: deployment.clone() };
    let (route, wanted) = match rest {
        "chat/completions" => (task(Task::Chat), Method::POST),
        "completions" => (task(Task::Completion), Method::POST),
        "embeddings" => (task(Task::Embedding), Method::POST),
        "models" if deployment.is_none() => (Route::ModelList, Method::GET),
        _ => match rest.strip_prefix("models/") {
            Some(id) if deployment.is_none() && !id.is_empty() => (Route::Model(id.to_owned()), Method::GET),
            _ => return Err(unknown()),
        },
    };
    if *method != wanted {
        return Err(Refusal::wrong_method(method.as_str(), path));
    }
    Ok(route)
}

/// The key a request presents: `Authorization: Bearer`, on Azure also `api-key`.
pub(super) fn presented_key(headers: &HeaderMap, house: House) -> Option<&str> {
    let text = |name: &str| headers.get(name).and_then(|value| value.to_str().ok());
    let bearer = text("authorization").and_then(|value| value.strip_prefix("Bearer "));
    match house {
        House::OpenAi => bearer,
        House::Azure => text("api-key").or(bearer),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn route(method: &Method, uri: &str) -> Result<Route, u16> {
        route_of(method, &uri.parse().unwrap()).map_err(|refusal| refusal.status)
    }

    #[test]
    fn paths_are_those_of_openai_and_azure() {
        let chat = |deployment: Option<&str>| Route::Task { task: Task::Chat, deployment: deployment.map(str::to_owned) };
        assert_eq!(route(&Method::POST, "/v1/chat/completions"), Ok(chat(None)));
        assert_eq!(route(&Method::POST, "/openai/v1/chat/completions"), Ok(chat(None)));
        assert_eq!(route(&Method::POST, "/openai/deployments/d1/chat/completions?api-version=2025-04-01"), Ok(chat(Some("d1"))));
        assert_eq!(route(&Method::GET, "/v1/models/gpt-4o"), Ok(Route::Model("gpt-4o".to_owned())));
        assert_eq!(route(&Method::GET, "/v1/models"), Ok(Route::ModelList));
    }

    #[test]
    fn other_paths_and_methods_are_refused() {
        assert_eq!(route(&Method::POST, "/openai/deployments/d1/chat/completions"), Err(404));
        assert_eq!(route(&Method::POST, "/openai/deployments/d1/chat/completions?api-version="), Err(404));
        assert_eq!(route(&Method::POST, "/v1/nothing"), Err(404));
        assert_eq!(route(&Method::GET, "/"), Err(404));
        assert_eq!(route(&Method::GET, "/v1/chat/completions"), Err(405));
        assert_eq!(route(&Method::POST, "/v1/models"), Err(405));
    }
}
