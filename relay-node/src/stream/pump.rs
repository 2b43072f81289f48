//! A streamed answer as the body of a response.
//!
//! The states follow each other in this order: waiting (the caller has been pinged, nobody has answered yet) → running ⇄ extending (the
//! output has used up what is held for, and nothing is read before more is) → counting (the usage is missing and counted elsewhere) →
//! closing (settled; the last frames go out) → trailing (the caller has everything, the upstream has not closed yet) → over. Dropping it
//! in any state ends the upstream request, unless its channel has it read on; an unsettled bill settles itself.

use std::collections::VecDeque;
use std::convert::Infallible;
use std::future::Future;
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use bytes::{Bytes, BytesMut};
use http_body::{Body, Frame};
use sluice_dialect::openai::Reported;
use sluice_domain::Usage;
use tokio::time::{Instant, Sleep, sleep, sleep_until};

use super::delivery::Delivery;
use super::drains::{Drains, Forwarding};
use super::reader::{Reader, Step};
use crate::error::{Kind, Refusal};
use crate::forward::{Answered, Answerer, Good, Opened};
use crate::meter::{Bill, Counted, Counting, Ending};

/// What a caller gets while nothing else comes.
const PING: Bytes = Bytes::from_static(b": PING\n\n");

/// Frames that came together go out together up to this size, in bytes.
const TOGETHER_BYTES: usize = 16 << 10;

/// A streamed answer.
pub struct Pump {
    state: State,
    delivery: Delivery,
    /// Frames that go out next.
    queue: VecDeque<Bytes>,
    ping: Pin<Box<Sleep>>,
    /// For noting what came before a silence.
    note: Pin<Box<Sleep>>,
    /// Something was sent since the caller last had to wait.
    has_sent: bool,
    /// Something was sent at all.
    has_begun: bool,
    /// When the next ping is due; the timer may be set for an earlier moment.
    ping_at: Instant,
}

enum State {
    Waiting(Forwarding),
    Running(Box<Running>),
    Extending(Extending),
    Counting(Box<Running>, Counting, Option<Bytes>),
    Closing(Option<Reader>),
    Trailing(Reader, Pin<Box<Sleep>>),
    Over,
}

struct Running {
    reader: Reader,
    bill: Box<Bill>,
    end: Option<Step>,
    answerer: Answerer,
    drains: Option<Drains>,
}

impl Running {
    fn of(opened: Opened, bill: Box<Bill>) -> (Self, VecDeque<Bytes>) {
        let Opened { reader, frames, end, answerer, drains, .. } = opened;
        (Self { reader, bill, end, answerer, drains }, frames)
    }
}

/// A stream that waits for money, and whether there is more. Dropped with it, the stream is not read on: nothing pays for that.
type Extending = Pin<Box<dyn Future<Output = (Box<Running>, Result<(), Refusal>)> + Send>>;

/// What a look at the state led to.
enum Moved {
    /// A frame for the caller.
    Frame(Bytes),
    /// Another state, or frames in the queue: look again.
    On,
    /// Nothing follows.
    End,
}

impl std::fmt::Debug for Pump {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Pump").field("queued", &self.queue.len()).finish_non_exhaustive()
    }
}

impl Pump {
    /// The pump of a stream that was opened.
    #[must_use]
    pub fn running(opened: Opened, mut bill: Box<Bill>, delivery: Delivery) -> Self {
        bill.committed();
        let (running, frames) = Running::of(opened, bill);
        Self::new(State::Running(Box::new(running)), delivery, frames)
    }

    /// The pump of a request that nobody has answered yet. The first ping goes out at once.
    #[must_use]
    pub fn waiting(forwarding: Forwarding, delivery: Delivery) -> Self {
        Self::new(State::Waiting(forwarding), delivery, VecDeque::from([PING]))
    }

    fn new(state: State, delivery: Delivery, queue: VecDeque<Bytes>) -> Self {
        let ping_at = Instant::now() + delivery.timing.ping_every;
        let (ping, note) = (Box::pin(sleep_until(ping_at)), Box::pin(sleep_until(ping_at)));
        Self { state, delivery, queue, ping, note, has_sent: false, has_begun: false, ping_at }
    }

    fn poll_state(&mut self, cx: &mut Context<'_>) -> Poll<Moved> {
        match &mut self.state {
            State::Waiting(forwarding) => {
                let answered = ready!(Pin::new(forwarding).poll(cx));
                self.answered(answered);
                Poll::Ready(Moved::On)
            }
            State::Running(running) if running.end.is_none() && running.bill.is_used_up() => {
                self.extend();
                Poll::Ready(Moved::On)
            }
            State::Extending(extending) => {
                let (running, extended) = ready!(extending.as_mut().poll(cx));
                self.extended(running, extended);
                Poll::Ready(Moved::On)
            }
            State::Running(running) => {
                let step = match running.end.take() {
                    Some(end) => end,
                    None => ready!(running.reader.poll_step(cx, running.bill.tally())),
                };
                Poll::Ready(self.stepped(step))
            }
            State::Counting(_, counting, _) => {
                let counted = ready!(counting.as_mut().poll(cx));
                if let State::Counting(running, _, last) = std::mem::replace(&mut self.state, State::Over) {
                    self.complete(*running, last, counted);
                }
                Poll::Ready(Moved::On)
            }
            State::Closing(reader) => {
                let is_over = reader.as_mut().is_none_or(|reader| reader.poll_trailing(cx).is_ready());
                let rest = reader.take().filter(|_| !is_over);
                let limit = self.delivery.timing.trailing;
                self.state = rest.map_or(State::Over, |reader| State::Trailing(reader, Box::pin(sleep(limit))));
                Poll::Ready(Moved::On)
            }
            State::Trailing(reader, end) => {
                if reader.poll_trailing(cx).is_pending() {
                    ready!(end.as_mut().poll(cx));
                }
                self.state = State::Over;
                Poll::Ready(Moved::End)
            }
            State::Over => Poll::Ready(Moved::End),
        }
    }

    /// Somebody answered at last, or nobody will.
    fn answered(&mut self, answered: Answered) {
        let Answered { outcome, mut bill } = answered;
        bill.committed();
        match outcome {
            Ok(Good::Stream(opened)) => {
                let (running, frames) = Running::of(*opened, bill);
                self.queue.extend(frames);
                self.state = State::Running(Box::new(running));
            }
            // Only streams are waited for here.
            Ok(Good::Whole(_)) => self.break_off(&mut bill, &Refusal::new(Kind::Internal, "the answer does not fit the request")),
            Err(refusal) => self.break_off(&mut bill, &refusal),
        }
    }

    /// The output has used up what is held for: more is set aside before more is read.
    fn extend(&mut self) {
        let State::Running(mut running) = std::mem::replace(&mut self.state, State::Over) else { return };
        self.state = State::Extending(Box::pin(async move {
            let extended = running.bill.extend().await;
            (running, extended)
        }));
    }

    fn extended(&mut self, mut running: Box<Running>, extended: Result<(), Refusal>) {
        match extended {
            Ok(()) => self.state = State::Running(running),
            Err(refusal) => self.break_off_begun(&mut running, &refusal),
        }
    }

    /// What a step means for the caller: a frame, or a change of state.
    fn stepped(&mut self, step: Step) -> Moved {
        let State::Running(running) = &mut self.state else { return Moved::On };
        match step {
            Step::Forward(frame) => {
                running.bill.note_progress();
                running.bill.look_ahead();
                return Moved::Frame(frame);
            }
            Step::Done(last) => self.end_well(Some(last)),
            Step::Ended if running.reader.summary().is_complete => self.end_well(None),
            broken => {
                let refusal = running.answerer.broke_off(broken);
                if let State::Running(mut running) = std::mem::replace(&mut self.state, State::Over) {
                    self.break_off_begun(&mut running, &refusal);
                }
            }
        }
        Moved::On
    }

    /// A frame with those behind it that are at hand: each write costs more than the bytes in it. Nothing is waited for.
    fn with_company(&mut self, first: Bytes) -> Bytes {
        let Some(second) = self.frame_at_hand() else { return first };
        let mut together = BytesMut::with_capacity(TOGETHER_BYTES.max(first.len() + second.len()));
        together.extend_from_slice(&first);
        together.extend_from_slice(&second);
        while together.len() < TOGETHER_BYTES
            && let Some(next) = self.frame_at_hand()
        {
            together.extend_from_slice(&next);
        }
        if let State::Running(running) = &mut self.state {
            running.bill.note_progress();
            running.bill.look_ahead();
        }
        together.freeze()
    }

    fn frame_at_hand(&mut self) -> Option<Bytes> {
        let queued = self.queue.pop_front();
        let State::Running(running) = &mut self.state else { return queued };
        if queued.is_some() || running.end.is_some() || running.bill.is_used_up() {
            return queued;
        }
        match running.reader.step_at_hand(running.bill.tally())? {
            Step::Forward(frame) => Some(frame),
            end => {
                running.end = Some(end);
                None
            }
        }
    }

    /// The stream is complete. Where no usage was reported and the prompt can be counted, that comes first.
    fn end_well(&mut self, last: Option<Bytes>) {
        let State::Running(mut running) = std::mem::replace(&mut self.state, State::Over) else { return };
        running.answerer.succeeded();
        let tally = running.bill.tally();
        let is_counted = matches!(tally.reported, Reported::Counted(_)) || !tally.saw_output;
        let counting = if is_counted { None } else { self.delivery.count_prompt() };
        match counting {
            Some(counting) => self.state = State::Counting(running, counting, last),
            None => self.complete(*running, last, None),
        }
    }

    /// Settles a complete stream, and queues what the caller gets last.
    fn complete(&mut self, running: Running, last: Option<Bytes>, prompt: Option<u64>) {
        let Running { reader, mut bill, .. } = running;
        let is_reported = matches!(bill.tally().reported, Reported::Counted(_));
        let usage: Usage = bill.settle(Ending::Completed(200, Counted { prompt, output: None }));
        if self.delivery.owes_usage && !is_reported {
            self.queue.extend(reader.end_with(&usage, last));
        } else {
            self.queue.extend(last);
        }
        self.state = State::Closing(Some(reader));
    }

    /// Settles a stream that broke off, and tells the caller so in place of its end.
    fn break_off(&mut self, bill: &mut Bill, refusal: &Refusal) {
        bill.settle(Ending::Truncated(refusal));
        let has_begun = self.has_begun || !self.queue.is_empty();
        self.queue.push_back(self.delivery.error_end(refusal, has_begun));
        self.state = State::Closing(None);
    }

    /// The same of one that had begun: its dialect may have an end for that.
    fn break_off_begun(&mut self, running: &mut Running, refusal: &Refusal) {
        let Some(last) = self.delivery.failed(&mut running.reader, refusal) else {
            return self.break_off(&mut running.bill, refusal);
        };
        running.bill.settle(Ending::Truncated(refusal));
        self.queue.push_back(last);
        self.state = State::Closing(None);
    }

    /// Nothing comes at the moment: what came is noted when its time is up, not with the next frame.
    fn poll_note(&mut self, cx: &mut Context<'_>) {
        let State::Running(running) = &mut self.state else { return };
        let Some(due) = running.bill.note_due() else { return };
        if self.note.deadline() != due {
            self.note.as_mut().reset(due);
        }
        if self.note.as_mut().poll(cx).is_ready() {
            running.bill.note_progress();
        }
    }

    /// A ping, when nothing was sent for long enough and the end is not reached.
    fn poll_ping(&mut self, cx: &mut Context<'_>) -> Poll<Bytes> {
        let is_silent = matches!(self.state, State::Waiting(_) | State::Running(_) | State::Extending(_));
        if !is_silent || !self.delivery.pings() {
            return Poll::Pending;
        }
        // The clock is read when waiting begins, not for every frame; a timer that fires too early is set again.
        if std::mem::take(&mut self.has_sent) {
            self.ping_at = Instant::now() + self.delivery.timing.ping_every;
        }
        loop {
            ready!(self.ping.as_mut().poll(cx));
            if self.ping.deadline() >= self.ping_at {
                self.has_sent = true;
                return Poll::Ready(PING);
            }
            self.ping.as_mut().reset(self.ping_at);
        }
    }
}

impl Drop for Pump {
    fn drop(&mut self) {
        let State::Running(running) = std::mem::replace(&mut self.state, State::Over) else { return };
        let Running { reader, bill, end, answerer, drains } = *running;
        if let (Some(drains), None) = (drains, end) {
            drains.read_on(reader, bill, answerer);
        }
    }
}

impl Body for Pump {
    type Data = Bytes;
    type Error = Infallible;

    fn poll_frame(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, Infallible>>> {
        let this = &mut *self;
        loop {
            if let Some(frame) = this.queue.pop_front() {
                (this.has_sent, this.has_begun) = (true, true);
                return Poll::Ready(Some(Ok(Frame::data(this.with_company(frame)))));
            }
            match this.poll_state(cx) {
                Poll::Ready(Moved::Frame(frame)) => {
                    (this.has_sent, this.has_begun) = (true, true);
                    return Poll::Ready(Some(Ok(Frame::data(this.with_company(frame)))));
                }
                Poll::Ready(Moved::End) => return Poll::Ready(None),
                Poll::Ready(Moved::On) => {}
                Poll::Pending => {
                    this.poll_note(cx);
                    return this.poll_ping(cx).map(|ping| Some(Ok(Frame::data(ping))));
                }
            }
        }
    }
}
