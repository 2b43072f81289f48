use super::*;
use clap::{Args, FromArgMatches};

#[expect(clippy::needless_pass_by_value, reason = "each test makes its options in place")]
fn read(process: ProcessOptions, control: ControlOptions) -> Result<Settings, Vec<String>> {
    Settings::read(&process, &control).map_err(|problems| problems.to_string().lines().map(ToOwned::to_owned).collect())
}

#[expect(clippy::unnecessary_wraps, reason = "every option is optional")]
fn some(text: &str) -> Option<String> {
    Some(text.to_owned())
}

#[test]
fn without_any_setting_it_is_sqlite_in_the_data_folder_and_relays_connect_from_here_only() {
    let settings = read(ProcessOptions::default(), ControlOptions::default()).unwrap();
    assert_eq!(settings.http.to_string(), "0.0.0.0:3000");
    assert_eq!(settings.grpc.to_string(), "127.0.0.1:3001");
    assert_eq!(settings.ops.to_string(), "0.0.0.0:9090");
    assert_eq!(settings.database.place(), "./data/sluice.db");
    assert_eq!(settings.migrate, MigrateMode::Auto);
    assert_eq!(settings.log.filter, "info");
    assert!(settings.notices.is_empty());
    let trusted: Vec<String> = settings.trusted_proxies.iter().map(ToString::to_string).collect();
    assert_eq!(trusted, ["127.0.0.0/8", "::1/128"]);
}

#[test]
fn with_a_join_secret_relays_may_connect_from_elsewhere() {
    let control = ControlOptions { join_secret: some("0123456789abcdef"), ..ControlOptions::default() };
    assert_eq!(read(ProcessOptions::default(), control).unwrap().grpc.to_string(), "0.0.0.0:3001");
}

#[test]
fn every_mistake_is_told_at_once_by_the_name_of_its_setting_and_never_with_its_value() {
    let process = ProcessOptions {
        bind: some("hunter2"),
        port: some("hunter2"),
        ops_port: some("0"),
        trusted_proxies: some("10.0.0.0/8,hunter2"),
        tz: some("Mars/hunter2"),
        log_format: some("hunter2"),
        debug: some("hunter2"),
        drain_timeout: some("-1"),
        ..ProcessOptions::default()
    };
    let control = ControlOptions {
        sql_dsn: some("hunter2"),
        sql_max_open_conns: some("99999999999999999999"),
        sqlite_busy_timeout: some("-5"),
        migrate: some("hunter2"),
        crypto_secret: some("hunter2,,"),
        session_secret: some("random_string"),
        join_secret: some("hunter2"),
        grpc_port: some("65536"),
        initial_root_password: some("hunter2"),
        batch_update_interval: some("NaN"),
        ..ControlOptions::default()
    };
    let problems = read(process, control).unwrap_err();
    let named: Vec<&str> = problems.iter().map(|line| line.split(' ').next().unwrap()).collect();
    for setting in [
        "SLUICE_BIND",
        "PORT",
        "SLUICE_OPS_PORT",
        "TRUSTED_PROXIES",
        "TZ",
        "SLUICE_LOG_FORMAT",
        "DEBUG",
        "DRAIN_TIMEOUT",
        "SQL_DSN",
        "SQL_MAX_OPEN_CONNS",
        "SQLITE_BUSY_TIMEOUT",
        "SLUICE_MIGRATE",
        "CRYPTO_SECRET",
        "SESSION_SECRET",
        "SLUICE_JOIN_SECRET",
        "SLUICE_GRPC_PORT",
        "INITIAL_ROOT_PASSWORD",
        "BATCH_UPDATE_INTERVAL",
    ] {
        assert!(named.contains(&setting), "{setting} is missing in {problems:?}");
    }
    assert!(problems.iter().all(|line| !line.contains("hunter2")), "{problems:?}");
}

#[test]
fn secrets_come_from_files_too_but_not_from_both() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("secret");
    std::fs::write(&path, "from a file, with 16 characters\n").unwrap();
    let file = some(path.to_str().unwrap());
    let control = ControlOptions { join_secret_file: file.clone(), ..ControlOptions::default() };
    let settings = read(ProcessOptions::default(), control.clone()).unwrap();
    let secret = settings.secrets.join.unwrap();
    assert_eq!(secrecy::ExposeSecret::expose_secret(&secret), "from a file, with 16 characters");

    let both = ControlOptions { join_secret: some("from the environment"), ..control };
    assert_eq!(
        read(ProcessOptions::default(), both).unwrap_err(),
        ["SLUICE_JOIN_SECRET_FILE must not be set beside SLUICE_JOIN_SECRET"]
    );
    let gone = ControlOptions { crypto_secret_file: some("/nowhere/at/all"), ..ControlOptions::default() };
    assert!(
        read(ProcessOptions::default(), gone).unwrap_err()[0].starts_with("CRYPTO_SECRET_FILE names a file that cannot be read")
    );
    std::fs::write(&path, "\n").unwrap();
    let empty = ControlOptions { crypto_secret_file: file, ..ControlOptions::default() };
    assert!(read(ProcessOptions::default(), empty).unwrap_err()[0].contains("empty or too large"));
}

#[test]
fn empty_variables_count_as_unset_and_service_links_of_kubernetes_are_ignored() {
    let process = ProcessOptions { port: some(""), ops_port: some(" "), tz: some(""), ..ProcessOptions::default() };
    let control = ControlOptions { grpc_port: some("tcp://10.0.0.1:3001"), sql_dsn: some(""), ..ControlOptions::default() };
    let settings = read(process, control).unwrap();
    assert_eq!((settings.http.port(), settings.grpc.port()), (3000, 3001));
    assert_eq!(settings.notices.len(), 1);
    assert!(settings.notices[0].starts_with("SLUICE_GRPC_PORT is a service link"));
}

#[test]
fn settings_of_the_family_that_have_no_effect_here_are_told_once_each() {
    let control = ControlOptions {
        batch_update_enabled: some("false"),
        memory_cache_enabled: some("false"),
        sync_frequency: some("60"),
        sql_max_idle_conns: some("100"),
        ..ControlOptions::default()
    };
    let notices = read(ProcessOptions::default(), control).unwrap().notices;
    let named: Vec<&str> = notices.iter().map(|line| line.split([' ', '=']).next().unwrap()).collect();
    assert_eq!(named, ["BATCH_UPDATE_ENABLED", "MEMORY_CACHE_ENABLED", "SYNC_FREQUENCY", "SQL_MAX_IDLE_CONNS"]);
    let on = ControlOptions { batch_update_enabled: some("true"), ..ControlOptions::default() };
    assert!(read(ProcessOptions::default(), on).unwrap().notices.is_empty());
}

#[test]
fn addresses_of_a_redis_are_read_as_the_family_writes_them() {
    let of = |url: &str| {
        let control = ControlOptions { redis_conn_string: some(url), redis_pool_size: some("3"), ..ControlOptions::default() };
        read(ProcessOptions::default(), control)
    };
    for url in ["redis://redis", "redis://user:password@localhost:6379/0", "redis://default:redispw@localhost:49153", "a:1,b:2"] {
        let settings = of(url).unwrap();
        assert_eq!(settings.redis.unwrap().connections, 3, "{url}");
        assert!(settings.notices[0].starts_with("REDIS_CONN_STRING has no effect on the control plane"), "{url}");
    }
    for url in ["redis", "http://redis:6379", "redis://", "redis://user:hunter2@h/first", "redis://h:99999"] {
        let problems = of(url).unwrap_err().join("\n");
        assert!(problems.starts_with("REDIS_CONN_STRING"), "{problems}");
        assert!(!problems.contains("hunter2"), "{problems}");
    }
    assert!(read(ProcessOptions::default(), ControlOptions::default()).unwrap().redis.is_none());
}

#[test]
fn life_times_of_connections_are_read_in_minutes_and_in_seconds() {
    let lifetime = |control| read(ProcessOptions::default(), control).unwrap().pool.max_lifetime.as_secs();
    let seconds = ControlOptions { sql_max_lifetime: some("90"), ..ControlOptions::default() };
    assert_eq!(lifetime(seconds.clone()), 90);
    assert_eq!(lifetime(ControlOptions { sql_conn_max_lifetime: some("5"), ..seconds }), 300);
    assert_eq!(lifetime(ControlOptions::default()), 3_600);
}

#[test]
fn ports_must_differ() {
    let process = ProcessOptions { port: some("9090"), ..ProcessOptions::default() };
    assert_eq!(
        read(process, ControlOptions::default()).unwrap_err(),
        ["SLUICE_OPS_PORT must differ from PORT and SLUICE_GRPC_PORT"]
    );
}

#[test]
fn every_option_has_an_environment_variable_and_both_halves_fit_on_one_command_line() {
    let command = ControlOptions::augment_args(ProcessOptions::augment_args(clap::Command::new("sluice-control")));
    for argument in command.get_arguments() {
        assert!(argument.get_env().is_some(), "{} has no variable", argument.get_id());
    }
    let matches = command.try_get_matches_from(["sluice-control", "--port", "1", "--sql-dsn", "local"]).unwrap();
    assert_eq!(ProcessOptions::from_arg_matches(&matches).unwrap().port, some("1"));
    assert_eq!(ControlOptions::from_arg_matches(&matches).unwrap().sql_dsn, some("local"));
}
