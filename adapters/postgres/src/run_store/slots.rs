//! A project's slots. Whoever takes or frees one holds the project's row until the commit, so that a run
//! that is told to wait and a run that ends can't miss each other.

use domain::flow::FlowActor;
use domain::id::{ProjectId, RunId};
use domain::job::{NewJob, RunStart};
use domain::port::{Admission, ApplyError};
use domain::run::{Run, RunEvent, RunState};
use queue::Queue;
use serde_json::json;
use sqlx::PgConnection;

use super::{correlation, transition};
use crate::Store;
use crate::enqueue::enqueue;
use crate::error::{Error, db};

/// Locks the project and returns how many of its slots are free. Two statements: the count has to see what
/// the previous holder of the lock has committed.
pub(super) async fn lock_free_slots(connection: &mut PgConnection, project: ProjectId) -> Result<i64, Error> {
    let slots = sqlx::query_scalar!(
        "select slots from platform.project where id = $1 for no key update",
        project.0
    )
    .fetch_optional(&mut *connection)
    .await?
    .ok_or_else(|| Error::Unreadable(format!("there is no project {project}")))?;
    let taken = sqlx::query_scalar!(
        r#"select count(*) as "taken!" from runs.run
        where project_id = $1 and status in ('preparing', 'running')"#,
        project.0,
    )
    .fetch_one(&mut *connection)
    .await?;
    Ok((i64::from(slots) - taken).max(0))
}

pub(super) async fn admit(store: &Store, run: &Run) -> Result<Admission, ApplyError> {
    let mut tx = store.begin().await?;
    let free = lock_free_slots(&mut tx, run.repository.project.id)
        .await
        .map_err(db)?;
    let (event, admission) = if free > 0 {
        (RunEvent::Admitted, Admission::Admitted)
    } else {
        (RunEvent::SlotsFull, Admission::Full)
    };
    if admission == Admission::Full && run.state == RunState::WaitingSlot {
        // Still full: nothing changes, provided that it still waits.
        return match transition::stored_status(&mut tx, run.id)
            .await
            .map_err(db)?
            .as_deref()
        {
            Some("waiting_slot") => Ok(Admission::Full),
            Some(_) => Err(ApplyError::Stale),
            None => Err(super::unknown(run.id).into()),
        };
    }
    transition::take(store, &mut tx, run, event, json!({}), FlowActor::System).await?;
    tx.commit().await.map_err(db)?;
    Ok(admission)
}

/// Locks the project and has as many of its waiting runs started as there are free slots, the oldest first.
/// A run that is started already is only looked at once more.
pub(crate) async fn start_waiting(
    queue: &Queue,
    connection: &mut PgConnection,
    project: ProjectId,
) -> Result<(), Error> {
    let free = lock_free_slots(connection, project).await?;
    let waiting = sqlx::query!(
        "select id, correlation_id from runs.run where project_id = $1 and status = 'waiting_slot'
        order by id limit $2",
        project.0,
        free,
    )
    .fetch_all(&mut *connection)
    .await?;
    let mut jobs = Vec::with_capacity(waiting.len());
    for row in waiting {
        let start = NewJob::new(&RunStart {
            run_id: RunId(row.id),
        });
        jobs.push(start.correlated(&correlation(row.correlation_id)?));
    }
    enqueue(queue, connection, jobs).await?;
    Ok(())
}
