//! One pass over a chunk of a stream or a whole answer: what it says, and which of its texts were generated.
//!
//! Generated text is content, reasoning, refusals, tool names and arguments. Values of an unexpected kind are skipped, so a provider's
//! additions never stop a stream.

use std::fmt;

use serde::Deserialize;
use serde::de::{DeserializeSeed, Deserializer, Error as _, IgnoredAny, MapAccess, SeqAccess, Visitor};
use serde_json::value::RawValue;

/// Tool calls of one answer that are told apart; later ones are not counted.
const MAX_CALLS: usize = 256;

/// Why an answer ended, as the provider says.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Finish {
    /// By itself.
    Stop,
    /// At the output limit.
    Length,
    /// To call tools.
    ToolCalls,
    /// The provider's filter cut it.
    ContentFilter,
    /// For another reason.
    Other,
}

/// What an output holds beside its text.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct OutputCounts {
    /// Tool calls begun.
    pub tool_calls: u32,
}

/// What one pass found. Raw values borrow from the text that was read.
#[derive(Default)]
pub(super) struct Found<'de> {
    pub(super) id: Option<&'de RawValue>,
    pub(super) created: Option<&'de RawValue>,
    pub(super) model: Option<&'de RawValue>,
    pub(super) usage: Option<&'de RawValue>,
    /// Moonshot puts usage into the choice.
    pub(super) choice_usage: Option<&'de RawValue>,
    pub(super) error: Option<&'de RawValue>,
    /// Entries of `choices`.
    pub(super) choices: u32,
    /// Entries of `data` (embeddings, some rerankers), `results` (reranking, moderations) and `output` (compaction).
    pub(super) items: u32,
    /// Bit n: choice n appeared, or ended.
    pub(super) started: u128,
    pub(super) finished: u128,
    pub(super) finish: Option<Finish>,
    /// Any text, call or media.
    pub(super) has_output: bool,
    /// Line and column of what follows the JSON value.
    pub(super) more_at: Option<(usize, usize)>,
}

/// The tool calls seen so far, by choice and index: fragments of one call count once.
#[derive(Debug, Clone, Default)]
pub(super) struct Calls {
    seen: Vec<(u32, u64)>,
}

impl Calls {
    pub(super) fn counts(&self) -> OutputCounts {
        OutputCounts { tool_calls: u32::try_from(self.seen.len()).unwrap_or(u32::MAX) }
    }

    fn note(&mut self, choice: u32, index: u64) {
        let call = (choice, index);
        if self.seen.len() < MAX_CALLS && !self.seen.iter().rev().any(|seen| *seen == call) {
            self.seen.push(call);
        }
    }
}

/// Reads one JSON text, mended. Generated text goes to `text`, piece by piece.
pub(super) fn read<'de>(json: &'de str, calls: &mut Calls, text: &mut dyn FnMut(&str)) -> Result<Found<'de>, serde_json::Error> {
    let mut parser = serde_json::Deserializer::from_str(json);
    let mut sink = Sink { found: Found::default(), text, calls, choice: 0, call: 0 };
    Walk { place: Place::Top, sink: &mut sink }.deserialize(&mut parser)?;
    sink.found.more_at = parser.end().err().map(|error| (error.line(), error.column()));
    Ok(sink.found)
}

struct Sink<'f, 'de> {
    found: Found<'de>,
    text: &'f mut dyn FnMut(&str),
    calls: &'f mut Calls,
    /// The choice and the call being read.
    choice: u32,
    call: u64,
}

/// Where in an answer a value stands.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Place {
    Top,
    Choices,
    Choice,
    ChoiceIndex,
    Finish,
    Delta,
    Content,
    Part,
    Media,
    Calls,
    Call,
    CallIndex,
    Function,
    Text,
    Data,
    Ignored,
}

#[derive(Clone, Copy, Deserialize)]
#[serde(field_identifier, rename_all = "snake_case")]
enum Key {
    Id,
    Created,
    Model,
    Usage,
    Error,
    Choices,
    #[serde(alias = "results", alias = "output")]
    Data,
    Index,
    #[serde(alias = "message")]
    Delta,
    Text,
    FinishReason,
    Content,
    ReasoningContent,
    Reasoning,
    Refusal,
    ToolCalls,
    FunctionCall,
    #[serde(alias = "custom")]
    Function,
    Name,
    #[serde(alias = "input")]
    Arguments,
    Audio,
    Images,
    ImageUrl,
    Transcript,
    Thinking,
    #[serde(other)]
    Other,
}

struct Walk<'s, 'f, 'de> {
    place: Place,
    sink: &'s mut Sink<'f, 'de>,
}

impl<'de> Walk<'_, '_, 'de> {
    fn enter(&mut self, key: Key) -> Place {
        match (self.place, key) {
            (Place::Top, Key::Choices) => Place::Choices,
            (Place::Top, Key::Data) => Place::Data,
            (Place::Choice, Key::Index) => Place::ChoiceIndex,
            (Place::Choice, Key::Delta) => Place::Delta,
            (Place::Choice, Key::FinishReason) => Place::Finish,
            (Place::Delta, Key::Content) | (Place::Part, Key::Thinking) => Place::Content,
            (Place::Delta, Key::ToolCalls) => Place::Calls,
            (Place::Delta, Key::FunctionCall) | (Place::Call, Key::Function) => Place::Function,
            (Place::Delta, Key::Audio | Key::Images) | (Place::Part, Key::ImageUrl | Key::Audio) => Place::Media,
            (Place::Call, Key::Index) => Place::CallIndex,
            (Place::Choice, Key::Text)
            | (Place::Delta, Key::Refusal)
            | (Place::Part, Key::Text | Key::Refusal)
            | (Place::Media, Key::Transcript)
            | (Place::Function, Key::Name | Key::Arguments) => Place::Text,
            _ => Place::Ignored,
        }
    }

    /// Where a value that is kept raw belongs.
    fn raw_slot(&mut self, key: Key) -> Option<&mut Option<&'de RawValue>> {
        let found = &mut self.sink.found;
        match (self.place, key) {
            (Place::Top, Key::Id) => Some(&mut found.id),
            (Place::Top, Key::Created) => Some(&mut found.created),
            (Place::Top, Key::Model) => Some(&mut found.model),
            (Place::Top, Key::Usage) => Some(&mut found.usage),
            (Place::Top, Key::Error) => Some(&mut found.error),
            (Place::Choice, Key::Usage) => Some(&mut found.choice_usage),
            _ => None,
        }
    }

    fn text(&mut self, text: &str) {
        if !text.is_empty() {
            self.sink.found.has_output = true;
            (self.sink.text)(text);
        }
    }
}

impl<'de> DeserializeSeed<'de> for Walk<'_, '_, 'de> {
    type Value = ();

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<(), D::Error> {
        match self.place {
            Place::Ignored => IgnoredAny::deserialize(deserializer).map(|_| ()),
            _ => deserializer.deserialize_any(self),
        }
    }
}

impl<'de> Visitor<'de> for Walk<'_, '_, 'de> {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a part of an answer")
    }

    fn visit_str<E>(mut self, text: &str) -> Result<(), E> {
        match self.place {
            Place::Text | Place::Content | Place::Part => self.text(text),
            Place::Finish => self.sink.found.finish = finish(text),
            _ => {}
        }
        Ok(())
    }

    fn visit_u64<E>(self, number: u64) -> Result<(), E> {
        match self.place {
            Place::ChoiceIndex => self.sink.choice = u32::try_from(number).unwrap_or(u32::MAX),
            Place::CallIndex => self.sink.call = number,
            _ => {}
        }
        Ok(())
    }

    fn visit_i64<E>(self, _: i64) -> Result<(), E> {
        Ok(())
    }

    fn visit_f64<E>(self, _: f64) -> Result<(), E> {
        Ok(())
    }

    fn visit_bool<E>(self, _: bool) -> Result<(), E> {
        Ok(())
    }

    fn visit_unit<E>(self) -> Result<(), E> {
        Ok(())
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut seq: A) -> Result<(), A::Error> {
        let place = match self.place {
            Place::Choices => Place::Choice,
            Place::Content => Place::Part,
            Place::Calls => Place::Call,
            _ => Place::Ignored,
        };
        let mut position = 0_u32;
        loop {
            match place {
                Place::Choice => self.sink.choice = position,
                Place::Call => self.sink.call = u64::from(position),
                _ => {}
            }
            if seq.next_element_seed(Walk { place, sink: &mut *self.sink })?.is_none() {
                break;
            }
            position = position.saturating_add(1);
        }
        match self.place {
            Place::Choices => self.sink.found.choices += position,
            Place::Data => self.sink.found.items += position,
            Place::Media => self.sink.found.has_output |= position > 0,
            _ => {}
        }
        Ok(())
    }

    fn visit_map<A: MapAccess<'de>>(mut self, mut map: A) -> Result<(), A::Error> {
        if self.place == Place::Content {
            self.place = Place::Part;
        }
        if self.place == Place::Media {
            self.sink.found.has_output = true;
        }
        // Some providers send the same reasoning under both names.
        let mut reasoning = [None::<&'de RawValue>; 2];
        let finish_before = self.sink.found.finish.take();
        while let Some(key) = map.next_key::<Key>()? {
            match (self.place, key) {
                (Place::Delta, Key::ReasoningContent) => reasoning[0] = map.next_value()?,
                (Place::Delta, Key::Reasoning) => reasoning[1] = map.next_value()?,
                _ => {
                    if let Some(slot) = self.raw_slot(key) {
                        *slot = map.next_value()?;
                    } else {
                        let place = self.enter(key);
                        map.next_value_seed(Walk { place, sink: &mut *self.sink })?;
                    }
                }
            }
        }
        if let Some(raw) = reasoning.into_iter().flatten().find(|raw| raw.get() != "\"\"") {
            let text = Walk { place: Place::Text, sink: &mut *self.sink };
            text.deserialize(&mut serde_json::Deserializer::from_str(raw.get())).map_err(A::Error::custom)?;
        }
        self.leave(finish_before);
        Ok(())
    }
}

impl Walk<'_, '_, '_> {
    fn leave(self, finish_before: Option<Finish>) {
        let sink = self.sink;
        match self.place {
            Place::Choice => {
                let bit = 1_u128 << sink.choice.min(u128::BITS - 1);
                sink.found.started |= bit;
                if sink.found.finish.is_some() {
                    sink.found.finished |= bit;
                }
            }
            Place::Call => {
                sink.found.has_output = true;
                sink.calls.note(sink.choice, sink.call);
            }
            _ => {}
        }
        sink.found.finish = sink.found.finish.or(finish_before);
    }
}

fn finish(reason: &str) -> Option<Finish> {
    match reason {
        "" => None,
        "stop" => Some(Finish::Stop),
        "length" => Some(Finish::Length),
        "tool_calls" | "function_call" => Some(Finish::ToolCalls),
        "content_filter" => Some(Finish::ContentFilter),
        _ => Some(Finish::Other),
    }
}
