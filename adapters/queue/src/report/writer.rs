//! The task that writes reports. Loses some rather than hold anything up.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::{Duration, Instant};

use sqlx::PgConnection;
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

use super::outbox::{Line, Outbox, Step};
use crate::session::{Session, Sessions};

/// How long reports gather.
const GATHER: Duration = Duration::from_millis(250);
/// The most lines in one statement.
const AT_ONCE: usize = 1_000;
/// How long the last ones may take.
const WRITE_WITHIN: Duration = Duration::from_secs(3);

/// Dated by how long ago they were reported, on the database's clock; no older than a partition is there for.
const LINES: &str = "
insert into queue.log_line (job_id, at, attempt, epoch, worker_id, level, line)
select job_id, statement_timestamp() - least(age_ms, 86400000) * interval '1 millisecond', attempt, epoch, $1, level,
    line
from unnest($2::bigint[], $3::bigint[], $4::integer[], $5::integer[], $6::smallint[], $7::text[])
    as new (job_id, age_ms, attempt, epoch, level, line)";

/// A stale attempt doesn't write over the present one's.
const STEPS: &str = "
insert into queue.progress as old (job_id, day, at, done, total, attempt, epoch, worker_id, note)
select new.job_id, date_trunc('day', statement_timestamp(), 'UTC'),
    statement_timestamp() - new.age_ms * interval '1 millisecond', done, total, new.attempt, new.epoch, $1, note
from unnest($2::bigint[], $3::bigint[], $4::bigint[], $5::bigint[], $6::integer[], $7::integer[], $8::text[])
    as new (job_id, age_ms, done, total, attempt, epoch, note)
where not exists (select from queue.job as job where job.id = new.job_id and job.epoch > new.epoch)
on conflict (job_id, day) do update set at = excluded.at, done = excluded.done, total = excluded.total,
    attempt = excluded.attempt, epoch = excluded.epoch, worker_id = excluded.worker_id, note = excluded.note";

/// The reports of one worker, and the task that writes them.
pub(crate) struct Reports {
    pub(crate) outbox: Arc<Outbox>,
    stop: CancellationToken,
    task: JoinHandle<()>,
}

impl Reports {
    pub(crate) fn start(sessions: Sessions, worker_id: i32) -> Self {
        let (outbox, stop) = (Arc::default(), CancellationToken::new());
        let writer = Writer {
            sessions,
            worker_id,
            outbox: Arc::clone(&outbox),
        };
        let task = tokio::spawn(writer.run(stop.clone()));
        Self { outbox, stop, task }
    }

    /// Writes what is left.
    pub(crate) async fn stop(self) {
        self.stop.cancel();
        if let Err(error) = self.task.await {
            tracing::error!(%error, "the writer of reports ended");
        }
    }
}

struct Writer {
    sessions: Sessions,
    worker_id: i32,
    outbox: Arc<Outbox>,
}

impl Writer {
    /// Writes until `stop`, and then what is left, as long as that doesn't take too long. Where nothing is
    /// reported there is not even a connection.
    async fn run(self, stop: CancellationToken) {
        let mut session = Session::new(&self.sessions, "codex-k8s queue reports");
        let mut until = None;
        loop {
            tokio::select! {
                () = self.outbox.filled.notified() => {}
                () = stop.cancelled() => {}
            }
            tokio::select! {
                () = tokio::time::sleep(GATHER) => {}
                () = self.outbox.hurry.notified() => {}
                () = stop.cancelled() => {}
            }
            let batch = self.outbox.take();
            if batch.is_empty() && stop.is_cancelled() {
                return;
            }
            for lines in batch.lines.chunks(AT_ONCE) {
                self.write(&mut session, &stop, &mut until, Part::Lines(lines))
                    .await;
            }
            if !batch.steps.is_empty() {
                self.write(&mut session, &stop, &mut until, Part::Steps(&batch.steps))
                    .await;
            }
        }
    }

    /// Tries again while the database is away. What it refuses is dropped, and so is what can't be written
    /// while the worker leaves.
    async fn write(
        &self,
        session: &mut Session,
        stop: &CancellationToken,
        until: &mut Option<Instant>,
        part: Part<'_>,
    ) {
        loop {
            let Err(error) = session
                .run(async |conn| part.write(conn, self.worker_id).await)
                .await
            else {
                return;
            };
            metrics::counter!("codex_k8s_queue_errors_total", "task" => "reports").increment(1);
            let is_late = stop.is_cancelled()
                && *until.get_or_insert_with(|| Instant::now() + WRITE_WITHIN) <= Instant::now();
            if is_refused(&error) || is_late {
                let lines = part.lines();
                metrics::counter!("codex_k8s_queue_log_lines_dropped_total", "reason" => "refused")
                    .increment(lines as u64);
                tracing::warn!(lines, %error, "reports of jobs could not be written and are dropped");
                return;
            }
            tracing::warn!(%error, "writing reports of jobs failed, trying again");
            tokio::time::sleep(session.pause()).await;
        }
    }
}

/// What one statement writes.
#[derive(Clone, Copy)]
enum Part<'a> {
    Lines(&'a [Line]),
    Steps(&'a HashMap<i64, Step>),
}

impl Part<'_> {
    fn lines(self) -> usize {
        match self {
            Self::Lines(lines) => lines.len(),
            Self::Steps(_) => 0,
        }
    }

    async fn write(self, conn: &mut PgConnection, worker_id: i32) -> Result<(), sqlx::Error> {
        match self {
            Self::Lines(lines) => write_lines(conn, worker_id, lines).await,
            Self::Steps(steps) => write_steps(conn, worker_id, steps).await,
        }
    }
}

/// A fault of the data or the schema, which the next try would meet again.
fn is_refused(error: &sqlx::Error) -> bool {
    let code = error
        .as_database_error()
        .and_then(sqlx::error::DatabaseError::code);
    code.is_some_and(|code| {
        ["21", "22", "23", "42", "54", "P0"]
            .iter()
            .any(|class| code.starts_with(class))
    })
}

fn age_ms(at: Instant) -> i64 {
    i64::try_from(at.elapsed().as_millis()).unwrap_or(i64::MAX)
}

async fn write_lines(conn: &mut PgConnection, worker_id: i32, lines: &[Line]) -> Result<(), sqlx::Error> {
    sqlx::query(LINES)
        .bind(worker_id)
        .bind(lines.iter().map(|line| line.id).collect::<Vec<_>>())
        .bind(lines.iter().map(|line| age_ms(line.at)).collect::<Vec<_>>())
        .bind(lines.iter().map(|line| line.attempt).collect::<Vec<_>>())
        .bind(lines.iter().map(|line| line.epoch).collect::<Vec<_>>())
        .bind(lines.iter().map(|line| line.level as i16).collect::<Vec<_>>())
        .bind(lines.iter().map(|line| line.text.as_str()).collect::<Vec<_>>())
        .execute(conn)
        .await?;
    Ok(())
}

async fn write_steps(
    conn: &mut PgConnection,
    worker_id: i32,
    steps: &HashMap<i64, Step>,
) -> Result<(), sqlx::Error> {
    sqlx::query(STEPS)
        .bind(worker_id)
        .bind(steps.keys().copied().collect::<Vec<_>>())
        .bind(steps.values().map(|step| age_ms(step.at)).collect::<Vec<_>>())
        .bind(steps.values().map(|step| step.done).collect::<Vec<_>>())
        .bind(steps.values().map(|step| step.total).collect::<Vec<_>>())
        .bind(steps.values().map(|step| step.attempt).collect::<Vec<_>>())
        .bind(steps.values().map(|step| step.epoch).collect::<Vec<_>>())
        .bind(steps.values().map(|step| step.note.as_str()).collect::<Vec<_>>())
        .execute(conn)
        .await?;
    Ok(())
}
