//! `run.report`: brings a run's status comment up to date. It writes the present state, so that several
//! changes in quick succession need one edit, and a repeat changes nothing.

use domain::job::RunReport;
use queue::{Job, Outcome};

use crate::context::{Ctx, run_marker};
use crate::failure::Failure;
use crate::report;

/// Reports on one run.
pub async fn handle(ctx: Ctx, job: Job<RunReport>) -> Result<Outcome, Failure> {
    let id = job.args.run_id;
    let run = ctx.runs.get(id).await?;
    let run = run.ok_or_else(|| Failure::Hopeless(format!("there is no run {id}")))?;
    let body = ctx.redactor.redact(&report::status_comment(&run, &ctx.redactor));
    let name = &run.repository.name;
    let comment = ctx
        .forge
        .upsert_comment(name, run.issue, run.comment_id, &run_marker(run.id), &body)
        .await?;
    if run.comment_id != Some(comment) {
        ctx.runs.set_comment(run.id, comment).await?;
    }
    Ok(Outcome::Done)
}
