//! The command line: what there is, and nothing of what it does.

use clap::{Parser, Subcommand};

use crate::dev::exec::Exec;

/// Runs AI agents in Kubernetes when GitHub asks for it.
#[derive(Debug, Parser)]
#[command(name = "codex-k8s", version, arg_required_else_help = true)]
pub(crate) struct Cli {
    #[command(subcommand)]
    pub(crate) command: Command,
}

/// What to do.
#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// Runs the whole product on this machine
    Dev(Dev),
}

/// Arguments of `dev`.
#[derive(Debug, clap::Args)]
#[command(args_conflicts_with_subcommands = true)]
pub(crate) struct Dev {
    #[command(subcommand)]
    pub(crate) command: Option<DevCommand>,
}

/// Parts of `dev` that stand alone.
#[derive(Debug, Subcommand)]
pub(crate) enum DevCommand {
    /// Runs a command beside a throw-away PostgreSQL (its URL is in CODEX_K8S_TEST_DATABASE_URL)
    Exec(Exec),
}
