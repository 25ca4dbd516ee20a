//! The one binary, `codex-k8s`: the only place that knows every crate and puts them together.

mod child;
mod cli;
mod dev;

use std::process::ExitCode;

use clap::Parser;

use crate::cli::{Cli, Command, DevCommand};

#[tokio::main]
async fn main() -> ExitCode {
    let cli = Cli::parse();
    match run(cli).await {
        Ok(code) => code,
        Err(error) => {
            eprintln!("codex-k8s: {error:#}");
            ExitCode::FAILURE
        }
    }
}

async fn run(cli: Cli) -> anyhow::Result<ExitCode> {
    match cli.command {
        Command::Dev(dev) => match dev.command {
            Some(DevCommand::Exec(exec)) => dev::exec::run(exec).await,
            None => anyhow::bail!("not wired yet"),
        },
    }
}
