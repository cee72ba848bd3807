//! What can go wrong, told apart by what to do about it.

use tokio_postgres::error::SqlState;

/// Why the database did not do what was asked.
#[derive(Debug, thiserror::Error)]
pub enum StoreError {
    /// No connection, or it broke: the statement may have been carried out or not.
    #[error("no connection to Postgres: {0}")]
    Connection(String),
    /// The server answered with an error.
    #[error("Postgres says {code}: {message}")]
    Database {
        /// SQLSTATE, five characters.
        code: String,
        /// The server's words.
        message: String,
    },
    /// A month's partition was dropped while the row came.
    #[error("Postgres says: {0}")]
    NoPartition(String),
    /// No answer in time.
    #[error("Postgres did not answer within {0} s")]
    Timeout(u64),
    /// A row holds what this version does not know.
    #[error("a row cannot be read: {0}")]
    Unreadable(String),
    /// The schema is older than this program, and its user may not migrate.
    #[error(
        "the schema is at version {found}, this program needs {needed}, and its user may not migrate: let the owner do it"
    )]
    Outdated {
        /// Version of the schema; 0 when there is none.
        found: i32,
        /// Version that this program needs.
        needed: i32,
    },
    /// A migration does not fit the database, or failed.
    #[error("couldn't migrate the database: {0}")]
    Migration(String),
}

impl StoreError {
    /// Whether it passes by itself: a server that is away, starting, stopping, out of connections
    /// or disk, a lock conflict, a schema that its owner has yet to migrate. The same call may
    /// succeed later.
    #[must_use]
    pub fn is_transient(&self) -> bool {
        match self {
            Self::Connection(_) | Self::Timeout(_) | Self::NoPartition(_) | Self::Outdated { .. } => true,
            Self::Migration(_) | Self::Unreadable(_) => false,
            Self::Database { code, .. } => {
                // Classes: 08 connection, 40 rollback (serialization, deadlock), 53 resources (disk
                // full, too many connections), 57 operator (shutdown, crash recovery, cancelled),
                // 58 system (I/O). See PostgreSQL's appendix A.
                matches!(class(code), "08" | "40" | "53" | "57" | "58")
                    // A standby, or a server that was set read-only because its disk is full.
                    || code == "25006"
                    // lock_not_available, by lock_timeout.
                    || code == "55P03"
            }
        }
    }

    /// Whether a row's own content is refused, so that it can never be stored: what is out of
    /// range, not encodable (a NUL character), violates a constraint, or exceeds a limit. Nothing
    /// else may cost a row: a missing table or privilege is an operator's matter.
    #[must_use]
    pub fn is_row_fault(&self) -> bool {
        match self {
            Self::Database { code, .. } => matches!(class(code), "22" | "23" | "54"),
            _ => false,
        }
    }

    /// Why a migration failed: what passes by itself is that, everything else is the migration's.
    pub(crate) fn of_migration(error: &(dyn std::error::Error + 'static)) -> Self {
        let mut cause = Some(error);
        while let Some(now) = cause {
            if let Some(database) = now.downcast_ref::<tokio_postgres::Error>() {
                let reason = Self::of_database(database);
                if reason.is_transient() {
                    return reason;
                }
            }
            cause = now.source();
        }
        Self::Migration(describe(error))
    }

    fn of_database(error: &tokio_postgres::Error) -> Self {
        match error.as_db_error() {
            // The one such violation that names no constraint; its words depend on the server's language.
            Some(db) if *db.code() == SqlState::CHECK_VIOLATION && db.constraint().is_none() => {
                Self::NoPartition(db.message().to_owned())
            }
            Some(db) => Self::Database {
                code: db.code().code().to_owned(),
                message: db.message().to_owned(),
            },
            None => Self::Connection(describe(error)),
        }
    }

    /// Whether the connection, not the statement, is to blame.
    pub(crate) fn is_connection(&self) -> bool {
        match self {
            Self::Connection(_) => true,
            Self::Database { code, .. } => code.starts_with("08") || code.starts_with("57P"),
            _ => false,
        }
    }
}

/// The class of a SQLSTATE, its first two characters.
fn class(code: &str) -> &str {
    code.get(..2).unwrap_or_default()
}

impl From<tokio_postgres::Error> for StoreError {
    fn from(error: tokio_postgres::Error) -> Self {
        Self::of_database(&error)
    }
}

impl From<deadpool_postgres::PoolError> for StoreError {
    fn from(error: deadpool_postgres::PoolError) -> Self {
        match error {
            deadpool_postgres::PoolError::Backend(error) => error.into(),
            error => Self::Connection(describe(&error)),
        }
    }
}

/// An error with its causes, on one line.
fn describe(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(next) = cause {
        let next_text = next.to_string();
        if !text.contains(&next_text) {
            text.push_str(": ");
            text.push_str(&next_text);
        }
        cause = next.source();
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    fn database(code: &str) -> StoreError {
        StoreError::Database {
            code: code.to_owned(),
            message: String::new(),
        }
    }

    #[test]
    fn classes() {
        // Names: admin_shutdown, crash_shutdown, cannot_connect_now, too_many_connections, disk_full,
        // serialization_failure, deadlock_detected, read_only_sql_transaction, io_error, query_canceled.
        for code in [
            "57P01", "57P02", "57P03", "53300", "53100", "40001", "40P01", "25006", "58030", "57014", "08006",
        ] {
            assert!(
                database(code).is_transient() && !database(code).is_row_fault(),
                "{code}"
            );
        }
        // NUL in text, NUL in jsonb, out of range, check, index row too large.
        for code in ["22021", "22P05", "22003", "23514", "54000"] {
            assert!(
                database(code).is_row_fault() && !database(code).is_transient(),
                "{code}"
            );
        }
        // undefined_table, insufficient_privilege, undefined_column, wrong password.
        for code in ["42P01", "42501", "42703", "28P01", ""] {
            assert!(
                !database(code).is_row_fault() && !database(code).is_transient(),
                "{code}"
            );
        }
    }
}
