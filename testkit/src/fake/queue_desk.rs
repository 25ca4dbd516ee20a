//! [`QueueDesk`] and [`ScheduleDesk`] in memory: filled by the test, every change noted with who asked for it.

use std::collections::BTreeMap;
use std::sync::Mutex;

use async_trait::async_trait;
use chrono::{DateTime, Utc};
use domain::flow::Author;
use domain::port::{PortError, QueueDesk, ScheduleDesk};
use domain::queue::{
    Limits, LimitsSet, LiveWorker, Pausable, Pause, QueueOverview, Schedule, Switched, Tick,
};
use domain::{JobId, Precondition};

use super::desks::{at_most, lock};

/// When everything is paused here.
const PAUSED_AT: DateTime<Utc> = DateTime::UNIX_EPOCH;

/// Queues and workers in memory.
#[derive(Debug, Default)]
pub struct FakeQueueDesk {
    queues: Mutex<BTreeMap<String, QueueOverview>>,
    pauses: Mutex<Vec<Pause>>,
    workers: Mutex<Vec<LiveWorker>>,
    audit: Mutex<Vec<(String, Author)>>,
}

impl FakeQueueDesk {
    /// Puts a queue on the desk.
    pub fn put(&self, queue: QueueOverview) {
        lock(&self.queues).insert(queue.name.clone(), queue);
    }

    /// Has a worker live.
    pub fn put_worker(&self, worker: LiveWorker) {
        lock(&self.workers).push(worker);
    }

    /// What was done, and by whom.
    pub fn audit(&self) -> Vec<(String, Author)> {
        lock(&self.audit).clone()
    }
}

#[async_trait]
impl QueueDesk for FakeQueueDesk {
    async fn queues(&self) -> Result<Vec<QueueOverview>, PortError> {
        Ok(lock(&self.queues).values().cloned().collect())
    }

    async fn pauses(&self, limit: i64) -> Result<Vec<Pause>, PortError> {
        let pauses = lock(&self.pauses);
        Ok(pauses.iter().rev().take(at_most(limit)).cloned().collect())
    }

    async fn pause(&self, what: &Pausable, paused: bool, by: &Author) -> Result<Switched, PortError> {
        if let Pausable::Queue(queue) | Pausable::Tenant { queue, .. } = what {
            let mut queues = lock(&self.queues);
            let Some(row) = queues.get_mut(queue) else {
                return Ok(Switched::NotFound);
            };
            if matches!(what, Pausable::Queue(_)) {
                row.paused_at = paused.then_some(PAUSED_AT);
            }
        }
        let mut list = lock(&self.pauses);
        if list.iter().any(|pause| pause.what == *what) == paused {
            return Ok(Switched::Unchanged);
        }
        if paused {
            list.push(Pause {
                what: what.clone(),
                paused_at: PAUSED_AT,
            });
        } else {
            list.retain(|pause| pause.what != *what);
        }
        let action = if paused { "pause" } else { "resume" };
        lock(&self.audit).push((format!("{action} {what:?}"), by.clone()));
        Ok(Switched::Done)
    }

    async fn limits(&self, queue: &str) -> Result<Option<Limits>, PortError> {
        Ok(lock(&self.queues).get(queue).map(|row| row.limits))
    }

    async fn set_limits(
        &self,
        queue: &str,
        limits: Limits,
        seen: &Precondition,
        by: &Author,
    ) -> Result<LimitsSet, PortError> {
        let mut queues = lock(&self.queues);
        let Some(row) = queues.get_mut(queue) else {
            return Ok(LimitsSet::NotFound);
        };
        if !seen.holds(Some(&row.limits.version())) {
            return Ok(LimitsSet::Stale);
        }
        row.limits = limits;
        lock(&self.audit).push((format!("limits {queue}"), by.clone()));
        Ok(LimitsSet::Done)
    }

    async fn drain_worker(&self, name: &str, by: &Author) -> Result<Switched, PortError> {
        let mut workers = lock(&self.workers);
        let (mut found, mut asked) = (false, false);
        for worker in workers.iter_mut().filter(|worker| worker.name == name) {
            found = true;
            asked |= worker.draining_at.is_none();
            worker.draining_at.get_or_insert(PAUSED_AT);
        }
        if asked {
            lock(&self.audit).push((format!("drain {name}"), by.clone()));
        }
        Ok(match (found, asked) {
            (false, _) => Switched::NotFound,
            (true, false) => Switched::Unchanged,
            (true, true) => Switched::Done,
        })
    }

    async fn workers(&self) -> Result<Vec<LiveWorker>, PortError> {
        Ok(lock(&self.workers).clone())
    }
}

/// Schedules in memory.
#[derive(Debug, Default)]
pub struct FakeScheduleDesk {
    schedules: Mutex<BTreeMap<String, Schedule>>,
    ticks: Mutex<Vec<(String, Tick)>>,
    audit: Mutex<Vec<(String, Author)>>,
}

impl FakeScheduleDesk {
    /// Puts a schedule on the desk.
    pub fn put(&self, schedule: Schedule) {
        lock(&self.schedules).insert(schedule.name.clone(), schedule);
    }

    /// Lets it have ticked; ticks are put in their order.
    pub fn put_tick(&self, name: &str, tick: Tick) {
        lock(&self.ticks).push((name.to_owned(), tick));
    }

    /// What was done, and by whom.
    pub fn audit(&self) -> Vec<(String, Author)> {
        lock(&self.audit).clone()
    }

    fn note(&self, action: &str, name: &str, by: &Author) {
        lock(&self.audit).push((format!("{action} {name}"), by.clone()));
    }
}

#[async_trait]
impl ScheduleDesk for FakeScheduleDesk {
    async fn list(&self, after: Option<&str>, limit: i64) -> Result<Vec<Schedule>, PortError> {
        let schedules = lock(&self.schedules);
        let later = |schedule: &&Schedule| after.is_none_or(|after| schedule.name.as_str() > after);
        Ok(schedules
            .values()
            .filter(later)
            .take(at_most(limit))
            .cloned()
            .collect())
    }

    async fn get(&self, name: &str) -> Result<Option<Schedule>, PortError> {
        Ok(lock(&self.schedules).get(name).cloned())
    }

    async fn ticks(
        &self,
        name: &str,
        before: Option<DateTime<Utc>>,
        limit: i64,
    ) -> Result<Vec<Tick>, PortError> {
        let ticks = lock(&self.ticks);
        let older = |tick: &Tick| before.is_none_or(|before| tick.at < before);
        Ok(ticks
            .iter()
            .rev()
            .filter(|(of, tick)| of == name && older(tick))
            .take(at_most(limit))
            .map(|(_, tick)| *tick)
            .collect())
    }

    async fn pause(&self, name: &str, paused: bool, by: &Author) -> Result<Switched, PortError> {
        let mut schedules = lock(&self.schedules);
        let Some(schedule) = schedules.get_mut(name) else {
            return Ok(Switched::NotFound);
        };
        if schedule.paused_at.is_some() == paused {
            return Ok(Switched::Unchanged);
        }
        schedule.paused_at = paused.then_some(PAUSED_AT);
        self.note(if paused { "pause" } else { "resume" }, name, by);
        Ok(Switched::Done)
    }

    async fn run_now(&self, name: &str, by: &Author) -> Result<Option<JobId>, PortError> {
        if !lock(&self.schedules).contains_key(name) {
            return Ok(None);
        }
        self.note("run", name, by);
        Ok(Some(JobId(1)))
    }

    async fn remove(&self, name: &str, by: &Author) -> Result<bool, PortError> {
        let is_there = lock(&self.schedules).remove(name).is_some();
        if is_there {
            self.note("remove", name, by);
        }
        Ok(is_there)
    }
}
