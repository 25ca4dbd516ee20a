//! Runs as staff see them.

use async_trait::async_trait;
use domain::access::Projects;
use domain::flow::{Author, FlowActor, RecordedEvent};
use domain::id::RunId;
use domain::port::{ApplyError, Ledger, PortError, RunDesk, RunStore};
use domain::run::{Created, LogLine, NewRun, RunCancel, RunEvent, RunFilter, RunRetry, RunSummary};
use serde_json::json;

use crate::error::{Error, db, refused};
use crate::run_row::RunRow;
use crate::run_store::{create, transition};
use crate::store::page;
use crate::{Store, flow};

#[async_trait]
impl RunDesk for Store {
    async fn list(&self, filter: &RunFilter) -> Result<Vec<RunSummary>, PortError> {
        let project_ids = filter.projects.ids();
        let rows = sqlx::query_as!(
            RunRow,
            "select r.id, r.project_id, p.slug, p.slots, r.repository_id, o.name as repository, r.issue, r.stage,
                r.revise, r.status, r.reason, r.exit_code, r.correlation_id, r.requested_by, r.namespace,
                r.comment_id, r.created_at, r.started_at, r.finished_at
            from runs.run r
            join platform.project p on p.id = r.project_id
            join platform.repository o on o.id = r.repository_id
            where ($1::text is null or r.status = $1)
                and ($2::text is null or p.slug = $2)
                and ($3::bigint is null or r.id < $3)
                and ($5::bigint[] is null or r.project_id = any($5))
            order by r.id desc limit $4",
            filter.status,
            filter.project,
            filter.before.map(|run| run.0),
            page(filter.limit),
            project_ids.as_deref(),
        )
        .fetch_all(&self.pool)
        .await
        .map_err(db)?;
        rows.into_iter()
            .map(|row| row.into_summary().map_err(db))
            .collect()
    }

    async fn get(&self, id: RunId, projects: &Projects) -> Result<Option<RunSummary>, PortError> {
        let newer = RunFilter {
            before: Some(RunId(id.0.saturating_add(1))),
            limit: 1,
            projects: projects.clone(),
            ..RunFilter::default()
        };
        let found = RunDesk::list(self, &newer).await?;
        Ok(found.into_iter().find(|run| run.id == id))
    }

    async fn events(&self, id: RunId, projects: &Projects) -> Result<Vec<RecordedEvent>, PortError> {
        let project_ids = projects.ids();
        let rows = sqlx::query!(
            "select e.id, e.at, e.correlation_id, e.run_id, e.kind, e.actor_kind, e.actor, e.data
            from runs.run r join audit.flow_event e on e.correlation_id = r.correlation_id
            where r.id = $1 and ($2::bigint[] is null or r.project_id = any($2)) order by e.id",
            id.0,
            project_ids.as_deref(),
        )
        .fetch_all(&self.pool)
        .await
        .map_err(db)?;
        let mut events = Vec::with_capacity(rows.len());
        for row in rows {
            events.push(RecordedEvent {
                id: row.id,
                at: row.at,
                correlation_id: row
                    .correlation_id
                    .parse()
                    .map_err(|e| db(Error::Unreadable(format!("flow event {}: {e}", row.id))))?,
                run_id: row.run_id.map(RunId),
                kind: row.kind,
                actor: flow::actor(&row.actor_kind, row.actor).map_err(db)?,
                data: row.data,
            });
        }
        Ok(events)
    }

    async fn log(
        &self,
        id: RunId,
        after: i64,
        limit: i64,
        projects: &Projects,
    ) -> Result<Vec<LogLine>, PortError> {
        let project_ids = projects.ids();
        sqlx::query_as!(
            LogLine,
            "select number, text from runs.log_line where run_id = $1 and number > $2
                and ($4::bigint[] is null or exists (
                    select 1 from runs.run r where r.id = $1 and r.project_id = any($4)))
            order by number limit $3",
            id.0,
            after,
            limit.clamp(0, 10_000),
            project_ids.as_deref(),
        )
        .fetch_all(&self.pool)
        .await
        .map_err(db)
    }

    async fn log_before(
        &self,
        id: RunId,
        before: i64,
        limit: i64,
        projects: &Projects,
    ) -> Result<Vec<LogLine>, PortError> {
        let project_ids = projects.ids();
        let mut lines = sqlx::query_as!(
            LogLine,
            "select number, text from runs.log_line where run_id = $1 and number < $2
                and ($4::bigint[] is null or exists (
                    select 1 from runs.run r where r.id = $1 and r.project_id = any($4)))
            order by number desc limit $3",
            id.0,
            before,
            limit.clamp(0, 10_000),
            project_ids.as_deref(),
        )
        .fetch_all(&self.pool)
        .await
        .map_err(db)?;
        lines.reverse();
        Ok(lines)
    }

    async fn search_log(
        &self,
        id: RunId,
        text: &str,
        (after, until): (i64, i64),
        limit: i64,
        projects: &Projects,
    ) -> Result<Vec<LogLine>, PortError> {
        let project_ids = projects.ids();
        sqlx::query_as!(
            LogLine,
            "select number, text from runs.log_line where run_id = $1 and number > $2 and number <= $6
                and strpos(lower(text), lower($5)) > 0
                and ($4::bigint[] is null or exists (
                    select 1 from runs.run r where r.id = $1 and r.project_id = any($4)))
            order by number limit $3",
            id.0,
            after,
            limit.clamp(0, 10_000),
            project_ids.as_deref(),
            text,
            until,
        )
        .fetch_all(&self.pool)
        .await
        .map_err(db)
    }

    async fn last_log_line(&self, id: RunId, projects: &Projects) -> Result<Option<i64>, PortError> {
        let project_ids = projects.ids();
        sqlx::query_scalar!(
            r#"select coalesce((select max(l.number) from runs.log_line l where l.run_id = r.id), 0) as "last!"
            from runs.run r where r.id = $1 and ($2::bigint[] is null or r.project_id = any($2))"#,
            id.0,
            project_ids.as_deref(),
        )
        .fetch_optional(&self.pool)
        .await
        .map_err(db)
    }

    async fn cancel(&self, id: RunId, projects: &Projects, by: &Author) -> Result<RunCancel, PortError> {
        for _ in 0..TRIES {
            let run = RunStore::get(self, id).await?;
            let seen = run.filter(|run| projects.contains(run.repository.project.id));
            let Some(run) = seen else {
                return Ok(RunCancel::NotFound);
            };
            if run.state.is_final() {
                return Ok(RunCancel::Ended(run.state));
            }
            let reason = by
                .reason
                .clone()
                .unwrap_or_else(|| format!("canceled by {}", name(&by.actor)));
            let mut tx = self.begin().await?;
            let event = RunEvent::Canceled { reason };
            let from = json!({ "from": run.state.as_str() });
            match transition::take(self, &mut tx, &run, event, from, by.actor.clone()).await {
                Ok(_) => {
                    tx.commit().await.map_err(db)?;
                    return Ok(RunCancel::Done);
                }
                // It went on meanwhile: decided anew on the state that it has now.
                Err(ApplyError::Stale) => {}
                Err(ApplyError::Port(error)) => return Err(error),
            }
        }
        Err(refused(format!("run {id} changes without a pause")))
    }

    async fn retry(&self, id: RunId, projects: &Projects, by: &Author) -> Result<RunRetry, PortError> {
        let run = RunStore::get(self, id).await?;
        let seen = run.filter(|run| projects.contains(run.repository.project.id));
        let Some(run) = seen else {
            return Ok(RunRetry::NotFound);
        };
        // What has ended doesn't change any more: no other try can make this one wrong.
        if !run.state.is_retryable() {
            return Ok(RunRetry::NotAllowed(run.state));
        }
        let Some(repository) = Ledger::repository(self, &run.repository.name).await? else {
            return Ok(RunRetry::Closed);
        };
        if repository.project.id != run.repository.project.id {
            return Ok(RunRetry::Closed);
        }
        let new = NewRun {
            repository,
            issue: run.issue,
            stage: run.stage,
            revise: run.revise,
            correlation_id: run.correlation_id.clone(),
            requested_by: name(&by.actor).to_owned(),
        };
        let again = create::Again { of: &run, by };
        Ok(match create::create_as(self, &new, Some(&again)).await? {
            Created::New(id) => RunRetry::Created(id),
            Created::Known(id) | Created::IssueBusy(id) => RunRetry::IssueBusy(id),
        })
    }
}

/// A run goes through fewer states than this.
const TRIES: usize = 8;

fn name(actor: &FlowActor) -> &str {
    match actor {
        FlowActor::Human(login) => login,
        FlowActor::Agent(role) => role,
        FlowActor::System => "the platform",
    }
}
