//! Worker processes of the bench: this program, started again.

use std::io::Read;
use std::process::Stdio;
use std::time::Duration;

use anyhow::{Context, Result};
use queue::{By, Queue, bench};
use tokio::process::{Child, Command};
use tokio_util::sync::CancellationToken;

use crate::bench::database::Database;
use crate::config::Environment;

/// How a worker process is started.
#[derive(Debug, Clone, clap::Args)]
pub(crate) struct Arguments {
    /// Jobs that run at once
    #[arg(long)]
    concurrency: usize,
}

/// Worker processes, killed with this value.
pub(super) struct Workers(Vec<Child>);

impl Workers {
    /// Pauses the measured queue, starts so many and waits until they have registered.
    pub(super) async fn start(
        database: &Database,
        queue: &Queue,
        count: u16,
        concurrency: u32,
    ) -> Result<Self> {
        queue
            .pause(
                &mut *queue.pool().acquire().await?,
                bench::QUEUE,
                &By::new("bench"),
            )
            .await?;
        let program = std::env::current_exe().context("finding this program")?;
        let mut workers = Vec::new();
        for _ in 0..count {
            let mut command = Command::new(&program);
            command
                .args(["bench", "worker", "--concurrency", &concurrency.to_string()])
                .env("CODEX_K8S_DATABASE_URL", database.url())
                .stdin(Stdio::piped())
                .stdout(Stdio::null())
                .stderr(Stdio::null())
                .kill_on_drop(true);
            workers.push(command.spawn().context("starting a worker process")?);
        }
        let workers = Self(workers);
        bench::until_registered(queue, i64::from(count)).await?;
        Ok(workers)
    }

    /// Lets them drain, so that nothing is left of them.
    pub(super) async fn stop(self) -> Result<()> {
        for mut worker in self.0 {
            // Waiting for it closes its standard input first.
            worker.wait().await?;
        }
        Ok(())
    }
}

/// `bench worker`: works on the measured queue until its standard input ends, which it does too when the bench dies.
pub(crate) async fn run(env: &Environment, arguments: Arguments) -> Result<()> {
    let database = Database::find(env, None).await?;
    let store = database.connect(4).await?;
    let stop = CancellationToken::new();
    let told = stop.clone();
    // A thread of its own, which nothing waits for: a read of the standard input can't be given up.
    std::thread::spawn(move || {
        let _ = std::io::stdin().read(&mut [0]);
        told.cancel();
    });
    let outcome = bench::worker(store.queue(), arguments.concurrency, Duration::ZERO)
        .run(stop)
        .await;
    store.close().await;
    Ok(outcome?)
}
