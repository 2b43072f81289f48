//! A failover: another database takes the place of the installation's own, under the same name, while its programs run on.

use anyhow::{Context, Result};
use sluice_testkit::database::Engine;
use sqlx::{AssertSqlSafe, Connection, MySqlConnection, PgConnection};

use super::Books;

impl Books {
    /// Puts another database of the same server in the place of this one. Whoever is connected loses the connection.
    ///
    /// # Errors
    /// When the server refuses or is away.
    pub async fn replace_by(&self, copy: &str) -> Result<()> {
        let (server, name) = self.dsn.rsplit_once('/').context("the address of a database ends with its name")?;
        match self.engine {
            Engine::Postgres => replace_on_postgres(&format!("{server}/postgres"), name, copy).await,
            Engine::Mysql => replace_on_mysql(&self.dsn, name, copy).await,
            Engine::Sqlite => anyhow::bail!("a file has no server that could take another one"),
        }
    }
}

/// Nobody may come in between: the name is closed, emptied, given away and taken over.
async fn replace_on_postgres(dsn: &str, name: &str, copy: &str) -> Result<()> {
    let mut server = PgConnection::connect(dsn).await?;
    for statement in [
        format!("ALTER DATABASE {name} ALLOW_CONNECTIONS false"),
        format!("SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = '{name}'"),
        format!("ALTER DATABASE {name} RENAME TO {name}_gone"),
        format!("ALTER DATABASE {copy} RENAME TO {name}"),
        format!("DROP DATABASE {name}_gone WITH (FORCE)"),
    ] {
        sqlx::raw_sql(AssertSqlSafe(statement)).execute(&mut server).await?;
    }
    Ok(server.close().await?)
}

/// One statement gives every table away and takes the other one over; then every connection is cut.
async fn replace_on_mysql(dsn: &str, name: &str, copy: &str) -> Result<()> {
    let mut server = MySqlConnection::connect(dsn).await?;
    let tables = format!("SELECT CAST(table_name AS CHAR) FROM information_schema.tables WHERE table_schema = '{copy}'");
    let tables: Vec<(String,)> = sqlx::query_as(AssertSqlSafe(tables)).fetch_all(&mut server).await?;
    let moves = tables.iter().map(|(table,)| format!("{name}.{table} TO {name}_gone.{table}, {copy}.{table} TO {name}.{table}"));
    let moves = moves.collect::<Vec<_>>().join(", ");
    for statement in [format!("CREATE DATABASE {name}_gone"), format!("RENAME TABLE {moves}")] {
        sqlx::raw_sql(AssertSqlSafe(statement)).execute(&mut server).await?;
    }
    let others = format!("SELECT id FROM information_schema.processlist WHERE db = '{name}' AND id <> CONNECTION_ID()");
    let others: Vec<(i64,)> = sqlx::query_as(AssertSqlSafe(others)).fetch_all(&mut server).await?;
    for (connection,) in others {
        // it may have left by itself
        sqlx::raw_sql(AssertSqlSafe(format!("KILL {connection}"))).execute(&mut server).await.ok();
    }
    for statement in [format!("DROP DATABASE {name}_gone"), format!("DROP DATABASE {copy}")] {
        sqlx::raw_sql(AssertSqlSafe(statement)).execute(&mut server).await?;
    }
    Ok(server.close().await?)
}
