//! Locks that outlive a transaction: one migration at a time, and one process on a SQLite file.

use std::fs::{File, OpenOptions, TryLockError};
use std::path::{Path, PathBuf};
use std::time::Duration;

use sea_orm::{DatabaseBackend, DbErr};
use sqlx::pool::PoolConnection;
use sqlx::{MySql, Postgres};

use super::Db;

/// How long a migration waits for another process that migrates.
const PATIENCE: Duration = Duration::from_mins(1);
const LOOK_AGAIN: Duration = Duration::from_millis(200);
/// Names our lock among the advisory locks of a PostgreSQL database: "sluice" in ASCII.
const POSTGRES_KEY: i64 = 0x736c_7569_6365;

/// A SQLite file that this process may use alone. Released when dropped, or when the process dies.
#[derive(Debug)]
pub struct FileLock {
    _file: File,
}

/// Why a file is not ours alone.
#[derive(Debug, thiserror::Error)]
pub enum FileLockError {
    /// Another process has it.
    #[error("another control plane uses {}: a SQLite database serves one process only", path.display())]
    Taken {
        /// The database file.
        path: PathBuf,
    },
    /// The lock file cannot be made.
    #[error("cannot lock {}", path.display())]
    Io {
        /// The database file.
        path: PathBuf,
        /// Why.
        source: std::io::Error,
    },
}

impl FileLock {
    /// Takes the lock of a database file, in a file of its own beside it: closing the database's own file would drop SQLite's locks.
    ///
    /// # Errors
    /// When another process has it, or the folder cannot be written.
    pub fn take(database: &Path) -> Result<Self, FileLockError> {
        let mut name = database.as_os_str().to_owned();
        name.push(".lock");
        let io = |source| FileLockError::Io { path: database.to_owned(), source };
        let file = OpenOptions::new().create(true).truncate(false).write(true).open(PathBuf::from(name)).map_err(io)?;
        match file.try_lock() {
            Ok(()) => Ok(Self { _file: file }),
            Err(TryLockError::WouldBlock) => Err(FileLockError::Taken { path: database.to_owned() }),
            Err(TryLockError::Error(source)) => Err(io(source)),
        }
    }
}

/// The right to change the schema of a server's database, held on one connection.
#[derive(Debug)]
pub(super) enum SchemaLock {
    /// A SQLite file is ours alone already.
    File,
    MySql(PoolConnection<MySql>),
    Postgres(PoolConnection<Postgres>),
}

impl SchemaLock {
    /// Waits for the lock, at most a minute.
    pub(super) async fn take(db: &Db) -> Result<Self, DbErr> {
        match db.engine() {
            DatabaseBackend::MySql => {
                let mut connection = db.writer.get_mysql_connection_pool().acquire().await.map_err(lost)?;
                let name = "SELECT GET_LOCK(LEFT(CONCAT('sluice.migrate.', DATABASE()), 64), ?)";
                let patience = i64::try_from(PATIENCE.as_secs()).unwrap_or(60);
                let taken: Option<i64> =
                    sqlx::query_scalar(name).bind(patience).fetch_one(&mut *connection).await.map_err(lost)?;
                if taken == Some(1) { Ok(Self::MySql(connection)) } else { Err(busy()) }
            }
            DatabaseBackend::Postgres => {
                let mut connection = db.writer.get_postgres_connection_pool().acquire().await.map_err(lost)?;
                let deadline = tokio::time::Instant::now() + PATIENCE;
                loop {
                    let taken: bool = sqlx::query_scalar("SELECT pg_try_advisory_lock($1)")
                        .bind(POSTGRES_KEY)
                        .fetch_one(&mut *connection)
                        .await
                        .map_err(lost)?;
                    if taken {
                        return Ok(Self::Postgres(connection));
                    }
                    if tokio::time::Instant::now() >= deadline {
                        return Err(busy());
                    }
                    tokio::time::sleep(LOOK_AGAIN).await;
                }
            }
            _ => Ok(Self::File),
        }
    }

    /// Gives the lock back. When that fails the connection is closed, which also gives it back.
    pub(super) async fn release(self) {
        match self {
            Self::File => {}
            Self::MySql(mut connection) => {
                let sql = "SELECT RELEASE_LOCK(LEFT(CONCAT('sluice.migrate.', DATABASE()), 64))";
                let released: Result<Option<i64>, _> = sqlx::query_scalar(sql).fetch_one(&mut *connection).await;
                if released.is_err() {
                    drop(connection.detach());
                }
            }
            Self::Postgres(mut connection) => {
                let released: Result<bool, _> =
                    sqlx::query_scalar("SELECT pg_advisory_unlock($1)").bind(POSTGRES_KEY).fetch_one(&mut *connection).await;
                if released.is_err() {
                    drop(connection.detach());
                }
            }
        }
    }
}

fn lost(error: sqlx::Error) -> DbErr {
    DbErr::Conn(sea_orm::RuntimeErr::SqlxError(error.into()))
}

fn busy() -> DbErr {
    DbErr::Migration("another process has been migrating the database for over a minute".to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_has_one_user_at_a_time() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("sluice.db");
        let first = FileLock::take(&path).unwrap();
        assert!(matches!(FileLock::take(&path), Err(FileLockError::Taken { .. })));
        drop(first);
        assert!(FileLock::take(&path).is_ok());
    }

    #[test]
    fn a_folder_that_is_not_there_is_named() {
        let folder = tempfile::tempdir().unwrap();
        let error = FileLock::take(&folder.path().join("none/sluice.db")).unwrap_err();
        assert!(error.to_string().contains("none/sluice.db"), "{error}");
    }
}
