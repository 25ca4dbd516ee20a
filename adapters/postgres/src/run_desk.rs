//! Runs as staff see them.

use async_trait::async_trait;
use domain::access::Projects;
use domain::flow::RecordedEvent;
use domain::id::RunId;
use domain::port::{PortError, RunDesk};
use domain::run::{LogLine, RunFilter, RunSummary};

use crate::error::{Error, db};
use crate::run_row::RunRow;
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
}
