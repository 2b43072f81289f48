//! What people are told when the database refuses, is in the way, goes away, or takes its answer with it.

use std::time::Duration;

use sea_orm::sea_query::{Expr, ExprTrait, Query};
use sea_orm::{ConnectionTrait, DatabaseBackend, Statement};
use sluice_control_plane::db::{self, CommitError, Dsn, PoolSettings, Tx};
use sluice_control_plane::http::{ApiError, Code};

use sluice_testkit::database::{Engine, TestDatabase, engines};
use sluice_testkit::proxy::{Proxy, Way};

use crate::ground::{Ground, grounds};

/// What a statement that fails is told as.
async fn told(ground: &Ground, sql: String) -> Code {
    let tx = ground.db.begin().await.unwrap();
    let failed = tx.execute_unprepared(&sql).await;
    ApiError::from(failed.expect_err(&sql)).code
}

#[tokio::test]
async fn servers_that_restart_hand_over_or_are_full_are_away_and_not_broken() {
    for ground in grounds().await {
        match ground.db.engine() {
            DatabaseBackend::Postgres => {
                for state in ["57P01", "57P02", "57P03", "53300", "08006", "25006"] {
                    let raise = format!("DO $$ BEGIN RAISE EXCEPTION 'a test' USING ERRCODE = '{state}'; END $$");
                    assert_eq!(told(&ground, raise).await, Code::DatabaseUnavailable, "{state}");
                }
                let refusal = "DO $$ BEGIN RAISE EXCEPTION 'a test' USING ERRCODE = '22003'; END $$".to_owned();
                assert_eq!(told(&ground, refusal).await, Code::Internal);
            }
            DatabaseBackend::MySql => {
                for (number, state) in [(1040, "08004"), (1053, "08S01"), (1290, "HY000"), (1836, "HY000")] {
                    let raise = format!("SIGNAL SQLSTATE '{state}' SET MYSQL_ERRNO = {number}, MESSAGE_TEXT = 'a test'");
                    assert_eq!(told(&ground, raise).await, Code::DatabaseUnavailable, "{number}");
                }
                let refusal = "SIGNAL SQLSTATE '22003' SET MYSQL_ERRNO = 1264, MESSAGE_TEXT = 'a test'".to_owned();
                assert_eq!(told(&ground, refusal).await, Code::Internal);
            }
            _ => assert_eq!(told(&ground, "SELECT * FROM nothing_of_this_name".to_owned()).await, Code::Internal),
        }
    }
}

#[tokio::test]
async fn a_lock_that_is_not_given_in_time_is_told_as_busy() {
    for ground in grounds().await {
        let wait = match ground.db.engine() {
            DatabaseBackend::Postgres => "SET LOCAL lock_timeout = '50ms'",
            DatabaseBackend::MySql => "SET SESSION innodb_lock_wait_timeout = 1",
            // its writers wait for their turn in this process
            _ => continue,
        };
        let customer = ground.customer(10, 0).await;
        let touch = async |tx: &Tx| {
            let update = Query::update()
                .table("users")
                .value("rev", Expr::col("rev").add(1))
                .and_where(Expr::col("id").eq(customer.user.get()))
                .to_owned();
            tx.execute(&update).await
        };
        let (first, second) = (ground.db.begin().await.unwrap(), ground.db.begin().await.unwrap());
        touch(&first).await.unwrap();
        second.execute_unprepared(wait).await.unwrap();
        let error = ApiError::from(touch(&second).await.unwrap_err());
        assert_eq!((error.code, error.retry_after_secs), (Code::Busy, Some(1)), "{:?}", ground.db.engine());
    }
}

#[tokio::test]
async fn a_commit_whose_answer_is_lost_may_have_been_done() {
    for ground in grounds().await {
        let engine = ground.db.engine();
        let (whose, end): (_, fn(i64) -> String) = match engine {
            DatabaseBackend::Postgres => {
                ("SELECT CAST(pg_backend_pid() AS BIGINT)", |id: i64| format!("SELECT pg_terminate_backend({id})"))
            }
            DatabaseBackend::MySql => ("SELECT CAST(CONNECTION_ID() AS SIGNED)", |id: i64| format!("KILL {id}")),
            _ => continue,
        };
        let tx = ground.db.begin().await.unwrap();
        let row = tx.query_one_raw(Statement::from_string(engine, whose)).await.unwrap().unwrap();
        let connection: i64 = row.try_get_by_index(0).unwrap();
        ground.db.read().execute_unprepared(&end(connection)).await.unwrap();
        let error = ApiError::from(tx.commit().await.unwrap_err());
        assert_eq!((error.code, error.code.status().as_u16()), (Code::OutcomeUnknown, 503), "{engine:?}");
        assert!(error.detail.contains("may have been done") && error.retry_after_secs.is_some(), "{error}");
    }
}

#[tokio::test]
async fn a_server_that_swallows_everything_is_away_in_time_and_back_when_it_answers_again() {
    for engine in engines() {
        if engine == Engine::Sqlite {
            // it is in this process
            continue;
        }
        let database = TestDatabase::create(engine).await;
        let place = database.dsn().rsplit_once('@').unwrap().1.split_once('/').unwrap().0;
        let server: std::net::SocketAddr = place.parse().unwrap();
        let proxy = Proxy::start(server);
        let through = database.dsn().replace(&server.to_string(), &proxy.addr().to_string());
        let dsn = Dsn::parse(&through, None, std::path::Path::new("unused")).unwrap();
        // long enough for what is answered, the connection among it, on a busy machine
        let limit = Duration::from_secs(10);
        let db =
            db::connect(&dsn, PoolSettings { max_open: 2, statement_limit: limit, ..PoolSettings::default() }).await.unwrap();
        let tx = db.begin().await.unwrap();
        tx.execute_unprepared("SELECT 1").await.unwrap();
        proxy.black_hole(Way::Both);
        let read = db.read().execute_unprepared("SELECT 1").await;
        assert!(db::is_away(&read.unwrap_err()));
        let written = tx.execute_unprepared("SELECT 1").await;
        assert!(db::is_away(&written.unwrap_err()));
        assert!(matches!(tx.commit().await, Err(CommitError::Unknown(_))));
        proxy.heal();
        let deadline = std::time::Instant::now() + Duration::from_mins(1);
        while let Err(error) = db.read().execute_unprepared("SELECT 1").await {
            assert!(std::time::Instant::now() < deadline, "{engine}: {error}");
        }
        db.close().await;
    }
}
