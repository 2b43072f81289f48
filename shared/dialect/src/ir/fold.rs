//! A stream as one answer: for callers that want none, of upstreams that give nothing else.

use std::collections::BTreeMap;

use serde_json::{Map, Value};

use super::{Arguments, Block, BlockStart, Choice, Event, Response, Signature, Source, StreamError, TokenLogprob};

/// Why a stream became no answer.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum FoldError {
    /// It is longer than was allowed.
    #[error("the upstream's answer is too long")]
    TooLong,
    /// The upstream failed midway.
    #[error("the upstream failed in the middle of its answer")]
    Failed(StreamError),
    /// The events ended before the answer did.
    #[error("the upstream's answer broke off")]
    BrokeOff,
}

/// Gathers the events of one answer.
#[derive(Debug)]
pub struct Fold {
    response: Response,
    choices: BTreeMap<u32, Folding>,
    bytes_left: usize,
    has_ended: bool,
}

#[derive(Debug, Default)]
struct Folding {
    choice: Choice,
    /// Arguments that come in pieces, by the block they belong to.
    arguments: BTreeMap<u32, String>,
}

/// What an event takes beside its text, in bytes.
const EVENT_BYTES: usize = 64;

impl Fold {
    /// Nothing has come yet. Of what comes, so many bytes are taken: of text, arguments and media, and a little for each event.
    #[must_use]
    pub fn new(max_bytes: usize) -> Self {
        Self { response: Response::default(), choices: BTreeMap::new(), bytes_left: max_bytes, has_ended: false }
    }

    /// One more event, in the order that [`Event`] promises. What follows the end is left out.
    ///
    /// # Errors
    /// When the answer failed or is too long.
    pub fn push(&mut self, event: Event) -> Result<(), FoldError> {
        if self.has_ended {
            return Ok(());
        }
        self.bytes_left = self.bytes_left.checked_sub(size_bytes(&event)).ok_or(FoldError::TooLong)?;
        match event {
            Event::Start { id, model, created } => {
                self.response.id = id;
                self.response.model = model;
                self.response.created = created;
            }
            Event::BlockStart { choice, block, start } => self.choice(choice).begin(block, start),
            Event::Text { choice, block, text, logprobs } => {
                let folding = self.choice(choice);
                folding.choice.logprobs.extend(logprobs);
                folding.append(block, &text);
            }
            Event::Thinking { choice, block, text } | Event::Refusal { choice, block, text } => {
                self.choice(choice).append(block, &text);
            }
            Event::Arguments { choice, block, json } => {
                self.choice(choice).arguments.entry(block).or_default().push_str(&json);
            }
            Event::Signed { choice, block, signature } => self.choice(choice).sign(block, signature),
            Event::Citation { choice, block, citation } => {
                if let Some(Block::Text { citations, .. }) = self.choice(choice).block(block) {
                    citations.push(citation);
                }
            }
            Event::BlockStop { choice, block } => self.choice(choice).stop(block),
            Event::Finish { choice, finish, stop_sequence } => {
                let folded = &mut self.choice(choice).choice;
                folded.finish = Some(finish);
                folded.stop_sequence = stop_sequence;
            }
            Event::Usage(usage) => self.response.usage = Some(usage),
            Event::Error(error) => return Err(FoldError::Failed(error)),
            Event::End => self.has_ended = true,
        }
        Ok(())
    }

    /// The answer.
    ///
    /// # Errors
    /// When its end has not come.
    pub fn finish(mut self) -> Result<Response, FoldError> {
        if !self.has_ended {
            return Err(FoldError::BrokeOff);
        }
        self.response.choices = self.choices.into_values().map(|folding| folding.choice).collect();
        Ok(self.response)
    }

    fn choice(&mut self, index: u32) -> &mut Folding {
        let folding = self.choices.entry(index).or_default();
        folding.choice.index = index;
        folding
    }
}

impl Folding {
    fn begin(&mut self, block: u32, start: BlockStart) {
        let begun = match start {
            BlockStart::Text => Block::text(""),
            BlockStart::Thinking => Block::Thinking { text: String::new(), signature: None },
            BlockStart::Redacted(signature) => Block::Redacted { signature },
            BlockStart::Refusal => Block::Refusal { text: String::new() },
            BlockStart::Media(media) => *media,
            BlockStart::ToolCall { id, name, whole } => {
                let arguments = whole.unwrap_or_else(|| {
                    self.arguments.insert(block, String::new());
                    Arguments::Object(Map::new())
                });
                Block::ToolCall { id, name, arguments, signature: None, cache: None }
            }
        };
        self.choice.blocks.push(begun);
    }

    fn block(&mut self, block: u32) -> Option<&mut Block> {
        self.choice.blocks.get_mut(usize::try_from(block).ok()?)
    }

    fn append(&mut self, block: u32, piece: &str) {
        if let Some(Block::Text { text, .. } | Block::Thinking { text, .. } | Block::Refusal { text }) = self.block(block) {
            text.push_str(piece);
        }
    }

    fn sign(&mut self, block: u32, signed: Signature) {
        if let Some(Block::Text { signature, .. } | Block::Thinking { signature, .. } | Block::ToolCall { signature, .. }) =
            self.block(block)
        {
            *signature = Some(signed);
        }
    }

    fn stop(&mut self, block: u32) {
        let Some(json) = self.arguments.remove(&block) else { return };
        if let Some(Block::ToolCall { arguments, .. }) = self.block(block) {
            *arguments = read_arguments(json);
        }
    }
}

/// Arguments of a call as JSON text: nothing is no arguments, and what is no object stays as it was written.
fn read_arguments(json: String) -> Arguments {
    if json.trim().is_empty() {
        return Arguments::Object(Map::new());
    }
    let object = serde_json::from_str(&json).or_else(|_| serde_json::from_str(&crate::json::mended(json.as_bytes())));
    object.map_or(Arguments::Raw(json), Arguments::Object)
}

fn size_bytes(event: &Event) -> usize {
    let text = match event {
        Event::Start { id, model, .. } => id.len() + model.len(),
        Event::BlockStart { start, .. } => start_bytes(start),
        Event::Text { text, logprobs, .. } => text.len() + logprobs.iter().map(logprob_bytes).sum::<usize>(),
        Event::Thinking { text, .. } | Event::Refusal { text, .. } => text.len(),
        Event::Arguments { json, .. } => json.len(),
        Event::Signed { signature, .. } => signature.value.len(),
        Event::Citation { citation, .. } => value_bytes(citation),
        Event::Finish { stop_sequence, .. } => stop_sequence.as_ref().map_or(0, String::len),
        Event::BlockStop { .. } | Event::Usage(_) | Event::Error(_) | Event::End => return 0,
    };
    text.saturating_add(EVENT_BYTES)
}

fn start_bytes(start: &BlockStart) -> usize {
    match start {
        BlockStart::Text | BlockStart::Thinking | BlockStart::Refusal => 0,
        BlockStart::Redacted(signature) => signature.value.len(),
        BlockStart::ToolCall { id, name, whole } => {
            let arguments = match whole {
                Some(Arguments::Object(object)) => object.iter().map(|(name, value)| name.len() + value_bytes(value)).sum(),
                Some(Arguments::Raw(text)) => text.len(),
                None => 0,
            };
            id.len() + name.len() + arguments
        }
        BlockStart::Media(media) => match &**media {
            Block::Media { source: Source::Inline { data, .. }, .. } => data.len(),
            Block::Media { source: Source::Url { url, .. }, .. } => url.len(),
            Block::Media { source: Source::Text(text), .. } => text.len(),
            _ => 0,
        },
    }
}

fn logprob_bytes(logprob: &TokenLogprob) -> usize {
    EVENT_BYTES + logprob.token.len() + logprob.top.iter().map(|top| EVENT_BYTES + top.token.len()).sum::<usize>()
}

fn value_bytes(value: &Value) -> usize {
    let text = match value {
        Value::String(text) => text.len(),
        Value::Array(items) => items.iter().map(value_bytes).sum(),
        Value::Object(object) => object.iter().map(|(name, value)| name.len() + value_bytes(value)).sum(),
        _ => 0,
    };
    text + size_of::<Value>()
}

#[cfg(test)]
mod tests;
