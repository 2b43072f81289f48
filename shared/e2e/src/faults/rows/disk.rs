//! Row 12: the disk of a relay's spool is full.

use std::fs::{self, File};
use std::io::Write;
use std::path::PathBuf;
use std::time::Duration;

use sluice_testkit::client::Caller;
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
