//! Callers with a connection each, and the ways they put load on a server.

use std::collections::VecDeque;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};
use bytes::Bytes;
use http_body_util::{BodyExt, Full};
use hyper::body::Incoming;
use hyper::client::conn::http1::{SendRequest, handshake};
use hyper_util::rt::TokioIo;
use parking_lot::Mutex;
use tokio::net::TcpStream;
use tokio::sync::{Barrier, mpsc};
use tokio::task::JoinSet;

use super::answer::{Seen, Watch};
use super::question::Addressed;
use super::tally::Tally;

/// Connections opened at once.
const OPENING: usize = 200;
/// A server that refuses this many requests of a slice is not asked further.
const MAX_FAILURES: u64 = 200;
/// Any answer that takes longer counts as none.
const ANSWER_LIMIT: Duration = Duration::from_mins(2);
/// Due times that may wait for a free connection; beyond it the server is over capacity and the slice ends.
const MAX_WAITING: usize = 4_000;
/// Characters of an error's body in a report.
const EXCERPT: usize = 160;

/// One connection that is kept alive.
struct Caller {
    sender: SendRequest<Full<Bytes>>,
    _connection: JoinSet<()>,
}

/// Callers of one server with one question.
pub(crate) struct Crew {
    callers: Vec<Caller>,
    question: Arc<Addressed>,
    tally: Arc<Mutex<Tally>>,
}

impl Crew {
    /// Opens so many connections.
    pub(crate) async fn connect(server: SocketAddr, question: Addressed, callers: usize) -> Result<Self> {
        let mut opened = Vec::with_capacity(callers);
        while opened.len() < callers {
            let mut opening = JoinSet::new();
            for _ in 0..OPENING.min(callers - opened.len()) {
                opening.spawn(Caller::connect(server));
            }
            while let Some(caller) = opening.join_next().await {
                opened.push(caller??);
            }
        }
        Ok(Self { callers: opened, question: Arc::new(question), tally: Arc::new(Mutex::new(Tally::new())) })
    }

    /// What was seen since the last time this was asked.
    pub(crate) fn take_tally(&self) -> Tally {
        std::mem::replace(&mut *self.tally.lock(), Tally::new())
    }

    /// One request on each connection, one after the other, so that what lies behind the server is connected too.
    /// Returns the body of the last answer.
    pub(crate) async fn warm_up(&mut self) -> Result<Bytes> {
        let mut last = Bytes::new();
        let callers = std::mem::take(&mut self.callers);
        let mut asking = JoinSet::new();
        for mut caller in callers {
            let (question, tally) = (Arc::clone(&self.question), Arc::clone(&self.tally));
            asking.spawn(async move {
                tally.lock().sent += 1;
                let answer = tokio::time::timeout(ANSWER_LIMIT, caller.read_whole(&question)).await;
                (caller, answer)
            });
        }
        while let Some(done) = asking.join_next().await {
            let (caller, answer) = done?;
            last = answer.context("no answer in time")??;
            self.tally.lock().good += 1;
            self.callers.push(caller);
        }
        Ok(last)
    }

    /// Closed loop: each caller asks again as soon as it has its answer.
    pub(crate) async fn run_closed(&mut self, lasting: Duration) -> Result<()> {
        let end = Instant::now() + lasting;
        self.each(move |mut caller, question, tally, _| async move {
            while Instant::now() < end && tally.lock().failed() < MAX_FAILURES {
                caller.ask(&question, &tally, Instant::now()).await;
            }
            caller
        })
        .await
    }

    /// Every caller asks once, all at the same moment.
    pub(crate) async fn run_burst(&mut self) -> Result<()> {
        let start = Arc::new(Barrier::new(self.callers.len()));
        self.each(move |mut caller, question, tally, _| {
            let start = Arc::clone(&start);
            async move {
                start.wait().await;
                caller.ask(&question, &tally, Instant::now()).await;
                caller
            }
        })
        .await
    }

    /// Every caller asks once; their starts are spread evenly over a time.
    pub(crate) async fn run_spread(&mut self, over: Duration) -> Result<()> {
        let count = u32::try_from(self.callers.len()).unwrap_or(u32::MAX).max(1);
        self.each(move |mut caller, question, tally, place| async move {
            tokio::time::sleep(over * place / count).await;
            caller.ask(&question, &tally, Instant::now()).await;
            caller
        })
        .await
    }

    /// Open loop: requests are due at a fixed rate whatever the server does, and their time counts from then.
    ///
    /// The pacing task never sleeps (timers are too coarse for tens of microseconds), so this takes a core while it lasts.
    pub(crate) async fn run_open(&mut self, rate: u32, lasting: Duration) -> Result<()> {
        let (idle_sender, mut idle) = mpsc::channel(self.callers.len().max(1));
        let mut doors = Vec::with_capacity(self.callers.len());
        let mut asking = JoinSet::new();
        for (place, mut caller) in std::mem::take(&mut self.callers).into_iter().enumerate() {
            let (door, mut due_times) = mpsc::channel::<Instant>(1);
            doors.push(door);
            let (question, tally, idle) = (Arc::clone(&self.question), Arc::clone(&self.tally), idle_sender.clone());
            idle.try_send(place)?;
            asking.spawn(async move {
                while let Some(due) = due_times.recv().await {
                    caller.ask(&question, &tally, due).await;
                    if idle.try_send(place).is_err() {
                        break;
                    }
                }
                caller
            });
        }
        let unsent = pace(rate, lasting, &doors, &mut idle).await?;
        self.tally.lock().unsent += unsent;
        drop(doors);
        while let Some(caller) = asking.join_next().await {
            self.callers.push(caller?);
        }
        Ok(())
    }

    /// Runs something with every caller at the same time and takes the callers back.
    async fn each<F, W>(&mut self, work: F) -> Result<()>
    where
        F: Fn(Caller, Arc<Addressed>, Arc<Mutex<Tally>>, u32) -> W,
        W: Future<Output = Caller> + Send + 'static,
    {
        let mut working = JoinSet::new();
        for (place, caller) in (0..).zip(std::mem::take(&mut self.callers)) {
            working.spawn(work(caller, Arc::clone(&self.question), Arc::clone(&self.tally), place));
        }
        while let Some(caller) = working.join_next().await {
            self.callers.push(caller?);
        }
        Ok(())
    }
}

/// Hands out due times to idle callers. Returns how many found none until it gave up.
async fn pace(rate: u32, lasting: Duration, doors: &[mpsc::Sender<Instant>], idle: &mut mpsc::Receiver<usize>) -> Result<u64> {
    let start = Instant::now();
    let interval = Duration::from_secs(1) / rate.max(1);
    let total = u32::try_from(lasting.as_nanos() / interval.as_nanos().max(1)).unwrap_or(u32::MAX);
    let (mut next, mut waiting) = (0, VecDeque::new());
    while next < total || !waiting.is_empty() {
        while next < total && start + interval * next <= Instant::now() {
            waiting.push_back(start + interval * next);
            next += 1;
        }
        while let Some(due) = waiting.front().copied() {
            let Ok(place) = idle.try_recv() else { break };
            waiting.pop_front();
            doors[place].try_send(due).context("an idle caller takes a due time")?;
        }
        if waiting.len() > MAX_WAITING {
            return Ok(waiting.len() as u64 + u64::from(total - next));
        }
        tokio::task::yield_now().await;
    }
    Ok(0)
}

impl Caller {
    async fn connect(server: SocketAddr) -> Result<Self> {
        let stream = TcpStream::connect(server).await.with_context(|| format!("cannot connect to {server}"))?;
        stream.set_nodelay(true)?;
        let (sender, connection) = handshake(TokioIo::new(stream)).await?;
        let mut driver = JoinSet::new();
        driver.spawn(async move {
            // How it ends is seen by the request on it.
            connection.await.ok();
        });
        Ok(Self { sender, _connection: driver })
    }

    /// Asks once and counts how it went. `since` is when its time began.
    async fn ask(&mut self, question: &Addressed, tally: &Mutex<Tally>, since: Instant) {
        tally.lock().sent += 1;
        let answer = tokio::time::timeout(ANSWER_LIMIT, self.look_at_answer(question)).await;
        let end = Instant::now();
        let mut tally = tally.lock();
        match answer {
            Ok(Ok(seen)) => {
                tally.good += 1;
                tally.latency.record(end - since);
                tally.events += seen.events;
                tally.merged += seen.merged;
                if let Some(first) = seen.first {
                    tally.first_byte.record(first.saturating_duration_since(since));
                }
                seen.gaps.into_iter().for_each(|gap| tally.gaps.record(gap));
            }
            Ok(Err(reason)) => tally.fail(reason),
            Err(_) => tally.fail(format!("no whole answer within {ANSWER_LIMIT:?}")),
        }
    }

    async fn look_at_answer(&mut self, question: &Addressed) -> Result<Seen, String> {
        let mut body = self.send(question).await.map_err(|error| format!("{error:#}"))?;
        let mut watch = Watch::new(question.expected());
        while let Some(frame) = body.frame().await {
            let frame = frame.map_err(|error| format!("the answer broke off: {error}"))?;
            if let Some(bytes) = frame.data_ref() {
                watch.take(bytes, Instant::now());
            }
        }
        watch.finish()
    }

    async fn read_whole(&mut self, question: &Addressed) -> Result<Bytes> {
        Ok(self.send(question).await?.collect().await?.to_bytes())
    }

    /// Sends the question; the body of an answer with status 200 follows.
    async fn send(&mut self, question: &Addressed) -> Result<Incoming> {
        self.sender.ready().await.context("the connection was closed")?;
        let response = self.sender.send_request(question.request()).await.context("no answer")?;
        let status = response.status();
        if status.is_success() {
            return Ok(response.into_body());
        }
        let body = response.into_body().collect().await.map(http_body_util::Collected::to_bytes).unwrap_or_default();
        let excerpt: String = String::from_utf8_lossy(&body).chars().take(EXCERPT).collect();
        bail!("status {status}: {excerpt}")
    }
}
