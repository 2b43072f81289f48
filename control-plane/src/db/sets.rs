//! Many rows in one statement, as fast as each engine can take them.

use sea_orm::sea_query::{
    Alias, ArrayType, CaseStatement, Expr, ExprTrait, Func, IntoIden, MysqlQueryBuilder, OnConflict, Query, SqliteQueryBuilder,
    TableRef, UpdateStatement, Value, ValueTuple,
};
use sea_orm::{ConnectionTrait, DatabaseBackend, DbErr, Statement};

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
    pub async fn run(mut self, tx: &Tx) -> Result<u64, DbErr> {
        if self.rows.is_empty() {
            return Ok(0);
        }
        let engine = tx.get_database_backend();
        if engine == DatabaseBackend::Postgres {
            return self.run_by_columns(tx).await.map(|()| 1);
        }
        let form = self.form(engine)?;
        let at_once = rows_per_statement(engine, self.columns.len());
        let mut rows = std::mem::take(&mut self.rows).into_iter().peekable();
        let mut statements = 0;
        while rows.peek().is_some() {
            if engine == DatabaseBackend::MySql {
                tx.execute_unprepared(&form.in_text(&self.columns, &mut rows, at_once)).await?;
            } else {
                tx.execute_raw(form.with_places(engine, &self.columns, rows.by_ref().take(at_once))).await?;
            }
            statements += 1;
        }
        Ok(statements)
    }

    /// The statement around its rows, as the query builder writes it for one.
    fn form(&self, engine: DatabaseBackend) -> Result<Form, DbErr> {
        let mut insert = Query::insert().into_table(self.table).columns(self.columns.iter().map(|(name, _)| *name)).to_owned();
        insert.values_panic(self.columns.iter().map(|_| Expr::val(0_i64)));
        if let Some(on_conflict) = &self.on_conflict {
            insert.on_conflict(on_conflict.clone());
        }
        let (sql, _) = match engine {
            DatabaseBackend::MySql => insert.build(MysqlQueryBuilder),
            _ => insert.build(SqliteQueryBuilder),
        };
        let row = format!("({})", vec!["?"; self.columns.len()].join(", "));
        let (head, tail) = sql.split_once(&row).ok_or_else(|| DbErr::Custom(format!("no place for rows in {sql}")))?;
        Ok(Form { head: head.to_owned(), row, tail: tail.to_owned() })
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

/// What is before the rows, one row of places, and what is behind them.
struct Form {
    head: String,
    row: String,
    tail: String,
}

impl Form {
    /// With a place for each value. The text is put together by hand: the builder takes longer over ten thousand places than SQLite does.
    fn with_places(
        &self,
        engine: DatabaseBackend,
        columns: &[(&str, Kind)],
        rows: impl Iterator<Item = Vec<Value>>,
    ) -> Statement {
        let (mut sql, mut values) = (self.head.clone(), Vec::new());
        for (place, row) in rows.enumerate() {
            sql.push_str(if place == 0 { "" } else { ", " });
            sql.push_str(&self.row);
            values.extend(row.into_iter().zip(columns).map(|(value, (_, kind))| kept(value, *kind)));
        }
        sql.push_str(&self.tail);
        Statement::from_sql_and_values(engine, sql, values)
    }

    /// With the values in the text. MySQL describes every place of a prepared statement in a packet of its own, and each number of rows is
    /// a statement of its own to be kept: the rows cost less than that. Nothing in the text can be taken for anything but a value:
    /// numbers are written as numbers, texts as the hexadecimal digits of their bytes.
    fn in_text(
        &self,
        columns: &[(&str, Kind)],
        rows: &mut std::iter::Peekable<impl Iterator<Item = Vec<Value>>>,
        most: usize,
    ) -> String {
        let mut sql = self.head.clone();
        for place in 0..most {
            if place > 0 && sql.len() >= MOST_TEXT {
                break;
            }
            let Some(row) = rows.next() else { break };
            sql.push_str(if place == 0 { "(" } else { ", (" });
            for (place, (value, (_, kind))) in row.into_iter().zip(columns).enumerate() {
                sql.push_str(if place == 0 { "" } else { "," });
                write_literal(&mut sql, &kept(value, *kind));
            }
            sql.push(')');
        }
        sql.push_str(&self.tail);
        sql
    }
}

/// Bytes of a statement after which another one begins: well below the smallest packet a server of MySQL takes.
const MOST_TEXT: usize = 512 * 1024;

fn write_literal(sql: &mut String, value: &Value) {
    match value {
        Value::BigInt(Some(number)) => sql.push_str(&number.to_string()),
        Value::Int(Some(number)) => sql.push_str(&number.to_string()),
        Value::Bool(Some(flag)) => sql.push(if *flag { '1' } else { '0' }),
        Value::String(Some(text)) => {
            sql.push_str("_utf8mb4 x'");
            for byte in text.bytes() {
                sql.extend(
                    [HEX_DIGITS.get(usize::from(byte >> 4)), HEX_DIGITS.get(usize::from(byte & 15))].into_iter().flatten(),
                );
            }
            sql.push('\'');
        }
        // columns hold nothing else
        _ => sql.push_str("NULL"),
    }
}

const HEX_DIGITS: [char; 16] = ['0', '1', '2', '3', '4', '5', '6', '7', '8', '9', 'a', 'b', 'c', 'd', 'e', 'f'];

fn kept(value: Value, kind: Kind) -> Value {
    match (kind, &value) {
        (Kind::TextOrNull, Value::String(Some(text))) if text.is_empty() => Value::String(None),
        _ => value,
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

#[cfg(test)]
mod tests {
    use super::*;

    fn insert(on_conflict: Option<OnConflict>) -> Insert {
        let mut insert = Insert::into("t").longs(&["a"]).flags(&["b"]).texts(&["c"]).texts_or_null(&["d"]);
        insert.on_conflict = on_conflict;
        insert
    }

    fn row(number: i64, text: &str) -> Vec<Value> {
        vec![number.into(), true.into(), text.into(), text.into()]
    }

    fn in_text(insert: &Insert, rows: Vec<Vec<Value>>, most: usize) -> (String, usize) {
        let mut rows = rows.into_iter().peekable();
        let sql = insert.form(DatabaseBackend::MySql).unwrap().in_text(&insert.columns, &mut rows, most);
        (sql, rows.count())
    }

    #[test]
    fn a_text_for_mysql_holds_nothing_but_numbers_and_hexadecimal_digits() {
        let (sql, left) = in_text(&insert(None), vec![row(-7, "'); DROP"), row(8, "")], 10);
        let expected = "INSERT INTO `t` (`a`, `b`, `c`, `d`) VALUES \
                        (-7,1,_utf8mb4 x'27293b2044524f50',_utf8mb4 x'27293b2044524f50'), (8,1,_utf8mb4 x'',NULL)";
        assert_eq!((sql.as_str(), left), (expected, 0));
    }

    #[test]
    fn what_to_do_about_rows_that_are_there_follows_the_rows() {
        let once = OnConflict::column("a").value("b", Expr::cust("VALUES(`b`)")).to_owned();
        let (sql, left) = in_text(&insert(Some(once)), vec![row(1, "x"), row(2, "y")], 1);
        assert!(sql.ends_with("x'78') ON DUPLICATE KEY UPDATE `b` = VALUES(`b`)"), "{sql}");
        assert_eq!(left, 1, "the rest is for another statement");
        let long = "x".repeat(MOST_TEXT);
        assert_eq!(in_text(&insert(None), vec![row(1, &long), row(2, &long)], 10).1, 1);
    }

    #[test]
    fn places_are_one_row_over_and_over() {
        let insert = insert(Some(OnConflict::column("a").do_nothing_on(["a"]).to_owned()));
        let rows = vec![row(1, ""), row(2, "y")];
        let form = insert.form(DatabaseBackend::Sqlite).unwrap();
        let statement = form.with_places(DatabaseBackend::Sqlite, &insert.columns, rows.into_iter());
        let expected = r#"INSERT INTO "t" ("a", "b", "c", "d") VALUES (?, ?, ?, ?), (?, ?, ?, ?) ON CONFLICT ("a") DO NOTHING"#;
        assert_eq!(statement.sql, expected);
        let values = statement.values.unwrap().0;
        assert_eq!((values.len(), &values[3], &values[7]), (8, &Value::String(None), &Value::from("y")));
    }
}
