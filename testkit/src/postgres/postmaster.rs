//! The server's process and the thread that stands for it.
//!
//! The thread starts the process and lives as long as it: on Linux the process is told when the *thread* that
//! started it ends, so the thread has to be one that ends with this program and never earlier.

use std::os::unix::process::CommandExt;
use std::process::{Command, ExitStatus};
use std::time::Duration;

use anyhow::{Context, Result};
use rustix::process::{Pid, Signal, kill_process};
use tokio::sync::watch;

/// A running (or ended) server process.
#[derive(Debug)]
pub(super) struct Postmaster {
    pid: Pid,
    exit: watch::Receiver<Option<ExitStatus>>,
}

impl Postmaster {
    /// Starts it in a process group of its own, so that Ctrl-C in a terminal reaches us and not it.
    pub(super) fn spawn(mut command: Command) -> Result<Self> {
        command.process_group(0);
        let (report_exit, exit) = watch::channel(None);
        let (report_start, started) = std::sync::mpsc::sync_channel(1);
        std::thread::Builder::new()
            .name("postmaster".into())
            .spawn(move || match command.spawn() {
                Ok(mut child) => {
                    let _ = report_start.send(Ok(child.id()));
                    let _ = report_exit.send(child.wait().ok());
                }
                Err(error) => {
                    let _ = report_start.send(Err(error));
                }
            })?;
        let pid = started
            .recv()
            .context("the postmaster's thread ended")?
            .context("can't start PostgreSQL")?;
        let pid = i32::try_from(pid)
            .ok()
            .and_then(Pid::from_raw)
            .context("a process without a number")?;
        Ok(Self { pid, exit })
    }

    pub(super) fn pid(&self) -> i32 {
        self.pid.as_raw_nonzero().get()
    }

    pub(super) fn exited(&self) -> Option<ExitStatus> {
        *self.exit.borrow()
    }

    /// Waits for its end.
    pub(super) async fn wait(&self) -> Option<ExitStatus> {
        let mut exit = self.exit.clone();
        let status = exit.wait_for(Option::is_some).await;
        status.ok().and_then(|status| *status)
    }

    /// Sends the signal, if it still runs.
    pub(super) fn signal(&self, signal: Signal) {
        if self.exited().is_none() {
            let _ = kill_process(self.pid, signal);
        }
    }

    /// Ends it: `signal` first, SIGQUIT after `patience`, SIGKILL after 5 s more.
    pub(super) async fn end(&self, signal: Signal, patience: Duration) {
        for (signal, patience) in [
            (signal, patience),
            (Signal::QUIT, Duration::from_secs(5)),
            (Signal::KILL, Duration::from_secs(5)),
        ] {
            self.signal(signal);
            if tokio::time::timeout(patience, self.wait()).await.is_ok() {
                return;
            }
        }
    }

    /// Ends it at once, without a runtime: for `Drop`.
    pub(super) fn end_now(&self, signal: Signal) {
        self.signal(signal);
        for _ in 0..500 {
            if self.exited().is_some() {
                return;
            }
            std::thread::sleep(Duration::from_millis(10));
        }
        self.signal(Signal::KILL);
    }
}
