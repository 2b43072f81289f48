//! The few places where the engines truly differ.

use sea_orm::sea_query::{Alias, Expr, ExprTrait, Func, InsertStatement, Query};
use sea_orm::{ConnectionTrait, DatabaseBackend, DbErr, Statement};

use super::Db;

/// Inserts one row into a table whose `id` the database counts up, and answers that id.
///
/// # Errors
/// When the database refuses or is away.
pub async fn insert_for_id(db: &impl ConnectionTrait, mut insert: InsertStatement) -> Result<i64, DbErr> {
    if db.get_database_backend() == DatabaseBackend::Postgres {
        insert.returning_col("id");
        let row = db.query_one(&insert).await?;
        return row.ok_or(DbErr::RecordNotInserted)?.try_get("", "id");
    }
    let id = db.execute(&insert).await?.last_insert_id();
    i64::try_from(id).map_err(|_| DbErr::RecordNotInserted)
}

/// Leaves out the next `by` ids of a table whose `id` the database counts up. It stays so whatever becomes of a transaction.
///
/// # Errors
/// When the database refuses or is away.
pub async fn skip_ids(db: &Db, table: &'static str, by: i64) -> Result<(), DbErr> {
    let engine = db.engine();
    match engine {
        DatabaseBackend::Postgres => {
            let counter = format!("pg_get_serial_sequence('{table}', 'id')");
            let sql = format!("SELECT setval({counter}, nextval({counter}) + {by})");
            db.read().query_one_raw(Statement::from_string(engine, sql)).await.map(drop)
        }
        DatabaseBackend::MySql => {
            let most = Func::coalesce([Expr::col("id").max(), Expr::val(0_i64)]);
            let select = Query::select().expr_as(whole(engine, most.into()), "most").from(table).to_owned();
            let most: i64 = db.read().query_one(&select).await?.map_or(Ok(0), |row| row.try_get("", "most"))?;
            let sql = format!("ALTER TABLE {table} AUTO_INCREMENT = {}", most.saturating_add(by));
            db.read().execute_unprepared(&sql).await.map(drop)
        }
        _ => {
            let tx = db.begin().await?;
            let more = Expr::col("seq").add(by);
            let count =
                Query::update().table("sqlite_sequence").value("seq", more).and_where(Expr::col("name").eq(table)).to_owned();
            if tx.execute(&count).await?.rows_affected() == 0 {
                // nothing was ever inserted
                let begin = Query::insert()
                    .into_table("sqlite_sequence")
                    .columns(["name", "seq"])
                    .values_panic([table.into(), by.into()])
                    .to_owned();
                tx.execute(&begin).await?;
            }
            tx.commit().await?;
            Ok(())
        }
    }
}

/// The sum of a whole-number column as `i64`, 0 over no rows. Without the cast the servers answer a decimal.
#[must_use]
pub fn sum(engine: DatabaseBackend, column: impl Into<Expr>) -> Expr {
    whole(engine, Func::coalesce([column.into().sum(), Expr::val(0_i64)]).into())
}

/// A whole-number expression, said to be one.
#[must_use]
pub fn whole(engine: DatabaseBackend, expression: Expr) -> Expr {
    let name = if engine == DatabaseBackend::MySql { "SIGNED" } else { "BIGINT" };
    expression.cast_as(Alias::new(name))
}

/// The database's own clock, in milliseconds since 1970: the one clock that all replicas see.
#[must_use]
pub fn now_millis(engine: DatabaseBackend) -> Expr {
    Expr::cust(match engine {
        DatabaseBackend::Postgres => "CAST(EXTRACT(EPOCH FROM clock_timestamp()) * 1000 AS BIGINT)",
        DatabaseBackend::MySql => "CAST(UNIX_TIMESTAMP(NOW(3)) * 1000 AS SIGNED)",
        _ => "CAST((julianday('now') - 2440587.5) * 86400000 AS INTEGER)",
    })
}
