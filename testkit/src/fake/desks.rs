//! [`RunDesk`] and [`DeliveryDesk`] in memory: filled by the test, filtered and paged like the
//! real ones, every change noted with who asked for it.

use std::collections::BTreeMap;
use std::sync::{Mutex, MutexGuard, PoisonError};

use async_trait::async_trait;
use domain::access::Projects;
use domain::delivery::{DeliveryDetail, DeliveryFilter, DeliveryStatus, DeliverySummary, Replay};
use domain::flow::{Author, FlowActor, RecordedEvent};
use domain::port::{DeliveryDesk, PortError, RunDesk};
use domain::run::{LogLine, RunCancel, RunFilter, RunRetry, RunState, RunSummary};
use domain::{DeliveryId, JobId, ProjectId, RunId};

pub(super) fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

pub(super) fn at_most(limit: i64) -> usize {
    usize::try_from(limit).unwrap_or(0)
}

/// Runs in memory.
#[derive(Debug, Default)]
pub struct FakeRunDesk {
    projects: Mutex<BTreeMap<String, ProjectId>>,
    runs: Mutex<BTreeMap<RunId, RunSummary>>,
    events: Mutex<Vec<RecordedEvent>>,
    logs: Mutex<BTreeMap<RunId, Vec<LogLine>>>,
    canceled: Mutex<Vec<(RunId, Author)>>,
    retried: Mutex<Vec<(RunId, Author)>>,
}

impl FakeRunDesk {
    /// Gives the project of this slug an identifier.
    pub fn put_project(&self, slug: &str, id: ProjectId) {
        lock(&self.projects).insert(slug.to_owned(), id);
    }

    fn is_seen(&self, run: &RunSummary, projects: &Projects) -> bool {
        let known = lock(&self.projects);
        *projects == Projects::All || known.get(&run.project).is_some_and(|id| projects.contains(*id))
    }

    /// Puts a run on the desk.
    pub fn put(&self, run: RunSummary) {
        lock(&self.runs).insert(run.id, run);
    }

    /// Records an event.
    pub fn record(&self, event: RecordedEvent) {
        lock(&self.events).push(event);
    }

    /// What was canceled, and by whom.
    pub fn canceled(&self) -> Vec<(RunId, Author)> {
        lock(&self.canceled).clone()
    }

    /// What was run again, and by whom.
    pub fn retried(&self) -> Vec<(RunId, Author)> {
        lock(&self.retried).clone()
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
                && self.is_seen(run, &filter.projects)
        });
        Ok(matching.take(at_most(filter.limit)).cloned().collect())
    }

    async fn get(&self, id: RunId, projects: &Projects) -> Result<Option<RunSummary>, PortError> {
        let runs = lock(&self.runs);
        Ok(runs.get(&id).filter(|run| self.is_seen(run, projects)).cloned())
    }

    async fn events(&self, id: RunId, projects: &Projects) -> Result<Vec<RecordedEvent>, PortError> {
        let run = RunDesk::get(self, id, projects).await?;
        let Some(correlation_id) = run.map(|run| run.correlation_id) else {
            return Ok(Vec::new());
        };
        let events = lock(&self.events);
        Ok(events
            .iter()
            .filter(|event| event.correlation_id == correlation_id)
            .cloned()
            .collect())
    }

    async fn log(
        &self,
        id: RunId,
        after: i64,
        limit: i64,
        projects: &Projects,
    ) -> Result<Vec<LogLine>, PortError> {
        if RunDesk::get(self, id, projects).await?.is_none() {
            return Ok(Vec::new());
        }
        let logs = lock(&self.logs);
        let lines = logs.get(&id).map(Vec::as_slice).unwrap_or_default();
        Ok(lines
            .iter()
            .filter(|line| line.number > after)
            .take(at_most(limit))
            .cloned()
            .collect())
    }

    async fn log_before(
        &self,
        id: RunId,
        before: i64,
        limit: i64,
        projects: &Projects,
    ) -> Result<Vec<LogLine>, PortError> {
        let mut lines = self.log(id, 0, i64::MAX, projects).await?;
        lines.retain(|line| line.number < before);
        let surplus = lines.len().saturating_sub(at_most(limit));
        Ok(lines.split_off(surplus))
    }

    async fn search_log(
        &self,
        id: RunId,
        text: &str,
        (after, until): (i64, i64),
        limit: i64,
        projects: &Projects,
    ) -> Result<Vec<LogLine>, PortError> {
        let mut lines = self.log(id, after, i64::MAX, projects).await?;
        lines.retain(|line| line.number <= until && line.text.to_lowercase().contains(&text.to_lowercase()));
        lines.truncate(at_most(limit));
        Ok(lines)
    }

    async fn last_log_line(&self, id: RunId, projects: &Projects) -> Result<Option<i64>, PortError> {
        if RunDesk::get(self, id, projects).await?.is_none() {
            return Ok(None);
        }
        let lines = self.log(id, 0, i64::MAX, projects).await?;
        Ok(Some(lines.last().map_or(0, |line| line.number)))
    }

    async fn cancel(&self, id: RunId, projects: &Projects, by: &Author) -> Result<RunCancel, PortError> {
        let Some(mut run) = RunDesk::get(self, id, projects).await? else {
            return Ok(RunCancel::NotFound);
        };
        if run.state.is_final() {
            return Ok(RunCancel::Ended(run.state));
        }
        run.state = RunState::Canceled {
            reason: by.reason.clone().unwrap_or_default(),
        };
        self.put(run);
        lock(&self.canceled).push((id, by.clone()));
        Ok(RunCancel::Done)
    }

    async fn retry(&self, id: RunId, projects: &Projects, by: &Author) -> Result<RunRetry, PortError> {
        let Some(run) = RunDesk::get(self, id, projects).await? else {
            return Ok(RunRetry::NotFound);
        };
        if !run.state.is_retryable() {
            return Ok(RunRetry::NotAllowed(run.state));
        }
        let (next, busy) = {
            let runs = lock(&self.runs);
            let same = |one: &&RunSummary| one.repository == run.repository && one.issue == run.issue;
            let busy = runs.values().filter(same).find(|one| !one.state.is_final());
            let last = runs.keys().last().map_or(0, |last| last.0);
            (RunId(last + 1), busy.map(|one| one.id))
        };
        if let Some(busy) = busy {
            return Ok(RunRetry::IssueBusy(busy));
        }
        self.put(RunSummary {
            id: next,
            state: RunState::Pending,
            started_at: None,
            finished_at: None,
            ..run
        });
        lock(&self.retried).push((id, by.clone()));
        Ok(RunRetry::Created(next))
    }
}

/// Deliveries in memory.
#[derive(Debug, Default)]
pub struct FakeDeliveryDesk {
    projects: Mutex<BTreeMap<String, ProjectId>>,
    deliveries: Mutex<BTreeMap<DeliveryId, DeliveryDetail>>,
    audit: Mutex<Vec<(DeliveryId, FlowActor)>>,
}

impl FakeDeliveryDesk {
    /// Puts a repository into a project.
    pub fn put_repository(&self, name: &str, project: ProjectId) {
        lock(&self.projects).insert(name.to_owned(), project);
    }

    fn is_seen(&self, line: &DeliverySummary, projects: &Projects) -> bool {
        let known = lock(&self.projects);
        let project = line.repository.as_ref().and_then(|name| known.get(name));
        *projects == Projects::All || project.is_some_and(|id| projects.contains(*id))
    }

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
                    && self.is_seen(line, &filter.projects)
            })
            .cloned()
            .collect();
        matching.sort_by_key(|line| std::cmp::Reverse(key(line)));
        matching.truncate(at_most(filter.limit));
        Ok(matching)
    }

    async fn get(&self, id: &DeliveryId, projects: &Projects) -> Result<Option<DeliveryDetail>, PortError> {
        let deliveries = lock(&self.deliveries);
        let seen = deliveries.get(id).filter(|d| self.is_seen(&d.summary, projects));
        Ok(seen.cloned())
    }

    async fn replay(
        &self,
        id: &DeliveryId,
        dry_run: bool,
        projects: &Projects,
        by: &FlowActor,
    ) -> Result<Option<Replay>, PortError> {
        let mut deliveries = lock(&self.deliveries);
        let delivery = deliveries.get_mut(id);
        let Some(delivery) = delivery.filter(|d| self.is_seen(&d.summary, projects)) else {
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
