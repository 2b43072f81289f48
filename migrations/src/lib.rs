//! The database schema, written once and rendered for SQLite, MySQL and PostgreSQL.
//!
//! A migration is a list of [`Change`]s: data, not code, so that it can be run and printed alike. Append-only: a released file is
//! never edited. Each change is one DDL statement and can be run again, because MySQL commits each by itself and a migration that was
//! cut off must be able to go on.
//!
//! Rules for columns: times are BIGINT milliseconds since 1970, quota is BIGINT, ratios are decimal text, every VARCHAR has a length,
//! indexed text has at most 191 characters (MySQL 5.7 with utf8mb4), flags are BOOLEAN, lists and maps are JSON in TEXT.

mod change;
mod columns;
mod m0001_config;
mod m0002_people;
mod m0003_channels;
mod m0004_money;
mod m0005_usage;
mod m0006_fleet;
mod m0007_hardening;
mod m0008_stamps;
mod m0009_notifications;
mod m0010_watch;
mod m0011_ledger_notes;
mod m0012_channel_settings;
mod m0013_providers;
mod m0014_errands;

use sea_orm::DatabaseBackend;
use sea_orm_migration::{MigrationTrait, MigratorTrait};

pub use change::Change;
use change::Scripted;

/// Brings a database to the schema of this build. Take the database lock first: the migrator takes none.
#[derive(Debug)]
pub struct Migrator;

impl MigratorTrait for Migrator {
    fn migrations() -> Vec<Box<dyn MigrationTrait>> {
        scripts().into_iter().map(|script| Box::new(script) as Box<dyn MigrationTrait>).collect()
    }
}

/// Every migration's name and statements, in order, as SQL for one engine.
#[must_use]
pub fn plan(engine: DatabaseBackend) -> Vec<(&'static str, Vec<String>)> {
    scripts().iter().map(|script| (script.name, script.sql(engine))).collect()
}

/// The names of our tables, to tell our own database from an ancestor's or an empty one.
#[must_use]
pub fn tables() -> Vec<String> {
    scripts().iter().flat_map(Scripted::tables).collect()
}

fn scripts() -> Vec<Scripted> {
    vec![
        Scripted::new("m0001_config", m0001_config::changes()),
        Scripted::new("m0002_people", m0002_people::changes()),
        Scripted::new("m0003_channels", m0003_channels::changes()),
        Scripted::new("m0004_money", m0004_money::changes()),
        Scripted::new("m0005_usage", m0005_usage::changes()),
        Scripted::new("m0006_fleet", m0006_fleet::changes()),
        Scripted::new("m0007_hardening", m0007_hardening::changes()),
        Scripted::new("m0008_stamps", m0008_stamps::changes()),
        Scripted::new("m0009_notifications", m0009_notifications::changes()),
        Scripted::new("m0010_watch", m0010_watch::changes()),
        Scripted::new("m0011_ledger_notes", m0011_ledger_notes::changes()),
        Scripted::new("m0012_channel_settings", m0012_channel_settings::changes()),
        Scripted::new("m0013_providers", m0013_providers::changes()),
        Scripted::new("m0014_errands", m0014_errands::changes()),
    ]
}

#[cfg(test)]
mod tests;
