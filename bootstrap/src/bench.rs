//! `codex-k8s bench`: measures the product with the product's own parts.

mod console;
mod database;
mod queue;
mod webhook;

use anyhow::Result;

use crate::config::Environment;

/// Arguments of `bench`.
#[derive(Debug, clap::Args)]
pub(crate) struct Bench {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, clap::Subcommand)]
enum Command {
    /// Measures the job queue beside the floor of bare SQL
    Queue(queue::Arguments),
    /// A worker process of `bench queue`
    #[command(hide = true)]
    Worker(queue::workers::Arguments),
    /// Posts signed webhooks and measures their acknowledgement
    Webhook(webhook::Arguments),
    /// Asks for what the console shows over a million jobs, and measures its live updates
    Console(console::Arguments),
}

/// Measures what was asked for.
pub(crate) async fn run(env: &Environment, bench: Bench) -> Result<()> {
    match bench.command {
        Command::Queue(arguments) => queue::run(env, arguments).await,
        Command::Worker(arguments) => queue::workers::run(env, arguments).await,
        Command::Webhook(arguments) => webhook::run(env, arguments).await,
        Command::Console(arguments) => console::run(env, arguments).await,
    }
}
