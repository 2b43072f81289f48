//! The database, read from outside: past every proxy, and without any code of the programs under test.

mod failover;

use std::collections::{HashMap, HashSet};

use anyhow::{Context, Result};
use sluice_testkit::database::Engine;
use sqlx::sqlite::SqliteConnectOptions;
use sqlx::{AssertSqlSafe, ConnectOptions, Connection, MySqlConnection, PgConnection, SqliteConnection};

/// The books of an installation. Connects for each question, because the server may have been away since the last one.
#[derive(Debug, Clone)]
pub struct Books {
    engine: Engine,
    dsn: String,
}

/// An account.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Account {
    /// Its id.
    pub id: i64,
    /// `wallet`, `cap` or `uses`.
    pub kind: String,
    /// Whose it is.
    pub user: i64,
    /// What can be lent.
    pub balance: i64,
    /// What relays hold.
    pub leased: i64,
    /// What lost relays held.
    pub in_doubt: i64,
}

/// A lease.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Lease {
    /// Its id.
    pub id: i64,
    /// Its account.
    pub account: i64,
    /// Who holds it.
    pub node: String,
    /// In which life.
    pub epoch: i64,
    /// What was charged to it.
    pub settled: i64,
    /// What is neither settled nor returned.
    pub remainder: i64,
    /// When it is over, in milliseconds since 1970.
    pub expires_at: i64,
    /// `open`, `in_doubt` or `closed`.
    pub state: String,
}

/// A settled request.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Row {
    /// The caller's name for it.
    pub request_id: String,
    /// The relay.
    pub node: String,
    /// Its life.
    pub epoch: i64,
    /// Who paid.
    pub user: i64,
    /// How it ended.
    pub outcome: String,
    /// What it cost.
    pub quota: i64,
    /// Tokens of input charged.
    pub input: i64,
    /// Tokens of output charged.
    pub output: i64,
    /// When it came in, in milliseconds since 1970.
    pub started_at: i64,
    /// When it ended.
    pub finished_at: i64,
    /// Whether the provider's own figures were of no use.
    pub is_estimated: bool,
}

/// Asks the same of any of the three, and reads rows as tuples.
macro_rules! rows {
    ($books:expr, $sql:expr, $row:ty) => {{
        let books: &Books = $books;
        let found: Vec<$row> = match books.engine {
            Engine::Sqlite => {
                let mut connection = books.sqlite().await?;
                let found = sqlx::query_as($sql).fetch_all(&mut connection).await?;
                connection.close().await?;
                found
            }
            Engine::Postgres => {
                let mut connection = PgConnection::connect(&books.dsn).await?;
                let found = sqlx::query_as($sql).fetch_all(&mut connection).await?;
                connection.close().await?;
                found
            }
            Engine::Mysql => {
                let mut connection = MySqlConnection::connect(&books.dsn).await?;
                let found = sqlx::query_as($sql).fetch_all(&mut connection).await?;
                connection.close().await?;
                found
            }
        };
        found
    }};
}

impl Books {
    /// The books at an address.
    #[must_use]
    pub fn at(engine: Engine, dsn: &str) -> Self {
        Self { engine, dsn: dsn.to_owned() }
    }

    /// Every account.
    ///
    /// # Errors
    /// When the database is away, as for every question.
    pub async fn accounts(&self) -> Result<Vec<Account>> {
        let sql = "SELECT id, kind, user_id, balance, leased, in_doubt FROM accounts ORDER BY id";
        let rows = rows!(self, sql, (i64, String, i64, i64, i64, i64));
        let account = |(id, kind, user, balance, leased, in_doubt)| Account { id, kind, user, balance, leased, in_doubt };
        Ok(rows.into_iter().map(account).collect())
    }

    /// Σ ledger.amount by account.
    ///
    /// # Errors
    /// When the database is away.
    pub async fn ledger_sums(&self) -> Result<HashMap<i64, i64>> {
        let rows = rows!(self, "SELECT account_id, amount FROM ledger", (i64, i64));
        let mut sums = HashMap::new();
        for (account, amount) in rows {
            *sums.entry(account).or_default() += amount;
        }
        Ok(sums)
    }

    /// The accounts that limit somebody: wallets, and caps and uses of tokens that have one. The others only count.
    ///
    /// # Errors
    /// When the database is away.
    pub async fn limiting(&self) -> Result<HashSet<i64>> {
        let wallets = rows!(self, "SELECT id FROM accounts WHERE kind = 'wallet'", (i64,));
        let tokens = rows!(self, "SELECT account_id, capped, uses_account_id, uses_limited FROM tokens", (i64, bool, i64, bool));
        let mut limiting: HashSet<i64> = wallets.into_iter().map(|(id,)| id).collect();
        for (cap, capped, uses, uses_limited) in tokens {
            limiting.extend([(cap, capped), (uses, uses_limited)].into_iter().filter(|(_, limits)| *limits).map(|(id, _)| id));
        }
        Ok(limiting)
    }

    /// Every lease that is not closed.
    ///
    /// # Errors
    /// When the database is away.
    pub async fn leases(&self) -> Result<Vec<Lease>> {
        Ok(self.leases_ever().await?.into_iter().filter(|lease| lease.state != "closed").collect())
    }

    /// Every lease, closed ones too.
    ///
    /// # Errors
    /// When the database is away.
    pub async fn leases_ever(&self) -> Result<Vec<Lease>> {
        let sql = "SELECT id, account_id, node_id, epoch, settled, granted - settled - returned, expires_at, state FROM leases";
        let rows = rows!(self, sql, (i64, i64, String, i64, i64, i64, i64, String));
        let lease = |(id, account, node, epoch, settled, remainder, expires_at, state)| Lease {
            id,
            account,
            node,
            epoch,
            settled,
            remainder,
            expires_at,
            state,
        };
        Ok(rows.into_iter().map(lease).collect())
    }

    /// Every settled request.
    ///
    /// # Errors
    /// When the database is away.
    pub async fn rows(&self) -> Result<Vec<Row>> {
        let sql = "SELECT request_id, node_id, epoch, user_id, outcome, quota, input, output, started_at, finished_at, usage_estimated \
                   FROM requests";
        let rows = rows!(self, sql, (String, String, i64, i64, String, i64, i64, i64, i64, i64, bool));
        let row = |(request_id, node, epoch, user, outcome, quota, input, output, started_at, finished_at, is_estimated)| Row {
            request_id,
            node,
            epoch,
            user,
            outcome,
            quota,
            input,
            output,
            started_at,
            finished_at,
            is_estimated,
        };
        Ok(rows.into_iter().map(row).collect())
    }

    /// When the newest settled request of each relay ended.
    ///
    /// # Errors
    /// When the database is away.
    pub async fn newest(&self) -> Result<HashMap<String, i64>> {
        let sql = "SELECT node_id, MAX(finished_at) FROM requests GROUP BY node_id";
        Ok(rows!(self, sql, (String, i64)).into_iter().collect())
    }

    /// Records that were set aside, by reason.
    ///
    /// # Errors
    /// When the database is away.
    pub async fn quarantined(&self) -> Result<Vec<String>> {
        let rows = rows!(self, "SELECT reason FROM quarantine WHERE resolved_at IS NULL", (String,));
        Ok(rows.into_iter().map(|(reason,)| reason).collect())
    }

    /// The history of the database.
    ///
    /// # Errors
    /// When the database is away.
    pub async fn lineage(&self) -> Result<String> {
        let rows = rows!(self, "SELECT lineage FROM config_head", (String,));
        rows.into_iter().next().map(|(lineage,)| lineage).context("the database has a history")
    }

    /// Changes something behind the programs' backs. In several statements, with a semicolon between.
    ///
    /// # Errors
    /// When the database refuses or is away.
    pub async fn tamper(&self, sql: &str) -> Result<()> {
        let sql = AssertSqlSafe(sql.to_owned());
        match self.engine {
            Engine::Sqlite => sqlx::raw_sql(sql).execute(&mut self.sqlite().await?).await.map(drop)?,
            Engine::Postgres => sqlx::raw_sql(sql).execute(&mut PgConnection::connect(&self.dsn).await?).await.map(drop)?,
            Engine::Mysql => sqlx::raw_sql(sql).execute(&mut MySqlConnection::connect(&self.dsn).await?).await.map(drop)?,
        }
        Ok(())
    }

    /// Locks an SQLite file as another program that writes and writes would, until the value is dropped.
    ///
    /// # Errors
    /// When the lock cannot be had.
    pub async fn lock_file(&self) -> Result<SqliteConnection> {
        let mut connection = self.sqlite().await?;
        sqlx::raw_sql("PRAGMA busy_timeout = 10000; BEGIN IMMEDIATE").execute(&mut connection).await?;
        Ok(connection)
    }

    async fn sqlite(&self) -> Result<SqliteConnection> {
        let path = self.dsn.trim_start_matches("sqlite://");
        Ok(SqliteConnectOptions::new().filename(path).connect().await?)
    }
}
