//! iFlytek's Spark by WebSocket: <https://www.xfyun.cn/doc/spark/Web.html>. One JSON text goes out, and several come back.
//!
//! What it takes of its transport: an address that is signed anew for each connection, one message after the handshake, and every message that
//! comes back as a line, until the one with status 2. Functions are for its interface by HTTP alone, the page says.

use serde_json::{Value, json};
use sluice_domain::Usage;

use super::settings::{Body, put, put_object, text, usage};
use super::stream::Told;
use super::talk::{self, Images, Line, Speaker, Takes};
use super::wishes::{self, LIMIT};
use crate::codec::Written;
use crate::ir::{Event, Finish, Request};
use crate::loss::{Field, Losses, Unsupported};
use crate::target::Target;

const TAKEN: [Field; 4] = [Field::Temperature, Field::TopK, Field::User, LIMIT];
/// The likeliest tokens that are considered, at most.
const MAX_TOP_K: u32 = 6;
/// The longest name of a user, in characters.
const MAX_USER: usize = 32;

/// Models that have names of their own, with their domain.
const NAMED: [(&str, &str); 8] = [
    ("spark-lite", "lite"),
    ("spark-pro", "generalv3"),
    ("spark-pro-128k", "pro-128k"),
    ("spark-max", "generalv3.5"),
    ("spark-max-32k", "max-32k"),
    ("spark-4.0-ultra", "4.0Ultra"),
    ("sparkdesk-v3.1-128k", "pro-128k"),
    ("sparkdesk-v3.5-32k", "max-32k"),
];
/// Versions whose domain is not `general` and the version.
const VERSIONS: [(&str, &str); 5] =
    [("v1.1", "lite"), ("v2.1", "generalv2"), ("v3.1", "generalv3"), ("v3.5", "generalv3.5"), ("v4.0", "4.0Ultra")];
/// The version where nobody names one.
const DEFAULT_VERSION: &str = "v1.1";

/// As what a model is asked: by its name, by a version at the end of its name, by the channel's version.
fn domain(model: &str, configured: Option<&str>) -> String {
    let named = model.to_ascii_lowercase();
    if let Some((_, domain)) = NAMED.iter().find(|(name, _)| *name == named) {
        return (*domain).to_owned();
    }
    let said = model.split_once('-').map(|(_, version)| version).filter(|version| is_version(version));
    let version = said.or(configured.filter(|version| is_version(version))).unwrap_or(DEFAULT_VERSION);
    let known = VERSIONS.iter().find(|(known, _)| *known == version).map(|(_, domain)| (*domain).to_owned());
    known.unwrap_or_else(|| format!("general{version}"))
}

/// `v3.5`
fn is_version(text: &str) -> bool {
    let digits = text.strip_prefix('v').unwrap_or_default();
    (1..=8).contains(&digits.len())
        && digits.bytes().all(|byte| byte.is_ascii_digit() || byte == b'.')
        && !digits.starts_with('.')
}

pub(super) fn write(request: &Request, target: &Target<'_>, losses: &mut Losses<'_>) -> Result<Written, Unsupported> {
    wishes::lose(request, &TAKEN, losses)?;
    let domain = domain(target.model, target.options.app.kind.as_deref());
    let takes = Takes { images: Images::None, calls: false, thinking: false };
    let mut written = Written::default();
    let lines = talk::lines(request, takes, wishes::told_format(request).as_deref(), &mut written.names, losses)?;
    let mut header = Body::new();
    put(&mut header, "app_id", target.options.app.id.as_deref());
    put(&mut header, "uid", request.user.as_deref().filter(|user| user.chars().count() <= MAX_USER));
    let mut chat = Body::from_iter([("domain".to_owned(), Value::from(domain.as_str()))]);
    put(&mut chat, "temperature", request.temperature.map(|temperature| temperature.clamp(0.01, 1.0)));
    put(&mut chat, "top_k", request.top_k.map(|top_k| top_k.clamp(1, MAX_TOP_K)));
    put(&mut chat, "max_tokens", wishes::limit(request, target));
    let messages: Value =
        told(lines, &domain).iter().map(|line| json!({"role": line.speaker.word(), "content": line.text})).collect();
    let body = &mut written.body;
    put_object(body, "header", header);
    body.insert("parameter".to_owned(), json!({"chat": chat}));
    body.insert("payload".to_owned(), json!({"message": {"text": messages}}));
    Ok(written)
}

/// The first editions know no instructions: they are the beginning of what the user says.
fn told(mut lines: Vec<Line>, domain: &str) -> Vec<Line> {
    if matches!(domain, "generalv3.5" | "max-32k" | "4.0Ultra") {
        return lines;
    }
    for line in lines.iter_mut().filter(|line| line.speaker == Speaker::System) {
        line.speaker = Speaker::User;
    }
    let mut merged: Vec<Line> = Vec::with_capacity(lines.len());
    for line in lines {
        match merged.last_mut().filter(|last| last.speaker == line.speaker) {
            Some(last) => {
                last.text.push_str("\n\n");
                last.text.push_str(&line.text);
            }
            None => merged.push(line),
        }
    }
    merged
}

pub(super) fn event(event: &Value, told: &mut Told, out: &mut Vec<Event>) {
    told.blocks.start(text(event, "/header/sid"), "", None, out);
    let pieces = event.pointer("/payload/choices/text").and_then(Value::as_array);
    for piece in pieces.into_iter().flatten() {
        told.thinking(text(piece, "/reasoning_content"), out);
        told.text(text(piece, "/content"), out);
    }
    if let Some(usage) = counted(event) {
        told.blocks.usage(usage, out);
    }
    let is_last = |pointer| event.pointer(pointer).and_then(Value::as_u64) == Some(2);
    if is_last("/payload/choices/status") || is_last("/header/status") {
        told.blocks.finish(0, Finish::Stop, None, out);
        told.blocks.end(out);
    }
}

/// Whether a message is the last one: it says so, or tells an error.
pub(super) fn is_last(message: &[u8]) -> bool {
    let said = serde_json::from_slice::<Value>(message).unwrap_or_default();
    let is = |pointer: &str| said.pointer(pointer).and_then(Value::as_u64);
    is("/payload/choices/status") == Some(2)
        || is("/header/status") == Some(2)
        || is("/header/code").is_some_and(|code| code != 0)
}

fn counted(event: &Value) -> Option<Usage> {
    usage(event, "/payload/usage/text/prompt_tokens", "/payload/usage/text/completion_tokens")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_message_says_whether_it_is_the_last() {
        for (message, expected) in [
            (r#"{"header":{"code":0,"status":1},"payload":{"choices":{"status":1}}}"#, false),
            (r#"{"header":{"code":0,"status":2},"payload":{"choices":{"status":2}}}"#, true),
            (r#"{"header":{"code":10013,"message":"no","status":0}}"#, true),
            ("no json", false),
        ] {
            assert_eq!(is_last(message.as_bytes()), expected, "{message}");
        }
    }

    #[test]
    fn a_models_name_goes_before_the_channels_version() {
        for (model, configured, expected) in [
            ("Spark-Lite", Some("v3.5"), "lite"),
            ("Spark-Pro-128K", None, "pro-128k"),
            ("Spark-Max-32K", None, "max-32k"),
            ("Spark-4.0-Ultra", None, "4.0Ultra"),
            ("SparkDesk-v3.5", Some("v1.1"), "generalv3.5"),
            ("SparkDesk-v9.9", None, "generalv9.9"),
            ("SparkDesk", Some("v3.1"), "generalv3"),
            ("SparkDesk", Some("../v3"), "lite"),
            ("SparkDesk-v3/../x", None, "lite"),
        ] {
            assert_eq!(domain(model, configured), expected, "{model}");
        }
    }
}
