//! An [`Inbox`] in memory, which can be told to be slow or to fail.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicBool, AtomicI64, AtomicU64, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use async_trait::async_trait;
use domain::delivery::{Accepted, NewDelivery};
use domain::port::{Inbox, PortError};
use domain::{DeliveryId, JobId};

/// Keeps what was accepted.
#[derive(Debug, Default)]
pub struct FakeInbox {
    deliveries: Mutex<BTreeMap<DeliveryId, NewDelivery>>,
    duplicates: AtomicU64,
    mismatches: AtomicU64,
    backlog: AtomicI64,
    backlog_reads: AtomicU64,
    ready_reads: AtomicU64,
    unavailable: AtomicBool,
    panics: AtomicBool,
    delay_ms: AtomicU64,
}

impl FakeInbox {
    /// Everything accepted so far, by identifier.
    pub fn accepted(&self) -> Vec<NewDelivery> {
        self.deliveries().values().cloned().collect()
    }

    /// How often a known delivery came again.
    pub fn duplicates(&self) -> u64 {
        self.duplicates.load(Ordering::SeqCst)
    }

    /// How often a known delivery came with another body.
    pub fn mismatches(&self) -> u64 {
        self.mismatches.load(Ordering::SeqCst)
    }

    /// What [`Inbox::backlog`] will say.
    pub fn set_backlog(&self, jobs: i64) {
        self.backlog.store(jobs, Ordering::SeqCst);
    }

    /// How often the backlog was asked for.
    pub fn backlog_reads(&self) -> u64 {
        self.backlog_reads.load(Ordering::SeqCst)
    }

    /// How often readiness was asked for.
    pub fn ready_reads(&self) -> u64 {
        self.ready_reads.load(Ordering::SeqCst)
    }

    /// Whether every call fails as if the database were away.
    pub fn fail_with_unavailable(&self, unavailable: bool) {
        self.unavailable.store(unavailable, Ordering::SeqCst);
    }

    /// Whether [`Inbox::accept`] panics.
    pub fn panic_on_accept(&self, panics: bool) {
        self.panics.store(panics, Ordering::SeqCst);
    }

    /// How long every call takes.
    pub fn delay_by(&self, delay: Duration) {
        let delay_ms = u64::try_from(delay.as_millis()).unwrap_or(u64::MAX);
        self.delay_ms.store(delay_ms, Ordering::SeqCst);
    }

    fn deliveries(&self) -> MutexGuard<'_, BTreeMap<DeliveryId, NewDelivery>> {
        self.deliveries.lock().unwrap_or_else(PoisonError::into_inner)
    }

    async fn behave(&self) -> Result<(), PortError> {
        let delay_ms = self.delay_ms.load(Ordering::SeqCst);
        if delay_ms > 0 {
            tokio::time::sleep(Duration::from_millis(delay_ms)).await;
        }
        if self.unavailable.load(Ordering::SeqCst) {
            let reason = "connection refused by 10.0.0.1".to_owned();
            return Err(PortError::Unavailable {
                part: "database",
                reason,
                retry_after_ms: Some(2_500),
            });
        }
        Ok(())
    }
}

#[async_trait]
impl Inbox for FakeInbox {
    async fn accept(&self, delivery: NewDelivery) -> Result<Accepted, PortError> {
        self.behave().await?;
        assert!(!self.panics.load(Ordering::SeqCst), "the fake was told to panic");
        let mut deliveries = self.deliveries();
        if let Some(known) = deliveries.get(&delivery.id) {
            let same = known.body_sha256 == delivery.body_sha256;
            let (count, answer) = if same {
                (&self.duplicates, Accepted::Duplicate)
            } else {
                (&self.mismatches, Accepted::BodyMismatch)
            };
            count.fetch_add(1, Ordering::SeqCst);
            return Ok(answer);
        }
        let job = JobId(deliveries.len() as i64 + 1);
        deliveries.insert(delivery.id.clone(), delivery);
        Ok(Accepted::New(job))
    }

    async fn backlog(&self) -> Result<i64, PortError> {
        self.backlog_reads.fetch_add(1, Ordering::SeqCst);
        self.behave().await?;
        Ok(self.backlog.load(Ordering::SeqCst))
    }

    async fn ready(&self) -> Result<(), PortError> {
        self.ready_reads.fetch_add(1, Ordering::SeqCst);
        self.behave().await
    }
}
