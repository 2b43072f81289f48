use super::*;
use secrecy::ExposeSecret;

fn parse(text: &str) -> Result<Dsn, DsnError> {
    Dsn::parse(text, None, Path::new("data"))
}

/// Engine, host, port, user, password, database.
fn server_of(text: &str) -> (&'static str, String, u16, Option<String>, Option<String>, String) {
    let dsn = parse(text).unwrap();
    let engine = dsn.engine();
    let (Dsn::MySql(server) | Dsn::Postgres(server)) = dsn else { panic!("{text} is a file") };
    let password = server.password.map(|password| password.expose_secret().to_owned());
    (engine, server.host, server.port, server.user, password, server.database)
}

fn file_of(text: &str) -> PathBuf {
    match parse(text).unwrap() {
        Dsn::Sqlite(file) => file.path,
        other => panic!("{}", other.engine()),
    }
}

#[expect(clippy::unnecessary_wraps, reason = "most parts of a place are optional")]
fn some(text: &str) -> Option<String> {
    Some(text.to_owned())
}

#[test]
fn the_strings_of_the_familys_guides_are_read_as_they_stand() {
    assert_eq!(
        server_of("root:123456@tcp(mysql:3306)/x?charset=utf8mb4&parseTime=True&loc=Local"),
        ("MySQL", "mysql".into(), 3306, some("root"), some("123456"), "x".into())
    );
    assert_eq!(server_of("u:p@tcp(h:1)/one-api"), ("MySQL", "h".into(), 1, some("u"), some("p"), "one-api".into()));
    assert_eq!(
        server_of("oneapi:123456@tcp(db:3306)/one-api"),
        ("MySQL", "db".into(), 3306, some("oneapi"), some("123456"), "one-api".into())
    );
    assert_eq!(
        server_of("postgresql://root:123456@postgres:5432/new-api"),
        ("PostgreSQL", "postgres".into(), 5432, some("root"), some("123456"), "new-api".into())
    );
}

#[test]
fn every_form_of_a_server_is_read() {
    for (text, expected) in [
        ("postgres://u@h/d", ("PostgreSQL", "h".into(), 5432, some("u"), None, "d".into())),
        ("postgres://u:p%40%2F@[::1]:6/d?sslmode=disable", ("PostgreSQL", "::1".into(), 6, some("u"), some("p@/"), "d".into())),
        ("mysql://u:p@h/d?charset=utf8mb4&unknown=1", ("MySQL", "h".into(), 3306, some("u"), some("p"), "d".into())),
        ("mysql://root:123456@tcp(mysql:3306)/x", ("MySQL", "mysql".into(), 3306, some("root"), some("123456"), "x".into())),
        ("tcp(h)/d", ("MySQL", "h".into(), 3306, None, None, "d".into())),
        ("u:p:@/x@tcp([::1]:7)/d", ("MySQL", "::1".into(), 7, some("u"), some("p:@/x"), "d".into())),
        ("u@tcp(:3307)/d", ("MySQL", "localhost".into(), 3307, some("u"), None, "d".into())),
    ] {
        assert_eq!(server_of(text), expected, "{text}");
    }
}

#[test]
fn sockets_and_encryption_are_read_in_the_words_of_each_driver() {
    let tls = |text: &str| match parse(text).unwrap() {
        Dsn::MySql(server) | Dsn::Postgres(server) => (server.tls, server.socket),
        Dsn::Sqlite(_) => panic!("a file"),
    };
    assert_eq!(tls("u:p@unix(/run/mysqld.sock)/d"), (Tls::Preferred, Some("/run/mysqld.sock".into())));
    assert_eq!(tls("postgres://u@h/d?host=/run/postgresql"), (Tls::Preferred, Some("/run/postgresql".into())));
    for (text, expected) in [
        ("postgres://u@h/d?sslmode=verify-full", Tls::VerifyHost),
        ("postgres://u@h/d?sslmode=require", Tls::Required),
        ("mysql://u@h/d?ssl-mode=VERIFY_CA", Tls::VerifyCa),
        ("u@tcp(h)/d?tls=skip-verify&loc=Local", Tls::Required),
        ("u@tcp(h)/d?tls=true", Tls::VerifyHost),
        ("u@tcp(h)/d?tls=false", Tls::Off),
    ] {
        assert_eq!(tls(text).0, expected, "{text}");
    }
}

#[test]
fn nothing_and_local_are_our_own_file() {
    for text in ["", "  ", "local", "local-anything"] {
        assert_eq!(file_of(text), PathBuf::from("data/sluice.db"), "{text:?}");
    }
    assert_eq!(file_of("sqlite:/var/x.db"), PathBuf::from("/var/x.db"));
    assert_eq!(file_of("sqlite://rel/x.db?mode=rwc"), PathBuf::from("rel/x.db"));
    let dsn = Dsn::parse("", Some("one.db?_busy_timeout=30000"), Path::new("data")).unwrap();
    let Dsn::Sqlite(file) = dsn else { panic!("no file") };
    assert_eq!((file.path, file.busy_timeout), (PathBuf::from("one.db"), Duration::from_secs(30)));
}

#[test]
fn what_is_no_dsn_is_refused_by_the_rule_it_breaks_and_never_repeated() {
    for (text, expected) in [
        ("hunter2", DsnError::Form),
        ("mongodb://u:hunter2@h/d", DsnError::Form),
        ("u:hunter2@udp(h)/d", DsnError::Form),
        ("u:hunter2@h/d", DsnError::Form),
        ("postgres://u:hunter2@h", DsnError::NoDatabase),
        ("postgres://u:hunter2@h/", DsnError::NoDatabase),
        ("u:hunter2@tcp(h)/", DsnError::NoDatabase),
        ("u:hunter2@tcp(h)", DsnError::NoDatabase),
        ("u:hunter2@tcp(h:0)/d", DsnError::Port),
        ("u:hunter2@tcp(h:99999)/d", DsnError::Port),
        ("postgres://u:hunter2@h:99999/d", DsnError::Port),
        ("postgres://u:hunter2@h/d?sslmode=maybe", DsnError::Tls),
        ("sqlite::memory:", DsnError::InMemory),
        ("sqlite:x?mode=memory", DsnError::InMemory),
    ] {
        let error = parse(text).unwrap_err();
        assert_eq!(error, expected, "{text}");
        assert!(!error.to_string().contains("hunter2"), "{error}");
    }
}

#[test]
fn a_place_names_no_user_and_debug_no_password() {
    let dsn = parse("root:hunter2@tcp(mysql:3306)/x").unwrap();
    assert_eq!(dsn.place(), "mysql:3306/x");
    assert!(!format!("{dsn:?}").contains("hunter2"));
}
