//! What was generated, of an answer or stream that was read as a whole: text for estimates, ends, and whether there is any.

use crate::ir::{Arguments, Block, BlockStart, Event, Finish, Response};
use crate::openai::{self, OutputCounts};

/// Shows every generated text of a whole answer, piece by piece.
pub(super) fn visit(response: &Response, text: &mut dyn FnMut(&str)) -> OutputCounts {
    let mut counts = OutputCounts::default();
    for block in response.choices.iter().flat_map(|choice| &choice.blocks) {
        match block {
            Block::Text { text: said, .. } | Block::Thinking { text: said, .. } | Block::Refusal { text: said } => text(said),
            Block::ToolCall { name, arguments, .. } => {
                counts.tool_calls = counts.tool_calls.saturating_add(1);
                text(name);
                arguments_of(arguments, text);
            }
            _ => {}
        }
    }
    counts
}

fn arguments_of(arguments: &Arguments, text: &mut dyn FnMut(&str)) {
    match arguments {
        Arguments::Object(object) => text(&serde_json::to_string(object).unwrap_or_default()),
        Arguments::Raw(raw) => text(raw),
    }
}

/// Whether a whole answer holds anything a caller can use.
pub(super) fn is_useful(response: &Response) -> bool {
    response.choices.iter().flat_map(|choice| &choice.blocks).any(|block| match block {
        Block::Text { text, .. } => !text.is_empty(),
        _ => true,
    })
}

/// Shows the generated text of an event, counts its calls, and says whether it is something a caller can use.
pub(super) fn hear(event: &Event, counts: &mut OutputCounts, text: &mut dyn FnMut(&str)) -> bool {
    match event {
        Event::Text { text: said, .. } | Event::Thinking { text: said, .. } | Event::Refusal { text: said, .. } => text(said),
        Event::Arguments { json, .. } => text(json),
        Event::BlockStart { start: BlockStart::ToolCall { name, whole, .. }, .. } => {
            counts.tool_calls = counts.tool_calls.saturating_add(1);
            text(name);
            if let Some(whole) = whole {
                arguments_of(whole, text);
            }
        }
        Event::BlockStart { start: BlockStart::Redacted(_) | BlockStart::Media(_), .. } => {}
        _ => return false,
    }
    true
}

/// Why an answer ended, in the words that all answers are judged by.
pub(super) fn finish(finish: &Finish) -> openai::Finish {
    match finish {
        Finish::Stop | Finish::StopSequence => openai::Finish::Stop,
        Finish::Tool => openai::Finish::ToolCalls,
        Finish::Length | Finish::ContextFull => openai::Finish::Length,
        Finish::Filter { .. } | Finish::Refusal => openai::Finish::ContentFilter,
        Finish::Pause | Finish::MalformedCall | Finish::Other(_) => openai::Finish::Other,
    }
}
