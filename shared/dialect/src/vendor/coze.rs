//! Coze's bots: <https://www.coze.cn/open/docs/developer_guides/chat_v3>, `POST /v3/chat`.
//!
//! The bot is the channel's to say; a model `bot-<id>` says it itself. Answers are always streamed: the other way is to ask again and again whether
//! one is there. Instructions are the beginning of what the user says first; the model's own turns are sent, images and documents by address or uploaded first. Of what a
//! bot tells, `answer` is output; what it looked up, called or would ask next is none.

use serde_json::{Value, json};
use sluice_domain::Usage;

use super::settings::{Body, put, text, usage};
use super::shape;
use super::stream::Told;
use super::talk::{self, FilePlace, Images, Line, Speaker, Takes};
use super::upload::Upload;
use super::wishes;
use crate::codec::Written;
use crate::ir::{Event, Finish, Request};
use crate::loss::{Field, Losses, Unsupported};
use crate::target::Target;

const TAKEN: [Field; 2] = [Field::User, Field::Metadata];
const TAKES: Takes = Takes { images: Images::Uploaded, calls: false, thinking: false };
/// What the name of a model begins with that is a bot.
const BOT: &str = "bot-";
/// In whose name a bot is asked where nobody is named: it asks for somebody.
const NOBODY: &str = "sluice";
/// Fields of a Chat body that are Coze's own.
const OWN: [&str; 3] = ["custom_variables", "parameters", "shortcut_command"];

pub(super) fn write(request: &Request, target: &Target<'_>, losses: &mut Losses<'_>) -> Result<Written, Unsupported> {
    wishes::lose(request, &TAKEN, losses)?;
    let named = target.model.strip_prefix(BOT).filter(|id| !id.is_empty());
    let Some(bot) = named.or(target.options.app.id.as_deref()) else {
        let reason = "names no bot: the channel needs one, or a model of the form bot-<id>";
        return Err(Unsupported { path: "model", reason, target: super::Vendor::Coze.title() });
    };
    let mut written = Written::default();
    let lines = talk::lines(request, TAKES, wishes::told_format(request).as_deref(), &mut written.names, losses)?;
    let (system, mut lines) = shape::alternating(lines, losses)?;
    if let (Some(system), Some(first)) = (system, lines.first_mut()) {
        first.text.insert_str(0, &format!("{system}\n\n"));
    }
    let body = &mut written.body;
    body.insert("bot_id".to_owned(), bot.into());
    let user = request.user.as_deref().or(target.options.app.user.as_deref()).unwrap_or(NOBODY);
    body.insert("user_id".to_owned(), user.into());
    body.insert("stream".to_owned(), true.into());
    body.insert("auto_save_history".to_owned(), false.into());
    let messages = lines.into_iter().map(|line| message(line, &mut written.uploads)).collect();
    body.insert("additional_messages".to_owned(), messages);
    put(body, "meta_data", request.metadata.as_ref().map(texts).filter(|labels| !labels.is_empty()).map(Value::Object));
    Ok(written)
}

fn message(line: Line, uploads: &mut Vec<Upload>) -> Value {
    let kind = if line.speaker == Speaker::Assistant { "answer" } else { "question" };
    let role = line.speaker.word();
    if line.files.is_empty() {
        return json!({"role": role, "type": kind, "content": line.text, "content_type": "text"});
    }
    let mut parts: Vec<Value> = (!line.text.is_empty()).then(|| json!({"type": "text", "text": line.text})).into_iter().collect();
    for file in line.files {
        let form = if file.is_image { "image" } else { "file" };
        parts.push(match file.place {
            FilePlace::Url(url) => json!({"type": form, "file_url": url}),
            FilePlace::Upload(upload) => {
                let told = json!({"type": form, "file_id": upload.mark});
                uploads.push(upload);
                told
            }
        });
    }
    json!({"role": role, "type": kind, "content": Value::from(parts).to_string(), "content_type": "object_string"})
}

/// Labels are texts.
fn texts(labels: &Body) -> Body {
    labels.iter().filter(|(_, value)| value.is_string()).map(|(name, value)| (name.clone(), value.clone())).collect()
}

pub(super) fn keep_own(caller: &Body, body: &mut Body) {
    for name in OWN {
        if let Some(value) = caller.get(name).filter(|value| value.is_object()) {
            body.insert(name.to_owned(), value.clone());
        }
    }
}

pub(super) fn event(name: &str, event: &Value, told: &mut Told, out: &mut Vec<Event>) {
    let is_answer = text(event, "/type") == "answer";
    match name {
        "conversation.chat.created" | "conversation.chat.in_progress" => {
            told.blocks.start(text(event, "/id"), "", event.get("created_at").and_then(Value::as_i64), out);
        }
        "conversation.message.delta" if is_answer => {
            told.has_pieces = true;
            told.thinking(text(event, "/reasoning_content"), out);
            told.text(text(event, "/content"), out);
        }
        // bots that stream nothing tell all of it here
        "conversation.message.completed" if is_answer && !told.has_pieces => {
            told.thinking(text(event, "/reasoning_content"), out);
            told.text(text(event, "/content"), out);
        }
        "conversation.chat.completed" => {
            if let Some(usage) = counted(event) {
                told.blocks.usage(usage, out);
            }
            told.blocks.finish(0, Finish::Stop, None, out);
            told.blocks.end(out);
        }
        "conversation.chat.requires_action" => {
            told.fail_because("the bot waits for a result that only its own client can give", out);
        }
        "conversation.chat.failed" | "conversation.chat.canceled" | "error" => told.fail_because("the bot did not answer", out),
        _ => {}
    }
}

fn counted(event: &Value) -> Option<Usage> {
    usage(event, "/usage/input_count", "/usage/output_count")
}
