//! A person's own sessions and tokens.

use async_trait::async_trait;
use domain::access::{ApiToken, NewApiToken, Session};
use domain::flow::FlowActor;
use domain::id::{SessionId, TokenId, UserId};
use domain::port::PortError;
use domain::port::access::OwnAccess;
use serde_json::json;
use sqlx::PgConnection;

use super::{audit, principals, sign_ins};
use crate::Store;
use crate::error::{Error, db};
use crate::text::clean;

#[async_trait]
impl OwnAccess for Store {
    async fn sessions(&self, user: UserId) -> Result<Vec<Session>, PortError> {
        let rows = sqlx::query!(
            "select id, user_agent, created_at, refreshed_at, expires_at from platform.session
             where user_id = $1 and ended_at is null and expires_at > clock_timestamp()
             order by id desc limit 1000",
            user.0,
        )
        .fetch_all(&self.pool)
        .await
        .map_err(db)?;
        Ok(rows
            .into_iter()
            .map(|row| Session {
                id: SessionId(row.id),
                user_agent: row.user_agent,
                created_at: row.created_at,
                refreshed_at: row.refreshed_at,
                expires_at: row.expires_at,
            })
            .collect())
    }

    async fn end_session(&self, user: UserId, id: SessionId, by: &FlowActor) -> Result<bool, PortError> {
        let mut tx = self.pool.begin().await.map_err(db)?;
        let ended = sign_ins::end(&mut tx, id, user, &sign_ins::SIGNED_OUT, by)
            .await
            .map_err(db)?;
        tx.commit().await.map_err(db)?;
        Ok(ended)
    }

    async fn tokens(&self, user: UserId) -> Result<Vec<ApiToken>, PortError> {
        let rows = sqlx::query!(
            "select id, name, scopes, created_at, expires_at, last_used_at from platform.api_token
             where user_id = $1 and revoked_at is null and expires_at > clock_timestamp()
             order by id desc limit 1000",
            user.0,
        )
        .fetch_all(&self.pool)
        .await
        .map_err(db)?;
        let mut tokens = Vec::with_capacity(rows.len());
        for row in rows {
            tokens.push(ApiToken {
                id: TokenId(row.id),
                name: row.name,
                scopes: principals::scopes(&row.scopes).map_err(db)?,
                created_at: row.created_at,
                expires_at: row.expires_at,
                last_used_at: row.last_used_at,
            });
        }
        Ok(tokens)
    }

    async fn create_token(
        &self,
        user: UserId,
        token: NewApiToken,
        by: &FlowActor,
    ) -> Result<ApiToken, PortError> {
        let mut tx = self.pool.begin().await.map_err(db)?;
        let made = make_token(&mut tx, user, token, by).await.map_err(db)?;
        tx.commit().await.map_err(db)?;
        Ok(made)
    }

    async fn revoke_token(&self, user: UserId, id: TokenId, by: &FlowActor) -> Result<bool, PortError> {
        let mut tx = self.pool.begin().await.map_err(db)?;
        let revoked = sqlx::query!(
            "update platform.api_token set revoked_at = clock_timestamp()
             where id = $1 and user_id = $2 and revoked_at is null and expires_at > clock_timestamp()
             returning name, scopes",
            id.0,
            user.0,
        )
        .fetch_optional(&mut *tx)
        .await
        .map_err(db)?;
        let Some(row) = revoked else { return Ok(false) };
        let before = json!({ "token": id, "name": row.name, "scopes": row.scopes });
        let data = audit::change(before, None::<String>);
        audit::about_user(&mut tx, user, "access.token_revoked", by, data)
            .await
            .map_err(db)?;
        tx.commit().await.map_err(db)?;
        Ok(true)
    }
}

/// Makes a token, with its word in the audit.
pub(super) async fn make_token(
    tx: &mut PgConnection,
    user: UserId,
    token: NewApiToken,
    by: &FlowActor,
) -> Result<ApiToken, Error> {
    let scopes: Vec<String> = token
        .scopes
        .iter()
        .map(|scope| scope.as_str().to_owned())
        .collect();
    let name = clean(&token.name);
    let row = sqlx::query!(
        "insert into platform.api_token (user_id, name, digest, scopes, created_at, expires_at)
             select $1, $2, $3, $4, at, at + make_interval(days => $5) from (select clock_timestamp() as at) as made
             returning id, name, created_at, expires_at",
        user.0,
        name.as_ref(),
        &token.digest.0[..],
        &scopes,
        token.days,
    )
    .fetch_one(&mut *tx)
    .await?;
    let after = json!({ "token": row.id, "name": row.name, "scopes": scopes, "expires_at": row.expires_at });
    let data = audit::change(None::<String>, after);
    audit::about_user(tx, user, "access.token_created", by, data).await?;
    Ok(ApiToken {
        id: TokenId(row.id),
        name: row.name,
        scopes: token.scopes,
        created_at: row.created_at,
        expires_at: row.expires_at,
        last_used_at: None,
    })
}
