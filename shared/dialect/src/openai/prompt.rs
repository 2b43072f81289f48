//! Which texts of a request are prompt (billing.md §7): roles, names, text parts, calls made before, tool names, descriptions and
//! schemas. One pass, no copies except for strings with escapes; a value of an unexpected kind is skipped.

use std::fmt;

use serde::Deserialize;
use serde::de::{DeserializeSeed, Deserializer, IgnoredAny, MapAccess, SeqAccess, Visitor};
use serde_json::value::RawValue;

use super::Surface;
use crate::json::Document;

/// What is in a prompt beside text.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct PromptCounts {
    /// Entries of `messages`.
    pub messages: u32,
    /// Messages that name their author.
    pub names: u32,
    /// Declared tools and functions.
    pub tools: u32,
    /// Images, those of low detail included.
    pub images: u32,
    /// Images whose `detail` is `low`.
    pub low_detail_images: u32,
    /// Audio parts.
    pub audio: u32,
    /// Video parts.
    pub videos: u32,
    /// File parts.
    pub files: u32,
    /// Token ids given instead of text.
    pub token_ids: u32,
}

pub(super) fn visit(document: &Document, surface: Surface, text: &mut dyn FnMut(&str)) -> PromptCounts {
    let fields: &[(&str, Place)] = match surface {
        Surface::ChatCompletions => &[
            ("messages", Place::Messages),
            ("tools", Place::Tools),
            ("functions", Place::Tools),
            ("prefix", Place::Text),
            ("suffix", Place::Text),
        ],
        Surface::Completions => &[("prompt", Place::Input), ("suffix", Place::Text)],
        Surface::Embeddings | Surface::Moderations => &[("input", Place::Input)],
        Surface::Compact => &[("instructions", Place::Text), ("input", Place::Raw)],
        Surface::Rerank => &[("query", Place::Input), ("documents", Place::Input)],
    };
    let mut sink = Sink { counts: PromptCounts::default(), text };
    for (key, place) in fields {
        let Some(raw) = document.get(key) else { continue };
        let walk = Walk { place: *place, sink: &mut sink };
        let is_read = walk.deserialize(&mut serde_json::Deserializer::from_slice(raw)).is_ok();
        if !is_read {
            // A lone surrogate stops the decoder. Counting the raw text keeps the estimate from being too low.
            (sink.text)(&String::from_utf8_lossy(raw));
        }
    }
    sink.counts
}

struct Sink<'f> {
    counts: PromptCounts,
    text: &'f mut dyn FnMut(&str),
}

/// Where in a request a value stands.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Place {
    Messages,
    Message,
    Name,
    Content,
    Part,
    Image,
    Detail,
    Calls,
    Call,
    Function,
    Tools,
    Tool,
    Input,
    Text,
    /// Text as it is written: a schema.
    Raw,
    Ignored,
}

#[derive(Clone, Copy, Deserialize)]
#[serde(field_identifier, rename_all = "snake_case")]
enum Key {
    Role,
    Name,
    Content,
    Text,
    Refusal,
    ReasoningContent,
    ToolCalls,
    FunctionCall,
    Function,
    Custom,
    Arguments,
    Input,
    Description,
    Parameters,
    InputSchema,
    #[serde(alias = "image")]
    ImageUrl,
    #[serde(alias = "audio")]
    InputAudio,
    #[serde(alias = "video", alias = "input_video")]
    VideoUrl,
    #[serde(alias = "input_file", alias = "file_url")]
    File,
    Detail,
    #[serde(other)]
    Other,
}

struct Walk<'s, 'f> {
    place: Place,
    sink: &'s mut Sink<'f>,
}

impl Walk<'_, '_> {
    /// What stands under a key, counting what the key alone announces.
    fn enter(&mut self, key: Key) -> Place {
        let counts = &mut self.sink.counts;
        match (self.place, key) {
            (Place::Message, Key::Role | Key::Refusal | Key::ReasoningContent)
            | (Place::Part, Key::Text | Key::Refusal)
            | (Place::Function, Key::Name | Key::Arguments | Key::Input)
            | (Place::Tool, Key::Name | Key::Description) => Place::Text,
            (Place::Message, Key::Name) => Place::Name,
            (Place::Message, Key::Content) => Place::Content,
            (Place::Message, Key::ToolCalls) => Place::Calls,
            (Place::Message, Key::FunctionCall) | (Place::Call, Key::Function | Key::Custom) => Place::Function,
            (Place::Part, Key::ImageUrl) => {
                counts.images += 1;
                Place::Image
            }
            (Place::Image, Key::Detail) => Place::Detail,
            (Place::Part, Key::InputAudio) => {
                counts.audio += 1;
                Place::Ignored
            }
            (Place::Part, Key::VideoUrl) => {
                counts.videos += 1;
                Place::Ignored
            }
            (Place::Part, Key::File) => {
                counts.files += 1;
                Place::Ignored
            }
            (Place::Tool, Key::Function | Key::Custom) => Place::Tool,
            (Place::Tool, Key::Parameters | Key::InputSchema) => Place::Raw,
            _ => Place::Ignored,
        }
    }
}

impl<'de> DeserializeSeed<'de> for Walk<'_, '_> {
    type Value = ();

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<(), D::Error> {
        match self.place {
            Place::Ignored => IgnoredAny::deserialize(deserializer).map(|_| ()),
            Place::Raw => <&RawValue>::deserialize(deserializer).map(|raw| (self.sink.text)(raw.get())),
            _ => deserializer.deserialize_any(self),
        }
    }
}

impl<'de> Visitor<'de> for Walk<'_, '_> {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a part of a request")
    }

    fn visit_str<E>(self, text: &str) -> Result<(), E> {
        match self.place {
            Place::Text | Place::Content | Place::Part | Place::Input => (self.sink.text)(text),
            Place::Name => {
                self.sink.counts.names += 1;
                (self.sink.text)(text);
            }
            Place::Detail if text == "low" => self.sink.counts.low_detail_images += 1,
            _ => {}
        }
        Ok(())
    }

    fn visit_u64<E>(self, _: u64) -> Result<(), E> {
        if self.place == Place::Input {
            self.sink.counts.token_ids = self.sink.counts.token_ids.saturating_add(1);
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
            Place::Messages => Place::Message,
            Place::Content => Place::Part,
            Place::Calls => Place::Call,
            Place::Tools => Place::Tool,
            Place::Input => Place::Input,
            _ => Place::Ignored,
        };
        while seq.next_element_seed(Walk { place, sink: &mut *self.sink })?.is_some() {
            match self.place {
                Place::Messages => self.sink.counts.messages += 1,
                Place::Tools => self.sink.counts.tools += 1,
                _ => {}
            }
        }
        Ok(())
    }

    fn visit_map<A: MapAccess<'de>>(mut self, mut map: A) -> Result<(), A::Error> {
        if matches!(self.place, Place::Content | Place::Input) {
            self.place = Place::Part;
        }
        while let Some(key) = map.next_key::<Key>()? {
            let place = self.enter(key);
            map.next_value_seed(Walk { place, sink: &mut *self.sink })?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests;
