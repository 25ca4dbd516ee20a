//! The command line: what there is, and nothing of what it does.

use clap::{Parser, Subcommand};

use crate::bench::Bench;
use crate::config::variables;
use crate::desk::Desk;
use crate::dev::Dev;
use crate::process::{gateway, worker};
use crate::simulate::Webhook;
use crate::staff::{Deliveries, Jobs, Login, Runs};

/// Runs AI agents in Kubernetes when GitHub asks for it.
#[derive(Debug, Parser)]
#[command(name = "codex-k8s", version, arg_required_else_help = true, after_long_help = variables::table())]
pub(crate) struct Cli {
    #[command(subcommand)]
    pub(crate) command: Command,
}

/// What to do.
#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// Runs the whole product on this machine
    Dev(Dev),
    /// Receives webhooks and serves the staff API
    Gateway(gateway::Arguments),
    /// Runs jobs
    Worker(worker::Arguments),
    /// Brings the database's schema up to date
    Migrate,
    /// Gets a personal token for the staff commands, by a code that is confirmed in the browser
    Login(Login),
    /// Revokes that token
    Logout,
    /// Shows and steers jobs
    Jobs(Jobs),
    /// Shows and steers the queue at the database itself
    Queue(Box<Desk>),
    /// Shows runs and what their agents wrote
    Runs(Runs),
    /// Shows webhook deliveries and replays them
    Deliveries(Deliveries),
    /// Sends webhooks as GitHub would
    Webhook(Webhook),
    /// Measures
    Bench(Bench),
    /// Does a run's work; runs inside its pod
    Agent,
}
