//! The route table: what a path is for, and in which shape its errors are told.

use axum::http::Method;
use sluice_dialect::Surface;
use sluice_dialect::exchange::CountSurface;
use sluice_domain::Dialect;
use sluice_providers::StoredCall;

/// How an error looks on the wire (relay-api.md §9.1).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Shape {
    /// One of the dialects that models are talked to in.
    Dialect(Dialect),
    /// Midjourney proxies.
    Midjourney,
    /// Suno and the family's own video tasks.
    Task,
    /// Kling's own.
    Kling,
    /// Jimeng's own.
    Jimeng,
}

impl Shape {
    /// OpenAI's, which is also that of every path nobody owns.
    pub const OPENAI: Self = Self::Dialect(Dialect::OpenAi);

    /// The dialect a request's record is kept under.
    #[must_use]
    pub const fn dialect(self) -> Dialect {
        match self {
            Self::Dialect(dialect) => dialect,
            Self::Midjourney | Self::Task | Self::Kling | Self::Jimeng => Dialect::OpenAi,
        }
    }
}

/// What a path and method ask for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Target<'p> {
    /// A model's answer.
    Text(Surface),
    /// The same of a model that the address names.
    Named {
        /// The surface.
        surface: Surface,
        /// The model, as it stands in the address.
        model: &'p str,
        /// Whether the address asks for a stream.
        streams: bool,
    },
    /// How many tokens a request has.
    Count {
        /// Where.
        surface: CountSurface,
        /// The model, where the address names it.
        model: Option<&'p str>,
    },
    /// A stored response.
    Stored {
        /// What is wanted of it.
        call: StoredCall,
        /// Its id, as it stands in the address.
        id: &'p str,
    },
    /// The list of models.
    Models,
    /// One model.
    Model(&'p str),
    /// The family's status document.
    Status,
    /// The root.
    Home,
    /// A known interface that is not served: the caller must be somebody, then is told so.
    NotServed,
    /// A known path with another method; these would do.
    WrongMethod(Methods),
    /// No such path among the interfaces.
    Unknown,
    /// Not an interface at all: a page, if somebody else serves pages.
    Page,
}

/// Where a request is going.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Route<'p> {
    /// What is asked for.
    pub(super) target: Target<'p>,
    /// How errors are told.
    pub(super) shape: Shape,
}

/// The methods a path takes, as a header says them.
pub(super) type Methods = &'static str;

const ANTHROPIC: Shape = Shape::Dialect(Dialect::Anthropic);
const GEMINI: Shape = Shape::Dialect(Dialect::Gemini);
const RESPONSES: Shape = Shape::Dialect(Dialect::Responses);

const GET: Methods = "GET, HEAD";
const POST: Methods = "POST";
const GET_POST: Methods = "GET, HEAD, POST";
const GET_DELETE: Methods = "GET, HEAD, DELETE";
const GET_POST_DELETE: Methods = "GET, HEAD, POST, DELETE";

/// Finds what a path is for. `has_anthropic_version` tells whether that header is there: it decides whose model list is meant.
#[must_use]
pub(super) fn resolve<'p>(method: &Method, path: &'p str, has_anthropic_version: bool) -> Route<'p> {
    let Some((shape, methods, target)) = find(path, has_anthropic_version) else {
        let target = if is_interface(path) { Target::Unknown } else { Target::Page };
        return Route { target, shape: family_shape(path) };
    };
    let is_allowed = methods.split(", ").any(|allowed| allowed == method.as_str());
    let target = match target {
        _ if !is_allowed => Target::WrongMethod(methods),
        Target::Model(_) if method == Method::DELETE => Target::NotServed,
        Target::Stored { call: StoredCall::Retrieve, id } if method == Method::DELETE => {
            Target::Stored { call: StoredCall::Delete, id }
        }
        target => target,
    };
    Route { target, shape }
}

type Found<'p> = (Shape, Methods, Target<'p>);

fn find(path: &str, has_anthropic_version: bool) -> Option<Found<'_>> {
    match path {
        "/v1/chat/completions" | "/v1beta/openai/chat/completions" => {
            return Some((Shape::OPENAI, POST, Target::Text(Surface::ChatCompletions)));
        }
        "/v1/completions" => return Some((Shape::OPENAI, POST, Target::Text(Surface::Completions))),
        "/v1/embeddings" | "/v1beta/openai/embeddings" => return Some((Shape::OPENAI, POST, Target::Text(Surface::Embeddings))),
        "/v1/responses" => return Some((RESPONSES, POST, Target::Text(Surface::Responses))),
        "/v1/responses/compact" => return Some((RESPONSES, POST, Target::Text(Surface::Compact))),
        "/v1/messages" => return Some((ANTHROPIC, POST, Target::Text(Surface::Messages))),
        "/v1/edits" => return Some((Shape::OPENAI, POST, Target::Text(Surface::Edits))),
        "/v1/rerank" | "/v2/rerank" | "/rerank" => return Some((Shape::OPENAI, POST, Target::Text(Surface::Rerank))),
        "/v1/moderations" => return Some((Shape::OPENAI, POST, Target::Text(Surface::Moderations))),
        "/v1/messages/count_tokens" => return Some((ANTHROPIC, POST, count(CountSurface::Messages))),
        "/v1/responses/input_tokens" => return Some((RESPONSES, POST, count(CountSurface::Responses))),
        "/v1beta/openai/models" => return Some((Shape::OPENAI, GET, Target::Models)),
        "/v1beta/models" => return Some((GEMINI, GET, Target::Models)),
        "/" => return Some((Shape::OPENAI, GET, Target::Home)),
        "/api/status" => return Some((Shape::OPENAI, GET, Target::Status)),
        _ => {}
    }
    let mut segments = [""; MAX_SEGMENTS];
    let segments = split(path, &mut segments)?;
    match segments {
        ["v1", "responses", id, rest @ ..] if !id.is_empty() => response(id, rest),
        ["v1", "models", ..] => models(path, segments, has_anthropic_version),
        ["v1", "engines", _, .., "embeddings"] => engine(path),
        ["v1", rest @ ..] => v1(rest).map(|(shape, methods)| (shape, methods, Target::NotServed)),
        ["v1beta", "models", .., last] if last.contains(':') => Some(verb(path)),
        ["v1beta", "models", name] if !name.is_empty() => Some((GEMINI, GET, Target::Model(name))),
        ["v1beta", rest @ ..] => v1beta(rest).map(|(shape, methods)| (shape, methods, Target::NotServed)),
        _ => elsewhere(segments).map(|(shape, methods)| (shape, methods, Target::NotServed)),
    }
}

/// Segments of the longest path that is known; longer ones are unknown.
const MAX_SEGMENTS: usize = 8;

fn split<'a, 'p>(path: &'p str, segments: &'a mut [&'p str; MAX_SEGMENTS]) -> Option<&'a [&'p str]> {
    let mut count = 0;
    for part in path.strip_prefix('/')?.split('/') {
        *segments.get_mut(count)? = part;
        count += 1;
    }
    segments.get(..count)
}

const fn count<'p>(surface: CountSurface) -> Target<'p> {
    Target::Count { surface, model: None }
}

/// What is to be done with a model that an address names: `/v1beta/models/gemini-2.5-pro:generateContent`.
fn verb(path: &str) -> Found<'_> {
    let Some((model, verb)) = path.split_once("/models/").and_then(|(_, rest)| rest.rsplit_once(':')) else {
        return (GEMINI, POST, Target::NotServed);
    };
    let named = |surface, streams| Target::Named { surface, model, streams };
    let target = match verb {
        "generateContent" => named(Surface::GenerateContent, false),
        "streamGenerateContent" => named(Surface::GenerateContent, true),
        "embedContent" => named(Surface::EmbedContent, false),
        "batchEmbedContents" => named(Surface::BatchEmbedContents, false),
        "countTokens" => Target::Count { surface: CountSurface::Gemini, model: Some(model) },
        _ => Target::NotServed,
    };
    (GEMINI, POST, target)
}

/// `/v1/responses/resp_1`, and what is under it.
fn response<'p>(id: &'p str, rest: &[&str]) -> Option<Found<'p>> {
    let (methods, call) = match rest {
        [] => (GET_DELETE, StoredCall::Retrieve),
        ["cancel"] => (POST, StoredCall::Cancel),
        ["input_items"] => (GET, StoredCall::InputItems),
        _ => return None,
    };
    Some((RESPONSES, methods, Target::Stored { call, id }))
}

/// `/v1/engines/text-embedding-ada-002/embeddings`
fn engine(path: &str) -> Option<Found<'_>> {
    let model = path.strip_prefix("/v1/engines/")?.strip_suffix("/embeddings").filter(|model| !model.is_empty())?;
    Some((Shape::OPENAI, POST, Target::Named { surface: Surface::Embeddings, model, streams: false }))
}

fn models<'p>(path: &'p str, segments: &[&'p str], has_anthropic_version: bool) -> Option<Found<'p>> {
    let lists = if has_anthropic_version { Shape::Dialect(Dialect::Anthropic) } else { Shape::OPENAI };
    let name = path.strip_prefix("/v1/models/").unwrap_or_default();
    match segments {
        [_, _] => Some((lists, GET, Target::Models)),
        // An action follows a colon: `gemini-2.5-pro:generateContent`. Names themselves may have slashes: `openai/gpt-4o`.
        [.., last] if last.contains(':') => Some(verb(path)),
        [.., last] if !last.is_empty() => Some((lists, GET_DELETE, Target::Model(name))),
        _ => None,
    }
}

fn v1(rest: &[&str]) -> Option<(Shape, Methods)> {
    const OPENAI: Shape = Shape::OPENAI;
    Some(match rest {
        ["images", "generations" | "edits" | "variations"]
        | ["audio", "speech" | "transcriptions" | "translations"]
        | ["realtime", "client_secrets" | "sessions"]
        | ["videos", _, "remix"]
        | ["fine-tunes", _, "cancel"] => (OPENAI, POST),
        ["realtime"]
        | ["videos" | "files", _, "content"]
        | ["dashboard", "billing", "subscription" | "usage"]
        | ["fine-tunes", _]
        | ["fine-tunes", _, "events"] => (OPENAI, GET),
        ["video", "generations"] => (Shape::Task, POST),
        ["video", "generations", _] => (Shape::Task, GET),
        ["videos" | "files", _] => (OPENAI, GET_DELETE),
        ["videos" | "files" | "fine-tunes"] | ["fine_tuning", "jobs", ..] | ["batches", ..] => (OPENAI, GET_POST),
        ["assistants" | "threads", ..] => (OPENAI, GET_POST_DELETE),
        ["oneapi", "proxy", _, _, ..] => (OPENAI, "GET, HEAD, POST, PUT, PATCH, DELETE"),
        _ => return None,
    })
}

fn v1beta(rest: &[&str]) -> Option<(Shape, Methods)> {
    Some(match rest {
        ["openai", "images", "generations"] => (Shape::OPENAI, POST),
        _ => return None,
    })
}

fn elsewhere(segments: &[&str]) -> Option<(Shape, Methods)> {
    Some(match segments {
        ["dashboard", "billing", "subscription" | "usage"] => (Shape::OPENAI, GET),
        ["mj", rest @ ..] | ["mj-fast" | "mj-relax" | "mj-turbo", "mj", rest @ ..] => (Shape::Midjourney, midjourney(rest)?),
        ["suno", "submit", _] | ["suno", "fetch"] => (Shape::Task, POST),
        ["suno", "fetch", _] => (Shape::Task, GET),
        ["kling", "v1", "videos", "text2video" | "image2video"] => (Shape::Kling, POST),
        ["kling", "v1", "videos", _, _] => (Shape::Kling, GET),
        ["jimeng"] | ["jimeng", ""] => (Shape::Jimeng, POST),
        _ => return None,
    })
}

fn midjourney(rest: &[&str]) -> Option<Methods> {
    const SUBMITS: [&str; 11] = [
        "imagine",
        "change",
        "simple-change",
        "describe",
        "blend",
        "action",
        "modal",
        "shorten",
        "edits",
        "video",
        "upload-discord-images",
    ];
    Some(match rest {
        ["submit", action] if SUBMITS.contains(action) => POST,
        ["insight-face", "swap"] | ["task", "list-by-condition"] | ["notify"] => POST,
        ["task", _, "fetch" | "image-seed"] | ["image", _] => GET,
        _ => return None,
    })
}

/// Whether an unknown path is under one of the interfaces, so that it is answered by a document and never by a page.
fn is_interface(path: &str) -> bool {
    let under = |prefix: &str| path.strip_prefix(prefix).is_some_and(|rest| rest.is_empty() || rest.starts_with('/'));
    ["/v1", "/v1beta", "/api", "/pg", "/v2", "/rerank", "/mj", "/suno", "/kling", "/jimeng", "/dashboard/billing"]
        .into_iter()
        .any(under)
        || ["/mj-fast/mj", "/mj-relax/mj", "/mj-turbo/mj"].into_iter().any(under)
}

/// The shape of errors on paths nobody serves, by the family they look like.
fn family_shape(path: &str) -> Shape {
    let first = path.trim_start_matches('/').split('/').next().unwrap_or_default();
    match first {
        "mj" | "mj-fast" | "mj-relax" | "mj-turbo" => Shape::Midjourney,
        "suno" => Shape::Task,
        "kling" => Shape::Kling,
        "jimeng" => Shape::Jimeng,
        "v1beta" if !path.starts_with("/v1beta/openai") => Shape::Dialect(Dialect::Gemini),
        _ if path.starts_with("/v1/messages") => Shape::Dialect(Dialect::Anthropic),
        _ => Shape::OPENAI,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at<'p>(method: &str, path: &'p str) -> (Target<'p>, Shape) {
        let route = resolve(&Method::from_bytes(method.as_bytes()).unwrap(), path, false);
        (route.target, route.shape)
    }

    #[test]
    fn served_interfaces_are_found() {
        assert_eq!(at("POST", "/v1/chat/completions"), (Target::Text(Surface::ChatCompletions), Shape::OPENAI));
        assert_eq!(at("POST", "/v1/completions"), (Target::Text(Surface::Completions), Shape::OPENAI));
        assert_eq!(at("POST", "/v1/embeddings"), (Target::Text(Surface::Embeddings), Shape::OPENAI));
        assert_eq!(at("POST", "/v1/responses"), (Target::Text(Surface::Responses), RESPONSES));
        assert_eq!(at("POST", "/v1/messages"), (Target::Text(Surface::Messages), ANTHROPIC));
        assert_eq!(at("POST", "/v1beta/openai/chat/completions"), (Target::Text(Surface::ChatCompletions), Shape::OPENAI));
        assert_eq!(at("POST", "/v1/responses/compact"), (Target::Text(Surface::Compact), RESPONSES));
        assert_eq!(at("POST", "/v1/edits"), (Target::Text(Surface::Edits), Shape::OPENAI));
        assert_eq!(at("POST", "/v1/moderations"), (Target::Text(Surface::Moderations), Shape::OPENAI));
        for path in ["/v1/rerank", "/rerank", "/v2/rerank"] {
            assert_eq!(at("POST", path), (Target::Text(Surface::Rerank), Shape::OPENAI), "{path}");
        }
        let generate = |model, streams| (Target::Named { surface: Surface::GenerateContent, model, streams }, GEMINI);
        assert_eq!(at("POST", "/v1beta/models/gemini-2.5-pro:generateContent"), generate("gemini-2.5-pro", false));
        assert_eq!(at("POST", "/v1beta/models/gemini-2.5-pro:streamGenerateContent"), generate("gemini-2.5-pro", true));
        assert_eq!(at("POST", "/v1/models/ours/a:b:generateContent"), generate("ours/a:b", false));
        assert_eq!(at("GET", "/v1beta/models"), (Target::Models, GEMINI));
        assert_eq!(at("GET", "/v1beta/models/gemini-2.5-pro"), (Target::Model("gemini-2.5-pro"), GEMINI));
        assert_eq!(at("GET", "/v1beta/openai/models"), (Target::Models, Shape::OPENAI));
        assert_eq!(at("GET", "/v1/models"), (Target::Models, Shape::OPENAI));
        assert_eq!(at("GET", "/v1/models/gpt-4o"), (Target::Model("gpt-4o"), Shape::OPENAI));
        assert_eq!(at("GET", "/v1/models/openai/gpt-4o"), (Target::Model("openai/gpt-4o"), Shape::OPENAI));
        assert_eq!(at("DELETE", "/v1/models/gpt-4o"), (Target::NotServed, Shape::OPENAI));
        assert_eq!(at("GET", "/api/status"), (Target::Status, Shape::OPENAI));
        assert_eq!(at("HEAD", "/"), (Target::Home, Shape::OPENAI));
    }

    #[test]
    fn a_model_in_the_address_is_found_for_every_verb() {
        let named = |surface, model| Target::Named { surface, model, streams: false };
        assert_eq!(at("POST", "/v1/models/m:embedContent"), (named(Surface::EmbedContent, "m"), GEMINI));
        assert_eq!(at("POST", "/v1beta/models/m:batchEmbedContents"), (named(Surface::BatchEmbedContents, "m"), GEMINI));
        assert_eq!(at("POST", "/v1/engines/ada/embeddings"), (named(Surface::Embeddings, "ada"), Shape::OPENAI));
        assert_eq!(at("POST", "/v1/engines/ours/ada/embeddings"), (named(Surface::Embeddings, "ours/ada"), Shape::OPENAI));
        assert_eq!(at("POST", "/v1/engines//embeddings").0, Target::Unknown);
        assert_eq!(at("POST", "/v1/engines/embeddings").0, Target::Unknown);
        assert_eq!(at("POST", "/v1beta/models/m:predict"), (Target::NotServed, GEMINI));
    }

    #[test]
    fn tokens_are_counted_in_three_shapes() {
        assert_eq!(at("POST", "/v1/messages/count_tokens"), (count(CountSurface::Messages), ANTHROPIC));
        assert_eq!(at("POST", "/v1/responses/input_tokens"), (count(CountSurface::Responses), RESPONSES));
        let gemini = Target::Count { surface: CountSurface::Gemini, model: Some("a/b") };
        assert_eq!(at("POST", "/v1beta/models/a/b:countTokens"), (gemini, GEMINI));
        assert_eq!(at("POST", "/v1/models/a/b:countTokens"), (gemini, GEMINI));
        assert_eq!(at("GET", "/v1/messages/count_tokens"), (Target::WrongMethod("POST"), ANTHROPIC));
    }

    #[test]
    fn a_stored_response_is_asked_for_under_its_id() {
        let stored = |call| (Target::Stored { call, id: "resp_1" }, RESPONSES);
        assert_eq!(at("GET", "/v1/responses/resp_1"), stored(StoredCall::Retrieve));
        assert_eq!(at("HEAD", "/v1/responses/resp_1"), stored(StoredCall::Retrieve));
        assert_eq!(at("DELETE", "/v1/responses/resp_1"), stored(StoredCall::Delete));
        assert_eq!(at("POST", "/v1/responses/resp_1/cancel"), stored(StoredCall::Cancel));
        assert_eq!(at("GET", "/v1/responses/resp_1/input_items"), stored(StoredCall::InputItems));
        assert_eq!(at("POST", "/v1/responses/resp_1"), (Target::WrongMethod(GET_DELETE), RESPONSES));
        assert_eq!(at("DELETE", "/v1/responses/resp_1/cancel"), (Target::WrongMethod(POST), RESPONSES));
        for path in ["/v1/responses/", "/v1/responses//cancel", "/v1/responses/resp_1/other", "/v1/responses/resp_1/cancel/x"] {
            assert_eq!(at("GET", path).0, Target::Unknown, "{path}");
        }
    }

    #[test]
    fn every_interface_of_the_catalogue_is_known_in_its_shape() {
        for (method, path, shape) in [
            ("POST", "/v1beta/openai/images/generations", Shape::OPENAI),
            ("POST", "/v1/images/generations", Shape::OPENAI),
            ("POST", "/v1/audio/transcriptions", Shape::OPENAI),
            ("GET", "/v1/realtime", Shape::OPENAI),
            ("POST", "/mj/submit/imagine", Shape::Midjourney),
            ("POST", "/mj-fast/mj/submit/change", Shape::Midjourney),
            ("GET", "/mj/task/1/fetch", Shape::Midjourney),
            ("POST", "/suno/submit/music", Shape::Task),
            ("GET", "/suno/fetch/1", Shape::Task),
            ("POST", "/v1/video/generations", Shape::Task),
            ("GET", "/v1/videos", Shape::OPENAI),
            ("GET", "/v1/videos/1/content", Shape::OPENAI),
            ("POST", "/kling/v1/videos/text2video", Shape::Kling),
            ("GET", "/kling/v1/videos/text2video/1", Shape::Kling),
            ("POST", "/jimeng/", Shape::Jimeng),
            ("GET", "/v1/files", Shape::OPENAI),
            ("DELETE", "/v1/files/1", Shape::OPENAI),
            ("GET", "/v1/fine_tuning/jobs", Shape::OPENAI),
            ("POST", "/v1/threads/1/runs", Shape::OPENAI),
            ("GET", "/v1/batches/1", Shape::OPENAI),
        ] {
            assert_eq!(at(method, path), (Target::NotServed, shape), "{method} {path}");
        }
    }

    #[test]
    fn another_method_is_told_which_would_do() {
        assert_eq!(at("GET", "/v1/chat/completions"), (Target::WrongMethod("POST"), Shape::OPENAI));
        assert_eq!(at("PATCH", "/v1/messages"), (Target::WrongMethod("POST"), ANTHROPIC));
        assert_eq!(at("DELETE", "/mj/submit/imagine"), (Target::WrongMethod("POST"), Shape::Midjourney));
        assert_eq!(at("POST", "/v1/models"), (Target::WrongMethod("GET, HEAD"), Shape::OPENAI));
    }

    #[test]
    fn unknown_paths_are_documents_under_the_interfaces_and_pages_elsewhere() {
        for path in
            ["/v1", "/v1/", "/v1/nothing", "/v1//chat/completions", "/v1beta/x", "/api/user/self", "/mj/submit/x", "/v1/models/"]
        {
            assert_eq!(at("GET", path).0, Target::Unknown, "{path}");
        }
        for path in ["/login", "/v10", "/assets/app.js", "/dashboard"] {
            assert_eq!(at("GET", path).0, Target::Page, "{path}");
        }
        assert_eq!(at("GET", "/v1beta/x").1, GEMINI);
    }

    #[test]
    fn the_model_list_belongs_to_whoever_names_their_version() {
        assert_eq!(resolve(&Method::GET, "/v1/models", true).shape, ANTHROPIC);
    }
}
