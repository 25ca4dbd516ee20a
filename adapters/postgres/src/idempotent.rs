//! Requests that may be sent again without a second effect.

use async_trait::async_trait;
use domain::idempotency::{Begun, IdempotentRequest, StoredAnswer};
use domain::port::{IdempotentRequests, PortError};

use crate::Store;
use crate::error::db;

#[async_trait]
impl IdempotentRequests for Store {
    async fn begin(&self, request: &IdempotentRequest) -> Result<Begun, PortError> {
        // What is over goes with what comes, a few at a time.
        sqlx::query!(
            "delete from platform.idempotent_request where (owner, key) in (
                select owner, key from platform.idempotent_request
                where begun_at < clock_timestamp() - interval '24 hours'
                order by begun_at limit 100 for update skip locked)"
        )
        .execute(&self.pool)
        .await
        .map_err(db)?;
        let begun = sqlx::query_scalar!(
            "insert into platform.idempotent_request as known (owner, key, fingerprint) values ($1, $2, $3)
            on conflict (owner, key) do update set begun_at = clock_timestamp()
            where known.status is null and known.fingerprint = excluded.fingerprint
                and known.begun_at < clock_timestamp() - interval '1 minute'
            returning key",
            request.owner,
            request.key,
            &request.fingerprint[..],
        )
        .fetch_optional(&self.pool)
        .await
        .map_err(db)?;
        if begun.is_some() {
            return Ok(Begun::New);
        }
        let known = sqlx::query!(
            "select fingerprint, status, content_type, body from platform.idempotent_request
            where owner = $1 and key = $2",
            request.owner,
            request.key,
        )
        .fetch_optional(&self.pool)
        .await
        .map_err(db)?;
        Ok(match known {
            // Given up in this moment: whoever comes again finds the key free.
            None => Begun::InProgress,
            Some(known) if known.fingerprint != request.fingerprint => Begun::Other,
            Some(known) => match known.status.and_then(|status| u16::try_from(status).ok()) {
                None => Begun::InProgress,
                Some(status) => Begun::Answered(StoredAnswer {
                    status,
                    content_type: known.content_type,
                    body: known.body,
                }),
            },
        })
    }

    async fn answer(&self, request: &IdempotentRequest, answer: &StoredAnswer) -> Result<(), PortError> {
        sqlx::query!(
            "update platform.idempotent_request set status = $4, content_type = $5, body = $6
            where owner = $1 and key = $2 and fingerprint = $3",
            request.owner,
            request.key,
            &request.fingerprint[..],
            i16::try_from(answer.status).unwrap_or(200),
            answer.content_type,
            answer.body,
        )
        .execute(&self.pool)
        .await
        .map_err(db)?;
        Ok(())
    }

    async fn give_up(&self, request: &IdempotentRequest) -> Result<(), PortError> {
        sqlx::query!(
            "delete from platform.idempotent_request
            where owner = $1 and key = $2 and fingerprint = $3 and status is null",
            request.owner,
            request.key,
            &request.fingerprint[..],
        )
        .execute(&self.pool)
        .await
        .map_err(db)?;
        Ok(())
    }
}
