//! Blocks of a caller's turns.

use serde_json::{Map, Value};

use super::Body;
use crate::ir::{Arguments, Block, CacheMark, Family, MediaKind, Role, Signature, Source};
use crate::media;
use crate::messages::{OF_BLOCK_BEFORE, citation};
use crate::node::{BodyError, Node, Rule};

const KINDS: &str = "text, image, document, search_result, thinking, redacted_thinking, tool_use, tool_result";

/// Kinds of source, before their fields are read.
#[derive(Clone, Copy)]
enum From {
    Base64,
    Url,
    File,
    Text,
    Content,
}

/// Instructions: a string or blocks of text.
pub(super) fn instructions(content: &Node<'_>) -> Result<Vec<Block>, BodyError> {
    if let Some(text) = content.value().as_str() {
        return Ok(vec![Block::text(text)]);
    }
    let mut blocks = Vec::new();
    for node in items(content)? {
        node.need("type")?.word(&[("text", ())], "text")?;
        blocks.push(text(&node)?);
    }
    Ok(blocks)
}

impl Body<'_> {
    /// What a turn of the caller's or the model's is made of.
    pub(super) fn blocks(&mut self, content: &Node<'_>, role: Role) -> Result<Vec<Block>, BodyError> {
        if let Some(text) = content.value().as_str() {
            return Ok(vec![Block::text(text)]);
        }
        let mut blocks = Vec::new();
        for node in items(content)? {
            let kind = node.need("type")?;
            match (kind.text()?, role) {
                ("thinking", Role::Assistant) => blocks.push(self.thinking(&node)?),
                ("redacted_thinking", Role::Assistant) => {
                    let data = node.need("data")?.text()?;
                    if let Some(signature) = self.sealer.read(data, Family::Anthropic) {
                        add_state(signature, &mut blocks);
                    }
                }
                ("tool_use", Role::Assistant) => blocks.push(call(&node)?),
                ("tool_result", Role::User) => blocks.push(self.result(&node)?),
                ("thinking" | "redacted_thinking" | "tool_use", _) => {
                    return Err(kind.broken(Rule::Other(" belongs in a message of the assistant")));
                }
                ("tool_result", _) => return Err(kind.broken(Rule::Other(" belongs in a message of the user"))),
                (word, _) if is_of_server(word) => {
                    blocks.push(Block::Native { family: Family::Anthropic, raw: node.value().clone() });
                }
                _ => self.shown(&node, &mut blocks)?,
            }
        }
        Ok(blocks)
    }

    /// What users and tools can both show: texts and media.
    fn shown(&mut self, node: &Node<'_>, out: &mut Vec<Block>) -> Result<(), BodyError> {
        let kind = node.need("type")?;
        match kind.text()? {
            "text" => out.push(text(node)?),
            "image" => out.push(image(node)?),
            "document" => self.document(node, out)?,
            "search_result" => search_result(node, out)?,
            _ => return Err(kind.broken(Rule::Word(KINDS))),
        }
        Ok(())
    }

    fn thinking(&self, node: &Node<'_>) -> Result<Block, BodyError> {
        let text = node.need("thinking")?.text()?.to_owned();
        let wire = node.get("signature").map(|it| it.text()).transpose()?.unwrap_or_default();
        let signature = self.sealer.read(wire, Family::Anthropic).filter(|signature| !signature.value.is_empty());
        Ok(Block::Thinking { text, signature })
    }

    fn result(&mut self, node: &Node<'_>) -> Result<Block, BodyError> {
        let id = node.need("tool_use_id")?.text()?.to_owned();
        let mut content = Vec::new();
        if let Some(shown) = node.get("content") {
            match shown.value().as_str() {
                Some(text) => content.push(Block::text(text)),
                None => {
                    for node in items(&shown)? {
                        match node.need("type")?.text()? {
                            "tool_reference" => {
                                content.push(Block::Native { family: Family::Anthropic, raw: node.value().clone() });
                            }
                            _ => self.shown(&node, &mut content)?,
                        }
                    }
                }
            }
        }
        let is_error = node.get("is_error").map(|it| it.boolean()).transpose()?.unwrap_or(false);
        Ok(Block::ToolResult { id, name: None, content, is_error, cache: cache(node)? })
    }

    fn document(&mut self, node: &Node<'_>, out: &mut Vec<Block>) -> Result<(), BodyError> {
        if node.get("context").is_some() {
            self.advice.insert("document.context");
        }
        if node.get("citations").is_some_and(|it| it.value().get("enabled") == Some(&Value::Bool(true))) {
            self.advice.insert("document.citations");
        }
        let title = node.get("title").map(|it| it.text().map(str::to_owned)).transpose()?;
        let kinds = [
            ("base64", From::Base64),
            ("url", From::Url),
            ("file", From::File),
            ("text", From::Text),
            ("content", From::Content),
        ];
        let source = node.need("source")?;
        source.object()?;
        let from = source.need("type")?.word(&kinds, "base64, url, file, text, content")?;
        if matches!(from, From::Content) {
            return parts(&source, title, out);
        }
        let source = read_source(&source, from)?;
        out.push(Block::Media { kind: MediaKind::Document, source, detail: None, title, cache: cache(node)? });
        Ok(())
    }
}

fn items<'n>(content: &'n Node<'_>) -> Result<impl Iterator<Item = Node<'n>>, BodyError> {
    if content.value().is_array() { content.items() } else { Err(content.wrong("a string or an array")) }
}

/// A document that comes in parts is these parts, with its title before them.
fn parts(source: &Node<'_>, title: Option<String>, out: &mut Vec<Block>) -> Result<(), BodyError> {
    out.extend(title.map(Block::text));
    let content = source.need("content")?;
    if let Some(text) = content.value().as_str() {
        out.push(Block::text(text));
        return Ok(());
    }
    for part in items(&content)? {
        match part.need("type")?.text()? {
            "text" => out.push(text(&part)?),
            "image" => out.push(image(&part)?),
            _ => return Err(part.need("type")?.broken(Rule::Word("text, image"))),
        }
    }
    Ok(())
}

fn text(node: &Node<'_>) -> Result<Block, BodyError> {
    let text = node.need("text")?.text()?.to_owned();
    let cited = node.value().get("citations").and_then(Value::as_array);
    let citations = cited.into_iter().flatten().filter_map(|it| citation::read(it, text.chars().count())).collect();
    Ok(Block::Text { text, cache: cache(node)?, citations, signature: None })
}

fn image(node: &Node<'_>) -> Result<Block, BodyError> {
    let source = node.need("source")?;
    source.object()?;
    let kinds = [("base64", From::Base64), ("url", From::Url), ("file", From::File)];
    let from = source.need("type")?.word(&kinds, "base64, url, file")?;
    let source = read_source(&source, from)?;
    Ok(Block::Media { kind: MediaKind::Image, source, detail: None, title: None, cache: cache(node)? })
}

fn read_source(source: &Node<'_>, from: From) -> Result<Source, BodyError> {
    Ok(match from {
        From::Base64 => {
            let mime = source.need("media_type")?.text()?.to_owned();
            let data = source.need("data")?;
            let data = media::decode(data.text()?).ok_or_else(|| data.broken(Rule::Other(" holds no base64")))?;
            Source::Inline { mime, data }
        }
        From::Url => Source::Url { url: source.need("url")?.text()?.to_owned(), mime: None },
        From::File => Source::File { family: Family::Anthropic, id: source.need("file_id")?.text()?.to_owned() },
        From::Text | From::Content => Source::Text(source.need("data")?.text()?.to_owned()),
    })
}

/// A result of the caller's own search: its title and address, then its texts.
fn search_result(node: &Node<'_>, out: &mut Vec<Block>) -> Result<(), BodyError> {
    let (title, source) = (node.need("title")?.text()?, node.need("source")?.text()?);
    out.push(Block::text(format!("{title}\n{source}")));
    for part in node.need("content")?.items()? {
        part.need("type")?.word(&[("text", ())], "text")?;
        out.push(text(&part)?);
    }
    Ok(())
}

fn call(node: &Node<'_>) -> Result<Block, BodyError> {
    let id = node.need("id")?.text()?.to_owned();
    let name = node.need("name")?.text()?.to_owned();
    let input = node.get("input").map(|it| it.object().cloned()).transpose()?.unwrap_or_else(Map::new);
    Ok(Block::ToolCall { id, name, arguments: Arguments::Object(input), signature: None, cache: cache(node)? })
}

/// State comes back: that of the block before it to where it belongs, anything else as reasoning of its own.
fn add_state(signature: Signature, blocks: &mut Vec<Block>) {
    if signature.item.as_deref() != Some(OF_BLOCK_BEFORE) {
        blocks.push(Block::Redacted { signature });
    } else if let Some(Block::Text { signature: place, .. } | Block::ToolCall { signature: place, .. }) = blocks.last_mut() {
        *place = Some(Signature { item: None, ..signature });
    }
}

/// Blocks of tools that run at the provider: `server_tool_use`, `web_search_tool_result`, `mcp_tool_use`, …
fn is_of_server(kind: &str) -> bool {
    kind.ends_with("_tool_use") || kind.ends_with("_tool_result") || matches!(kind, "container_upload" | "compaction")
}

/// The mark of the prompt cache on something.
pub(super) fn cache(node: &Node<'_>) -> Result<Option<CacheMark>, BodyError> {
    let Some(control) = node.get("cache_control") else { return Ok(None) };
    control.object()?;
    control.need("type")?.word(&[("ephemeral", ())], "ephemeral")?;
    let words = [("5m", CacheMark::FiveMinutes), ("1h", CacheMark::OneHour)];
    let ttl = control.get("ttl").map(|it| it.word(&words, "5m, 1h")).transpose()?;
    Ok(Some(ttl.unwrap_or(CacheMark::FiveMinutes)))
}
