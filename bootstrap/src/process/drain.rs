//! `codex-k8s worker drain`: asks a worker to finish and leave, and waits for it. For a pod's preStop hook.

use std::time::Duration;

use anyhow::{Context, Result, bail};
use tokio::time::Instant;

use super::{database, observe, signals};
use crate::config::{Database, Environment, Log};

/// Between two looks.
const LOOK: Duration = Duration::from_millis(250);

/// Arguments of `worker drain`.
#[derive(Debug, clap::Args)]
pub(crate) struct Drain {
    /// The worker's name: its host's, in Kubernetes the pod's (HOSTNAME)
    #[arg(long)]
    name: Option<String>,
    /// How long to wait for it: 90, 90s or 5m
    #[arg(long, default_value = "60s", value_parser = parse_wait)]
    wait: Duration,
}

/// Returns when no worker of the name has anything left; fails when it takes too long, or if there has been none.
pub(super) async fn run(env: &Environment, arguments: Drain) -> Result<()> {
    observe::log(&Log::read(env)?)?;
    let Some(name) = arguments.name.or_else(super::worker::host) else {
        bail!("which worker? set --name");
    };
    let shutdown = signals::shutdown(false)?;
    let database = Database {
        max_connections: 1,
        ..Database::read(env)?
    };
    let store = database::connect(&database, "codex-k8s drain", &shutdown).await?;
    let began = Instant::now();
    let queue = store.queue();
    let asked = queue
        .drain_worker(&name)
        .await
        .context("can't ask the worker to drain")?;
    if asked == 0 {
        if !queue.knows_worker(&name).await? {
            bail!(
                "there is no worker named {name}: `codex-k8s queue workers` lists those that live; set --name to one \
                 of them"
            );
        }
        store.close().await;
        println!("{name} has left already");
        return Ok(());
    }
    match asked {
        1 => println!("asked {name} to drain"),
        several => println!("asked {several} workers named {name} to drain"),
    }
    while queue.draining(&name).await? > 0 {
        if began.elapsed() > arguments.wait {
            bail!("{name} still runs jobs after {} s", arguments.wait.as_secs());
        }
        tokio::select! {
            () = tokio::time::sleep(LOOK) => {}
            () = shutdown.cancelled() => bail!("told to stop while {name} drains"),
        }
    }
    store.close().await;
    println!("{name} has no job left");
    Ok(())
}

fn parse_wait(text: &str) -> Result<Duration, String> {
    let (number, unit_s) = match text.strip_suffix('m') {
        Some(number) => (number, 60),
        None => (text.strip_suffix('s').unwrap_or(text), 1),
    };
    let number: u64 = number
        .parse()
        .map_err(|_| format!("`{text}` is no time: write 90, 90s or 5m"))?;
    Ok(Duration::from_secs(number.saturating_mul(unit_s)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_wait_is_given_in_seconds_or_minutes() {
        for (text, seconds) in [("90", 90), ("60s", 60), ("5m", 300)] {
            assert_eq!(parse_wait(text), Ok(Duration::from_secs(seconds)));
        }
        for text in ["", "s", "1h", "-1s"] {
            assert!(parse_wait(text).is_err(), "{text}");
        }
    }
}
