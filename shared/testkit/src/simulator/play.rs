//! Plays an answer onto a connection: paced, cut up, and broken where the scenario says so.

use std::fmt;
use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use futures_util::{Stream, stream};
use http_body_util::{Either, Full, StreamBody};
use hyper::body::Frame;

use super::events::Events;
use super::log::{Ending, Ticket};
use super::refusal::{House, Refusal};
use super::scenario::{Fault, Scenario};
use super::socket::Line;
use super::stamp::FILLER_MARK;
use super::usage::UsageFigures;

/// Ends a connection in the middle of an answer.
#[derive(Debug)]
pub(super) struct Severed;

impl fmt::Display for Severed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("the scenario cuts the connection here")
    }
}

impl std::error::Error for Severed {}

type Pieces = Pin<Box<dyn Stream<Item = Result<Frame<Bytes>, Severed>> + Send>>;

/// The body of any answer.
pub(super) type Body = Either<Full<Bytes>, StreamBody<Pieces>>;

/// A hanging answer is given up after 15 minutes, so that a forgotten client cannot hold a connection for ever.
pub(super) const HANG_LIMIT: Duration = Duration::from_mins(15);

/// Oversized answers are this long unless the scenario says otherwise: above the 64 MB a line may have.
const OVERSIZED_BYTES: u64 = 80 << 20;
const FILLER_PIECE: &[u8; 65_536] = &[b'x'; 65_536];

/// What there is to play.
pub(super) enum Piece {
    /// The events of a stream, and whose they are.
    Events(Box<Events>, House),
    /// One document, sent in two halves.
    Document(Document),
}

/// A plain answer and what the log shall say once it is sent.
pub(super) struct Document {
    pub(super) bytes: Bytes,
    pub(super) tokens: i64,
    pub(super) usage: Option<UsageFigures>,
}

/// Plays one answer. Owns its account: dropped before the end, the caller went away.
pub(super) struct Player {
    piece: Piece,
    scenario: Scenario,
    /// Events, or halves of the document, played so far.
    played: u64,
    /// Bytes made and not yet sent, when they go out in smaller pieces.
    rest: Bytes,
    filler: Option<Filler>,
    over: bool,
    ticket: Ticket,
    line: Arc<Line>,
}

struct Filler {
    left: u64,
    tail: Bytes,
}

impl Player {
    pub(super) fn new(piece: Piece, scenario: Scenario, ticket: Ticket, line: Arc<Line>) -> Self {
        Self { piece, scenario, played: 0, rest: Bytes::new(), filler: None, over: false, ticket, line }
    }

    pub(super) fn into_body(self) -> Body {
        let pieces = stream::unfold(self, |mut player| async move {
            let item = player.next().await?;
            Some((item.map(Frame::data), player))
        });
        Either::Right(StreamBody::new(Box::pin(pieces)))
    }

    async fn next(&mut self) -> Option<Result<Bytes, Severed>> {
        if !self.rest.is_empty() {
            return Some(Ok(self.send_rest().await));
        }
        if self.filler.is_some() {
            return Some(Ok(self.pour()));
        }
        if self.over {
            return None;
        }
        if self.fault_is_due() {
            if let Some(end) = self.fail().await {
                return end;
            }
        } else if !self.make_next().await {
            return None;
        }
        Some(Ok(self.send_rest().await))
    }

    fn total(&self) -> u64 {
        match &self.piece {
            Piece::Events(events, _) => events.total(),
            Piece::Document(_) => 2,
        }
    }

    fn fault_is_due(&self) -> bool {
        let breaks = matches!(
            self.scenario.fault,
            Fault::Reset | Fault::Truncate | Fault::Close | Fault::Hang | Fault::ErrorEvent | Fault::Malformed | Fault::Oversized
        );
        let place = match &self.piece {
            Piece::Events(events, _) if self.scenario.fault == Fault::Oversized => {
                u64::from(self.scenario.after).max(events.filler_from())
            }
            Piece::Events(..) => u64::from(self.scenario.after),
            Piece::Document(_) => u64::from(self.scenario.fault != Fault::Oversized),
        };
        breaks && self.played == place.min(self.total() - 1)
    }

    /// Does what the scenario breaks. `None` when the answer goes on with what is in `rest`.
    async fn fail(&mut self) -> Option<Option<Result<Bytes, Severed>>> {
        match self.scenario.fault {
            Fault::Close if matches!(self.piece, Piece::Events(..)) => {
                self.end(Ending::Cut);
                return Some(None);
            }
            Fault::Hang => {
                tokio::time::sleep(HANG_LIMIT).await;
                return Some(Some(Err(self.sever())));
            }
            Fault::Reset => {
                // One turn of the loop, so that what was sent before leaves first.
                tokio::task::yield_now().await;
                self.line.reset_on_drop();
                return Some(Some(Err(self.sever())));
            }
            Fault::ErrorEvent => {
                self.break_stream();
                self.over = true;
            }
            Fault::Malformed => {
                if let Piece::Events(events, _) = &self.piece {
                    self.rest = events.malformed(self.played).into();
                    self.ticket.note(|entry| entry.events += 1);
                }
                self.scenario.fault = Fault::None;
            }
            Fault::Oversized => self.open_filler(),
            _ => {
                tokio::task::yield_now().await;
                return Some(Some(Err(self.sever())));
            }
        }
        None
    }

    /// Says what a stream of its kind says when it fails.
    fn break_stream(&mut self) {
        let Piece::Events(events, house) = &self.piece else { return };
        let error = Refusal::of_scenario(self.scenario.status.unwrap_or(500), &self.scenario, *house);
        let end = events.broken_by(&error, self.played);
        self.rest = end.bytes.into();
        self.ticket.note(|entry| entry.events += end.events);
    }

    fn sever(&mut self) -> Severed {
        self.end(Ending::Cut);
        Severed
    }

    fn end(&mut self, ending: Ending) {
        self.over = true;
        self.ticket.close(ending);
    }

    fn open_filler(&mut self) {
        let text = match &self.piece {
            Piece::Events(events, _) => events.with_filler(self.played),
            Piece::Document(document) => String::from_utf8_lossy(&document.bytes).into_owned(),
        };
        if let Some((head, tail)) = text.split_once(FILLER_MARK) {
            self.rest = Bytes::copy_from_slice(head.as_bytes());
            let left = oversized_bytes(&self.scenario);
            self.filler = Some(Filler { left, tail: Bytes::copy_from_slice(tail.as_bytes()) });
        }
        self.scenario.fault = Fault::None;
        match &self.piece {
            Piece::Events(..) => self.ticket.note(|entry| entry.events += 1),
            Piece::Document(_) => self.finish_document(),
        }
    }

    /// The document's last bytes are about to go.
    fn finish_document(&mut self) {
        let Piece::Document(document) = &self.piece else { return };
        let (tokens, usage) = (document.tokens, document.usage);
        self.ticket.note(|entry| {
            entry.sent_tokens = tokens;
            entry.usage = usage;
        });
        self.over = true;
    }

    fn pour(&mut self) -> Bytes {
        let Some(filler) = &mut self.filler else { return Bytes::new() };
        let size = filler.left.min(FILLER_PIECE.len() as u64);
        filler.left -= size;
        let bytes = Bytes::from_static(&FILLER_PIECE[..usize::try_from(size).unwrap_or(0)]);
        if filler.left == 0 {
            self.rest = std::mem::take(&mut filler.tail);
            self.filler = None;
        }
        self.account(bytes.len(), false);
        bytes
    }

    /// Puts the next event or half into `rest`, after its pause. `false` when there is none.
    async fn make_next(&mut self) -> bool {
        let pause = if self.played == 0 { self.scenario.first_token_delay_ms } else { self.pause_between_events() };
        sleep_ms(pause).await;
        let place = self.played;
        self.played += 1;
        let last = self.total() - u64::from(self.scenario.fault == Fault::NoDone);
        match &self.piece {
            Piece::Events(events, _) => {
                let Some(event) = events.get(place) else {
                    self.end(Ending::Completed);
                    return false;
                };
                let usage = events.usage().filter(|_| event.carries_usage);
                self.ticket.note(|entry| {
                    entry.events += 1;
                    entry.sent_tokens = event.tokens;
                    entry.usage = usage.or(entry.usage);
                });
                self.rest = event.bytes.into();
                self.over = self.played == last;
            }
            Piece::Document(document) => {
                let half = document.bytes.len() / 2;
                if place == 0 {
                    self.rest = document.bytes.slice(..half);
                } else {
                    self.rest = document.bytes.slice(half..);
                    self.finish_document();
                }
            }
        }
        true
    }

    fn pause_between_events(&self) -> u64 {
        if self.scenario.write_bytes.is_some() { 0 } else { self.scenario.delay_ms }
    }

    /// Sends what is made, or the next piece of it, and closes the account with the last one.
    async fn send_rest(&mut self) -> Bytes {
        let size = match self.scenario.write_bytes {
            Some(size) => {
                sleep_ms(self.scenario.delay_ms).await;
                self.rest.len().min(size as usize)
            }
            None => self.rest.len(),
        };
        let bytes = self.rest.split_to(size);
        let is_last = self.over && self.rest.is_empty() && self.filler.is_none();
        self.account(bytes.len(), is_last);
        bytes
    }

    fn account(&mut self, bytes: usize, is_last: bool) {
        self.ticket.note(|entry| entry.bytes += bytes as u64);
        if is_last {
            self.ticket.close(Ending::Completed);
        }
    }
}

/// The length of the content of an oversized answer.
pub(super) fn oversized_bytes(scenario: &Scenario) -> u64 {
    scenario.bytes.unwrap_or(OVERSIZED_BYTES)
}

/// Sleeps for so many milliseconds; for none it does not even yield.
pub(super) async fn sleep_ms(millis: u64) {
    if millis > 0 {
        tokio::time::sleep(Duration::from_millis(millis)).await;
    }
}
