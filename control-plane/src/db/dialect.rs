//! The few places where the engines truly differ.

use sea_orm::sea_query::{Alias, Expr, ExprTrait, Func, InsertStatement};
use sea_orm::{ConnectionTrait, DatabaseBackend, DbErr};

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

/// The database's own clock, in milliseconds since 1970. Only for leases between processes, whose clocks may differ.
#[must_use]
pub fn now_millis(engine: DatabaseBackend) -> Expr {
    Expr::cust(match engine {
        DatabaseBackend::Postgres => "CAST(EXTRACT(EPOCH FROM clock_timestamp()) * 1000 AS BIGINT)",
        DatabaseBackend::MySql => "CAST(UNIX_TIMESTAMP(NOW(3)) * 1000 AS SIGNED)",
        _ => "CAST((julianday('now') - 2440587.5) * 86400000 AS INTEGER)",
    })
}
