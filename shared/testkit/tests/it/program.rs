//! `sluice-simulator`, started as others start it.

use std::time::Duration;

use serde_json::json;
use sluice_testkit::client::Caller;
use sluice_testkit::ports;
use sluice_testkit::process::Launch;
use sluice_testkit::simulator::LogEntry;

const SOON: Duration = Duration::from_secs(20);

#[tokio::test]
async fn it_prints_its_address_serves_logs_to_its_file_and_ends_with_its_parent() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("log.ndjson");
    let mut program =
        Launch::of("sluice-simulator").args(["--key", "sk-test-0123456789", "--exit-with-parent", "--log"]).args([&file]).start();
    let line = program.wait_for_line("simulator listening on ", SOON).await;
    let base_url = line.strip_prefix("simulator listening on ").unwrap().to_owned();

    let body = json!({"model": "demo", "messages": [{"role": "user", "content": "hi"}], "user": "first"});
    let caller = Caller::new(base_url);
    assert_eq!(caller.post("/v1/chat/completions", &body).await.status, 401);
    assert_eq!(caller.with_key("sk-test-0123456789").post("/v1/chat/completions", &body).await.status, 200);

    let text = std::fs::read_to_string(&file).unwrap();
    let entries: Vec<LogEntry> = text.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    assert_eq!(entries.iter().map(|entry| entry.status).collect::<Vec<_>>(), [401, 200]);
    assert_eq!(entries[1].request_id.as_deref(), Some("first"));

    program.close_stdin();
    assert!(program.wait_exit(SOON).await.success());
}

#[tokio::test]
async fn a_port_in_use_is_one_clear_line() {
    let port = ports::free();
    let listen = format!("127.0.0.1:{port}");
    let first = Launch::of("sluice-simulator").args(["--listen", &listen]).start();
    first.wait_for_line("simulator listening on ", SOON).await;
    let mut second = Launch::of("sluice-simulator").args(["--listen", &listen]).start();
    second.wait_for_line(&format!("cannot start on {listen}"), SOON).await;
    assert_eq!(second.wait_exit(SOON).await.code(), Some(64));
}
