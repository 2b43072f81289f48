//! The simulator's own account of every request and its answer: the oracle of stories about money.

use std::collections::{BTreeMap, VecDeque};
use std::fs::File;
use std::io::Write;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::{Duration, Instant};

use bytes::Bytes;
use parking_lot::Mutex;
use serde::{Deserialize, Serialize};
use serde_json::Value;
use tokio::sync::watch;

use super::usage::UsageFigures;

/// How an answer ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Ending {
    /// All of it was handed to the connection.
    Completed,
    /// The caller went away before that.
    AbortedByClient,
    /// The simulator itself cut it short: the scenario says so, or it was stopped.
    Cut,
}

/// One request and its answer. Written when the answer ends, before the caller can have read its last byte.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct LogEntry {
    /// The place in the log: 1 for the first answer that ended.
    pub seq: u64,
    /// When the request arrived, in milliseconds since 1970.
    pub arrived_ms: i64,
    /// How long it took, in microseconds.
    pub took_us: u64,
    /// The HTTP method.
    pub method: String,
    /// The path, without the query.
    pub path: String,
    /// The last characters of the provider key, if one was presented.
    pub key_hint: Option<String>,
    /// The caller's name for the request: the body's `user`, else the header `x-request-id`.
    pub request_id: Option<String>,
    /// The header `x-request-id`.
    pub x_request_id: Option<String>,
    /// The answer's own id: `chatcmpl-…`.
    pub answer_id: Option<String>,
    /// The model, as the request names it.
    pub model: Option<String>,
    /// Whether an event stream was asked for.
    pub stream: bool,
    /// What the scenario did: `ok`, a fault's name, a status.
    pub scenario: String,
    /// The status sent; 0 when no headers were.
    pub status: u16,
    /// How the answer ended.
    pub ending: Ending,
    /// Events sent: 0 for plain answers.
    pub events: u64,
    /// Body bytes handed to the connection.
    pub bytes: u64,
    /// Words of the request.
    pub prompt_tokens: i64,
    /// Visible tokens of content sent, all choices together.
    pub sent_tokens: i64,
    /// Of those, the ones that were sent [`EARLY`] and longer before the answer ended: whoever read along has them, and has noted them.
    #[serde(default)]
    pub early_tokens: i64,
    /// The usage figures sent, if they were.
    pub usage: Option<UsageFigures>,
    /// The body of the request. Neither in the file nor in the log over HTTP (`GET /__sim/bodies` has it); the newest
    /// [`MAX_BODIES`] are kept, up to [`MAX_BODY_BYTES`] together. None for `sim-fast`.
    #[serde(skip)]
    pub body: Option<Bytes>,
}

/// How long before its end a part of an answer counts as early: a relay notes each second what a stream has brought.
pub const EARLY: Duration = Duration::from_secs(2);
/// Between two moments at which it is remembered how much was sent.
const SAMPLE_EVERY: Duration = Duration::from_millis(100);

/// How much of an answer was sent by when, for the last [`EARLY`] of it.
#[derive(Debug, Default)]
struct Pace {
    tokens: i64,
    samples: VecDeque<Sample>,
}

/// What was sent within a moment, as if all of it had been sent at its end.
#[derive(Debug, Clone, Copy)]
struct Sample {
    from: Instant,
    to: Instant,
    tokens: i64,
}

impl Pace {
    fn sent(&mut self, tokens: i64, now: Instant) {
        if tokens == self.tokens {
            return;
        }
        self.tokens = tokens;
        match self.samples.back_mut() {
            Some(last) if now.saturating_duration_since(last.from) < SAMPLE_EVERY => (last.to, last.tokens) = (now, tokens),
            _ => self.samples.push_back(Sample { from: now, to: now, tokens }),
        }
        while self.samples.get(1).is_some_and(|second| now.saturating_duration_since(second.to) >= EARLY) {
            self.samples.pop_front();
        }
    }

    fn early(&self, end: Instant) -> i64 {
        let is_early = |sample: &&Sample| end.saturating_duration_since(sample.to) >= EARLY;
        self.samples.iter().rev().find(is_early).map_or(0, |sample| sample.tokens)
    }
}

/// The most request bodies the log keeps.
pub const MAX_BODIES: usize = 1_000;
/// The most bytes of request bodies the log keeps: 64 MiB.
pub const MAX_BODY_BYTES: usize = 64 << 20;

impl LogEntry {
    /// The body of the request as JSON; `null` when it is none, or was not kept.
    #[must_use]
    pub fn json(&self) -> Value {
        self.body.as_deref().and_then(|body| serde_json::from_slice(body).ok()).unwrap_or_default()
    }

    fn empty() -> Self {
        Self {
            seq: 0,
            arrived_ms: 0,
            took_us: 0,
            method: String::new(),
            path: String::new(),
            key_hint: None,
            request_id: None,
            x_request_id: None,
            answer_id: None,
            model: None,
            stream: false,
            scenario: String::new(),
            status: 0,
            ending: Ending::AbortedByClient,
            events: 0,
            bytes: 0,
            prompt_tokens: 0,
            sent_tokens: 0,
            early_tokens: 0,
            usage: None,
            body: None,
        }
    }
}

/// Sums over all requests since the start or the last clearing.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Stats {
    /// Requests that arrived.
    pub received: u64,
    /// Answers that ended, however.
    pub finished: u64,
    /// Requests whose answer has not ended.
    pub in_flight: u64,
    /// Answers handed over in full.
    pub completed: u64,
    /// Answers whose caller went away.
    pub aborted_by_client: u64,
    /// Answers the simulator cut short.
    pub cut: u64,
    /// Answers by status; 0 means no headers were sent.
    pub by_status: BTreeMap<u16, u64>,
    /// Events sent.
    pub events: u64,
    /// Body bytes sent.
    pub bytes: u64,
    /// Prompt tokens in usage figures sent.
    pub prompt_tokens: i64,
    /// Completion tokens in usage figures sent.
    pub completion_tokens: i64,
    /// Entries that no longer fit in memory (the file has them).
    pub dropped: u64,
    /// Connections accepted since the start.
    pub connections: u64,
    /// Scenarios still queued.
    pub queued_scenarios: u64,
}

pub(super) struct Log {
    kept: Mutex<Kept>,
    capacity: usize,
    in_flight: AtomicU64,
    stopping: AtomicBool,
    finished: watch::Sender<u64>,
}

struct Kept {
    entries: VecDeque<LogEntry>,
    /// Places in the log whose body is kept, and their bytes.
    bodies: VecDeque<(u64, usize)>,
    body_bytes: usize,
    last_seq: u64,
    stats: Stats,
    file: Option<File>,
}

impl Log {
    pub(super) fn open(capacity: usize, file: Option<&Path>) -> std::io::Result<Self> {
        let file = file.map(|path| File::options().create(true).append(true).open(path)).transpose()?;
        let entries = VecDeque::new();
        let kept = Kept { entries, bodies: VecDeque::new(), body_bytes: 0, last_seq: 0, stats: Stats::default(), file };
        Ok(Self {
            kept: Mutex::new(kept),
            capacity: capacity.max(1),
            in_flight: AtomicU64::new(0),
            stopping: AtomicBool::new(false),
            finished: watch::Sender::new(0),
        })
    }

    /// Starts the account of a request that arrives.
    pub(super) fn ticket(self: &Arc<Self>, arrived_ms: i64) -> Ticket {
        self.in_flight.fetch_add(1, Ordering::Relaxed);
        let entry = LogEntry { arrived_ms, ..LogEntry::empty() };
        Ticket { log: Arc::clone(self), open: Some(Box::new((entry, Instant::now()))), pace: Pace::default() }
    }

    fn close(&self, mut entry: LogEntry) {
        let mut guard = self.kept.lock();
        let kept = &mut *guard;
        kept.last_seq += 1;
        entry.seq = kept.last_seq;
        count(&mut kept.stats, &entry);
        if let Some(file) = &mut kept.file {
            let mut line = serde_json::to_vec(&entry).expect("an entry is JSON");
            line.push(b'\n');
            file.write_all(&line).expect("the log file can be written");
        }
        if kept.entries.len() == self.capacity {
            kept.entries.pop_front();
            kept.stats.dropped += 1;
        }
        if let Some(body) = &entry.body {
            kept.bodies.push_back((entry.seq, body.len()));
            kept.body_bytes += body.len();
        }
        kept.entries.push_back(entry);
        kept.forget_bodies();
        let finished = kept.stats.finished;
        self.in_flight.fetch_sub(1, Ordering::Relaxed);
        drop(guard);
        self.finished.send_replace(finished);
    }

    /// Up to `limit` entries whose place is beyond `after`.
    pub(super) fn entries(&self, after: u64, limit: usize) -> Vec<LogEntry> {
        let kept = self.kept.lock();
        let start = kept.entries.partition_point(|entry| entry.seq <= after);
        kept.entries.iter().skip(start).take(limit).cloned().collect()
    }

    pub(super) fn stats(&self) -> Stats {
        let mut stats = self.kept.lock().stats.clone();
        stats.in_flight = self.in_flight.load(Ordering::Relaxed);
        stats.received = stats.finished + stats.in_flight;
        stats
    }

    /// Forgets entries and sums; places in the log go on.
    pub(super) fn clear(&self) {
        let mut kept = self.kept.lock();
        kept.entries.clear();
        kept.bodies.clear();
        kept.body_bytes = 0;
        kept.stats = Stats::default();
        self.finished.send_replace(0);
    }

    /// Told how many answers have ended since the last clearing.
    pub(super) fn watch_finished(&self) -> watch::Receiver<u64> {
        self.finished.subscribe()
    }

    /// From here on, answers that are dropped were cut by the simulator, not by their caller.
    pub(super) fn set_stopping(&self) {
        self.stopping.store(true, Ordering::Relaxed);
    }
}

impl Kept {
    /// Lets go of the oldest bodies when there are too many.
    fn forget_bodies(&mut self) {
        while self.bodies.len() > MAX_BODIES || self.body_bytes > MAX_BODY_BYTES {
            let Some((seq, size)) = self.bodies.pop_front() else { return };
            self.body_bytes -= size;
            let place = self.entries.partition_point(|entry| entry.seq < seq);
            if let Some(entry) = self.entries.get_mut(place).filter(|entry| entry.seq == seq) {
                entry.body = None;
            }
        }
    }
}

fn count(stats: &mut Stats, entry: &LogEntry) {
    stats.finished += 1;
    match entry.ending {
        Ending::Completed => stats.completed += 1,
        Ending::AbortedByClient => stats.aborted_by_client += 1,
        Ending::Cut => stats.cut += 1,
    }
    *stats.by_status.entry(entry.status).or_default() += 1;
    stats.events += entry.events;
    stats.bytes += entry.bytes;
    if let Some(usage) = entry.usage {
        stats.prompt_tokens = stats.prompt_tokens.saturating_add(usage.prompt_tokens);
        stats.completion_tokens = stats.completion_tokens.saturating_add(usage.completion_tokens);
    }
}

/// The open account of one request. Dropping it unfinished means that the caller went away.
pub(super) struct Ticket {
    log: Arc<Log>,
    open: Option<Box<(LogEntry, Instant)>>,
    pace: Pace,
}

impl Ticket {
    /// Writes into the account, unless it is closed.
    pub(super) fn note(&mut self, write: impl FnOnce(&mut LogEntry)) {
        if let Some(open) = &mut self.open {
            write(&mut open.0);
            self.pace.sent(open.0.sent_tokens, Instant::now());
        }
    }

    /// Closes the account. Later calls change nothing.
    pub(super) fn close(&mut self, ending: Ending) {
        let Some(open) = self.open.take() else { return };
        let (mut entry, started) = *open;
        entry.ending = ending;
        entry.early_tokens = self.pace.early(Instant::now());
        entry.took_us = u64::try_from(started.elapsed().as_micros()).unwrap_or(u64::MAX);
        self.log.close(entry);
    }
}

impl Drop for Ticket {
    fn drop(&mut self) {
        let stopping = self.log.stopping.load(Ordering::Relaxed);
        self.close(if stopping { Ending::Cut } else { Ending::AbortedByClient });
    }
}

/// What the log shows of a key: its last four characters, or nothing of a short one.
pub(super) fn key_hint(key: &str) -> String {
    let count = key.chars().count();
    if count < 12 {
        return "…".to_owned();
    }
    let tail: String = key.chars().skip(count - 4).collect();
    format!("…{tail}")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn log(capacity: usize) -> Arc<Log> {
        Arc::new(Log::open(capacity, None).unwrap())
    }

    #[test]
    fn what_was_sent_two_seconds_before_the_end_is_early_and_nothing_after_it() {
        let (begun, mut pace) = (Instant::now(), Pace::default());
        let at = |millis| begun + Duration::from_millis(millis);
        assert_eq!(pace.early(at(9_000)), 0);
        for tenth in 0..100 {
            pace.sent(i64::try_from(tenth).unwrap() + 1, at(tenth * 100));
        }
        assert_eq!(pace.early(at(9_900)), 80);
        assert_eq!(pace.early(at(11_000)), 91);
        assert_eq!(pace.early(at(20_000)), 100);
        assert!(pace.samples.len() < 25, "{}", pace.samples.len());
        let mut steady = Pace::default();
        (1..=300_u32).for_each(|place| steady.sent(i64::from(place), at(u64::from(place) * 10)));
        let early = steady.early(at(3_000));
        assert!((90..=100).contains(&early), "{early} of 100");
        let mut burst = Pace::default();
        (1..=50).for_each(|tokens| burst.sent(tokens, at(1_000)));
        assert_eq!((burst.early(at(2_999)), burst.early(at(3_000))), (0, 50));
    }

    #[test]
    fn the_log_keeps_the_newest_entries_and_counts_the_rest() {
        let log = log(3);
        for place in 0..5_u16 {
            let mut ticket = log.ticket(0);
            ticket.note(|entry| entry.status = 200 + place);
            ticket.close(Ending::Completed);
        }
        let kept: Vec<_> = log.entries(0, 10).iter().map(|entry| (entry.seq, entry.status)).collect();
        assert_eq!(kept, [(3, 202), (4, 203), (5, 204)]);
        assert_eq!(log.entries(4, 10).len(), 1);
        let stats = log.stats();
        assert_eq!((stats.dropped, stats.finished, stats.completed), (2, 5, 5));
    }

    #[test]
    fn an_account_dropped_open_was_aborted_by_the_client_or_by_the_stop() {
        let log = log(10);
        drop(log.ticket(0));
        let late = log.ticket(0);
        assert_eq!(log.stats().in_flight, 1);
        log.set_stopping();
        drop(late);
        let endings: Vec<_> = log.entries(0, 10).iter().map(|entry| entry.ending).collect();
        assert_eq!(endings, [Ending::AbortedByClient, Ending::Cut]);
    }

    #[test]
    fn the_file_has_every_entry_even_those_memory_dropped() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("log.ndjson");
        let log = Arc::new(Log::open(1, Some(&path)).unwrap());
        for _ in 0..3 {
            log.ticket(7).close(Ending::Completed);
        }
        let text = std::fs::read_to_string(path).unwrap();
        let read: Vec<LogEntry> = text.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
        assert_eq!(read.iter().map(|entry| entry.seq).collect::<Vec<_>>(), [1, 2, 3]);
    }

    #[test]
    fn the_newest_bodies_are_kept() {
        let log = log(MAX_BODIES * 2);
        let close = |body: Bytes| {
            let mut ticket = log.ticket(0);
            ticket.note(|entry| entry.body = Some(body));
            ticket.close(Ending::Completed);
        };
        for _ in 0..=MAX_BODIES {
            close(Bytes::from_static(b"{\"a\":1}"));
        }
        let entries = log.entries(0, usize::MAX);
        assert_eq!((entries[0].json(), entries[1].json()["a"].as_u64()), (Value::Null, Some(1)));
        close(vec![b' '; MAX_BODY_BYTES].into());
        let kept = log.entries(0, usize::MAX).iter().filter(|entry| entry.body.is_some()).count();
        assert_eq!(kept, 1, "the large one alone");
    }

    #[test]
    fn a_key_hint_shows_at_most_four_characters() {
        assert_eq!(key_hint("sk-0123456789abcd"), "…abcd");
        assert_eq!(key_hint("short"), "…");
    }
}
