//! `codex-k8s dev`: the whole product on one machine that has nothing but Rust, Node and Python.
//!
//! [`start`] brings everything up in order, `services` keeps gateway and worker running as processes of their
//! own (so that one can be killed to see what happens), [`demo`] gives it something to show, [`state`] leaves what
//! the other commands need to find it, and [`exec`] gives a command a throw-away database.

mod counterparts;
pub(crate) mod demo;
pub(crate) mod exec;
mod lock;
mod people;
mod ports;
mod progress;
mod services;
mod start;
pub(crate) mod state;

pub(crate) use start::run;

/// The project that `dev` seeds.
const DEMO_PROJECT: &str = "demo";
/// How many of its runs may prepare or run at once.
const DEMO_SLOTS: i32 = 4;
/// The repository of GitHub's example payloads.
pub(crate) const DEMO_REPOSITORY: &str = "Codertocat/Hello-World";
/// How many issues the simulated repository has.
pub(crate) const DEMO_ISSUES: i64 = 100;

/// Arguments of `dev`.
#[derive(Debug, clap::Args)]
#[command(args_conflicts_with_subcommands = true)]
pub(crate) struct Dev {
    #[command(subcommand)]
    pub(crate) command: Option<Command>,
    /// Throws the data of earlier starts away first
    #[arg(long)]
    reset: bool,
    /// The gateway's port; the other parts take the next ones where they are free
    #[arg(long, default_value_t = 8080, value_parser = clap::value_parser!(u16).range(1..=65000))]
    port: u16,
    /// Where the data is kept (CODEX_K8S_DATA_DIR)
    #[arg(long)]
    data_dir: Option<std::path::PathBuf>,
    /// Makes no events by itself; what the first start shows is there
    #[arg(long)]
    quiet: bool,
    /// Shows nothing by itself: one project, no runs, no events
    #[arg(long)]
    empty: bool,
}

/// Parts of `dev` that stand alone.
#[derive(Debug, clap::Subcommand)]
pub(crate) enum Command {
    /// Runs a command beside a throw-away PostgreSQL (its URL is in CODEX_K8S_TEST_DATABASE_URL)
    Exec(exec::Exec),
    /// Does an agent's work in the demo; runs inside a run's simulated pod
    #[command(hide = true)]
    Agent,
}
