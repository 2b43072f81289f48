//! Which texts of a request that was read as a whole are prompt: the same as of a Chat request (billing.md §7).

use serde_json::{Map, Value};

use crate::ir::{Arguments, Block, Detail, MediaKind, Request, Role, Source, Tool};
use crate::openai::PromptCounts;

pub(super) fn visit(request: &Request, text: &mut dyn FnMut(&str)) -> PromptCounts {
    let mut walk = Walk { counts: PromptCounts::default(), text };
    if !request.system.is_empty() {
        walk.counts.messages += 1;
        (walk.text)("system");
        walk.blocks(&request.system);
    }
    for turn in &request.turns {
        walk.counts.messages = walk.counts.messages.saturating_add(1);
        (walk.text)(match turn.role {
            Role::System => "system",
            Role::User => "user",
            Role::Assistant => "assistant",
        });
        walk.blocks(&turn.blocks);
    }
    for tool in &request.tools {
        walk.tool(tool);
    }
    walk.counts
}

/// The same of a body that could not be read as a whole: every text in it but bytes.
pub(super) fn visit_unread(body: &Map<String, Value>, text: &mut dyn FnMut(&str)) -> PromptCounts {
    for (name, value) in body {
        let is_bytes = name == "data" || value.as_str().is_some_and(|said| said.starts_with("data:"));
        if !is_bytes {
            visit_value(value, text);
        }
    }
    PromptCounts::default()
}

fn visit_value(value: &Value, text: &mut dyn FnMut(&str)) {
    match value {
        Value::String(said) => text(said),
        Value::Array(items) => {
            for item in items {
                visit_value(item, text);
            }
        }
        Value::Object(inner) => {
            visit_unread(inner, text);
        }
        _ => {}
    }
}

struct Walk<'t> {
    counts: PromptCounts,
    text: &'t mut dyn FnMut(&str),
}

impl Walk<'_> {
    fn blocks(&mut self, blocks: &[Block]) {
        for block in blocks {
            self.block(block);
        }
    }

    fn block(&mut self, block: &Block) {
        match block {
            Block::Text { text, .. }
            | Block::Thinking { text, .. }
            | Block::Refusal { text }
            | Block::Media { source: Source::Text(text), .. } => (self.text)(text),
            Block::ToolCall { name, arguments, .. } => {
                (self.text)(name);
                match arguments {
                    Arguments::Object(object) => (self.text)(&serde_json::to_string(object).unwrap_or_default()),
                    Arguments::Raw(raw) => (self.text)(raw),
                }
            }
            Block::ToolResult { content, .. } => self.blocks(content),
            Block::Native { raw, .. } => (self.text)(&raw.to_string()),
            Block::Media { kind, detail, .. } => self.medium(*kind, *detail),
            // what is encrypted is not read as text by anybody
            Block::Redacted { .. } => {}
        }
    }

    fn medium(&mut self, kind: MediaKind, detail: Option<Detail>) {
        let counts = &mut self.counts;
        let count = match kind {
            MediaKind::Image => &mut counts.images,
            MediaKind::Audio => &mut counts.audio,
            MediaKind::Video => &mut counts.videos,
            MediaKind::Document => &mut counts.files,
        };
        *count = count.saturating_add(1);
        if kind == MediaKind::Image && detail == Some(Detail::Low) {
            counts.low_detail_images = counts.low_detail_images.saturating_add(1);
        }
    }

    fn tool(&mut self, tool: &Tool) {
        self.counts.tools = self.counts.tools.saturating_add(1);
        match tool {
            Tool::Function { name, description, schema, .. } => {
                (self.text)(name);
                if let Some(text) = description {
                    (self.text)(text);
                }
                if let Some(schema) = schema {
                    (self.text)(&schema.to_string());
                }
            }
            Tool::Native { raw, .. } => (self.text)(&raw.to_string()),
            Tool::WebSearch { .. } => {}
        }
    }
}
