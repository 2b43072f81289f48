//! The database schema, written once and rendered for SQLite, MySQL and PostgreSQL.
