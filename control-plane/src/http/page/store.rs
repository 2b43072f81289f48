//! The SQL that reads one page of a list.

use sea_orm::sea_query::{Expr, ExprTrait, Order, Query, SelectStatement};
use sea_orm::{ConnectionTrait, DbErr};

use super::{Between, Count, Listing, Page, SortValue};

/// Beyond this an estimated count stops.
const ESTIMATE_UP_TO: u64 = 10_000;

impl SortValue {
    fn expression(&self) -> Expr {
        match self {
            Self::Number(number) => Expr::val(*number),
            Self::Text(text) => Expr::val(text.as_str()),
        }
    }
}

impl Between {
    /// Narrows a list to rows of this span, by a column of moments.
    pub fn narrow(&self, select: &mut SelectStatement, column: &'static str) {
        select.and_where_option(self.from.map(|from| Expr::col(column).gte(from.0)));
        select.and_where_option(self.before.map(|before| Expr::col(column).lt(before.0)));
    }
}

impl Listing {
    /// Reads a page: the rows that fit the statement's own conditions. `read` makes an item of a row, `marks` gives the value it is
    /// sorted by and its id.
    ///
    /// # Errors
    /// When the database is away or a row cannot be read.
    pub async fn read<T>(
        &self,
        db: &impl ConnectionTrait,
        select: SelectStatement,
        read: impl Fn(&sea_orm::QueryResult) -> Result<T, DbErr>,
        marks: impl Fn(&T, &str) -> (SortValue, SortValue),
    ) -> Result<Page<T>, DbErr> {
        let total = match self.count {
            None => None,
            Some(count) => Some(count_of(db, &select, count).await?),
        };
        let rows = db.query_all(&self.apply(select)).await?;
        let items = rows.iter().map(read).collect::<Result<Vec<T>, _>>()?;
        Ok(Page { total, ..self.cut(items, marks) })
    }

    fn apply(&self, mut select: SelectStatement) -> SelectStatement {
        let (column, id_column) = (self.key.column, self.id_column);
        let order = if self.is_descending { Order::Desc } else { Order::Asc };
        if let Some((value, id)) = &self.after {
            let beyond = |column: &'static str, value: &SortValue| {
                let (column, value) = (Expr::col(column), value.expression());
                if self.is_descending { column.lt(value) } else { column.gt(value) }
            };
            let tie = Expr::col(column).eq(value.expression()).and(beyond(id_column, id));
            select.and_where(if column == id_column { beyond(id_column, id) } else { beyond(column, value).or(tie) });
        }
        select.order_by(column, order.clone());
        if column != id_column {
            select.order_by(id_column, order);
        }
        select.limit(self.rows());
        select
    }
}

async fn count_of(db: &impl ConnectionTrait, select: &SelectStatement, count: Count) -> Result<u64, DbErr> {
    let mut counted = select.clone();
    counted.clear_selects().expr(Expr::val(1)).clear_order_by();
    if count == Count::Estimate {
        counted.limit(ESTIMATE_UP_TO);
    }
    let outer = Query::select().expr_as(Expr::val(1).count(), "total").from_subquery(counted, "counted").to_owned();
    let total: i64 = match db.query_one(&outer).await? {
        Some(row) => row.try_get("", "total")?,
        None => 0,
    };
    Ok(u64::try_from(total).unwrap_or(0))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::http::page::{Paging, SortKey};

    const KEYS: [SortKey; 2] = [SortKey::number("id", "id"), SortKey::text("name", "username")];

    fn listing(paging: Paging) -> Listing {
        Listing::new(paging, &KEYS, "id", "-id").unwrap()
    }

    fn sql(listing: &Listing) -> String {
        let select = Query::select().column("id").from("users").to_owned();
        listing.apply(select).to_string(sea_orm::sea_query::SqliteQueryBuilder)
    }

    #[test]
    fn a_page_goes_on_where_the_cursor_says() {
        let first = listing(Paging { limit: Some(2), sort: Some("name".into()), ..Paging::default() });
        assert!(sql(&first).ends_with(r#"ORDER BY "username" ASC, "id" ASC LIMIT 3"#), "{}", sql(&first));
        let cursor = first.cursor(("ana".into(), 7.into()));
        let next = listing(Paging { cursor: Some(cursor), sort: Some("name".into()), ..Paging::default() });
        let expected = r#"WHERE "username" > 'ana' OR ("username" = 'ana' AND "id" > 7) ORDER BY"#;
        assert!(sql(&next).contains(expected), "{}", sql(&next));
    }

    #[test]
    fn the_id_alone_needs_no_tie_break() {
        let first = listing(Paging::default());
        let cursor = first.cursor((7.into(), 7.into()));
        let next = listing(Paging { cursor: Some(cursor), ..Paging::default() });
        assert!(sql(&next).ends_with(r#"WHERE "id" < 7 ORDER BY "id" DESC LIMIT 21"#), "{}", sql(&next));
    }
}
