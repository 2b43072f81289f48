//! A conversation as lines of text, with what a line holds beside it: what vendors' messages are made of.

use serde_json::{Map, Value};
use sluice_domain::Dialect;

use super::upload::Upload;
use crate::call_id;
use crate::ir::{self, Arguments, Block, MediaKind, Request, Source, Tool, ToolChoice, Turn};
use crate::loss::{Field, Losses, Unsupported};
use crate::media;
use crate::tool_name::ToolNames;

/// What the messages of a vendor can hold beside text.
#[derive(Debug, Clone, Copy)]
pub(super) struct Takes {
    /// Which images.
    pub(super) images: Images,
    /// Calls and results of tools; otherwise they are told as text.
    pub(super) calls: bool,
    /// Reasoning that is sent back.
    pub(super) thinking: bool,
}

/// Which images messages can hold.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Images {
    /// None.
    None,
    /// Bytes.
    Bytes,
    /// Addresses: bytes as `data:` URLs.
    Urls,
    /// Addresses of the web; bytes are uploaded before, documents too.
    Uploaded,
}

/// Who says a line.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Speaker {
    System,
    User,
    Assistant,
    Tool,
}

impl Speaker {
    /// The word of Chat and its likes.
    pub(super) const fn word(self) -> &'static str {
        match self {
            Self::System => "system",
            Self::User => "user",
            Self::Assistant => "assistant",
            Self::Tool => "tool",
        }
    }
}

/// What somebody says at once.
#[derive(Debug)]
pub(super) struct Line {
    pub(super) speaker: Speaker,
    pub(super) text: String,
    pub(super) thinking: String,
    /// Base64 or URLs, as the vendor takes them.
    pub(super) images: Vec<String>,
    /// What stands beside the text where it is uploaded or named by address.
    pub(super) files: Vec<File>,
    pub(super) calls: Vec<Call>,
    /// Which call a tool answers: its id and the tool's name.
    pub(super) answers: Option<(String, String)>,
}

/// A file of a vendor that has uploads.
#[derive(Debug)]
pub(super) struct File {
    pub(super) is_image: bool,
    pub(super) place: FilePlace,
}

/// Where such a file is.
#[derive(Debug)]
pub(super) enum FilePlace {
    Url(String),
    Upload(Upload),
}

/// A call of a tool.
#[derive(Debug)]
pub(super) struct Call {
    pub(super) id: String,
    pub(super) name: String,
    pub(super) arguments: Arguments,
}

impl Call {
    /// The arguments as a JSON text.
    pub(super) fn text(&self) -> String {
        match &self.arguments {
            Arguments::Object(object) => Value::Object(object.clone()).to_string(),
            Arguments::Raw(raw) if raw.is_empty() => "{}".to_owned(),
            Arguments::Raw(raw) => raw.clone(),
        }
    }

    /// The arguments as an object: what is none becomes one of its own.
    pub(super) fn object(&self) -> Map<String, Value> {
        match &self.arguments {
            Arguments::Object(object) => object.clone(),
            Arguments::Raw(raw) => Map::from_iter([("input".to_owned(), raw.as_str().into())]),
        }
    }
}

impl Line {
    pub(super) fn new(speaker: Speaker, text: String) -> Self {
        Self { speaker, text, thinking: String::new(), images: Vec::new(), files: Vec::new(), calls: Vec::new(), answers: None }
    }

    fn says_nothing(&self) -> bool {
        self.text.is_empty()
            && self.images.is_empty()
            && self.files.is_empty()
            && self.calls.is_empty()
            && self.thinking.is_empty()
    }

    pub(super) fn say(&mut self, text: &str, gap: &str) {
        if !self.text.is_empty() {
            self.text.push_str(gap);
        }
        self.text.push_str(text);
    }
}

/// The conversation in lines, with the instructions first. `instruction` is added to the request's own.
pub(super) fn lines(
    request: &Request,
    takes: Takes,
    instruction: Option<&str>,
    names: &mut ToolNames,
    losses: &mut Losses<'_>,
) -> Result<Vec<Line>, Unsupported> {
    let mut talk = Talk { takes, names, losses, uploads: 0, lines: Vec::new() };
    let mut system = Line::new(Speaker::System, String::new());
    for block in &request.system {
        talk.add(block, &mut system, "\n\n")?;
    }
    if let Some(instruction) = instruction {
        system.say(instruction, "\n\n");
    }
    talk.end(system);
    for turn in &request.turns {
        talk.turn(turn)?;
    }
    Ok(talk.lines)
}

struct Talk<'t, 'p> {
    takes: Takes,
    names: &'t mut ToolNames,
    losses: &'t mut Losses<'p>,
    /// Files so far.
    uploads: usize,
    lines: Vec<Line>,
}

impl Talk<'_, '_> {
    fn turn(&mut self, turn: &Turn) -> Result<(), Unsupported> {
        let (speaker, gap) = match turn.role {
            ir::Role::System => (Speaker::System, "\n\n"),
            ir::Role::User => (Speaker::User, "\n"),
            ir::Role::Assistant => (Speaker::Assistant, ""),
        };
        let mut line = Line::new(speaker, String::new());
        for block in &turn.blocks {
            self.add(block, &mut line, gap)?;
        }
        self.end(line);
        Ok(())
    }

    fn end(&mut self, line: Line) {
        if !line.says_nothing() {
            self.lines.push(line);
        }
    }

    fn add(&mut self, block: &Block, line: &mut Line, gap: &str) -> Result<(), Unsupported> {
        match block {
            Block::Text { text, cache, .. } => {
                if cache.is_some() {
                    self.losses.drop(Field::CacheMarks)?;
                }
                line.say(text, gap);
            }
            Block::Refusal { text } => line.say(text, gap),
            Block::Thinking { text, .. } if self.takes.thinking => line.thinking.push_str(text),
            Block::Thinking { .. } | Block::Redacted { .. } => self.losses.drop(Field::Reasoning)?,
            Block::Media { kind, source, title, .. } => self.medium((*kind, source), title.as_deref(), line, gap)?,
            Block::ToolCall { id, name, arguments, .. } => {
                let id = call_id::for_upstream(id, Dialect::OpenAi).into_owned();
                let name = self.names.for_upstream(name, Dialect::OpenAi);
                let call = Call { id, name, arguments: arguments.clone() };
                if self.takes.calls {
                    line.calls.push(call);
                } else {
                    line.say(&format!("[call of tool {}] {}", call.name, call.text()), "\n");
                }
            }
            Block::ToolResult { id, name, content, is_error, .. } => {
                self.result((id, name.as_deref()), content, *is_error, line)?;
            }
            Block::Native { .. } => self.losses.drop(Field::NativePart)?,
        }
        Ok(())
    }

    /// A result is a line of its own, before what the user says.
    fn result(
        &mut self,
        (id, name): (&str, Option<&str>),
        content: &[Block],
        is_error: bool,
        line: &mut Line,
    ) -> Result<(), Unsupported> {
        let mut said = Line::new(Speaker::Tool, String::new());
        for block in content {
            self.add(block, &mut said, "\n")?;
        }
        if is_error && !said.text.starts_with("Error: ") {
            said.text.insert_str(0, "Error: ");
        }
        let name = self.names.for_upstream(name.unwrap_or("call"), Dialect::OpenAi);
        if self.takes.calls {
            said.answers = Some((call_id::for_upstream(id, Dialect::OpenAi).into_owned(), name));
            self.lines.push(said);
        } else {
            line.say(&format!("[tool result {name}] {}", said.text), "\n");
        }
        Ok(())
    }

    fn medium(
        &mut self,
        (kind, source): (MediaKind, &Source),
        title: Option<&str>,
        line: &mut Line,
        gap: &str,
    ) -> Result<(), Unsupported> {
        match (kind, source) {
            (MediaKind::Document, Source::Text(text)) => {
                let titled = title.filter(|title| !title.is_empty()).map(|title| format!("{title}\n{text}"));
                line.say(titled.as_deref().unwrap_or(text), gap);
                Ok(())
            }
            (_, Source::File { .. }) => self.losses.reject(Field::FileId),
            (MediaKind::Image | MediaKind::Document, Source::Inline { .. } | Source::Url { .. })
                if self.takes.images == Images::Uploaded =>
            {
                let place = match source {
                    Source::Inline { mime, data } => FilePlace::Upload(Upload::new(self.uploads, mime, data)),
                    Source::Url { url, .. } => FilePlace::Url(url.clone()),
                    _ => return Ok(()),
                };
                self.uploads += 1;
                line.files.push(File { is_image: kind == MediaKind::Image, place });
                Ok(())
            }
            (MediaKind::Image, source) => match self.image(source) {
                Some(image) => {
                    line.images.push(image);
                    Ok(())
                }
                None => self.losses.reject(Field::Image),
            },
            (MediaKind::Audio, _) => self.losses.reject(Field::Audio),
            (MediaKind::Video, _) => self.losses.reject(Field::Video),
            (MediaKind::Document, _) => self.losses.reject(Field::Document),
        }
    }

    fn image(&self, source: &Source) -> Option<String> {
        match (self.takes.images, source) {
            (Images::Bytes, Source::Inline { data, .. }) => Some(media::encode(data)),
            (Images::Urls, Source::Inline { mime, data }) => Some(media::to_data_url(mime, data)),
            (Images::Urls, Source::Url { url, .. }) => Some(url.clone()),
            _ => None,
        }
    }
}

/// The functions that may be called, in the form of Chat: those that are allowed, where only some are.
pub(super) fn functions(request: &Request, names: &mut ToolNames, losses: &mut Losses<'_>) -> Result<Vec<Value>, Unsupported> {
    let allowed = match &request.tool_choice {
        ToolChoice::Allowed { names, .. } => Some(names),
        _ => None,
    };
    let mut functions = Vec::new();
    for tool in &request.tools {
        let Tool::Function { name, description, schema, cache, .. } = tool else {
            if matches!(tool, Tool::Native { .. }) {
                losses.reject(Field::ServerTool)?;
            }
            continue;
        };
        if allowed.is_some_and(|allowed| !allowed.contains(name)) {
            continue;
        }
        if cache.is_some() {
            losses.drop(Field::CacheMarks)?;
        }
        let mut function = Map::new();
        function.insert("name".to_owned(), names.for_upstream(name, Dialect::OpenAi).into());
        if let Some(description) = description {
            function.insert("description".to_owned(), description.as_str().into());
        }
        let schema = schema.clone().unwrap_or_else(|| serde_json::json!({"type": "object", "properties": {}}));
        function.insert("parameters".to_owned(), schema);
        functions.push(Value::Object(function));
    }
    Ok(functions)
}
