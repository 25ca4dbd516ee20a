//! Programs that sign in by a code.

use async_trait::async_trait;
use domain::access::{Collected, DeviceSignIn, DeviceWish, Digest, NewApiToken, NewDeviceSignIn, UserCode};
use domain::flow::FlowActor;
use domain::id::UserId;
use domain::port::PortError;
use domain::port::access::DeviceSignIns;
use serde_json::json;

use super::principals::{named, scopes};
use super::{audit, own};
use crate::Store;
use crate::error::db;
use crate::text::clean;

/// More that wait at once are somebody's who fills the table.
const MOST_WAITING: i64 = 10_000;

#[async_trait]
impl DeviceSignIns for Store {
    async fn begin(&self, new: NewDeviceSignIn, lasts_s: i64) -> Result<bool, PortError> {
        let wish = &new.wish;
        let names: Vec<String> = wish
            .scopes
            .iter()
            .map(|scope| scope.as_str().to_owned())
            .collect();
        let name = clean(&wish.name);
        let mut tx = self.pool.begin().await.map_err(db)?;
        sqlx::query!("delete from platform.device_sign_in where expires_at < clock_timestamp()")
            .execute(&mut *tx)
            .await
            .map_err(db)?;
        let begun = sqlx::query!(
            "insert into platform.device_sign_in (device, code, name, scopes, days, source, expires_at)
             select $1, $2, $3, $4, $5, $6, clock_timestamp() + make_interval(secs => $7)
             where (select count(*) from platform.device_sign_in) < $8
             on conflict do nothing",
            &new.device.0[..],
            new.code.as_str(),
            name.as_ref(),
            &names,
            wish.days,
            wish.source,
            lasts_s as f64,
            MOST_WAITING,
        )
        .execute(&mut *tx)
        .await
        .map_err(db)?;
        tx.commit().await.map_err(db)?;
        Ok(begun.rows_affected() == 1)
    }

    async fn find(&self, code: &UserCode) -> Result<Option<DeviceSignIn>, PortError> {
        let row = sqlx::query!(
            "select name, scopes, days, source, created_at, expires_at from platform.device_sign_in
             where code = $1 and approved is null and expires_at > clock_timestamp()",
            code.as_str(),
        )
        .fetch_optional(&self.pool)
        .await
        .map_err(db)?;
        let Some(row) = row else { return Ok(None) };
        Ok(Some(DeviceSignIn {
            wish: DeviceWish {
                name: row.name,
                scopes: scopes(&row.scopes).map_err(db)?,
                days: row.days,
                source: row.source,
            },
            created_at: row.created_at,
            expires_at: row.expires_at,
        }))
    }

    async fn decide(
        &self,
        user: UserId,
        code: &UserCode,
        approve: bool,
        by: &FlowActor,
    ) -> Result<bool, PortError> {
        let mut tx = self.pool.begin().await.map_err(db)?;
        let row = sqlx::query!(
            "update platform.device_sign_in set user_id = $1, approved = $3
             where code = $2 and approved is null and expires_at > clock_timestamp()
             returning name, scopes, days, source",
            user.0,
            code.as_str(),
            approve,
        )
        .fetch_optional(&mut *tx)
        .await
        .map_err(db)?;
        let Some(row) = row else { return Ok(false) };
        let data = json!({ "name": row.name, "scopes": row.scopes, "days": row.days, "source": row.source });
        let kind = if approve {
            "access.device_approved"
        } else {
            "access.device_denied"
        };
        audit::about_user(&mut tx, user, kind, by, data)
            .await
            .map_err(db)?;
        tx.commit().await.map_err(db)?;
        Ok(true)
    }

    async fn collect(&self, device: Digest, token: Digest) -> Result<Collected, PortError> {
        let mut tx = self.pool.begin().await.map_err(db)?;
        let row = sqlx::query!(
            "select d.name, d.scopes, d.days, d.approved, d.user_id, u.email as \"email?\",
                u.active as \"active?\"
             from platform.device_sign_in d left join platform.user_account u on u.id = d.user_id
             where d.device = $1 and d.expires_at > clock_timestamp() for update of d",
            &device.0[..],
        )
        .fetch_optional(&mut *tx)
        .await
        .map_err(db)?;
        let Some(row) = row else {
            return Ok(Collected::Gone);
        };
        let Some(approved) = row.approved else {
            return Ok(Collected::Pending);
        };
        sqlx::query!(
            "delete from platform.device_sign_in where device = $1",
            &device.0[..]
        )
        .execute(&mut *tx)
        .await
        .map_err(db)?;
        let collected = match (row.user_id, row.email) {
            (Some(user), Some(email)) if approved && row.active == Some(true) => {
                let new = NewApiToken {
                    name: row.name,
                    scopes: scopes(&row.scopes).map_err(db)?,
                    days: row.days,
                    digest: token,
                };
                let by = FlowActor::Human(email.clone());
                let made = own::make_token(&mut tx, UserId(user), new, &by)
                    .await
                    .map_err(db)?;
                Collected::Token(made, named(&email).map_err(db)?)
            }
            _ => Collected::Denied,
        };
        tx.commit().await.map_err(db)?;
        Ok(collected)
    }
}
