//! Puts the domain's jobs into the queue. The only place that maps one to the other.

use std::time::Duration;

use domain::job::{
    GithubDelivery, IssueComment, JobArgs, NewJob, OnConflict, RunObserve, RunReport, RunStart,
};
use domain::port::PortError;
use queue::Queue;
use sqlx::{PgConnection, Postgres, Transaction};

use crate::Store;
use crate::error::{Error, db};
use crate::text::{clean, clean_json};

/// The kinds that follow from what is recorded here, with their queues.
const KINDS: [(&str, &str); 5] = [
    (GithubDelivery::QUEUE, GithubDelivery::KIND),
    (IssueComment::QUEUE, IssueComment::KIND),
    (RunObserve::QUEUE, RunObserve::KIND),
    (RunReport::QUEUE, RunReport::KIND),
    (RunStart::QUEUE, RunStart::KIND),
];

impl Store {
    /// Begins a transaction. The queue has met every kind before the first one: it asks for a kind's number on
    /// another connection, which transactions that hold all of them would wait for in vain.
    pub(crate) async fn begin(&self) -> Result<Transaction<'static, Postgres>, PortError> {
        let prepared = self.kinds_known.get_or_try_init(|| async {
            for (queue, kind) in KINDS {
                self.queue.prepare(queue, kind).await?;
            }
            Ok::<(), queue::Error>(())
        });
        prepared.await.map_err(db)?;
        self.pool.begin().await.map_err(db)
    }
}

/// Enqueues jobs in the caller's transaction; the answers' identifiers stand in the order of the jobs.
pub(crate) async fn enqueue(
    queue: &Queue,
    connection: &mut PgConnection,
    jobs: Vec<NewJob>,
) -> Result<Vec<i64>, Error> {
    if jobs.is_empty() {
        return Ok(Vec::new());
    }
    let jobs = jobs.into_iter().map(translate).collect();
    Ok(queue
        .enqueue_many(connection, jobs)
        .await?
        .into_iter()
        .map(|job| job.id)
        .collect())
}

fn translate(job: NewJob) -> queue::NewJob {
    let mut translated = queue::NewJob::new(job.queue, job.kind, clean_json(job.args))
        .delay(Duration::from_millis(u64::try_from(job.delay_ms).unwrap_or(0)));
    if let Some(unique) = job.unique {
        let on_conflict = match unique.on_conflict {
            OnConflict::Keep => queue::OnConflict::Keep,
            OnConflict::Replace => queue::OnConflict::Hasten,
        };
        translated = translated.unique(clean(&unique.key), on_conflict);
    }
    if let Some(id) = job.correlation_id {
        translated = translated.correlation_id(id);
    }
    if let Some(traceparent) = job.traceparent {
        translated = translated.traceparent(clean(&traceparent));
    }
    translated
}
