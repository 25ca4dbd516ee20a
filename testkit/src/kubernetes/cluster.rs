//! What every part of the simulator shares.

use std::collections::HashMap;
use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use chrono::{DateTime, Utc};
use domain::Clock;
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;

use super::access::Subject;
use super::kubelet::Logs;
use super::object;
use super::store::Store;

/// What the builder was told.
#[derive(Debug)]
pub(crate) struct Settings {
    pub(crate) tokens: HashMap<String, Subject>,
    /// Put first on the containers' PATH, in this order.
    pub(crate) path_dirs: Vec<PathBuf>,
    /// What an image runs when the container names no command.
    pub(crate) image_commands: HashMap<String, Vec<String>>,
    pub(crate) bookmark_interval: Duration,
    pub(crate) job_backoff: Duration,
    pub(crate) log_limit_bytes: usize,
}

/// Store, clock, logs, faults.
pub(crate) struct Cluster {
    store: Mutex<Store>,
    clock: Arc<dyn Clock>,
    pub(crate) settings: Settings,
    pub(crate) faults: Faults,
    pub(crate) logs: Logs,
    /// Ends every loop and every stream.
    pub(crate) stopped: CancellationToken,
}

impl Cluster {
    pub(crate) fn new(store: Store, clock: Arc<dyn Clock>, settings: Settings) -> Self {
        let logs = Logs::new(settings.log_limit_bytes);
        Self {
            store: Mutex::new(store),
            clock,
            settings,
            faults: Faults::default(),
            logs,
            stopped: CancellationToken::new(),
        }
    }

    /// The store, for as long as one transaction lasts.
    pub(crate) fn store(&self) -> MutexGuard<'_, Store> {
        lock(&self.store)
    }

    pub(crate) fn now(&self) -> DateTime<Utc> {
        self.clock.now()
    }

    /// The time as objects carry it.
    pub(crate) fn timestamp(&self) -> String {
        object::timestamp(self.now())
    }
}

/// A panic while the lock was held must not hide the failure behind a second one.
pub(crate) fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Trouble that a test asks for.
#[derive(Debug, Default)]
pub(crate) struct Faults {
    failures: Mutex<(u16, u32)>,
    delay_ms: AtomicU64,
    watches: watch::Sender<u64>,
    hold_pods: AtomicBool,
}

impl Faults {
    pub(crate) fn fail(&self, code: u16, times: u32) {
        *lock(&self.failures) = (code, times);
    }

    /// The code that this request is to be answered with, if it is one of those to fail.
    pub(crate) fn take_failure(&self) -> Option<u16> {
        let mut failures = lock(&self.failures);
        failures.1 = failures.1.checked_sub(1)?;
        Some(failures.0)
    }

    pub(crate) fn set_delay(&self, delay: Duration) {
        self.delay_ms.store(
            u64::try_from(delay.as_millis()).unwrap_or(u64::MAX),
            Ordering::Relaxed,
        );
    }

    pub(crate) fn delay(&self) -> Duration {
        Duration::from_millis(self.delay_ms.load(Ordering::Relaxed))
    }

    pub(crate) fn drop_watches(&self) {
        self.watches.send_modify(|generation| *generation += 1);
    }

    /// Changes when all watches are to end.
    pub(crate) fn watches(&self) -> watch::Receiver<u64> {
        self.watches.subscribe()
    }

    pub(crate) fn set_hold_pods(&self, hold: bool) {
        self.hold_pods.store(hold, Ordering::Relaxed);
    }

    pub(crate) fn holds_pods(&self) -> bool {
        self.hold_pods.load(Ordering::Relaxed)
    }
}
