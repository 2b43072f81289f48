//! Where callers put their key (relay-api.md §2.1).

use std::borrow::Cow;

use axum::http::header::{AUTHORIZATION, SEC_WEBSOCKET_PROTOCOL, UPGRADE};
use axum::http::{HeaderMap, HeaderName, Uri};
use percent_encoding::percent_decode_str;
use sluice_domain::Dialect;

use super::route::Shape;

const X_API_KEY: HeaderName = HeaderName::from_static("x-api-key");
const X_GOOG_API_KEY: HeaderName = HeaderName::from_static("x-goog-api-key");
const API_KEY: HeaderName = HeaderName::from_static("api-key");
const MJ_API_SECRET: HeaderName = HeaderName::from_static("mj-api-secret");

/// Comes before the key in a WebSocket's list of protocols.
const PROTOCOL_PREFIX: &str = "openai-insecure-api-key.";
/// What Midjourney clients put into `Authorization` when the key is elsewhere.
const MJ_PLACEHOLDER: &str = "midjourney-proxy";

/// The text a caller presented as key, wherever it is; the first place that holds one wins: the protocol list of a WebSocket, the
/// native header of the interface, `Authorization`, then the other headers.
#[must_use]
pub(super) fn presented<'r>(uri: &'r Uri, headers: &'r HeaderMap, shape: Shape) -> Option<Cow<'r, str>> {
    let header = |name: &HeaderName| plain(headers, name).map(Cow::Borrowed);
    let query = || query_key(uri);
    let is_midjourney = shape == Shape::Midjourney;
    let native = match shape {
        Shape::Dialect(Dialect::Anthropic) => header(&X_API_KEY),
        Shape::Dialect(Dialect::Gemini) => header(&X_GOOG_API_KEY).or_else(query),
        Shape::Midjourney => plain(headers, &MJ_API_SECRET).map(without_scheme).map(Cow::Borrowed),
        _ => None,
    };
    protocol_key(headers)
        .map(Cow::Borrowed)
        .or(native)
        .or_else(|| {
            let bearer = plain(headers, &AUTHORIZATION).map(without_scheme).filter(|key| !key.is_empty());
            bearer.filter(|key| !is_midjourney || *key != MJ_PLACEHOLDER).map(Cow::Borrowed)
        })
        .or_else(|| header(&X_API_KEY))
        .or_else(|| header(&X_GOOG_API_KEY))
        .or_else(query)
        .or_else(|| header(&API_KEY))
}

/// A header's text, unless it is empty.
fn plain<'h>(headers: &'h HeaderMap, name: &HeaderName) -> Option<&'h str> {
    let text = headers.get(name)?.to_str().ok()?.trim();
    (!text.is_empty()).then_some(text)
}

/// The key without `Bearer`, in any case.
fn without_scheme(text: &str) -> &str {
    match text.split_once(' ') {
        Some((scheme, key)) if scheme.eq_ignore_ascii_case("bearer") => key.trim(),
        _ if text.eq_ignore_ascii_case("bearer") => "",
        _ => text,
    }
}

/// The key in the protocol list of a WebSocket upgrade.
fn protocol_key(headers: &HeaderMap) -> Option<&str> {
    let is_upgrade = headers.get(UPGRADE)?.as_bytes().eq_ignore_ascii_case(b"websocket");
    let lists = headers.get_all(SEC_WEBSOCKET_PROTOCOL).iter().filter(|_| is_upgrade);
    lists
        .filter_map(|list| list.to_str().ok())
        .flat_map(|list| list.split(','))
        .find_map(|protocol| protocol.trim().strip_prefix(PROTOCOL_PREFIX))
        .filter(|key| !key.is_empty())
}

/// `?key=`, where Google's clients put it: on their paths and the model list only.
fn query_key(uri: &Uri) -> Option<Cow<'_, str>> {
    let path = uri.path();
    let takes_key = path.starts_with("/v1beta/") || path == "/v1/models" || path.starts_with("/v1/models/");
    let value = uri.query().filter(|_| takes_key)?.split('&').find_map(|pair| pair.strip_prefix("key="))?;
    let key = percent_decode_str(value).decode_utf8().ok()?;
    (!key.is_empty()).then_some(key)
}

#[cfg(test)]
mod tests {
    use axum::http::{HeaderValue, Method};

    use super::super::route;
    use super::*;

    fn found(path: &str, lines: &[(&'static str, &str)]) -> Option<String> {
        let mut headers = HeaderMap::new();
        for (name, value) in lines {
            headers.append(*name, HeaderValue::from_str(value).unwrap());
        }
        let uri: Uri = path.parse().unwrap();
        let shape = route::resolve(&Method::GET, uri.path(), headers.contains_key("anthropic-version")).shape;
        presented(&uri, &headers, shape).map(Cow::into_owned)
    }

    #[test]
    fn a_key_is_found_in_every_accepted_form() {
        let key = Some("sk-KEY".to_owned());
        for lines in [
            [("authorization", "sk-KEY")],
            [("authorization", "Bearer sk-KEY")],
            [("authorization", "bearer sk-KEY")],
            [("authorization", "BEARER  sk-KEY ")],
            [("x-api-key", "sk-KEY")],
            [("x-goog-api-key", "sk-KEY")],
            [("api-key", "sk-KEY")],
        ] {
            assert_eq!(found("/v1/chat/completions", &lines), key, "{lines:?}");
        }
        assert_eq!(found("/v1/models?key=sk-KEY", &[]), key);
        assert_eq!(found("/v1beta/models?a=b&key=sk%2DKEY", &[]), key);
        let upgrade = ("upgrade", "websocket");
        let protocols = ("sec-websocket-protocol", "realtime, openai-insecure-api-key.sk-KEY, openai-beta.realtime-v1");
        assert_eq!(found("/v1/realtime", &[upgrade, protocols]), key);
        assert_eq!(found("/mj/submit/imagine", &[("mj-api-secret", "Bearer sk-KEY")]), key);
        assert_eq!(found("/mj/submit/imagine", &[("mj-api-secret", "sk-KEY")]), key);
    }

    #[test]
    fn a_key_is_not_taken_from_where_it_does_not_belong() {
        assert_eq!(found("/v1/chat/completions?key=sk-KEY", &[]), None);
        assert_eq!(found("/v1/realtime", &[("sec-websocket-protocol", "openai-insecure-api-key.sk-KEY")]), None);
        assert_eq!(found("/v1/chat/completions", &[("mj-api-secret", "sk-KEY")]), None);
        assert_eq!(found("/mj/submit/imagine", &[("authorization", "midjourney-proxy")]), None);
        assert_eq!(found("/v1/chat/completions", &[("authorization", "Bearer ")]), None);
        assert_eq!(found("/v1/chat/completions", &[("authorization", " ")]), None);
        assert_eq!(found("/v1/chat/completions", &[]), None);
    }

    #[test]
    fn the_first_place_wins() {
        let both = [("authorization", "Bearer A"), ("x-api-key", "B"), ("x-goog-api-key", "C")];
        assert_eq!(found("/v1/chat/completions", &both).as_deref(), Some("A"));
        assert_eq!(found("/v1/messages", &both).as_deref(), Some("B"));
        assert_eq!(found("/v1beta/models", &both).as_deref(), Some("C"));
        assert_eq!(found("/v1beta/models?key=D", &[("authorization", "A")]).as_deref(), Some("D"));
        assert_eq!(found("/v1beta/models?key=D", &[("x-goog-api-key", "C")]).as_deref(), Some("C"));
        assert_eq!(found("/v1/models?key=D", &[("authorization", "A")]).as_deref(), Some("A"));
        let mj = [("authorization", "A"), ("mj-api-secret", "B")];
        assert_eq!(found("/mj/submit/imagine", &mj).as_deref(), Some("B"));
        assert_eq!(found("/v1/chat/completions", &[("authorization", ""), ("api-key", "B")]).as_deref(), Some("B"));
    }
}
