//! The console: files built from `control-plane/web`, embedded in the binary.

use std::sync::LazyLock;

use axum::body::Body;
use axum::response::{IntoResponse, Response};
use http::header;
use http::{HeaderMap, HeaderValue, Method, StatusCode, Uri};
use rust_embed::{EmbeddedFile, RustEmbed};
use sluice_telemetry::build;

#[derive(RustEmbed)]
#[folder = "$CARGO_MANIFEST_DIR/web/dist"]
struct Built;

/// Shown when this binary was built without the console.
const PLACEHOLDER: &str = include_str!("console/placeholder.html");
/// Bytes of the digest that name a build.
const BUILD_BYTES: usize = 8;
/// Files under this folder carry a hash of their content in their name.
const HASHED: &str = "assets/";

/// Names the console's build: the digest of its one page, which names every file by that file's content. The version alone would not
/// tell two builds of it apart.
static BUILD_ID: LazyLock<HeaderValue> = LazyLock::new(|| {
    let digest = Built::get("index.html").map(|index| hex::encode(&index.metadata.sha256_hash()[..BUILD_BYTES]));
    let id = digest.and_then(|digest| HeaderValue::from_str(&digest).ok());
    id.unwrap_or(HeaderValue::from_static(build::VERSION))
});

/// The name of the embedded console's build; the program's version where it was built without the console.
pub(super) fn build() -> HeaderValue {
    BUILD_ID.clone()
}

/// Serves a file, or the one page of the console for every other path: its router knows the paths of pages.
pub(super) async fn serve(method: Method, uri: Uri, headers: HeaderMap) -> Response {
    if method != Method::GET && method != Method::HEAD {
        return StatusCode::METHOD_NOT_ALLOWED.into_response();
    }
    let path = uri.path().trim_start_matches('/');
    if let Some(file) = Built::get(path).filter(|_| !path.is_empty()) {
        return found(path, file, &headers);
    }
    // an old page asking for a file of another build must hear that it is gone, not get HTML for a script
    if path.starts_with(HASHED) {
        return StatusCode::NOT_FOUND.into_response();
    }
    match Built::get("index.html") {
        Some(index) => found("index.html", index, &headers),
        None => page(PLACEHOLDER.into()),
    }
}

fn found(path: &str, file: EmbeddedFile, headers: &HeaderMap) -> Response {
    let tag = format!("\"{}\"", hex::encode(&file.metadata.sha256_hash()[..16]));
    let is_known = headers.get(header::IF_NONE_MATCH).is_some_and(|known| known.as_bytes() == tag.as_bytes());
    let mut response =
        if is_known { StatusCode::NOT_MODIFIED.into_response() } else { Body::from(file.data.into_owned()).into_response() };
    let kept = if path.starts_with(HASHED) { "public, max-age=31536000, immutable" } else { "no-cache" };
    let answered = response.headers_mut();
    answered.insert(header::CACHE_CONTROL, HeaderValue::from_static(kept));
    if let Ok(kind) = HeaderValue::from_str(file.metadata.mimetype()) {
        answered.insert(header::CONTENT_TYPE, kind);
    }
    if let Ok(tag) = HeaderValue::from_str(&tag) {
        answered.insert(header::ETAG, tag);
    }
    response
}

fn page(html: Body) -> Response {
    let headers = [(header::CONTENT_TYPE, "text/html; charset=utf-8"), (header::CACHE_CONTROL, "no-cache")];
    (headers, html).into_response()
}
