//! What can go wrong for a caller of the queue.

use std::sync::Arc;

/// An error of the queue. Nothing was changed where one is returned.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The database refused or could not be reached.
    #[error("queue database: {0}")]
    Database(#[from] sqlx::Error),
    /// The schema could not be brought up to date.
    #[error("queue migration: {0}")]
    Migration(#[from] sqlx::migrate::MigrateError),
    /// The caller's wish can't be met as it stands.
    #[error("{0}")]
    Invalid(String),
    /// The commit that a job shared with others failed ([`Queue::send`](crate::Queue::send)); where the
    /// connection was lost meanwhile, the job may be there nonetheless.
    #[error("{0}")]
    Together(Arc<Self>),
}
