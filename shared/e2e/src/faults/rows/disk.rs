//! Rows about the disk of a relay: 12 and 14.

use std::collections::{HashMap, HashSet};
use std::fs::{self, File};
use std::io::Write;
use std::path::{Path, PathBuf};
use std::time::Duration;

use sluice_domain::{Clock, Epoch, Now, Record, UnixMillis};
use sluice_relay_node::metrics::Metrics;
use sluice_relay_node::spool::{BatchLimits, Spool, SpoolSettings};
use sluice_rpc::usage;
use sluice_telemetry::metrics::Registry;
use sluice_testkit::client::Caller;
use sluice_testkit::proxy::Proxy;
use tokio::task::JoinSet;
use tokio::time::sleep;
use tokio_util::sync::CancellationToken;

use crate::faults::Stage;
use crate::faults::figure::Figure;
use crate::faults::site::{MODEL, Plan, SETTLE_LIMIT, Site};
use crate::faults::traffic::{failures, refused_with, success};
use crate::load::{End, Seen};

/// A refusal for a full disk takes no longer than this.
const REFUSED: Duration = Duration::from_millis(100);
/// The disk of the relay, and a segment on it.
const DISK_MB: u32 = 12;
const SEGMENT_KB: u32 = 1_024;
/// Offsets of the spool's end that are damaged.
const OFFSETS: u64 = 1_000;

/// Row 12: the disk of the spool is full, and then it is not.
pub(super) async fn full(stage: &Stage) -> Vec<Figure> {
    let plan = Plan::new(stage).relay_setting("SLUICE_TEST_SPOOL_SEGMENT_KB", SEGMENT_KB).small_disk(DISK_MB);
    let mut site = match Site::start_if_possible(stage, &plan).await {
        Ok(site) => site,
        Err(why) => return vec![Figure::claim("a small disk", "mounted", why, false)],
    };
    let traffic = site.traffic();
    site.warm(&traffic).await;
    let pid = site.relays[0].process().map(|process| process.pid());
    // somebody else's file takes every byte there is, and every one that the spool gives back
    let filler = Filler::start(site.relays[0].folder().join("filler"));
    let begun = traffic.elapsed_millis();
    // segments are prepared ahead: requests of their own use them up, in small steps, so that no hold stands for long
    let pressure = Pressure::start(&site);
    let refuses = async || site.figure(0, "sluice_relay_spool_full_total").await.is_some_and(|count| count > 0.0);
    let refused_after = site.until(stage.lasting() * 2 + Duration::from_secs(30), refuses).await;
    sleep(stage.lasting() / 4).await;
    let freed_at = traffic.elapsed_millis();
    filler.stop().await;
    let serves = async || site.poke(0, &site.payers[0].token.key).await == Some(200);
    let back = site.until(Duration::from_secs(30), serves).await;
    let pressed = pressure.stop().await;
    sleep(stage.lasting() / 4).await;
    let seen = traffic.stop().await;
    let (settled, _, audit) = site.settle().await;

    let full: Vec<&Seen> = seen.iter().chain(&pressed).filter(|one| is_spool_full(one)).collect();
    let slowest = full.iter().map(|one| one.took).max();
    let others: Vec<&Seen> = seen.iter().filter(|one| one.relay != 0).collect();
    let of_it: Vec<&Seen> = seen.iter().filter(|one| one.relay == 0 && one.end != End::Whole && !is_spool_full(one)).collect();
    let late: Vec<&Seen> = seen.iter().filter(|one| is_spool_full(one) && one.sent_millis > freed_at + 2_000).collect();
    let mut figures = vec![
        Figure::note("disk", format!("{DISK_MB} MB, segments of {SEGMENT_KB} KB, filled at {begun} ms")),
        Figure::claim("it is noticed", "503 spool_full", format!("{refused_after:?}"), refused_after.is_some()),
        Figure::at_least("requests refused with 503 spool_full", 1, full.len()),
        Figure::within("the slowest such refusal", REFUSED, slowest),
        Figure::none("other failures through that relay", &failures(of_it)),
        Figure::within("serves again after there is room, without a restart", Duration::from_secs(5), back),
        Figure::none("refused with 503 spool_full later", &failures(late)),
        Figure::claim("the relay was restarted", "no", "by its id", pid == site.relays[0].process().map(|process| process.pid())),
        Figure::none("refused with 401, 402 or 403", &refused_with(&seen, &[401, 402, 403])),
        Figure::within("every admitted request settled", SETTLE_LIMIT, settled),
    ];
    if !others.is_empty() {
        figures.push(Figure::share("success through the other relays", 100.0, success(others)));
    }
    figures.extend(audit.figures());
    figures
}

fn is_spool_full(seen: &Seen) -> bool {
    matches!(&seen.end, End::Refused { status: 503, code } if code == "spool_full")
}

/// A file that takes all the room there is on a disk, again and again.
struct Filler {
    stop: CancellationToken,
    filling: JoinSet<()>,
    path: PathBuf,
}

impl Filler {
    fn start(path: PathBuf) -> Self {
        let (stop, mut filling) = (CancellationToken::new(), JoinSet::new());
        let (stopped, file) = (stop.clone(), path.clone());
        filling.spawn(async move {
            let mut file = File::create(file).expect("a file can be made");
            while !stopped.is_cancelled() {
                for size in [64 << 10, 4 << 10, 1] {
                    while file.write_all(&vec![1; size]).is_ok() {}
                }
                sleep(Duration::from_millis(20)).await;
            }
        });
        Self { stop, filling, path }
    }

    async fn stop(self) {
        self.stop.cancel();
        self.filling.join_all().await;
        fs::remove_file(&self.path).expect("the file can be removed");
    }
}

/// Callers of the first relay that come as fast as they are answered.
struct Pressure {
    stop: CancellationToken,
    asking: JoinSet<Vec<Seen>>,
}

impl Pressure {
    fn start(site: &Site) -> Self {
        let (stop, mut asking) = (CancellationToken::new(), JoinSet::new());
        let started = tokio::time::Instant::now();
        for place in 0..8 {
            let caller = Caller::new(site.relays[0].base_url()).with_key(&site.payers[place % 4].token.key);
            let stop = stop.clone();
            asking.spawn(async move {
                let mut seen = Vec::new();
                while !stop.is_cancelled() {
                    let request_id = format!("press-{place}-{}", seen.len());
                    let text = "[sim: tokens=1] more".to_owned();
                    let question =
                        crate::load::Question { request_id, model: MODEL.to_owned(), stream: false, max_tokens: 5, text };
                    let one = crate::load::ask(&caller, 0, question, started).await;
                    let pause = if one.end == End::Whole { 1 } else { 50 };
                    seen.push(one);
                    sleep(Duration::from_millis(pause)).await;
                }
                seen
            });
        }
        Self { stop, asking }
    }

    async fn stop(self) -> Vec<Seen> {
        self.stop.cancel();
        self.asking.join_all().await.into_iter().flatten().collect()
    }
}

/// Row 14: the end of the spool of a killed relay is damaged: cut and flipped at every offset.
pub(super) async fn torn(stage: &Stage) -> Vec<Figure> {
    let mut site = Site::start(stage, &Plan::new(stage)).await;
    let traffic = site.traffic();
    site.warm(&traffic).await;
    // nothing more is acknowledged: what the spool holds is all there is
    if stage.is_single() {
        // one process has no line to cut; its own death leaves the last records unreported
    } else {
        site.links[0].iter().for_each(Proxy::refuse);
    }
    sleep((stage.lasting() / 4).min(Duration::from_secs(3))).await;
    site.relays[0].kill_9();
    let seen = traffic.stop().await;
    let spool = site.relays[0].folder().join(if stage.is_single() { "relay/spool" } else { "spool" });
    let (tail, end) = last_segment(&spool).expect("a spool has segments");
    let whole = recovered(&spool).expect("a whole spool is recovered");
    let mut wrong = Vec::new();
    let (mut most_lost, mut opened) = (0, 0);
    for offset in end.saturating_sub(OFFSETS)..end {
        for damage in [Damage::Cut, Damage::Flip] {
            let copy = tempfile::tempdir().expect("a folder can be made");
            copy_spool(&spool, copy.path());
            damage.inflict(&copy.path().join(tail.strip_prefix(&spool).expect("it lies in the spool")), offset);
            match recovered(copy.path()) {
                Ok(found) => {
                    opened += 1;
                    let invented = found.keys().filter(|id| !whole.contains_key(*id)).count();
                    let altered = found.iter().filter(|(id, quota)| whole.get(*id).is_some_and(|known| *quota > known)).count();
                    most_lost = most_lost.max(whole.len() - found.len().min(whole.len()));
                    if invented + altered > 0 {
                        wrong.push(format!("{damage:?} at {offset}: {invented} invented, {altered} dearer"));
                    }
                }
                Err(error) => wrong.push(format!("{damage:?} at {offset}: {error}")),
            }
        }
    }
    // the real one, cut inside its last record
    Damage::Cut.inflict(&tail, end - 3);
    if !stage.is_single() {
        site.heal(0);
    }
    site.relays[0].start();
    site.relays[0].wait_ready().await;
    let (settled, ledger, audit) = site.settle().await;
    let known: HashSet<&str> = ledger.rows.iter().map(|row| row.request_id.as_str()).collect();
    let unknown = seen.iter().filter(|one| one.end == End::Whole && !known.contains(one.request_id.as_str())).count();
    let mut figures = vec![
        Figure::note("records in the spool", whole.len().to_string()),
        Figure::exactly("damaged copies recovered, cut and flipped", 2 * OFFSETS.min(end), opened),
        Figure::none("copies that brought something else than a prefix", &wrong),
        Figure::note(format!("requests lost by damage within the last {OFFSETS} bytes, at most"), most_lost.to_string()),
        Figure::at_most("requests lost by a cut inside the last record of the real one", 1, audit.lost.len().max(unknown)),
        Figure::note("everything else settled", format!("{settled:?}")),
        Figure::none("requests settled twice", &audit.doubled),
    ];
    figures.extend(audit.conservation());
    figures
}

#[derive(Debug, Clone, Copy)]
enum Damage {
    /// The file ends here; zeros follow, as in a segment whose room was taken before.
    Cut,
    /// A bit is another one.
    Flip,
}

impl Damage {
    fn inflict(self, path: &Path, offset: u64) {
        let mut bytes = fs::read(path).expect("a segment can be read");
        let at = usize::try_from(offset).expect("a segment fits in memory");
        match self {
            Self::Cut => bytes[at..].fill(0),
            Self::Flip => bytes[at] ^= 1 << (at % 8),
        }
        fs::write(path, bytes).expect("a segment can be written");
    }
}

/// The newest segment of the newest epoch, and where its records end.
fn last_segment(spool: &Path) -> Option<(PathBuf, u64)> {
    let newest = |folder: &Path, suffix: &str, prefix: &str| {
        let names = fs::read_dir(folder).ok()?.filter_map(|entry| Some(entry.ok()?.path()));
        let is_one = |path: &PathBuf| {
            let name = path.file_name().unwrap_or_default().to_string_lossy();
            name.starts_with(prefix) && name.ends_with(suffix)
        };
        names.filter(is_one).max()
    };
    let segment = newest(&newest(spool, "", "epoch-")?, ".seg", "")?;
    let bytes = fs::read(&segment).ok()?;
    let end = bytes.iter().rposition(|byte| *byte != 0)? + 1;
    Some((segment, end as u64))
}

/// Copies the spool with as much of each segment as has records: the zeros behind them are not worth their time.
fn copy_spool(from: &Path, to: &Path) {
    for entry in fs::read_dir(from).expect("a spool can be read") {
        let (path, name) = entry.map(|entry| (entry.path(), entry.file_name())).expect("a spool can be read");
        let target = to.join(name);
        if path.is_dir() {
            fs::create_dir_all(&target).expect("a folder can be made");
            copy_spool(&path, &target);
        } else if path.extension().is_some_and(|extension| extension == "seg") {
            let bytes = fs::read(&path).expect("a segment can be read");
            let end = bytes.iter().rposition(|byte| *byte != 0).map_or(0, |place| place + 1);
            let room = (end + 4_096).min(bytes.len());
            fs::write(target, &bytes[..room]).expect("a segment can be written");
        } else if path.file_name().is_some_and(|name| !name.to_string_lossy().starts_with("spare")) {
            fs::copy(&path, target).expect("a file can be copied");
        }
    }
}

/// What the next life finds: the requests of every earlier log, with what each is charged.
fn recovered(spool: &Path) -> anyhow::Result<HashMap<String, i64>> {
    let settings = SpoolSettings { segment_bytes: 64 << 10, ..SpoolSettings::default() };
    let clock = Clock::new(|| Now {
        wall: UnixMillis(sluice_telemetry::clock::wall_millis()),
        boot_millis: sluice_telemetry::clock::boot_millis(),
    });
    let metrics = Metrics::declare(&Registry::new()).spool;
    let next = Spool::newest_epoch(spool)?.map_or(Epoch(1), Epoch::next);
    let spool = Spool::open(spool, next, settings, clock, metrics)?;
    let mut found = HashMap::new();
    for mut log in spool.earlier() {
        log.seek(log.acked_below())?;
        while let Some(batch) = log.next_batch(BatchLimits { records: 500, bytes: 1 << 20 })? {
            for body in &batch.records {
                if let Record::Request(request) = usage::decode(body)? {
                    found.insert(request.request_id.to_string(), request.quota.get());
                }
            }
        }
    }
    Ok(found)
}
