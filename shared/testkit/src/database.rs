//! One fresh database per test, on each engine of this run.

use std::fmt;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use sqlx::{AssertSqlSafe, Connection, MySqlConnection, PgConnection};
use tempfile::TempDir;

use crate::services::Addresses;

/// A database engine Sluice runs on.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Engine {
    /// A file; always there.
    Sqlite,
    /// PostgreSQL at `SLUICE_TEST_POSTGRES_URL`.
    Postgres,
    /// MySQL or MariaDB at `SLUICE_TEST_MYSQL_URL`.
    Mysql,
}

impl fmt::Display for Engine {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Sqlite => "sqlite",
            Self::Postgres => "postgres",
            Self::Mysql => "mysql",
        })
    }
}

/// The engines of this run: SQLite always, the others when the environment has their address.
///
/// Panics when `SLUICE_TEST_ENGINES=all` (as `make test` sets it) and an address is missing: a run that skipped an engine fails.
#[must_use]
pub fn engines() -> Vec<Engine> {
    engines_of(&Addresses::from_env())
}

fn engines_of(addresses: &Addresses) -> Vec<Engine> {
    let mut engines = vec![Engine::Sqlite];
    if addresses.checked("SLUICE_TEST_POSTGRES_URL", addresses.postgres.as_deref()).is_some() {
        engines.push(Engine::Postgres);
    }
    if addresses.checked("SLUICE_TEST_MYSQL_URL", addresses.mysql.as_deref()).is_some() {
        engines.push(Engine::Mysql);
    }
    engines
}

/// A database of one test's own. Dropping it removes it.
pub struct TestDatabase {
    engine: Engine,
    dsn: String,
    home: Home,
}

/// Where a database lives.
enum Home {
    /// In a folder that goes with it.
    Folder { _folder: TempDir },
    /// On the server at this address, under this name.
    Server { address: String, name: String },
}

/// Makes names differ within a process; the process id makes them differ between processes.
static NEXT: AtomicU32 = AtomicU32::new(0);
/// Longer than this no database is worth waiting for when it is removed.
const DROP_LIMIT: Duration = Duration::from_secs(10);

impl TestDatabase {
    /// Makes an empty database. Panics when the server cannot be reached, or its address is not in the environment.
    pub async fn create(engine: Engine) -> Self {
        Self::create_at(engine, &Addresses::from_env()).await
    }

    /// Makes an empty database on the server of these addresses.
    pub async fn create_at(engine: Engine, addresses: &Addresses) -> Self {
        let address = match engine {
            Engine::Sqlite => {
                let folder = tempfile::tempdir().expect("a temporary folder can be made");
                let dsn = format!("sqlite://{}", folder.path().join("sluice.db").display());
                return Self { engine, dsn, home: Home::Folder { _folder: folder } };
            }
            Engine::Postgres => addresses.postgres.clone(),
            Engine::Mysql => addresses.mysql.clone(),
        };
        let address = address.unwrap_or_else(|| panic!("the environment has no address of a {engine} server"));
        let name = format!("t{}_{}", std::process::id(), NEXT.fetch_add(1, Ordering::Relaxed));
        let statement = match engine {
            Engine::Postgres => format!("CREATE DATABASE {name} TEMPLATE template0"),
            _ => format!("CREATE DATABASE {name} CHARACTER SET utf8mb4 COLLATE utf8mb4_bin"),
        };
        execute(engine, &address, statement).await.unwrap_or_else(|error| panic!("cannot make a {engine} database: {error}"));
        let (server, _) = address.rsplit_once('/').expect("the address of a server ends with a database");
        Self { engine, dsn: format!("{server}/{name}"), home: Home::Server { address, name } }
    }

    /// Its engine.
    #[must_use]
    pub fn engine(&self) -> Engine {
        self.engine
    }

    /// Its address, as `SQL_DSN` takes it. The SQLite file does not exist yet.
    #[must_use]
    pub fn dsn(&self) -> &str {
        &self.dsn
    }
}

impl Drop for TestDatabase {
    fn drop(&mut self) {
        let Home::Server { address, name } = &self.home else { return };
        let engine = self.engine;
        let statement = match engine {
            Engine::Postgres => format!("DROP DATABASE IF EXISTS {name} WITH (FORCE)"),
            _ => format!("DROP DATABASE IF EXISTS {name}"),
        };
        let address = address.clone();
        // A thread, because there may be a runtime around us that must not be blocked on. What cannot be removed goes with the server.
        let removal = std::thread::spawn(move || {
            let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().ok()?;
            runtime.block_on(async { tokio::time::timeout(DROP_LIMIT, execute(engine, &address, statement)).await.ok()?.ok() })
        });
        removal.join().ok();
    }
}

async fn execute(engine: Engine, address: &str, statement: String) -> Result<(), sqlx::Error> {
    let statement = AssertSqlSafe(statement);
    if engine == Engine::Postgres {
        let mut connection = PgConnection::connect(address).await?;
        sqlx::raw_sql(statement).execute(&mut connection).await?;
        connection.close().await
    } else {
        let mut connection = MySqlConnection::connect(address).await?;
        sqlx::raw_sql(statement).execute(&mut connection).await?;
        connection.close().await
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sqlite_is_always_an_engine_and_the_others_when_they_have_an_address() {
        let addresses = Addresses { mysql: Some("mysql://x/y".to_owned()), ..Addresses::default() };
        assert_eq!(engines_of(&addresses), [Engine::Sqlite, Engine::Mysql]);
    }

    #[test]
    #[should_panic(expected = "SLUICE_TEST_POSTGRES_URL is not set")]
    fn a_run_that_requires_all_engines_fails_when_one_is_missing() {
        drop(engines_of(&Addresses { all_required: true, mysql: Some("mysql://x/y".to_owned()), ..Addresses::default() }));
    }

    #[tokio::test]
    async fn each_test_has_a_database_of_its_own_on_every_engine() {
        for engine in engines() {
            let (one, two) = (TestDatabase::create(engine).await, TestDatabase::create(engine).await);
            assert_ne!(one.dsn(), two.dsn());
            if engine != Engine::Sqlite {
                let create = "CREATE TABLE only_here (id INT)".to_owned();
                execute(engine, one.dsn(), create.clone()).await.unwrap();
                execute(engine, two.dsn(), create).await.unwrap();
                let dsn = one.dsn().to_owned();
                drop(one);
                assert!(execute(engine, &dsn, "SELECT 1".to_owned()).await.is_err(), "{engine} keeps a dropped database");
            }
        }
    }
}
