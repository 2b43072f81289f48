//! One DDL statement as data, and how a list of them is run or printed.

use sea_orm::{DatabaseBackend, DbErr};
use sea_orm_migration::prelude::async_trait::async_trait;
use sea_orm_migration::prelude::{ColumnDef, ColumnType, IndexCreateStatement, TableAlterStatement, TableCreateStatement};
use sea_orm_migration::sea_query::{Index, MysqlQueryBuilder, PostgresQueryBuilder, SqliteQueryBuilder, Table};
use sea_orm_migration::{MigrationName, MigrationTrait, SchemaManager};

/// One DDL statement.
#[derive(Debug, Clone)]
pub enum Change {
    /// Creates a table.
    Table {
        /// Its name.
        name: &'static str,
        /// The statement without the engine's table options.
        create: Box<TableCreateStatement>,
    },
    /// Adds a column to a table of an earlier migration. It has a default, because the previous release does not write it.
    Column {
        /// The table.
        table: &'static str,
        /// Its name.
        name: String,
        /// Its type, before it is made the engine's.
        column: Box<ColumnDef>,
    },
    /// Creates an index.
    Index {
        /// The table it is on.
        table: &'static str,
        /// Its name, unique in the database.
        name: String,
        /// The statement.
        create: Box<IndexCreateStatement>,
    },
}

/// Starts a table.
pub(crate) fn table(name: &'static str, fill: impl FnOnce(&mut TableCreateStatement)) -> Change {
    let mut create = Table::create().table(name).if_not_exists().to_owned();
    fill(&mut create);
    Change::Table { name, create: Box::new(create) }
}

/// One more column of a table that is there.
pub(crate) fn column(table: &'static str, column: ColumnDef) -> Change {
    let name = column.get_column_name();
    Change::Column { table, name, column: Box::new(column) }
}

/// An index over columns; its name says where it is and what is in it.
pub(crate) fn index(table: &'static str, columns: &[&'static str]) -> Change {
    index_of(table, columns, false)
}

/// An index over columns whose values together occur once.
pub(crate) fn unique(table: &'static str, columns: &[&'static str]) -> Change {
    index_of(table, columns, true)
}

fn index_of(table: &'static str, columns: &[&'static str], unique: bool) -> Change {
    let kind = if unique { "uq" } else { "ix" };
    let name = format!("{kind}_{table}_{}", columns.join("_"));
    let mut create = Index::create().name(&name).table(table).to_owned();
    for column in columns {
        create.col(*column);
    }
    if unique {
        create.unique();
    }
    Change::Index { table, name, create: Box::new(create) }
}

/// A named list of changes.
#[derive(Debug)]
pub(crate) struct Scripted {
    pub(crate) name: &'static str,
    changes: Vec<Change>,
}

impl Scripted {
    pub(crate) fn new(name: &'static str, changes: Vec<Change>) -> Self {
        Self { name, changes }
    }

    pub(crate) fn tables(&self) -> Vec<String> {
        let named = |change: &Change| match change {
            Change::Table { name, .. } => Some((*name).to_owned()),
            Change::Column { .. } | Change::Index { .. } => None,
        };
        self.changes.iter().filter_map(named).collect()
    }

    pub(crate) fn sql(&self, engine: DatabaseBackend) -> Vec<String> {
        self.changes.iter().map(|change| render(change, engine)).collect()
    }
}

fn render(change: &Change, engine: DatabaseBackend) -> String {
    match (change, engine) {
        (Change::Table { create, .. }, DatabaseBackend::MySql) => for_engine(create, engine).to_string(MysqlQueryBuilder),
        (Change::Table { create, .. }, DatabaseBackend::Postgres) => create.to_string(PostgresQueryBuilder),
        (Change::Table { create, .. }, _) => create.to_string(SqliteQueryBuilder),
        (Change::Column { table, column, .. }, DatabaseBackend::MySql) => add(table, column, engine).to_string(MysqlQueryBuilder),
        (Change::Column { table, column, .. }, DatabaseBackend::Postgres) => {
            add(table, column, engine).to_string(PostgresQueryBuilder)
        }
        (Change::Column { table, column, .. }, _) => add(table, column, engine).to_string(SqliteQueryBuilder),
        (Change::Index { create, .. }, DatabaseBackend::MySql) => create.to_string(MysqlQueryBuilder),
        (Change::Index { create, .. }, DatabaseBackend::Postgres) => create.to_string(PostgresQueryBuilder),
        (Change::Index { create, .. }, _) => create.to_string(SqliteQueryBuilder),
    }
}

/// MySQL compares text without regard to case unless told otherwise; names and digests need the bytes compared. Its TEXT ends at
/// 65,535 bytes, which a channel of many models is longer than.
fn for_engine(create: &TableCreateStatement, engine: DatabaseBackend) -> TableCreateStatement {
    if engine != DatabaseBackend::MySql {
        return create.clone();
    }
    let mut wide = Table::create().if_not_exists().to_owned();
    if let Some(name) = create.get_table_name() {
        wide.table(name.clone());
    }
    for column in create.get_columns() {
        wide.col(wide_column(column));
    }
    for index in create.get_indexes() {
        wide.index(&mut index.clone());
    }
    wide.engine("InnoDB").character_set("utf8mb4").collate("utf8mb4_bin");
    wide
}

/// The statement that adds a column. Its texts compare as the table's do.
fn add(table: &'static str, column: &ColumnDef, engine: DatabaseBackend) -> TableAlterStatement {
    let column = if engine == DatabaseBackend::MySql { wide_column(column) } else { column.clone() };
    Table::alter().table(table).add_column(column).to_owned()
}

fn wide_column(column: &ColumnDef) -> ColumnDef {
    let mut column = column.clone();
    if column.get_column_type() == Some(&ColumnType::Text) {
        column.custom("mediumtext");
    }
    column
}

impl MigrationName for Scripted {
    fn name(&self) -> &str {
        self.name
    }
}

#[async_trait]
impl MigrationTrait for Scripted {
    async fn up(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        let engine = manager.get_database_backend();
        for change in &self.changes {
            match change {
                Change::Table { create, .. } => manager.create_table(for_engine(create, engine)).await?,
                Change::Column { table, name, column } => {
                    if !manager.has_column(*table, name).await? {
                        manager.alter_table(add(table, column, engine)).await?;
                    }
                }
                Change::Index { table, name, create } => {
                    if !manager.has_index(*table, name).await? {
                        manager.create_index(*create.clone()).await?;
                    }
                }
            }
        }
        Ok(())
    }

    async fn down(&self, _manager: &SchemaManager) -> Result<(), DbErr> {
        Err(DbErr::Migration("migrations are not undone: restore the backup taken before the upgrade".into()))
    }
}
