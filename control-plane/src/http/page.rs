//! Lists by page: a limit, a cursor that marks where the last page ended, a sort order out of a fixed choice.

mod store;

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde::{Deserialize, Serialize};
use sluice_domain::UnixMillis;
use utoipa::ToSchema;

use super::problem::ApiError;
use super::values::Moment;

/// Items of a page unless asked otherwise.
const DEFAULT_LIMIT: u32 = 20;
/// The most items of a page.
const MAX_LIMIT: u32 = 100;

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

/// What a list can be sorted by: the word in `sort`, and the column. The first is the default; a minus in front of the word turns the
/// order around.
#[derive(Debug, Clone, Copy)]
pub struct SortKey {
    /// The word.
    pub word: &'static str,
    /// The column.
    pub column: &'static str,
    kind: Kind,
}

/// What a column holds. A cursor with another kind of value was not made here.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Kind {
    Number,
    Text,
}

impl SortKey {
    /// An order by a column of numbers or moments.
    #[must_use]
    pub const fn number(word: &'static str, column: &'static str) -> Self {
        Self { word, column, kind: Kind::Number }
    }

    /// An order by a column of text.
    #[must_use]
    pub const fn text(word: &'static str, column: &'static str) -> Self {
        Self { word, column, kind: Kind::Text }
    }
}

impl SortValue {
    /// Whether a column of this kind may hold it. No engine keeps the character 0 in a text.
    fn is(&self, kind: Kind) -> bool {
        match self {
            Self::Number(_) => kind == Kind::Number,
            Self::Text(text) => kind == Kind::Text && !text.contains('\0'),
        }
    }
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

/// A span of time that a list is narrowed to.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Between {
    /// Then or later.
    pub from: Option<UnixMillis>,
    /// Before.
    pub before: Option<UnixMillis>,
}

impl Between {
    /// As the parameters `….gte` and `….lt` of a list say.
    #[must_use]
    pub fn new(from: Option<Moment>, before: Option<Moment>) -> Self {
        Self { from: from.map(|moment| moment.0), before: before.map(|moment| moment.0) }
    }
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
    /// Checks what was asked for. `id_column` is unique and breaks ties; it holds numbers unless `keys` says otherwise; `default` is the order when none was asked for.
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
        let id_kind = keys.iter().find(|key| key.column == id_column).map_or(Kind::Number, |key| key.kind);
        let after = paging.cursor.map(|text| read_cursor(&text, &sort, key.kind, id_kind)).transpose()?;
        Ok(Self { limit, is_descending: sort.starts_with('-'), sort, key, id_column, after, count: paging.count })
    }

    /// The number the last page ended with, for lists that are sorted by nothing else and read elsewhere.
    #[must_use]
    pub fn after_number(&self) -> Option<i64> {
        match &self.after {
            Some((_, SortValue::Number(number))) => Some(*number),
            _ => None,
        }
    }

    /// The text the last page ended with, for lists that are sorted by a name and read elsewhere.
    #[must_use]
    pub fn after_text(&self) -> Option<&str> {
        match &self.after {
            Some((_, SortValue::Text(text))) => Some(text),
            _ => None,
        }
    }

    /// Whether the order is turned around.
    #[must_use]
    pub const fn is_descending(&self) -> bool {
        self.is_descending
    }

    /// Whether all items are to be counted.
    #[must_use]
    pub const fn counts(&self) -> bool {
        self.count.is_some()
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

    fn cursor(&self, (value, id): (SortValue, SortValue)) -> String {
        let cursor = Cursor { sort: self.sort.clone(), value, id };
        URL_SAFE_NO_PAD.encode(serde_json::to_vec(&cursor).unwrap_or_default())
    }
}

fn read_cursor(text: &str, sort: &str, kind: Kind, id_kind: Kind) -> Result<(SortValue, SortValue), ApiError> {
    let decoded = URL_SAFE_NO_PAD.decode(text).ok();
    let cursor: Option<Cursor> = decoded.and_then(|bytes| serde_json::from_slice(&bytes).ok());
    match cursor {
        Some(cursor) if cursor.sort != sort => {
            Err(ApiError::field("cursor", "other_order", "belongs to a list in another order"))
        }
        Some(cursor) if cursor.value.is(kind) && cursor.id.is(id_kind) => Ok((cursor.value, cursor.id)),
        Some(_) | None => Err(ApiError::field("cursor", "unreadable", "must be a next_cursor of this list")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const KEYS: [SortKey; 2] = [SortKey::number("id", "id"), SortKey::text("name", "username")];

    fn listing(paging: Paging) -> Result<Listing, ApiError> {
        Listing::new(paging, &KEYS, "id", "-id")
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

    #[test]
    fn a_cursor_with_values_of_another_kind_was_not_made_here() {
        for (sort, value, id, fits) in [
            ("name", "ana".into(), 7.into(), true),
            ("name", 7.into(), 7.into(), false),
            ("name", "ana".into(), "seven".into(), false),
            ("name", "a\0".into(), 7.into(), false),
            ("-id", 7.into(), 7.into(), true),
            ("-id", "seven".into(), 7.into(), false),
            ("-id", 7.into(), "seven".into(), false),
        ] {
            let paging = || Paging { sort: Some(sort.to_owned()), ..Paging::default() };
            let cursor = listing(paging()).unwrap().cursor((value, id));
            let told = listing(Paging { cursor: Some(cursor), ..paging() });
            assert_eq!(told.is_ok(), fits, "{sort}");
            if let Err(error) = told {
                assert_eq!((error.code.status().as_u16(), error.errors[0].code.as_str()), (422, "unreadable"));
            }
        }
    }
}
