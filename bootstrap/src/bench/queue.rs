//! `codex-k8s bench queue`: the queue beside the floor of bare SQL, in one run on one server.
//!
//! Each round measures the floor and then the queue; the medians of the rounds are printed, and their ratios.

use std::time::Duration;

use anyhow::Result;
use queue::Queue;
use queue::bench::{self, Latency, floor};
use serde::Serialize;

use super::database::Database;
use crate::config::Environment;

/// How to measure.
#[derive(Debug, Clone, clap::Args)]
pub(crate) struct Arguments {
    /// The database to measure on (its schema `queue` is used, with a queue named `bench`); without it a server
    /// is started, or CODEX_K8S_DATABASE_URL is used
    #[arg(long)]
    url: Option<String>,
    /// Jobs of the bulk enqueue and the drain
    #[arg(long, default_value_t = 50_000, value_parser = clap::value_parser!(u64).range(1..=50_000_000))]
    jobs: u64,
    /// Jobs per second of the latency section
    #[arg(long, default_value_t = 200, value_parser = clap::value_parser!(u64).range(1..=100_000))]
    rate: u64,
    /// How long the latency section, and half as long the single enqueue, take
    #[arg(long, default_value_t = 10, value_parser = clap::value_parser!(u64).range(1..=3600))]
    seconds: u64,
    /// Clients of the single enqueue
    #[arg(long, default_value_t = 10, value_parser = clap::value_parser!(u16).range(1..=1000))]
    clients: u16,
    /// Workers of the drain, all in this process
    #[arg(long, default_value_t = 1, value_parser = clap::value_parser!(u16).range(1..=64))]
    workers: u16,
    /// Jobs that each worker of the drain runs at once
    #[arg(long, default_value_t = 2_000, value_parser = clap::value_parser!(u32).range(1..=100_000))]
    concurrency: u32,
    /// How often to measure everything; medians are printed
    #[arg(long, default_value_t = 1, value_parser = clap::value_parser!(u8).range(1..=99))]
    rounds: u8,
    /// Prints JSON
    #[arg(long)]
    json: bool,
}

/// Jobs per second, or a ratio of them.
#[derive(Debug, Clone, Copy, Serialize)]
struct Measured {
    enqueue_single: f64,
    enqueue_bulk: f64,
    drain: f64,
}

#[derive(Debug, Serialize)]
struct Report {
    server_version: String,
    database: String,
    settings: Settings,
    floor_per_s: Measured,
    queue_per_s: Measured,
    ratio_to_floor: Measured,
    latency: Latency,
    history_kept: bool,
}

#[derive(Debug, Serialize)]
struct Settings {
    jobs: u64,
    clients: u16,
    workers: u16,
    concurrency: u32,
    rounds: u8,
    seconds: u64,
}

/// Measures and prints.
pub(crate) async fn run(env: &Environment, arguments: Arguments) -> Result<()> {
    let database = Database::find(env, arguments.url.as_deref()).await?;
    let store = database.connect(u32::from(arguments.clients) + 10).await?;
    let queue = store.queue().clone();
    queue::migrate(queue.pool()).await?;
    let mut rounds = Vec::new();
    for round in 1..=arguments.rounds {
        eprintln!("codex-k8s: round {round} of {}", arguments.rounds);
        rounds.push(measure(&queue, &arguments).await?);
    }
    let latency = bench::latency(&queue, arguments.rate, Duration::from_secs(arguments.seconds), 24).await?;
    let floor = median(rounds.iter().map(|(floor, _)| *floor));
    let ours = median(rounds.iter().map(|(_, ours)| *ours));
    let report = Report {
        server_version: bench::server_version(&queue).await?,
        database: database.described.clone(),
        settings: Settings {
            jobs: arguments.jobs,
            clients: arguments.clients,
            workers: arguments.workers,
            concurrency: arguments.concurrency,
            rounds: arguments.rounds,
            seconds: arguments.seconds,
        },
        ratio_to_floor: Measured {
            enqueue_single: ours.enqueue_single / floor.enqueue_single,
            enqueue_bulk: ours.enqueue_bulk / floor.enqueue_bulk,
            drain: ours.drain / floor.drain,
        },
        floor_per_s: floor,
        queue_per_s: ours,
        latency,
        history_kept: bench::finished(&queue).await? >= arguments.jobs * u64::from(arguments.rounds),
    };
    store.close().await;
    database.stop().await;
    if arguments.json {
        println!("{}", serde_json::to_string_pretty(&report)?);
    } else {
        print(&report);
    }
    Ok(())
}

async fn measure(queue: &Queue, arguments: &Arguments) -> Result<(Measured, Measured)> {
    let clients = usize::from(arguments.clients);
    let half = Duration::from_secs(arguments.seconds.div_ceil(2));
    let floor = floor::measure(queue.pool(), arguments.jobs, clients, half).await?;
    let (sent, enqueue_single) = bench::enqueue_single(queue, clients, half).await?;
    let enqueue_bulk = bench::enqueue_bulk(queue, arguments.jobs).await?;
    let workers = usize::from(arguments.workers);
    let concurrency = arguments.concurrency as usize;
    let drain = bench::drain(queue, arguments.jobs + sent, workers, concurrency).await?;
    let floor = Measured {
        enqueue_single: floor.enqueue_single_per_s,
        enqueue_bulk: floor.enqueue_bulk_per_s,
        drain: floor.drain_per_s,
    };
    Ok((
        floor,
        Measured {
            enqueue_single,
            enqueue_bulk,
            drain,
        },
    ))
}

/// The median of each figure by itself.
fn median(rounds: impl Iterator<Item = Measured>) -> Measured {
    let rounds: Vec<Measured> = rounds.collect();
    let of = |figure: fn(&Measured) -> f64| {
        let mut values: Vec<f64> = rounds.iter().map(figure).collect();
        values.sort_by(f64::total_cmp);
        values.get(values.len() / 2).copied().unwrap_or(f64::NAN)
    };
    Measured {
        enqueue_single: of(|round| round.enqueue_single),
        enqueue_bulk: of(|round| round.enqueue_bulk),
        drain: of(|round| round.drain),
    }
}

fn print(report: &Report) {
    println!("PostgreSQL {}, {}", report.server_version, report.database);
    println!("{:<28}{:>12}{:>12}{:>8}", "", "floor", "queue", "ratio");
    let figures = |of: &Measured| [of.enqueue_single, of.enqueue_bulk, of.drain];
    let names = [
        "enqueue one at a time, 1/s",
        "enqueue in bulk, 1/s",
        "drain, jobs/s",
    ];
    let (floor, ours) = (figures(&report.floor_per_s), figures(&report.queue_per_s));
    for (nth, (name, ratio)) in names.iter().zip(figures(&report.ratio_to_floor)).enumerate() {
        let (floor, ours) = (floor[nth], ours[nth]);
        println!("{name:<28}{floor:>12.0}{ours:>12.0}{ratio:>8.2}");
    }
    let Latency {
        rate,
        sent,
        started,
        p50_ms,
        p99_ms,
        max_ms,
    } = report.latency;
    println!(
        "enqueue to start at {rate}/s ({started} of {sent}): p50 {p50_ms:.1} ms, p99 {p99_ms:.1} ms, max {max_ms:.1} ms"
    );
    println!("history kept: {}", if report.history_kept { "yes" } else { "no" });
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn median_is_taken_by_figure() {
        let round = |a, b, c| Measured {
            enqueue_single: a,
            enqueue_bulk: b,
            drain: c,
        };
        let median = median([round(1.0, 9.0, 5.0), round(3.0, 8.0, 6.0), round(2.0, 7.0, 4.0)].into_iter());
        assert_eq!(
            (median.enqueue_single, median.enqueue_bulk, median.drain),
            (2.0, 8.0, 5.0)
        );
    }
}
