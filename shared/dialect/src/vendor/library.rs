//! AI Proxy's knowledge libraries: <https://docs.aiproxy.io/dev/library>.
//!
//! A library answers what was said last. The documents an answer rests on follow it as a list. It tells no usage.

use std::fmt::Write as _;

use serde_json::Value;

use super::settings::{one, said, text};
use super::stream::Told;
use super::talk::{self, Images, Speaker, Takes};
use super::wishes;
use crate::codec::{AnswerError, Written};
use crate::ir::{Event, Finish, Request, Response};
use crate::loss::{Losses, Unsupported};
use crate::target::Target;

const TAKES: Takes = Takes { images: Images::None, calls: false, thinking: false };
/// What the name of a model begins with that is a library.
const LIBRARY: &str = "library-";

pub(super) fn write(request: &Request, target: &Target<'_>, losses: &mut Losses<'_>) -> Result<Written, Unsupported> {
    wishes::lose(request, &[], losses)?;
    let named = target.model.strip_prefix(LIBRARY).filter(|id| !id.is_empty());
    let Some(library) = named.or(target.options.app.id.as_deref()) else {
        let reason = "names no library: the channel needs one, or a model of the form library-<id>";
        return Err(Unsupported { path: "model", reason, target: super::Vendor::Library.title() });
    };
    let mut written = Written::default();
    let lines = talk::lines(request, TAKES, wishes::told_format(request).as_deref(), &mut written.names, losses)?;
    let query = lines.iter().rfind(|line| line.speaker == Speaker::User).map(|line| line.text.as_str()).unwrap_or_default();
    let body = &mut written.body;
    body.insert("model".to_owned(), target.model.into());
    body.insert("libraryId".to_owned(), library.into());
    body.insert("query".to_owned(), query.into());
    body.insert("stream".to_owned(), request.stream.into());
    Ok(written)
}

pub(super) fn read(answer: &Value) -> Result<Response, AnswerError> {
    let words = answer.get("answer").and_then(Value::as_str).ok_or(AnswerError::Without("answer"))?;
    let all = format!("{words}{}", references(answer));
    Ok(one("", text(answer, "/model"), said("", &all), Finish::Stop, None))
}

pub(super) fn event(event: &Value, told: &mut Told, out: &mut Vec<Event>) {
    told.blocks.start("", text(event, "/model"), None, out);
    told.text(text(event, "/content"), out);
    if event.get("finish") == Some(&Value::Bool(true)) {
        told.text(&references(event), out);
        told.blocks.finish(0, Finish::Stop, None, out);
        told.blocks.end(out);
    }
}

/// The documents as a Markdown list; empty where there are none.
fn references(answer: &Value) -> String {
    let mut list = String::new();
    for (number, document) in (1..).zip(answer.get("documents").and_then(Value::as_array).into_iter().flatten()) {
        let gap = if number == 1 { "\n\n" } else { "\n" };
        let _ = write!(list, "{gap}{number}. [{}]({})", text(document, "/title"), text(document, "/url"));
    }
    list
}
