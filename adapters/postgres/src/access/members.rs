//! Members of projects.

use async_trait::async_trait;
use domain::access::{Change, Email, Member, ProjectRole};
use domain::flow::FlowActor;
use domain::id::{ProjectId, UserId};
use domain::port::PortError;
use domain::port::access::MemberDesk;
use domain::{Precondition, Version};
use serde_json::{Value, json};
use sqlx::PgConnection;

use super::audit;
use super::principals::named;
use crate::Store;
use crate::error::{Error, db};

/// The person's address, name and present role in the project, held until the transaction ends; `None` if there is no
/// such person or project.
async fn hold(
    tx: &mut PgConnection,
    project: ProjectId,
    user: UserId,
) -> Result<Option<(Member, Option<String>)>, Error> {
    // First held, then read: one statement for both would see the role from before it waited.
    sqlx::query!(
        "select id from platform.user_account where id = $1 for update",
        user.0
    )
    .fetch_optional(&mut *tx)
    .await?;
    let row = sqlx::query!(
        r#"select u.email, u.login, m.role as "role?"
         from platform.user_account u join platform.project p on p.id = $1
         left join platform.project_member m on m.user_id = u.id and m.project_id = p.id
         where u.id = $2"#,
        project.0,
        user.0,
    )
    .fetch_optional(tx)
    .await?;
    let Some(row) = row else { return Ok(None) };
    let member = Member {
        project,
        user,
        email: named(&row.email)?,
        login: row.login,
        role: ProjectRole::Read,
    };
    Ok(Some((member, row.role)))
}

/// As the audit has it.
fn in_project(project: ProjectId, role: Option<&str>) -> Value {
    json!({ "project": project, "role": role })
}

#[async_trait]
impl MemberDesk for Store {
    async fn project(&self, slug: &str) -> Result<Option<ProjectId>, PortError> {
        let id = sqlx::query_scalar!("select id from platform.project where slug = $1", slug)
            .fetch_optional(&self.pool)
            .await
            .map_err(db)?;
        Ok(id.map(ProjectId))
    }

    async fn person(&self, email: &Email) -> Result<Option<UserId>, PortError> {
        let id = sqlx::query_scalar!(
            "select id from platform.user_account where email = $1",
            email.as_str()
        )
        .fetch_optional(&self.pool)
        .await
        .map_err(db)?;
        Ok(id.map(UserId))
    }

    async fn list(&self, project: ProjectId) -> Result<Vec<Member>, PortError> {
        let rows = sqlx::query!(
            "select m.user_id, u.email, u.login, m.role
             from platform.project_member m join platform.user_account u on u.id = m.user_id
             where m.project_id = $1 order by u.email",
            project.0,
        )
        .fetch_all(&self.pool)
        .await
        .map_err(db)?;
        let mut members = Vec::with_capacity(rows.len());
        for row in rows {
            members.push(Member {
                project,
                user: UserId(row.user_id),
                email: named(&row.email).map_err(db)?,
                login: row.login,
                role: named(&row.role).map_err(db)?,
            });
        }
        Ok(members)
    }

    async fn set(
        &self,
        project: ProjectId,
        user: UserId,
        role: ProjectRole,
        seen: &Precondition,
        by: &FlowActor,
    ) -> Result<Change<Member>, PortError> {
        let mut tx = self.pool.begin().await.map_err(db)?;
        let Some((member, before)) = hold(&mut tx, project, user).await.map_err(db)? else {
            return Ok(Change::NotFound);
        };
        if !seen.holds(before.as_deref().map(Version::new).as_ref()) {
            return Ok(Change::Stale);
        }
        if before.as_deref() != Some(role.as_str()) {
            sqlx::query!(
                "insert into platform.project_member (user_id, project_id, role) values ($1, $2, $3)
                 on conflict (user_id, project_id) do update set role = excluded.role",
                user.0,
                project.0,
                role.as_str(),
            )
            .execute(&mut *tx)
            .await
            .map_err(db)?;
            let data = audit::change(
                in_project(project, before.as_deref()),
                in_project(project, Some(role.as_str())),
            );
            audit::about_user(&mut tx, user, "access.member_set", by, data)
                .await
                .map_err(db)?;
            tx.commit().await.map_err(db)?;
        }
        Ok(Change::Done(Member { role, ..member }))
    }

    async fn remove(
        &self,
        project: ProjectId,
        user: UserId,
        seen: &Precondition,
        by: &FlowActor,
    ) -> Result<Change<()>, PortError> {
        let mut tx = self.pool.begin().await.map_err(db)?;
        let Some((_, before)) = hold(&mut tx, project, user).await.map_err(db)? else {
            return Ok(Change::NotFound);
        };
        if !seen.holds(before.as_deref().map(Version::new).as_ref()) {
            return Ok(Change::Stale);
        }
        if before.is_some() {
            sqlx::query!(
                "delete from platform.project_member where user_id = $1 and project_id = $2",
                user.0,
                project.0,
            )
            .execute(&mut *tx)
            .await
            .map_err(db)?;
            let data = audit::change(in_project(project, before.as_deref()), in_project(project, None));
            audit::about_user(&mut tx, user, "access.member_removed", by, data)
                .await
                .map_err(db)?;
            tx.commit().await.map_err(db)?;
        }
        Ok(Change::Done(()))
    }
}
