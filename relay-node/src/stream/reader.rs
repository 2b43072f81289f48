//! Reads an upstream's event stream: bytes in, frames for the caller out, and what they say into the tally.

use std::future::poll_fn;
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use bytes::Bytes;
use futures_util::Stream;
use sluice_dialect::error::UpstreamError;
use sluice_dialect::openai::{StreamMeter, StreamSettings, Summary, Surface, Verdict};
use sluice_dialect::sse::{Frame, Splitter};
use sluice_domain::Usage;
use sluice_upstream::{Body, ReadError};

use crate::budget::{ByteBudget, HeldBytes};
use crate::meter::Tally;

/// Unfinished frames up to this size are not counted against the byte budget.
const FREE_BYTES: usize = 64 << 10;

/// What happened next in a stream.
#[derive(Debug)]
pub enum Step {
    /// The caller gets these bytes.
    Forward(Bytes),
    /// The terminal event: the caller gets these bytes, and nothing after them.
    Done(Bytes),
    /// The upstream reports an error.
    Error(Box<UpstreamError>),
    /// The upstream ended the stream.
    Ended,
    /// The upstream broke off or fell silent.
    Broken(ReadError),
    /// An event is too long, or there is no memory for it.
    TooLong,
}

/// One stream, being read.
#[derive(Debug)]
pub struct Reader {
    body: Body,
    /// `None` when the upstream has ended and everything was cut.
    splitter: Option<Splitter>,
    meter: StreamMeter,
    /// Bytes pushed into the splitter and not cut yet.
    pending_bytes: usize,
    budget: ByteBudget,
    held: Option<HeldBytes>,
}

impl Reader {
    /// A reader at the start of a stream.
    #[must_use]
    pub fn new(body: Body, surface: Surface, settings: &StreamSettings, max_frame_bytes: usize, budget: ByteBudget) -> Self {
        let splitter = Some(Splitter::new(max_frame_bytes));
        Self { body, splitter, meter: StreamMeter::new(surface, settings), pending_bytes: 0, budget, held: None }
    }

    /// Waits for the next step.
    pub async fn step(&mut self, tally: &mut Tally) -> Step {
        poll_fn(|cx| self.poll_step(cx, tally)).await
    }

    /// The next step, if it is there. After `Ended`, `Broken` or `TooLong` it stays `Ended`.
    pub fn poll_step(&mut self, cx: &mut Context<'_>, tally: &mut Tally) -> Poll<Step> {
        loop {
            let Some(splitter) = &mut self.splitter else { return Poll::Ready(Step::Ended) };
            match splitter.next_frame() {
                Err(_) => return Poll::Ready(self.give_up(Step::TooLong)),
                Ok(Some(frame)) => {
                    if let Some(step) = self.take(frame, tally) {
                        return Poll::Ready(step);
                    }
                }
                Ok(None) => match ready!(Pin::new(&mut self.body).poll_next(cx)) {
                    Some(Ok(chunk)) => {
                        tally.began = true;
                        self.pending_bytes += chunk.len();
                        splitter.push(chunk);
                        if !self.has_room() {
                            return Poll::Ready(self.give_up(Step::TooLong));
                        }
                    }
                    Some(Err(error)) => return Poll::Ready(self.give_up(Step::Broken(error))),
                    None => {
                        let rest = self.splitter.take().and_then(Splitter::finish);
                        if let Some(step) = rest.and_then(|frame| self.take(frame, tally)) {
                            return Poll::Ready(step);
                        }
                    }
                },
            }
        }
    }

    /// Reads on after the terminal event, so that the connection can be used again. Ready when the upstream ended.
    pub fn poll_trailing(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        while let Some(Ok(_)) = ready!(Pin::new(&mut self.body).poll_next(cx)) {}
        Poll::Ready(())
    }

    /// Whether anything came that a caller can use.
    #[must_use]
    pub fn saw_output(&self) -> bool {
        self.meter.saw_output()
    }

    /// What the stream was so far.
    #[must_use]
    pub fn summary(&self) -> Summary {
        self.meter.finish()
    }

    /// The usage frame for a caller who asked for one when the upstream sent none.
    #[must_use]
    pub fn usage_frame(&self, usage: &Usage) -> Bytes {
        self.meter.usage_frame(usage)
    }

    fn take(&mut self, frame: Frame, tally: &mut Tally) -> Option<Step> {
        self.pending_bytes = self.pending_bytes.saturating_sub(frame.bytes().len());
        if self.pending_bytes == 0 {
            self.held = None;
        }
        let verdict = self.meter.observe(&frame, &mut |text| tally.push(text));
        tally.reported = self.meter.usage();
        tally.counts = self.meter.counts();
        match verdict {
            Verdict::Forward => Some(Step::Forward(frame.into_bytes())),
            Verdict::Rewritten(bytes) => Some(Step::Forward(bytes)),
            Verdict::Withhold => None,
            Verdict::Done => Some(Step::Done(frame.into_bytes())),
            Verdict::Error(error) => Some(Step::Error(error)),
        }
    }

    /// Counts a long unfinished frame against the byte budget.
    fn has_room(&mut self) -> bool {
        if self.pending_bytes <= FREE_BYTES {
            return true;
        }
        match &mut self.held {
            Some(held) if held.bytes() >= self.pending_bytes => true,
            Some(held) => held.resize(&self.budget, self.pending_bytes * 2).is_ok(),
            None => {
                self.held = self.budget.hold(self.pending_bytes * 2).ok();
                self.held.is_some()
            }
        }
    }

    fn give_up(&mut self, step: Step) -> Step {
        self.splitter = None;
        step
    }
}
