//! What the database says, in the terms of the ports.

use domain::port::PortError;

/// The part's name in [`PortError`].
pub(crate) const DATABASE: &str = "database";

/// How long a caller is asked to wait when the database is away.
const RETRY_AFTER_MS: u64 = 1_000;

/// Everything that can go wrong here.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Error {
    #[error(transparent)]
    Database(#[from] sqlx::Error),
    #[error(transparent)]
    Queue(#[from] queue::Error),
    #[error("the schema can't be brought up to date: {0}")]
    Migration(#[from] sqlx::migrate::MigrateError),
    /// A row that this program can't have written.
    #[error("{0}")]
    Unreadable(String),
}

/// Turns an error into what a port's caller acts on: come again later, or don't.
pub(crate) fn db(error: impl Into<Error>) -> PortError {
    let error = error.into();
    let reason = error.to_string();
    let passing = match &error {
        Error::Database(e)
        | Error::Queue(queue::Error::Database(e))
        | Error::Migration(sqlx::migrate::MigrateError::Execute(e)) => is_passing(e),
        Error::Queue(_) | Error::Migration(_) | Error::Unreadable(_) => false,
    };
    if passing {
        PortError::Unavailable {
            part: DATABASE,
            reason,
            retry_after_ms: Some(RETRY_AFTER_MS),
        }
    } else {
        PortError::Refused {
            part: DATABASE,
            reason,
        }
    }
}

/// A refusal of our own.
pub(crate) fn refused(reason: impl Into<String>) -> PortError {
    PortError::Refused {
        part: DATABASE,
        reason: reason.into(),
    }
}

/// Whether the same statement may succeed later: the connection, the server's state or a rival was to blame.
fn is_passing(error: &sqlx::Error) -> bool {
    match error {
        sqlx::Error::Io(_)
        | sqlx::Error::Tls(_)
        | sqlx::Error::Protocol(_)
        | sqlx::Error::PoolTimedOut
        | sqlx::Error::PoolClosed
        | sqlx::Error::WorkerCrashed => true,
        sqlx::Error::Database(e) => e.code().is_some_and(|code| is_passing_code(&code)),
        _ => false,
    }
}

/// Connection exceptions, insufficient resources, operator intervention (shutdown, crash, timeout), system
/// errors, and single codes: read-only after a failover, serialization, deadlock, lock not available.
fn is_passing_code(code: &str) -> bool {
    matches!(code.get(..2), Some("08" | "53" | "57" | "58"))
        || matches!(code, "25006" | "40001" | "40P01" | "55P03")
}

/// Whether the database refused a row because its key is taken.
pub(crate) fn is_taken(error: &sqlx::Error, constraint: &str) -> bool {
    matches!(error, sqlx::Error::Database(e) if e.is_unique_violation() && e.constraint() == Some(constraint))
}

/// Whether the database has no partition for a row: check violation without a constraint's name.
pub(crate) fn lacks_partition(error: &sqlx::Error) -> bool {
    matches!(error, sqlx::Error::Database(e) if e.is_check_violation() && e.constraint().is_none())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_passes_and_what_does_not() {
        for passing in [
            "08006", "53300", "57P01", "57P03", "57014", "40001", "40P01", "25006", "55P03",
        ] {
            assert!(is_passing_code(passing), "{passing}");
        }
        for lasting in ["23505", "42P01", "28P01", "3D000", "22P05", "40002", "", "5"] {
            assert!(!is_passing_code(lasting), "{lasting}");
        }
        assert!(matches!(
            db(sqlx::Error::PoolTimedOut),
            PortError::Unavailable { .. }
        ));
        assert!(matches!(db(sqlx::Error::RowNotFound), PortError::Refused { .. }));
    }
}
