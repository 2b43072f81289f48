//! Row 18: keys that nobody has, faster than everything else.

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::thread::JoinHandle;
use std::time::Duration;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::task::JoinSet;
use tokio::time::{Instant, MissedTickBehavior, sleep, timeout};
use tokio_util::sync::CancellationToken;

use crate::faults::Stage;
use crate::faults::figure::Figure;
use crate::faults::site::{MODEL, Plan, Site};
use crate::faults::traffic::{Traffic, failures, quantile};
use crate::fleet::Node;
use crate::load::Seen;
use crate::sim::chance::Dice;

/// Unknown keys a second that are tried.
const RATE: u64 = 20_000;
/// Unknown keys a second that a machine has to bring about for the row to mean anything: two cores have everything else to do, too.
const LEAST_RATE: u64 = if cfg!(debug_assertions) { 1_000 } else { 5_000 };
/// Connections of the flood.
const CONNECTIONS: usize = 24;
/// How often each of them sends.
const EVERY: Duration = Duration::from_millis(10);
/// An answer takes no longer.
const ANSWER_LIMIT: Duration = Duration::from_secs(5);
/// What a valid request may take longer meanwhile.
const ADDED: Duration = Duration::from_millis(1);
/// The scheduler's last choice: the flood takes what the others leave.
const LEAST_PRIORITY: i32 = 19;
/// How every answer begins, up to its status and with it.
const STATUS_LINE: &[u8] = b"HTTP/1.1 ";
const STATUS_BYTES: usize = STATUS_LINE.len() + 3;

pub(super) async fn row(stage: &Stage) -> Vec<Figure> {
    let site = Site::start(stage, &Plan::new(stage)).await;
    let alone = site.traffic();
    site.warm(&alone).await;
    sleep(stage.lasting() / 2).await;
    let alone = alone.stop().await;
    let asked_before = resolves(&site).await;
    let beside = Traffic::start(site.doors(&site.payers), site.mix().named("beside"));
    let (flood, begun) = (Flood::start(site.relays.iter().map(Node::address).collect()), Instant::now());
    sleep(stage.lasting() / 2).await;
    let counts = flood.stop();
    let lasted = begun.elapsed();
    let beside = beside.stop().await;
    let asked = resolves(&site).await - asked_before;
    let (_, _, audit) = site.settle().await;

    let plain = |seen: &[Seen]| quantile(seen.iter().filter(|one| !one.stream), 990);
    let (answered, odd) = (counts.answered.load(Ordering::Relaxed), counts.odd.load(Ordering::Relaxed));
    let rate = u64::try_from(u128::from(answered) * 1_000 / lasted.as_millis().max(1)).unwrap_or(u64::MAX);
    #[expect(clippy::cast_precision_loss, reason = "a share of a count")]
    let allowed = if cfg!(debug_assertions) { RATE as f64 * lasted.as_secs_f64() } else { answered as f64 } / 100.0;
    let mut figures = vec![
        Figure::at_least(format!("unknown keys a second, of {RATE} that are tried"), LEAST_RATE, rate),
        Figure::at_most("of them the control plane was asked about", allowed.floor(), asked),
        Figure::exactly("answered neither 401 nor 503", 0, odd),
        Figure::beside("p99 of valid plain requests", (plain(&alone), ADDED), plain(&beside)),
        Figure::none("failures of valid requests", &failures(&beside)),
    ];
    figures.extend(audit.figures());
    figures
}

async fn resolves(site: &Site) -> f64 {
    let mut sum = 0.0;
    for relay in 0..site.relays.len() {
        for answer in ["failed", "found", "unknown"] {
            let name = format!("sluice_relay_identity_resolves_total{{answer=\"{answer}\"}}");
            sum += site.figure(relay, &name).await.unwrap_or_default();
        }
    }
    sum
}

#[derive(Debug, Default)]
struct Counts {
    answered: AtomicU64,
    /// Neither 401 nor 503, or not at all.
    odd: AtomicU64,
}

/// Callers with keys that nobody has, on a thread of their own that gives way to everything else. Each writes some requests at once and
/// reads as many answers.
struct Flood {
    stop: CancellationToken,
    counts: Arc<Counts>,
    thread: JoinHandle<()>,
}

impl Flood {
    fn start(relays: Vec<SocketAddr>) -> Self {
        let (stop, counts) = (CancellationToken::new(), Arc::<Counts>::default());
        let (stopped, told) = (stop.clone(), Arc::clone(&counts));
        let body = move || {
            rustix::process::setpriority_process(None, LEAST_PRIORITY).ok();
            let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime can be made");
            runtime.block_on(async {
                let mut callers = JoinSet::new();
                for place in 0..CONNECTIONS {
                    callers.spawn(flood(relays[place % relays.len()], place as u64, Arc::clone(&told), stopped.clone()));
                }
                callers.join_all().await;
            });
        };
        let thread = std::thread::Builder::new().name("flood".to_owned()).spawn(body).expect("a thread can be started");
        Self { stop, counts, thread }
    }

    fn stop(self) -> Arc<Counts> {
        self.stop.cancel();
        self.thread.join().expect("the flood does not panic");
        self.counts
    }
}

/// One caller, on one connection after the other.
async fn flood(relay: SocketAddr, place: u64, counts: Arc<Counts>, stop: CancellationToken) {
    let at_once = usize::try_from(RATE).unwrap_or(usize::MAX) * EVERY.as_millis() as usize / 1_000 / CONNECTIONS;
    let (mut dice, mut due) = (Dice::new(18, place), tokio::time::interval(EVERY));
    due.set_missed_tick_behavior(MissedTickBehavior::Skip);
    let mut connection = None;
    while !stop.is_cancelled() {
        due.tick().await;
        if connection.is_none() {
            connection = TcpStream::connect(relay).await.ok();
        }
        let Some(stream) = &mut connection else { continue };
        let requests: Vec<u8> = (0..at_once.max(1)).flat_map(|_| request(&mut dice)).collect();
        let asked = stream.write_all(&requests).await;
        let statuses = match asked {
            Ok(()) => timeout(ANSWER_LIMIT, statuses(stream, at_once.max(1))).await.unwrap_or_default(),
            Err(_) => Vec::new(),
        };
        let good = statuses.iter().filter(|status| [b"401", b"503"].contains(status)).count();
        counts.answered.fetch_add(statuses.len() as u64, Ordering::Relaxed);
        counts.odd.fetch_add((at_once.max(1) - good) as u64, Ordering::Relaxed);
        if good < at_once.max(1) {
            connection = None;
        }
    }
}

fn request(dice: &mut Dice) -> Vec<u8> {
    let body = format!(r#"{{"model":"{MODEL}","messages":[]}}"#);
    let key = format!("sk-{:016x}{:016x}{:016x}", dice.draw(), dice.draw(), dice.draw());
    let head = "POST /v1/chat/completions HTTP/1.1\r\nhost: relay\r\ncontent-type: application/json";
    format!("{head}\r\nauthorization: Bearer {key}\r\ncontent-length: {}\r\n\r\n{body}", body.len()).into_bytes()
}

/// The statuses of so many answers, or of those that came before the connection broke.
async fn statuses(stream: &mut TcpStream, count: usize) -> Vec<[u8; 3]> {
    let (mut found, mut text) = (Vec::new(), Vec::new());
    while found.len() < count {
        text.reserve(16 << 10);
        if !stream.read_buf(&mut text).await.is_ok_and(|read| read > 0) {
            break;
        }
        let mut seen = 0;
        while let Some(at) = memchr::memmem::find(&text[seen..], STATUS_LINE).map(|at| seen + at) {
            let Some(status) = text.get(at + STATUS_LINE.len()..at + STATUS_BYTES) else { break };
            found.extend(<[u8; 3]>::try_from(status));
            seen = at + STATUS_BYTES;
        }
        // a status line may be cut by the end of what was read
        text.drain(..seen.max(text.len().saturating_sub(STATUS_BYTES - 1)));
    }
    found
}

#[cfg(test)]
mod tests {
    use super::*;
    use tokio::net::TcpListener;

    #[tokio::test]
    async fn statuses_are_read_however_they_are_cut() {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let mut stream = TcpStream::connect(listener.local_addr().unwrap()).await.unwrap();
        let (mut server, _) = listener.accept().await.unwrap();
        let answer = async {
            for part in [&b"HTTP/1.1 401 no\r\n\r\nHTT"[..], b"P/1.1 5", b"03 no\r\n\r\n", b"HTTP/1.1 200 ok\r\n\r\n"] {
                server.write_all(part).await.unwrap();
                tokio::task::yield_now().await;
            }
        };
        let (read, ()) = tokio::join!(statuses(&mut stream, 3), answer);
        assert_eq!(read, [*b"401", *b"503", *b"200"]);
    }
}
