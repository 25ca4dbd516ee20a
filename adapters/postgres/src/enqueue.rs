//! Puts the domain's jobs into the queue. The only place that maps one to the other.

use std::time::Duration;

use domain::job::{NewJob, OnConflict};
use queue::Queue;
use sqlx::PgConnection;

use crate::error::Error;
use crate::text::{clean, clean_json};

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
    Ok(queue.enqueue_many(connection, jobs).await?.into_iter().map(|job| job.id).collect())
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
