//! Settings that are wrong in themselves, and `config check`, which tells.

use super::{CANARY, Start, USAGE, contents};

const OVERFLOW: &str = "99999999999999999999";

/// Bad values of settings that the control plane and `sluice` share.
const CONTROL: [(&str, &str); 44] = [
    ("SQL_DSN", CANARY),
    ("SQL_DSN", "postgres://sluice:hunter2@127.0.0.1:70000/sluice"),
    ("SQL_DSN", "postgres://sluice:hunter2@127.0.0.1/"),
    ("SQL_DSN", "root:hunter2@tcp(127.0.0.1:-1)/x"),
    ("SQL_DSN", "root:hunter2@tcp(127.0.0.1:3306)"),
    ("SQL_DSN", "mysql://root:hunter2@127.0.0.1/x?tls=hunter2"),
    ("SQL_DSN", "sqlite::memory:"),
    ("SQLITE_PATH", ":memory:"),
    ("SQLITE_BUSY_TIMEOUT", "-1"),
    ("SQL_MAX_OPEN_CONNS", "-5"),
    ("SQL_MAX_OPEN_CONNS", OVERFLOW),
    ("SQL_CONN_MAX_LIFETIME", "-1"),
    ("SQL_MAX_LIFETIME", OVERFLOW),
    ("SLUICE_DATABASE_WAIT", "-1"),
    ("SLUICE_MIGRATE", CANARY),
    ("SLUICE_BIND", CANARY),
    ("PORT", "-1"),
    ("PORT", "0"),
    ("PORT", "65536"),
    ("SLUICE_OPS_PORT", OVERFLOW),
    ("SLUICE_GRPC_PORT", "-1"),
    ("SLUICE_LOG_FORMAT", CANARY),
    ("SLUICE_LOG", "sluice=loud"),
    ("DEBUG", CANARY),
    ("TRUSTED_PROXIES", "10.0.0.0/8,hunter2"),
    ("TZ", "Mars/hunter2"),
    ("DRAIN_TIMEOUT", "-1"),
    ("DRAIN_TIMEOUT", OVERFLOW),
    ("CRYPTO_SECRET", "hunter2,,"),
    ("CRYPTO_SECRET_FILE", "/nowhere/hunter"),
    ("SESSION_SECRET", "random_string"),
    ("SLUICE_JOIN_SECRET", CANARY),
    ("INITIAL_ROOT_TOKEN", CANARY),
    ("INITIAL_ROOT_ACCESS_TOKEN", CANARY),
    ("INITIAL_ROOT_PASSWORD", CANARY),
    ("INITIAL_ROOT_PASSWORD", "password1234"),
    ("BATCH_UPDATE_INTERVAL", "NaN"),
    ("BATCH_UPDATE_INTERVAL", "-0.2"),
    ("GLOBAL_API_RATE_LIMIT_ENABLE", CANARY),
    ("GLOBAL_API_RATE_LIMIT", "-1"),
    ("GLOBAL_API_RATE_LIMIT_DURATION", OVERFLOW),
    ("GLOBAL_WEB_RATE_LIMIT", OVERFLOW),
    ("CRITICAL_RATE_LIMIT", "0"),
    ("CRITICAL_RATE_LIMIT_DURATION", "-1"),
];

/// Bad values of settings that the relay and `sluice` share.
const REQUESTS: [(&str, &str); 9] = [
    ("MAX_REQUEST_BODY_MB", "-1"),
    ("STREAMING_TIMEOUT", "0"),
    ("RELAY_TIMEOUT", OVERFLOW),
    ("STREAM_SCANNER_MAX_BUFFER_MB", OVERFLOW),
    ("SLUICE_BYTE_BUDGET_MB", "-1"),
    ("SLUICE_IDENTITY_MAX_STALE", "-600"),
    ("SLUICE_SPOOL_MAX_MB", OVERFLOW),
    ("SLUICE_SPOOL_MAX_MB", CANARY),
    ("SLUICE_MEDIA_FROM_PRIVATE", "perhaps"),
];

/// Bad values of a relay's own settings.
const RELAY: [(&str, &str); 20] = [
    ("SLUICE_CONTROL_URL", ""),
    ("SLUICE_CONTROL_URL", CANARY),
    ("SLUICE_CONTROL_URL", "postgres://sluice:hunter2@127.0.0.1/x"),
    ("SLUICE_CONTROL_URL", "https://user:hunter2@control:3001"),
    ("SLUICE_CONTROL_URL", "https://control:3001/hunter2"),
    ("SLUICE_CONTROL_URL", "http://control:3001"),
    ("SLUICE_CONTROL_URL", "http://192.0.2.1:3001"),
    ("SLUICE_CONTROL_PLAINTEXT", CANARY),
    ("SLUICE_CONTROL_CA_FILE", "/nowhere/ca.pem"),
    ("SLUICE_JOIN_SECRET_FILE", "/nowhere/join"),
    ("SLUICE_NODE_NAME", "Hunter 2"),
    ("PORT", "-1"),
    ("PORT", "65536"),
    ("SLUICE_OPS_PORT", OVERFLOW),
    ("TRUSTED_PROXIES", CANARY),
    ("FRONTEND_BASE_URL", "ftp://hunter2"),
    ("SLUICE_LOG_FORMAT", CANARY),
    ("SLUICE_LOG", "sluice=loud"),
    ("DRAIN_TIMEOUT", "-1"),
    ("DRAIN_TIMEOUT", OVERFLOW),
];

#[tokio::test(flavor = "multi_thread")]
async fn a_bad_setting_is_told_by_its_name_before_anything_is_made() {
    let all = [
        ("sluice-control", [&CONTROL[..], &[]].concat()),
        ("sluice", [&CONTROL[..], &REQUESTS[..]].concat()),
        ("sluice-relay", [&RELAY[..], &REQUESTS[..]].concat()),
    ];
    for (program, table) in all {
        for (setting, value) in table {
            let home = tempfile::tempdir().expect("a folder can be made");
            let data = home.path().join("data");
            Start::of(program, &data).with(setting, value).refused_for(setting).await;
            assert!(contents(home.path()).is_empty(), "{program} made something with {setting}={value}");
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_log_folder_that_cannot_be_written_is_told_by_its_setting() {
    let home = tempfile::tempdir().expect("a folder can be made");
    let file = home.path().join("file");
    std::fs::write(&file, "").expect("a file can be written");
    for program in ["sluice-control", "sluice", "sluice-relay"] {
        let start = Start::of(program, &home.path().join("data")).with("SLUICE_LOG_DIR", file.display().to_string());
        start.refused_for("SLUICE_LOG_DIR").await;
    }
    assert_eq!(contents(home.path()).len(), 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn words_no_program_knows_are_refused_without_repeating_what_may_be_a_secret() {
    let home = tempfile::tempdir().expect("a folder can be made");
    for program in ["sluice-control", "sluice", "sluice-relay"] {
        let start = Start::of(program, &home.path().join("data"));
        start.clone().words(&["--prot=hunter2"]).refused_for("--prot").await;
        start.clone().words(&["--port", "1", "--port", "2"]).refused_for("--port").await;
        let ended = start.words(&["hunter2"]).end().await;
        assert_eq!((ended.code, ended.errors.lines().count()), (Some(USAGE), 1), "{ended:?}");
        assert!(!ended.errors.contains(CANARY), "{ended:?}");
    }
    assert!(contents(home.path()).is_empty());
}

#[tokio::test(flavor = "multi_thread")]
async fn config_check_shows_every_setting_with_its_source_and_no_secret() {
    let home = tempfile::tempdir().expect("a folder can be made");
    let secret = "hunter2hunter2hunter2";
    for program in ["sluice-control", "sluice", "sluice-relay"] {
        let start = Start::of(program, &home.path().join("data"))
            .with("SLUICE_JOIN_SECRET", secret)
            .with("SQL_DSN", "postgres://sluice:hunter2@db/sluice")
            .with("FRONTEND_BASE_URL", "https://gateway.example.com")
            .words(&["config", "check", "--drain-timeout", "30"]);
        let ended = start.end().await;
        assert_eq!((ended.code, ended.errors.as_str()), (Some(0), ""), "{ended:?}");
        assert!(!ended.output.contains(CANARY), "{ended:?}");
        let port = format!("PORT={} (environment)", start.settings["PORT"]);
        let masked = ["SLUICE_JOIN_SECRET=******** (environment)", "SQL_DSN=******** (environment)"];
        let expected = ["DRAIN_TIMEOUT=30 (command line)", "SLUICE_LOG_FORMAT=auto", port.as_str()];
        for line in masked.into_iter().chain(expected) {
            assert!(ended.output.lines().any(|told| told.starts_with(line)), "{line} is missing: {}", ended.output);
        }
        assert!(ended.output.lines().all(|line| line.contains('=') && line.ends_with(')')), "{}", ended.output);
    }
    assert!(contents(home.path()).is_empty());
}

#[tokio::test(flavor = "multi_thread")]
async fn config_check_tells_every_problem_at_once() {
    let home = tempfile::tempdir().expect("a folder can be made");
    for program in ["sluice-control", "sluice", "sluice-relay"] {
        let start = Start::of(program, &home.path().join("data")).with("PORT", "-1").with("DRAIN_TIMEOUT", CANARY);
        let ended = start.with("TRUSTED_PROXIES", CANARY).words(&["config", "check"]).end().await;
        assert_eq!(ended.code, Some(USAGE), "{ended:?}");
        let told: Vec<&str> = ended.errors.lines().filter_map(|line| line.split(' ').nth(1)).collect();
        assert_eq!(told.len(), 3, "{ended:?}");
        assert!(["PORT", "DRAIN_TIMEOUT", "TRUSTED_PROXIES"].iter().all(|name| told.contains(name)), "{ended:?}");
        assert!(ended.output.contains("PORT=-1 (environment)"), "{ended:?}");
    }
}
