//! What the fakes of `Ledger` and `RunStore` share, as their adapters share a database: rows, flow events and
//! jobs that are written together.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use chrono::{DateTime, TimeDelta, Utc};
use domain::delivery::{DeliveryOutcome, NewDelivery};
use domain::flow::FlowEvent;
use domain::job::{NewJob, OnConflict};
use domain::repository::{Project, Repository};
use domain::run::{LogLine, Run};
use domain::{DeliveryId, JobId, ProjectId, RepositoryId, RunId};

use super::faults::Faults;

/// A job that was enqueued and not yet taken.
#[derive(Debug, Clone)]
pub struct QueuedJob {
    /// Its identifier; grows.
    pub id: JobId,
    /// What was enqueued.
    pub job: NewJob,
}

/// A delivery and what became of it.
#[derive(Debug, Clone)]
pub(crate) struct Row {
    pub(crate) delivery: NewDelivery,
    pub(crate) payload: Option<Vec<u8>>,
    pub(crate) outcome: Option<DeliveryOutcome>,
}

#[derive(Debug, Default)]
pub(crate) struct State {
    pub(crate) repositories: Vec<Repository>,
    pub(crate) deliveries: BTreeMap<DeliveryId, Row>,
    pub(crate) runs: BTreeMap<RunId, Run>,
    pub(crate) logs: BTreeMap<RunId, BTreeMap<i64, LogLine>>,
    pub(crate) events: Vec<FlowEvent>,
    pub(crate) queue: Vec<QueuedJob>,
    jobs_made: i64,
    writes: i64,
}

impl State {
    /// The database's clock: a second later with each look, so that times are told apart.
    pub(crate) fn now(&mut self) -> DateTime<Utc> {
        self.writes += 1;
        DateTime::UNIX_EPOCH + TimeDelta::days(20_000) + TimeDelta::seconds(self.writes)
    }

    /// Enqueues as the queue does: an unfinished job with the same key stays alone. A job that was taken
    /// counts as running, so that the next one with its key is a new job.
    pub(crate) fn enqueue(&mut self, job: NewJob) -> JobId {
        let same_key = |queued: &&mut QueuedJob| job.unique.is_some() && key(&queued.job) == key(&job);
        if let Some(older) = self.queue.iter_mut().find(same_key) {
            let replace = job.unique.as_ref().map(|unique| unique.on_conflict) == Some(OnConflict::Replace);
            if replace {
                older.job.delay_ms = older.job.delay_ms.min(job.delay_ms);
                older.job.args = job.args;
            }
            return older.id;
        }
        self.jobs_made += 1;
        let id = JobId(self.jobs_made);
        self.queue.push(QueuedJob { id, job });
        id
    }
}

fn key(job: &NewJob) -> Option<&str> {
    job.unique.as_ref().map(|unique| unique.key.as_str())
}

/// The shared world of [`FakeLedger`](super::ledger::FakeLedger) and [`FakeRuns`](super::runs::FakeRuns).
#[derive(Debug)]
pub struct Memory {
    state: Mutex<State>,
    /// Faults of either port's methods.
    pub faults: Faults,
}

impl Memory {
    /// An empty world.
    pub fn new() -> Arc<Self> {
        let methods = &[
            "accept",
            "backlog",
            "ready",
            "load",
            "settle",
            "repository",
            "caused_by",
            "create",
            "get",
            "admit",
            "apply",
            "append_log",
            "last_log_line",
            "set_comment",
            "record",
            "hint",
        ];
        Arc::new(Self {
            state: Mutex::default(),
            faults: Faults::new("database", methods),
        })
    }

    pub(crate) fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Adds a repository to the project of this slug, which is made with so many slots if there is none.
    ///
    /// # Panics
    /// If the name isn't `owner/name`.
    #[expect(clippy::expect_used, reason = "a test's own name")]
    pub fn add_repository(&self, slug: &str, slots: i32, name: &str) -> Repository {
        let mut state = self.lock();
        let known = state.repositories.iter().find(|known| known.project.slug == slug);
        let project = known.map(|known| known.project.clone());
        let next = state.repositories.len() as i64 + 1;
        let repository = Repository {
            id: RepositoryId(next),
            project: project.unwrap_or(Project {
                id: ProjectId(next),
                slug: slug.to_owned(),
                slots,
            }),
            name: name.parse().expect("a repository's name"),
        };
        state.repositories.push(repository.clone());
        repository
    }

    /// Ends a delivery's retention: its payload is gone.
    pub fn drop_payload(&self, id: &DeliveryId) {
        if let Some(row) = self.lock().deliveries.get_mut(id) {
            row.payload = None;
        }
    }

    /// What became of a delivery; `None` as long as it isn't settled.
    pub fn outcome(&self, id: &DeliveryId) -> Option<DeliveryOutcome> {
        self.lock().deliveries.get(id).and_then(|row| row.outcome.clone())
    }

    /// All runs, the oldest first.
    pub fn runs(&self) -> Vec<Run> {
        self.lock().runs.values().cloned().collect()
    }

    /// A run's kept log lines, in order.
    pub fn log(&self, id: RunId) -> Vec<LogLine> {
        let state = self.lock();
        let lines = state.logs.get(&id).into_iter().flat_map(BTreeMap::values);
        lines.cloned().collect()
    }

    /// All flow events, the oldest first.
    pub fn events(&self) -> Vec<FlowEvent> {
        self.lock().events.clone()
    }

    /// How many flow events of this kind there are.
    pub fn count_events(&self, kind: &str) -> usize {
        self.lock()
            .events
            .iter()
            .filter(|event| event.kind == kind)
            .count()
    }

    /// The jobs that wait, the oldest first.
    pub fn queued(&self) -> Vec<QueuedJob> {
        self.lock().queue.clone()
    }

    /// Takes the job that would run next: the one with the least delay, of those the oldest.
    pub fn take_job(&self) -> Option<QueuedJob> {
        let mut state = self.lock();
        let by_time = |(_, queued): &(usize, &QueuedJob)| (queued.job.delay_ms, queued.id);
        let (next, _) = state.queue.iter().enumerate().min_by_key(by_time)?;
        Some(state.queue.remove(next))
    }

    /// Puts a job into the queue by hand: one that was given back or snoozed.
    pub fn put_job(&self, job: NewJob) -> JobId {
        self.lock().enqueue(job)
    }
}
