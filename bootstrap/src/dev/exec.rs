//! `codex-k8s dev exec -- <command>`: runs a command beside a throw-away PostgreSQL, whose superuser's URL it
//! finds in `CODEX_K8S_TEST_DATABASE_URL`. `make test` runs the tests this way.

use std::process::ExitCode;

use anyhow::{Context, Result};
use testkit::postgres::{Installation, Server, Settings, TEST_DATABASE_URL};
use tokio::signal::unix::{SignalKind, signal};

use crate::child;

/// What to run.
#[derive(Debug, clap::Args)]
pub(crate) struct Exec {
    /// The command and its arguments.
    #[arg(last = true, required = true, value_name = "COMMAND")]
    command: Vec<String>,
}

/// Runs it; the exit code is the command's.
pub(crate) async fn run(exec: Exec) -> Result<ExitCode> {
    // A server that is there already is used: exec within exec, or a server of one's own.
    let server = match std::env::var(TEST_DATABASE_URL) {
        Ok(_) => None,
        Err(_) => Some(start().await?),
    };
    let (program, arguments) = exec.command.split_first().context("no command")?;
    let mut command = tokio::process::Command::new(program);
    command.args(arguments);
    if let Some(server) = &server {
        command.env(TEST_DATABASE_URL, server.url());
    }
    // A terminal sends Ctrl-C to the command too: it ends by itself, and the server is stopped after it.
    let mut interrupt = signal(SignalKind::interrupt())?;
    let mut terminate = signal(SignalKind::terminate())?;
    let mut running = command
        .spawn()
        .with_context(|| format!("can't run `{program}`: is it installed?"))?;
    let status = loop {
        tokio::select! {
            status = running.wait() => break status?,
            _ = interrupt.recv() => {}
            _ = terminate.recv() => child::terminate(&running),
        }
    };
    if let Some(mut server) = server {
        server.crash().await;
    }
    Ok(child::exit_code(status))
}

async fn start() -> Result<Server> {
    let installation =
        tokio::task::spawn_blocking(|| Installation::ensure(&|line| eprintln!("codex-k8s: {line}")))
            .await??;
    Server::throwaway(&installation, Settings::throwaway()).await
}
