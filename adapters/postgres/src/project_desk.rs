//! Projects as people keep them.

use async_trait::async_trait;
use chrono::{DateTime, Utc};
use domain::Precondition;
use domain::access::Projects;
use domain::flow::FlowActor;
use domain::id::ProjectId;
use domain::port::PortError;
use domain::port::staff::ProjectDesk;
use domain::project::{Kept, NewProject, ProjectEdit, ProjectSummary};
use serde_json::{Value, json};
use sqlx::PgConnection;

use crate::Store;
use crate::access::audit;
use crate::error::{Error, db, is_taken};
use crate::run_store::start_waiting;
use crate::store::page;
use crate::text::clean;

struct Row {
    id: i64,
    slug: String,
    title: Option<String>,
    slots: i32,
    version: i32,
    created_at: DateTime<Utc>,
    archived_at: Option<DateTime<Utc>>,
    repositories: i64,
    members: i64,
    open_runs: i64,
}

impl From<Row> for ProjectSummary {
    fn from(row: Row) -> Self {
        Self {
            id: ProjectId(row.id),
            slug: row.slug,
            title: row.title,
            slots: row.slots,
            version: row.version,
            created_at: row.created_at,
            archived_at: row.archived_at,
            repositories: row.repositories,
            members: row.members,
            open_runs: row.open_runs,
        }
    }
}

/// As the audit has it.
fn audited(project: &ProjectSummary) -> Value {
    json!({
        "slug": project.slug,
        "title": project.title,
        "slots": project.slots,
        "archived": project.archived_at.is_some(),
    })
}

async fn by_id(connection: &mut PgConnection, id: i64) -> Result<Option<ProjectSummary>, Error> {
    let row = sqlx::query_as!(
        Row,
        r#"select p.id, p.slug, p.title, p.slots, p.version, p.created_at, p.archived_at,
            (select count(*) from platform.repository r where r.project_id = p.id and r.removed_at is null)
                as "repositories!",
            (select count(*) from platform.project_member m where m.project_id = p.id) as "members!",
            (select count(*) from runs.run r where r.project_id = p.id
                and r.status not in ('succeeded', 'failed', 'canceled', 'timed_out')) as "open_runs!"
        from platform.project p where p.id = $1"#,
        id,
    )
    .fetch_optional(connection)
    .await?;
    Ok(row.map(ProjectSummary::from))
}

async fn record(
    connection: &mut PgConnection,
    kind: &'static str,
    by: &FlowActor,
    before: Option<&ProjectSummary>,
    after: &ProjectSummary,
) -> Result<(), Error> {
    let data = audit::change(before.map(audited), audited(after));
    audit::about(connection, &format!("project-{}", after.id), kind, by, data).await
}

#[async_trait]
impl ProjectDesk for Store {
    async fn projects(
        &self,
        projects: &Projects,
        archived: bool,
        after: Option<&str>,
        limit: i64,
    ) -> Result<Vec<ProjectSummary>, PortError> {
        let project_ids = projects.ids();
        let rows = sqlx::query_as!(
            Row,
            r#"select p.id, p.slug, p.title, p.slots, p.version, p.created_at, p.archived_at,
                (select count(*) from platform.repository r where r.project_id = p.id and r.removed_at is null)
                    as "repositories!",
                (select count(*) from platform.project_member m where m.project_id = p.id) as "members!",
                (select count(*) from runs.run r where r.project_id = p.id
                    and r.status not in ('succeeded', 'failed', 'canceled', 'timed_out')) as "open_runs!"
            from platform.project p
            where p.slug > $1 and ($2 or p.archived_at is null) and ($3::bigint[] is null or p.id = any($3))
            order by p.slug limit $4"#,
            after.unwrap_or_default(),
            archived,
            project_ids.as_deref(),
            page(limit),
        )
        .fetch_all(&self.pool)
        .await
        .map_err(db)?;
        Ok(rows.into_iter().map(ProjectSummary::from).collect())
    }

    async fn project(&self, slug: &str, projects: &Projects) -> Result<Option<ProjectSummary>, PortError> {
        let project_ids = projects.ids();
        let mut connection = self.pool.acquire().await.map_err(db)?;
        let id = sqlx::query_scalar!(
            "select id from platform.project where slug = $1 and ($2::bigint[] is null or id = any($2))",
            slug,
            project_ids.as_deref(),
        )
        .fetch_optional(&mut *connection)
        .await
        .map_err(db)?;
        match id {
            Some(id) => by_id(&mut connection, id).await.map_err(db),
            None => Ok(None),
        }
    }

    async fn create(&self, new: &NewProject, by: &FlowActor) -> Result<Kept<ProjectSummary>, PortError> {
        let title = new.title.as_deref().map(clean);
        let mut tx = self.pool.begin().await.map_err(db)?;
        let made = sqlx::query_scalar!(
            "insert into platform.project (slug, title, slots) values ($1, $2, $3) returning id",
            new.slug.as_str(),
            title.as_deref(),
            new.slots,
        )
        .fetch_one(&mut *tx)
        .await;
        let id = match made {
            Ok(id) => id,
            Err(error) if is_taken(&error, "project_slug_key") => return Ok(Kept::Taken),
            Err(error) => return Err(db(error)),
        };
        let project = by_id(&mut tx, id).await.map_err(db)?;
        let project = project.ok_or_else(|| db(sqlx::Error::RowNotFound))?;
        record(&mut tx, "project.created", by, None, &project)
            .await
            .map_err(db)?;
        tx.commit().await.map_err(db)?;
        Ok(Kept::Done(project))
    }

    async fn edit(
        &self,
        id: ProjectId,
        edit: &ProjectEdit,
        seen: &Precondition,
        by: &FlowActor,
    ) -> Result<Kept<ProjectSummary>, PortError> {
        let mut tx = self.begin().await?;
        sqlx::query!("select id from platform.project where id = $1 for update", id.0)
            .fetch_optional(&mut *tx)
            .await
            .map_err(db)?;
        let Some(before) = by_id(&mut tx, id.0).await.map_err(db)? else {
            return Ok(Kept::NotFound);
        };
        if !seen.holds(Some(&before.version())) {
            return Ok(Kept::Stale);
        }
        let title = edit.title.as_deref().map(clean);
        let wanted = (title.as_deref(), edit.slots, edit.archived);
        if (
            before.title.as_deref(),
            before.slots,
            before.archived_at.is_some(),
        ) == wanted
        {
            return Ok(Kept::Done(before));
        }
        sqlx::query!(
            "update platform.project set title = $2, slots = $3, version = version + 1,
                archived_at = case when $4 then coalesce(archived_at, clock_timestamp()) end
            where id = $1",
            id.0,
            title.as_deref(),
            edit.slots,
            edit.archived,
        )
        .execute(&mut *tx)
        .await
        .map_err(db)?;
        let after = by_id(&mut tx, id.0).await.map_err(db)?;
        let after = after.ok_or_else(|| db(sqlx::Error::RowNotFound))?;
        let kind = match (before.archived_at.is_some(), edit.archived) {
            (false, true) => "project.archived",
            (true, false) => "project.restored",
            _ => "project.changed",
        };
        record(&mut tx, kind, by, Some(&before), &after)
            .await
            .map_err(db)?;
        start_waiting(&self.queue, &mut tx, id).await.map_err(db)?;
        tx.commit().await.map_err(db)?;
        Ok(Kept::Done(after))
    }
}
