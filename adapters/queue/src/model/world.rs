//! The model: the queue as plain data. It says what each step must leave behind; it knows nothing of SQL.
//! Time passes in whole hours, far longer than a case takes.

use std::collections::{BTreeMap, BTreeSet};

use super::step::Paused;
use crate::{OnConflict, Verdict};

/// Where an unfinished job is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Place {
    /// Until this hour.
    Waiting(i64),
    Ready,
    /// Put aside with its paused kind.
    Aside,
    /// With this worker.
    Held(i32),
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Job {
    pub(super) place: Place,
    pub(super) epoch: i32,
    pub(super) attempt: i32,
    pub(super) max_attempts: i32,
    pub(super) rescues: i16,
    pub(super) kind: i32,
    pub(super) priority: i16,
    pub(super) tenant: Option<String>,
    pub(super) key: Option<String>,
    pub(super) unique: Option<String>,
    pub(super) args: i64,
    /// Arguments and hour of another run.
    pub(super) rerun: Option<(i64, i64)>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Finished {
    pub(super) state: i16,
    pub(super) attempt: i32,
    pub(super) worker: Option<i32>,
    pub(super) args: i64,
    /// What a new life begins with.
    pub(super) job: Job,
}

/// How an attempt ends.
#[derive(Debug, Clone, Copy)]
pub(super) enum How {
    Completed { result: bool },
    Cancelled,
    Dead,
    Retry(i64),
    Snooze(i64),
    Release,
}

#[derive(Debug, Default)]
pub(super) struct World {
    pub(super) hour: i64,
    pub(super) jobs: BTreeMap<i64, Job>,
    pub(super) history: BTreeMap<i64, Finished>,
    /// How many failed attempts each job has on record.
    pub(super) failures: BTreeMap<i64, i64>,
    queue_paused: bool,
    paused_kinds: BTreeSet<i32>,
    paused_tenants: BTreeSet<String>,
}

impl World {
    pub(super) fn place(&self, delay: i64) -> Place {
        if delay == 0 {
            Place::Ready
        } else {
            Place::Waiting(self.hour + delay)
        }
    }

    pub(super) fn holder(&self, key: &str) -> Option<i64> {
        let holds = |job: &Job| job.unique.as_deref() == Some(key);
        self.jobs.iter().find(|(_, job)| holds(job)).map(|(id, _)| *id)
    }

    /// The unfinished job that stands for it already, and the verdict; `None` for a new one.
    pub(super) fn conflict(
        &mut self,
        key: &str,
        on_conflict: OnConflict,
        delay: i64,
        args: i64,
    ) -> Option<(i64, Verdict)> {
        let (hour, place) = (self.hour, self.place(delay));
        let id = self.holder(key)?;
        let job = self.jobs.get_mut(&id)?;
        match (on_conflict, job.place) {
            (OnConflict::Keep, _) => return Some((id, Verdict::Kept)),
            (OnConflict::Hasten, Place::Held(_)) => {
                let at = job.rerun.map_or(hour + delay, |(_, at)| at.min(hour + delay));
                job.rerun = Some((args, at));
                return Some((id, Verdict::Replaced));
            }
            (_, Place::Held(_)) => {
                job.rerun = Some((args, hour + delay));
                return Some((id, Verdict::Replaced));
            }
            (OnConflict::Hasten, old) => {
                job.place = match (old, place) {
                    (Place::Waiting(old), Place::Waiting(new)) => Place::Waiting(old.min(new)),
                    _ => Place::Ready,
                }
            }
            (_, _) => job.place = place,
        }
        job.args = args;
        Some((id, Verdict::Replaced))
    }

    pub(super) fn add(&mut self, id: i64, job: Job) {
        assert!(self.jobs.insert(id, job).is_none(), "job {id} is there twice");
    }

    /// Says whether that changes anything.
    pub(super) fn pause(&mut self, what: &Paused, on: bool, kind_id: impl Fn(usize) -> i32) -> bool {
        fn put<T: Ord>(set: &mut BTreeSet<T>, what: T, on: bool) -> bool {
            if on { set.insert(what) } else { set.remove(&what) }
        }
        match what {
            Paused::Queue => std::mem::replace(&mut self.queue_paused, on) != on,
            Paused::Kind(kind) => put(&mut self.paused_kinds, kind_id(*kind), on),
            Paused::Tenant(tenant) => put(&mut self.paused_tenants, tenant.clone(), on),
        }
    }

    fn may_start(&self, job: &Job) -> bool {
        let tenant_paused = |tenant: &String| self.paused_tenants.contains(tenant);
        !self.queue_paused
            && job.place == Place::Ready
            && !self.paused_kinds.contains(&job.kind)
            && !job.tenant.as_ref().is_some_and(tenant_paused)
    }

    /// How many jobs a worker may claim now.
    pub(super) fn startable(&self) -> usize {
        self.jobs.values().filter(|job| self.may_start(job)).count()
    }

    /// A claim has met a job of a paused kind.
    pub(super) fn put_aside(&mut self, id: i64) {
        let job = self
            .jobs
            .get_mut(&id)
            .expect("only unfinished jobs are put aside");
        assert_eq!(job.place, Place::Ready, "job {id} was put aside");
        assert!(self.paused_kinds.contains(&job.kind), "job {id} was put aside");
        job.place = Place::Aside;
        job.epoch += 1;
    }

    pub(super) fn claim(&mut self, id: i64, worker: i32) -> (i32, i32) {
        assert!(self.may_start(&self.jobs[&id]), "job {id} was claimed");
        let job = self.jobs.get_mut(&id).expect("only unfinished jobs are claimed");
        job.place = Place::Held(worker);
        job.epoch += 1;
        job.attempt += 1;
        (job.epoch, job.attempt)
    }

    pub(super) fn stands(&self, id: i64, epoch: i32, worker: i32) -> bool {
        self.jobs
            .get(&id)
            .is_some_and(|job| job.epoch == epoch && job.place == Place::Held(worker))
    }

    fn bury(&mut self, id: i64, state: i16, worker: Option<i32>) -> Job {
        let job = self.jobs.remove(&id).expect("only unfinished jobs end");
        let finished = Finished {
            state,
            attempt: job.attempt,
            worker,
            args: job.args,
            job: job.clone(),
        };
        assert!(
            self.history.insert(id, finished).is_none(),
            "job {id} ended twice"
        );
        job
    }

    /// Ends an attempt whose lease stands. Returns the job that runs its arguments anew, where one was noted.
    pub(super) fn end(&mut self, id: i64, worker: i32, how: How) -> Option<Job> {
        let state = match how {
            How::Completed { .. } => 0,
            How::Cancelled => 1,
            How::Dead => 2,
            How::Retry(_) | How::Snooze(_) | How::Release => {
                self.put_back(id, how);
                return None;
            }
        };
        if state == 2 {
            *self.failures.entry(id).or_default() += 1;
        }
        let job = self.bury(id, state, Some(worker));
        let (args, at) = job.rerun?;
        Some(Job {
            place: if at <= self.hour {
                Place::Ready
            } else {
                Place::Waiting(at)
            },
            epoch: 0,
            attempt: 0,
            rescues: 0,
            args,
            rerun: None,
            ..job
        })
    }

    fn put_back(&mut self, id: i64, how: How) {
        let hour = self.hour;
        let job = self.jobs.get_mut(&id).expect("it is held");
        let rerun = job.rerun.take();
        let until = |delay: i64| (hour + delay).min(rerun.map_or(i64::MAX, |(_, at)| at));
        job.place = match how {
            How::Retry(delay) | How::Snooze(delay) => Place::Waiting(until(delay)),
            _ => Place::Ready,
        };
        if matches!(how, How::Retry(_)) {
            *self.failures.entry(id).or_default() += 1;
        } else {
            job.attempt -= 1;
        }
        job.args = rerun.map_or(job.args, |(args, _)| args);
        job.epoch += 1;
    }

    /// Takes everything from a worker that died.
    pub(super) fn rescue(&mut self, worker: i32, silent: bool) {
        let held: Vec<i64> = self
            .jobs
            .iter()
            .filter(|(_, job)| job.place == Place::Held(worker))
            .map(|(id, _)| *id)
            .collect();
        for id in held {
            let job = self.jobs.get_mut(&id).expect("it was there just now");
            let suspected = silent && job.rescues >= 3 && job.rerun.is_none();
            job.place = Place::Ready;
            job.epoch += 1;
            match job.rerun.take() {
                Some((args, _)) => (job.args, job.rescues) = (args, 0),
                None => job.rescues += i16::from(silent),
            }
            if !suspected {
                job.attempt -= 1;
                continue;
            }
            let poison = job.rescues >= 10 || job.attempt >= job.max_attempts;
            *self.failures.entry(id).or_default() += 1;
            if poison {
                self.bury(id, 2, None);
            }
        }
    }

    /// Puts due jobs in line, and back those of kinds that aren't paused any more.
    pub(super) fn promote(&mut self) {
        for job in self.jobs.values_mut() {
            let due = match job.place {
                Place::Waiting(until) => until <= self.hour,
                Place::Aside => !self.paused_kinds.contains(&job.kind),
                _ => false,
            };
            if due {
                job.place = Place::Ready;
            }
        }
    }

    /// Cancels a job that nobody has; false where that is not so.
    pub(super) fn cancel(&mut self, id: i64) -> bool {
        let free = |job: &Job| !matches!(job.place, Place::Held(_));
        let cancelled = self.jobs.get(&id).is_some_and(free);
        if cancelled {
            self.bury(id, 1, None);
        }
        cancelled
    }

    /// Brings a dead or cancelled job back under this epoch.
    pub(super) fn revive(&mut self, id: i64, epoch: i32) {
        let finished = self.history.remove(&id).expect("it is finished");
        let job = Job {
            place: Place::Ready,
            epoch,
            attempt: 0,
            rescues: 0,
            rerun: None,
            ..finished.job
        };
        assert!(self.jobs.insert(id, job).is_none());
    }
}
