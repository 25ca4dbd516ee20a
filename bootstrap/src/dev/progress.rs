//! What `dev` says while it works: a line per step, with the time since the start.

use std::time::Instant;

/// Says what happens, on standard error.
#[derive(Debug, Clone, Copy)]
pub(super) struct Progress {
    started: Instant,
}

impl Progress {
    pub(super) fn start() -> Self {
        Self {
            started: Instant::now(),
        }
    }

    /// One line.
    pub(super) fn say(self, line: &str) {
        eprintln!("[{:6.1} s] {line}", self.started.elapsed().as_secs_f32());
    }
}
