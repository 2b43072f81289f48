//! Media that a request names by address, and that its upstream is to get as data (conversions.md §6).
//!
//! [`Request::remote_media`] says which, whoever reaches the network fetches them, [`Request::write_with`] puts them in. A body of the
//! upstream's own dialect is changed only in the field that holds its conversation.
//!
//! [`Request::remote_media`]: super::Request::remote_media
//! [`Request::write_with`]: super::Request::write_with

use std::collections::BTreeMap;
use std::fmt::Write;

use bytes::Bytes;
use memchr::memmem;
use serde_json::{Map, Value, json};

use crate::gemini;
use crate::ir::{self, Block, MediaKind, Source};
use crate::media;
use crate::surface::Surface;

/// A medium that a request names by address.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Remote {
    /// The address.
    pub url: String,
    /// The field that names it, as the caller wrote it: `messages[0].content[1].image_url.url`.
    pub path: String,
}

/// Media that were fetched, by their addresses.
#[derive(Debug, Clone, Default)]
pub struct Fetched(BTreeMap<String, (String, Bytes)>);

impl Fetched {
    /// Adds a medium.
    pub fn put(&mut self, url: String, mime: String, data: Bytes) {
        self.0.insert(url, (mime, data));
    }

    /// Whether there is a medium of an address.
    #[must_use]
    pub fn has(&self, url: &str) -> bool {
        self.0.contains_key(url)
    }

    pub(super) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    fn get(&self, url: &str) -> Option<(&str, &Bytes)> {
        self.0.get(url).map(|(mime, data)| (mime.as_str(), data))
    }
}

/// Where the conversation of a surface is, which of its parts hold others, and a word without which there is no address in it.
struct Places {
    field: &'static str,
    within: &'static [&'static str],
    words: &'static [&'static str],
}

const fn places(surface: Surface) -> Option<Places> {
    Some(match surface {
        Surface::ChatCompletions => Places { field: "messages", within: &["content"], words: &["image_url"] },
        Surface::Responses => Places { field: "input", within: &["content", "output"], words: &["input_image", "file_url"] },
        Surface::Messages => Places { field: "messages", within: &["content"], words: &["\"url\""] },
        Surface::GenerateContent => Places {
            field: "contents",
            within: &["parts", "functionResponse", "function_response"],
            words: &["fileData", "file_data"],
        },
        _ => return None,
    })
}

/// The field that holds a conversation.
pub(super) fn field(surface: Surface) -> Option<&'static str> {
    places(surface).map(|places| places.field)
}

/// Whether a body may name media by address at all: most do not, and need not be read for it.
pub(super) fn may_name(surface: Surface, body: &[u8]) -> bool {
    places(surface).is_some_and(|places| places.words.iter().any(|word| memmem::find(body, word.as_bytes()).is_some()))
}

/// Every medium that a conversation names by an address of the web.
pub(super) fn listed(surface: Surface, conversation: &mut Value) -> Vec<Remote> {
    let mut all = Vec::new();
    if let Some(places) = places(surface) {
        let mut note = |part: &mut Map<String, Value>, path: &str| {
            let Some((url, rest)) = address(surface, part) else { return };
            all.push(Remote { url: url.to_owned(), path: format!("{path}{rest}") });
        };
        walk(conversation, &places, &mut places.field.to_owned(), &mut note);
    }
    all.retain(|remote| is_of_the_web(&remote.url));
    all
}

/// Puts media in place of their addresses.
pub(super) fn inline(surface: Surface, conversation: &mut Value, fetched: &Fetched) {
    if let Some(places) = places(surface) {
        let mut put = |part: &mut Map<String, Value>, _: &str| {
            if let Some((mime, data)) = address(surface, part).and_then(|(url, _)| fetched.get(url)) {
                put_data(surface, part, mime, data);
            }
        };
        walk(conversation, &places, &mut places.field.to_owned(), &mut put);
    }
}

/// The same in a request that was read.
pub(super) fn inline_read(request: &mut ir::Request, fetched: &Fetched) {
    for turn in &mut request.turns {
        inline_blocks(&mut turn.blocks, fetched);
    }
}

fn inline_blocks(blocks: &mut [Block], fetched: &Fetched) {
    for block in blocks {
        match block {
            Block::Media { kind, source, .. } => {
                let Source::Url { url, .. } = source else { continue };
                let Some((mime, data)) = fetched.get(url) else { continue };
                (*kind, *source) = read_as(mime, data);
            }
            Block::ToolResult { content, .. } => inline_blocks(content, fetched),
            _ => {}
        }
    }
}

fn read_as(mime: &str, data: &Bytes) -> (MediaKind, Source) {
    let source = match (mime, std::str::from_utf8(data)) {
        ("text/plain", Ok(text)) => Source::Text(text.to_owned()),
        _ => Source::Inline { mime: mime.to_owned(), data: data.clone() },
    };
    let kind = if mime.starts_with("image/") {
        MediaKind::Image
    } else if mime.starts_with("audio/") {
        MediaKind::Audio
    } else {
        MediaKind::Document
    };
    (kind, source)
}

/// Shows every part of a conversation that may be a medium, with its path. Arguments and schemas, which may look like one, are no parts.
fn walk(node: &mut Value, places: &Places, path: &mut String, visit: &mut dyn FnMut(&mut Map<String, Value>, &str)) {
    let length = path.len();
    match node {
        Value::Array(items) => {
            for (number, item) in items.iter_mut().enumerate() {
                let _ = write!(path, "[{number}]");
                walk(item, places, path, visit);
                path.truncate(length);
            }
        }
        Value::Object(part) => {
            visit(part, path);
            for name in places.within {
                if let Some(inner) = part.get_mut(*name) {
                    path.push('.');
                    path.push_str(name);
                    walk(inner, places, path, visit);
                    path.truncate(length);
                }
            }
        }
        _ => {}
    }
}

/// The address that a part names, and where in the part.
fn address(surface: Surface, part: &Map<String, Value>) -> Option<(&str, &'static str)> {
    let text = |pointer: &[&str]| {
        let (first, rest) = pointer.split_first()?;
        rest.iter().try_fold(part.get(*first)?, |here, name| here.get(*name))?.as_str()
    };
    let is = |kind: &str| part.get("type").and_then(Value::as_str) == Some(kind);
    match surface {
        Surface::ChatCompletions if is("image_url") => text(&["image_url", "url"])
            .map(|url| (url, ".image_url.url"))
            .or_else(|| text(&["image_url"]).map(|url| (url, ".image_url"))),
        Surface::Responses if is("input_image") => text(&["image_url"]).map(|url| (url, ".image_url")),
        Surface::Responses if is("input_file") => text(&["file_url"]).map(|url| (url, ".file_url")),
        Surface::Messages if is("image") || is("document") => {
            let is_url = text(&["source", "type"]) == Some("url");
            text(&["source", "url"]).filter(|_| is_url).map(|url| (url, ".source.url"))
        }
        Surface::GenerateContent => [
            (["fileData", "fileUri"], ".fileData.fileUri"),
            (["fileData", "file_uri"], ".fileData.file_uri"),
            (["file_data", "fileUri"], ".file_data.fileUri"),
            (["file_data", "file_uri"], ".file_data.file_uri"),
        ]
        .into_iter()
        .find_map(|(pointer, path)| Some((text(&pointer)?, path)))
        .filter(|(url, _)| !gemini::takes_address(url)),
        _ => None,
    }
}

fn put_data(surface: Surface, part: &mut Map<String, Value>, mime: &str, data: &Bytes) {
    match surface {
        Surface::ChatCompletions => {
            let url = Value::from(media::to_data_url(mime, data));
            match part.get_mut("image_url").and_then(Value::as_object_mut) {
                Some(image) => image.insert("url".to_owned(), url),
                None => part.insert("image_url".to_owned(), json!({"url": url})),
            };
        }
        Surface::Responses => {
            let url = Value::from(media::to_data_url(mime, data));
            if part.shift_remove("file_url").is_some() {
                part.insert("file_data".to_owned(), url);
                part.entry("filename").or_insert_with(|| file_name(mime).into());
            } else {
                part.insert("image_url".to_owned(), url);
            }
        }
        Surface::Messages => {
            let source = match (mime, std::str::from_utf8(data)) {
                ("text/plain", Ok(text)) => json!({"type": "text", "media_type": mime, "data": text}),
                _ => json!({"type": "base64", "media_type": mime, "data": media::encode(data)}),
            };
            part.insert("source".to_owned(), source);
        }
        Surface::GenerateContent => {
            part.shift_remove("fileData");
            part.shift_remove("file_data");
            part.insert("inlineData".to_owned(), json!({"mimeType": mime, "data": media::encode(data)}));
        }
        _ => {}
    }
}

fn file_name(mime: &str) -> &'static str {
    match mime {
        "application/pdf" => "document.pdf",
        "text/plain" => "document.txt",
        _ => "file",
    }
}

fn is_of_the_web(url: &str) -> bool {
    ["http://", "https://"]
        .into_iter()
        .any(|scheme| url.get(..scheme.len()).is_some_and(|start| start.eq_ignore_ascii_case(scheme)))
}

#[cfg(test)]
mod tests {
    use super::*;

    const URL: &str = "https://a.example/x.png";

    fn of(surface: Surface, part: &Value) -> Value {
        match surface {
            Surface::GenerateContent => json!([{"role": "user", "parts": [{"text": "hi"}, part]}]),
            _ => json!([{"role": "user", "content": [{"type": "text", "text": "hi"}, part]}]),
        }
    }

    fn fetched(mime: &str) -> Fetched {
        let mut fetched = Fetched::default();
        fetched.put(URL.to_owned(), mime.to_owned(), Bytes::from_static(b"abc"));
        fetched
    }

    #[test]
    fn every_dialects_addresses_are_found_and_replaced() {
        for (surface, part, path, mime, expected) in [
            (
                Surface::ChatCompletions,
                json!({"type": "image_url", "image_url": {"url": URL, "detail": "low"}}),
                "messages[0].content[1].image_url.url",
                "image/png",
                json!({"type": "image_url", "image_url": {"url": "data:image/png;base64,YWJj", "detail": "low"}}),
            ),
            (
                Surface::Responses,
                json!({"type": "input_image", "image_url": URL}),
                "input[0].content[1].image_url",
                "image/png",
                json!({"type": "input_image", "image_url": "data:image/png;base64,YWJj"}),
            ),
            (
                Surface::Responses,
                json!({"type": "input_file", "file_url": URL}),
                "input[0].content[1].file_url",
                "application/pdf",
                json!({"type": "input_file", "file_data": "data:application/pdf;base64,YWJj", "filename": "document.pdf"}),
            ),
            (
                Surface::Messages,
                json!({"type": "image", "source": {"type": "url", "url": URL}, "cache_control": {"type": "ephemeral"}}),
                "messages[0].content[1].source.url",
                "image/png",
                json!({"type": "image", "source": {"type": "base64", "media_type": "image/png", "data": "YWJj"},
                       "cache_control": {"type": "ephemeral"}}),
            ),
            (
                Surface::Messages,
                json!({"type": "tool_result", "tool_use_id": "t", "content": [{"type": "document", "source": {"type": "url", "url": URL}}]}),
                "messages[0].content[1].content[0].source.url",
                "text/plain",
                json!({"type": "tool_result", "tool_use_id": "t",
                       "content": [{"type": "document", "source": {"type": "text", "media_type": "text/plain", "data": "abc"}}]}),
            ),
            (
                Surface::GenerateContent,
                json!({"fileData": {"fileUri": URL, "mimeType": "image/png"}}),
                "contents[0].parts[1].fileData.fileUri",
                "image/png",
                json!({"inlineData": {"mimeType": "image/png", "data": "YWJj"}}),
            ),
        ] {
            let mut conversation = of(surface, &part);
            assert!(may_name(surface, conversation.to_string().as_bytes()), "{part}");
            assert_eq!(listed(surface, &mut conversation), [Remote { url: URL.into(), path: path.into() }]);
            inline(surface, &mut conversation, &fetched(mime));
            assert_eq!(conversation, of(surface, &expected));
            assert_eq!(listed(surface, &mut conversation), []);
        }
    }

    #[test]
    fn what_is_no_medium_of_the_web_is_left_alone() {
        for (surface, part) in [
            (Surface::ChatCompletions, json!({"type": "image_url", "image_url": {"url": "data:image/png;base64,YWJj"}})),
            (Surface::ChatCompletions, json!({"type": "text", "image_url": {"url": URL}})),
            (Surface::Messages, json!({"type": "tool_use", "input": {"type": "image", "source": {"type": "url", "url": URL}}})),
            (Surface::Messages, json!({"type": "image", "source": {"type": "file", "url": URL}})),
            (Surface::GenerateContent, json!({"fileData": {"fileUri": "https://www.youtube.com/watch?v=1"}})),
            (Surface::GenerateContent, json!({"fileData": {"fileUri": "gs://bucket/a.pdf"}})),
            (Surface::GenerateContent, json!({"functionCall": {"args": {"fileData": {"fileUri": URL}}}})),
        ] {
            assert_eq!(listed(surface, &mut of(surface, &part)), [], "{part}");
        }
        assert!(!may_name(Surface::ChatCompletions, of(Surface::ChatCompletions, &json!({"text": URL})).to_string().as_bytes()));
    }

    #[test]
    fn a_request_that_was_read_gets_the_same() {
        let remote = || Block::Media {
            kind: MediaKind::Image,
            source: Source::Url { url: URL.into(), mime: None },
            detail: None,
            title: None,
            cache: None,
        };
        let result = Block::ToolResult { id: "t".into(), name: None, content: vec![remote()], is_error: false, cache: None };
        let mut request = ir::Request {
            turns: vec![ir::Turn { role: ir::Role::User, blocks: vec![remote(), result] }],
            ..ir::Request::default()
        };
        inline_read(&mut request, &fetched("application/pdf"));
        let is_there =
            |block: &Block| matches!(block, Block::Media { kind: MediaKind::Document, source: Source::Inline { .. }, .. });
        assert!(is_there(&request.turns[0].blocks[0]));
        let Block::ToolResult { content, .. } = &request.turns[0].blocks[1] else { panic!() };
        assert!(is_there(&content[0]));
    }
}
