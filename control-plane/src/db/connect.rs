//! Connections: how each engine is opened, and what is asked of its server.

use std::path::PathBuf;
use std::time::Duration;

use sea_orm::{
    ConnectionTrait, DatabaseBackend, DatabaseConnection, DbErr, RuntimeErr, SqlxMySqlConnector, SqlxPostgresConnector,
    SqlxSqliteConnector, Statement,
};
use secrecy::ExposeSecret;
use sqlx::mysql::{MySqlConnectOptions, MySqlPoolOptions, MySqlSslMode};
use sqlx::postgres::{PgConnectOptions, PgPoolOptions, PgSslMode};
use sqlx::sqlite::{SqliteConnectOptions, SqliteJournalMode, SqlitePoolOptions, SqliteSynchronous};
use sqlx::{ConnectOptions, Connection, Executor};

use super::Db;
use super::dsn::{Dsn, Server, SqliteFile, Tls};

/// Readers of a SQLite file; it has one writer.
const SQLITE_READERS: u32 = 8;
/// How long an operation waits for a free connection.
const ACQUIRE_TIMEOUT: Duration = Duration::from_secs(10);
/// How long a statement may take on a server.
const STATEMENT_LIMIT: Duration = Duration::from_secs(30);
/// Connections beyond need are closed after this long.
const IDLE_TIMEOUT: Duration = Duration::from_mins(5);
/// Statements that are kept ready per connection. The widest have tens of thousands of places, so there are few.
const STATEMENT_CACHE: usize = 64;

/// How many connections there may be, and for how long.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct PoolSettings {
    /// The most connections of this process to a server.
    pub max_open: u32,
    /// A connection is replaced after this long.
    pub max_lifetime: Duration,
    /// A statement that is not answered within this counts as if its connection had broken. Longer than any wait for a lock.
    pub statement_limit: Duration,
}

impl Default for PoolSettings {
    fn default() -> Self {
        Self { max_open: 50, max_lifetime: Duration::from_hours(1), statement_limit: STATEMENT_LIMIT }
    }
}

/// Opens the database. The file of SQLite is made when it is missing, its folder must exist.
///
/// # Errors
/// When it cannot be reached or refuses us.
pub async fn connect(dsn: &Dsn, pool: PoolSettings) -> Result<Db, DbErr> {
    match dsn {
        Dsn::Sqlite(file) => connect_sqlite(file).await,
        Dsn::MySql(server) => connect_mysql(server, pool).await,
        Dsn::Postgres(server) => connect_postgres(server, pool).await,
    }
    .map_err(refused)
}

async fn connect_sqlite(file: &SqliteFile) -> Result<Db, sqlx::Error> {
    let options = SqliteConnectOptions::new()
        .filename(&file.path)
        .create_if_missing(true)
        .journal_mode(SqliteJournalMode::Wal)
        // NORMAL may lose an acknowledged payment or grant when the power fails
        .synchronous(SqliteSynchronous::Full)
        .busy_timeout(file.busy_timeout)
        .foreign_keys(true)
        .statement_cache_capacity(STATEMENT_CACHE)
        .disable_statement_logging();
    let pool = || SqlitePoolOptions::new().acquire_timeout(ACQUIRE_TIMEOUT).test_before_acquire(false).max_lifetime(None);
    let writer = pool().max_connections(1).min_connections(1).idle_timeout(None).connect_with(options.clone()).await?;
    let reading = options.create_if_missing(false).pragma("query_only", "ON");
    let reader = pool().max_connections(SQLITE_READERS).idle_timeout(IDLE_TIMEOUT).connect_with(reading).await?;
    Ok(Db::split(SqlxSqliteConnector::from_sqlx_sqlite_pool(writer), SqlxSqliteConnector::from_sqlx_sqlite_pool(reader)))
}

/// Opens a SQLite file without changing it: no lock file beside it, no write-ahead log made of it.
///
/// # Errors
/// When it cannot be read, or is no database.
pub async fn read_only(file: &SqliteFile) -> Result<DatabaseConnection, DbErr> {
    let mut log = file.path.as_os_str().to_owned();
    log.push("-wal");
    // without a log there is nothing to share with other processes, so not even the files for that are made
    let is_whole = !PathBuf::from(log).exists();
    let options =
        SqliteConnectOptions::new().filename(&file.path).read_only(true).immutable(is_whole).disable_statement_logging();
    let pool = SqlitePoolOptions::new().max_connections(1).connect_with(options).await.map_err(refused)?;
    Ok(SqlxSqliteConnector::from_sqlx_sqlite_pool(pool))
}

/// Whether a server answered and will not have us: a wrong name, a wrong password, or no such database. Waiting does not help then.
#[must_use]
pub fn is_refusal(error: &DbErr) -> bool {
    let DbErr::Conn(RuntimeErr::SqlxError(error)) = error else { return false };
    let sqlx::Error::Database(told) = &**error else { return false };
    // SQLSTATE: 28… who comes is not let in, 3D000 and MySQL's 42000 there is no such database, 42501 it is not for us
    told.code().is_some_and(|code| code.starts_with("28") || ["3D000", "42000", "42501"].contains(&&*code))
}

fn refused(error: sqlx::Error) -> DbErr {
    DbErr::Conn(RuntimeErr::SqlxError(error.into()))
}

/// Connects once and hangs up. A pool hides why a connection cannot be made until it has run out of time.
async fn knock<O: ConnectOptions<Connection: Sized>>(options: &O) -> Result<(), sqlx::Error> {
    let connected = tokio::time::timeout(ACQUIRE_TIMEOUT, options.connect()).await;
    connected.map_err(|_| sqlx::Error::PoolTimedOut)??.close().await
}

async fn connect_mysql(server: &Server, pool: PoolSettings) -> Result<Db, sqlx::Error> {
    let limit = pool.statement_limit;
    let mut options = MySqlConnectOptions::new()
        .host(&server.host)
        .port(server.port)
        .database(&server.database)
        .charset("utf8mb4")
        .collation("utf8mb4_bin")
        .ssl_mode(match server.tls {
            Tls::Off => MySqlSslMode::Disabled,
            Tls::Preferred => MySqlSslMode::Preferred,
            Tls::Required => MySqlSslMode::Required,
            Tls::VerifyCa => MySqlSslMode::VerifyCa,
            Tls::VerifyHost => MySqlSslMode::VerifyIdentity,
        })
        .statement_cache_capacity(STATEMENT_CACHE)
        .disable_statement_logging();
    if let Some(user) = &server.user {
        options = options.username(user);
    }
    if let Some(password) = &server.password {
        options = options.password(password.expose_secret());
    }
    if let Some(socket) = &server.socket {
        options = options.socket(socket);
    }
    if let Some(ca) = &server.tls_ca {
        options = options.ssl_ca(ca);
    }
    knock(&options).await?;
    let pool = MySqlPoolOptions::new()
        .max_connections(pool.max_open)
        .acquire_timeout(ACQUIRE_TIMEOUT)
        .idle_timeout(IDLE_TIMEOUT)
        .max_lifetime(pool.max_lifetime)
        // READ COMMITTED, so that locks are as narrow as on the other engines; and no wait without end
        .after_connect(|connection, _| {
            Box::pin(async move {
                connection.execute("SET SESSION TRANSACTION ISOLATION LEVEL READ COMMITTED").await?;
                connection.execute("SET SESSION innodb_lock_wait_timeout = 10").await?;
                connection.execute("SET SESSION lock_wait_timeout = 60").await?;
                Ok(())
            })
        })
        .connect_with(options)
        .await?;
    Ok(Db::shared(SqlxMySqlConnector::from_sqlx_mysql_pool(pool), limit))
}

async fn connect_postgres(server: &Server, pool: PoolSettings) -> Result<Db, sqlx::Error> {
    let limit = pool.statement_limit;
    let mut options = PgConnectOptions::new_without_pgpass()
        .host(&server.host)
        .port(server.port)
        .database(&server.database)
        .application_name("sluice-control")
        .ssl_mode(match server.tls {
            Tls::Off => PgSslMode::Disable,
            Tls::Preferred => PgSslMode::Prefer,
            Tls::Required => PgSslMode::Require,
            Tls::VerifyCa => PgSslMode::VerifyCa,
            Tls::VerifyHost => PgSslMode::VerifyFull,
        })
        .statement_cache_capacity(STATEMENT_CACHE)
        .disable_statement_logging();
    if let Some(user) = &server.user {
        options = options.username(user);
    }
    if let Some(password) = &server.password {
        options = options.password(password.expose_secret());
    }
    if let Some(socket) = &server.socket {
        options = options.socket(socket);
    }
    if let Some(ca) = &server.tls_ca {
        options = options.ssl_root_cert(ca);
    }
    knock(&options).await?;
    let pool = PgPoolOptions::new()
        .max_connections(pool.max_open)
        .acquire_timeout(ACQUIRE_TIMEOUT)
        .idle_timeout(IDLE_TIMEOUT)
        .max_lifetime(pool.max_lifetime)
        .after_connect(|connection, _| {
            Box::pin(async move {
                connection.execute("SET lock_timeout = '10s'").await?;
                connection.execute("SET idle_in_transaction_session_timeout = '60s'").await?;
                Ok(())
            })
        })
        .connect_with(options)
        .await?;
    Ok(Db::shared(SqlxPostgresConnector::from_sqlx_postgres_pool(pool), limit))
}

/// The version a server says it has, and the oldest this build works with.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ServerVersion {
    /// As the server writes it.
    pub text: String,
    /// Its numbers.
    pub numbers: (u32, u32, u32),
    /// Whether it is MariaDB, which counts by itself.
    pub is_mariadb: bool,
}

impl ServerVersion {
    /// The oldest version of an engine this build works with.
    #[must_use]
    pub const fn oldest(engine: DatabaseBackend, is_mariadb: bool) -> (u32, u32, u32) {
        match engine {
            DatabaseBackend::Postgres => (9, 6, 0),
            DatabaseBackend::MySql if is_mariadb => (10, 2, 7),
            DatabaseBackend::MySql => (5, 7, 8),
            _ => (3, 24, 0),
        }
    }

    /// Whether this build works with it.
    #[must_use]
    pub fn is_supported(&self, engine: DatabaseBackend) -> bool {
        self.numbers >= Self::oldest(engine, self.is_mariadb)
    }

    /// Reads what a server says of itself. What is no number counts as 0, so an unreadable version is too old.
    #[must_use]
    pub fn parse(text: &str) -> Self {
        let is_mariadb = text.to_ascii_lowercase().contains("mariadb");
        // MariaDB puts "5.5.5-" before its own version, for old clients
        let own = text.strip_prefix("5.5.5-").filter(|_| is_mariadb).unwrap_or(text);
        let start = own.find(|c: char| c.is_ascii_digit()).unwrap_or(own.len());
        let digits = own.get(start..).unwrap_or_default();
        let end = digits.find(|c: char| !c.is_ascii_digit() && c != '.').unwrap_or(digits.len());
        let mut parts = digits.get(..end).unwrap_or_default().split('.').map(|part| part.parse().unwrap_or(0));
        let mut next = || parts.next().unwrap_or(0);
        Self { text: text.to_owned(), numbers: (next(), next(), next()), is_mariadb }
    }
}

/// Asks the server for its version.
///
/// # Errors
/// When the database is away.
pub async fn server_version(db: &impl ConnectionTrait) -> Result<ServerVersion, DbErr> {
    let engine = db.get_database_backend();
    let sql = match engine {
        DatabaseBackend::Postgres => "SHOW server_version",
        DatabaseBackend::MySql => "SELECT VERSION()",
        _ => "SELECT sqlite_version()",
    };
    let row = db.query_one_raw(Statement::from_string(engine, sql)).await?;
    let row = row.ok_or_else(|| DbErr::RecordNotFound("the server told no version".to_owned()))?;
    Ok(ServerVersion::parse(&row.try_get_by_index::<String>(0)?))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn versions_are_read_as_servers_write_them() {
        for (text, numbers, is_mariadb) in [
            ("15.14 (Debian 15.14-0+deb12u1)", (15, 14, 0), false),
            ("9.6.24", (9, 6, 24), false),
            ("8.2.0", (8, 2, 0), false),
            ("5.7.8-log", (5, 7, 8), false),
            ("10.11.14-MariaDB-0+deb12u2", (10, 11, 14), true),
            ("5.5.5-10.6.18-MariaDB", (10, 6, 18), true),
            ("unknown", (0, 0, 0), false),
        ] {
            let version = ServerVersion::parse(text);
            assert_eq!((version.numbers, version.is_mariadb), (numbers, is_mariadb), "{text}");
        }
    }

    #[test]
    fn servers_older_than_promised_are_not_supported() {
        let supported = |engine, text| ServerVersion::parse(text).is_supported(engine);
        assert!(supported(DatabaseBackend::Postgres, "9.6.0"));
        assert!(!supported(DatabaseBackend::Postgres, "9.5.25"));
        assert!(supported(DatabaseBackend::MySql, "5.7.8"));
        assert!(!supported(DatabaseBackend::MySql, "5.7.7-rc"));
        assert!(!supported(DatabaseBackend::MySql, "5.5.5-10.1.48-MariaDB"));
        assert!(!supported(DatabaseBackend::MySql, "unknown"));
    }
}
