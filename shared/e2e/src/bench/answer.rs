//! Looks at an answer as it comes: is it the right one, and when did each event arrive.

use std::time::{Duration, Instant};

use super::question::{END_OF_EVENT, Expected};

const LAST_EVENT: &[u8] = b"data: [DONE]\n\n";

/// An answer on its way.
pub(crate) struct Watch<'a> {
    expected: &'a Expected,
    read: usize,
    differs: bool,
    events: u64,
    merged: u64,
    first: Option<Instant>,
    last: Option<Instant>,
    gaps: Vec<Duration>,
    /// The last bytes, to see what crosses the border of two reads, and how it ends.
    tail: Vec<u8>,
}

/// What was seen of a good answer.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Seen {
    /// When its first byte came.
    pub(crate) first: Option<Instant>,
    /// Events in it.
    pub(crate) events: u64,
    /// Reads with more than one event.
    pub(crate) merged: u64,
    /// Times between reads with events.
    pub(crate) gaps: Vec<Duration>,
}

impl<'a> Watch<'a> {
    /// Waits for an answer like this.
    pub(crate) fn new(expected: &'a Expected) -> Self {
        Self {
            expected,
            read: 0,
            differs: false,
            events: 0,
            merged: 0,
            first: None,
            last: None,
            gaps: Vec::new(),
            tail: Vec::new(),
        }
    }

    /// Takes what was read at one moment.
    pub(crate) fn take(&mut self, bytes: &[u8], at: Instant) {
        if bytes.is_empty() {
            return;
        }
        self.first.get_or_insert(at);
        match self.expected {
            Expected::Anything => {}
            Expected::Ending(_) => self.keep_tail(bytes),
            Expected::Bytes(expected, _) => {
                let here = expected.get(self.read..).and_then(|rest| rest.get(..bytes.len()));
                self.differs |= here != Some(bytes);
            }
            Expected::Events(_) => self.count_events(bytes, at),
        }
        self.read += bytes.len();
    }

    fn count_events(&mut self, bytes: &[u8], at: Instant) {
        let crossing = self.tail.last() == Some(&b'\n') && bytes.first() == Some(&b'\n');
        let within = memchr::memmem::find_iter(bytes, END_OF_EVENT).count() as u64;
        let events = within + u64::from(crossing);
        self.events += events;
        self.merged += u64::from(events > 1);
        if events > 0 {
            self.gaps.extend(self.last.replace(at).map(|last| at - last));
        }
        self.keep_tail(bytes);
    }

    fn keep_tail(&mut self, bytes: &[u8]) {
        let length = if let Expected::Ending(end) = self.expected { end.0.len() } else { LAST_EVENT.len() };
        let kept = bytes.len().min(length);
        self.tail.extend_from_slice(&bytes[bytes.len() - kept..]);
        self.tail.drain(..self.tail.len().saturating_sub(length));
    }

    /// The verdict, when the answer has ended in order.
    ///
    /// # Errors
    /// What is wrong with it.
    pub(crate) fn finish(self) -> Result<Seen, String> {
        match self.expected {
            Expected::Bytes(expected, _) if self.differs || self.read != expected.len() => {
                Err(format!("the answer is not the provider's: {} bytes instead of {}", self.read, expected.len()))
            }
            Expected::Events(expected) if self.events != *expected => {
                Err(format!("{} events instead of {expected}", self.events))
            }
            Expected::Ending(end) if self.tail != end.0 => Err("the answer ends in another way".to_owned()),
            Expected::Events(_) if self.tail != LAST_EVENT => Err("the stream ends without [DONE]".to_owned()),
            Expected::Bytes(_, events) => Ok(Seen { first: self.first, events: *events, merged: 0, gaps: Vec::new() }),
            _ => Ok(Seen { first: self.first, events: self.events, merged: self.merged, gaps: self.gaps }),
        }
    }
}

#[cfg(test)]
mod tests {
    use bytes::Bytes;

    use super::*;

    fn see(expected: &Expected, reads: &[&str]) -> Result<Seen, String> {
        let mut watch = Watch::new(expected);
        for read in reads {
            watch.take(read.as_bytes(), Instant::now());
        }
        watch.finish()
    }

    #[test]
    fn an_answer_is_compared_byte_for_byte_however_it_is_cut() {
        let expected = Expected::Bytes(Bytes::from_static(b"hello"), 0);
        assert!(see(&expected, &["he", "", "llo"]).is_ok());
        for wrong in [&["hel"][..], &["hello", "!"], &["hellO"], &["hello!"]] {
            assert!(see(&expected, wrong).is_err(), "{wrong:?}");
        }
    }

    #[test]
    fn events_are_counted_across_reads_and_those_that_come_together_are_merged() {
        let expected = Expected::Events(3);
        let apart = see(&expected, &["data: a\n\n", "data: b\n", "\ndata", ": [DO", "NE]\n\n"]).unwrap();
        assert_eq!((apart.events, apart.merged, apart.gaps.len()), (3, 0, 2));
        let together = see(&expected, &["data: a\n\ndata: b\n\n", "data: [DONE]\n\n"]).unwrap();
        assert_eq!((together.events, together.merged), (3, 1));
    }

    #[test]
    fn an_answer_that_ends_otherwise_is_not_good() {
        let expected = Expected::Ending(super::super::question::Ending::of(b"}\n\n"));
        assert!(see(&expected, &["data: {", "}", "\n\n"]).is_ok());
        assert!(see(&expected, &["data: {", "}\n"]).is_err());
    }

    #[test]
    fn a_stream_that_lost_an_event_or_its_end_is_not_good() {
        assert!(see(&Expected::Events(3), &["data: a\n\n", "data: [DONE]\n\n"]).is_err());
        assert!(see(&Expected::Events(2), &["data: a\n\n", "data: b\n\n"]).is_err());
    }
}
