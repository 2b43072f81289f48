//! What an upstream gave that can be given to the caller.

use std::collections::VecDeque;

use bytes::Bytes;
use http::{HeaderMap, StatusCode};
use sluice_dialect::exchange;
use sluice_domain::ChannelId;

use super::Answerer;
use crate::budget::HeldBytes;
use crate::stream::{Drains, Reader, Step};

/// An answer that can be given to the caller.
#[derive(Debug)]
pub enum Good {
    /// All of it.
    Whole(Box<Whole>),
    /// Its beginning.
    Stream(Box<Opened>),
}

/// An answer in one piece.
#[derive(Debug)]
pub struct Whole {
    /// Its status.
    pub status: StatusCode,
    /// The headers the caller gets to see.
    pub headers: HeaderMap,
    /// The answer.
    pub answer: exchange::Answer,
    /// What of the request could not be sent to its upstream.
    pub dropped: Vec<&'static str>,
    /// Who answered.
    pub channel: ChannelId,
    pub(super) held: HeldBytes,
}

impl Whole {
    /// The answer as the upstream gave it.
    #[must_use]
    pub const fn answer(&self) -> &exchange::Answer {
        &self.answer
    }

    /// The body for the caller, and the memory it takes.
    pub fn into_body(self) -> (Bytes, HeldBytes) {
        (self.answer.into_body(), self.held)
    }
}

/// A stream whose first useful event is there.
#[derive(Debug)]
pub struct Opened {
    /// Reads on.
    pub reader: Reader,
    /// What the caller gets first.
    pub frames: VecDeque<Bytes>,
    /// How it ended, if it did while it was opened.
    pub end: Option<Step>,
    /// The headers the caller gets to see.
    pub headers: HeaderMap,
    /// What of the request could not be sent to its upstream.
    pub dropped: Vec<&'static str>,
    /// Who answered.
    pub channel: ChannelId,
    /// Whom its end speaks for or against.
    pub answerer: Answerer,
    /// Where it is read on without its caller, if its channel wants that.
    pub drains: Option<Drains>,
}
