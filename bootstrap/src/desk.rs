//! `codex-k8s queue`: the operator's desk at the database itself, for when there is no gateway or the matter is
//! bigger than one job. Every change is written to `queue.audit`.

mod author;
mod change;
mod choice;
mod drain;
mod enqueue;
mod health;
mod limits;
mod pause;
mod schedules;
mod show;

use std::process::ExitCode;

use anyhow::Result;
use clap::Subcommand;
use queue::{Change, Queue};
use serde_json::Value;

use crate::config::{Database, Environment, Log, variables};
use crate::process::{database, observe, signals};

/// Arguments of `queue`.
#[derive(Debug, clap::Args)]
pub(crate) struct Desk {
    #[command(subcommand)]
    command: Command,
    /// Prints JSON
    #[arg(long, global = true)]
    json: bool,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Counts unfinished jobs per queue
    Counts,
    /// Says what is wrong, who pins the oldest snapshot, and what to do; fails if something is
    Health(health::Thresholds),
    /// Lists the workers that live
    Workers,
    /// Asks a worker to finish what it runs and to leave
    Drain(drain::Drained),
    /// Lists jobs, newest first
    List(choice::Listed),
    /// Says why a job is not running, and what to do
    Why {
        /// The job's identifier
        id: i64,
    },
    /// Tells who changed what
    Audit(show::Audited),
    /// Runs dead, cancelled or scheduled jobs now
    Retry(change::Wish),
    /// Ends jobs; running ones are asked to stop
    Cancel(change::Wish),
    /// Removes jobs that don't run
    Delete(change::Wish),
    /// Gives waiting jobs another time
    Reschedule(change::Reschedule),
    /// Gives waiting jobs another priority
    Priority(change::Priority),
    /// Enqueues a job
    Enqueue(enqueue::New),
    /// Starts no more jobs of a queue, a kind or a tenant; what runs goes on
    Pause(pause::Paused),
    /// Ends a pause
    Resume(pause::Paused),
    /// Lists what is paused
    Pauses,
    /// Shows the queues' limits, or changes those that are given
    Limits(limits::Limited),
    /// Shows and steers schedules
    Schedules(schedules::Schedules),
}

/// Does what was asked.
pub(crate) async fn run(env: &Environment, desk: Desk) -> Result<ExitCode> {
    if env.text(&variables::LOG)?.is_some() {
        observe::log(&Log::read(env)?)?;
    }
    let shutdown = signals::shutdown(false)?;
    let database = Database {
        max_connections: 2,
        ..Database::read(env)?
    };
    let store = database::connect(&database, "codex-k8s queue", &shutdown).await?;
    let done = tokio::select! {
        done = answer(store.queue(), desk) => done,
        () = shutdown.cancelled() => Err(anyhow::anyhow!("told to stop; what was changed until now stays changed")),
    };
    store.close().await;
    done
}

async fn answer(queue: &Queue, desk: Desk) -> Result<ExitCode> {
    let json = desk.json;
    match desk.command {
        Command::Counts => show::counts(queue, json).await?,
        Command::Health(thresholds) => return health::run(queue, &thresholds, json).await,
        Command::Workers => show::workers(queue, json).await?,
        Command::Drain(drained) => drain::run(queue, drained, json).await?,
        Command::List(listed) => show::list(queue, &listed, json).await?,
        Command::Why { id } => return show::why(queue, id, json).await,
        Command::Audit(audited) => show::audit(queue, &audited, json).await?,
        Command::Retry(wish) => return change::run(queue, wish, Change::Retry, json).await,
        Command::Cancel(wish) => return change::run(queue, wish, Change::Cancel, json).await,
        Command::Delete(wish) => return change::run(queue, wish, Change::Delete, json).await,
        Command::Reschedule(wish) => {
            let change = Change::Reschedule(wish.when()?);
            return change::run(queue, wish.wish, change, json).await;
        }
        Command::Priority(wish) => {
            return change::run(queue, wish.wish, Change::Priority(wish.to), json).await;
        }
        Command::Enqueue(new) => enqueue::run(queue, new, json).await?,
        Command::Pause(paused) => pause::run(queue, paused, true, json).await?,
        Command::Resume(paused) => pause::run(queue, paused, false, json).await?,
        Command::Pauses => pause::list(queue, json).await?,
        Command::Limits(limited) => limits::run(queue, limited, json).await?,
        Command::Schedules(schedules) => schedules::run(queue, schedules, json).await?,
    }
    Ok(ExitCode::SUCCESS)
}

fn print(answer: &Value, json: bool, people: impl FnOnce(&Value) -> String) -> Result<()> {
    if json {
        println!("{}", serde_json::to_string_pretty(answer)?);
    } else {
        print!("{}", people(answer));
    }
    Ok(())
}
