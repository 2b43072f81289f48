//! Reads an upstream's event stream: bytes in, frames for the caller out, and what they say into the tally.

use std::collections::VecDeque;
use std::future::{Future, poll_fn};
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use bytes::Bytes;
use futures_util::Stream;
use secrecy::{ExposeSecret, SecretString};
use sluice_billing::Estimator;
use sluice_dialect::error::{ErrorBody, UpstreamError};
use sluice_dialect::exchange::StreamMeter;
use sluice_dialect::frames::{Framing, Splitter};
use sluice_dialect::openai::{Summary, Verdict};
use sluice_dialect::sse::Frame;
use sluice_domain::Usage;
use sluice_providers::event_stream::Transcriber;
use sluice_providers::{self as providers, Amended, Amender};
use sluice_upstream::{Body, ReadError};
use tokio::task::JoinHandle;

use crate::budget::{ByteBudget, HeldBytes};
use crate::forward::Halting;
use crate::meter::Tally;

/// Unfinished frames up to this size are not counted against the byte budget.
const FREE_BYTES: usize = 64 << 10;

/// Longer frames are read away from the threads that serve requests: it takes milliseconds.
const LONG_BYTES: usize = 256 << 10;

/// What happened next in a stream.
#[derive(Debug)]
pub enum Step {
    /// The caller gets these bytes.
    Forward(Bytes),
    /// The terminal event: the caller gets these bytes, and nothing after them.
    Done(Bytes),
    /// The upstream reports an error.
    Error(Box<UpstreamError>),
    /// An event is no JSON.
    Malformed,
    /// The upstream ended the stream.
    Ended,
    /// The upstream broke off or fell silent.
    Broken(ReadError),
    /// An event is too long.
    TooLong,
    /// This relay has no memory left for an event.
    NoMemory,
}

/// A long frame that was read elsewhere, and what was learned from it.
#[derive(Debug)]
struct Looked {
    frame: Frame,
    verdict: Verdict,
    meter: StreamMeter,
    output: Estimator,
}

/// One stream, being read.
#[derive(Debug)]
pub struct Reader {
    body: Body,
    /// For bodies that are not cut into events: what makes events of them.
    transcriber: Option<Transcriber>,
    /// What comes next cannot be read.
    is_torn: bool,
    /// Puts events right before they are looked at.
    amender: Option<Amender>,
    /// `None` when the upstream has ended and everything was cut.
    splitter: Option<Splitter>,
    /// Events that came as one, yet to be looked at.
    apart: VecDeque<Frame>,
    meter: StreamMeter,
    /// The meter knows that nothing more comes.
    is_closed: bool,
    /// A long frame that is being read elsewhere. Nothing behind it is looked at before it is back.
    away: Option<JoinHandle<Looked>>,
    /// The key in use, which no error may show.
    secret: SecretString,
    /// Bytes pushed into the splitter and not cut yet.
    pending_bytes: usize,
    budget: ByteBudget,
    held: Option<HeldBytes>,
    /// What has the upstream stop, should this be dropped before the end.
    halting: Option<Halting>,
}

impl Reader {
    /// A reader at the start of a stream. Frames longer than the bound are an error.
    #[must_use]
    pub fn new(
        (body, secret): (Body, SecretString),
        meter: StreamMeter,
        (framing, max_frame_bytes): (Framing, usize),
        budget: ByteBudget,
    ) -> Self {
        let splitter = Some(Splitter::new(framing, max_frame_bytes));
        let (apart, is_closed) = (VecDeque::new(), false);
        let (transcriber, amender, is_torn) = (None, None, false);
        let (away, held, pending_bytes, halting) = (None, None, 0, None);
        Self {
            body,
            transcriber,
            is_torn,
            amender,
            splitter,
            apart,
            meter,
            is_closed,
            away,
            secret,
            pending_bytes,
            budget,
            held,
            halting,
        }
    }

    /// The same of an upstream that goes on when its connection is gone.
    #[must_use]
    pub fn halted_by(mut self, halting: Option<Halting>) -> Self {
        self.halting = halting;
        self
    }

    /// The same for a provider with a framing or a way of its own.
    #[must_use]
    pub fn of_provider(mut self, framing: providers::Framing, amender: Option<Amender>) -> Self {
        self.transcriber = (framing == providers::Framing::AwsEventStream).then(Transcriber::default);
        self.amender = amender;
        self
    }

    /// Waits for the next step.
    pub async fn step(&mut self, tally: &mut Tally) -> Step {
        poll_fn(|cx| self.poll_step(cx, tally)).await
    }

    /// The next step, if it is there. After `Ended`, `Malformed`, `Broken`, `TooLong` or `NoMemory` it stays `Ended`.
    pub fn poll_step(&mut self, cx: &mut Context<'_>, tally: &mut Tally) -> Poll<Step> {
        loop {
            if let Some(step) = self.step_at_hand(tally) {
                return Poll::Ready(step);
            }
            if let Some(away) = &mut self.away {
                let looked = ready!(Pin::new(away).poll(cx));
                self.away = None;
                // It is lost only when the process ends, or by an error of ours.
                let Ok(looked) = looked else { return Poll::Ready(self.give_up(Step::TooLong)) };
                match self.came_back(looked, tally) {
                    Some(step) => return Poll::Ready(step),
                    None => continue,
                }
            }
            let Some(splitter) = &mut self.splitter else { return Poll::Ready(self.close(tally)) };
            if self.is_torn {
                return Poll::Ready(self.give_up(Step::Malformed));
            }
            match ready!(Pin::new(&mut self.body).poll_next(cx)) {
                Some(Ok(chunk)) => {
                    tally.began = true;
                    if let Some(halting) = &mut self.halting {
                        halting.look(&chunk);
                    }
                    let chunk = match &mut self.transcriber {
                        None => chunk,
                        Some(transcriber) => {
                            let (events, outcome) = transcriber.push(&chunk);
                            self.is_torn = outcome.is_err();
                            events
                        }
                    };
                    self.pending_bytes += chunk.len();
                    splitter.push(chunk);
                    if !self.has_room() {
                        return Poll::Ready(self.give_up(Step::NoMemory));
                    }
                }
                Some(Err(error)) => return Poll::Ready(self.give_up(Step::Broken(error))),
                None => {
                    let rest = self.splitter.take().and_then(Splitter::finish).map(Frame::closed);
                    if let Some(step) = rest.and_then(|frame| self.take(frame, tally)) {
                        return Poll::Ready(step);
                    }
                }
            }
        }
    }

    /// The next step of what was read already; `None` when it has to be waited for.
    pub fn step_at_hand(&mut self, tally: &mut Tally) -> Option<Step> {
        loop {
            if self.away.is_some() {
                return None;
            }
            if let Some(frame) = self.apart.pop_front() {
                if let Some(step) = self.observe(frame, tally) {
                    return Some(step);
                }
                continue;
            }
            match self.splitter.as_mut()?.next_frame() {
                Err(_) => return Some(self.give_up(Step::TooLong)),
                Ok(Some(frame)) => {
                    if let Some(step) = self.take(frame, tally) {
                        return Some(step);
                    }
                }
                Ok(None) => return None,
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

    /// The answer's id at an upstream that may store it, as soon as it is known.
    #[must_use]
    pub fn stored_id(&self) -> Option<&str> {
        self.meter.stored_id()
    }

    /// What the caller gets last of a stream that broke off, where that depends on what came before.
    pub fn failed(&mut self, error: &ErrorBody<'_>) -> Option<Bytes> {
        self.meter.failed(error)
    }

    /// What the stream was so far.
    #[must_use]
    pub fn summary(&self) -> Summary {
        self.meter.finish()
    }

    /// What a caller gets last who asked for a usage that the upstream did not report.
    #[must_use]
    pub fn end_with(&self, usage: &Usage, last: Option<Bytes>) -> Vec<Bytes> {
        self.meter.end_with(usage, last)
    }

    fn take(&mut self, frame: Frame, tally: &mut Tally) -> Option<Step> {
        self.pending_bytes = self.pending_bytes.saturating_sub(frame.bytes().len());
        if self.pending_bytes == 0 {
            self.held = None;
        }
        match self.amended(frame) {
            Ok(frame) => self.observe(frame, tally),
            Err(error) => Some(Step::Error(error)),
        }
    }

    /// The event as its interface has it.
    fn amended(&self, frame: Frame) -> Result<Frame, Box<UpstreamError>> {
        let Some(amender) = &self.amender else { return Ok(frame) };
        let Some(data) = frame.event().data else { return Ok(frame) };
        match amender.amend(&data) {
            Amended::AsItIs => Ok(frame),
            Amended::Changed(data) => Ok(Frame::with_data(frame.event().name, &data)),
            Amended::Failed(error) => {
                let known = [self.secret.expose_secret()];
                Err(Box::new(UpstreamError::told(error.status, &error.code, &error.message, &known)))
            }
        }
    }

    fn observe(&mut self, frame: Frame, tally: &mut Tally) -> Option<Step> {
        if frame.bytes().len() > LONG_BYTES {
            let (mut meter, mut output) = (self.meter.clone(), tally.output().clone());
            self.away = Some(tokio::task::spawn_blocking(move || {
                let verdict = meter.observe(&frame, &mut |text| output.push(text));
                Looked { frame, verdict, meter, output }
            }));
            return None;
        }
        let verdict = self.meter.observe(&frame, &mut |text| tally.push(text));
        self.learn(tally);
        self.step_of(verdict, frame)
    }

    /// A long frame was read.
    fn came_back(&mut self, looked: Looked, tally: &mut Tally) -> Option<Step> {
        let Looked { frame, verdict, meter, output } = looked;
        self.meter = meter;
        tally.set_output(output);
        self.learn(tally);
        self.step_of(verdict, frame)
    }

    fn learn(&self, tally: &mut Tally) {
        tally.reported = self.meter.usage();
        tally.is_final = self.meter.is_usage_final();
        tally.counts = self.meter.counts();
        tally.saw_output = self.meter.saw_output();
    }

    fn step_of(&mut self, verdict: Verdict, frame: Frame) -> Option<Step> {
        if let (Verdict::Done | Verdict::DoneWith(_) | Verdict::Error(_), Some(halting)) = (&verdict, &mut self.halting) {
            halting.over();
        }
        match verdict {
            Verdict::Forward => Some(Step::Forward(frame.into_bytes())),
            Verdict::Rewritten(bytes) => Some(Step::Forward(bytes)),
            Verdict::Withhold => None,
            Verdict::Done => Some(Step::Done(frame.into_bytes())),
            Verdict::DoneWith(last) => Some(Step::Done(last)),
            Verdict::Several(events) => {
                self.apart = events.into();
                None
            }
            Verdict::Malformed => Some(self.give_up(Step::Malformed)),
            Verdict::Error(data) => {
                let words = if data.len() > LONG_BYTES { &[][..] } else { &data[..] };
                Some(Step::Error(Box::new(UpstreamError::read(200, words, &[self.secret.expose_secret()]))))
            }
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

    /// Nothing more comes: dialects without a terminal event say so only now.
    fn close(&mut self, tally: &mut Tally) -> Step {
        if std::mem::replace(&mut self.is_closed, true) {
            return Step::Ended;
        }
        if let Some(halting) = &mut self.halting {
            halting.over();
        }
        let last = self.meter.close(&mut |text| tally.push(text));
        self.learn(tally);
        last.map_or(Step::Ended, Step::Done)
    }

    fn give_up(&mut self, step: Step) -> Step {
        (self.splitter, self.is_closed) = (None, true);
        step
    }
}
