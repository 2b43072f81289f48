//! The measure of settlement: a bare batch insert of the rows it wrote, into empty tables of the same form beside them.
//!
//! One connection, prepared statements, and as many rows in a transaction as settlement takes; nothing is looked up, priced or moved.

use std::time::Duration;

use anyhow::{Context, Result};
use sluice_testkit::database::Engine;
use sqlx::sqlite::{SqliteConnectOptions, SqliteJournalMode, SqliteSynchronous};
use sqlx::{AssertSqlSafe, Column, ColumnIndex, Connection, Decode, MySqlConnection, PgConnection, Row, SqliteConnection, Type};
use tokio::time::Instant;

use super::tally::number;

/// Requests in one transaction: the most that settlement takes.
const PER_COMMIT: usize = 2_000;
/// What settlement writes for each request. The numbers of the first are the database's own.
const TABLES: [&str; 2] = ["requests", "request_explanations"];

/// The rows of one table, as text.
struct Rows {
    table: &'static str,
    columns: Vec<String>,
    /// The type of each column, where the engine needs it said.
    types: Vec<String>,
    values: Vec<Vec<Option<String>>>,
}

impl Rows {
    fn copy(&self) -> String {
        format!("bare_{}", self.table)
    }

    /// The part of the rows that belongs to one transaction.
    fn part(&self, place: usize) -> &[Vec<Option<String>>] {
        let start = (place * PER_COMMIT).min(self.values.len());
        let end = (start + PER_COMMIT).min(self.values.len());
        &self.values[start..end]
    }
}

/// Inserts the rows that settlement wrote once more, and returns how many requests a second that was.
pub(crate) async fn bare_rate(engine: Engine, dsn: &str) -> Result<f64> {
    let (requests, took) = match engine {
        Engine::Sqlite => sqlite(dsn).await?,
        Engine::Postgres => postgres(dsn).await?,
        Engine::Mysql => mysql(dsn).await?,
    };
    Ok(number(requests as u64) / took.as_secs_f64())
}

async fn sqlite(dsn: &str) -> Result<(usize, Duration)> {
    // As the control plane opens it.
    let options: SqliteConnectOptions = dsn.parse()?;
    let options = options.journal_mode(SqliteJournalMode::Wal).synchronous(SqliteSynchronous::Full);
    let mut connection = SqliteConnection::connect_with(&options).await?;
    let mut tables = Vec::new();
    for table in TABLES {
        let sql = "SELECT name, type FROM pragma_table_info(?) WHERE name <> 'id'";
        let names = sqlx::query(sql).bind(table).fetch_all(&mut connection).await?;
        let (columns, types) = columns_of(&names)?;
        let picked = columns.iter().map(|name| format!("CAST(\"{name}\" AS TEXT)")).collect::<Vec<_>>().join(", ");
        let found = sqlx::query(AssertSqlSafe(format!("SELECT {picked} FROM {table}"))).fetch_all(&mut connection).await?;
        let rows = Rows { table, columns, types, values: texts(&found)? };
        let made = sqlx::query("SELECT sql FROM sqlite_master WHERE tbl_name = ? AND sql IS NOT NULL ORDER BY type DESC");
        for (place, statement) in made.bind(table).fetch_all(&mut connection).await?.iter().enumerate() {
            let statement: String = statement.try_get(0)?;
            let (head, body) = statement.split_once('(').context("a table has columns")?;
            let copy = rows.copy();
            let head = match (head.contains("INDEX"), head.contains("UNIQUE")) {
                (false, _) => format!("CREATE TABLE {copy}"),
                (true, false) => format!("CREATE INDEX {copy}_{place} ON {copy}"),
                (true, true) => format!("CREATE UNIQUE INDEX {copy}_{place} ON {copy}"),
            };
            sqlx::raw_sql(AssertSqlSafe(format!("{head} ({body}"))).execute(&mut connection).await?;
        }
        tables.push(rows);
    }
    let start = Instant::now();
    for place in 0..parts(&tables) {
        let mut transaction = connection.begin().await?;
        for rows in &tables {
            // SQLite takes 32,766 values in a statement.
            for chunk in rows.part(place).chunks(32_766 / rows.columns.len()) {
                let sql = values_statement(rows, chunk.len(), '"');
                let mut query = sqlx::query(AssertSqlSafe(sql));
                for value in chunk.iter().flatten() {
                    query = query.bind(value);
                }
                query.execute(&mut *transaction).await?;
            }
        }
        transaction.commit().await?;
    }
    Ok((requests(&tables), start.elapsed()))
}

async fn postgres(dsn: &str) -> Result<(usize, Duration)> {
    let mut connection = PgConnection::connect(dsn).await?;
    let mut tables = Vec::new();
    for table in TABLES {
        let sql = "SELECT attname::text, format_type(atttypid, NULL) FROM pg_attribute \
                   WHERE attrelid = $1::regclass AND attnum > 0 AND NOT attisdropped AND attname <> 'id' ORDER BY attnum";
        let names = sqlx::query(sql).bind(table).fetch_all(&mut connection).await?;
        let (columns, types) = columns_of(&names)?;
        let picked = columns.iter().map(|name| format!("\"{name}\"::text")).collect::<Vec<_>>().join(", ");
        let found = sqlx::query(AssertSqlSafe(format!("SELECT {picked} FROM {table}"))).fetch_all(&mut connection).await?;
        let rows = Rows { table, columns, types, values: texts(&found)? };
        let copy = format!("CREATE TABLE {} (LIKE {table} INCLUDING ALL)", rows.copy());
        sqlx::raw_sql(AssertSqlSafe(copy)).execute(&mut connection).await?;
        tables.push(rows);
    }
    let start = Instant::now();
    for place in 0..parts(&tables) {
        let mut transaction = connection.begin().await?;
        for rows in tables.iter().filter(|rows| !rows.part(place).is_empty()) {
            let names = rows.columns.iter().map(|name| format!("\"{name}\"")).collect::<Vec<_>>().join(", ");
            let arrays = (1..=rows.columns.len()).map(|place| format!("${place}::text[]")).collect::<Vec<_>>().join(", ");
            let cast = |(name, kind): (&String, &String)| format!("given.\"{name}\"::{kind}");
            let picked = rows.columns.iter().zip(&rows.types).map(cast).collect::<Vec<_>>().join(", ");
            let sql = format!("INSERT INTO {} ({names}) SELECT {picked} FROM unnest({arrays}) AS given({names})", rows.copy());
            let mut query = sqlx::query(AssertSqlSafe(sql));
            for column in 0..rows.columns.len() {
                query = query.bind(rows.part(place).iter().map(|row| row[column].clone()).collect::<Vec<_>>());
            }
            query.execute(&mut *transaction).await?;
        }
        transaction.commit().await?;
    }
    Ok((requests(&tables), start.elapsed()))
}

async fn mysql(dsn: &str) -> Result<(usize, Duration)> {
    let mut connection = MySqlConnection::connect(dsn).await?;
    let mut tables = Vec::new();
    for table in TABLES {
        let sql = "SELECT CAST(column_name AS CHAR), CAST(data_type AS CHAR) FROM information_schema.columns \
                   WHERE table_schema = DATABASE() AND table_name = ? AND column_name <> 'id' ORDER BY ordinal_position";
        let names = sqlx::query(sql).bind(table).fetch_all(&mut connection).await?;
        let (columns, types) = columns_of(&names)?;
        let picked = columns.iter().map(|name| format!("CAST(`{name}` AS CHAR)")).collect::<Vec<_>>().join(", ");
        let found = sqlx::query(AssertSqlSafe(format!("SELECT {picked} FROM {table}"))).fetch_all(&mut connection).await?;
        let rows = Rows { table, columns, types, values: texts(&found)? };
        let copy = format!("CREATE TABLE {} LIKE {table}", rows.copy());
        sqlx::raw_sql(AssertSqlSafe(copy)).execute(&mut connection).await?;
        tables.push(rows);
    }
    let start = Instant::now();
    for place in 0..parts(&tables) {
        let mut transaction = connection.begin().await?;
        for rows in &tables {
            // A prepared statement takes 65,535 values, and a thousand rows stay below the smallest packet.
            for chunk in rows.part(place).chunks((65_535 / rows.columns.len()).min(1_000)) {
                let sql = values_statement(rows, chunk.len(), '`');
                let mut query = sqlx::query(AssertSqlSafe(sql));
                for value in chunk.iter().flatten() {
                    query = query.bind(value);
                }
                query.execute(&mut *transaction).await?;
            }
        }
        transaction.commit().await?;
    }
    Ok((requests(&tables), start.elapsed()))
}

fn requests(tables: &[Rows]) -> usize {
    tables.first().map_or(0, |rows| rows.values.len())
}

fn parts(tables: &[Rows]) -> usize {
    tables.iter().map(|rows| rows.values.len().div_ceil(PER_COMMIT)).max().unwrap_or(0)
}

fn values_statement(rows: &Rows, count: usize, quote: char) -> String {
    let names = rows.columns.iter().map(|name| format!("{quote}{name}{quote}")).collect::<Vec<_>>().join(", ");
    let one = format!("({})", vec!["?"; rows.columns.len()].join(", "));
    format!("INSERT INTO {} ({names}) VALUES {}", rows.copy(), vec![one; count].join(", "))
}

/// Names and types of columns, from rows of two texts.
fn columns_of<R: Row>(rows: &[R]) -> Result<(Vec<String>, Vec<String>)>
where
    usize: ColumnIndex<R>,
    String: for<'r> Decode<'r, R::Database> + Type<R::Database>,
{
    let mut columns = (Vec::new(), Vec::new());
    for row in rows {
        columns.0.push(row.try_get(0)?);
        columns.1.push(row.try_get(1)?);
    }
    Ok(columns)
}

fn texts<R: Row>(rows: &[R]) -> Result<Vec<Vec<Option<String>>>>
where
    usize: ColumnIndex<R>,
    Option<String>: for<'r> Decode<'r, R::Database> + Type<R::Database>,
{
    let one = |row: &R| row.columns().iter().map(|column| Ok(row.try_get(column.ordinal())?)).collect();
    rows.iter().map(one).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn the_rows_of_both_tables_are_there_twice_afterwards() {
        let folder = tempfile::tempdir().unwrap();
        let dsn = format!("sqlite://{}?mode=rwc", folder.path().join("x.db").display());
        let mut writer = SqliteConnection::connect(&dsn).await.unwrap();
        let made = "CREATE TABLE \"requests\" (\"id\" integer PRIMARY KEY, \"seq\" bigint, \"path\" text);
            CREATE UNIQUE INDEX \"a\" ON \"requests\" (\"seq\");
            CREATE TABLE \"request_explanations\" (\"request_id\" text PRIMARY KEY, \"body\" text NULL);
            INSERT INTO requests (seq, path) VALUES (7, '/v1'), (8, 'it''s');
            INSERT INTO request_explanations VALUES ('x', NULL);";
        sqlx::raw_sql(made).execute(&mut writer).await.unwrap();
        assert!(bare_rate(Engine::Sqlite, &dsn).await.unwrap() > 0.0);
        for (table, columns) in [("requests", "seq, path, typeof(seq)"), ("request_explanations", "request_id, body")] {
            let differ =
                format!("SELECT COUNT(*) FROM (SELECT {columns} FROM {table} EXCEPT SELECT {columns} FROM bare_{table})");
            let row = sqlx::query(AssertSqlSafe(differ)).fetch_one(&mut writer).await.unwrap();
            assert_eq!(row.get::<i64, _>(0), 0, "{table}");
        }
    }
}
