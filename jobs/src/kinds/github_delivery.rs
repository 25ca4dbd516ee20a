//! `github.delivery`: reads a stored delivery, asks the label policy, and starts a run or says why not.
//!
//! Follows the webhook's acceptance (`gateway/src/webhook.rs`); what it starts goes on in `run_start`.

use domain::delivery::{DeliveryOutcome, DeliveryStatus};
use domain::event::{Actor, Event};
use domain::job::{GithubDelivery, IssueComment, NewJob};
use domain::policy::{self, Decision, Situation};
use domain::repository::RepositoryName;
use domain::run::{Created, NewRun};
use domain::{DeliveryId, RunId};
use queue::{Job, Outcome};

use crate::context::Ctx;
use crate::failure::Failure;
use crate::report::code;

/// What the delivery leads to, and the jobs that go with it.
type Verdict = (DeliveryOutcome, Vec<NewJob>);

/// Handles one delivery.
pub async fn handle(ctx: Ctx, job: Job<GithubDelivery>) -> Result<Outcome, Failure> {
    let id = &job.args.delivery_id;
    let Some(delivery) = ctx.ledger.load(id).await? else {
        return Err(Failure::Hopeless(format!("there is no delivery {id}")));
    };
    let (outcome, follow_ups) = match &delivery.payload {
        None => ignored("payload_gone"),
        Some(payload) => match Event::from_github(&delivery.event, payload) {
            Ok(Event::Irrelevant(reason)) => ignored(reason),
            Ok(Event::IssueLabeled {
                repository,
                issue,
                label,
                actor,
            }) => labeled(&ctx, id, repository, issue, &label, &actor).await?,
            Err(error) => {
                tracing::warn!(%error, "unreadable payload");
                ignored("unreadable_payload")
            }
        },
    };
    let follow_ups = follow_ups
        .into_iter()
        .map(|next| next.correlated(id).traced(job.traceparent.clone()))
        .collect();
    ctx.ledger.settle(id, &outcome, follow_ups).await?;
    Ok(Outcome::Done)
}

fn ignored(reason: &str) -> Verdict {
    (
        DeliveryOutcome {
            status: DeliveryStatus::Ignored,
            reason: reason.to_owned(),
            run: None,
        },
        Vec::new(),
    )
}

fn processed(reason: &str, run: Option<RunId>, follow_ups: Vec<NewJob>) -> Verdict {
    (
        DeliveryOutcome {
            status: DeliveryStatus::Processed,
            reason: reason.to_owned(),
            run,
        },
        follow_ups,
    )
}

async fn labeled(
    ctx: &Ctx,
    id: &DeliveryId,
    name: RepositoryName,
    issue: i64,
    label: &str,
    actor: &Actor,
) -> Result<Verdict, Failure> {
    if !policy::concerns_us(label) {
        return Ok(ignored("label_not_used"));
    }
    let Some(repository) = ctx.ledger.repository(&name).await? else {
        return Ok(ignored("unknown_repository"));
    };
    // Judged before, by an attempt that didn't get to the end, or replayed: its run stands, however the issue
    // is now.
    if let Some(run) = ctx.runs.caused_by(id).await? {
        return Ok(processed("run_created", Some(run), Vec::new()));
    }
    // Deliveries come late and out of order: what counts is how the issue stands now.
    let Some(present) = ctx.forge.issue(&name, issue).await? else {
        return Ok(ignored("issue_gone"));
    };
    let permission = ctx.forge.permission(&name, &actor.login).await?;
    let situation = Situation {
        label,
        actor,
        permission,
        issue_open: present.open,
        labels: &present.labels,
    };
    match policy::decide(&situation) {
        Decision::Ignore(reason) => Ok(ignored(reason)),
        Decision::Conflict { labels } => {
            let comment = conflict_comment(id, name, issue, &labels);
            Ok(processed("label_conflict", None, vec![NewJob::new(&comment)]))
        }
        Decision::Start { stage, revise } => {
            let requested_by = actor.login.clone();
            let run = NewRun {
                repository,
                issue,
                stage,
                revise,
                correlation_id: id.clone(),
                requested_by,
            };
            match ctx.runs.create(run).await? {
                Created::New(run) | Created::Known(run) => {
                    Ok(processed("run_created", Some(run), Vec::new()))
                }
                Created::IssueBusy(run) => {
                    let comment = busy_comment(id, name, issue, run);
                    Ok(processed("issue_busy", Some(run), vec![NewJob::new(&comment)]))
                }
            }
        }
    }
}

fn conflict_comment(
    id: &DeliveryId,
    repository: RepositoryName,
    issue: i64,
    labels: &[String],
) -> IssueComment {
    let list = labels
        .iter()
        .map(|label| code(label))
        .collect::<Vec<_>>()
        .join(", ");
    let body = format!(
        "**No run was started:** this issue has several `run:` labels ({list}), and only one may run at a \
         time.\n\nTake all but one off, then put that one on again.\n\n<sub>correlation `{id}`</sub>"
    );
    IssueComment {
        repository,
        issue,
        marker: format!("codex-k8s:conflict:{id}"),
        body,
    }
}

fn busy_comment(id: &DeliveryId, repository: RepositoryName, issue: i64, run: RunId) -> IssueComment {
    let body = format!(
        "**No run was started:** run {run} of this issue hasn't ended yet.\n\nPut the label on again once it \
         has.\n\n<sub>correlation `{id}`</sub>"
    );
    IssueComment {
        repository,
        issue,
        marker: format!("codex-k8s:busy:{id}"),
        body,
    }
}
