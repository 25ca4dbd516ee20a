//! [`RunDesk`] and [`DeliveryDesk`] in memory: filled by the test, filtered and paged like the
//! real ones, every change noted with who asked for it.

use std::collections::BTreeMap;
use std::sync::{Mutex, MutexGuard, PoisonError};

use async_trait::async_trait;
use domain::delivery::{DeliveryDetail, DeliveryFilter, DeliveryStatus, DeliverySummary, Replay};
use domain::flow::{FlowActor, RecordedEvent};
use domain::port::{DeliveryDesk, PortError, RunDesk};
use domain::run::{LogLine, RunFilter, RunSummary};
use domain::{DeliveryId, JobId, RunId};

pub(super) fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

pub(super) fn at_most(limit: i64) -> usize {
    usize::try_from(limit).unwrap_or(0)
}

/// Runs in memory.
#[derive(Debug, Default)]
pub struct FakeRunDesk {
    runs: Mutex<BTreeMap<RunId, RunSummary>>,
    events: Mutex<Vec<RecordedEvent>>,
    logs: Mutex<BTreeMap<RunId, Vec<LogLine>>>,
}

impl FakeRunDesk {
    /// Puts a run on the desk.
    pub fn put(&self, run: RunSummary) {
        lock(&self.runs).insert(run.id, run);
    }

    /// Records an event.
    pub fn record(&self, event: RecordedEvent) {
        lock(&self.events).push(event);
    }

    /// Gives a run its log.
    pub fn write_log(&self, id: RunId, lines: Vec<LogLine>) {
        lock(&self.logs).insert(id, lines);
    }
}

#[async_trait]
impl RunDesk for FakeRunDesk {
    async fn list(&self, filter: &RunFilter) -> Result<Vec<RunSummary>, PortError> {
        let runs = lock(&self.runs);
        let matching = runs.values().rev().filter(|run| {
            filter
                .status
                .as_ref()
                .is_none_or(|status| status == run.state.as_str())
                && filter
                    .project
                    .as_ref()
                    .is_none_or(|project| *project == run.project)
                && filter.before.is_none_or(|before| run.id < before)
        });
        Ok(matching.take(at_most(filter.limit)).cloned().collect())
    }

    async fn get(&self, id: RunId) -> Result<Option<RunSummary>, PortError> {
        Ok(lock(&self.runs).get(&id).cloned())
    }

    async fn events(&self, id: RunId) -> Result<Vec<RecordedEvent>, PortError> {
        let Some(correlation_id) = lock(&self.runs).get(&id).map(|run| run.correlation_id.clone()) else {
            return Ok(Vec::new());
        };
        let events = lock(&self.events);
        Ok(events
            .iter()
            .filter(|event| event.correlation_id == correlation_id)
            .cloned()
            .collect())
    }

    async fn log(&self, id: RunId, after: i64, limit: i64) -> Result<Vec<LogLine>, PortError> {
        let logs = lock(&self.logs);
        let lines = logs.get(&id).map(Vec::as_slice).unwrap_or_default();
        Ok(lines
            .iter()
            .filter(|line| line.number > after)
            .take(at_most(limit))
            .cloned()
            .collect())
    }
}

/// Deliveries in memory.
#[derive(Debug, Default)]
pub struct FakeDeliveryDesk {
    deliveries: Mutex<BTreeMap<DeliveryId, DeliveryDetail>>,
    audit: Mutex<Vec<(DeliveryId, FlowActor)>>,
}

impl FakeDeliveryDesk {
    /// Puts a delivery on the desk.
    pub fn put(&self, delivery: DeliveryDetail) {
        lock(&self.deliveries).insert(delivery.summary.id.clone(), delivery);
    }

    /// What was replayed, and by whom.
    pub fn audit(&self) -> Vec<(DeliveryId, FlowActor)> {
        lock(&self.audit).clone()
    }
}

#[async_trait]
impl DeliveryDesk for FakeDeliveryDesk {
    async fn list(&self, filter: &DeliveryFilter) -> Result<Vec<DeliverySummary>, PortError> {
        let deliveries = lock(&self.deliveries);
        let key = |line: &DeliverySummary| (line.received_at, line.id.clone());
        let mut matching: Vec<_> = deliveries
            .values()
            .map(|delivery| &delivery.summary)
            .filter(|line| {
                filter.status.is_none_or(|status| status == line.status)
                    && filter.event.as_ref().is_none_or(|event| *event == line.event)
                    && filter.before.as_ref().is_none_or(|before| key(line) < *before)
            })
            .cloned()
            .collect();
        matching.sort_by_key(|line| std::cmp::Reverse(key(line)));
        matching.truncate(at_most(filter.limit));
        Ok(matching)
    }

    async fn get(&self, id: &DeliveryId) -> Result<Option<DeliveryDetail>, PortError> {
        Ok(lock(&self.deliveries).get(id).cloned())
    }

    async fn replay(
        &self,
        id: &DeliveryId,
        dry_run: bool,
        by: &FlowActor,
    ) -> Result<Option<Replay>, PortError> {
        let mut deliveries = lock(&self.deliveries);
        let Some(delivery) = deliveries.get_mut(id) else {
            return Ok(None);
        };
        let line = &mut delivery.summary;
        Ok(Some(match (line.status, line.job_id) {
            (DeliveryStatus::Accepted, Some(job_id)) => Replay::StillOpen { job_id },
            _ if delivery.payload.is_none() => Replay::PayloadGone,
            _ if dry_run => Replay::Possible,
            (_, job_id) => {
                let job_id = JobId(job_id.map_or(1, |job| job.0 + 1));
                line.job_id = Some(job_id);
                line.replays += 1;
                line.status = DeliveryStatus::Accepted;
                lock(&self.audit).push((id.clone(), by.clone()));
                Replay::Enqueued { job_id }
            }
        }))
    }
}
