//! What containers wrote, line by line, in memory.

use std::collections::{HashMap, VecDeque};
use std::sync::Mutex;

use bytes::Bytes;
use chrono::{DateTime, Utc};
use tokio::sync::watch;

use super::super::cluster::lock;

/// One line without its end.
#[derive(Debug, Clone)]
pub(crate) struct LogLine {
    pub(crate) at: DateTime<Utc>,
    pub(crate) text: Bytes,
}

#[derive(Debug, Default)]
struct ContainerLog {
    lines: VecDeque<LogLine>,
    /// The number of the first line that is still there.
    first: u64,
    bytes: usize,
    finished: bool,
}

/// All logs, by pod and container.
#[derive(Debug)]
pub(crate) struct Logs {
    by_container: Mutex<HashMap<(String, String), ContainerLog>>,
    changed: watch::Sender<u64>,
    limit_bytes: usize,
}

impl Logs {
    pub(crate) fn new(limit_bytes: usize) -> Self {
        Self {
            by_container: Mutex::default(),
            changed: watch::Sender::default(),
            limit_bytes,
        }
    }

    /// Wakes after every line.
    pub(crate) fn subscribe(&self) -> watch::Receiver<u64> {
        self.changed.subscribe()
    }

    /// Begins a log: a reader that follows it waits for the first line.
    pub(crate) fn open(&self, pod_uid: &str, container: &str) {
        lock(&self.by_container)
            .entry((pod_uid.to_owned(), container.to_owned()))
            .or_default();
    }

    /// Adds a line; beyond the limit the oldest go.
    pub(crate) fn append(&self, pod_uid: &str, container: &str, line: LogLine) {
        let mut logs = lock(&self.by_container);
        let log = logs
            .entry((pod_uid.to_owned(), container.to_owned()))
            .or_default();
        log.bytes += line.text.len() + 1;
        log.lines.push_back(line);
        while log.bytes > self.limit_bytes && log.lines.len() > 1 {
            if let Some(oldest) = log.lines.pop_front() {
                log.bytes -= oldest.text.len() + 1;
                log.first += 1;
            }
        }
        drop(logs);
        self.wake();
    }

    /// Says that nothing follows.
    pub(crate) fn finish(&self, pod_uid: &str, container: &str) {
        lock(&self.by_container)
            .entry((pod_uid.to_owned(), container.to_owned()))
            .or_default()
            .finished = true;
        self.wake();
    }

    /// Drops the logs of a pod that is gone.
    pub(crate) fn forget(&self, pod_uid: &str) {
        lock(&self.by_container).retain(|(pod, _), _| pod != pod_uid);
        self.wake();
    }

    /// The number after the last line.
    pub(crate) fn end(&self, pod_uid: &str, container: &str) -> u64 {
        let key = (pod_uid.to_owned(), container.to_owned());
        lock(&self.by_container)
            .get(&key)
            .map_or(0, |log| log.first + log.lines.len() as u64)
    }

    /// The lines from this number on, the number to go on with, and whether nothing follows.
    pub(crate) fn read(&self, pod_uid: &str, container: &str, from: u64) -> (Vec<LogLine>, u64, bool) {
        let key = (pod_uid.to_owned(), container.to_owned());
        let logs = lock(&self.by_container);
        let Some(log) = logs.get(&key) else {
            return (Vec::new(), from, true);
        };
        let skip = usize::try_from(from.saturating_sub(log.first)).unwrap_or(usize::MAX);
        let lines = log.lines.iter().skip(skip).cloned().collect();
        (lines, from.max(log.first + log.lines.len() as u64), log.finished)
    }

    fn wake(&self) {
        self.changed.send_modify(|count| *count += 1);
    }
}
