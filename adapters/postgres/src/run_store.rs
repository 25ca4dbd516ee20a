//! Runs as the workers see them. `create` makes one, `transition` takes its events, `slots` counts what a
//! project may have at once.

pub(crate) mod create;
mod slots;
pub(crate) mod transition;

use async_trait::async_trait;
use domain::flow::{FlowActor, FlowEvent};
use domain::id::{CommentId, CorrelationId, RunId};
use domain::job::{NewJob, RunObserve};
use domain::port::{Admission, ApplyError, PortError, RunStore};
use domain::run::{Created, LogLine, NewRun, Run, RunEvent};
use serde_json::json;

use crate::enqueue::enqueue;
use crate::error::{Error, db, refused};
use crate::run_row::RunRow;
use crate::text::clean;
use crate::{Store, flow};

pub(crate) use slots::start_waiting;

#[async_trait]
impl RunStore for Store {
    async fn create(&self, run: NewRun) -> Result<Created, PortError> {
        create::create(self, &run).await
    }

    async fn caused_by(&self, cause: &CorrelationId) -> Result<Option<RunId>, PortError> {
        let id = sqlx::query_scalar!(
            "select id from runs.run where correlation_id = $1 and retry_of is null",
            cause.as_str(),
        )
        .fetch_optional(&self.pool)
        .await
        .map_err(db)?;
        Ok(id.map(RunId))
    }

    async fn get(&self, id: RunId) -> Result<Option<Run>, PortError> {
        let row = sqlx::query_as!(
            RunRow,
            "select r.id, r.project_id, p.slug, p.slots, r.repository_id, o.name as repository, r.issue, r.stage,
                r.revise, r.status, r.reason, r.exit_code, r.correlation_id, r.requested_by, r.namespace,
                r.comment_id, r.created_at, r.started_at, r.finished_at
            from runs.run r
            join platform.project p on p.id = r.project_id
            join platform.repository o on o.id = r.repository_id
            where r.id = $1",
            id.0,
        )
        .fetch_optional(&self.pool)
        .await
        .map_err(db)?;
        row.map(RunRow::into_run).transpose().map_err(db)
    }

    async fn admit(&self, run: &Run) -> Result<Admission, ApplyError> {
        slots::admit(self, run).await
    }

    async fn apply(&self, run: &Run, event: RunEvent, data: serde_json::Value) -> Result<Run, ApplyError> {
        transition::apply(self, run, event, data).await
    }

    async fn append_log(&self, id: RunId, lines: &[LogLine]) -> Result<(), PortError> {
        let numbers: Vec<i64> = lines.iter().map(|line| line.number).collect();
        let texts: Vec<String> = lines.iter().map(|line| clean(&line.text).into_owned()).collect();
        sqlx::query!(
            "insert into runs.log_line (run_id, number, text)
            select $1, number, text from unnest($2::bigint[], $3::text[]) as line (number, text)
            on conflict do nothing",
            id.0,
            &numbers,
            &texts,
        )
        .execute(&self.pool)
        .await
        .map_err(db)?;
        Ok(())
    }

    async fn last_log_line(&self, id: RunId) -> Result<i64, PortError> {
        sqlx::query_scalar!(
            r#"select coalesce(max(number), 0) as "last!" from runs.log_line where run_id = $1"#,
            id.0,
        )
        .fetch_one(&self.pool)
        .await
        .map_err(db)
    }

    async fn set_comment(&self, id: RunId, comment: CommentId) -> Result<(), PortError> {
        let mut tx = self.begin().await?;
        let changed = sqlx::query_scalar!(
            "update runs.run set comment_id = $2 where id = $1 and comment_id is distinct from $2
            returning correlation_id",
            id.0,
            comment.0,
        )
        .fetch_optional(&mut *tx)
        .await
        .map_err(db)?;
        if let Some(correlation_id) = changed {
            let event = FlowEvent {
                correlation_id: correlation(correlation_id).map_err(db)?,
                run: Some(id),
                kind: "run.reported",
                actor: FlowActor::System,
                data: json!({ "comment_id": comment }),
            };
            flow::append(&mut tx, event).await.map_err(db)?;
        }
        tx.commit().await.map_err(db)
    }

    async fn record(&self, event: FlowEvent) -> Result<(), PortError> {
        let mut tx = self.begin().await?;
        flow::append_once(&mut tx, event).await.map_err(db)?;
        tx.commit().await.map_err(db)
    }

    /// A hint about a run that has ended or that there isn't asks for nothing.
    async fn hint(&self, id: RunId) -> Result<(), PortError> {
        let mut tx = self.begin().await?;
        let row = sqlx::query!("select status, correlation_id from runs.run where id = $1", id.0)
            .fetch_optional(&mut *tx)
            .await
            .map_err(db)?;
        let Some(row) = row else { return Ok(()) };
        if crate::run_row::state(&row.status, None, None)
            .map_err(db)?
            .is_final()
        {
            return Ok(());
        }
        let observe = NewJob::new(&RunObserve { run_id: id });
        let observe = observe.correlated(&correlation(row.correlation_id).map_err(db)?);
        enqueue(&self.queue, &mut tx, vec![observe]).await.map_err(db)?;
        tx.commit().await.map_err(db)
    }
}

/// A correlation id as it was stored.
fn correlation(text: String) -> Result<CorrelationId, Error> {
    CorrelationId::new(text).map_err(|e| Error::Unreadable(format!("a stored correlation id: {e}")))
}

/// The error of a method that was given a run that isn't stored.
fn unknown(id: RunId) -> PortError {
    refused(format!("there is no run {id}"))
}
