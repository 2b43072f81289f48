//! What a database was made to do, counted from outside: by the server itself, or in SQLite's write-ahead log.

use std::path::PathBuf;

use anyhow::{Context, Result, bail};
use serde::Serialize;
use sluice_testkit::database::Engine;
use sqlx::{Connection, MySqlConnection, PgConnection, Row};

const WAL_HEADER_BYTES: usize = 32;
const WAL_FRAME_HEADER_BYTES: usize = 24;

/// Work since the counter was opened.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
pub(crate) struct Work {
    /// Transactions that wrote.
    pub(crate) commits: u64,
    /// Statements that write. SQLite counts none, and PostgreSQL only with `pg_stat_statements`.
    pub(crate) write_statements: Option<u64>,
    /// Statements of any kind, `BEGIN` and `COMMIT` among them; by the same figures.
    pub(crate) statements: Option<u64>,
}

impl Work {
    fn since(self, start: Self) -> Self {
        let less = |now: Option<u64>, start: Option<u64>| now.zip(start).map(|(now, start)| now.saturating_sub(start));
        Self {
            commits: self.commits - start.commits,
            write_statements: less(self.write_statements, start.write_statements),
            statements: less(self.statements, start.statements),
        }
    }
}

/// Counts the work of one database.
pub(crate) enum Counter {
    Sqlite(Wal),
    Postgres(PgConnection, Work),
    Mysql(MySqlConnection, Work),
}

impl Counter {
    /// Opens a counter that stands at zero.
    pub(crate) async fn open(engine: Engine, dsn: &str) -> Result<Self> {
        Ok(match engine {
            Engine::Sqlite => {
                let path = dsn.strip_prefix("sqlite://").context("not an SQLite DSN")?;
                let mut wal = Wal { path: PathBuf::from(format!("{path}-wal")), salt: None, frames: 0, commits: 0 };
                wal.look()?;
                wal.commits = 0;
                Self::Sqlite(wal)
            }
            Engine::Postgres => {
                let mut connection = PgConnection::connect(dsn).await?;
                // Where the server has not loaded it, or does not let us, statements are not counted.
                sqlx::raw_sql("CREATE EXTENSION IF NOT EXISTS pg_stat_statements").execute(&mut connection).await.ok();
                let work = postgres(&mut connection).await?;
                Self::Postgres(connection, work)
            }
            Engine::Mysql => {
                let mut connection = MySqlConnection::connect(dsn).await?;
                let work = mysql(&mut connection).await?;
                Self::Mysql(connection, work)
            }
        })
    }

    /// Work up to this moment. With SQLite it must be asked several times a second, or transactions are missed when the log starts over.
    pub(crate) async fn work(&mut self) -> Result<Work> {
        let (now, start) = match self {
            Self::Sqlite(wal) => {
                wal.look()?;
                return Ok(Work { commits: wal.commits, write_statements: None, statements: None });
            }
            Self::Postgres(connection, start) => (postgres(connection).await?, start),
            Self::Mysql(connection, start) => (mysql(connection).await?, start),
        };
        Ok(now.since(*start))
    }
}

/// The statements of this database, without those of this connection.
const PG_STATEMENTS: &str = "SELECT
    COALESCE(SUM(calls) FILTER (WHERE query ~* '^\\s*(INSERT|UPDATE|DELETE|MERGE|WITH)'), 0)::BIGINT, COALESCE(SUM(calls), 0)::BIGINT
    FROM pg_stat_statements JOIN pg_database ON pg_database.oid = dbid
    WHERE datname = current_database() AND query !~ 'pg_stat_statements|txid_current_snapshot'";

/// Only transactions that write get an id.
async fn postgres(connection: &mut PgConnection) -> Result<Work> {
    let row = sqlx::query("SELECT txid_snapshot_xmax(txid_current_snapshot())").fetch_one(&mut *connection).await?;
    let commits = u64::try_from(row.try_get::<i64, _>(0)?)?;
    let Ok(row) = sqlx::query(PG_STATEMENTS).fetch_one(connection).await else {
        return Ok(Work { commits, write_statements: None, statements: None });
    };
    let [writing, all] = [0, 1].map(|column| row.try_get::<i64, _>(column));
    Ok(Work { commits, write_statements: Some(u64::try_from(writing?)?), statements: Some(u64::try_from(all?)?) })
}

async fn mysql(connection: &mut MySqlConnection) -> Result<Work> {
    let rows = sqlx::query("SHOW GLOBAL STATUS WHERE Variable_name LIKE 'Com\\_%' OR Variable_name = 'Questions'");
    let (mut commits, mut writing, mut all) = (0, 0, 0);
    for row in rows.fetch_all(connection).await? {
        let (name, count): (String, String) = (row.try_get(0)?, row.try_get(1)?);
        let count: u64 = count.parse()?;
        match name.trim_start_matches("Com_") {
            "Questions" => all = count,
            "commit" => commits += count,
            "insert" | "insert_select" | "update" | "update_multi" | "delete" | "delete_multi" | "replace" => writing += count,
            _ => {}
        }
    }
    Ok(Work { commits, write_statements: Some(writing), statements: Some(all) })
}

/// SQLite's write-ahead log: each transaction ends with a frame that says how large the database is after it.
/// The format is <https://www.sqlite.org/fileformat2.html#walformat>.
pub(crate) struct Wal {
    path: PathBuf,
    /// Changes when the log starts over.
    salt: Option<[u8; 8]>,
    /// Frames seen since it last started over.
    frames: usize,
    commits: u64,
}

impl Wal {
    fn look(&mut self) -> Result<()> {
        let log = match std::fs::read(&self.path) {
            Ok(log) => log,
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(()),
            Err(error) => return Err(error).context("the write-ahead log cannot be read"),
        };
        self.count(&log)
    }

    fn count(&mut self, log: &[u8]) -> Result<()> {
        let Some(header) = log.get(..WAL_HEADER_BYTES) else { return Ok(()) };
        let page_bytes = u32::from_be_bytes([header[8], header[9], header[10], header[11]]) as usize;
        if page_bytes < 512 {
            bail!("not a write-ahead log");
        }
        let salt: [u8; 8] = header[16..24].try_into()?;
        if self.salt.replace(salt) != Some(salt) {
            self.frames = 0;
        }
        let frames = log[WAL_HEADER_BYTES..].chunks_exact(WAL_FRAME_HEADER_BYTES + page_bytes);
        // Behind the last frame may be those of an earlier life of the log, which have its salt.
        for frame in frames.skip(self.frames).take_while(|frame| frame[8..16] == salt) {
            self.frames += 1;
            self.commits += u64::from(frame[4..8] != [0; 4]);
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn log(salt: u8, frames: &[(u8, u32)]) -> Vec<u8> {
        let mut log = vec![0; WAL_HEADER_BYTES];
        log[8..12].copy_from_slice(&512_u32.to_be_bytes());
        log[16..24].fill(salt);
        for (salt, size_after) in frames {
            let mut frame = vec![0; WAL_FRAME_HEADER_BYTES + 512];
            frame[4..8].copy_from_slice(&size_after.to_be_bytes());
            frame[8..16].fill(*salt);
            log.extend(frame);
        }
        log
    }

    #[test]
    fn transactions_are_counted_once_and_old_frames_not_at_all() {
        let mut wal = Wal { path: PathBuf::new(), salt: None, frames: 0, commits: 0 };
        wal.count(&log(1, &[(1, 0), (1, 7)])).unwrap();
        assert_eq!(wal.commits, 1);
        wal.count(&log(1, &[(1, 0), (1, 7), (1, 8), (1, 0)])).unwrap();
        assert_eq!(wal.commits, 2);
        wal.count(&log(2, &[(2, 9), (1, 7), (1, 8)])).unwrap();
        assert_eq!(wal.commits, 3, "the log started over");
        wal.count(&[]).unwrap();
        assert_eq!(wal.commits, 3);
    }

    #[tokio::test]
    async fn a_transaction_of_sqlite_counts_as_one_however_many_rows_it_has() {
        let folder = tempfile::tempdir().unwrap();
        let dsn = format!("sqlite://{}", folder.path().join("x.db").display());
        let mut writer = sqlx::SqliteConnection::connect(&format!("{dsn}?mode=rwc")).await.unwrap();
        let journal = sqlx::query("PRAGMA journal_mode = WAL").fetch_one(&mut writer).await.unwrap();
        assert_eq!(journal.get::<String, _>(0), "wal");
        sqlx::query("CREATE TABLE t (n INTEGER)").execute(&mut writer).await.unwrap();
        let mut counter = Counter::open(Engine::Sqlite, &dsn).await.unwrap();
        sqlx::query("INSERT INTO t VALUES (1), (2), (3)").execute(&mut writer).await.unwrap();
        sqlx::query("SELECT * FROM t").fetch_all(&mut writer).await.unwrap();
        assert_eq!(counter.work().await.unwrap().commits, 1);
        sqlx::query("INSERT INTO t VALUES (4)").execute(&mut writer).await.unwrap();
        assert_eq!(counter.work().await.unwrap().commits, 2);
    }
}
