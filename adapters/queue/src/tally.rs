//! What this process runs of a queue with limits, counted from the claim until the end is written.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tokio::sync::Notify;

/// The counts of one queue.
#[derive(Debug, Default)]
pub(crate) struct Tally {
    counts: Mutex<Counts>,
    /// Something ended: a limit may have room again.
    pub(crate) ended: Arc<Notify>,
}

#[derive(Debug, Default)]
struct Counts {
    running: usize,
    keys: HashMap<i64, usize>,
}

/// One job's share, given up with this value.
#[derive(Debug)]
pub(crate) struct Held {
    key: Option<i64>,
    tally: Arc<Tally>,
}

impl Tally {
    pub(crate) fn new(ended: Arc<Notify>) -> Self {
        Self {
            counts: Mutex::default(),
            ended,
        }
    }

    fn lock(&self) -> MutexGuard<'_, Counts> {
        self.counts.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Counts a job that was claimed.
    pub(crate) fn hold(self: &Arc<Self>, key: Option<i64>) -> Held {
        let mut counts = self.lock();
        counts.running += 1;
        if let Some(key) = key {
            *counts.keys.entry(key).or_default() += 1;
        }
        Held {
            key,
            tally: Arc::clone(self),
        }
    }

    /// How many run, and the key of each that has one.
    pub(crate) fn running(&self) -> (usize, Vec<i64>) {
        let counts = self.lock();
        let keys = counts.keys.iter();
        let keys = keys.flat_map(|(key, count)| std::iter::repeat_n(*key, *count));
        (counts.running, keys.collect())
    }
}

impl Drop for Held {
    fn drop(&mut self) {
        let mut counts = self.tally.lock();
        counts.running -= 1;
        if let Some(key) = self.key
            && let Some(count) = counts.keys.get_mut(&key)
        {
            *count -= 1;
            if *count == 0 {
                counts.keys.remove(&key);
            }
        }
        drop(counts);
        self.tally.ended.notify_one();
    }
}
