//! From whatever is in the database to the schema and first rows of this build.

use sea_orm::sea_query::{Expr, ExprTrait, Query};
use sea_orm::{ConnectionTrait, DatabaseBackend, DbErr, Statement};
use sea_orm_migration::MigratorTrait;
use sluice_migrations::Migrator;

use super::Db;
use super::connect::read_only;
use super::dsn::SqliteFile;
use super::lock::SchemaLock;

/// Tables that only One API and New API have.
const ANCESTOR_TABLES: [&str; 3] = ["abilities", "options", "channels"];
/// The table in which migrations are written down.
const MIGRATIONS_TABLE: &str = "seaql_migrations";

/// What is in a database.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Found {
    /// None of our tables, nor any that would be in their way.
    Empty,
    /// Ours.
    Ours(Schema),
    /// One API's or New API's.
    Ancestor,
    /// Somebody else's: a table of that name is in the way.
    Foreign(String),
}

/// How far a database of ours is.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Schema {
    /// Migrations of this build it does not have yet, in order.
    pub pending: Vec<String>,
    /// Migrations it has that this build does not know: a later release wrote them.
    pub unknown: Vec<String>,
}

/// Looks at a database without changing it.
///
/// # Errors
/// When it is away.
pub async fn look(db: &Db) -> Result<Found, DbErr> {
    look_at(db.read()).await
}

/// Looks at a database without changing it.
///
/// # Errors
/// When it is away.
pub async fn look_at(db: &impl ConnectionTrait) -> Result<Found, DbErr> {
    let tables = tables(db).await?;
    let has = |name: &str| tables.iter().any(|table| table == name);
    if has(MIGRATIONS_TABLE) {
        let applied = applied(db).await?;
        let known: Vec<&str> = sluice_migrations::plan(db.get_database_backend()).into_iter().map(|(name, _)| name).collect();
        if applied.is_empty() || applied.iter().any(|name| known.contains(&name.as_str())) {
            let pending = known.iter().filter(|name| !applied.iter().any(|one| one == **name));
            let unknown = applied.iter().filter(|name| !known.contains(&name.as_str()));
            return Ok(Found::Ours(Schema {
                pending: pending.map(ToString::to_string).collect(),
                unknown: unknown.cloned().collect(),
            }));
        }
    }
    if ANCESTOR_TABLES.iter().all(|table| has(table)) {
        return Ok(Found::Ancestor);
    }
    let ours = sluice_migrations::tables();
    let in_the_way = tables.into_iter().find(|table| ours.contains(table) || table == MIGRATIONS_TABLE);
    Ok(in_the_way.map_or(Found::Empty, Found::Foreign))
}

/// Looks at a SQLite file without changing it: no lock file beside it, no write-ahead log made of it. A file that is not there is
/// empty.
///
/// # Errors
/// When it cannot be read, or is no database.
pub async fn look_at_file(file: &SqliteFile) -> Result<Found, DbErr> {
    if !file.path.exists() {
        return Ok(Found::Empty);
    }
    let db = read_only(file).await?;
    let found = look_at(&db).await;
    db.close().await?;
    found
}

/// Migrations of this build that the database does not have.
///
/// # Errors
/// When it is away, or its schema is gone.
pub async fn pending(db: &Db) -> Result<Vec<String>, DbErr> {
    let applied = applied(db.read()).await?;
    let known = sluice_migrations::plan(db.engine()).into_iter().map(|(name, _)| name.to_owned());
    Ok(known.filter(|name| !applied.contains(name)).collect())
}

/// Applies what is pending, under the database lock. Whatever another process applied meanwhile is not applied again.
///
/// # Errors
/// When the database refuses or is away, or another process holds the lock for over a minute.
pub async fn migrate(db: &Db) -> Result<(), DbErr> {
    let lock = SchemaLock::take(db).await?;
    let migrated = migrate_locked(db).await;
    lock.release().await;
    migrated
}

async fn migrate_locked(db: &Db) -> Result<(), DbErr> {
    if let Found::Ours(schema) = look(db).await?
        && schema.pending.is_empty()
    {
        return Ok(());
    }
    Migrator::up(&db.writer, None).await
}

async fn applied(db: &impl ConnectionTrait) -> Result<Vec<String>, DbErr> {
    let select = Query::select().column("version").from(MIGRATIONS_TABLE).order_by("version", sea_orm::Order::Asc).to_owned();
    db.query_all(&select).await?.iter().map(|row| row.try_get("", "version")).collect()
}

/// The names of all tables of the database (PostgreSQL: of the current schema).
async fn tables(db: &impl ConnectionTrait) -> Result<Vec<String>, DbErr> {
    let engine = db.get_database_backend();
    if engine == DatabaseBackend::Sqlite {
        let select = Query::select().column("name").from("sqlite_master").and_where(Expr::col("type").eq("table")).to_owned();
        return db.query_all(&select).await?.iter().map(|row| row.try_get("", "name")).collect();
    }
    let schema = if engine == DatabaseBackend::Postgres { "current_schema()" } else { "DATABASE()" };
    let sql = format!("SELECT table_name AS name FROM information_schema.tables WHERE table_schema = {schema}");
    db.query_all_raw(Statement::from_string(engine, sql)).await?.iter().map(|row| row.try_get("", "name")).collect()
}
