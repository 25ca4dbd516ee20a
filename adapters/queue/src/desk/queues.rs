//! The queues, and what holds for each of them.

use chrono::{DateTime, Utc};
use sqlx::FromRow;

use crate::limits::LimitsRow;
use crate::{Error, Limits, Queue};

/// A queue as it was set up.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct QueueRow {
    /// Its name.
    pub name: String,
    /// When it was first named.
    pub created_at: DateTime<Utc>,
    /// Since when it is paused.
    pub paused_at: Option<DateTime<Utc>>,
    /// What it allows over all workers.
    pub limits: Limits,
    /// Days that its jobs are kept after their end.
    pub keep_days: i16,
}

#[derive(Debug, FromRow)]
struct Row {
    name: String,
    created_at: DateTime<Utc>,
    paused_at: Option<DateTime<Utc>>,
    keep_days: i16,
    #[sqlx(flatten)]
    limits: LimitsRow,
}

impl From<Row> for QueueRow {
    fn from(row: Row) -> Self {
        Self {
            name: row.name,
            created_at: row.created_at,
            paused_at: row.paused_at,
            limits: row.limits.into(),
            keep_days: row.keep_days,
        }
    }
}

impl Queue {
    /// All queues, by name.
    pub async fn queues(&self) -> Result<Vec<QueueRow>, Error> {
        let mut unit = self.own_unit().await?;
        let rows: Vec<Row> = sqlx::query_as("select * from queue.queue order by name collate \"C\"")
            .persistent(false)
            .fetch_all(&mut *unit)
            .await?;
        unit.end().await?;
        Ok(rows.into_iter().map(QueueRow::from).collect())
    }

    /// Whether somebody has named this queue before: to tell a slip of the pen from a new queue.
    pub async fn knows_queue(&self, name: &str) -> Result<bool, Error> {
        self.is_there("select exists (select from queue.queue where name = $1)", name)
            .await
    }

    /// Whether somebody has named this kind before.
    pub async fn knows_kind(&self, name: &str) -> Result<bool, Error> {
        self.is_there("select exists (select from queue.kind where name = $1)", name)
            .await
    }

    async fn is_there(&self, question: &'static str, name: &str) -> Result<bool, Error> {
        let mut unit = self.own_unit().await?;
        let is_there = sqlx::query_scalar(question).persistent(false).bind(name);
        let is_there = is_there.fetch_one(&mut *unit).await?;
        unit.end().await?;
        Ok(is_there)
    }
}
