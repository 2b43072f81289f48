//! The database: one concrete store for SQLite, MySQL and PostgreSQL.
//!
//! Features write SQL in their `store.rs`, through SeaORM; the few places where the engines truly differ are functions in here. Reads
//! go to [`Db::read`], writes through a [`Tx`], so that each operation is one transaction.
//!
//! Locks are taken in one order everywhere: a relay's row, its cursor, tokens and users by id, accounts by id, leases by id, roll-ups
//! by key, and the head of the configuration last.

mod connect;
mod deadline;
mod dialect;
pub mod dsn;
mod failure;
pub mod first_rows;
mod gate;
mod limits;
mod lock;
mod migrate;
mod search;
mod sets;
mod time;

use std::collections::BTreeSet;
use std::time::Duration;

use parking_lot::Mutex;
use sea_orm::{
    ConnAcquireErr, ConnectionTrait, DatabaseBackend, DatabaseConnection, DatabaseTransaction, DbErr, ExecResult, IsolationLevel,
    QueryResult, SqliteTransactionMode, Statement, TransactionOptions, TransactionTrait,
};
use sea_orm_migration::prelude::async_trait::async_trait;
use sluice_domain::UnixMillis;
use tokio::sync::oneshot;

use crate::publish::log::{self, Changed};

pub use connect::{PoolSettings, ServerVersion, connect, is_refusal, read_only, server_version};
pub use deadline::Timed;
use deadline::within;
pub use dialect::{insert_for_id, now_millis, skip_ids, sum, whole};
pub use dsn::Dsn;
pub use failure::{CommitError, is_away, is_conflict, is_unacceptable};
pub use gate::Urgency;
use gate::{Gate, Turn};
pub use limits::{limits_text, read_limits};
pub use lock::{FileLock, FileLockError};
pub use migrate::{Found, Schema, look, look_at, look_at_file, migrate, pending};
pub use search::contains;
pub use sets::{Insert, add_to_rows, rows_per_statement};
pub use time::SiteTime;

/// Attempts at a transaction that others keep getting in the way of.
const ATTEMPTS: u32 = 6;
/// How long the first of them waits before the next; each waits a little longer.
const BETWEEN_ATTEMPTS: Duration = Duration::from_millis(5);
/// How long a writing transaction waits for its turn on SQLite.
const TURN_TIMEOUT: Duration = Duration::from_secs(20);

/// A pool of connections. On SQLite there is one writer and several readers; elsewhere both are the same pool.
#[derive(Debug, Clone)]
pub struct Db {
    writer: DatabaseConnection,
    reader: Timed<DatabaseConnection>,
    gate: Option<Gate>,
    /// How long a statement may take. `None`: the database is in this process.
    limit: Option<Duration>,
}

/// A transaction that writes. Dropping it without [`Tx::commit`] undoes everything.
#[derive(Debug)]
pub struct Tx {
    // dropped in this order: the next writer's turn begins after this one has ended
    inner: Timed<DatabaseTransaction>,
    limit: Option<Duration>,
    last: Mutex<Option<(UnixMillis, BTreeSet<Changed>)>>,
    _turn: Option<Turn>,
}

impl Db {
    /// One pool for reading and writing (MySQL, PostgreSQL). No statement takes longer than `limit`.
    #[must_use]
    pub fn shared(pool: DatabaseConnection, limit: Duration) -> Self {
        let limit = Some(limit);
        Self { writer: pool.clone(), reader: Timed::new(pool, limit), gate: None, limit }
    }

    /// A pool of one connection that writes, and one that reads (SQLite).
    #[must_use]
    pub fn split(writer: DatabaseConnection, reader: DatabaseConnection) -> Self {
        Self { writer, reader: Timed::new(reader, None), gate: Some(Gate::default()), limit: None }
    }

    /// Which engine it is.
    #[must_use]
    pub fn engine(&self) -> DatabaseBackend {
        self.writer.get_database_backend()
    }

    /// For reading outside a transaction.
    #[must_use]
    pub fn read(&self) -> &Timed<DatabaseConnection> {
        &self.reader
    }

    /// Starts a transaction that will write, for a person or a script. On SQLite it takes the write lock at once, so that it cannot
    /// fail half-way for want of it. Every engine reads what is committed, so that locks are equally narrow.
    ///
    /// # Errors
    /// When the database is away or no connection is free in time.
    pub async fn begin(&self) -> Result<Tx, DbErr> {
        self.begin_as(Urgency::Admin).await
    }

    /// Starts a transaction that will write, in its place among those that wait.
    ///
    /// # Errors
    /// When the database is away or no connection is free in time.
    pub async fn begin_as(&self, urgency: Urgency) -> Result<Tx, DbErr> {
        let timed_out = || DbErr::ConnectionAcquire(ConnAcquireErr::Timeout);
        let turn = match &self.gate {
            Some(gate) => {
                let turn = tokio::time::timeout(TURN_TIMEOUT, gate.turn(urgency)).await.map_err(|_| timed_out())?;
                Some(turn.ok_or_else(timed_out)?)
            }
            None => None,
        };
        let sqlite_transaction_mode = (self.engine() == DatabaseBackend::Sqlite).then_some(SqliteTransactionMode::Immediate);
        let options = TransactionOptions { sqlite_transaction_mode, ..TransactionOptions::default() };
        self.begin_with(&self.writer, options, turn).await
    }

    /// Starts a transaction in which every read sees the same committed state.
    ///
    /// # Errors
    /// When the database is away or no connection is free in time.
    pub async fn begin_snapshot(&self) -> Result<Tx, DbErr> {
        let isolation_level = (self.engine() != DatabaseBackend::Sqlite).then_some(IsolationLevel::RepeatableRead);
        let options = TransactionOptions { isolation_level, ..TransactionOptions::default() };
        self.begin_with(self.reader.inner(), options, None).await
    }

    async fn begin_with(&self, pool: &DatabaseConnection, options: TransactionOptions, turn: Option<Turn>) -> Result<Tx, DbErr> {
        let begun = within(self.limit, begin_whole(pool, options)).await?;
        Ok(Tx { inner: Timed::new(begun, self.limit), limit: self.limit, last: Mutex::default(), _turn: turn })
    }

    /// Asks for a sign of life.
    ///
    /// # Errors
    /// When the database does not answer.
    pub async fn ping(&self) -> Result<(), DbErr> {
        within(self.limit, self.reader.inner().ping()).await
    }

    /// How many connections are open, and how many of them are idle.
    #[must_use]
    pub fn connections(&self) -> (usize, usize) {
        match self.engine() {
            DatabaseBackend::MySql => count(self.writer.get_mysql_connection_pool()),
            DatabaseBackend::Postgres => count(self.writer.get_postgres_connection_pool()),
            _ => {
                let (writers, readers) =
                    (self.writer.get_sqlite_connection_pool(), self.reader.inner().get_sqlite_connection_pool());
                let ((open, idle), (more_open, more_idle)) = (count(writers), count(readers));
                (open + more_open, idle + more_idle)
            }
        }
    }

    /// Closes the pools after what runs has ended.
    pub async fn close(self) {
        // an error here means it is closed already
        let _ = self.reader.into_inner().close().await;
        let _ = self.writer.close().await;
    }
}

fn count<D: sqlx::Database>(pool: &sqlx::Pool<D>) -> (usize, usize) {
    (usize::try_from(pool.size()).unwrap_or(usize::MAX), pool.num_idle())
}

/// Runs a whole transaction again while it fails only because others were in its way. `attempt` begins, writes and commits.
///
/// # Errors
/// What the last attempt ended with.
pub async fn retried<T, F>(mut attempt: impl FnMut() -> F) -> Result<T, DbErr>
where
    F: Future<Output = Result<T, DbErr>>,
{
    let mut number = 1;
    loop {
        match attempt().await {
            Err(error) if is_conflict(&error) && number < ATTEMPTS => {
                tokio::time::sleep(BETWEEN_ATTEMPTS * number).await;
                number += 1;
            }
            outcome => return outcome,
        }
    }
}

/// Starts a transaction, all of it even if the caller goes away meanwhile: a `BEGIN` that is given up half-way would leave its
/// connection inside a transaction that nobody knows of, for the next one who gets it from the pool.
async fn begin_whole(pool: &DatabaseConnection, options: TransactionOptions) -> Result<DatabaseTransaction, DbErr> {
    if pool.get_database_backend() == DatabaseBackend::Sqlite {
        return pool.begin_with_options(options).await;
    }
    let pool = pool.clone();
    let (sender, begun) = oneshot::channel();
    #[expect(clippy::disallowed_methods, reason = "lives for one statement, and shutdown need not wait for it")]
    tokio::spawn(async move {
        // nobody waits any more: dropping the transaction rolls it back
        drop(sender.send(pool.begin_with_options(options).await));
    });
    begun.await.map_err(|_| DbErr::ConnectionAcquire(ConnAcquireErr::ConnectionClosed))?
}

impl Tx {
    /// Has a change recorded as the very last thing before the commit: for those in the middle of a transaction, who must not take the
    /// head of the configuration while others still have locks to take.
    pub fn record_at_commit(&self, now: UnixMillis, change: Changed) {
        self.last.lock().get_or_insert_with(|| (now, BTreeSet::new())).1.insert(change);
    }

    /// Makes everything permanent.
    ///
    /// # Errors
    /// When the database refuses; when it is away, what happened is unknown until read again.
    pub async fn commit(self) -> Result<(), CommitError> {
        let last = self.last.lock().take();
        if let Some((now, changes)) = last {
            let changes: Vec<Changed> = changes.into_iter().collect();
            for chunk in changes.chunks(log::MAX_CHANGES) {
                log::record(&self, now, chunk).await.map_err(CommitError::Undone)?;
            }
        }
        within(self.limit, self.inner.into_inner().commit()).await.map_err(CommitError::of)
    }
}

#[async_trait]
impl ConnectionTrait for Tx {
    fn get_database_backend(&self) -> DatabaseBackend {
        self.inner.get_database_backend()
    }

    async fn execute_raw(&self, statement: Statement) -> Result<ExecResult, DbErr> {
        self.inner.execute_raw(statement).await
    }

    async fn execute_unprepared(&self, sql: &str) -> Result<ExecResult, DbErr> {
        self.inner.execute_unprepared(sql).await
    }

    async fn query_one_raw(&self, statement: Statement) -> Result<Option<QueryResult>, DbErr> {
        self.inner.query_one_raw(statement).await
    }

    async fn query_all_raw(&self, statement: Statement) -> Result<Vec<QueryResult>, DbErr> {
        self.inner.query_all_raw(statement).await
    }
}
