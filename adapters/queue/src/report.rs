//! What handlers report while they run: log lines and progress. A handler only puts them into memory; a task
//! of the worker writes them, many in a statement.

mod outbox;
pub(crate) mod writer;

use chrono::{DateTime, Utc};
use sqlx::FromRow;

pub(crate) use outbox::{Outbox, Source};

use crate::{Error, Job, Queue};

/// How much a line matters.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum LogLevel {
    /// For whoever looks for a fault.
    Debug,
    /// The usual course.
    Info,
    /// Not as it should be.
    Warn,
    /// Wrong.
    Error,
}

impl LogLevel {
    fn from_number(number: i16) -> Self {
        match number {
            0 => Self::Debug,
            1 => Self::Info,
            2 => Self::Warn,
            _ => Self::Error,
        }
    }
}

/// A line that a handler logged.
#[derive(Debug, Clone, PartialEq, Eq, FromRow)]
pub struct LogLine {
    /// Its place among all lines.
    pub id: i64,
    /// When it was logged.
    pub at: DateTime<Utc>,
    /// In which attempt, from 1.
    pub attempt: i32,
    /// Under which lease: one lower than another of the same attempt was lost, and its worker stale.
    pub epoch: i32,
    /// On which worker.
    pub worker: String,
    #[sqlx(rename = "level")]
    level_number: i16,
    /// What it says; may hold line breaks.
    pub line: String,
}

impl LogLine {
    /// How much it matters.
    pub fn level(&self) -> LogLevel {
        LogLevel::from_number(self.level_number)
    }
}

/// How far a job has come.
#[derive(Debug, Clone, PartialEq, Eq, FromRow)]
pub struct Progress {
    /// So much is done.
    pub done: i64,
    /// Of so much; 0 where nobody knows.
    pub total: i64,
    /// In words.
    pub note: String,
    /// When it was reported.
    pub at: DateTime<Utc>,
    /// In which attempt, from 1.
    pub attempt: i32,
    /// Under which lease.
    pub epoch: i32,
}

impl<A> Job<A> {
    /// Logs a line for people, kept with the job. It is written within some 250 ms, in the handler's order; never
    /// waits and never fails. Of a line 8 KiB are kept, of an attempt 10,000 lines; what is dropped is counted,
    /// and the log says how many lines.
    pub fn log(&self, level: LogLevel, line: impl Into<String>) {
        self.lease.report.log(level, line.into());
    }

    /// Reports how far the job has come: so much of so much (0 where nobody knows), and a note in words (1 KiB of
    /// it). Each report replaces the last; written within some 250 ms; never waits and never fails.
    pub fn progress(&self, done: u64, total: u64, note: impl Into<String>) {
        self.lease.report.progress(done, total, note.into());
    }
}

impl Queue {
    /// The job's log lines of all attempts, oldest first, after this one, at most so many. Kept as long as the
    /// longest retention of a queue.
    pub async fn log(&self, id: i64, after: Option<i64>, limit: i64) -> Result<Vec<LogLine>, Error> {
        let rows = sqlx::query_as(
            "select line.id, line.at, line.attempt, line.epoch, line.level, line.line,
                coalesce(worker.name, 'worker ' || line.worker_id) as worker
            from queue.log_line as line left join queue.worker as worker on worker.id = line.worker_id
            where line.job_id = $1 and line.id > coalesce($2, 0) order by line.id limit $3",
        );
        let mut conn = self.own_unit().await?;
        let rows = rows.persistent(self.named()).bind(id).bind(after).bind(limit);
        Ok(rows.fetch_all(&mut *conn).await?)
    }

    /// How far the job has come, by its last report; none if it never reported.
    pub async fn progress(&self, id: i64) -> Result<Option<Progress>, Error> {
        let row = sqlx::query_as(
            "select done, total, note, at, attempt, epoch from queue.progress
            where job_id = $1 order by day desc limit 1",
        );
        let mut conn = self.own_unit().await?;
        let row = row.persistent(self.named()).bind(id);
        Ok(row.fetch_optional(&mut *conn).await?)
    }
}
