//! The one binary, `codex-k8s`: the only place that knows every crate and puts them together.
//!
//! * `process`: `gateway`, `worker` and `migrate`, the product itself; `config` is what they are told.
//! * `dev`: all of it on one machine. `agent`: what runs inside a run's pod.
//! * `staff`: `login`, `jobs`, `runs` and `deliveries` through the gateway's API. `simulate`: webhooks as GitHub's.
//! * `desk`: `queue`, jobs steered at the database itself. `bench`: measurements.

mod agent;
mod bench;
mod child;
mod cli;
mod config;
mod desk;
mod dev;
mod process;
mod simulate;
mod staff;

use std::process::ExitCode;

use anyhow::Result;
use clap::Parser;

use crate::cli::{Cli, Command};
use crate::config::Environment;

#[tokio::main]
async fn main() -> ExitCode {
    let cli = Cli::parse();
    match run(cli.command).await {
        Ok(code) => code,
        Err(error) => {
            eprintln!("codex-k8s: {error:#}");
            ExitCode::FAILURE
        }
    }
}

async fn run(command: Command) -> Result<ExitCode> {
    let env = &Environment::of_this_process();
    match command {
        Command::Dev(dev::Dev {
            command: Some(dev::Command::Exec(exec)),
            ..
        }) => return dev::exec::run(exec).await,
        Command::Dev(dev::Dev {
            command: Some(dev::Command::Agent),
            ..
        }) => return dev::demo::agent::run().await,
        Command::Dev(dev) => return dev::run(env, dev).await,
        Command::Queue(desk) => return desk::run(env, *desk).await,
        Command::Agent => return agent::run(env).await,
        Command::Gateway(arguments) => process::gateway::run(env, arguments).await?,
        Command::Worker(arguments) => process::worker::run(env, arguments).await?,
        Command::Migrate => process::migrate::run(env).await?,
        Command::Login(login) => staff::login(env, login).await?,
        Command::Logout => staff::logout().await?,
        Command::Jobs(jobs) => staff::jobs(&staff::Client::new(env)?, jobs).await?,
        Command::Runs(runs) => staff::runs(&staff::Client::new(env)?, runs).await?,
        Command::Deliveries(deliveries) => staff::deliveries(&staff::Client::new(env)?, deliveries).await?,
        Command::Webhook(webhook) => match webhook.command {
            simulate::Command::Simulate(what) => simulate::run(env, what).await?,
        },
        Command::Bench(bench) => bench::run(env, bench).await?,
    }
    Ok(ExitCode::SUCCESS)
}
