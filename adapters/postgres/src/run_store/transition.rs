//! Takes an event on a run: the domain decides, one transaction records state, flow event and jobs.

use domain::flow::{FlowActor, FlowEvent};
use domain::id::RunId;
use domain::job::{NewJob, RunObserve, RunReport};
use domain::port::ApplyError;
use domain::run::{Effect, Run, RunEvent, RunState};
use domain::workload::namespace_of;
use serde_json::Value;
use sqlx::PgConnection;

use super::{slots, start_waiting, unknown};
use crate::enqueue::enqueue;
use crate::error::{Error, db, refused};
use crate::text::clean;
use crate::{Store, flow};

/// How long after a run has begun its Job is looked at in any case; the watch mostly hints earlier.
const OBSERVE_AFTER_MS: i64 = 30_000;

pub(super) async fn apply(store: &Store, run: &Run, event: RunEvent, data: Value) -> Result<Run, ApplyError> {
    let mut tx = store.begin().await?;
    let after = take(store, &mut tx, run, event, data, FlowActor::System).await?;
    tx.commit().await.map_err(db)?;
    Ok(after)
}

/// Takes the event in the caller's transaction, which must not be committed after an error.
pub(crate) async fn take(
    store: &Store,
    tx: &mut PgConnection,
    run: &Run,
    event: RunEvent,
    data: Value,
    actor: FlowActor,
) -> Result<Run, ApplyError> {
    let (next, effects) = match run.state.transition(event) {
        Ok(decided) => decided,
        Err(invalid) => {
            return Err(match stored_status(tx, run.id).await.map_err(db)? {
                None => unknown(run.id).into(),
                Some(status) if status != run.state.as_str() => ApplyError::Stale,
                Some(_) => refused(invalid.to_string()).into(),
            });
        }
    };
    // A slot is free, or the run that was next in line for one has gone: the next is to be started. The
    // project is locked before the run, as admission does it, so that the two can't block each other.
    let frees_slot = effects.contains(&Effect::ReleaseSlot);
    let leaves_line = next.is_final() && run.state == RunState::WaitingSlot;
    let project = run.repository.project.id;
    if frees_slot || leaves_line {
        slots::lock_free_slots(tx, project).await.map_err(db)?;
    }
    let after = update(tx, run, next).await?;
    let event = FlowEvent {
        correlation_id: run.correlation_id.clone(),
        run: Some(run.id),
        kind: event_kind(&after.state),
        actor,
        data: with_state(data, &after.state),
    };
    flow::append(tx, event).await.map_err(db)?;
    let jobs = effects.iter().filter_map(|effect| match effect {
        Effect::Report => Some(NewJob::new(&RunReport { run_id: run.id })),
        Effect::Observe => Some(NewJob::new(&RunObserve { run_id: run.id }).after_ms(OBSERVE_AFTER_MS)),
        // At once: it finds the run canceled, and ends the Job.
        Effect::Stop => Some(NewJob::new(&RunObserve { run_id: run.id })),
        Effect::ReleaseSlot => None,
    });
    let jobs = jobs.map(|job| job.correlated(&run.correlation_id)).collect();
    enqueue(&store.queue, tx, jobs).await.map_err(db)?;
    if frees_slot || leaves_line {
        start_waiting(&store.queue, tx, project).await.map_err(db)?;
    }
    Ok(after)
}

/// Writes the next state over the expected one.
async fn update(tx: &mut PgConnection, run: &Run, next: RunState) -> Result<Run, ApplyError> {
    let (reason, exit_code) = match &next {
        RunState::Failed { reason, exit_code } => (Some(clean(reason)), *exit_code),
        RunState::Canceled { reason } => (Some(clean(reason)), None),
        _ => (None, None),
    };
    let namespace = (next == RunState::Preparing).then(|| namespace_of(run));
    let row = sqlx::query!(
        "update runs.run set status = $3, reason = $4, exit_code = $5,
            namespace = coalesce($6, namespace),
            started_at = case when $7 then clock_timestamp() else started_at end,
            finished_at = case when $8 then clock_timestamp() else finished_at end
        where id = $1 and status = $2
        returning namespace, comment_id, started_at, finished_at",
        run.id.0,
        run.state.as_str(),
        next.as_str(),
        reason.as_deref(),
        exit_code,
        namespace,
        next == RunState::Running,
        next.is_final(),
    )
    .fetch_optional(&mut *tx)
    .await
    .map_err(db)?;
    let Some(row) = row else {
        return Err(match stored_status(tx, run.id).await.map_err(db)? {
            Some(_) => ApplyError::Stale,
            None => unknown(run.id).into(),
        });
    };
    Ok(Run {
        state: next,
        namespace: row.namespace,
        comment_id: row.comment_id.map(domain::CommentId),
        started_at: row.started_at,
        finished_at: row.finished_at,
        ..run.clone()
    })
}

/// The run's status as it stands, `None` if there is no such run.
pub(super) async fn stored_status(tx: &mut PgConnection, id: RunId) -> Result<Option<String>, Error> {
    Ok(
        sqlx::query_scalar!("select status from runs.run where id = $1", id.0)
            .fetch_optional(tx)
            .await?,
    )
}

/// The flow event of a run that has come to this state.
fn event_kind(state: &RunState) -> &'static str {
    match state {
        RunState::Pending => "run.pending",
        RunState::WaitingSlot => "run.waiting_slot",
        RunState::Preparing => "run.preparing",
        RunState::Running => "run.running",
        RunState::Succeeded => "run.succeeded",
        RunState::Failed { .. } => "run.failed",
        RunState::Canceled { .. } => "run.canceled",
        RunState::TimedOut => "run.timed_out",
    }
}

/// The caller's data, with what the state says of itself where the caller didn't.
fn with_state(mut data: Value, state: &RunState) -> Value {
    if let Value::Object(members) = &mut data {
        let (reason, exit_code) = match state {
            RunState::Failed { reason, exit_code } => (Some(reason), *exit_code),
            RunState::Canceled { reason } => (Some(reason), None),
            _ => (None, None),
        };
        if let Some(reason) = reason {
            members.entry("reason").or_insert_with(|| reason.as_str().into());
        }
        if let Some(code) = exit_code {
            members.entry("exit_code").or_insert_with(|| code.into());
        }
    }
    data
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn event_names_follow_the_states() {
        let failed = RunState::Failed {
            reason: "x".into(),
            exit_code: Some(3),
        };
        for state in [
            RunState::Pending,
            RunState::WaitingSlot,
            RunState::Preparing,
            RunState::TimedOut,
            failed,
        ] {
            assert_eq!(event_kind(&state), format!("run.{}", state.as_str()));
        }
    }

    #[test]
    fn the_state_adds_what_the_caller_left_out() {
        let failed = RunState::Failed {
            reason: "x".into(),
            exit_code: Some(3),
        };
        assert_eq!(
            with_state(json!({"a": 1}), &failed),
            json!({"a": 1, "reason": "x", "exit_code": 3})
        );
        assert_eq!(
            with_state(json!({"reason": "y"}), &failed),
            json!({"reason": "y", "exit_code": 3})
        );
        assert_eq!(with_state(json!(null), &failed), json!(null));
    }
}
