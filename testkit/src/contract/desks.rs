//! The suites of [`DeliveryDesk`] and [`RunDesk`].

use anyhow::{Context, Result, ensure};
use domain::access::Projects;
use domain::delivery::{DeliveryFilter, DeliveryOutcome, DeliveryStatus, Replay};
use domain::flow::{Author, FlowActor};
use domain::id::{DeliveryId, ProjectId, RunId};
use domain::port::{DeliveryDesk, Inbox, Ledger, RunDesk, RunStore};
use domain::repository::Repository;
use domain::run::{Created, LogLine, RunCancel, RunEvent, RunFilter, RunRetry, RunState};
use serde_json::json;

use super::{delivery, fresh_delivery_id, new_run};

/// The ledger is listed in pages that neither overlap nor leave anything out, and shown whole.
/// `known` is a repository that the ledger knows, the one of [`delivery`].
pub async fn delivery_desk(
    inbox: &dyn Inbox,
    ledger: &dyn Ledger,
    desk: &dyn DeliveryDesk,
    known: &Repository,
) -> Result<()> {
    let all = Projects::All;
    let mut expected = Vec::new();
    for _ in 0..7 {
        let id = fresh_delivery_id();
        inbox.accept(delivery(&id, b"{\"n\": 1}")).await?;
        expected.insert(0, id);
    }
    let mut seen = Vec::new();
    let mut filter = DeliveryFilter {
        limit: 3,
        projects: Projects::All,
        ..DeliveryFilter::default()
    };
    while seen.len() < 7 {
        let page = desk.list(&filter).await?;
        let last = page.last().context("the ledger ended early")?;
        filter.before = Some((last.received_at, last.id.clone()));
        seen.extend(page.into_iter().map(|line| line.id));
        // What comes in while somebody reads stands before the first page and moves nothing.
        inbox.accept(delivery(&fresh_delivery_id(), b"{}")).await?;
    }
    ensure!(
        seen[..7] == expected[..],
        "the pages were {seen:?} instead of {expected:?}"
    );

    let id = &expected[0];
    inbox.accept(delivery(id, b"{\"n\": 1}")).await?;
    let ignored = DeliveryOutcome {
        status: DeliveryStatus::Ignored,
        reason: "event_not_used".to_owned(),
        run: None,
    };
    ledger.settle(id, &ignored, Vec::new()).await?;
    let whole = desk
        .get(id, &all)
        .await?
        .context("an accepted delivery isn't there")?;
    ensure!(
        whole.payload == Some(json!({ "n": 1 })),
        "the payload is {:?}",
        whole.payload
    );
    ensure!(
        whole.summary.duplicates == 1,
        "one duplicate was counted {} times",
        whole.summary.duplicates
    );
    ensure!(
        whole.summary.reason.as_deref() == Some("event_not_used"),
        "the reason is {:?}",
        whole.summary.reason
    );
    ensure!(
        whole.summary.processed_at.is_some(),
        "a settled delivery has no time"
    );
    let mut filter = DeliveryFilter {
        status: Some(DeliveryStatus::Ignored),
        limit: 1,
        projects: Projects::All,
        ..DeliveryFilter::default()
    };
    ensure!(
        desk.list(&filter)
            .await?
            .first()
            .is_some_and(|line| line.id == *id),
        "the filter missed it"
    );
    filter.event = Some("no_such_event".to_owned());
    ensure!(
        desk.list(&filter).await?.is_empty(),
        "a filter let others through"
    );

    let nobody = fresh_delivery_id();
    ensure!(
        desk.get(&nobody, &all).await?.is_none(),
        "a delivery that nobody sent was shown"
    );
    let replay = desk
        .replay(&nobody, false, &all, &FlowActor::Human("ann".to_owned()))
        .await?;
    ensure!(replay.is_none(), "a delivery that nobody sent was replayed");
    let open = desk.replay(id, true, &all, &FlowActor::System).await?;
    let job = whole.summary.job_id.context("an accepted delivery has no job")?;
    ensure!(
        open == Some(Replay::StillOpen { job_id: job }),
        "an open delivery's replay was {open:?}"
    );
    only_for_its_project(desk, id, known).await
}

/// A delivery is there for those who may see its repository's project, and for nobody else.
async fn only_for_its_project(desk: &dyn DeliveryDesk, id: &DeliveryId, known: &Repository) -> Result<()> {
    let (own, others) = (
        Projects::Only(vec![known.project.id]),
        Projects::Only(vec![ProjectId(i64::MAX)]),
    );
    for (projects, seen) in [(&own, true), (&others, false), (&Projects::default(), false)] {
        let filter = DeliveryFilter {
            projects: projects.clone(),
            limit: 1,
            ..DeliveryFilter::default()
        };
        ensure!(
            desk.list(&filter).await?.is_empty() != seen,
            "listed for {projects:?}"
        );
        ensure!(
            desk.get(id, projects).await?.is_some() == seen,
            "shown for {projects:?}"
        );
        let replay = desk.replay(id, true, projects, &FlowActor::System).await?;
        ensure!(replay.is_some() == seen, "replayed for {projects:?}");
    }
    Ok(())
}

/// Runs are listed, shown with their events in order, and their log is read on from any line.
pub async fn run_desk(runs: &dyn RunStore, desk: &dyn RunDesk, repository: &Repository) -> Result<()> {
    let all = Projects::All;
    let wish = new_run(repository, 901);
    let Created::New(id) = runs.create(wish.clone()).await? else {
        anyhow::bail!("the issue was busy")
    };
    let Created::New(newer) = runs.create(new_run(repository, 902)).await? else {
        anyhow::bail!("the issue was busy")
    };
    let run = runs.get(id).await?.context("a new run isn't there")?;
    runs.apply(
        &run,
        RunEvent::Failed {
            reason: "no\0 image".to_owned(),
        },
        json!({}),
    )
    .await?;
    let lines: Vec<LogLine> = (1..=5)
        .map(|number| LogLine {
            number,
            text: format!("line {number}"),
        })
        .collect();
    runs.append_log(id, &lines).await?;

    let filter = RunFilter {
        project: Some(repository.project.slug.clone()),
        limit: 2,
        projects: all.clone(),
        ..RunFilter::default()
    };
    let listed: Vec<RunId> = desk.list(&filter).await?.iter().map(|run| run.id).collect();
    ensure!(listed == [newer, id], "the newest two runs were {listed:?}");
    let filter = RunFilter {
        status: Some("failed".to_owned()),
        before: Some(newer),
        limit: 1,
        ..filter
    };
    let listed: Vec<RunId> = desk.list(&filter).await?.iter().map(|run| run.id).collect();
    ensure!(listed == [id], "the failed run before was {listed:?}");
    let shown = desk.get(id, &all).await?.context("a run isn't shown")?;
    ensure!(
        shown.state.as_str() == "failed" && shown.correlation_id == wish.correlation_id,
        "it is {shown:?}"
    );
    ensure!(
        desk.get(RunId(i64::MAX), &all).await?.is_none(),
        "a run that nobody made was shown"
    );
    let events = desk.events(id, &all).await?;
    let kinds: Vec<&str> = events.iter().map(|event| event.kind.as_str()).collect();
    ensure!(
        kinds == ["run.created", "run.failed"],
        "its events were {kinds:?}"
    );
    ensure!(
        events[0].actor == FlowActor::Human("ann".to_owned()),
        "made by {:?}",
        events[0].actor
    );
    run_log(desk, (id, newer), &lines).await?;
    run_projects(desk, id, repository.project.id).await?;
    run_cancel(desk, newer).await
}

/// A log of five lines and one that is empty.
async fn run_log(desk: &dyn RunDesk, (id, empty): (RunId, RunId), lines: &[LogLine]) -> Result<()> {
    let all = Projects::All;
    ensure!(
        desk.log(id, 0, 2, &all).await? == lines[..2],
        "the log's beginning is another"
    );
    ensure!(
        desk.log(id, 2, 100, &all).await? == lines[2..],
        "the log's rest is another"
    );
    ensure!(
        desk.log_before(id, 5, 2, &all).await? == lines[2..4]
            && desk.log_before(id, 1, 2, &all).await?.is_empty(),
        "backwards the log is another"
    );
    ensure!(
        desk.search_log(id, "4", (0, 4), 9, &all).await? == lines[3..4]
            && desk.search_log(id, "4", (4, 9), 9, &all).await?.is_empty()
            && desk.search_log(id, "4", (0, 3), 9, &all).await?.is_empty()
            && desk.search_log(id, "LINE", (1, 4), 2, &all).await? == lines[1..3],
        "a line isn't found by what it holds"
    );
    ensure!(
        desk.last_log_line(id, &all).await? == Some(5)
            && desk.last_log_line(empty, &all).await? == Some(0)
            && desk.last_log_line(RunId(i64::MAX), &all).await?.is_none(),
        "the log ends elsewhere"
    );
    Ok(())
}

/// Only its project's members see it.
async fn run_projects(desk: &dyn RunDesk, id: RunId, project: ProjectId) -> Result<()> {
    let (own, others) = (
        Projects::Only(vec![project]),
        Projects::Only(vec![ProjectId(i64::MAX)]),
    );
    for (projects, seen) in [(own, true), (others, false), (Projects::default(), false)] {
        let filter = RunFilter {
            projects: projects.clone(),
            limit: 1,
            ..RunFilter::default()
        };
        ensure!(
            desk.list(&filter).await?.is_empty() != seen,
            "listed for {projects:?}"
        );
        ensure!(
            desk.get(id, &projects).await?.is_some() == seen,
            "shown for {projects:?}"
        );
        ensure!(
            desk.events(id, &projects).await?.is_empty() != seen,
            "events for {projects:?}"
        );
        ensure!(
            desk.log(id, 0, 2, &projects).await?.is_empty() != seen,
            "log for {projects:?}"
        );
    }
    Ok(())
}

/// An open run is canceled once, and recorded with who did it.
async fn run_cancel(desk: &dyn RunDesk, id: RunId) -> Result<()> {
    let all = Projects::All;
    let by = Author {
        actor: FlowActor::Human("bob".to_owned()),
        reason: Some("enough".to_owned()),
    };
    let nowhere = Projects::Only(vec![ProjectId(i64::MAX)]);
    ensure!(
        desk.cancel(id, &nowhere, &by).await? == RunCancel::NotFound,
        "canceled from elsewhere"
    );
    ensure!(
        desk.cancel(id, &all, &by).await? == RunCancel::Done,
        "not canceled"
    );
    let canceled = RunState::Canceled {
        reason: "enough".to_owned(),
    };
    ensure!(
        desk.cancel(id, &all, &by).await? == RunCancel::Ended(canceled),
        "canceled twice"
    );
    let events = desk.events(id, &all).await?;
    ensure!(
        events
            .last()
            .is_some_and(|event| event.kind == "run.canceled" && event.actor == by.actor),
        "recorded as {events:?}"
    );
    Ok(())
}

/// A run that ended badly is run again: as another run of the same delivery, one at a time, recorded with who asked.
pub async fn run_retry(runs: &dyn RunStore, desk: &dyn RunDesk, repository: &Repository) -> Result<()> {
    let (all, nowhere) = (Projects::All, Projects::Only(vec![ProjectId(i64::MAX)]));
    let by = Author {
        actor: FlowActor::Human("bob".to_owned()),
        reason: Some("the cluster is back".to_owned()),
    };
    let wish = new_run(repository, 911);
    let Created::New(first) = runs.create(wish.clone()).await? else {
        anyhow::bail!("the issue was busy")
    };
    ensure!(
        desk.retry(first, &all, &by).await? == RunRetry::NotAllowed(RunState::Pending),
        "an unfinished run was run again"
    );
    desk.cancel(first, &all, &by).await?;
    ensure!(
        desk.retry(first, &nowhere, &by).await? == RunRetry::NotFound,
        "run again from elsewhere"
    );
    let (one, two) = futures::join!(desk.retry(first, &all, &by), desk.retry(first, &all, &by));
    let (second, busy) = match (one?, two?) {
        (RunRetry::Created(id), RunRetry::IssueBusy(busy))
        | (RunRetry::IssueBusy(busy), RunRetry::Created(id)) => (id, busy),
        other => anyhow::bail!("of two at once: {other:?}"),
    };
    ensure!(second == busy && second != first, "{second} while {busy}");
    let again = runs.get(second).await?.context("the new run isn't there")?;
    ensure!(
        again.state == RunState::Pending
            && (again.issue, again.stage, again.revise) == (wish.issue, wish.stage, wish.revise)
            && again.correlation_id == wish.correlation_id
            && again.requested_by == "bob",
        "the new run is {again:?}"
    );
    let events = desk.events(second, &all).await?;
    ensure!(
        events.iter().any(|event| event.kind == "run.retried"
            && event.run_id == Some(first)
            && event.actor == by.actor
            && event.data["after"]["run"] == second.0
            && event.data["reason"] == "the cluster is back"),
        "recorded as {events:?}"
    );

    // The delivery's own run is the first one, however often it was run again; and again can be run again.
    ensure!(
        runs.caused_by(&wish.correlation_id).await? == Some(first),
        "the delivery caused another"
    );
    ensure!(
        runs.create(wish).await? == Created::Known(first),
        "a repeated delivery made another run"
    );
    desk.cancel(second, &all, &by).await?;
    ensure!(
        matches!(desk.retry(second, &all, &by).await?, RunRetry::Created(_)),
        "what was run again could not be run again"
    );
    Ok(())
}
