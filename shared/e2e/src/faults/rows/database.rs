//! Rows about the database: 5 and 6.

use std::path::{Path, PathBuf};
use std::time::Duration;

use serde_json::json;
use tokio::time::{Instant, sleep};

use super::control::{lag_millis, owes_nothing_old};
use crate::api::Api;
use crate::faults::Stage;
use crate::faults::figure::{Figure, seconds};
use crate::faults::site::{Plan, SETTLE_LIMIT, Site};
use crate::faults::traffic::{Traffic, failures, refused_with, success};
use crate::fleet::{Node, settle_config};
use crate::load::Seen;

/// Settlement is up to date again within this.
const CAUGHT_UP: Duration = Duration::from_secs(30);
/// What up to date means, in milliseconds.
const LAG: i64 = 1_000;
/// Counts up at the replica that finds out.
const ROLLBACKS: &str = "sluice_control_database_rollbacks_total";
/// What a failover loses.
const LOST: Duration = Duration::from_secs(5);

/// Row 5: the database is away. On SQLite another program holds its lock.
pub(super) async fn away(stage: &Stage) -> Vec<Figure> {
    let mut site = Site::start(stage, &Plan::new(stage)).await;
    let traffic = site.traffic();
    site.warm(&traffic).await;
    sleep(Duration::from_secs(3)).await;
    let pids = pids(&mut site);
    let gone_at = traffic.elapsed_millis();
    if stage.is_single() {
        let lock = site.books.lock_file().await.expect("the file can be locked");
        sleep(stage.lasting()).await;
        drop(lock);
    } else {
        stage.services().stop(stage.database_service());
        sleep(stage.lasting()).await;
        stage.services().start(stage.database_service());
    }
    let (back_at, back) = (traffic.elapsed_millis(), Instant::now());
    let up_to_date = async || lag_millis(&site).await.is_some_and(|lag| lag < LAG);
    let caught_up = site.until(SETTLE_LIMIT, up_to_date).await.map(|_| back.elapsed());
    sleep(Duration::from_secs(2)).await;
    let seen = traffic.stop().await;
    let (_, _, audit) = site.settle().await;

    let in_absence: Vec<&Seen> = seen.iter().filter(|one| one.overlaps(gone_at, back_at)).collect();
    let mut figures = vec![
        Figure::share("warm requests served without the database", 99.9, success(in_absence.iter().copied())),
        Figure::none("failures among them", &failures(in_absence)),
        Figure::none("refused with 401, 402 or 403", &refused_with(&seen, &[401, 402, 403])),
        Figure::within("settlement lag below 1 s after its return", CAUGHT_UP, caught_up),
        Figure::claim("processes restarted", "none", "looked at by their ids", pids == self::pids(&mut site)),
    ];
    figures.extend(audit.figures());
    figures
}

/// The ids of every process that runs.
fn pids(site: &mut Site) -> Vec<Option<u32>> {
    let nodes = site.controls.iter_mut().chain(&mut site.relays);
    nodes.map(|node| node.process().and_then(|process| process.is_running().then(|| process.pid()))).collect()
}

/// What the replicas do while the database is replaced.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Replicas {
    /// They are killed and start anew.
    Restart,
    /// They run on and find another database behind the same address.
    RunOn,
}

/// Row 6: a failover to a copy of the database that misses the last seconds; the replicas start anew.
pub(super) async fn restored(stage: &Stage) -> Vec<Figure> {
    failover(stage, Replicas::Restart).await
}

/// The same under replicas that run on.
pub(super) async fn replaced(stage: &Stage) -> Vec<Figure> {
    failover(stage, Replicas::RunOn).await
}

async fn failover(stage: &Stage, replicas: Replicas) -> Vec<Figure> {
    let mut site = Site::start(stage, &Plan::new(stage)).await;
    let traffic = site.traffic();
    site.warm(&traffic).await;
    sleep(stage.lasting() / 3).await;
    let file = site.root().join("saved");
    let before = site.books.lineage().await.expect("the database answers");
    save(stage, &site, &file).await;
    // what the copy will not know: grants, settlements, and a change of the configuration
    sleep(LOST / 2).await;
    site.apis[0].patch(&format!("/api/channels/{}", site.channel), &json!({"weight": 7})).await;
    sleep(LOST / 2).await;

    let lost_at = match replicas {
        Replicas::Restart => restart_on(stage, &mut site, &traffic, &file).await,
        Replicas::RunOn => replace_under(stage, &site, &traffic, &file).await,
    };
    let back = Instant::now();
    let changed = async || site.books.lineage().await.is_ok_and(|lineage| lineage != before);
    let caught_up = owes_nothing_old(&site, back).await;
    let noticed = site.until(Duration::from_secs(30), changed).await.map(|_| back.elapsed());
    let alarms = site.control_figure(ROLLBACKS).await;
    // every relay follows the restored database again
    let api = Api::new(
        if stage.is_single() { &site.relays[0] } else { &site.controls[0] }.base_url().as_str(),
        crate::fleet::ROOT_TOKEN,
    );
    api.patch(&format!("/api/channels/{}", site.channel), &json!({"weight": 9})).await;
    settle_config(&api, site.relays.len()).await;
    sleep(stage.lasting() / 3).await;
    let seen = traffic.stop().await;
    let (settled, _, audit) = site.settle().await;

    let relayed: Vec<&Seen> = seen.iter().filter(|one| !stage.is_single() || one.ended_millis < lost_at).collect();
    let mut figures = vec![
        Figure::within("the restored history has a name of its own after", Duration::from_secs(30), noticed),
        Figure::at_least("replicas that sounded the alarm", 1.0, alarms),
        Figure::note("requests served before, during and after", format!("{:?} of all", success(relayed.iter().copied()))),
        Figure::note("how the others were refused: leases of the old history are void", first(&failures(relayed))),
        Figure::none("refused with 401, 402 or 403", &refused_with(&seen, &[401, 402, 403])),
        Figure::within("relays settle again after", CAUGHT_UP, caught_up),
        Figure::claim(
            "everything settled in the end, what the copy had forgotten included",
            "yes",
            settled.map_or_else(|| "no".to_owned(), |after| format!("after {}", seconds(after))),
            settled.is_some(),
        ),
    ];
    figures.extend(audit.figures());
    figures
}

/// Kills who speaks to the database, puts the copy in its place and starts them again. Answers when that began.
async fn restart_on(stage: &Stage, site: &mut Site, traffic: &Traffic, file: &Path) -> u64 {
    let lost_at = traffic.elapsed_millis();
    let nodes = if stage.is_single() { &mut site.relays } else { &mut site.controls };
    nodes.iter_mut().for_each(Node::kill_9);
    load(stage, site, file);
    let nodes = if stage.is_single() { &mut site.relays } else { &mut site.controls };
    nodes.iter_mut().for_each(Node::start);
    for node in nodes.iter() {
        node.wait_ready().await;
    }
    lost_at
}

/// Puts the copy in the place of the database under replicas that run on. Answers when.
async fn replace_under(stage: &Stage, site: &Site, traffic: &Traffic, file: &Path) -> u64 {
    let copy = format!("{}_copy", name_of(site.database.dsn()));
    stage.services().load(stage.database_service(), &copy, file);
    let lost_at = traffic.elapsed_millis();
    site.books.replace_by(&copy).await.expect("the copy can be put in place");
    lost_at
}

fn first(failures: &[String]) -> String {
    failures.first().cloned().unwrap_or_else(|| "none was".to_owned())
}

/// The name in an address of a server.
fn name_of(dsn: &str) -> &str {
    dsn.rsplit_once('/').map_or(dsn, |(_, name)| name)
}

fn file_of(dsn: &str) -> PathBuf {
    PathBuf::from(dsn.trim_start_matches("sqlite://"))
}

async fn save(stage: &Stage, site: &Site, file: &Path) {
    if stage.is_single() {
        site.books.tamper(&format!("VACUUM INTO '{}'", file.display())).await.expect("the database can be copied");
    } else {
        stage.services().save(stage.database_service(), name_of(site.database.dsn()), file);
    }
}

fn load(stage: &Stage, site: &Site, file: &Path) {
    if !stage.is_single() {
        stage.services().load(stage.database_service(), name_of(site.database.dsn()), file);
        return;
    }
    let database = file_of(site.database.dsn());
    for end in ["-wal", "-shm"] {
        std::fs::remove_file(format!("{}{end}", database.display())).ok();
    }
    std::fs::copy(file, database).expect("the copy can be put in place");
}
