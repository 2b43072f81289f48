use super::*;
use clap::CommandFactory;

fn node(set: impl FnOnce(&mut NodeOptions)) -> Options {
    let mut node = NodeOptions { control_url: Some("https://control:3001".into()), ..NodeOptions::default() };
    set(&mut node);
    Options { version: false, node, requests: RequestOptions::default(), command: None }
}

#[test]
fn the_command_line_is_well_formed() {
    Options::command().debug_assert();
}

#[test]
fn a_control_plane_address_is_enough() {
    let settings = node(|_| {}).read().unwrap();
    assert_eq!(settings.listen.port(), 3000);
    assert_eq!(settings.ops_listen.port(), 9090);
    assert_eq!(settings.data_dir, PathBuf::from("./data/relay"));
    assert_eq!(settings.control, ["https://control:3001"]);
    assert_eq!(settings.requests.max_body_bytes, 32 << 20);
    assert_eq!(settings.requests.stream_idle, Duration::from_mins(5));
    assert_eq!(settings.requests.answer_timeout, Some(Duration::from_mins(10)));
    assert_eq!(settings.requests.max_line_bytes, 64 << 20);
    assert_eq!(settings.trusted_proxies.len(), 2);
    assert!(settings.requests.byte_budget >= 64 << 20);
}

#[test]
fn every_problem_is_told_at_once_and_no_value_with_it() {
    let mut options = node(|node| {
        node.port = Some("70000".into());
        node.control_url = Some("postgres://user:hunter2@db/x, https://good:1".into());
        node.join_secret = Some("hunter2".into());
        node.join_secret_file = Some("/nowhere".into());
        node.node_name = Some("Relay_1".into());
        node.trusted_proxies = Some("10.0.0.0/8,nonsense".into());
        node.frontend_base_url = Some("ftp://x".into());
        node.log_format = Some("xml".into());
        node.drain_timeout = Some("-1".into());
    });
    options.requests.streaming_timeout = Some("0".into());
    options.requests.max_request_body_mb = Some("a lot".into());
    let problems = options.read().unwrap_err();
    let names = [
        "MAX_REQUEST_BODY_MB",
        "STREAMING_TIMEOUT",
        "PORT",
        "SLUICE_CONTROL_URL",
        "SLUICE_JOIN_SECRET",
        "SLUICE_NODE_NAME",
        "TRUSTED_PROXIES",
        "FRONTEND_BASE_URL",
        "SLUICE_LOG_FORMAT",
        "DRAIN_TIMEOUT",
    ];
    assert_eq!(problems.lines().len(), names.len(), "{problems}");
    for (line, name) in problems.lines().iter().zip(names) {
        assert!(line.starts_with(name), "{line}");
    }
    assert!(!problems.to_string().contains("hunter2"));
}

#[test]
fn clear_text_beyond_this_machine_has_to_be_allowed() {
    let read = |url: &str, allowed: Option<&str>| {
        let settings = node(|node| {
            node.control_url = Some(url.into());
            node.control_plaintext = allowed.map(Into::into);
        });
        settings.read().map_err(|problems| problems.to_string())
    };
    for url in ["http://localhost:3001", "http://127.0.0.1:3001,http://[::1]:3001", "https://control:3001"] {
        assert!(read(url, None).is_ok(), "{url}");
    }
    for allowed in [None, Some("false"), Some("")] {
        let problem = read("https://control:3001,http://control:3001", allowed).unwrap_err();
        assert!(problem.starts_with("SLUICE_CONTROL_URL must be https") && problem.lines().count() == 1, "{problem}");
        assert!(problem.contains("SLUICE_CONTROL_PLAINTEXT=true"), "{problem}");
    }
    assert!(read("http://control:3001", Some("true")).is_ok());
    assert!(read("http://control:3001", Some("yes")).unwrap_err().starts_with("SLUICE_CONTROL_PLAINTEXT must be"));
    assert!(read("https://user:hunter2@control:3001", None).unwrap_err().starts_with("SLUICE_CONTROL_URL must be"));
}

#[test]
fn an_authority_has_to_be_a_certificate() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("ca.pem");
    std::fs::write(&path, "-----BEGIN PRIVATE KEY-----\n").unwrap();
    let problems = node(|node| node.control_ca_file = Some(path)).read().unwrap_err();
    assert!(problems.to_string().starts_with("SLUICE_CONTROL_CA_FILE names "), "{problems}");
}

#[test]
fn a_secret_file_is_read_and_an_empty_one_refused() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("join");
    std::fs::write(&path, "  s3cret\n").unwrap();
    let settings = node(|node| node.join_secret_file = Some(path.clone())).read().unwrap();
    assert_eq!(secrecy::ExposeSecret::expose_secret(&settings.join_secret.unwrap()), "s3cret");
    std::fs::write(&path, " \n").unwrap();
    let problems = node(|node| node.join_secret_file = Some(path)).read().unwrap_err();
    assert!(problems.lines()[0].starts_with("SLUICE_JOIN_SECRET_FILE"), "{problems}");
}

#[test]
fn variables_set_to_nothing_or_by_kubernetes_are_not_set() {
    let settings = node(|node| {
        node.port = Some(String::new());
        node.ops_port = Some("tcp://10.0.0.1:9090".into());
        node.trusted_proxies = Some(" ".into());
    });
    let settings = settings.read().unwrap();
    assert_eq!((settings.listen.port(), settings.ops_listen.port()), (3000, 9090));
}

#[test]
fn settings_of_the_control_plane_are_ignored_by_name() {
    let settings = node(|node| {
        node.sql_dsn = Some("root:123456@tcp(mysql:3306)/x".into());
        node.sync_frequency = Some("60".into());
    });
    assert_eq!(settings.read().unwrap().notices.ignored, ["SQL_DSN", "SYNC_FREQUENCY"]);
}

#[test]
fn the_proxy_for_media_is_an_address_and_never_shown() {
    let with = |url: &str| {
        let mut options = node(|_| {});
        options.requests.user_content_request_proxy = Some(url.into());
        options.read()
    };
    assert!(with("socks5h://user:hunter2@proxy.example:1080").unwrap().requests.media_proxy.is_some());
    assert_eq!(with(" ").unwrap().requests.media_proxy, None, "set to nothing is not set");
    let problems = with("ftp://user:hunter2@proxy.example").unwrap_err();
    assert!(
        problems.to_string().contains("USER_CONTENT_REQUEST_PROXY") && !problems.to_string().contains("hunter2"),
        "{problems}"
    );
}
