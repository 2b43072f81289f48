//! The database: one concrete store for SQLite, MySQL and PostgreSQL.
//!
//! Features write SQL in their `store.rs`, through SeaORM; the few places where the engines truly differ are functions in here. Reads
//! go to [`Db::read`], writes through a [`Tx`], so that each operation is one transaction.

use std::ops::Deref;

use sea_orm::{
    DatabaseBackend, DatabaseConnection, DatabaseTransaction, DbErr, IsolationLevel, SqliteTransactionMode, TransactionOptions,
    TransactionTrait,
};

/// A pool of connections. On SQLite there is one writer and several readers; elsewhere both are the same pool.
#[derive(Debug, Clone)]
pub struct Db {
    writer: DatabaseConnection,
    reader: DatabaseConnection,
}

/// A transaction that writes. Dropping it without [`Tx::commit`] undoes everything.
#[derive(Debug)]
pub struct Tx(DatabaseTransaction);

impl Db {
    /// One pool for reading and writing (MySQL, PostgreSQL).
    #[must_use]
    pub fn shared(pool: DatabaseConnection) -> Self {
        Self { writer: pool.clone(), reader: pool }
    }

    /// A pool of one connection that writes, and one that reads (SQLite).
    #[must_use]
    pub fn split(writer: DatabaseConnection, reader: DatabaseConnection) -> Self {
        Self { writer, reader }
    }

    /// Which engine it is.
    #[must_use]
    pub fn engine(&self) -> DatabaseBackend {
        self.writer.get_database_backend()
    }

    /// For reading outside a transaction.
    #[must_use]
    pub fn read(&self) -> &DatabaseConnection {
        &self.reader
    }

    /// Starts a transaction that will write. On SQLite it takes the write lock at once, so that it cannot fail half-way for want of
    /// it; on MySQL it reads what is committed, as the other two do, so that locks are as narrow as there.
    ///
    /// # Errors
    /// When the database is away or no connection is free in time.
    pub async fn begin(&self) -> Result<Tx, DbErr> {
        let isolation_level = (self.engine() == DatabaseBackend::MySql).then_some(IsolationLevel::ReadCommitted);
        let sqlite_transaction_mode = (self.engine() == DatabaseBackend::Sqlite).then_some(SqliteTransactionMode::Immediate);
        let options = TransactionOptions { isolation_level, sqlite_transaction_mode, ..TransactionOptions::default() };
        self.writer.begin_with_options(options).await.map(Tx)
    }

    /// Starts a transaction in which every read sees the same committed state.
    ///
    /// # Errors
    /// When the database is away or no connection is free in time.
    pub async fn begin_snapshot(&self) -> Result<Tx, DbErr> {
        let isolation_level = (self.engine() != DatabaseBackend::Sqlite).then_some(IsolationLevel::RepeatableRead);
        let options = TransactionOptions { isolation_level, ..TransactionOptions::default() };
        self.reader.begin_with_options(options).await.map(Tx)
    }

    /// Closes the pools after what runs has ended.
    pub async fn close(self) {
        // an error here means it is closed already
        let _ = self.reader.close().await;
        let _ = self.writer.close().await;
    }
}

impl Tx {
    /// Makes everything permanent.
    ///
    /// # Errors
    /// When the database refuses or is away; what happened is then unknown until read again.
    pub async fn commit(self) -> Result<(), DbErr> {
        self.0.commit().await
    }
}

impl Deref for Tx {
    type Target = DatabaseTransaction;

    fn deref(&self) -> &DatabaseTransaction {
        &self.0
    }
}
