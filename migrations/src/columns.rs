//! The column types there are.

use sea_orm_migration::prelude::ColumnDef;

/// A row id that the database counts up.
pub(crate) fn id() -> ColumnDef {
    ColumnDef::new("id").big_integer().not_null().auto_increment().primary_key().to_owned()
}

/// A whole number: ids, quota, counters, sequences.
pub(crate) fn long(name: &'static str) -> ColumnDef {
    ColumnDef::new(name).big_integer().not_null().to_owned()
}

/// A whole number that starts at 0.
pub(crate) fn counter(name: &'static str) -> ColumnDef {
    ColumnDef::new(name).big_integer().not_null().default(0).to_owned()
}

/// A whole number or nothing.
pub(crate) fn long_null(name: &'static str) -> ColumnDef {
    ColumnDef::new(name).big_integer().null().to_owned()
}

/// A small whole number: codes, positions.
pub(crate) fn int(name: &'static str) -> ColumnDef {
    ColumnDef::new(name).integer().not_null().to_owned()
}

/// A moment, in milliseconds since 1970.
pub(crate) fn time(name: &'static str) -> ColumnDef {
    long(name)
}

/// A moment or nothing.
pub(crate) fn time_null(name: &'static str) -> ColumnDef {
    long_null(name)
}

/// Yes or no.
pub(crate) fn flag(name: &'static str) -> ColumnDef {
    ColumnDef::new(name).boolean().not_null().default(false).to_owned()
}

/// Text up to some characters.
pub(crate) fn text(name: &'static str, chars: u32) -> ColumnDef {
    ColumnDef::new(name).string_len(chars).not_null().to_owned()
}

/// Text up to some characters, or nothing.
pub(crate) fn text_null(name: &'static str, chars: u32) -> ColumnDef {
    ColumnDef::new(name).string_len(chars).null().to_owned()
}

/// Text of at most 16 million bytes, the least of what the engines take: lists and maps as JSON, sealed secrets.
pub(crate) fn long_text(name: &'static str) -> ColumnDef {
    ColumnDef::new(name).text().not_null().to_owned()
}

/// The same, or nothing.
pub(crate) fn long_text_null(name: &'static str) -> ColumnDef {
    ColumnDef::new(name).text().null().to_owned()
}
