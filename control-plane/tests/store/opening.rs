//! Starting on whatever is there: a fresh place, our own, somebody else's, or none at all.

use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::time::Duration;

use axum::body::Body;
use axum::http::Request;
use sea_orm::sea_query::{Expr, ExprTrait, Query};
use sea_orm::{ConnectionTrait, Statement};
use secrecy::ExposeSecret;
use sluice_control_plane::config::{ControlOptions, ProcessOptions, Settings};
use sluice_control_plane::db::{self, Dsn, Found, PoolSettings};
use sluice_control_plane::start::{ControlPlane, Host, StartError, Time};
use sluice_domain::{Clock, Now};
use sluice_sealed::Place;
use sluice_telemetry::metrics::Registry;
use sluice_telemetry::tasks::Tasks;
use sluice_testkit::database::{Engine, TestDatabase, engines};
use tower::ServiceExt;

use crate::ground::START;

fn settings(data_dir: &Path, dsn: &str, change: impl FnOnce(&mut ControlOptions)) -> Settings {
    let process = ProcessOptions { data_dir: Some(data_dir.to_str().unwrap().into()), ..ProcessOptions::default() };
    let mut control = ControlOptions { sql_dsn: Some(dsn.into()), ..ControlOptions::default() };
    change(&mut control);
    Settings::read(&process, &control).unwrap()
}

async fn build(settings: Settings) -> Result<ControlPlane, StartError> {
    let clock = Clock::new(|| Now { wall: START, boot_millis: 1 });
    ControlPlane::build(settings, Host { clock, time: Time::OfTheClock, registry: Registry::new(), tasks: Tasks::new() }).await
}

fn refused(outcome: Result<ControlPlane, StartError>) -> (u8, String) {
    let error = outcome.err().expect("it started");
    (error.exit_code(), error.to_string())
}

async fn execute(dsn: &str, statements: &[&str]) {
    let db = db::connect(&Dsn::parse(dsn, None, Path::new(".")).unwrap(), PoolSettings::default()).await.unwrap();
    let tx = db.begin().await.unwrap();
    for sql in statements {
        tx.execute_raw(Statement::from_string(db.engine(), *sql)).await.unwrap();
    }
    tx.commit().await.unwrap();
    db.close().await;
}

async fn found(dsn: &str) -> Found {
    let db = db::connect(&Dsn::parse(dsn, None, Path::new(".")).unwrap(), PoolSettings::default()).await.unwrap();
    let found = db::look(&db).await.unwrap();
    db.close().await;
    found
}

#[tokio::test]
async fn a_place_that_was_empty_keeps_what_was_sealed_in_it_over_a_restart() {
    let folder = tempfile::tempdir().unwrap();
    let place = Place::row("channel_keys", "sealed_key", 1);
    let data = folder.path().join("data");
    let sealed = {
        let plane = build(settings(&data, "", |_| {})).await.unwrap();
        plane.app().keyring.seal_text(&place, &"sk-upstream".into()).unwrap()
    };
    let mode = std::fs::metadata(data.join("secret.key")).unwrap().permissions().mode();
    assert_eq!(mode & 0o777, 0o600);
    let again = build(settings(&data, "", |_| {})).await.unwrap();
    assert_eq!(again.app().keyring.open_text(&place, &sealed).unwrap().expose_secret(), "sk-upstream");
    let select = Query::select().columns(["lineage", "seq"]).from("config_head").to_owned();
    let heads = again.app().db.read().query_all(&select).await.unwrap();
    assert_eq!((heads.len(), heads[0].try_get::<i64>("", "seq").unwrap() > 0), (1, true));
}

#[tokio::test]
async fn a_second_process_on_the_same_file_is_refused() {
    let folder = tempfile::tempdir().unwrap();
    let first = build(settings(folder.path(), "", |_| {})).await.unwrap();
    let (code, text) = refused(build(settings(folder.path(), "", |_| {})).await);
    assert_eq!(code, 64);
    assert!(text.contains("another control plane uses") && text.contains("sluice.db"), "{text}");
    drop(first);
}

#[tokio::test]
async fn another_secret_is_refused_before_anything_is_written() {
    for engine in engines() {
        let database = TestDatabase::create(engine).await;
        let folder = tempfile::tempdir().unwrap();
        let with =
            |secret: &'static str| settings(folder.path(), database.dsn(), |control| control.crypto_secret = Some(secret.into()));
        drop(build(with("the first secret of this site")).await.unwrap());
        let (code, text) = refused(build(with("another secret altogether")).await);
        assert_eq!(
            (code, text.as_str()),
            (64, "CRYPTO_SECRET is not the secret this database was sealed with; nothing was changed")
        );
        // during a rotation the older one follows after a comma
        drop(build(with("another secret altogether,the first secret of this site")).await.unwrap());
    }
}

#[tokio::test]
async fn a_lost_secret_file_is_missed_and_not_made_anew() {
    let folder = tempfile::tempdir().unwrap();
    drop(build(settings(folder.path(), "", |_| {})).await.unwrap());
    let file = folder.path().join("secret.key");
    std::fs::remove_file(&file).unwrap();
    let (code, text) = refused(build(settings(folder.path(), "", |_| {})).await);
    assert_eq!(code, 64);
    assert!(text.contains("secret.key is missing") && text.contains("CRYPTO_SECRET"), "{text}");
    assert!(!file.exists());
    std::fs::write(&file, "0123456789abcdef0123456789abcdef\n").unwrap();
    let (code, text) = refused(build(settings(folder.path(), "", |_| {})).await);
    assert_eq!(code, 64);
    assert!(text.contains("secret.key is not the secret"), "{text}");
}

#[tokio::test]
async fn a_control_plane_whose_schema_is_gone_is_not_ready() {
    for engine in engines() {
        let database = TestDatabase::create(engine).await;
        let folder = tempfile::tempdir().unwrap();
        let plane = build(settings(folder.path(), database.dsn(), |_| {})).await.unwrap();
        let ready = async || {
            let request = Request::get("/readyz").body(Body::empty()).unwrap();
            plane.ops_router().oneshot(request).await.unwrap().status().as_u16()
        };
        assert_eq!(ready().await, 200, "{engine}");
        let tx = plane.app().db.begin().await.unwrap();
        let newest = Query::delete().from_table("seaql_migrations").and_where(Expr::col("version").like("m0001%")).to_owned();
        tx.execute(&newest).await.unwrap();
        tx.commit().await.unwrap();
        assert_eq!(ready().await, 503, "{engine}: a backup of an earlier release was restored");
    }
}

#[tokio::test]
async fn an_ancestors_database_is_refused_untouched() {
    for engine in engines() {
        let database = TestDatabase::create(engine).await;
        let folder = tempfile::tempdir().unwrap();
        let tables = ["abilities", "options", "channels", "users", "tokens"].map(|name| format!("CREATE TABLE {name} (id INT)"));
        execute(database.dsn(), &tables.each_ref().map(String::as_str)).await;
        let data = folder.path().join("data");
        let (code, text) =
            refused(build(settings(&data, database.dsn(), |control| control.crypto_secret = Some("x".repeat(20)))).await);
        assert_eq!(code, 64, "{engine}");
        assert!(text.contains("One API or New API") && text.contains("cannot bring it over"), "{text}");
        assert_eq!(found(database.dsn()).await, Found::Ancestor);
        assert!(!data.exists(), "not even the data folder was made");
    }
}

#[tokio::test]
async fn an_ancestors_file_is_not_changed_by_a_byte() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("one-api.db");
    let dsn = format!("sqlite:{}", file.display());
    execute(&dsn, &["CREATE TABLE abilities (id INT)", "CREATE TABLE options (id INT)", "CREATE TABLE channels (id INT)"]).await;
    let before = std::fs::read(&file).unwrap();
    let listing = || {
        let mut names: Vec<_> = std::fs::read_dir(folder.path()).unwrap().map(|entry| entry.unwrap().file_name()).collect();
        names.sort();
        names
    };
    let names = listing();
    for dsn in ["", dsn.as_str()] {
        let (code, text) = refused(build(settings(folder.path(), dsn, |_| {})).await);
        assert_eq!(code, 64);
        assert!(text.contains("one-api.db"), "{text}");
    }
    assert_eq!(std::fs::read(&file).unwrap(), before);
    assert_eq!(listing(), names);
}

#[tokio::test]
async fn a_database_of_something_else_is_refused_by_the_table_in_the_way() {
    for engine in engines() {
        let database = TestDatabase::create(engine).await;
        let folder = tempfile::tempdir().unwrap();
        execute(database.dsn(), &["CREATE TABLE users (id INT)", "CREATE TABLE posts (id INT)"]).await;
        let (code, text) = refused(build(settings(folder.path(), database.dsn(), |_| {})).await);
        assert_eq!(code, 64);
        assert!(text.contains("a table named users that is not ours"), "{text}");
    }
}

#[tokio::test]
async fn pending_migrations_are_not_applied_when_that_is_not_allowed() {
    for mode in ["check", "off"] {
        let folder = tempfile::tempdir().unwrap();
        let (code, text) = refused(build(settings(folder.path(), "", |control| control.migrate = Some(mode.into()))).await);
        assert_eq!(code, 64);
        assert!(text.contains("m0001_config") && text.contains("migrate --plan"), "{text}");
        drop(build(settings(folder.path(), "", |_| {})).await.unwrap());
        drop(build(settings(folder.path(), "", |control| control.migrate = Some(mode.into()))).await.unwrap());
    }
}

#[tokio::test]
async fn processes_that_start_together_on_a_fresh_server_make_one_database() {
    for engine in engines().into_iter().filter(|engine| *engine != Engine::Sqlite) {
        let database = TestDatabase::create(engine).await;
        let folder = tempfile::tempdir().unwrap();
        let start = || build(settings(folder.path(), database.dsn(), |control| control.crypto_secret = Some("s".repeat(32))));
        let (one, two, three) = tokio::join!(start(), start(), start());
        let lineage = |plane: Result<ControlPlane, StartError>| async move {
            let select = Query::select().column("lineage").from("config_head").to_owned();
            let rows = plane.unwrap().app().db.read().query_all(&select).await.unwrap();
            assert_eq!(rows.len(), 1);
            rows[0].try_get::<String>("", "lineage").unwrap()
        };
        let (one, two, three) = (lineage(one).await, lineage(two).await, lineage(three).await);
        assert!(one == two && two == three, "{engine}");
    }
}

#[tokio::test]
async fn a_server_that_is_away_is_told_by_its_address() {
    let folder = tempfile::tempdir().unwrap();
    let port = sluice_testkit::ports::free();
    let dsn = format!("postgres://sluice:hunter2@127.0.0.1:{port}/sluice");
    let settings = Settings { database_patience: Duration::from_millis(600), ..settings(folder.path(), &dsn, |_| {}) };
    let (code, text) = refused(build(settings).await);
    assert_eq!(code, 64);
    assert!(text.starts_with(&format!("SQL_DSN: cannot reach the database 127.0.0.1:{port}/sluice: ")), "{text}");
    assert!(text.contains("refused"), "{text}");
    assert!(!text.contains("hunter2") && !text.contains('\n'), "{text}");
}

#[tokio::test]
async fn a_folder_that_cannot_be_written_is_told_with_its_owner() {
    let folder = tempfile::tempdir().unwrap();
    std::fs::write(folder.path().join("file"), "").unwrap();
    let (code, text) = refused(build(settings(&folder.path().join("file/data"), "", |_| {})).await);
    assert_eq!(code, 64);
    assert!(text.contains("cannot write in the data folder") && text.contains("this process is uid"), "{text}");
}
