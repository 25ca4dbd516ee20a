//! The staff commands: what the staff API shows and does, as tables for people or as `--json`.

mod client;
mod deliveries;
mod http;
mod jobs;
mod login;
mod runs;
pub(crate) mod table;

pub(crate) use client::Client;
pub(crate) use deliveries::{Deliveries, run as deliveries};
pub(crate) use jobs::{Jobs, run as jobs};
pub(crate) use login::{Login, login, logout};
pub(crate) use runs::{Runs, run as runs};

use anyhow::Result;
use serde_json::Value;

/// How to print.
#[derive(Debug, Clone, Copy, clap::Args)]
pub(crate) struct Output {
    /// Prints what the API answers, as JSON
    #[arg(long, global = true)]
    json: bool,
}

/// Which page of a list.
#[derive(Debug, clap::Args)]
pub(crate) struct Paging {
    /// At most so many lines (1 to 200)
    #[arg(long, default_value_t = 50, value_parser = clap::value_parser!(u16).range(1..=200))]
    limit: u16,
    /// The `next` that an earlier page ended with
    #[arg(long, value_name = "NEXT")]
    before: Option<String>,
}

impl Output {
    /// The answer whole, or what `people` makes of it.
    fn print(self, answer: &Value, people: impl FnOnce(&Value) -> String) -> Result<()> {
        if self.json {
            println!("{}", serde_json::to_string_pretty(answer)?);
        } else {
            print!("{}", people(answer));
        }
        Ok(())
    }
}
