//! A bound on every statement. A server behind a network that swallows everything answers nothing and breaks no connection; without a bound
//! whoever asked it would wait for ever.

use std::io;
use std::sync::Arc;
use std::time::Duration;

use sea_orm::{ConnectionTrait, DatabaseBackend, DbErr, ExecResult, QueryResult, RuntimeErr, Statement};
use sea_orm_migration::prelude::async_trait::async_trait;

/// A connection, a pool or a transaction whose statements end in time. One that does not counts as if its connection had broken: what it
/// did is unknown, and the pool looks at the connection before somebody else gets it.
#[derive(Debug, Clone)]
pub struct Timed<C> {
    inner: C,
    /// `None`: the database is in this process.
    limit: Option<Duration>,
}

impl<C> Timed<C> {
    pub(super) const fn new(inner: C, limit: Option<Duration>) -> Self {
        Self { inner, limit }
    }

    pub(super) const fn inner(&self) -> &C {
        &self.inner
    }

    pub(super) fn into_inner(self) -> C {
        self.inner
    }
}

/// Waits for an answer of the database, but not longer than this.
pub(super) async fn within<T>(limit: Option<Duration>, answer: impl Future<Output = Result<T, DbErr>>) -> Result<T, DbErr> {
    let Some(limit) = limit else { return answer.await };
    tokio::time::timeout(limit, answer).await.unwrap_or_else(|_| Err(silent()))
}

fn silent() -> DbErr {
    let error = io::Error::new(io::ErrorKind::TimedOut, "the database does not answer");
    DbErr::Conn(RuntimeErr::SqlxError(Arc::new(sqlx::Error::Io(error))))
}

#[async_trait]
impl<C: ConnectionTrait + Send + Sync> ConnectionTrait for Timed<C> {
    fn get_database_backend(&self) -> DatabaseBackend {
        self.inner.get_database_backend()
    }

    async fn execute_raw(&self, statement: Statement) -> Result<ExecResult, DbErr> {
        within(self.limit, self.inner.execute_raw(statement)).await
    }

    async fn execute_unprepared(&self, sql: &str) -> Result<ExecResult, DbErr> {
        within(self.limit, self.inner.execute_unprepared(sql)).await
    }

    async fn query_one_raw(&self, statement: Statement) -> Result<Option<QueryResult>, DbErr> {
        within(self.limit, self.inner.query_one_raw(statement)).await
    }

    async fn query_all_raw(&self, statement: Statement) -> Result<Vec<QueryResult>, DbErr> {
        within(self.limit, self.inner.query_all_raw(statement)).await
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::db::is_away;

    #[tokio::test]
    async fn a_server_that_says_nothing_is_away_after_its_time() {
        let never = std::future::pending::<Result<(), DbErr>>();
        let error = within(Some(Duration::from_millis(10)), never).await.unwrap_err();
        assert!(is_away(&error), "{error}");
    }
}
