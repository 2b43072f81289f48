//! Looking for a part of a text.

use sea_orm::sea_query::{Expr, ExprTrait, LikeExpr, SimpleExpr};

/// The sign that takes `%` and `_` literally. Not the backslash: the engines read it differently inside a text.
const LITERAL: char = '!';

/// Whether a column contains a text as it stands. For a search without regard to case, both are made lower case by the caller.
#[must_use]
pub fn contains(column: impl Into<Expr>, text: &str) -> SimpleExpr {
    let mut pattern = String::from("%");
    for c in text.chars() {
        if matches!(c, '%' | '_' | LITERAL) {
            pattern.push(LITERAL);
        }
        pattern.push(c);
    }
    pattern.push('%');
    column.into().like(LikeExpr::new(pattern).escape(LITERAL))
}

#[cfg(test)]
mod tests {
    use sea_orm::sea_query::{Query, SqliteQueryBuilder};

    use super::*;

    #[test]
    fn signs_of_patterns_are_taken_literally() {
        let select = Query::select().column("id").from("users").and_where(contains(Expr::col("name"), "50%_off!")).to_owned();
        assert!(select.to_string(SqliteQueryBuilder).ends_with(r#""name" LIKE '%50!%!_off!!%' ESCAPE '!'"#));
    }
}
