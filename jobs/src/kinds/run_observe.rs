//! `run.observe`: looks at a run's Job and records what has become of it.
//!
//! Asked for by the cluster's watch (`watch.rs`), which is only a hint, and by itself again and again while
//! the Job is active. The present state of the Job decides, so it may be repeated or come too late.

use std::time::Duration;

use domain::job::RunObserve;
use domain::run::{LogLine, Run, RunEvent, RunState};
use domain::workload::{Observation, job_name, namespace_of};
use queue::{Job, Outcome};
use serde_json::json;

use crate::context::Ctx;
use crate::failure::Failure;

/// Observes one run.
pub async fn handle(ctx: Ctx, job: Job<RunObserve>) -> Result<Outcome, Failure> {
    let id = job.args.run_id;
    let run = ctx.runs.get(id).await?;
    let run = run.ok_or_else(|| Failure::Hopeless(format!("there is no run {id}")))?;
    if run.state != RunState::Running {
        return Ok(Outcome::Done);
    }
    let namespace = run.namespace.clone().unwrap_or_else(|| namespace_of(&run));
    let name = job_name(run.id);
    let observation = ctx.cluster.observe(&namespace, &name).await?;
    // Before the end is recorded: whoever sees the end finds the whole log.
    keep_log(&ctx, &run, &namespace, &name).await?;
    let event = match observation {
        Observation::Active { detail } => {
            tracing::debug!(detail, "still active");
            return Ok(Outcome::Snooze(Duration::from_secs(ctx.settings.observe_every_s)));
        }
        Observation::Exited { code } => RunEvent::Exited { code },
        Observation::DeadlineExceeded => RunEvent::DeadlinePassed,
        Observation::Failed { reason } => RunEvent::Failed { reason },
        Observation::Missing => RunEvent::Failed {
            reason: format!("its Job {name} is gone from the cluster"),
        },
    };
    ctx.runs
        .apply(&run, event, json!({ "namespace": namespace, "job": name }))
        .await?;
    Ok(Outcome::Done)
}

async fn keep_log(ctx: &Ctx, run: &Run, namespace: &str, name: &str) -> Result<(), Failure> {
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
    Ok(())
}
