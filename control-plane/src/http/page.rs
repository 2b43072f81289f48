//! Lists by page: a limit, a cursor that marks where the last page ended, a sort order out of a fixed choice.

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use sea_orm::sea_query::{Expr, ExprTrait, Order, Query, SelectStatement};
use sea_orm::{ConnectionTrait, DbErr};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::problem::ApiError;

/// Items of a page unless asked otherwise.
const DEFAULT_LIMIT: u32 = 20;
/// The most items of a page.
const MAX_LIMIT: u32 = 100;
/// Beyond this an estimated count stops.
const ESTIMATE_UP_TO: u64 = 10_000;

/// One page of a list.
#[derive(Debug, Serialize, ToSchema)]
pub struct Page<T> {
    /// The objects.
    pub items: Vec<T>,
    /// Where the next page begins; `null` on the last page.
    pub next_cursor: Option<String>,
    /// How many there are on all pages; only with `count`.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(required = false, nullable = false)]
    pub total: Option<u64>,
}

impl<T> Page<T> {
    /// The same page of other items.
    pub fn map<U>(self, into: impl FnMut(T) -> U) -> Page<U> {
        Page { items: self.items.into_iter().map(into).collect(), next_cursor: self.next_cursor, total: self.total }
    }
}

/// Whether to count what is on all pages.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum Count {
    /// All of them.
    Exact,
    /// Up to 10,000.
    Estimate,
}

/// A value lists are sorted by.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(untagged)]
pub enum SortValue {
    /// A number or a moment.
    Number(i64),
    /// A name.
    Text(String),
}

impl From<i64> for SortValue {
    fn from(number: i64) -> Self {
        Self::Number(number)
    }
}

impl From<&str> for SortValue {
    fn from(text: &str) -> Self {
        Self::Text(text.to_owned())
    }
}

impl SortValue {
    fn expression(&self) -> Expr {
        match self {
            Self::Number(number) => Expr::val(*number),
            Self::Text(text) => Expr::val(text.as_str()),
        }
    }
}

/// What a list can be sorted by: the word in `sort`, and the column. The first is the default; a minus in front of the word turns the
/// order around.
#[derive(Debug, Clone, Copy)]
pub struct SortKey {
    /// The word.
    pub word: &'static str,
    /// The column.
    pub column: &'static str,
}

/// The parameters every list takes.
#[derive(Debug, Clone, Default)]
pub struct Paging {
    /// At most so many items.
    pub limit: Option<u32>,
    /// Where to go on.
    pub cursor: Option<String>,
    /// The order.
    pub sort: Option<String>,
    /// Whether to count.
    pub count: Option<Count>,
}

/// What is in a cursor. Nothing secret: it repeats the last item's values.
#[derive(Debug, Serialize, Deserialize)]
struct Cursor {
    sort: String,
    value: SortValue,
    id: SortValue,
}

/// How one list is read: made of [`Paging`] and what the list allows.
#[derive(Debug)]
pub struct Listing {
    limit: u32,
    sort: String,
    key: SortKey,
    id_column: &'static str,
    is_descending: bool,
    after: Option<(SortValue, SortValue)>,
    count: Option<Count>,
}

impl Listing {
    /// Checks what was asked for. `id_column` is unique and breaks ties; `default` is the order when none was asked for.
    ///
    /// # Errors
    /// 422 when the limit, the order or the cursor is not one this list knows.
    pub fn new(paging: Paging, keys: &[SortKey], id_column: &'static str, default: &str) -> Result<Self, ApiError> {
        let limit = paging.limit.unwrap_or(DEFAULT_LIMIT);
        if limit == 0 || limit > MAX_LIMIT {
            return Err(ApiError::field("limit", "range", format!("must be from 1 to {MAX_LIMIT}")));
        }
        let sort = paging.sort.unwrap_or_else(|| default.to_owned());
        let word = sort.strip_prefix('-').unwrap_or(&sort);
        let Some(key) = keys.iter().find(|key| key.word == word).copied() else {
            let words: Vec<_> = keys.iter().map(|key| key.word).collect();
            return Err(ApiError::field("sort", "choice", format!("must be one of {}, or -…", words.join(", "))));
        };
        let after = paging.cursor.map(|text| read_cursor(&text, &sort)).transpose()?;
        Ok(Self { limit, is_descending: sort.starts_with('-'), sort, key, id_column, after, count: paging.count })
    }

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

    /// The number the last page ended with, for lists that are sorted by nothing else and read elsewhere.
    #[must_use]
    pub fn after_number(&self) -> Option<i64> {
        match &self.after {
            Some((_, SortValue::Number(number))) => Some(*number),
            _ => None,
        }
    }

    /// How many rows to read: one more than asked for tells whether there is another page.
    #[must_use]
    pub fn rows(&self) -> u64 {
        u64::from(self.limit) + 1
    }

    /// Makes a page of the rows that were read.
    pub fn cut<T>(&self, mut items: Vec<T>, marks: impl Fn(&T, &str) -> (SortValue, SortValue)) -> Page<T> {
        let limit = usize::try_from(self.limit).unwrap_or(usize::MAX);
        let has_more = items.len() > limit;
        items.truncate(limit);
        let next_cursor = items.last().filter(|_| has_more).map(|last| self.cursor(marks(last, self.key.word)));
        Page { items, next_cursor, total: None }
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

    fn cursor(&self, (value, id): (SortValue, SortValue)) -> String {
        let cursor = Cursor { sort: self.sort.clone(), value, id };
        URL_SAFE_NO_PAD.encode(serde_json::to_vec(&cursor).unwrap_or_default())
    }
}

fn read_cursor(text: &str, sort: &str) -> Result<(SortValue, SortValue), ApiError> {
    let decoded = URL_SAFE_NO_PAD.decode(text).ok();
    let cursor: Option<Cursor> = decoded.and_then(|bytes| serde_json::from_slice(&bytes).ok());
    match cursor {
        Some(cursor) if cursor.sort == sort => Ok((cursor.value, cursor.id)),
        Some(_) => Err(ApiError::field("cursor", "other_order", "belongs to a list in another order")),
        None => Err(ApiError::field("cursor", "unreadable", "must be a next_cursor of this list")),
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

    const KEYS: [SortKey; 2] = [SortKey { word: "id", column: "id" }, SortKey { word: "name", column: "username" }];

    fn listing(paging: Paging) -> Result<Listing, ApiError> {
        Listing::new(paging, &KEYS, "id", "-id")
    }

    fn sql(listing: &Listing) -> String {
        let select = Query::select().column("id").from("users").to_owned();
        listing.apply(select).to_string(sea_orm::sea_query::SqliteQueryBuilder)
    }

    #[test]
    fn a_page_goes_on_where_the_cursor_says() {
        let first = listing(Paging { limit: Some(2), sort: Some("name".into()), ..Paging::default() }).unwrap();
        assert!(sql(&first).ends_with(r#"ORDER BY "username" ASC, "id" ASC LIMIT 3"#), "{}", sql(&first));
        let cursor = first.cursor(("ana".into(), 7.into()));
        let next = listing(Paging { cursor: Some(cursor), sort: Some("name".into()), ..Paging::default() }).unwrap();
        let expected = r#"WHERE "username" > 'ana' OR ("username" = 'ana' AND "id" > 7) ORDER BY"#;
        assert!(sql(&next).contains(expected), "{}", sql(&next));
    }

    #[test]
    fn the_id_alone_needs_no_tie_break() {
        let first = listing(Paging::default()).unwrap();
        let cursor = first.cursor((7.into(), 7.into()));
        let next = listing(Paging { cursor: Some(cursor), ..Paging::default() }).unwrap();
        assert!(sql(&next).ends_with(r#"WHERE "id" < 7 ORDER BY "id" DESC LIMIT 21"#), "{}", sql(&next));
    }

    #[test]
    fn what_this_list_does_not_know_is_refused_by_name() {
        let refused = |paging: Paging| listing(paging).unwrap_err().errors.remove(0).field;
        assert_eq!(refused(Paging { limit: Some(0), ..Paging::default() }), "limit");
        assert_eq!(refused(Paging { limit: Some(101), ..Paging::default() }), "limit");
        assert_eq!(refused(Paging { sort: Some("password_hash".into()), ..Paging::default() }), "sort");
        assert_eq!(refused(Paging { cursor: Some("!".into()), ..Paging::default() }), "cursor");
        let other = listing(Paging { sort: Some("name".into()), ..Paging::default() }).unwrap().cursor(("a".into(), 1.into()));
        assert_eq!(refused(Paging { cursor: Some(other), ..Paging::default() }), "cursor");
    }
}
