//! Gateway and worker as processes: started, started again with growing pauses when they end by themselves,
//! told to drain at the end. Their standard input is a pipe from us: when we are gone, however, it ends, and
//! they drain by themselves.

use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::Duration;

use anyhow::{Context, Result, bail};
use tokio::process::{Child, ChildStdin, Command};
use tokio::sync::watch;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use super::progress::Progress;
use crate::child;
use crate::config::variables::Variable;

const FIRST_PAUSE: Duration = Duration::from_millis(500);
const LONGEST_PAUSE: Duration = Duration::from_secs(10);
/// One that ran for so long has recovered: the next pause is a short one again.
const RECOVERED: Duration = Duration::from_secs(30);
/// Longer than the grace period that a service gives its own work.
const DRAIN: Duration = Duration::from_secs(30);
const READY: Duration = Duration::from_mins(1);

/// What to run.
#[derive(Debug, Clone)]
pub(super) struct Service {
    /// The command: `gateway` or `worker`.
    pub(super) name: &'static str,
    /// This program, found before a build could replace it.
    pub(super) program: PathBuf,
    /// Variables that it gets beside those that we have; `None` takes one away.
    pub(super) env: Vec<(String, Option<String>)>,
    /// Where its output goes.
    pub(super) log: PathBuf,
    /// Answers 200 when it is ready.
    pub(super) ready_url: String,
}

/// A service that is kept running.
pub(super) struct Running {
    service: Service,
    /// The present process, and how many have ended.
    life: watch::Receiver<(Option<u32>, u32)>,
    keeper: tokio::task::JoinHandle<()>,
}

/// A process of a service. As long as its standard input is open, it knows that we are there.
struct Process {
    child: Child,
    /// Held apart from the child, whose `wait` would close it.
    _input: Option<ChildStdin>,
}

/// A variable for a service. It gives way to nobody: a file that would hold it instead is taken away.
pub(super) fn variable(variable: &Variable, value: impl Into<String>) -> Vec<(String, Option<String>)> {
    vec![
        (variable.name.to_owned(), Some(value.into())),
        (format!("{}_FILE", variable.name), None),
    ]
}

impl Running {
    /// Starts it and keeps it running until `stop`.
    pub(super) fn start(service: Service, stop: CancellationToken, progress: Progress) -> Result<Self> {
        let first = spawn(&service)?;
        let (report, life) = watch::channel((first.child.id(), 0));
        let keeper = tokio::spawn(keep(service.clone(), first, report, stop, progress));
        Ok(Self {
            service,
            life,
            keeper,
        })
    }

    /// The present process.
    pub(super) fn pid(&self) -> Option<u32> {
        self.life.borrow().0
    }

    /// Waits until it answers; fails with what it logged when it ends instead.
    pub(super) async fn until_ready(&self, http: &reqwest::Client) -> Result<()> {
        let Service {
            name, ready_url, log, ..
        } = &self.service;
        let began = Instant::now();
        while began.elapsed() < READY {
            if self.life.borrow().1 > 0 {
                bail!(
                    "the {name} ended while starting; the end of {}:\n{}",
                    log.display(),
                    tail(log)
                );
            }
            if http
                .get(ready_url)
                .send()
                .await
                .is_ok_and(|answer| answer.status().is_success())
            {
                return Ok(());
            }
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
        bail!(
            "the {name} isn't ready after {} s; the end of {}:\n{}",
            READY.as_secs(),
            log.display(),
            tail(log)
        )
    }

    /// Waits for its end, after `stop`.
    pub(super) async fn ended(self) {
        let _ = self.keeper.await;
    }
}

async fn keep(
    service: Service,
    mut running: Process,
    report: watch::Sender<(Option<u32>, u32)>,
    stop: CancellationToken,
    progress: Progress,
) {
    let mut pause = FIRST_PAUSE;
    let mut ends = 0;
    loop {
        let began = Instant::now();
        let status = tokio::select! {
            status = running.child.wait() => status,
            () = stop.cancelled() => return drain(running).await,
        };
        ends += 1;
        let _ = report.send((None, ends));
        if began.elapsed() > RECOVERED {
            pause = FIRST_PAUSE;
        }
        let how = status.map_or_else(|error| error.to_string(), |status| status.to_string());
        progress.say(&format!(
            "the {} ended ({how}): starting it again in {} ms",
            service.name,
            pause.as_millis()
        ));
        running = loop {
            tokio::select! {
                () = tokio::time::sleep(pause) => {}
                () = stop.cancelled() => return,
            }
            pause = (pause * 2).min(LONGEST_PAUSE);
            match spawn(&service) {
                Ok(process) => break process,
                Err(error) => progress.say(&format!("the {} can't be started: {error:#}", service.name)),
            }
        };
        let _ = report.send((running.child.id(), ends));
    }
}

async fn drain(mut running: Process) {
    child::terminate(&running.child);
    if tokio::time::timeout(DRAIN, running.child.wait()).await.is_err() {
        let _ = running.child.kill().await;
    }
}

fn spawn(service: &Service) -> Result<Process> {
    let log = std::fs::File::options()
        .create(true)
        .append(true)
        .open(&service.log);
    let log = log.with_context(|| format!("can't write {}", service.log.display()))?;
    let mut command = std::process::Command::new(&service.program);
    command.arg(service.name).arg("--with-parent");
    for (name, value) in &service.env {
        match value {
            Some(value) => command.env(name, value),
            None => command.env_remove(name),
        };
    }
    // A process group of its own: Ctrl-C reaches us, and we tell it in our order.
    command
        .process_group(0)
        .stdin(Stdio::piped())
        .stderr(log.try_clone()?)
        .stdout(log);
    let mut command = Command::from(command);
    command.kill_on_drop(true);
    let mut child = command
        .spawn()
        .with_context(|| format!("can't start the {}", service.name))?;
    Ok(Process {
        _input: child.stdin.take(),
        child,
    })
}

fn tail(log: &Path) -> String {
    let text = std::fs::read(log).unwrap_or_default();
    let text = String::from_utf8_lossy(&text);
    let lines: Vec<&str> = text.lines().collect();
    lines[lines.len().saturating_sub(12)..].join("\n")
}
