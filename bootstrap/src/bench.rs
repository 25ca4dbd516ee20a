//! `codex-k8s bench`: measures the product with the product's own parts.

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
    /// Posts signed webhooks and measures their acknowledgement
    Webhook(webhook::Arguments),
}

/// Measures what was asked for.
pub(crate) async fn run(env: &Environment, bench: Bench) -> Result<()> {
    match bench.command {
        Command::Webhook(arguments) => webhook::run(env, arguments).await,
    }
}
