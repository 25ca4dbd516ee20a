//! Makes a run out of a delivery, at most once.

use domain::flow::{Author, FlowActor, FlowEvent};
use domain::id::RunId;
use domain::job::{NewJob, RunReport, RunStart};
use domain::port::PortError;
use domain::run::{Created, NewRun, Run};
use serde_json::json;

use crate::enqueue::enqueue;
use crate::error::{DATABASE, db};
use crate::text::clean;
use crate::{Store, flow};

/// A run that stood in the way may end before it is looked at; then there is room, and another try.
const TRIES: usize = 3;

pub(super) async fn create(store: &Store, run: &NewRun) -> Result<Created, PortError> {
    create_as(store, run, None).await
}

/// A run that does again what another one was to do, as somebody wishes who is recorded with it.
pub(crate) struct Again<'a> {
    pub(crate) of: &'a Run,
    pub(crate) by: &'a Author,
}

pub(crate) async fn create_as(
    store: &Store,
    run: &NewRun,
    again: Option<&Again<'_>>,
) -> Result<Created, PortError> {
    for _ in 0..TRIES {
        if let Some(id) = insert(store, run, again).await? {
            return Ok(Created::New(id));
        }
        if let Some(known) = in_the_way(store, run, again.is_some()).await? {
            return Ok(known);
        }
    }
    Err(PortError::Unavailable {
        part: DATABASE,
        reason: format!("runs of issue {} come and go too fast", run.issue),
        retry_after_ms: Some(1_000),
    })
}

async fn insert(store: &Store, run: &NewRun, again: Option<&Again<'_>>) -> Result<Option<RunId>, PortError> {
    let mut tx = store.begin().await?;
    let id = sqlx::query_scalar!(
        "insert into runs.run (project_id, repository_id, issue, stage, revise, correlation_id, requested_by,
            retry_of)
        values ($1, $2, $3, $4, $5, $6, $7, $8)
        on conflict do nothing returning id",
        run.repository.project.id.0,
        run.repository.id.0,
        run.issue,
        run.stage.as_str(),
        run.revise,
        run.correlation_id.as_str(),
        &*clean(&run.requested_by),
        again.map(|again| again.of.id.0),
    )
    .fetch_optional(&mut *tx)
    .await
    .map_err(db)?
    .map(RunId);
    let Some(id) = id else { return Ok(None) };
    let event = FlowEvent {
        correlation_id: run.correlation_id.clone(),
        run: Some(id),
        kind: "run.created",
        actor: FlowActor::Human(run.requested_by.clone()),
        data: json!({
            "repository": run.repository.name,
            "issue": run.issue,
            "stage": run.stage,
            "revise": run.revise,
        }),
    };
    flow::append(&mut tx, event).await.map_err(db)?;
    if let Some(again) = again {
        let event = FlowEvent {
            correlation_id: run.correlation_id.clone(),
            run: Some(again.of.id),
            kind: "run.retried",
            actor: again.by.actor.clone(),
            data: json!({
                "before": { "run": again.of.id, "status": again.of.state.as_str() },
                "after": { "run": id, "status": "pending" },
                "reason": again.by.reason,
            }),
        };
        flow::append(&mut tx, event).await.map_err(db)?;
    }
    let jobs = vec![
        NewJob::new(&RunStart { run_id: id }).correlated(&run.correlation_id),
        NewJob::new(&RunReport { run_id: id }).correlated(&run.correlation_id),
    ];
    enqueue(&store.queue, &mut tx, jobs).await.map_err(db)?;
    tx.commit().await.map_err(db)?;
    Ok(Some(id))
}

/// The run that kept the new one from being inserted: of the same delivery, or of the same issue.
async fn in_the_way(store: &Store, run: &NewRun, again: bool) -> Result<Option<Created>, PortError> {
    let row = sqlx::query!(
        r#"select id, (correlation_id = $1 and retry_of is null and not $4) as "same_cause!" from runs.run
        where (correlation_id = $1 and retry_of is null and not $4) or (repository_id = $2 and issue = $3
            and status not in ('succeeded', 'failed', 'canceled', 'timed_out'))
        order by 2 desc limit 1"#,
        run.correlation_id.as_str(),
        run.repository.id.0,
        run.issue,
        again,
    )
    .fetch_optional(&store.pool)
    .await
    .map_err(db)?;
    Ok(row.map(|row| {
        let id = RunId(row.id);
        if row.same_cause {
            Created::Known(id)
        } else {
            Created::IssueBusy(id)
        }
    }))
}
