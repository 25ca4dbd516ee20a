//! Repositories of projects, and their tokens: sealed here, opened only for the calls to the forge.

use async_trait::async_trait;
use chrono::{DateTime, Utc};
use domain::access::Projects;
use domain::flow::FlowActor;
use domain::id::{ProjectId, RepositoryId};
use domain::port::PortError;
use domain::port::staff::{RepositoryDesk, RepositoryTokens};
use domain::project::{Kept, Preflight, RepositorySummary, TokenSummary};
use domain::repository::RepositoryName;
use domain::{Precondition, Secret};
use serde_json::{Value, json};
use sqlx::PgConnection;

use crate::Store;
use crate::access::audit;
use crate::error::{Error, db, refused};
use crate::keyring::Sealed;
use crate::project::stored_name;
use crate::store::page;
use crate::text::{clean, clean_json};

struct Row {
    id: i64,
    project_id: i64,
    project: String,
    name: String,
    created_at: DateTime<Utc>,
    sealed_with: Option<String>,
    token_login: Option<String>,
    token_set_at: Option<DateTime<Utc>>,
    token_expires_at: Option<DateTime<Utc>>,
    preflight: Option<Value>,
    preflight_at: Option<DateTime<Utc>>,
}

impl Row {
    fn into_summary(self) -> Result<RepositorySummary, Error> {
        let token = self.sealed_with.zip(self.token_set_at);
        // What an older version found is found again at the next look.
        let preflight = self
            .preflight
            .and_then(|found| serde_json::from_value(found).ok());
        Ok(RepositorySummary {
            id: RepositoryId(self.id),
            project_id: ProjectId(self.project_id),
            project: self.project,
            name: stored_name(&self.name)?,
            created_at: self.created_at,
            token: token.map(|(sealed_with, set_at)| TokenSummary {
                login: self.token_login,
                set_at,
                expires_at: self.token_expires_at,
                sealed_with,
            }),
            preflight: preflight.zip(self.preflight_at),
        })
    }
}

async fn by_id(connection: &mut PgConnection, id: i64) -> Result<Option<RepositorySummary>, Error> {
    let row = sqlx::query_as!(
        Row,
        r#"select r.id, r.project_id, p.slug as project, r.name, r.created_at, r.sealed_with, r.token_login,
            r.token_set_at, r.token_expires_at, r.preflight, r.preflight_at
        from platform.repository r join platform.project p on p.id = r.project_id
        where r.id = $1 and r.removed_at is null"#,
        id,
    )
    .fetch_optional(connection)
    .await?;
    row.map(Row::into_summary).transpose()
}

/// The same, held until the transaction ends.
async fn hold(connection: &mut PgConnection, id: i64) -> Result<Option<RepositorySummary>, Error> {
    sqlx::query!("select id from platform.repository where id = $1 for update", id)
        .fetch_optional(&mut *connection)
        .await?;
    by_id(connection, id).await
}

/// The row that a sealed token belongs to.
fn row_name(id: i64) -> String {
    format!("platform.repository/{id}")
}

async fn record(
    connection: &mut PgConnection,
    id: i64,
    kind: &'static str,
    by: &FlowActor,
    data: Value,
) -> Result<(), Error> {
    audit::about(connection, &format!("repository-{id}"), kind, by, data).await
}

fn placed(project: &str, name: &RepositoryName) -> Value {
    json!({ "project": project, "name": name.to_string() })
}

fn token(summary: &RepositorySummary) -> Value {
    let token = summary.token.as_ref();
    json!({
        "token": token.is_some(),
        "login": token.and_then(|token| token.login.as_deref()),
        "expires_at": token.and_then(|token| token.expires_at),
    })
}

#[async_trait]
impl RepositoryDesk for Store {
    async fn repositories(
        &self,
        project: Option<&str>,
        projects: &Projects,
        after: Option<&str>,
        limit: i64,
    ) -> Result<Vec<RepositorySummary>, PortError> {
        let project_ids = projects.ids();
        let rows = sqlx::query_as!(
            Row,
            r#"select r.id, r.project_id, p.slug as project, r.name, r.created_at, r.sealed_with, r.token_login,
                r.token_set_at, r.token_expires_at, r.preflight, r.preflight_at
            from platform.repository r join platform.project p on p.id = r.project_id
            where lower(r.name) > lower($1) and r.removed_at is null and ($2::text is null or p.slug = $2)
                and ($3::bigint[] is null or p.id = any($3))
            order by lower(r.name) limit $4"#,
            after.unwrap_or_default(),
            project,
            project_ids.as_deref(),
            page(limit),
        )
        .fetch_all(&self.pool)
        .await
        .map_err(db)?;
        rows.into_iter()
            .map(|row| row.into_summary().map_err(db))
            .collect()
    }

    async fn repository(
        &self,
        id: RepositoryId,
        projects: &Projects,
    ) -> Result<Option<RepositorySummary>, PortError> {
        let mut connection = self.pool.acquire().await.map_err(db)?;
        let found = by_id(&mut connection, id.0).await.map_err(db)?;
        Ok(found.filter(|one| projects.contains(one.project_id)))
    }

    async fn add(
        &self,
        project: ProjectId,
        name: &RepositoryName,
        by: &FlowActor,
    ) -> Result<Kept<RepositorySummary>, PortError> {
        let mut tx = self.pool.begin().await.map_err(db)?;
        let slug = sqlx::query_scalar!(
            "select slug from platform.project where id = $1 for share",
            project.0
        )
        .fetch_optional(&mut *tx)
        .await
        .map_err(db)?;
        let Some(slug) = slug else {
            return Ok(Kept::NotFound);
        };
        // One that was taken out comes back as it was, wherever it is put.
        let put = sqlx::query_scalar!(
            "insert into platform.repository as r (project_id, name) values ($1, $2)
            on conflict (lower(name)) do update set project_id = excluded.project_id, removed_at = null
                where r.removed_at is not null
            returning id",
            project.0,
            name.to_string(),
        )
        .fetch_optional(&mut *tx)
        .await
        .map_err(db)?;
        let Some(id) = put else {
            let there = sqlx::query_scalar!(
                "select id from platform.repository where lower(name) = lower($1) and project_id = $2",
                name.to_string(),
                project.0,
            )
            .fetch_optional(&mut *tx)
            .await
            .map_err(db)?;
            let Some(id) = there else { return Ok(Kept::Taken) };
            let found = by_id(&mut tx, id).await.map_err(db)?;
            return Ok(found.map_or(Kept::NotFound, Kept::Done));
        };
        let data = audit::change(None::<Value>, placed(&slug, name));
        record(&mut tx, id, "repository.added", by, data)
            .await
            .map_err(db)?;
        let found = by_id(&mut tx, id).await.map_err(db)?;
        tx.commit().await.map_err(db)?;
        Ok(found.map_or(Kept::NotFound, Kept::Done))
    }

    async fn remove(
        &self,
        id: RepositoryId,
        seen: &Precondition,
        by: &FlowActor,
    ) -> Result<Kept<()>, PortError> {
        let mut tx = self.pool.begin().await.map_err(db)?;
        let Some(before) = hold(&mut tx, id.0).await.map_err(db)? else {
            return Ok(Kept::NotFound);
        };
        if !seen.holds(Some(&before.version())) {
            return Ok(Kept::Stale);
        }
        sqlx::query!(
            "update platform.repository set removed_at = clock_timestamp(), sealed_token = null, sealed_with = null,
                token_login = null, token_set_at = null, token_expires_at = null, preflight = null,
                preflight_at = null
            where id = $1 and removed_at is null",
            id.0,
        )
        .execute(&mut *tx)
        .await
        .map_err(db)?;
        let data = audit::change(placed(&before.project, &before.name), None::<Value>);
        record(&mut tx, id.0, "repository.removed", by, data)
            .await
            .map_err(db)?;
        tx.commit().await.map_err(db)?;
        Ok(Kept::Done(()))
    }

    async fn token(&self, id: RepositoryId) -> Result<Option<Secret<String>>, PortError> {
        let row = sqlx::query!(
            "select id, sealed_token, sealed_with from platform.repository where id = $1 and removed_at is null",
            id.0,
        )
        .fetch_optional(&self.pool)
        .await
        .map_err(db)?;
        match row {
            Some(row) => self.open_token(row.id, row.sealed_token.zip(row.sealed_with)),
            None => Ok(None),
        }
    }

    async fn set_token(
        &self,
        id: RepositoryId,
        new: Option<&Secret<String>>,
        found: &Preflight,
        seen: &Precondition,
        by: &FlowActor,
    ) -> Result<Kept<()>, PortError> {
        let sealed = match new {
            None => None,
            Some(token) => Some(self.keyring()?.seal(&row_name(id.0), token.expose().as_bytes())?),
        };
        let mut tx = self.pool.begin().await.map_err(db)?;
        let Some(before) = hold(&mut tx, id.0).await.map_err(db)? else {
            return Ok(Kept::NotFound);
        };
        if !seen.holds(Some(&before.version())) {
            return Ok(Kept::Stale);
        }
        let is_set = sealed.is_some();
        let login = found.login.as_deref().map(clean);
        let (bytes, with) = sealed.map(|sealed| (sealed.bytes, sealed.with)).unzip();
        sqlx::query!(
            "update platform.repository set sealed_token = $2, sealed_with = $3,
                token_login = case when $4 then $5 end, token_expires_at = case when $4 then $6::timestamptz end,
                token_set_at = case when $4 then clock_timestamp() end
            where id = $1 and removed_at is null",
            id.0,
            bytes,
            with,
            is_set,
            login.as_deref(),
            found.token_expires_at,
        )
        .execute(&mut *tx)
        .await
        .map_err(db)?;
        let after = by_id(&mut tx, id.0).await.map_err(db)?;
        let data = audit::change(token(&before), after.as_ref().map(token));
        let kind = if is_set { "token.set" } else { "token.removed" };
        record(&mut tx, id.0, kind, by, data).await.map_err(db)?;
        tx.commit().await.map_err(db)?;
        Ok(Kept::Done(()))
    }

    async fn note_preflight(&self, id: RepositoryId, found: &Preflight) -> Result<(), PortError> {
        let found = serde_json::to_value(found).map_err(|error| refused(error.to_string()))?;
        sqlx::query!(
            "update platform.repository set preflight = $2, preflight_at = clock_timestamp()
            where id = $1 and removed_at is null",
            id.0,
            clean_json(found),
        )
        .execute(&self.pool)
        .await
        .map_err(db)?;
        Ok(())
    }
}

#[async_trait]
impl RepositoryTokens for Store {
    async fn token_of(&self, repository: &RepositoryName) -> Result<Option<Secret<String>>, PortError> {
        let row = sqlx::query!(
            "select id, sealed_token, sealed_with from platform.repository
            where lower(name) = lower($1) and removed_at is null",
            repository.to_string(),
        )
        .fetch_optional(&self.pool)
        .await
        .map_err(db)?;
        match row {
            Some(row) => self.open_token(row.id, row.sealed_token.zip(row.sealed_with)),
            None => Ok(None),
        }
    }
}

impl Store {
    fn open_token(
        &self,
        id: i64,
        sealed: Option<(Vec<u8>, String)>,
    ) -> Result<Option<Secret<String>>, PortError> {
        let Some((bytes, with)) = sealed else {
            return Ok(None);
        };
        let opened = self.keyring()?.open(&row_name(id), &Sealed { with, bytes })?;
        let token = String::from_utf8(opened.expose().clone());
        token
            .map(|token| Some(Secret::new(token)))
            .map_err(|_| refused(format!("the token of {} isn't text", row_name(id))))
    }
}
