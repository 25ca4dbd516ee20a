//! The attempts that run in this process, so that they can be told to stop.

use std::collections::HashMap;
use std::sync::atomic::{AtomicBool, AtomicU8, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

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

/// All attempts of this process, by job.
#[derive(Debug, Default)]
pub(crate) struct Running {
    attempts: Mutex<HashMap<i64, Arc<Control>>>,
}

impl Running {
    fn lock(&self) -> MutexGuard<'_, HashMap<i64, Arc<Control>>> {
        self.attempts.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(crate) fn begin(&self, id: i64) -> Arc<Control> {
        let control = Arc::new(Control::default());
        self.lock().insert(id, Arc::clone(&control));
        control
    }

    /// Forgets the attempt, unless a younger one of the same job has taken its place.
    pub(crate) fn end(&self, id: i64, control: &Arc<Control>) {
        let mut attempts = self.lock();
        if attempts
            .get(&id)
            .is_some_and(|present| Arc::ptr_eq(present, control))
        {
            attempts.remove(&id);
        }
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
