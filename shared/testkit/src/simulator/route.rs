//! Which endpoint a request is for, and whether its key is good there.

use std::borrow::Cow;

use http::{HeaderMap, Method, Uri};

use super::models::Task;
use super::refusal::{House, Refusal};
use super::responses::StoredCall;

/// An endpoint.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Route {
    /// Something a model does.
    Task {
        /// What.
        task: Task,
        /// The model, where the path names it: Azure's deployments, all of Google's.
        model: Option<String>,
        /// How the path wants its stream, where the path says it.
        stream: Streaming,
    },
    /// Something is wanted of a response that was given out.
    Stored {
        /// Its id.
        id: String,
        /// What.
        call: StoredCall,
    },
    /// `GET /v1/models`.
    ModelList,
    /// `GET /v1/models/{id}`.
    Model(String),
}

/// Whether the path asks for a stream.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(super) enum Streaming {
    /// It does not say.
    #[default]
    Unsaid,
    /// As server-sent events.
    Events,
    /// As one JSON array whose elements come one after the other.
    Array,
}

/// Google's and Anthropic's paths are their own, but for the model list; Azure's start with `/openai/`.
pub(super) fn house_of(path: &str, headers: &HeaderMap) -> House {
    let is_verb = |path: &str| path.strip_prefix("/v1/models/").is_some_and(|rest| rest.contains(':'));
    if path.starts_with("/openai/") {
        House::Azure
    } else if path.starts_with("/v1beta/") || is_verb(path) {
        House::Google
    } else if path.starts_with("/v1/messages") || (path.starts_with("/v1/models") && headers.contains_key("anthropic-version")) {
        House::Anthropic
    } else {
        House::OpenAi
    }
}

pub(super) fn route_of(method: &Method, uri: &Uri, house: House) -> Result<Route, Refusal> {
    let path = uri.path();
    let unknown = || Refusal::unknown_path(method.as_str(), path, house);
    if house == House::Google {
        return google(method, uri).ok_or_else(unknown);
    }
    let (rest, deployment) = match path.strip_prefix("/openai/deployments/") {
        Some(rest) => {
            let (deployment, rest) = rest.split_once('/').ok_or_else(unknown)?;
            if deployment.is_empty() || !has_api_version(uri) {
                return Err(unknown());
            }
            (rest, Some(deployment.to_owned()))
        }
        None if house == House::Azure && path == "/openai/responses" && has_api_version(uri) => ("responses", None),
        None => (path.strip_prefix("/openai").unwrap_or(path).strip_prefix("/v1/").ok_or_else(unknown)?, None),
    };
    if let Some(rest) = rest.strip_prefix("responses/").filter(|rest| deployment.is_none() && *rest != "input_tokens") {
        let (id, call) = StoredCall::of(method, rest).ok_or_else(unknown)?;
        return Ok(Route::Stored { id: id.to_owned(), call });
    }
    let task = |task| Route::Task { task, model: deployment.clone(), stream: Streaming::Unsaid };
    let (route, wanted) = match rest {
        "chat/completions" => (task(Task::Chat), Method::POST),
        "completions" => (task(Task::Completion), Method::POST),
        "embeddings" => (task(Task::Embedding), Method::POST),
        "rerank" if deployment.is_none() && house == House::OpenAi => (task(Task::Rerank), Method::POST),
        "moderations" if deployment.is_none() && house == House::OpenAi => (task(Task::Moderation), Method::POST),
        "responses" if deployment.is_none() => (task(Task::Responses), Method::POST),
        "responses/input_tokens" if deployment.is_none() => (task(Task::ResponsesCount), Method::POST),
        "messages" if house == House::Anthropic => (task(Task::Messages), Method::POST),
        "messages/count_tokens" if house == House::Anthropic => (task(Task::MessagesCount), Method::POST),
        "models" if deployment.is_none() => (Route::ModelList, Method::GET),
        _ => match rest.strip_prefix("models/") {
            Some(id) if deployment.is_none() && !id.is_empty() => (Route::Model(id.to_owned()), Method::GET),
            _ => return Err(unknown()),
        },
    };
    if *method != wanted {
        return Err(Refusal::wrong_method(method.as_str(), path, house));
    }
    Ok(route)
}

fn has_api_version(uri: &Uri) -> bool {
    query(uri, "api-version").is_some_and(|version| !version.is_empty())
}

/// Google's paths: `models`, `models/{model}` and `models/{model}:{verb}`, under `/v1beta/` or `/v1/`.
fn google(method: &Method, uri: &Uri) -> Option<Route> {
    let path = uri.path();
    let rest = path.strip_prefix("/v1beta/").or_else(|| path.strip_prefix("/v1/"))?;
    if method == Method::GET {
        return match rest.strip_prefix("models/") {
            Some(model) if !model.is_empty() => Some(Route::Model(model.to_owned())),
            Some(_) => None,
            None => (rest == "models").then_some(Route::ModelList),
        };
    }
    let (model, verb) = rest.strip_prefix("models/")?.rsplit_once(':')?;
    if method != Method::POST || model.is_empty() {
        return None;
    }
    let (task, stream) = match verb {
        "generateContent" => (Task::Gemini, Streaming::Unsaid),
        "streamGenerateContent" if query(uri, "alt").as_deref() == Some("sse") => (Task::Gemini, Streaming::Events),
        "streamGenerateContent" => (Task::Gemini, Streaming::Array),
        "countTokens" => (Task::GeminiCount, Streaming::Unsaid),
        "embedContent" => (Task::GeminiEmbed, Streaming::Unsaid),
        "batchEmbedContents" => (Task::GeminiBatchEmbed, Streaming::Unsaid),
        _ => return None,
    };
    Some(Route::Task { task, model: Some(unescape(model)), stream })
}

fn query<'a>(uri: &'a Uri, name: &str) -> Option<Cow<'a, str>> {
    let value = uri.query()?.split('&').find_map(|pair| pair.strip_prefix(name)?.strip_prefix('='))?;
    Some(if value.contains('%') { Cow::Owned(unescape(value)) } else { Cow::Borrowed(value) })
}

/// Undoes percent-encoding.
fn unescape(text: &str) -> String {
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text.as_bytes();
    while let Some((&first, after)) = rest.split_first() {
        let escaped =
            after.get(..2).and_then(|pair| std::str::from_utf8(pair).ok()).and_then(|pair| u8::from_str_radix(pair, 16).ok());
        if let (b'%', Some(byte)) = (first, escaped) {
            bytes.push(byte);
            rest = &after[2..];
        } else {
            bytes.push(first);
            rest = after;
        }
    }
    String::from_utf8_lossy(&bytes).into_owned()
}

/// The key a request presents, where its house looks for it.
pub(super) fn presented_key<'a>(headers: &'a HeaderMap, uri: &'a Uri, house: House) -> Option<Cow<'a, str>> {
    let text = |name: &str| headers.get(name).and_then(|value| value.to_str().ok());
    let bearer = text("authorization").and_then(|value| value.strip_prefix("Bearer "));
    match house {
        House::OpenAi => bearer.map(Cow::Borrowed),
        House::Azure => text("api-key").or(bearer).map(Cow::Borrowed),
        House::Anthropic => text("x-api-key").or(bearer).map(Cow::Borrowed),
        House::Google => text("x-goog-api-key").map(Cow::Borrowed).or_else(|| query(uri, "key")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn route(method: &Method, uri: &str) -> Result<Route, u16> {
        let uri: Uri = uri.parse().unwrap();
        let house = house_of(uri.path(), &HeaderMap::new());
        route_of(method, &uri, house).map_err(|refusal| refusal.status)
    }

    #[test]
    fn paths_are_those_of_openai_and_azure() {
        let chat =
            |model: Option<&str>| Route::Task { task: Task::Chat, model: model.map(str::to_owned), stream: Streaming::Unsaid };
        assert_eq!(route(&Method::POST, "/v1/chat/completions"), Ok(chat(None)));
        assert_eq!(route(&Method::POST, "/openai/v1/chat/completions"), Ok(chat(None)));
        assert_eq!(route(&Method::POST, "/openai/deployments/d1/chat/completions?api-version=2025-04-01"), Ok(chat(Some("d1"))));
        assert_eq!(route(&Method::GET, "/v1/models/gpt-4o"), Ok(Route::Model("gpt-4o".to_owned())));
        assert_eq!(route(&Method::GET, "/v1/models"), Ok(Route::ModelList));
    }

    #[test]
    fn paths_are_those_of_anthropic_and_google_too() {
        let task = |task, model: Option<&str>, stream| Ok(Route::Task { task, model: model.map(str::to_owned), stream });
        assert_eq!(route(&Method::POST, "/v1/messages?beta=true"), task(Task::Messages, None, Streaming::Unsaid));
        assert_eq!(route(&Method::POST, "/v1/messages/count_tokens"), task(Task::MessagesCount, None, Streaming::Unsaid));
        assert_eq!(route(&Method::POST, "/v1/responses"), task(Task::Responses, None, Streaming::Unsaid));
        let google = |verb: &str| route(&Method::POST, &format!("/v1beta/models/a/b.c:{verb}"));
        assert_eq!(google("generateContent"), task(Task::Gemini, Some("a/b.c"), Streaming::Unsaid));
        assert_eq!(google("streamGenerateContent"), task(Task::Gemini, Some("a/b.c"), Streaming::Array));
        assert_eq!(google("streamGenerateContent?key=k&alt=sse"), task(Task::Gemini, Some("a/b.c"), Streaming::Events));
        assert_eq!(google("batchEmbedContents"), task(Task::GeminiBatchEmbed, Some("a/b.c"), Streaming::Unsaid));
        assert_eq!(google("fly"), Err(404));
        assert_eq!(route(&Method::POST, "/v1/models/g:countTokens"), task(Task::GeminiCount, Some("g"), Streaming::Unsaid));
        assert_eq!(route(&Method::GET, "/v1beta/models"), Ok(Route::ModelList));
    }

    #[test]
    fn a_key_is_looked_for_where_its_house_puts_it() {
        let uri: Uri = "/v1beta/models/g:generateContent?alt=sse&key=g%2Dkey".parse().unwrap();
        let mut headers = HeaderMap::new();
        assert_eq!(presented_key(&headers, &uri, House::Google).as_deref(), Some("g-key"));
        headers.insert("authorization", "Bearer b-key".parse().unwrap());
        assert_eq!(presented_key(&headers, &uri, House::Anthropic).as_deref(), Some("b-key"));
        headers.insert("x-api-key", "x-key".parse().unwrap());
        headers.insert("x-goog-api-key", "h-key".parse().unwrap());
        assert_eq!(presented_key(&headers, &uri, House::Anthropic).as_deref(), Some("x-key"));
        assert_eq!(presented_key(&headers, &uri, House::Google).as_deref(), Some("h-key"));
        assert_eq!(presented_key(&headers, &uri, House::OpenAi).as_deref(), Some("b-key"));
    }

    #[test]
    fn other_paths_and_methods_are_refused() {
        assert_eq!(route(&Method::POST, "/openai/deployments/d1/chat/completions"), Err(404));
        assert_eq!(route(&Method::POST, "/openai/deployments/d1/chat/completions?api-version="), Err(404));
        assert_eq!(route(&Method::POST, "/v1/nothing"), Err(404));
        assert_eq!(route(&Method::GET, "/"), Err(404));
        assert_eq!(route(&Method::GET, "/v1/chat/completions"), Err(405));
        assert_eq!(route(&Method::POST, "/v1/models"), Err(405));
        assert_eq!(route(&Method::GET, "/v1/messages"), Err(405));
    }
}
