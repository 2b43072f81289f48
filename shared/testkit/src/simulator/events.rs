//! The events of a streamed answer, each made when it is sent, in one of the dialects.

use super::refusal::Refusal;
use super::usage::UsageFigures;
use super::{gemini, messages, openai, responses};

/// One event of a stream.
pub(super) struct Event {
    pub(super) bytes: Vec<u8>,
    /// Tokens of all choices sent when this event has been.
    pub(super) tokens: i64,
    pub(super) carries_usage: bool,
}

impl Event {
    pub(super) fn plain(text: String, tokens: i64) -> Self {
        Self { bytes: text.into_bytes(), tokens, carries_usage: false }
    }
}

/// An error in the middle of a stream.
pub(super) struct Break {
    pub(super) bytes: Vec<u8>,
    pub(super) events: u64,
}

/// A stream in one of the dialects.
pub(super) enum Events {
    Openai(openai::Events),
    Responses(responses::Events),
    Messages(messages::Events),
    Gemini(gemini::Events),
}

impl Events {
    /// How many events there are.
    pub(super) fn total(&self) -> u64 {
        match self {
            Self::Openai(events) => events.total(),
            Self::Responses(events) => events.total(),
            Self::Messages(events) => events.total(),
            Self::Gemini(events) => events.total(),
        }
    }

    /// The figures the stream reports, when it does.
    pub(super) fn usage(&self) -> Option<UsageFigures> {
        match self {
            Self::Openai(events) => events.usage(),
            Self::Responses(events) => events.usage(),
            Self::Messages(events) => events.usage(),
            Self::Gemini(events) => events.usage(),
        }
    }

    pub(super) fn get(&self, place: u64) -> Option<Event> {
        match self {
            Self::Openai(events) => events.get(place),
            Self::Responses(events) => events.get(place),
            Self::Messages(events) => events.get(place),
            Self::Gemini(events) => events.get(place),
        }
    }

    /// The first place at which [`Events::with_filler`] may stand.
    pub(super) fn filler_from(&self) -> u64 {
        match self {
            Self::Openai(_) => 0,
            Self::Responses(events) => events.filler_from(),
            Self::Messages(events) => events.filler_from(),
            Self::Gemini(_) => 1,
        }
    }

    /// An event whose text is the mark of filler, to stand before the one at this place.
    pub(super) fn with_filler(&self, place: u64) -> String {
        match self {
            Self::Openai(events) => events.with_filler(),
            Self::Responses(events) => events.with_filler(place),
            Self::Messages(events) => events.with_filler(),
            Self::Gemini(events) => events.with_filler(place),
        }
    }

    /// What a stream that fails at this place says instead of going on.
    pub(super) fn broken_by(&self, refusal: &Refusal, place: u64) -> Break {
        match self {
            Self::Openai(_) => Break { bytes: openai::error_event(refusal).into_bytes(), events: 1 },
            Self::Responses(events) => events.broken_by(refusal, place),
            Self::Messages(events) => Break { bytes: events.error_event(refusal).into_bytes(), events: 1 },
            Self::Gemini(events) => Break { bytes: events.error_event(refusal, place).into_bytes(), events: 1 },
        }
    }

    /// An event cut in the middle of its JSON.
    pub(super) fn malformed(&self, place: u64) -> Vec<u8> {
        match self {
            Self::Openai(_) => openai::MALFORMED_EVENT.to_vec(),
            Self::Responses(_) => responses::MALFORMED_EVENT.to_vec(),
            Self::Messages(_) => messages::MALFORMED_EVENT.to_vec(),
            Self::Gemini(events) => events.malformed(place),
        }
    }
}
