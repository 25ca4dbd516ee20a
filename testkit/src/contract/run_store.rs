//! The suite of [`RunStore`].

use anyhow::{Context, Result, bail, ensure};
use domain::flow::{FlowActor, FlowEvent};
use domain::id::{CommentId, RunId};
use domain::port::{Admission, ApplyError, PortError, RunStore};
use domain::repository::Repository;
use domain::run::{Created, LogLine, Run, RunEvent, RunState};
use domain::workload::namespace_of;
use serde_json::json;

use super::new_run;

/// The way of runs in a project with one slot, whose issues from 1 on have no runs.
pub async fn run_store(runs: &dyn RunStore, repository: &Repository) -> Result<()> {
    ensure!(
        repository.project.slots == 1,
        "the suite needs a project with one slot"
    );
    ensure!(
        runs.get(RunId(i64::MAX)).await?.is_none(),
        "a run that nobody made was found"
    );
    creation(runs, repository).await?;
    one_slot(runs, repository).await?;
    transitions(runs, repository).await?;
    log(runs, repository).await
}

/// A new run, read back.
async fn made(runs: &dyn RunStore, repository: &Repository, issue: i64) -> Result<Run> {
    match runs.create(new_run(repository, issue)).await? {
        Created::New(id) => read(runs, id).await,
        other => bail!("a run of a free issue was {other:?}"),
    }
}

async fn read(runs: &dyn RunStore, id: RunId) -> Result<Run> {
    runs.get(id).await?.context("a run can't be read back")
}

async fn cancel(runs: &dyn RunStore, run: &Run) -> Result<Run> {
    let event = RunEvent::Canceled {
        reason: "by ann".to_owned(),
    };
    Ok(runs.apply(run, event, json!({})).await?)
}

async fn creation(runs: &dyn RunStore, repository: &Repository) -> Result<()> {
    let wish = new_run(repository, 1);
    let caused = runs.caused_by(&wish.correlation_id).await?;
    ensure!(caused.is_none(), "nothing caused {caused:?}");
    let Created::New(id) = runs.create(wish.clone()).await? else {
        bail!("the first run wasn't new")
    };
    let known = runs.create(wish.clone()).await?;
    ensure!(
        known == Created::Known(id),
        "the same delivery again was {known:?}"
    );
    let busy = runs.create(new_run(repository, 1)).await?;
    ensure!(busy == Created::IssueBusy(id), "a busy issue was {busy:?}");
    let run = read(runs, id).await?;
    ensure!(
        run.state == RunState::Pending && run.namespace.is_none(),
        "a new run is {run:?}"
    );
    ensure!(
        run.correlation_id == wish.correlation_id && run.repository == *repository,
        "it changed: {run:?}"
    );
    let ended = cancel(runs, &run).await?;
    ensure!(ended.finished_at.is_some(), "a canceled run has no end");
    let known = runs.create(wish).await?;
    ensure!(
        known == Created::Known(id),
        "the same delivery after the run's end was {known:?}"
    );
    let caused = runs.caused_by(&ended.correlation_id).await?;
    ensure!(caused == Some(id), "an ended run's delivery caused {caused:?}");
    cancel(runs, &made(runs, repository, 1).await?).await?;
    Ok(())
}

async fn one_slot(runs: &dyn RunStore, repository: &Repository) -> Result<()> {
    let (first, second) = (made(runs, repository, 2).await?, made(runs, repository, 3).await?);
    ensure!(
        runs.admit(&first).await? == Admission::Admitted,
        "a free slot was not given"
    );
    ensure!(
        runs.admit(&second).await? == Admission::Full,
        "a second slot was given"
    );
    let waiting = read(runs, second.id).await?;
    ensure!(
        waiting.state == RunState::WaitingSlot,
        "a run without slot is {:?}",
        waiting.state
    );
    ensure!(
        runs.admit(&waiting).await? == Admission::Full,
        "waiting made a slot"
    );
    let stale = runs.admit(&first).await;
    ensure!(
        matches!(stale, Err(ApplyError::Stale)),
        "an outdated run was admitted: {stale:?}"
    );
    cancel(runs, &read(runs, first.id).await?).await?;
    ensure!(
        runs.admit(&waiting).await? == Admission::Admitted,
        "the freed slot was not given"
    );
    let admitted = read(runs, second.id).await?;
    ensure!(
        admitted.state == RunState::Preparing,
        "an admitted run is {:?}",
        admitted.state
    );
    ensure!(
        admitted.namespace == Some(namespace_of(&admitted)),
        "its namespace is {:?}",
        admitted.namespace
    );
    cancel(runs, &admitted).await?;
    Ok(())
}

async fn transitions(runs: &dyn RunStore, repository: &Repository) -> Result<()> {
    let pending = made(runs, repository, 4).await?;
    runs.admit(&pending).await?;
    let preparing = read(runs, pending.id).await?;
    let running = runs
        .apply(&preparing, RunEvent::Launched, json!({ "job": "agent" }))
        .await?;
    ensure!(
        running.state == RunState::Running && running.started_at.is_some(),
        "launched: {running:?}"
    );
    let stale = runs.apply(&preparing, RunEvent::Launched, json!({})).await;
    ensure!(
        matches!(stale, Err(ApplyError::Stale)),
        "an outdated state took an event: {stale:?}"
    );
    let stale = runs
        .apply(&pending, RunEvent::Exited { code: 0 }, json!({}))
        .await;
    ensure!(
        matches!(stale, Err(ApplyError::Stale)),
        "an outdated state refused instead of stale: {stale:?}"
    );
    let refused = runs.apply(&running, RunEvent::Admitted, json!({})).await;
    let is_refused = matches!(refused, Err(ApplyError::Port(PortError::Refused { .. })));
    ensure!(is_refused, "an event that doesn't fit gave {refused:?}");
    runs.hint(running.id).await?;
    runs.hint(RunId(i64::MAX)).await?;
    runs.set_comment(running.id, CommentId(77)).await?;
    runs.set_comment(running.id, CommentId(77)).await?;
    for _ in 0..2 {
        let event = FlowEvent {
            correlation_id: running.correlation_id.clone(),
            run: Some(running.id),
            kind: "namespace.prepared",
            actor: FlowActor::System,
            data: json!({}),
        };
        runs.record(event).await?;
    }
    let failed = runs
        .apply(&running, RunEvent::Exited { code: 3 }, json!({}))
        .await?;
    let stored = read(runs, running.id).await?;
    ensure!(
        matches!(
            stored.state,
            RunState::Failed {
                exit_code: Some(3),
                ..
            }
        ),
        "it is {:?}",
        stored.state
    );
    ensure!(
        stored.state == failed.state && stored.finished_at == failed.finished_at,
        "apply returned another"
    );
    ensure!(
        stored.comment_id == Some(CommentId(77)),
        "the comment is {:?}",
        stored.comment_id
    );
    Ok(())
}

async fn log(runs: &dyn RunStore, repository: &Repository) -> Result<()> {
    let run = made(runs, repository, 5).await?;
    ensure!(runs.last_log_line(run.id).await? == 0, "a new run has lines");
    let line = |number| LogLine {
        number,
        text: format!("line {number}"),
    };
    runs.append_log(run.id, &[]).await?;
    runs.append_log(run.id, &[line(1), line(2)]).await?;
    runs.append_log(run.id, &[line(2), line(3)]).await?;
    ensure!(
        runs.last_log_line(run.id).await? == 3,
        "lines were lost or doubled"
    );
    cancel(runs, &run).await?;
    Ok(())
}
