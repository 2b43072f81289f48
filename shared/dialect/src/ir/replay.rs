//! One answer as a stream: for callers that want one, of upstreams that give none.

use super::{Block, BlockStart, Choice, Event, Finish, Response, Signature, TokenLogprob};

/// The events of an answer, block by block. A choice whose provider said no reason has ended by itself, or for its calls.
///
/// Log probabilities come with the first text of their choice. Text without characters becomes the state it carries, or nothing; what a
/// stream has no events for (blocks of a caller's, the tier of service) is left out.
#[must_use]
pub fn replay(response: &Response) -> Vec<Event> {
    let mut events = vec![Event::Start { id: response.id.clone(), model: response.model.clone(), created: response.created }];
    for choice in &response.choices {
        let mut replayed = Replay { choice: choice.index, next_block: 0, logprobs: &choice.logprobs, events: &mut events };
        choice.blocks.iter().for_each(|block| replayed.block(block));
        events.push(ended(choice));
    }
    events.extend(response.usage.map(Event::Usage));
    events.push(Event::End);
    events
}

fn ended(choice: &Choice) -> Event {
    let has_calls = choice.blocks.iter().any(|block| matches!(block, Block::ToolCall { .. }));
    let finish = choice.finish.clone().unwrap_or(Finish::Stop.with_calls(has_calls));
    Event::Finish { choice: choice.index, finish, stop_sequence: choice.stop_sequence.clone() }
}

struct Replay<'a> {
    choice: u32,
    next_block: u32,
    /// Those that no text has taken yet.
    logprobs: &'a [TokenLogprob],
    events: &'a mut Vec<Event>,
}

impl Replay<'_> {
    fn block(&mut self, block: &Block) {
        match block {
            Block::Text { text, signature: Some(signature), .. } if text.is_empty() => {
                self.whole(BlockStart::Redacted(signature.clone()));
            }
            Block::Text { text, citations, signature, .. } if !text.is_empty() => {
                let logprobs = std::mem::take(&mut self.logprobs).to_vec();
                let (choice, block) = self.begin(BlockStart::Text);
                self.events.push(Event::Text { choice, block, text: text.clone(), logprobs });
                let cited = citations.iter().map(|citation| Event::Citation { choice, block, citation: citation.clone() });
                self.events.extend(cited);
                self.end(block, signature.as_ref());
            }
            Block::Thinking { text, signature } if !text.is_empty() || signature.is_some() => {
                let (choice, block) = self.begin(BlockStart::Thinking);
                if !text.is_empty() {
                    self.events.push(Event::Thinking { choice, block, text: text.clone() });
                }
                self.end(block, signature.as_ref());
            }
            Block::Refusal { text } if !text.is_empty() => {
                let (choice, block) = self.begin(BlockStart::Refusal);
                self.events.push(Event::Refusal { choice, block, text: text.clone() });
                self.end(block, None);
            }
            Block::Redacted { signature } => self.whole(BlockStart::Redacted(signature.clone())),
            Block::Media { .. } => self.whole(super::media(block.clone())),
            Block::ToolCall { id, name, arguments, signature, .. } => {
                let whole = Some(arguments.clone());
                let (_, block) = self.begin(BlockStart::ToolCall { id: id.clone(), name: name.clone(), whole });
                self.end(block, signature.as_ref());
            }
            Block::Text { .. }
            | Block::Thinking { .. }
            | Block::Refusal { .. }
            | Block::ToolResult { .. }
            | Block::Native { .. } => {}
        }
    }

    fn begin(&mut self, start: BlockStart) -> (u32, u32) {
        let place = (self.choice, self.next_block);
        self.next_block += 1;
        self.events.push(Event::BlockStart { choice: place.0, block: place.1, start });
        place
    }

    fn whole(&mut self, start: BlockStart) {
        let (_, block) = self.begin(start);
        self.end(block, None);
    }

    fn end(&mut self, block: u32, signature: Option<&Signature>) {
        let choice = self.choice;
        let signed = signature.map(|signature| Event::Signed { choice, block, signature: signature.clone() });
        self.events.extend(signed);
        self.events.push(Event::BlockStop { choice, block });
    }
}
