//! People, as platform admins see and change them.

use async_trait::async_trait;
use chrono::{DateTime, Utc};
use domain::Precondition;
use domain::access::{Change, Email, PlatformRole, User};
use domain::flow::FlowActor;
use domain::id::UserId;
use domain::port::PortError;
use domain::port::access::UserDesk;
use serde_json::json;
use sqlx::PgConnection;

use super::principals::named;
use super::{audit, sign_ins};
use crate::Store;
use crate::error::{Error, db};
use crate::store::page;

struct UserRow {
    id: i64,
    email: String,
    github_id: Option<i64>,
    login: Option<String>,
    role: String,
    active: bool,
    created_at: DateTime<Utc>,
    signed_in_at: Option<DateTime<Utc>>,
}

impl UserRow {
    fn into_user(self) -> Result<User, Error> {
        Ok(User {
            id: UserId(self.id),
            email: named::<Email>(&self.email)?,
            github_id: self.github_id,
            login: self.login,
            role: named(&self.role)?,
            active: self.active,
            created_at: self.created_at,
            signed_in_at: self.signed_in_at,
        })
    }
}

/// The person, held until the transaction ends.
async fn hold(tx: &mut PgConnection, id: UserId) -> Result<Option<User>, Error> {
    let row = sqlx::query_as!(
        UserRow,
        "select id, email, github_id, login, role, active, created_at, signed_in_at
         from platform.user_account where id = $1 for update",
        id.0,
    )
    .fetch_optional(tx)
    .await?;
    row.map(UserRow::into_user).transpose()
}

/// Revokes every token of this person; says how many.
async fn revoke_all(tx: &mut PgConnection, user: UserId) -> Result<i64, Error> {
    let revoked = sqlx::query!(
        "update platform.api_token set revoked_at = clock_timestamp()
         where user_id = $1 and revoked_at is null and expires_at > clock_timestamp()",
        user.0,
    )
    .execute(&mut *tx)
    .await?;
    Ok(revoked.rows_affected() as i64)
}

#[async_trait]
impl UserDesk for Store {
    async fn invite(&self, email: &Email, by: &FlowActor) -> Result<User, PortError> {
        let mut tx = self.pool.begin().await.map_err(db)?;
        let new = sqlx::query_scalar!(
            "insert into platform.user_account (email) values ($1) on conflict (email) do nothing returning id",
            email.as_str(),
        )
        .fetch_optional(&mut *tx)
        .await
        .map_err(db)?;
        if let Some(id) = new {
            let data = audit::change(None::<String>, json!({ "email": email.as_str(), "role": "none" }));
            audit::about_user(&mut tx, UserId(id), "access.user_invited", by, data)
                .await
                .map_err(db)?;
        }
        let row = sqlx::query_as!(
            UserRow,
            "select id, email, github_id, login, role, active, created_at, signed_in_at
             from platform.user_account where email = $1",
            email.as_str(),
        )
        .fetch_one(&mut *tx)
        .await
        .map_err(db)?;
        tx.commit().await.map_err(db)?;
        row.into_user().map_err(db)
    }

    async fn list(&self, after: Option<UserId>, limit: i64) -> Result<Vec<User>, PortError> {
        let rows = sqlx::query_as!(
            UserRow,
            "select id, email, github_id, login, role, active, created_at, signed_in_at
             from platform.user_account where id > $1 order by id limit $2",
            after.map_or(0, |id| id.0),
            page(limit),
        )
        .fetch_all(&self.pool)
        .await
        .map_err(db)?;
        rows.into_iter().map(|row| row.into_user().map_err(db)).collect()
    }

    async fn get(&self, id: UserId) -> Result<Option<User>, PortError> {
        let mut connection = self.pool.acquire().await.map_err(db)?;
        hold(&mut connection, id).await.map_err(db)
    }

    async fn set_role(
        &self,
        id: UserId,
        role: PlatformRole,
        seen: &Precondition,
        by: &FlowActor,
    ) -> Result<Change<User>, PortError> {
        let mut tx = self.pool.begin().await.map_err(db)?;
        let Some(before) = hold(&mut tx, id).await.map_err(db)? else {
            return Ok(Change::NotFound);
        };
        if !seen.holds(Some(&before.version())) {
            return Ok(Change::Stale);
        }
        if before.role == role {
            return Ok(Change::Done(before));
        }
        if before.role == PlatformRole::Owner || role == PlatformRole::Owner {
            return Ok(Change::OwnerStays);
        }
        sqlx::query!(
            "update platform.user_account set role = $2 where id = $1",
            id.0,
            role.as_str()
        )
        .execute(&mut *tx)
        .await
        .map_err(db)?;
        let data = audit::change(
            json!({ "role": before.role.as_str() }),
            json!({ "role": role.as_str() }),
        );
        audit::about_user(&mut tx, id, "access.role_changed", by, data)
            .await
            .map_err(db)?;
        tx.commit().await.map_err(db)?;
        Ok(Change::Done(User { role, ..before }))
    }

    async fn set_active(
        &self,
        id: UserId,
        active: bool,
        seen: &Precondition,
        by: &FlowActor,
    ) -> Result<Change<User>, PortError> {
        let mut tx = self.pool.begin().await.map_err(db)?;
        let Some(before) = hold(&mut tx, id).await.map_err(db)? else {
            return Ok(Change::NotFound);
        };
        if !seen.holds(Some(&before.version())) {
            return Ok(Change::Stale);
        }
        if before.active == active {
            return Ok(Change::Done(before));
        }
        if before.role == PlatformRole::Owner {
            return Ok(Change::OwnerStays);
        }
        sqlx::query!(
            "update platform.user_account set active = $2 where id = $1",
            id.0,
            active
        )
        .execute(&mut *tx)
        .await
        .map_err(db)?;
        // For good: who is let in again signs in anew and makes new tokens.
        let (ended, revoked) = if active {
            (0, 0)
        } else {
            let ended = sign_ins::end_all(&mut tx, id, "deactivated").await.map_err(db)?;
            (ended, revoke_all(&mut tx, id).await.map_err(db)?)
        };
        let mut data = audit::change(json!({ "active": before.active }), json!({ "active": active }));
        data["sessions_ended"] = ended.into();
        data["tokens_revoked"] = revoked.into();
        let kind = if active {
            "access.user_activated"
        } else {
            "access.user_deactivated"
        };
        audit::about_user(&mut tx, id, kind, by, data).await.map_err(db)?;
        tx.commit().await.map_err(db)?;
        Ok(Change::Done(User { active, ..before }))
    }

    async fn hand_over(&self, to: UserId, by: &FlowActor) -> Result<Change<User>, PortError> {
        let mut tx = self.pool.begin().await.map_err(db)?;
        let owner =
            sqlx::query_scalar!("select id from platform.user_account where role = 'owner' for update")
                .fetch_optional(&mut *tx)
                .await
                .map_err(db)?;
        let Some(before) = hold(&mut tx, to).await.map_err(db)? else {
            return Ok(Change::NotFound);
        };
        if before.role == PlatformRole::Owner {
            return Ok(Change::Done(before));
        }
        let (Some(owner), true, Some(_)) = (owner, before.active, before.github_id) else {
            return Ok(Change::OwnerStays);
        };
        // The old one first: there is never more than one.
        sqlx::query!(
            r#"select set_config('platform.owner_hands_over', $1, true) as "said!""#,
            owner.to_string()
        )
        .fetch_one(&mut *tx)
        .await
        .map_err(db)?;
        for (id, role) in [(owner, PlatformRole::Admin), (to.0, PlatformRole::Owner)] {
            sqlx::query!(
                "update platform.user_account set role = $2 where id = $1",
                id,
                role.as_str()
            )
            .execute(&mut *tx)
            .await
            .map_err(db)?;
        }
        let data = audit::change(json!({ "owner": owner }), json!({ "owner": to }));
        audit::about_user(&mut tx, to, "access.owner_handed_over", by, data)
            .await
            .map_err(db)?;
        tx.commit().await.map_err(db)?;
        let role = PlatformRole::Owner;
        Ok(Change::Done(User { role, ..before }))
    }

    async fn sign_out_everywhere(&self, id: UserId, by: &FlowActor) -> Result<i64, PortError> {
        let mut tx = self.pool.begin().await.map_err(db)?;
        let ended = sign_ins::end_all(&mut tx, id, "signed_out_everywhere")
            .await
            .map_err(db)?;
        if ended > 0 {
            let data = json!({ "sessions_ended": ended });
            audit::about_user(&mut tx, id, "access.signed_out_everywhere", by, data)
                .await
                .map_err(db)?;
        }
        tx.commit().await.map_err(db)?;
        Ok(ended)
    }
}
