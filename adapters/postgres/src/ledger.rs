//! What the `github.delivery` job reads and writes of the ledger.

use async_trait::async_trait;
use domain::delivery::{DeliveryOutcome, DeliveryStatus, StoredDelivery};
use domain::flow::{FlowActor, FlowEvent};
use domain::job::NewJob;
use domain::port::{Ledger, PortError};
use domain::repository::{Project, Repository, RepositoryName};
use domain::{DeliveryId, ProjectId, RepositoryId};
use serde_json::json;

use crate::enqueue::enqueue;
use crate::error::{db, refused};
use crate::packing::unpack;
use crate::project::stored_name;
use crate::text::clean;
use crate::{Store, flow};

#[async_trait]
impl Ledger for Store {
    async fn load(&self, id: &DeliveryId) -> Result<Option<StoredDelivery>, PortError> {
        let row = sqlx::query!(
            r#"select d.event, p.encoding as "encoding?", p.payload as "payload?"
            from platform.delivery d left join platform.delivery_payload p
                on p.received_on = (d.received_at at time zone 'UTC')::date and p.delivery_id = d.id
            where d.id = $1"#,
            id.as_str(),
        )
        .fetch_optional(&self.pool)
        .await
        .map_err(db)?;
        let Some(row) = row else { return Ok(None) };
        let payload = match (row.encoding, row.payload) {
            (Some(encoding), Some(bytes)) => Some(unpack(encoding, bytes).map_err(db)?),
            _ => None,
        };
        Ok(Some(StoredDelivery {
            id: id.clone(),
            event: row.event,
            payload,
        }))
    }

    async fn settle(
        &self,
        id: &DeliveryId,
        outcome: &DeliveryOutcome,
        follow_ups: Vec<NewJob>,
    ) -> Result<(), PortError> {
        let kind = match outcome.status {
            DeliveryStatus::Processed => "webhook.processed",
            DeliveryStatus::Ignored => "webhook.ignored",
            DeliveryStatus::Accepted => {
                return Err(refused(
                    "a delivery is settled as processed or ignored, not as accepted",
                ));
            }
        };
        let mut tx = self.begin().await?;
        let changed = sqlx::query_scalar!(
            r#"with old as (
                select status, reason, run_id from platform.delivery where id = $1 for no key update)
            update platform.delivery d
            set status = $2, reason = $3, run_id = $4, processed_at = clock_timestamp()
            from old where d.id = $1
            returning (old.status, old.reason, old.run_id)
                is distinct from ($2::text, $3::text, $4::bigint) as "changed!""#,
            id.as_str(),
            outcome.status.as_str(),
            &*clean(&outcome.reason),
            outcome.run.map(|run| run.0),
        )
        .fetch_optional(&mut *tx)
        .await
        .map_err(db)?;
        let Some(changed) = changed else {
            return Err(refused(format!("there is no delivery {id}")));
        };
        // Settled before in the same way: its event and its jobs were committed then.
        if changed {
            let event = FlowEvent {
                correlation_id: id.clone(),
                run: outcome.run,
                kind,
                actor: FlowActor::System,
                data: json!({ "reason": outcome.reason }),
            };
            flow::append(&mut tx, event).await.map_err(db)?;
            enqueue(&self.queue, &mut tx, follow_ups).await.map_err(db)?;
        }
        tx.commit().await.map_err(db)
    }

    async fn repository(&self, name: &RepositoryName) -> Result<Option<Repository>, PortError> {
        let row = sqlx::query!(
            "select r.id, r.name, p.id as project_id, p.slug, p.slots
            from platform.repository r join platform.project p on p.id = r.project_id
            where lower(r.name) = lower($1) and r.removed_at is null and p.archived_at is null",
            name.to_string(),
        )
        .fetch_optional(&self.pool)
        .await
        .map_err(db)?;
        let Some(row) = row else { return Ok(None) };
        Ok(Some(Repository {
            id: RepositoryId(row.id),
            project: Project {
                id: ProjectId(row.project_id),
                slug: row.slug,
                slots: row.slots,
            },
            name: stored_name(&row.name).map_err(db)?,
        }))
    }
}
