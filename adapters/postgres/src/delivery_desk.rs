//! The ledger of deliveries as staff see and steer it.

use async_trait::async_trait;
use chrono::{DateTime, Utc};
use domain::access::Projects;
use domain::delivery::{DeliveryDetail, DeliveryFilter, DeliverySummary, Replay};
use domain::flow::{FlowActor, FlowEvent};
use domain::id::{DeliveryId, JobId, RunId};
use domain::job::{GithubDelivery, NewJob};
use domain::port::{DeliveryDesk, PortError};
use serde_json::{Value, json};

use crate::enqueue::enqueue;
use crate::error::{Error, db, refused};
use crate::packing::unpack;
use crate::store::page;
use crate::{Store, flow};

/// A line of the ledger as it is stored.
pub(crate) struct Line {
    pub(crate) id: String,
    pub(crate) event: String,
    pub(crate) action: Option<String>,
    pub(crate) repository: Option<String>,
    pub(crate) sender: Option<String>,
    pub(crate) status: String,
    pub(crate) reason: Option<String>,
    pub(crate) run_id: Option<i64>,
    pub(crate) job_id: Option<i64>,
    pub(crate) duplicates: i32,
    pub(crate) replays: i32,
    pub(crate) received_at: DateTime<Utc>,
    pub(crate) processed_at: Option<DateTime<Utc>>,
}

impl Line {
    pub(crate) fn into_summary(self) -> Result<DeliverySummary, Error> {
        Ok(DeliverySummary {
            id: self
                .id
                .parse()
                .map_err(|e| Error::Unreadable(format!("a stored delivery: {e}")))?,
            event: self.event,
            action: self.action,
            repository: self.repository,
            sender: self.sender,
            status: self.status.parse().map_err(Error::Unreadable)?,
            reason: self.reason,
            run_id: self.run_id.map(RunId),
            job_id: self.job_id.map(JobId),
            duplicates: self.duplicates,
            replays: self.replays,
            received_at: self.received_at,
            processed_at: self.processed_at,
        })
    }
}

#[async_trait]
impl DeliveryDesk for Store {
    async fn list(&self, filter: &DeliveryFilter) -> Result<Vec<DeliverySummary>, PortError> {
        let (before, before_id) = match &filter.before {
            Some((at, id)) => (*at, id.as_str()),
            None => (THE_END_OF_TIME, ""),
        };
        let project_ids = filter.projects.ids();
        let lines = sqlx::query_as!(
            Line,
            "select id, event, action, repository, sender, status, reason, run_id, job_id, duplicates, replays,
                received_at, processed_at
            from platform.delivery d
            where (received_at, id) < ($1, $2)
                and ($3::text is null or status = $3) and ($4::text is null or event = $4)
                and ($6::bigint[] is null or exists (
                    select 1 from platform.repository r
                    where lower(r.name) = lower(d.repository) and r.project_id = any($6)))
            order by received_at desc, id desc limit $5",
            before,
            before_id,
            filter.status.map(domain::delivery::DeliveryStatus::as_str),
            filter.event,
            page(filter.limit),
            project_ids.as_deref(),
        )
        .fetch_all(&self.pool)
        .await
        .map_err(db)?;
        lines
            .into_iter()
            .map(|line| line.into_summary().map_err(db))
            .collect()
    }

    async fn get(&self, id: &DeliveryId, projects: &Projects) -> Result<Option<DeliveryDetail>, PortError> {
        let project_ids = projects.ids();
        let line = sqlx::query_as!(
            Line,
            "select id, event, action, repository, sender, status, reason, run_id, job_id, duplicates, replays,
                received_at, processed_at
            from platform.delivery d
            where id = $1 and ($2::bigint[] is null or exists (
                    select 1 from platform.repository r
                    where lower(r.name) = lower(d.repository) and r.project_id = any($2)))",
            id.as_str(),
            project_ids.as_deref(),
        )
        .fetch_optional(&self.pool)
        .await
        .map_err(db)?;
        let Some(line) = line else { return Ok(None) };
        let body = sqlx::query!(
            r#"select d.body_sha256, p.encoding as "encoding?", p.payload as "payload?"
            from platform.delivery d left join platform.delivery_payload p
                on p.received_on = (d.received_at at time zone 'UTC')::date and p.delivery_id = d.id
            where d.id = $1"#,
            id.as_str(),
        )
        .fetch_one(&self.pool)
        .await
        .map_err(db)?;
        let payload = match (body.encoding, body.payload) {
            (Some(encoding), Some(bytes)) => Some(shown(&unpack(encoding, bytes).map_err(db)?)),
            _ => None,
        };
        let summary = line.into_summary().map_err(db)?;
        Ok(Some(DeliveryDetail {
            summary,
            body_sha256: hex::encode(body.body_sha256),
            payload,
        }))
    }

    async fn replay(
        &self,
        id: &DeliveryId,
        dry_run: bool,
        projects: &Projects,
        by: &FlowActor,
    ) -> Result<Option<Replay>, PortError> {
        // The queue is asked before there is a transaction: it answers on a connection of its own.
        let project_ids = projects.ids();
        let seen = sqlx::query_scalar!(
            "select job_id from platform.delivery d
            where id = $1 and ($2::bigint[] is null or exists (
                    select 1 from platform.repository r
                    where lower(r.name) = lower(d.repository) and r.project_id = any($2)))",
            id.as_str(),
            project_ids.as_deref(),
        )
        .fetch_optional(&self.pool)
        .await
        .map_err(db)?;
        let Some(seen) = seen else { return Ok(None) };
        if let Some(job_id) = seen
            && self.is_open(job_id).await?
        {
            return Ok(Some(Replay::StillOpen {
                job_id: JobId(job_id),
            }));
        }
        let mut tx = self.begin().await?;
        let row = sqlx::query!(
            r#"select d.job_id, exists (
                select from platform.delivery_payload p
                where p.received_on = (d.received_at at time zone 'UTC')::date and p.delivery_id = d.id)
                as "has_payload!"
            from platform.delivery d where d.id = $1 for no key update of d"#,
            id.as_str(),
        )
        .fetch_optional(&mut *tx)
        .await
        .map_err(db)?;
        let Some(row) = row else { return Ok(None) };
        // Somebody else replayed it since we looked.
        if row.job_id != seen
            && let Some(job_id) = row.job_id
        {
            return Ok(Some(Replay::StillOpen {
                job_id: JobId(job_id),
            }));
        }
        if !row.has_payload {
            return Ok(Some(Replay::PayloadGone));
        }
        if dry_run {
            return Ok(Some(Replay::Possible));
        }
        let job = NewJob::new(&GithubDelivery {
            delivery_id: id.clone(),
        })
        .correlated(id);
        let ids = enqueue(&self.queue, &mut tx, vec![job]).await.map_err(db)?;
        let job_id = ids
            .first()
            .copied()
            .ok_or_else(|| refused("the replay's job was not enqueued"))?;
        // What it came to before stays in the flow events; from here on it is open again.
        sqlx::query!(
            "update platform.delivery
            set job_id = $2, replays = replays + 1, status = 'accepted', reason = null, processed_at = null
            where id = $1",
            id.as_str(),
            job_id,
        )
        .execute(&mut *tx)
        .await
        .map_err(db)?;
        let event = FlowEvent {
            correlation_id: id.clone(),
            run: None,
            kind: "webhook.replayed",
            actor: by.clone(),
            data: json!({ "job_id": job_id }),
        };
        flow::append(&mut tx, event).await.map_err(db)?;
        tx.commit().await.map_err(db)?;
        Ok(Some(Replay::Enqueued {
            job_id: JobId(job_id),
        }))
    }
}

/// Later than any delivery (the year 2262), so that the first page is a page like the others.
const THE_END_OF_TIME: DateTime<Utc> = DateTime::from_timestamp_nanos(i64::MAX);

/// A payload for people: as JSON, or as text where it isn't any.
fn shown(payload: &[u8]) -> Value {
    serde_json::from_slice(payload)
        .unwrap_or_else(|_| Value::String(String::from_utf8_lossy(payload).into_owned()))
}
