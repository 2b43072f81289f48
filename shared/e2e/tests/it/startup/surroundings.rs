//! What only turns out on the machine: ports, folders, databases and keys.

use std::net::TcpListener;
use std::path::Path;

use sluice_testkit::database::{Engine, TestDatabase, engines};
use sluice_testkit::ports;
use sqlx::{AssertSqlSafe, Connection, MySqlConnection, PgConnection, Row, SqliteConnection};

use super::{Start, assert_unchanged, contents};

const CONTROLS: [&str; 2] = ["sluice-control", "sluice"];
const ONE_SECRET: &str = "the first secret of this site";
const OTHER_SECRET: &str = "hunter2 is not what sealed this site";

#[tokio::test(flavor = "multi_thread")]
async fn a_port_in_use_is_told_by_its_setting_before_anything_is_made() {
    for (program, settings) in [
        ("sluice-control", &["PORT", "SLUICE_GRPC_PORT", "SLUICE_OPS_PORT"][..]),
        ("sluice", &["PORT", "SLUICE_OPS_PORT"]),
        ("sluice-relay", &["PORT", "SLUICE_OPS_PORT"]),
    ] {
        for setting in settings {
            let taken = TcpListener::bind(("0.0.0.0", ports::free())).expect("the port is free");
            let port = taken.local_addr().expect("it listens").port();
            let home = tempfile::tempdir().expect("a folder can be made");
            let start = Start::of(program, &home.path().join("data")).with(setting, port.to_string());
            let line = start.refused_for(setting).await;
            assert!(line.contains("cannot listen on") && line.contains(&port.to_string()), "{line}");
            assert!(contents(home.path()).is_empty(), "{program} made something although {setting} is taken");
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn an_address_of_another_machine_is_told_by_its_setting() {
    let home = tempfile::tempdir().expect("a folder can be made");
    for program in CONTROLS {
        Start::of(program, &home.path().join("data")).with("SLUICE_BIND", "192.0.2.1").refused_for("SLUICE_BIND").await;
    }
    assert!(contents(home.path()).is_empty());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_data_folder_that_cannot_be_written_is_told_by_its_setting() {
    let home = tempfile::tempdir().expect("a folder can be made");
    let file = home.path().join("file");
    std::fs::write(&file, "not a folder").expect("a file can be written");
    let before = contents(home.path());
    // a file is in the way: permissions would not stop a test that runs as root
    for program in ["sluice-control", "sluice", "sluice-relay"] {
        for data in [file.clone(), file.join("data")] {
            let line = Start::of(program, &data).refused_for("SLUICE_DATA_DIR").await;
            assert!(line.contains("uid"), "{line}");
        }
    }
    for program in CONTROLS {
        let database = file.join("sluice.db").display().to_string();
        Start::of(program, &home.path().join("data")).with("SQLITE_PATH", database).refused_for("SQLITE_PATH").await;
    }
    assert_unchanged(home.path(), &before, "nothing is made beside it");
}

#[tokio::test(flavor = "multi_thread")]
async fn one_process_does_not_begin_half() {
    let home = tempfile::tempdir().expect("a folder can be made");
    std::fs::write(home.path().join("relay"), "not a folder").expect("a file can be written");
    let before = contents(home.path());
    Start::of("sluice", home.path()).refused_for("SLUICE_DATA_DIR").await;
    assert_unchanged(home.path(), &before, "the database was made although the relay's folder cannot be");
}

#[tokio::test(flavor = "multi_thread")]
async fn an_ancestors_database_is_refused_as_what_it_is() {
    for engine in engines() {
        let database = TestDatabase::create(engine).await;
        for table in ["abilities", "options", "channels", "users", "tokens"] {
            let quote = if engine == Engine::Mysql { '`' } else { '"' };
            execute(engine, database.dsn(), &format!("CREATE TABLE {quote}{table}{quote} (id INT)")).await;
        }
        let before = fingerprint(engine, database.dsn()).await;
        for program in CONTROLS {
            let home = tempfile::tempdir().expect("a folder can be made");
            let start = Start::of(program, &home.path().join("data")).with("SQL_DSN", database.dsn());
            let line = start.with("CRYPTO_SECRET", ONE_SECRET).refused_for("SQL_DSN").await;
            assert!(
                line.contains("One API or New API") && line.contains("cannot bring it over: SQL_DSN must name an empty database"),
                "{line}"
            );
            assert!(contents(home.path()).is_empty(), "{engine}: {program} made something");
        }
        assert_eq!(fingerprint(engine, database.dsn()).await, before, "{engine}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn an_ancestors_file_in_the_data_folder_is_left_as_it_is() {
    let home = tempfile::tempdir().expect("a folder can be made");
    let file = home.path().join("one-api.db");
    let dsn = format!("sqlite://{}", file.display());
    for table in ["abilities", "options", "channels"] {
        execute(Engine::Sqlite, &format!("{dsn}?mode=rwc"), &format!("CREATE TABLE {table} (id INT)")).await;
    }
    let before = contents(home.path());
    for program in CONTROLS {
        let line = Start::of(program, home.path()).refused_for("SLUICE_DATA_DIR").await;
        assert!(line.contains("One API or New API") && line.contains("cannot bring it over"), "{line}");
        let line =
            Start::of(program, home.path()).with("SQLITE_PATH", file.display().to_string()).refused_for("SQLITE_PATH").await;
        assert!(line.contains("One API or New API") && line.contains("cannot bring it over"), "{line}");
        assert_unchanged(home.path(), &before, program);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_database_that_does_not_answer_is_told_by_its_setting() {
    let home = tempfile::tempdir().expect("a folder can be made");
    let port = ports::free();
    for dsn in [
        format!("postgres://sluice:hunter2@127.0.0.1:{port}/sluice"),
        format!("sluice:hunter2@tcp(127.0.0.1:{port})/sluice"),
        "mysql://sluice:hunter2@sluice.invalid/sluice".to_owned(),
    ] {
        for program in CONTROLS {
            let start = Start::of(program, &home.path().join("data")).with("SQL_DSN", &dsn).with("SLUICE_DATABASE_WAIT", "0");
            let line = start.refused_for("SQL_DSN").await;
            assert!(line.contains("cannot reach the database") && line.contains("/sluice: "), "{line}");
        }
    }
    assert!(contents(home.path()).is_empty());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_server_that_will_not_have_us_is_not_waited_for() {
    let home = tempfile::tempdir().expect("a folder can be made");
    for engine in engines().into_iter().filter(|engine| *engine != Engine::Sqlite) {
        let database = TestDatabase::create(engine).await;
        let (server, _) = database.dsn().rsplit_once('/').expect("a DSN ends with a database");
        let mut wrong = vec![format!("{server}/nowhere")];
        if engine == Engine::Mysql {
            wrong.push(database.dsn().replace("sluice@", "stranger:hunter2@"));
        }
        for dsn in wrong {
            for program in CONTROLS {
                // longer than this test waits for a process to end
                let start =
                    Start::of(program, &home.path().join("data")).with("SQL_DSN", &dsn).with("SLUICE_DATABASE_WAIT", "3600");
                start.refused_for("SQL_DSN").await;
            }
        }
    }
    assert!(contents(home.path()).is_empty());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_file_that_is_no_database_is_refused_and_left_as_it_is() {
    let home = tempfile::tempdir().expect("a folder can be made");
    std::fs::write(home.path().join("sluice.db"), "this was a database once, ".repeat(400)).expect("a file can be written");
    let before = contents(home.path());
    for program in CONTROLS {
        Start::of(program, home.path()).refused_for("SLUICE_DATA_DIR").await;
        assert_unchanged(home.path(), &before, program);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_wrong_secret_is_refused_before_anything_is_written() {
    for engine in engines() {
        let database = TestDatabase::create(engine).await;
        let home = tempfile::tempdir().expect("a folder can be made");
        let start =
            |program, secret: &str| Start::of(program, home.path()).with("SQL_DSN", database.dsn()).with("CRYPTO_SECRET", secret);
        let made = start("sluice-control", ONE_SECRET).words(&["migrate"]).end().await;
        assert_eq!(made.code, Some(0), "{engine}: {made:?}");
        let before = fingerprint(engine, database.dsn()).await;
        let folder =
            Path::new(database.dsn().strip_prefix("sqlite://").unwrap_or("/nowhere/x")).parent().expect("a file has a folder");
        let (files, data) = (contents(folder), contents(home.path()));
        for program in CONTROLS {
            start(program, OTHER_SECRET).refused_for("CRYPTO_SECRET").await;
            assert_unchanged(folder, &files, program);
            assert_unchanged(home.path(), &data, program);
            assert_eq!(fingerprint(engine, database.dsn()).await, before, "{engine} {program}");
            // without the setting there is no secret at all
            let without = Start::of(program, home.path()).with("SQL_DSN", database.dsn());
            let line = without.refused_for("SLUICE_DATA_DIR").await;
            assert!(line.contains("secret.key is missing"), "{line}");
            assert_unchanged(home.path(), &data, program);
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_changed_or_damaged_secret_file_is_refused_and_never_replaced() {
    let home = tempfile::tempdir().expect("a folder can be made");
    let made = Start::of("sluice-control", home.path()).words(&["migrate"]).end().await;
    assert_eq!(made.code, Some(0), "{made:?}");
    for (content, told) in
        [(&b"hunter2hunter2hunter2hunter2"[..], "is not the secret"), (b"\xff\xfe", "secret.key"), (b"", "secret.key")]
    {
        std::fs::write(home.path().join("secret.key"), content).expect("a file can be written");
        let before = contents(home.path());
        for program in CONTROLS {
            let line = Start::of(program, home.path()).refused_for("SLUICE_DATA_DIR").await;
            assert!(line.contains(told), "{line}");
            assert_unchanged(home.path(), &before, program);
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn pending_migrations_that_must_not_be_applied_leave_nothing_behind() {
    for engine in engines() {
        let database = TestDatabase::create(engine).await;
        let home = tempfile::tempdir().expect("a folder can be made");
        let before = fingerprint(engine, database.dsn()).await;
        for program in CONTROLS {
            let start = Start::of(program, &home.path().join("data")).with("SQL_DSN", database.dsn());
            start.with("SLUICE_MIGRATE", "check").refused_for("SLUICE_MIGRATE").await;
        }
        assert_eq!(fingerprint(engine, database.dsn()).await, before, "{engine}");
        assert!(contents(home.path()).is_empty(), "{engine}");
    }
}

async fn execute(engine: Engine, dsn: &str, sql: &str) {
    let sql = sqlx::raw_sql(AssertSqlSafe(sql.to_owned()));
    let done = match engine {
        Engine::Sqlite => {
            let dsn = if dsn.contains('?') { dsn.to_owned() } else { format!("{dsn}?mode=rwc") };
            sql.execute(&mut SqliteConnection::connect(&dsn).await.expect("the file opens")).await.map(drop)
        }
        Engine::Postgres => sql.execute(&mut PgConnection::connect(dsn).await.expect("the server answers")).await.map(drop),
        Engine::Mysql => sql.execute(&mut MySqlConnection::connect(dsn).await.expect("the server answers")).await.map(drop),
    };
    done.unwrap_or_else(|error| panic!("{engine}: {error}"));
}

/// Every table with a figure that changes when a row does; a SQLite file by its bytes, where it is there.
async fn fingerprint(engine: Engine, dsn: &str) -> Vec<String> {
    match engine {
        Engine::Sqlite => {
            let bytes = std::fs::read(dsn.trim_start_matches("sqlite://"));
            vec![format!("{:x?}", bytes.ok())]
        }
        Engine::Postgres => {
            let mut connection = PgConnection::connect(dsn).await.expect("the server answers");
            let tables =
                "SELECT table_name::text FROM information_schema.tables WHERE table_schema = current_schema() ORDER BY 1";
            let tables: Vec<String> = sqlx::query_scalar(tables).fetch_all(&mut connection).await.expect("tables are listed");
            let mut found = Vec::new();
            for table in tables {
                let sum =
                    format!("SELECT md5(COALESCE(string_agg(row::text, ',' ORDER BY row::text), '')) FROM \"{table}\" AS row");
                let sum: String = sqlx::query_scalar(AssertSqlSafe(sum)).fetch_one(&mut connection).await.expect("rows are read");
                found.push(format!("{table} {sum}"));
            }
            found
        }
        Engine::Mysql => {
            let mut connection = MySqlConnection::connect(dsn).await.expect("the server answers");
            let tables =
                "SELECT CAST(table_name AS CHAR) FROM information_schema.tables WHERE table_schema = DATABASE() ORDER BY 1";
            let tables: Vec<String> = sqlx::query_scalar(tables).fetch_all(&mut connection).await.expect("tables are listed");
            let mut found = Vec::new();
            for table in tables {
                let sum = sqlx::query(AssertSqlSafe(format!("CHECKSUM TABLE `{table}`")));
                let sum: Option<i64> = sum.fetch_one(&mut connection).await.expect("rows are read").get(1);
                found.push(format!("{table} {sum:?}"));
            }
            found
        }
    }
}
