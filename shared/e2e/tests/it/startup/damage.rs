//! Files a relay starts with all the same when they are damaged: nothing is lost but what cannot be read, and that is counted and told.

use std::fs;
use std::path::{Path, PathBuf};
use std::time::Duration;

use serde_json::{Value, json};
use sluice_e2e::fleet::{Fleet, PROVIDER_KEY, wait_for};
use sluice_testkit::client::Caller;
use sluice_testkit::database::Engine;
use sluice_testkit::ports;
use sluice_testkit::process::{Launch, Process};

use super::{Start, USAGE, contents};

const LIMIT: Duration = Duration::from_mins(5);
const MODEL: &str = "gpt-4o-mini";

async fn ask(caller: &Caller) -> (u16, String) {
    let body = json!({"model": MODEL, "messages": [{"role": "user", "content": "hi"}]});
    let answer = caller.post("/v1/chat/completions", &body).await;
    (answer.status.as_u16(), answer.header("x-request-id").unwrap_or_default().to_owned())
}

/// Flips a bit of a file, at a place counted from its last byte that is not zero.
fn flip(path: &Path, from_end: usize) {
    let mut bytes = fs::read(path).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
    let last = bytes.iter().rposition(|byte| *byte != 0).expect("something is written");
    bytes[last - from_end] ^= 4;
    fs::write(path, bytes).expect("a file can be written");
}

/// The newest segment of the newest life.
fn newest_segment(relay: &Path) -> PathBuf {
    let newest = |folder: &Path, is_it: &dyn Fn(&Path) -> bool| {
        let entries = fs::read_dir(folder).expect("a folder can be read").map(|entry| entry.expect("it can be read").path());
        entries.filter(|path| is_it(path)).max().expect("there is one")
    };
    let epoch = newest(&relay.join("spool"), &|path| path.is_dir());
    newest(&epoch, &|path| path.extension().is_some_and(|extension| extension == "seg"))
}

#[tokio::test(flavor = "multi_thread")]
async fn damaged_files_do_not_keep_a_relay_from_starting_and_cost_one_record_at_most() {
    let mut fleet = Fleet::start(Engine::Sqlite, 1).await;
    fleet.api.channel("simulator", &fleet.simulator.base_url(), PROVIDER_KEY, &[MODEL]).await;
    fleet.api.price(MODEL, "0.75", "4").await;
    let user = fleet.api.user("ana", 5_000_000).await;
    let token = fleet.api.token(user, "t").await;
    fleet.settle_config().await;
    let caller = fleet.caller(0, &token.key);
    // busy enough to be lent more than one request takes
    let mut asked = Vec::new();
    for _ in 0..30 {
        asked.push(ask(&caller).await);
    }
    let folder = fleet.relays[0].folder().to_owned();
    wait_for("the configuration is on the disk", async || folder.join("last-good").is_file()).await;

    // what follows stays in the spool
    fleet.control.kill_9();
    for _ in 0..3 {
        asked.push(ask(&caller).await);
    }
    assert!(asked.iter().all(|(status, id)| *status == 200 && !id.is_empty()), "{asked:?}");
    fleet.relays[0].kill_9();
    let damaged = asked.len() - 1;

    // the last record, everything that is known without control plane, and the number of the last life
    flip(&newest_segment(&folder), 6);
    fs::write(folder.join("last-good.previous"), "garbage").expect("a file can be written");
    flip(&folder.join("last-good"), 100);
    fs::write(folder.join("last-good.fresh"), [0xff; 7]).expect("a file can be written");
    fs::write(folder.join("node.epoch"), [0xff, 0xfe, b'1']).expect("a file can be written");

    let relay = &mut fleet.relays[0];
    relay.start();
    let process = relay.process().expect("it runs");
    process.wait_for_line("its leases stay in doubt", LIMIT).await;
    process.wait_for_line("last-good.previous: ", LIMIT).await;
    process.wait_for_line("node.epoch is damaged", LIMIT).await;
    assert!(process.is_running());
    let output = relay.output();
    assert!(!output.contains("panicked") && !output.contains(&token.key) && !output.contains(PROVIDER_KEY), "{output}");
    wait_for("the relay listens", async || caller.try_post("/v1/chat/completions", &json!({})).await.is_ok()).await;
    let (status, _) = ask(&caller).await;
    assert_eq!(status, 503, "what a relay does not know is neither forbidden nor unknown");
    assert!(fleet.relays[0].metric("sluice_relay_spool_lost_bytes_total").await > 0.0);
    let errors = fleet.relays[0].metric("sluice_relay_last_good_errors_total").await;
    assert!((errors - 2.0).abs() < 0.5, "{errors} damaged files were counted");

    fleet.control.start();
    fleet.control.wait_ready().await;
    fleet.relays[0].wait_ready().await;
    asked.push(ask(&caller).await);
    assert_eq!(asked[damaged + 1].0, 200);
    let path = format!("/api/requests?user_id={user}");
    wait_for("everything is settled", async || fleet.api.all(&path).await.len() == asked.len()).await;
    let rows = fleet.api.all(&path).await;
    for (place, (_, id)) in asked.iter().enumerate() {
        let own: Vec<&Value> = rows.iter().filter(|row| row["request_id"] == **id).collect();
        assert_eq!(own.len(), 1, "{id} has one row");
        // of the damaged record its intent is left: the request ends as one that was cut off
        let expected = if place == damaged { "orphaned" } else { "completed" };
        assert_eq!(own[0]["outcome"], expected, "{place}: {own:?}");
    }
    let kept = contents(&folder.join("spool"));
    assert!(kept.keys().any(|path| path.to_string_lossy().ends_with(".tail.unreadable")), "what cannot be read is kept");
}

fn lonely_relay(folder: &Path, settings: &[(&str, &str)]) -> Process {
    let launch = Launch::of("sluice-relay")
        .in_folder(folder)
        .env("PORT", ports::free().to_string())
        .env("SLUICE_OPS_PORT", ports::free().to_string())
        .env("SLUICE_CONTROL_URL", format!("http://127.0.0.1:{}", ports::free()))
        .env("SLUICE_DATA_DIR", folder);
    settings.iter().fold(launch, |launch, (name, value)| launch.env(name, value)).start()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_relay_ignores_what_only_the_control_plane_is_told_with_one_warning() {
    let home = tempfile::tempdir().expect("a folder can be made");
    let relay = lonely_relay(
        home.path(),
        &[("SQL_DSN", "postgres://sluice:hunter2@db/x"), ("SESSION_SECRET", "hunter2"), ("SYNC_FREQUENCY", "60")],
    );
    relay.wait_for_line("listens on", LIMIT).await;
    let lines = relay.lines();
    let told: Vec<&String> =
        lines.iter().filter(|line| line.contains("SQL_DSN, SESSION_SECRET, SYNC_FREQUENCY ignored")).collect();
    assert_eq!(told.len(), 1, "{lines:?}");
    assert!(!lines.iter().any(|line| line.contains("hunter2")), "{lines:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_second_relay_in_the_same_folder_is_refused_and_changes_nothing() {
    let home = tempfile::tempdir().expect("a folder can be made");
    let first = lonely_relay(home.path(), &[]);
    first.wait_for_line("listens on", LIMIT).await;
    let identity = || ["node.id", "node.epoch", "node.key"].map(|name| fs::read(home.path().join(name)).ok());
    let before = identity();
    let line = Start::of("sluice-relay", home.path()).refused_for("SLUICE_DATA_DIR").await;
    assert!(line.contains("another process"), "{line}");
    assert_eq!(identity(), before);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_damaged_name_is_asked_for_and_a_damaged_node_key_is_made_anew() {
    let home = tempfile::tempdir().expect("a folder can be made");
    let mut first = lonely_relay(home.path(), &[]);
    first.wait_for_line("listens on", LIMIT).await;
    first.kill_9();
    fs::write(home.path().join("node.key"), "").expect("a file can be written");
    let mut second = lonely_relay(home.path(), &[]);
    second.wait_for_line("node.key is damaged", LIMIT).await;
    second.wait_for_line("listens on", LIMIT).await;
    second.kill_9();
    fs::write(home.path().join("node.id"), [0xff, 0xfe]).expect("a file can be written");
    let before = contents(home.path());
    Start::of("sluice-relay", home.path()).refused_for("SLUICE_NODE_NAME").await;
    super::assert_unchanged(home.path(), &before, "a relay without a name");
    let ended = Start::of("sluice-relay", home.path()).words(&["healthcheck"]).end().await;
    assert_ne!(ended.code, Some(USAGE), "{ended:?}");
}
