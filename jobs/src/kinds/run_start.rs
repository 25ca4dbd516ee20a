//! `run.start`: gives a run its slot, its namespace and its Job.
//!
//! Comes from `github_delivery`, or from the end of another run that freed a slot. What becomes of the Job is
//! seen by `run_observe`. It may be repeated at any point: each step looks at the state it finds.

use domain::flow::{FlowActor, FlowEvent};
use domain::job::RunStart;
use domain::port::Admission;
use domain::run::{Run, RunEvent, RunState};
use domain::workload::{job_name, namespace_of};
use queue::{Job, Outcome};
use serde_json::json;

use crate::context::Ctx;
use crate::failure::{Failure, in_time};

/// Starts one run.
pub async fn handle(ctx: Ctx, job: Job<RunStart>) -> Result<Outcome, Failure> {
    let id = job.args.run_id;
    let missing = || Failure::Hopeless(format!("there is no run {id}"));
    let mut run = ctx.runs.get(id).await?.ok_or_else(missing)?;
    if matches!(run.state, RunState::Pending | RunState::WaitingSlot) {
        if ctx.runs.admit(&run).await? == Admission::Full {
            return Ok(Outcome::Done);
        }
        run = ctx.runs.get(id).await?.ok_or_else(missing)?;
    }
    if run.state.is_final() && run.namespace.is_some() && run.started_at.is_none() {
        // It ended while it was being prepared: what had been launched by then belongs to nobody.
        ctx.cluster.stop(&namespace_of(&run), &job_name(id)).await?;
    }
    if run.state != RunState::Preparing {
        return Ok(Outcome::Done);
    }
    match in_time(launch(&ctx, &run)).await {
        Ok(()) => Ok(Outcome::Done),
        // A run must not stand in `preparing` for ever because its job has died.
        Err(failure) if !failure.is_passing() || job.attempt >= job.max_attempts => {
            let reason = ctx.redactor.redact(&format!("could not be prepared: {failure}"));
            let data = json!({ "attempts": job.attempt });
            ctx.runs.apply(&run, RunEvent::Failed { reason }, data).await?;
            // The last attempt may have come as far as the Job. After the record: a run that another attempt
            // has brought on its way isn't to lose it.
            if let Err(error) = ctx.cluster.stop(&namespace_of(&run), &job_name(id)).await {
                tracing::warn!(%error, run.id = id.0, "a Job may be left of a run that failed; its deadline ends it");
            }
            Ok(Outcome::Done)
        }
        Err(failure) => Err(failure),
    }
}

async fn launch(ctx: &Ctx, run: &Run) -> Result<(), Failure> {
    let workload = ctx.settings.workload(run);
    ctx.cluster.launch(&workload).await?;
    let data = json!({
        "namespace": workload.namespace,
        "job": workload.job_name,
        "expires_at": workload.expires_at,
    });
    ctx.runs
        .record(FlowEvent {
            correlation_id: run.correlation_id.clone(),
            run: Some(run.id),
            kind: "namespace.prepared",
            actor: FlowActor::System,
            data: data.clone(),
        })
        .await?;
    ctx.runs.apply(run, RunEvent::Launched, data).await?;
    Ok(())
}
