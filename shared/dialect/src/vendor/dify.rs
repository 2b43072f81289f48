//! Dify's apps: <https://docs.dify.ai/api-reference/chat/send-chat-message>, workflows <https://docs.dify.ai/api-reference/workflows/run-workflow>.
//!
//! A channel is one app, and an app takes one text: the conversation with its speakers, or what was said last where `metadata.conversation_id`
//! says that Dify has the rest. `metadata.inputs` are the app's variables. The kind of app is the channel's to say, or the beginning of the
//! model's name: `workflow` and `completion` have addresses and bodies of their own. Images and documents go by address, and bytes are uploaded first.
//!
//! Answers are always streamed: agents know nothing else, and blocking ones are cut off after 100 s. Events of workflows and their nodes are no
//! output; a text that is replaced by moderation is told behind what came before, which nobody can take back.

use serde_json::{Value, json};

use super::marks::Piece;
use super::settings::{Body, put, text, usage};
use super::shape;
use super::stream::Told;
use super::talk::{self, FilePlace, Images, Line, Speaker, Takes};
use super::wishes;
use crate::codec::Written;
use crate::ir::{Event, Finish, Request};
use crate::loss::{Field, Losses, Unsupported};
use crate::target::Target;

const TAKEN: [Field; 2] = [Field::User, Field::Metadata];
const TAKES: Takes = Takes { images: Images::Uploaded, calls: false, thinking: false };
/// In whose name an app is asked where nobody is named: it asks for somebody.
const NOBODY: &str = "sluice";

/// What kind of app it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Kind {
    /// Chat, chatflow and agent.
    Chat,
    Workflow,
    Completion,
}

impl Kind {
    fn of(target: &Target<'_>) -> Self {
        // as addresses are chosen: the channel's word, if it is one, goes before the model's name
        match target.options.app.kind.as_deref() {
            Some("workflow") => Self::Workflow,
            Some("completion") => Self::Completion,
            Some("chatflow" | "agent") => Self::Chat,
            _ if target.model.starts_with("workflow") => Self::Workflow,
            _ if target.model.starts_with("completion") => Self::Completion,
            _ => Self::Chat,
        }
    }
}

pub(super) fn write(request: &Request, target: &Target<'_>, losses: &mut Losses<'_>) -> Result<Written, Unsupported> {
    wishes::lose(request, &TAKEN, losses)?;
    let mut written = Written::default();
    let lines = talk::lines(request, TAKES, wishes::told_format(request).as_deref(), &mut written.names, losses)?;
    let about = request.metadata.as_ref();
    let conversation = about.and_then(|about| about.get("conversation_id")?.as_str()).filter(|id| !id.is_empty());
    let query = match (conversation, last_of(&lines)) {
        (Some(_), Some(last)) => last.text.clone(),
        _ => shape::one_text(&lines),
    };
    let mut inputs = about.and_then(|about| about.get("inputs")?.as_object()).cloned().unwrap_or_default();
    let kind = Kind::of(target);
    let body = &mut written.body;
    match kind {
        Kind::Chat => {
            body.insert("query".to_owned(), query.into());
            body.insert("auto_generate_name".to_owned(), false.into());
            put(body, "conversation_id", conversation);
        }
        // these have no text but that of a variable
        Kind::Workflow | Kind::Completion => {
            inputs.entry("query").or_insert_with(|| query.into());
        }
    }
    body.insert("inputs".to_owned(), Value::Object(inputs));
    body.insert("response_mode".to_owned(), "streaming".into());
    let user = request.user.as_deref().or(target.options.app.user.as_deref()).unwrap_or(NOBODY);
    body.insert("user".to_owned(), user.into());
    let mut files = Vec::new();
    for file in lines.into_iter().flat_map(|line| line.files) {
        let kind = if file.is_image { "image" } else { "document" };
        files.push(match file.place {
            FilePlace::Url(url) => json!({"type": kind, "transfer_method": "remote_url", "url": url}),
            FilePlace::Upload(upload) => {
                let told = json!({"type": kind, "transfer_method": "local_file", "upload_file_id": upload.mark});
                written.uploads.push(upload);
                told
            }
        });
    }
    put(&mut written.body, "files", Some(files).filter(|files| !files.is_empty()));
    Ok(written)
}

fn last_of(lines: &[Line]) -> Option<&Line> {
    lines.iter().rfind(|line| line.speaker == Speaker::User)
}

/// Variables, as Dify's own clients write them.
pub(super) fn keep_own(caller: &Body, body: &mut Body) {
    let Some(own) = caller.get("inputs").and_then(Value::as_object) else { return };
    if let Some(inputs) = body.get_mut("inputs").and_then(Value::as_object_mut) {
        inputs.extend(own.iter().map(|(name, value)| (name.clone(), value.clone())));
    }
}

pub(super) fn event(event: &Value, told: &mut Told, out: &mut Vec<Event>) {
    let id = Some(text(event, "/message_id")).filter(|id| !id.is_empty()).unwrap_or_else(|| text(event, "/workflow_run_id"));
    if !id.is_empty() {
        told.blocks.start(id, "", event.get("created_at").and_then(Value::as_i64), out);
    }
    match text(event, "/event") {
        "agent_message" => {
            told.has_pieces = true;
            say(text(event, "/answer"), told, out);
        }
        // the newest agents close with one that repeats all of it
        "message" if !told.has_pieces => {
            told.outcome = None;
            say(text(event, "/answer"), told, out);
        }
        "text_chunk" => {
            told.has_pieces = true;
            say(text(event, "/data/text"), told, out);
        }
        "message_replace" => {
            finish_marks(told, out);
            told.blocks.close(0, out);
            told.text(text(event, "/answer"), out);
        }
        "message_end" => {
            if let Some(usage) = usage(event, "/metadata/usage/prompt_tokens", "/metadata/usage/completion_tokens") {
                told.blocks.usage(usage, out);
            }
            end(told, out);
        }
        // those of a chatflow belong to a message, whose end comes after it
        "workflow_finished" if text(event, "/message_id").is_empty() => workflow_finished(event, told, out),
        "human_input_required" => told.fail_because("the workflow waits for what a person is to say", out),
        _ => {}
    }
}

/// The stream is over. A run that only told its outputs ends with it.
pub(super) fn finish(told: &mut Told, out: &mut Vec<Event>) {
    let Some(Value::Object(outputs)) = told.outcome.take() else { return };
    if told.blocks.has_ended() {
        return;
    }
    match outputs.get("text").and_then(Value::as_str) {
        Some(said) => say(said, told, out),
        None if outputs.is_empty() => {}
        None => told.text(&Value::Object(outputs).to_string(), out),
    }
    end(told, out);
}

fn workflow_finished(event: &Value, told: &mut Told, out: &mut Vec<Event>) {
    if !matches!(text(event, "/data/status"), "succeeded" | "partial-succeeded") {
        let message =
            Some(text(event, "/data/error")).filter(|error| !error.is_empty()).unwrap_or("the workflow did not succeed");
        let raw = json!({"error": {"message": message, "type": "server_error", "code": text(event, "/data/status")}}).to_string();
        return told.fail(Some(raw.into()), "the workflow did not succeed", out);
    }
    if told.has_pieces {
        return end(told, out);
    }
    // the page of chatflows shows this event without a message's id, and before the message: only the stream's end tells them apart
    told.outcome =
        Some(event.pointer("/data/outputs").filter(|outputs| outputs.is_object()).cloned().unwrap_or_else(|| json!({})));
}

fn end(told: &mut Told, out: &mut Vec<Event>) {
    finish_marks(told, out);
    told.blocks.finish(0, Finish::Stop, None, out);
    told.blocks.end(out);
}

fn say(words: &str, told: &mut Told, out: &mut Vec<Event>) {
    let pieces = told.marks.push(words);
    tell(pieces, told, out);
}

fn finish_marks(told: &mut Told, out: &mut Vec<Event>) {
    let pieces = told.marks.finish();
    tell(pieces, told, out);
}

fn tell(pieces: Vec<Piece>, told: &mut Told, out: &mut Vec<Event>) {
    for piece in pieces {
        match piece {
            Piece::Text(text) => told.text(&text, out),
            Piece::Thinking(text) => told.thinking(&text, out),
        }
    }
}
