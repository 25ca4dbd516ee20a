//! `codex-k8s bench console`: whether the staff API stays quick over a million jobs, and how soon and at what cost
//! open consoles hear of a change.
//!
//! Fills a database as four weeks would (unless it was filled before), starts a gateway on it as a process of its
//! own, and asks for everything that the console's screens ask for, as people with personal tokens.

mod asking;
mod gateway;
mod listening;
mod people;
mod questions;
mod report;

use anyhow::{Result, ensure};
use postgres::Store;
use postgres::bench::Size;

use self::gateway::Gateway;
use self::people::People;
use self::report::{Report, Settings};
use super::database::Database;
use crate::config::Environment;

/// How to measure.
#[derive(Debug, Clone, clap::Args)]
pub(crate) struct Arguments {
    /// The database to measure on, filled if it isn't yet; without it a server is started, or CODEX_K8S_DATABASE_URL
    /// is used
    #[arg(long)]
    url: Option<String>,
    /// Jobs
    #[arg(long, default_value_t = 1_000_000, value_parser = clap::value_parser!(i64).range(10_000..=100_000_000))]
    jobs: i64,
    /// Deliveries, a quarter of the jobs at most
    #[arg(long, default_value_t = 100_000, value_parser = clap::value_parser!(i64).range(1_000..=10_000_000))]
    deliveries: i64,
    /// Lines of the longest log
    #[arg(long, default_value_t = 100_000, value_parser = clap::value_parser!(i64).range(1..=10_000_000))]
    log_lines: i64,
    /// Requests at once, one after the other
    #[arg(long, default_values_t = [4, 16], value_delimiter = ',', value_parser = clap::value_parser!(u16).range(1..=256))]
    concurrency: Vec<u16>,
    /// Requests of each kind
    #[arg(long, default_value_t = 200, value_parser = clap::value_parser!(u32).range(1..=100_000))]
    requests: u32,
    /// Only what has this in its name; `streams` for the live updates
    #[arg(long, default_value = "")]
    only: String,
    /// Live streams that are open at once, after one alone
    #[arg(long, default_value_t = 200, value_parser = clap::value_parser!(u16).range(2..=1_000))]
    streams: u16,
    /// Changes that are told while they are open
    #[arg(long, default_value_t = 40, value_parser = clap::value_parser!(u16).range(1..=10_000))]
    changes: u16,
    /// Fills the database and stops, to look at it with a browser
    #[arg(long)]
    fill_only: bool,
    /// Prints JSON
    #[arg(long)]
    json: bool,
}

/// Measures and prints.
pub(crate) async fn run(env: &Environment, arguments: Arguments) -> Result<()> {
    ensure!(
        arguments.jobs >= 4 * arguments.deliveries,
        "--jobs must be at least four times --deliveries"
    );
    let database = Database::find(env, arguments.url.as_deref()).await?;
    let store = database.connect(4).await?;
    let outcome = measure(&database, &store, &arguments).await;
    store.close().await;
    let described = database.described.clone();
    database.stop().await;
    if let Some((answers, live)) = outcome? {
        let settings = Settings::of(&arguments, described);
        Report {
            bench: "console",
            settings,
            answers,
            live,
        }
        .print(arguments.json)?;
    }
    Ok(())
}

async fn measure(
    database: &Database,
    store: &Store,
    arguments: &Arguments,
) -> Result<Option<(Vec<report::Answers>, Vec<report::Live>)>> {
    store.migrate().await?;
    let size = Size {
        jobs: arguments.jobs,
        deliveries: arguments.deliveries,
        log_lines: arguments.log_lines,
    };
    if !store
        .fill_for_bench(size, &|what| eprintln!("codex-k8s: filling: {what}"))
        .await?
    {
        eprintln!("codex-k8s: the database was filled before, and is taken as it is");
    }
    if arguments.fill_only {
        return Ok(None);
    }
    let people = People::sign_in(store, arguments.streams).await?;
    let gateway = Gateway::start(database.url()).await?;
    let landmarks = store.bench_landmarks().await?;
    let mut answers = Vec::new();
    for question in questions::all(&landmarks, &people) {
        if !question.name.contains(&arguments.only) {
            continue;
        }
        let answer = asking::ask(&gateway, &question, arguments).await?;
        eprintln!("codex-k8s: {}", answer.line());
        answers.push(answer);
    }
    let mut live = Vec::new();
    if "streams".contains(&arguments.only) {
        for streams in [0, 1, arguments.streams] {
            eprintln!("codex-k8s: listening: {streams} streams");
            live.push(listening::listen(&gateway, store, &people, streams, arguments.changes).await?);
        }
    }
    gateway.stop().await;
    Ok(Some((answers, live)))
}
