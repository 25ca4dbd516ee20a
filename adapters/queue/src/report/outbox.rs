//! What was reported and isn't written yet: in memory, bounded.

use std::collections::HashMap;
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Instant;

use tokio::sync::Notify;

use super::LogLevel;
use crate::dispatch::text;

/// The most lines that wait.
const LINES: usize = 10_000;
/// The most of them, should it be full, that say at an attempt's end what was dropped.
const LAST_WORDS: usize = 10_000;
/// The most bytes of lines that wait.
const BYTES: usize = 8 << 20;
/// The most jobs whose progress waits.
const JOBS: usize = 10_000;
/// The most lines of an attempt.
const LINES_OF_ATTEMPT: u32 = 10_000;
/// The most bytes of a line.
const LINE: usize = 8 << 10;
/// The most bytes of a note.
const NOTE: usize = 1 << 10;

#[derive(Debug, Clone)]
pub(crate) struct Line {
    pub(crate) id: i64,
    pub(crate) attempt: i32,
    pub(crate) epoch: i32,
    pub(crate) level: LogLevel,
    pub(crate) at: Instant,
    pub(crate) text: String,
}

#[derive(Debug, Clone)]
pub(crate) struct Step {
    pub(crate) attempt: i32,
    pub(crate) epoch: i32,
    pub(crate) done: i64,
    pub(crate) total: i64,
    pub(crate) at: Instant,
    pub(crate) note: String,
}

/// What is written together.
#[derive(Debug, Default)]
pub(crate) struct Batch {
    pub(crate) lines: Vec<Line>,
    pub(crate) steps: HashMap<i64, Step>,
    bytes: usize,
}

impl Batch {
    pub(crate) fn is_empty(&self) -> bool {
        self.lines.is_empty() && self.steps.is_empty()
    }
}

/// The reports of all attempts of a worker.
#[derive(Debug, Default)]
pub(crate) struct Outbox {
    batch: Mutex<Batch>,
    /// Something is there.
    pub(crate) filled: Notify,
    /// It is half full.
    pub(crate) hurry: Notify,
}

impl Outbox {
    fn lock(&self) -> MutexGuard<'_, Batch> {
        self.batch.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(crate) fn take(&self) -> Batch {
        std::mem::take(&mut self.lock())
    }

    /// False if there is no room, and not even `most` lines wait.
    fn push(&self, line: Line, most: usize) -> bool {
        let mut batch = self.lock();
        let is_full = batch.lines.len() >= LINES || batch.bytes + line.text.len() > BYTES;
        if is_full && batch.lines.len() >= most {
            return false;
        }
        batch.bytes += line.text.len();
        batch.lines.push(line);
        let half = batch.lines.len() >= LINES / 2 || batch.bytes >= BYTES / 2;
        drop(batch);
        self.filled.notify_one();
        if half {
            self.hurry.notify_one();
        }
        true
    }

    /// The newest of a job counts.
    fn step(&self, id: i64, step: Step) {
        let mut batch = self.lock();
        let is_stale = batch.steps.get(&id).is_some_and(|old| old.epoch > step.epoch);
        if is_stale || (batch.steps.len() >= JOBS && !batch.steps.contains_key(&id)) {
            return;
        }
        batch.steps.insert(id, step);
        drop(batch);
        self.filled.notify_one();
    }
}

/// Where one attempt reports to.
#[derive(Debug, Default)]
pub(crate) struct Source {
    outbox: Arc<Outbox>,
    id: i64,
    attempt: i32,
    epoch: i32,
    lines: AtomicU32,
    dropped: AtomicU32,
}

impl Source {
    pub(crate) fn new(outbox: &Arc<Outbox>, id: i64, attempt: i32, epoch: i32) -> Self {
        Self {
            outbox: Arc::clone(outbox),
            id,
            attempt,
            epoch,
            lines: AtomicU32::new(0),
            dropped: AtomicU32::new(0),
        }
    }

    pub(super) fn log(&self, level: LogLevel, line: String) {
        let in_limit = self
            .lines
            .fetch_update(Ordering::AcqRel, Ordering::Acquire, |lines| {
                (lines < LINES_OF_ATTEMPT).then_some(lines + 1)
            });
        if in_limit.is_err() {
            self.drop_line("limit");
            return;
        }
        self.note_dropped(0);
        if !self.push(level, cut(text(line), LINE), 0) {
            self.drop_line("full");
        }
    }

    pub(super) fn progress(&self, done: u64, total: u64, note: String) {
        let step = Step {
            attempt: self.attempt,
            epoch: self.epoch,
            done: i64::try_from(done).unwrap_or(i64::MAX),
            total: i64::try_from(total).unwrap_or(i64::MAX),
            at: Instant::now(),
            note: cut(text(note), NOTE),
        };
        self.outbox.step(self.id, step);
    }

    fn push(&self, level: LogLevel, line: String, most: usize) -> bool {
        let line = Line {
            id: self.id,
            attempt: self.attempt,
            epoch: self.epoch,
            level,
            at: Instant::now(),
            text: line,
        };
        self.outbox.push(line, most)
    }

    fn drop_line(&self, reason: &'static str) {
        self.dropped.fetch_add(1, Ordering::AcqRel);
        metrics::counter!("codex_k8s_queue_log_lines_dropped_total", "reason" => reason).increment(1);
    }

    /// In the place where they are missing.
    fn note_dropped(&self, most: usize) {
        let dropped = self.dropped.swap(0, Ordering::AcqRel);
        if dropped > 0 && !self.push(LogLevel::Warn, format!("{dropped} lines dropped"), most) {
            self.dropped.fetch_add(dropped, Ordering::AcqRel);
        }
    }
}

impl Drop for Source {
    fn drop(&mut self) {
        self.note_dropped(LINES + LAST_WORDS);
    }
}

/// The beginning of a text, with a word about the rest.
fn cut(mut text: String, bytes: usize) -> String {
    if text.len() > bytes {
        let end = text.floor_char_boundary(bytes);
        let rest = text.len() - end;
        text.truncate(end);
        return format!("{text}… ({rest} bytes cut)");
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_full_outbox_drops_lines_and_says_how_many_once_there_is_room() {
        let outbox = Arc::default();
        let flood = Source::new(&outbox, 1, 1, 1);
        for _ in 0..LINES {
            flood.log(LogLevel::Info, "x".into());
        }
        let other = Source::new(&outbox, 2, 1, 1);
        other.log(LogLevel::Info, "lost".into());
        other.log(LogLevel::Info, "lost".into());
        assert_eq!(outbox.take().lines.len(), LINES);
        other.log(LogLevel::Info, "kept".into());
        let lines: Vec<String> = outbox.take().lines.into_iter().map(|line| line.text).collect();
        assert_eq!(lines, ["2 lines dropped", "kept"]);
        flood.log(LogLevel::Info, "past the limit of an attempt".into());
        drop(flood);
        assert_eq!(outbox.take().lines[0].text, "1 lines dropped");
    }

    #[test]
    fn bytes_are_bounded_too() {
        let outbox = Arc::default();
        let source = Source::new(&outbox, 1, 1, 1);
        for _ in 0..2_000 {
            source.log(LogLevel::Info, "ü".repeat(20_000));
        }
        let batch = outbox.take();
        assert!(batch.bytes <= BYTES && batch.lines.len() < 2_000);
        assert!(batch.lines[0].text.ends_with("… (31808 bytes cut)"));
    }
}
