//! The model: the queue as plain data. It says what each step must leave behind; it knows nothing of SQL.
//! Time passes in whole hours, far longer than a case takes.

use std::collections::BTreeMap;

use crate::{OnConflict, Verdict};

/// Where an unfinished job is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Place {
    /// Until this hour.
    Waiting(i64),
    Ready,
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
    pub(super) priority: i16,
    pub(super) key: Option<String>,
    pub(super) args: i64,
    /// Arguments and hour of another run.
    pub(super) rerun: Option<(i64, i64)>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Finished {
    pub(super) state: i16,
    pub(super) attempt: i32,
    pub(super) worker: Option<i32>,
    pub(super) key: Option<String>,
    pub(super) args: i64,
    /// Not compared: what a new life begins with.
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
}

impl World {
    fn place(&self, delay: i64) -> Place {
        if delay == 0 {
            Place::Ready
        } else {
            Place::Waiting(self.hour + delay)
        }
    }

    pub(super) fn holder(&self, key: &str) -> Option<i64> {
        let holds = |job: &Job| job.key.as_deref() == Some(key);
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

    pub(super) fn add(
        &mut self,
        id: i64,
        delay: i64,
        priority: i16,
        max_attempts: i32,
        key: Option<String>,
        args: i64,
    ) {
        let job = Job {
            place: self.place(delay),
            epoch: 0,
            attempt: 0,
            max_attempts,
            rescues: 0,
            priority,
            key,
            args,
            rerun: None,
        };
        assert!(self.jobs.insert(id, job).is_none(), "job {id} is there twice");
    }

    pub(super) fn ready(&self) -> usize {
        self.jobs.values().filter(|job| job.place == Place::Ready).count()
    }

    pub(super) fn claim(&mut self, id: i64, worker: i32) -> (i32, i32) {
        let job = self.jobs.get_mut(&id).expect("only unfinished jobs are claimed");
        assert_eq!(job.place, Place::Ready, "job {id} was claimed");
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
            key: job.key.clone(),
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

    /// Puts due jobs in line.
    pub(super) fn promote(&mut self) {
        for job in self.jobs.values_mut() {
            if matches!(job.place, Place::Waiting(until) if until <= self.hour) {
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
