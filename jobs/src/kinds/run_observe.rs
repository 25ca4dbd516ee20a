//! `run.observe`: looks at a run's Job and records what has become of it.
//!
//! Asked for by the cluster's watch (`watch.rs`), which is only a hint, and by itself again and again while
//! the Job is active. The present state of the Job decides, so it may be repeated or come too late.

use std::time::Duration;

use domain::RunId;
use domain::job::RunObserve;
use domain::port::PortError;
use domain::run::{LogLine, Run, RunEvent, RunState};
use domain::workload::{Observation, job_name, namespace_of};
use queue::{Job, Outcome};
use serde_json::json;

use crate::context::Ctx;
use crate::failure::{Failure, in_time};

/// A Job that changes while its run is still being prepared has been launched just now: a moment later the
/// run will be running.
const SOON: Duration = Duration::from_secs(1);

/// A short log is read so often; each further 100 KiB add a second.
const FOLLOW: Duration = Duration::from_secs(3);

/// Observes one run.
pub async fn handle(ctx: Ctx, job: Job<RunObserve>) -> Result<Outcome, Failure> {
    let id = job.args.run_id;
    match in_time(observe(&ctx, id)).await {
        // This is the poll beneath the watch: were it dead, a run could stay `running` for ever.
        Err(Failure::Port(error)) if job.attempt >= job.max_attempts || refuses(&error) => {
            metrics::counter!("codex_k8s_observe_errors_total").increment(1);
            tracing::error!(%error, run.id = id.0, "a run can't be observed, will go on trying");
            Ok(Outcome::Snooze(poll(&ctx)))
        }
        result => result,
    }
}

fn refuses(error: &PortError) -> bool {
    matches!(error, PortError::Refused { .. })
}

fn poll(ctx: &Ctx) -> Duration {
    Duration::from_secs(ctx.settings.observe_every_s)
}

/// While it is active its log is read again, whole: the sooner, the shorter it is, since people follow it.
fn next_look(ctx: &Ctx, log_bytes: usize) -> Duration {
    let by_length = FOLLOW + Duration::from_millis(log_bytes as u64 / 100);
    by_length.min(poll(ctx))
}

async fn observe(ctx: &Ctx, id: RunId) -> Result<Outcome, Failure> {
    let run = ctx.runs.get(id).await?;
    let run = run.ok_or_else(|| Failure::Hopeless(format!("there is no run {id}")))?;
    match run.state {
        RunState::Running => {}
        RunState::Preparing => return Ok(Outcome::Snooze(SOON)),
        RunState::Canceled { .. } => return end(ctx, &run).await,
        _ => return Ok(Outcome::Done),
    }
    let namespace = run.namespace.clone().unwrap_or_else(|| namespace_of(&run));
    let name = job_name(run.id);
    let observation = ctx.cluster.observe(&namespace, &name).await?;
    // Before the end is recorded: whoever sees the end finds the whole log. One that is refused is refused
    // again; the end counts for more.
    let log_bytes = match keep_log(ctx, &run, &namespace, &name).await {
        Err(Failure::Port(error)) if refuses(&error) => {
            tracing::warn!(%error, run.id = id.0, "the log can't be kept");
            usize::MAX
        }
        result => result?,
    };
    let event = match observation {
        Observation::Active { detail } => {
            tracing::debug!(detail, "still active");
            return Ok(Outcome::Snooze(next_look(ctx, log_bytes)));
        }
        Observation::Exited { code } => RunEvent::Exited { code },
        Observation::DeadlineExceeded => RunEvent::DeadlinePassed,
        Observation::Failed { reason } => RunEvent::Failed {
            reason: ctx.redactor.redact(&reason),
        },
        Observation::Missing => RunEvent::Failed {
            reason: format!("its Job {name} is gone from the cluster"),
        },
    };
    ctx.runs
        .apply(&run, event, json!({ "namespace": namespace, "job": name }))
        .await?;
    Ok(Outcome::Done)
}

/// Nobody wants its result any more. What it has written so far is kept.
async fn end(ctx: &Ctx, run: &Run) -> Result<Outcome, Failure> {
    let Some(namespace) = &run.namespace else {
        return Ok(Outcome::Done);
    };
    let name = job_name(run.id);
    if let Err(error) = keep_log(ctx, run, namespace, &name).await {
        tracing::warn!(%error, run.id = run.id.0, "the end of a canceled run's log can't be kept");
    }
    ctx.cluster.stop(namespace, &name).await?;
    Ok(Outcome::Done)
}

/// Keeps what is new, and says how long the log is in bytes.
async fn keep_log(ctx: &Ctx, run: &Run, namespace: &str, name: &str) -> Result<usize, Failure> {
    let lines = ctx
        .cluster
        .log(namespace, name, ctx.settings.log_limit_bytes)
        .await?;
    let kept = ctx.runs.last_log_line(run.id).await?;
    let new: Vec<LogLine> = (1..)
        .zip(&lines)
        .skip_while(|(number, _)| *number <= kept)
        .map(|(number, text)| LogLine {
            number,
            text: ctx.redactor.redact(text),
        })
        .collect();
    if !new.is_empty() {
        ctx.runs.append_log(run.id, &new).await?;
    }
    Ok(lines.iter().map(String::len).sum())
}
