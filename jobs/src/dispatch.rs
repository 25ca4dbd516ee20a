//! What surrounds every handler: a span that carries on the enqueuer's trace, the duration, and one log line
//! for a failure. The attempt's fence, timeout and panic guard are the queue's own.

use std::time::Instant;

use domain::job::JobArgs;
use queue::{Job, JobError, Outcome, Policy, Registry};
use tracing::Instrument;

use crate::context::Ctx;
use crate::failure::Failure;

/// Adds a kind with its handler to the registry.
pub(crate) fn add<A, F, Fut>(registry: Registry<Ctx>, policy: Policy, handler: F) -> Registry<Ctx>
where
    A: JobArgs,
    F: Fn(Ctx, Job<A>) -> Fut + Copy + Send + Sync + 'static,
    Fut: Future<Output = Result<Outcome, Failure>> + Send + 'static,
{
    registry.add(A::KIND, policy, move |ctx: Ctx, job: Job<A>| {
        let span = tracing::info_span!(
            "job",
            job.kind = A::KIND,
            job.id = job.id,
            job.attempt = job.attempt,
            correlation.id = job.correlation_id.as_deref(),
            traceparent = job.traceparent.as_deref(),
        );
        let started = Instant::now();
        let last = job.attempt >= job.max_attempts;
        async move {
            let result = handler(ctx, job).await;
            record(A::KIND, started, last, result)
        }
        .instrument(span)
    })
}

fn record(
    kind: &'static str,
    started: Instant,
    last: bool,
    result: Result<Outcome, Failure>,
) -> Result<Outcome, JobError> {
    let elapsed = started.elapsed();
    let result = result.map_err(|failure| {
        let error = JobError::from(failure);
        match &error {
            JobError::Retry { error, .. } if !last => tracing::warn!(error, "attempt failed, will try again"),
            JobError::Retry { error, .. } | JobError::Fail { error } => tracing::error!(error, "job is dead"),
        }
        error
    });
    let outcome = match &result {
        Ok(Outcome::Done | Outcome::DoneWith(_)) => "done",
        Ok(Outcome::Snooze(_)) => "snoozed",
        Ok(Outcome::Cancel(_)) => "cancelled",
        Err(JobError::Retry { .. }) => "failed",
        Err(JobError::Fail { .. }) => "dead",
    };
    tracing::debug!(outcome, duration_ms = elapsed.as_millis() as u64, "attempt ended");
    metrics::histogram!("codex_k8s_job_duration_seconds", "kind" => kind, "outcome" => outcome)
        .record(elapsed.as_secs_f64());
    result
}
