//! Writes a batch of deliveries: ledger, payload, flow event and job of each, in one statement, which is one
//! transaction and one way to the server and back.

use std::collections::HashMap;
use std::time::Instant;

use domain::delivery::{Accepted, NewDelivery};
use domain::job::{GithubDelivery, NewJob};
use domain::port::PortError;
use domain::{DeliveryId, JobId};
use serde_json::json;
use sqlx::PgPool;

use crate::error::{DATABASE, db, is_taken, lacks_partition};
use crate::packing::{Packed, pack};
use crate::partitions;
use crate::text::clean;

/// A delivery in the form in which it is written.
#[derive(Debug)]
pub(super) struct Offer {
    pub(super) id: DeliveryId,
    event: String,
    action: Option<String>,
    repository: Option<String>,
    sender: Option<String>,
    body_sha256: [u8; 32],
    payload: Packed,
    traceparent: Option<String>,
}

impl Offer {
    pub(super) fn new(delivery: NewDelivery) -> Self {
        let cleaned = |text: Option<String>| text.map(|text| clean(&text).into_owned());
        Self {
            id: delivery.id,
            event: clean(&delivery.event).into_owned(),
            action: cleaned(delivery.action),
            repository: cleaned(delivery.repository),
            sender: cleaned(delivery.sender),
            body_sha256: delivery.body_sha256,
            payload: pack(delivery.payload),
            traceparent: cleaned(delivery.traceparent),
        }
    }

    /// Bytes that it keeps in memory, roughly.
    pub(super) fn size(&self) -> usize {
        self.payload.bytes.len() + 512
    }
}

/// Writes the offers, no two of which have the same identifier; the answers stand in their order.
pub(super) async fn write(pool: &PgPool, offers: &[Offer]) -> Vec<Result<Accepted, PortError>> {
    let begun = Instant::now();
    let written = insert(pool, offers).await;
    metrics::histogram!("codex_k8s_inbox_write_duration_seconds").record(begun.elapsed());
    metrics::histogram!("codex_k8s_inbox_batch_deliveries").record(offers.len() as f64);
    let mut answers = Vec::with_capacity(offers.len());
    match written {
        Ok(jobs) => {
            for offer in offers {
                answers.push(match jobs.get(offer.id.as_str()) {
                    Some(job) => Ok(Accepted::New(*job)),
                    None => known(pool, offer).await,
                });
            }
        }
        // One of them spoiled it for all, or there are no partitions: one by one.
        Err(sqlx::Error::Database(_)) => {
            for offer in offers {
                answers.push(write_one(pool, offer).await);
            }
        }
        Err(error) => {
            let reason = error.to_string();
            let unavailable = matches!(db(error), PortError::Unavailable { .. });
            for _ in offers {
                let (part, reason) = (DATABASE, reason.clone());
                answers.push(Err(if unavailable {
                    PortError::Unavailable {
                        part,
                        reason,
                        retry_after_ms: Some(1_000),
                    }
                } else {
                    PortError::Refused { part, reason }
                }));
            }
        }
    }
    answers
}

/// Writes an offer by itself and mends what can be mended: a rival that was faster, a missing partition.
async fn write_one(pool: &PgPool, offer: &Offer) -> Result<Accepted, PortError> {
    let mut written = insert(pool, std::slice::from_ref(offer)).await;
    if written.as_ref().is_err_and(lacks_partition) {
        tracing::warn!("payload partitions were missing and are made now: is no worker maintaining them?");
        partitions::make(pool).await?;
        written = insert(pool, std::slice::from_ref(offer)).await;
    }
    match written {
        Ok(jobs) => match jobs.get(offer.id.as_str()) {
            Some(job) => Ok(Accepted::New(*job)),
            None => known(pool, offer).await,
        },
        Err(error) if is_taken(&error, "delivery_pkey") => known(pool, offer).await,
        Err(error) => Err(db(error)),
    }
}

/// Writes those offers whose identifier isn't known and returns their jobs. Fails as a whole where another
/// transaction has written one of them in the meantime.
async fn insert(pool: &PgPool, offers: &[Offer]) -> Result<HashMap<String, JobId>, sqlx::Error> {
    let jobs: Vec<_> = offers
        .iter()
        .map(|o| {
            NewJob::new(&GithubDelivery {
                delivery_id: o.id.clone(),
            })
        })
        .collect();
    let Some(NewJob { kind, queue, .. }) = jobs.first() else {
        return Ok(HashMap::new());
    };
    let rows = sqlx::query_file!(
        "src/inbox/insert.sql",
        &*queue,
        &*kind,
        &offers
            .iter()
            .map(|o| o.id.as_str().to_owned())
            .collect::<Vec<_>>(),
        &offers.iter().map(|o| o.event.clone()).collect::<Vec<_>>(),
        &offers.iter().map(|o| o.action.clone()).collect::<Vec<_>>() as &[Option<String>],
        &offers.iter().map(|o| o.repository.clone()).collect::<Vec<_>>() as &[Option<String>],
        &offers.iter().map(|o| o.sender.clone()).collect::<Vec<_>>() as &[Option<String>],
        &offers.iter().map(|o| o.body_sha256.to_vec()).collect::<Vec<_>>(),
        &offers.iter().map(|o| o.payload.encoding).collect::<Vec<_>>(),
        &offers.iter().map(|o| &*o.payload.bytes).collect::<Vec<&[u8]>>() as &[&[u8]],
        &offers.iter().map(|o| o.traceparent.clone()).collect::<Vec<_>>() as &[Option<String>],
        &jobs.iter().map(|job| job.args.clone()).collect::<Vec<_>>(),
    )
    .fetch_all(pool)
    .await?;
    Ok(rows.into_iter().map(|row| (row.id, JobId(row.job_id))).collect())
}

/// Compares an offer with the delivery that has its identifier: counts a duplicate, audits a mismatch.
async fn known(pool: &PgPool, offer: &Offer) -> Result<Accepted, PortError> {
    let data = json!({
        "offered_sha256": hex::encode(offer.body_sha256),
        "event": offer.event,
        "repository": offer.repository,
        "sender": offer.sender,
    });
    let same = sqlx::query_scalar!(
        r#"with seen as (select body_sha256 = $2 as same from platform.delivery where id = $1),
        counted as (
            update platform.delivery set duplicates = duplicates + 1 where id = $1 and body_sha256 = $2),
        audited as (
            insert into audit.flow_event (correlation_id, kind, data)
            select $1, 'webhook.body_mismatch', $3 from seen where not same)
        select same as "same!" from seen"#,
        offer.id.as_str(),
        &offer.body_sha256,
        data,
    )
    .fetch_optional(pool)
    .await
    .map_err(db)?;
    match same {
        Some(true) => Ok(Accepted::Duplicate),
        Some(false) => Ok(Accepted::BodyMismatch),
        None => Err(PortError::Unavailable {
            part: DATABASE,
            reason: "the delivery was removed while it came again".to_owned(),
            retry_after_ms: Some(1_000),
        }),
    }
}
