//! `issue.comment`: answers on an issue, once per cause. Asked for by `github_delivery`.

use domain::job::IssueComment;
use queue::{Job, Outcome};

use crate::context::Ctx;
use crate::failure::Failure;

/// Writes one comment.
pub async fn handle(ctx: Ctx, job: Job<IssueComment>) -> Result<Outcome, Failure> {
    let IssueComment {
        repository,
        issue,
        marker,
        body,
    } = &job.args;
    let body = ctx.redactor.redact(body);
    ctx.forge
        .upsert_comment(repository, *issue, None, marker, &body)
        .await?;
    Ok(Outcome::Done)
}
