//! The attempts that run in this process, so that they can be told to stop.

use std::collections::HashMap;
use std::sync::atomic::{AtomicBool, AtomicU8, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use tokio_util::sync::CancellationToken;

/// Why an attempt is to stop.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(u8)]
pub(crate) enum Stop {
    /// Somebody cancelled the job.
    Cancelled = 1,
    /// The worker drains and its grace period is over.
    Drained = 2,
    /// The lease was lost: somebody else may run the job already.
    LeaseLost = 3,
}

/// The reins of one attempt.
#[derive(Debug, Default)]
pub(crate) struct Control {
    token: CancellationToken,
    stop: AtomicU8,
    settled: AtomicBool,
}

impl Control {
    pub(crate) fn token(&self) -> &CancellationToken {
        &self.token
    }

    /// The first reason stands.
    pub(crate) fn stop(&self, why: Stop) {
        let _ = self
            .stop
            .compare_exchange(0, why as u8, Ordering::AcqRel, Ordering::Acquire);
        self.token.cancel();
    }

    pub(crate) fn why(&self) -> Option<Stop> {
        match self.stop.load(Ordering::Acquire) {
            1 => Some(Stop::Cancelled),
            2 => Some(Stop::Drained),
            3 => Some(Stop::LeaseLost),
            _ => None,
        }
    }

    /// The handler completed the job in its own transaction.
    pub(crate) fn settle(&self) {
        self.settled.store(true, Ordering::Release);
    }

    pub(crate) fn is_settled(&self) -> bool {
        self.settled.load(Ordering::Acquire)
    }
}

/// All attempts of this process, by job, until their ends are written.
#[derive(Debug, Default)]
pub(crate) struct Running {
    attempts: Mutex<HashMap<i64, Arc<Control>>>,
    doubt_until: Mutex<Option<Instant>>,
}

/// How long after a lost answer the statement may still be carried out: longer than its timeout.
const DOUBT: Duration = Duration::from_secs(15);

/// An attempt's place among the running ones, given up with this value.
#[derive(Debug)]
pub(crate) struct Begun {
    id: i64,
    control: Arc<Control>,
    running: Arc<Running>,
}

impl Begun {
    pub(crate) fn new(id: i64, control: Arc<Control>, running: &Arc<Running>) -> Self {
        Self {
            id,
            control,
            running: Arc::clone(running),
        }
    }
}

impl Drop for Begun {
    fn drop(&mut self) {
        self.running.end(self.id, &self.control);
    }
}

impl Running {
    fn lock(&self) -> MutexGuard<'_, HashMap<i64, Arc<Control>>> {
        self.attempts.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// A younger attempt of the same job means that the older one has lost its lease.
    pub(crate) fn begin(&self, id: i64) -> Arc<Control> {
        let control = Arc::new(Control::default());
        if let Some(older) = self.lock().insert(id, Arc::clone(&control)) {
            older.stop(Stop::LeaseLost);
        }
        control
    }

    /// Forgets the attempt, unless a younger one of the same job has taken its place.
    fn end(&self, id: i64, control: &Arc<Control>) {
        let mut attempts = self.lock();
        if attempts
            .get(&id)
            .is_some_and(|present| Arc::ptr_eq(present, control))
        {
            attempts.remove(&id);
        }
    }

    pub(crate) fn count(&self) -> usize {
        self.lock().len()
    }

    pub(crate) fn has(&self, id: i64) -> bool {
        self.lock().contains_key(&id)
    }

    /// A claim's answer was lost: the server may have given this worker jobs that it doesn't know of.
    pub(crate) fn doubt(&self) {
        *self.doubt_until.lock().unwrap_or_else(PoisonError::into_inner) = Some(Instant::now() + DOUBT);
    }

    pub(crate) fn is_in_doubt(&self) -> bool {
        let until = *self.doubt_until.lock().unwrap_or_else(PoisonError::into_inner);
        until.is_some_and(|until| Instant::now() < until)
    }

    pub(crate) fn stop(&self, id: i64, why: Stop) {
        if let Some(control) = self.lock().get(&id) {
            control.stop(why);
        }
    }

    /// Stops all of them; says how many.
    pub(crate) fn stop_all(&self, why: Stop) -> usize {
        let attempts = self.lock();
        attempts.values().for_each(|control| control.stop(why));
        attempts.len()
    }
}
