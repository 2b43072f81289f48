//! Many rows in one statement, as fast as each engine can take them.

use sea_orm::sea_query::{
    Alias, ArrayType, CaseStatement, Expr, ExprTrait, Func, IntoIden, OnConflict, Query, TableRef, UpdateStatement, Value,
    ValueTuple,
};
use sea_orm::{ConnectionTrait, DatabaseBackend, DbErr};

use super::Tx;

/// What a column holds, where rows are inserted as columns.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Kind {
    Long,
    Int,
    Flag,
    Text,
    TextOrNull,
}

/// Rows to insert into one table, gathered column by column.
#[derive(Debug, Clone)]
pub struct Insert {
    table: &'static str,
    columns: Vec<(&'static str, Kind)>,
    rows: Vec<Vec<Value>>,
    on_conflict: Option<OnConflict>,
}

impl Insert {
    /// No rows of no columns yet.
    #[must_use]
    pub fn into(table: &'static str) -> Self {
        Self { table, columns: Vec::new(), rows: Vec::new(), on_conflict: None }
    }

    /// Further columns of 64-bit numbers.
    #[must_use]
    pub fn longs(self, names: &[&'static str]) -> Self {
        self.columns(names, Kind::Long)
    }

    /// Further columns of 32-bit numbers.
    #[must_use]
    pub fn ints(self, names: &[&'static str]) -> Self {
        self.columns(names, Kind::Int)
    }

    /// Further columns of yes or no.
    #[must_use]
    pub fn flags(self, names: &[&'static str]) -> Self {
        self.columns(names, Kind::Flag)
    }

    /// Further columns of text.
    #[must_use]
    pub fn texts(self, names: &[&'static str]) -> Self {
        self.columns(names, Kind::Text)
    }

    /// Further columns of text where an empty text is kept as nothing.
    #[must_use]
    pub fn texts_or_null(self, names: &[&'static str]) -> Self {
        self.columns(names, Kind::TextOrNull)
    }

    fn columns(mut self, names: &[&'static str], kind: Kind) -> Self {
        self.columns.extend(names.iter().map(|name| (*name, kind)));
        self
    }

    /// What to do with rows that are there already.
    #[must_use]
    pub fn on_conflict(mut self, on_conflict: OnConflict) -> Self {
        self.on_conflict = Some(on_conflict);
        self
    }

    /// Adds a row: its values in the order of the columns. Text columns are given text, empty for nothing.
    pub fn push(&mut self, row: Vec<Value>) {
        self.rows.push(row);
    }

    /// Whether there are no rows.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.rows.is_empty()
    }

    /// Inserts the rows, in as few statements as the engine allows. Answers how many statements that were.
    ///
    /// # Errors
    /// When the database refuses or is away.
    pub async fn run(self, tx: &Tx) -> Result<u64, DbErr> {
        if self.rows.is_empty() {
            return Ok(0);
        }
        if tx.get_database_backend() == DatabaseBackend::Postgres {
            return self.run_by_columns(tx).await.map(|()| 1);
        }
        let at_once = rows_per_statement(tx.get_database_backend(), self.columns.len());
        let mut statements = 0;
        for chunk in self.rows.chunks(at_once) {
            let mut insert =
                Query::insert().into_table(self.table).columns(self.columns.iter().map(|(name, _)| *name)).to_owned();
            for row in chunk {
                insert.values_panic(row.iter().zip(&self.columns).map(|(value, (_, kind))| Expr::val(kept(value, *kind))));
            }
            if let Some(on_conflict) = &self.on_conflict {
                insert.on_conflict(on_conflict.clone());
            }
            tx.execute(&insert).await?;
            statements += 1;
        }
        Ok(statements)
    }

    /// PostgreSQL takes each column as one array: a statement with tens of thousands of places costs it more than the rows.
    async fn run_by_columns(self, tx: &Tx) -> Result<(), DbErr> {
        let mut arrays: Vec<Vec<Value>> = self.columns.iter().map(|_| Vec::with_capacity(self.rows.len())).collect();
        for row in self.rows {
            for (array, value) in arrays.iter_mut().zip(row) {
                array.push(value);
            }
        }
        let (mut unnested, mut select) = (Query::select(), Query::select());
        for ((name, kind), array) in self.columns.iter().zip(arrays) {
            let array = Value::Array(array_type(*kind), Some(Box::new(array)));
            unnested.expr_as(Func::cust("UNNEST").arg(Expr::val(array)), *name);
            match kind {
                Kind::TextOrNull => select.expr(Func::cust("NULLIF").args([Expr::col(*name), Expr::val("")])),
                _ => select.column(*name),
            };
        }
        select.from_subquery(unnested.take(), "given");
        let mut insert = Query::insert().into_table(self.table).columns(self.columns.iter().map(|(name, _)| *name)).to_owned();
        insert.select_from(select.take()).map_err(|error| DbErr::Custom(error.to_string()))?;
        if let Some(on_conflict) = self.on_conflict {
            insert.on_conflict(on_conflict);
        }
        tx.execute(&insert).await.map(drop)
    }
}

fn kept(value: &Value, kind: Kind) -> Value {
    match (kind, value) {
        (Kind::TextOrNull, Value::String(Some(text))) if text.is_empty() => Value::String(None),
        _ => value.clone(),
    }
}

fn array_type(kind: Kind) -> ArrayType {
    match kind {
        Kind::Long => ArrayType::BigInt,
        Kind::Int => ArrayType::Int,
        Kind::Flag => ArrayType::Bool,
        Kind::Text | Kind::TextOrNull => ArrayType::String,
    }
}

/// How many rows of so many values fit in one statement. SQLite takes 32,766 values, the servers 65,535; a thousand rows are enough
/// for anybody, and keep a statement below MySQL's smallest packet.
#[must_use]
pub fn rows_per_statement(engine: DatabaseBackend, columns: usize) -> usize {
    let values = if engine == DatabaseBackend::Sqlite { 32_766 } else { 65_535 };
    (values / columns.max(1)).clamp(1, 1_000)
}

/// Adds amounts to columns of rows known by their `id`: `rows` holds an id and one amount for each column. A column named in `bump`
/// counts one up in each of these rows. Answers how many rows there were.
///
/// The sums are made by the database (`column = column + amount`), never from values read before.
///
/// # Errors
/// When the database refuses or is away.
pub async fn add_to_rows(
    tx: &Tx,
    table: &'static str,
    columns: &[&'static str],
    rows: &[(i64, Vec<i64>)],
    bump: Option<&'static str>,
) -> Result<u64, DbErr> {
    let engine = tx.get_database_backend();
    let at_once = if engine == DatabaseBackend::MySql { CASES } else { rows_per_statement(engine, columns.len() + 1) };
    let mut changed = 0;
    for chunk in rows.chunks(at_once) {
        let mut update = Query::update().table(table).to_owned();
        if let Some(column) = bump {
            update.value(column, Expr::col((table, column)).add(1));
        }
        match engine {
            DatabaseBackend::MySql => add_by_cases(&mut update, columns, chunk),
            _ => add_from_values(&mut update, table, columns, chunk),
        }
        changed += tx.execute(&update).await?.rows_affected();
    }
    Ok(changed)
}

/// Rows in one statement of cases: each row looks through all of them.
const CASES: usize = 250;

/// MySQL: a case for each row. Joined to a list it might look through the whole table, and wait for rows that are none of its own.
fn add_by_cases(update: &mut UpdateStatement, columns: &[&'static str], rows: &[(i64, Vec<i64>)]) {
    for (place, column) in columns.iter().enumerate() {
        let mut amount = CaseStatement::new();
        for (id, amounts) in rows {
            amount = amount.case(Expr::col("id").eq(*id), amounts.get(place).copied().unwrap_or_default());
        }
        update.value(*column, Expr::col(*column).add(amount.finally(0_i64)));
    }
    update.and_where(Expr::col("id").is_in(rows.iter().map(|(id, _)| *id)));
}

/// The others: from a list of values, whose columns they name `column1`, `column2`, and so on.
fn add_from_values(update: &mut UpdateStatement, table: &'static str, columns: &[&'static str], rows: &[(i64, Vec<i64>)]) {
    let given = |place: usize| ("given", Alias::new(format!("column{}", place + 1)));
    for (place, column) in columns.iter().enumerate() {
        update.value(*column, Expr::col((table, *column)).add(Expr::col(given(place + 1))));
    }
    let values = |(id, amounts): &(i64, Vec<i64>)| {
        ValueTuple::Many(std::iter::once(*id).chain(amounts.iter().copied()).map(Value::from).collect())
    };
    update.from(TableRef::ValuesList(rows.iter().map(values).collect(), "given".into_iden()));
    update.and_where(Expr::col((table, "id")).equals(given(0)));
}
