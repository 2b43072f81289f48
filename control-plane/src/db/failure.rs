//! What a failed statement or commit means, on every engine.

use sea_orm::{DbErr, RuntimeErr, SqlErr};
use sqlx::error::DatabaseError;
use sqlx::mysql::MySqlDatabaseError;
use sqlx::sqlite::SqliteError;

/// Why a transaction was not committed, as far as is known.
#[derive(Debug, thiserror::Error)]
pub enum CommitError {
    /// The database refused it: nothing was changed.
    #[error("cannot commit")]
    Undone(#[source] DbErr),
    /// The answer was lost: it may have been done.
    #[error("cannot tell whether a transaction was committed")]
    Unknown(#[source] DbErr),
}

impl CommitError {
    pub(super) fn of(error: DbErr) -> Self {
        let is_refused = is_conflict(&error)
            || matches!(error.sql_err(), Some(SqlErr::UniqueConstraintViolation(_) | SqlErr::ForeignKeyConstraintViolation(_)));
        if is_refused { Self::Undone(error) } else { Self::Unknown(error) }
    }
}

impl From<CommitError> for DbErr {
    /// For those who do their work again in any case, and find what was done.
    fn from(error: CommitError) -> Self {
        match error {
            CommitError::Undone(cause) | CommitError::Unknown(cause) => cause,
        }
    }
}

/// Whether a transaction failed only because another one was in its way (deadlock, serialisation, lock wait): trying again may help.
#[must_use]
pub fn is_conflict(error: &DbErr) -> bool {
    driver(error).and_then(sqlx::Error::as_database_error).is_some_and(|told| Told::of(told).is_conflict())
}

/// Whether the database could not be reached or is on its way down, up or over to another server, as opposed to refusing the
/// statement: asking again later may help.
#[must_use]
pub fn is_away(error: &DbErr) -> bool {
    let Some(driver) = driver(error) else { return matches!(error, DbErr::Conn(_) | DbErr::ConnectionAcquire(_)) };
    match driver {
        sqlx::Error::Database(told) => matches!(error, DbErr::Conn(_)) || Told::of(&**told).is_away(),
        sqlx::Error::Io(_)
        | sqlx::Error::Tls(_)
        | sqlx::Error::PoolTimedOut
        | sqlx::Error::PoolClosed
        | sqlx::Error::WorkerCrashed
        | sqlx::Error::Protocol(_) => true,
        _ => matches!(error, DbErr::Conn(_)),
    }
}

/// Whether it is what was to be written that the database will not have: a value it has no place for, or one that breaks a rule. Everything
/// else is about the database: its disk, its memory, its schema. Asking again once that is mended will help.
#[must_use]
pub fn is_unacceptable(error: &DbErr) -> bool {
    match driver(error) {
        Some(sqlx::Error::Database(told)) => Told::of(&**told).is_unacceptable(),
        Some(sqlx::Error::Encode(_) | sqlx::Error::ColumnDecode { .. } | sqlx::Error::Decode(_)) => true,
        Some(_) => false,
        // what is said of a value before or after the database saw it
        None => !matches!(error, DbErr::Conn(_) | DbErr::ConnectionAcquire(_) | DbErr::Exec(_) | DbErr::Query(_)),
    }
}

fn driver(error: &DbErr) -> Option<&sqlx::Error> {
    match error {
        DbErr::Exec(RuntimeErr::SqlxError(cause))
        | DbErr::Query(RuntimeErr::SqlxError(cause))
        | DbErr::Conn(RuntimeErr::SqlxError(cause)) => Some(&**cause),
        _ => None,
    }
}

/// By what an engine names its errors. The driver answers SQLSTATE as the code of a MySQL error, which says too little.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Told {
    Sqlite { primary: u32 },
    MySql { number: u16, state: String },
    Postgres { state: String },
}

impl Told {
    fn of(error: &dyn DatabaseError) -> Self {
        let state = error.code().unwrap_or_default().into_owned();
        if let Some(error) = error.try_downcast_ref::<MySqlDatabaseError>() {
            return Self::MySql { number: error.number(), state };
        }
        if error.try_downcast_ref::<SqliteError>().is_some() {
            // the low byte is the error, the rest says more of it
            return Self::Sqlite { primary: state.parse().unwrap_or(0) & 0xff };
        }
        Self::Postgres { state }
    }

    fn is_conflict(&self) -> bool {
        match self {
            // SQLITE_BUSY, SQLITE_LOCKED
            Self::Sqlite { primary } => matches!(primary, 5 | 6),
            // ER_LOCK_WAIT_TIMEOUT, ER_LOCK_DEADLOCK
            Self::MySql { number, .. } => matches!(number, 1205 | 1213),
            // serialization_failure, deadlock_detected, lock_not_available
            Self::Postgres { state } => ["40001", "40P01", "55P03"].contains(&state.as_str()),
        }
    }

    fn is_unacceptable(&self) -> bool {
        match self {
            // SQLITE_TOOBIG, SQLITE_CONSTRAINT, SQLITE_MISMATCH, SQLITE_RANGE
            Self::Sqlite { primary } => matches!(primary, 18 | 19 | 20 | 25),
            // class 22: the value, class 23: a rule about it; and ER_TRUNCATED_WRONG_VALUE_FOR_FIELD, ER_WARN_DATA_OUT_OF_RANGE,
            // CONSTRAINT_FAILED, which have no class of their own
            Self::MySql { number, state } => {
                state.starts_with("22") || state.starts_with("23") || matches!(number, 1264 | 1366 | 4025)
            }
            // the same classes, and 54: larger than anything may be
            Self::Postgres { state } => ["22", "23", "54"].iter().any(|class| state.starts_with(class)),
        }
    }

    fn is_away(&self) -> bool {
        match self {
            Self::Sqlite { .. } => false,
            // class 08: the connection; else too many connections, of all or of ours, the server shuts down, takes no writes, or has
            // ended the connection
            Self::MySql { number, state } => state.starts_with("08") || matches!(number, 1040 | 1053 | 1203 | 1290 | 1836 | 1927),
            // class 08: the connection; else told to end, crashed, starting, too many connections, or it may only be read: a
            // server that another one has taken over from
            Self::Postgres { state } => {
                state.starts_with("08") || ["57P01", "57P02", "57P03", "53300", "25006"].contains(&state.as_str())
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn mysql(number: u16, state: &str) -> Told {
        Told::MySql { number, state: state.to_owned() }
    }

    fn postgres(state: &str) -> Told {
        Told::Postgres { state: state.to_owned() }
    }

    #[test]
    fn each_engines_conflicts_and_absences_are_told_apart_from_refusals() {
        let (conflict, away, refusal) = ((true, false), (false, true), (false, false));
        for (told, expected) in [
            (Told::Sqlite { primary: 5 }, conflict),
            (Told::Sqlite { primary: 6 }, conflict),
            (Told::Sqlite { primary: 19 }, refusal),
            (mysql(1205, "HY000"), conflict),
            (mysql(1213, "40001"), conflict),
            (mysql(1040, "08004"), away),
            (mysql(1053, "08S01"), away),
            (mysql(1158, "08S01"), away),
            (mysql(1290, "HY000"), away),
            (mysql(1062, "23000"), refusal),
            (mysql(1406, "22001"), refusal),
            (postgres("40001"), conflict),
            (postgres("40P01"), conflict),
            (postgres("55P03"), conflict),
            (postgres("57P01"), away),
            (postgres("57P02"), away),
            (postgres("57P03"), away),
            (postgres("53300"), away),
            (postgres("08006"), away),
            (postgres("25006"), away),
            (postgres("23505"), refusal),
            (postgres("42601"), refusal),
        ] {
            assert_eq!((told.is_conflict(), told.is_away()), expected, "{told:?}");
        }
    }

    #[test]
    fn only_what_is_wrong_with_a_value_is_unacceptable() {
        let sqlite = |primary| Told::Sqlite { primary };
        let full_disks_and_the_like =
            [sqlite(13), sqlite(10), sqlite(8), sqlite(1), mysql(1114, "HY000"), mysql(1021, "HY000"), mysql(1969, "70100")];
        let of_postgres = ["53100", "53200", "57014", "58030", "42703", "XX000"].map(postgres);
        for told in full_disks_and_the_like.into_iter().chain(of_postgres) {
            assert!(!told.is_unacceptable(), "{told:?}");
        }
        let of_values =
            [sqlite(19), sqlite(18), mysql(1406, "22001"), mysql(1062, "23000"), mysql(1366, "HY000"), mysql(4025, "23000")];
        for told in of_values.into_iter().chain(["22003", "23514", "22021", "54000"].map(postgres)) {
            assert!(told.is_unacceptable(), "{told:?}");
        }
        assert!(is_unacceptable(&DbErr::Custom("the sum is out of range".into())));
        assert!(!is_unacceptable(&DbErr::Query(RuntimeErr::SqlxError(sqlx::Error::PoolTimedOut.into()))));
    }

    #[test]
    fn a_pool_without_a_free_connection_is_away() {
        let pool = |error| DbErr::Query(RuntimeErr::SqlxError(error));
        assert!(is_away(&pool(sqlx::Error::PoolTimedOut.into())));
        assert!(!is_away(&pool(sqlx::Error::RowNotFound.into())) && !is_conflict(&pool(sqlx::Error::RowNotFound.into())));
        assert!(!is_away(&DbErr::RecordNotFound("x".into())));
    }
}
