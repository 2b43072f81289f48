//! Limits in a column: a JSON list, or null where there are none.

use sea_orm::{DbErr, QueryResult};
use sluice_domain::Limits;

/// The text a column holds.
///
/// # Errors
/// Never: numbers and words always serialise.
pub fn limits_text(limits: &Limits) -> Result<Option<String>, DbErr> {
    if limits.is_empty() {
        return Ok(None);
    }
    serde_json::to_string(limits).map(Some).map_err(|error| DbErr::Custom(error.to_string()))
}

/// Reads the column `limits`.
///
/// # Errors
/// When it holds something else. What cannot be read is never taken for no limit.
pub fn read_limits(row: &QueryResult) -> Result<Limits, DbErr> {
    let text: Option<String> = row.try_get("", "limits")?;
    let unreadable = |_| DbErr::Type("a row has unreadable limits".to_owned());
    text.map_or(Ok(Limits::default()), |text| serde_json::from_str(&text).map_err(unreadable))
}
