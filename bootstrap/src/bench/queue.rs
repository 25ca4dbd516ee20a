//! `codex-k8s bench queue`: the queue beside the floor of bare SQL, in one run on one server.
//!
//! Without a section named, each round measures the floor and then the queue, and steady rates follow. A
//! section measures one thing under a burden, against the same thing without it.

mod report;
pub(super) mod workers;

use std::time::Duration;

use anyhow::Result;
use queue::Queue;
use queue::bench::{self, Claimed, Cost, Fairness, History, Meters, Steady, floor};
use tokio_util::sync::CancellationToken;

use self::report::{Deep, Limited, Measured, Report, Settings, Throughput, median, middle};
use self::workers::Workers;
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
    /// Jobs per second of the steady rates
    #[arg(long, default_values_t = [200, 1_000], value_delimiter = ',', value_parser = clap::value_parser!(u64).range(1..=100_000))]
    rate: Vec<u64>,
    /// How long each steady rate, and half as long the single enqueue, take
    #[arg(long, default_value_t = 10, value_parser = clap::value_parser!(u64).range(1..=3600))]
    seconds: u64,
    /// Clients of the single enqueue
    #[arg(long, default_value_t = 10, value_parser = clap::value_parser!(u16).range(1..=1000))]
    clients: u16,
    /// Worker processes of the drain
    #[arg(long, default_value_t = 1, value_parser = clap::value_parser!(u16).range(1..=64))]
    workers: u16,
    /// Jobs that each worker of the drain runs at once
    #[arg(long, default_value_t = 2_000, value_parser = clap::value_parser!(u32).range(1..=100_000))]
    concurrency: u32,
    /// How often to measure throughput; medians are printed
    #[arg(long, default_value_t = 1, value_parser = clap::value_parser!(u8).range(1..=99))]
    rounds: u8,
    /// Section: 800 jobs a second for so many seconds, while a transaction holds the oldest snapshot
    #[arg(long, value_name = "SECONDS", value_parser = clap::value_parser!(u64).range(4..=86_400))]
    pinned_snapshot: Option<u64>,
    /// Section: drains beside so many finished jobs, and a fifth as many scheduled ones
    #[arg(long, value_name = "JOBS", value_parser = clap::value_parser!(u64).range(1..=1_000_000_000))]
    history: Option<u64>,
    /// Section: drains with a global limit and one per key
    #[arg(long)]
    limits: bool,
    /// Section: the shares of 1,000 tenants, and one job beside the flood of another tenant
    #[arg(long)]
    fairness: bool,
    /// Prints JSON
    #[arg(long)]
    json: bool,
}

impl Arguments {
    fn names_a_section(&self) -> bool {
        self.pinned_snapshot.is_some() || self.history.is_some() || self.limits || self.fairness
    }
}

/// Where and how to measure.
struct Bench<'a> {
    database: &'a Database,
    queue: Queue,
    arguments: &'a Arguments,
}

/// Measures and prints.
pub(crate) async fn run(env: &Environment, arguments: Arguments) -> Result<()> {
    let database = Database::find(env, arguments.url.as_deref()).await?;
    let store = database.connect(u32::from(arguments.clients) + 20).await?;
    let queue = store.queue().clone();
    queue::migrate(queue.pool()).await?;
    let bench = Bench {
        database: &database,
        queue,
        arguments: &arguments,
    };
    let report = bench.report().await;
    store.close().await;
    let report = report?;
    if arguments.json {
        println!("{}", serde_json::to_string_pretty(&report)?);
    } else {
        report::print(&report);
    }
    database.stop().await;
    Ok(())
}

impl Bench<'_> {
    async fn report(&self) -> Result<Report> {
        let Arguments {
            jobs,
            clients,
            workers,
            concurrency,
            rounds,
            seconds,
            ..
        } = *self.arguments;
        let base = !self.arguments.names_a_section();
        Ok(Report {
            server_version: bench::server_version(&self.queue).await?,
            database: self.database.described.clone(),
            settings: Settings {
                jobs,
                clients,
                workers,
                concurrency,
                rounds,
                seconds,
            },
            throughput: if base {
                Some(self.throughput().await?)
            } else {
                None
            },
            steady: if base { self.steady().await? } else { Vec::new() },
            pinned_snapshot: match self.arguments.pinned_snapshot {
                Some(seconds) => Some(self.pinned(seconds).await?),
                None => None,
            },
            history: match self.arguments.history {
                Some(finished) => Some(self.history(finished).await?),
                None => None,
            },
            limits: if self.arguments.limits {
                Some(self.limits().await?)
            } else {
                None
            },
            fairness: if self.arguments.fairness {
                Some(self.fairness().await?)
            } else {
                None
            },
        })
    }

    /// Drains what is ready with the worker processes that were asked for.
    async fn drain(&self, jobs: u64) -> Result<f64> {
        self.drain_by(self.arguments.concurrency, jobs).await
    }

    /// As `drain`, each worker running so many jobs at once.
    async fn drain_by(&self, concurrency: u32, jobs: u64) -> Result<f64> {
        let workers = self.arguments.workers;
        let workers = Workers::start(self.database, &self.queue, workers, concurrency).await?;
        let rate = bench::drain(&self.queue, jobs).await?;
        workers.stop().await?;
        Ok(rate)
    }

    async fn throughput(&self) -> Result<Throughput> {
        let mut rounds = Vec::new();
        for round in 1..=self.arguments.rounds {
            eprintln!("codex-k8s: round {round} of {}", self.arguments.rounds);
            rounds.push(self.round().await?);
        }
        let floor = median(rounds.iter().map(|(floor, ..)| *floor));
        let ours = median(rounds.iter().map(|(_, ours, _)| *ours));
        let cost = |of: fn(&Cost) -> f64| middle(rounds.iter().map(|(.., cost)| of(cost)).collect());
        Ok(Throughput {
            ratio_to_floor: Measured {
                enqueue_single: ours.enqueue_single / floor.enqueue_single,
                send: ours.send / floor.send,
                enqueue_bulk: ours.enqueue_bulk / floor.enqueue_bulk,
                drain: ours.drain / floor.drain,
            },
            floor_per_s: floor,
            queue_per_s: ours,
            cost_per_job: Cost {
                wal_bytes: cost(|cost| cost.wal_bytes),
                transactions: cost(|cost| cost.transactions),
            },
            history_kept: bench::finished(&self.queue).await?
                >= self.arguments.jobs * u64::from(self.arguments.rounds),
        })
    }

    async fn round(&self) -> Result<(Measured, Measured, Cost)> {
        let (queue, jobs) = (&self.queue, self.arguments.jobs);
        let clients = usize::from(self.arguments.clients);
        let half = Duration::from_secs(self.arguments.seconds.div_ceil(2));
        let floor = floor::measure(queue.pool(), jobs, clients, half).await?;
        // Each drain begins with what it measures: the singly enqueued ones go first, unmeasured.
        let (sent, enqueue_single) = bench::enqueue_single(queue, clients, half).await?;
        let (also_sent, sharing) = bench::send(queue, clients, half).await?;
        self.drain(sent + also_sent).await?;
        let before = Meters::read(queue).await?;
        let enqueue_bulk = bench::enqueue_bulk(queue, jobs).await?;
        let drain = self.drain(jobs).await?;
        let cost = Meters::read(queue).await?.cost(before, jobs);
        let floor = Measured {
            enqueue_single: floor.enqueue_single_per_s,
            send: floor.enqueue_single_per_s,
            enqueue_bulk: floor.enqueue_bulk_per_s,
            drain: floor.drain_per_s,
        };
        let ours = Measured {
            enqueue_single,
            send: sharing,
            enqueue_bulk,
            drain,
        };
        Ok((floor, ours, cost))
    }

    async fn steady(&self) -> Result<Vec<Steady>> {
        let mut steady = Vec::new();
        for rate in &self.arguments.rate {
            steady.push(bench::steady(&self.queue, *rate, self.arguments.seconds, 24).await?);
        }
        Ok(steady)
    }

    async fn pinned(&self, seconds: u64) -> Result<Steady> {
        let pinned = bench::pin(&self.queue).await?;
        let steady = bench::steady(&self.queue, 800, seconds, 24).await?;
        drop(pinned);
        Ok(steady)
    }

    async fn history(&self, finished: u64) -> Result<Deep> {
        let jobs = self.arguments.jobs;
        let beside = History {
            finished,
            scheduled: finished / 5,
        };
        let (mut empty, mut deep) = (Vec::new(), Vec::new());
        for _ in 0..self.arguments.rounds {
            bench::enqueue_bulk(&self.queue, jobs).await?;
            empty.push(self.drain(jobs).await?);
        }
        eprintln!("codex-k8s: adding {finished} finished jobs");
        bench::fill(&self.queue, beside).await?;
        for _ in 0..self.arguments.rounds {
            bench::enqueue_bulk(&self.queue, jobs).await?;
            deep.push(self.drain(jobs).await?);
        }
        let (empty_per_s, deep_per_s) = (middle(empty), middle(deep));
        Ok(Deep {
            beside,
            empty_per_s,
            deep_per_s,
            ratio: deep_per_s / empty_per_s,
            dropped: bench::drop_a_day(&self.queue).await?,
        })
    }

    async fn limits(&self) -> Result<Limited> {
        let jobs = self.arguments.jobs;
        // With the limit the workers could run a third more, so that it is the limit that counts; without it they
        // run as many as the limit allows.
        let share = (self.arguments.concurrency * 3 / 4).max(1);
        let max_running = i32::try_from(u32::from(self.arguments.workers) * share)?;
        let max_running_per_key = 2;
        let (mut plain, mut limited) = (Vec::new(), Vec::new());
        let mut seen = Claimed::default();
        for _ in 0..self.arguments.rounds {
            bench::enqueue_bulk(&self.queue, jobs).await?;
            plain.push(self.drain_by(share, jobs).await?);
            bench::limit(&self.queue, max_running, max_running_per_key).await?;
            bench::enqueue_keyed(&self.queue, jobs, bench::KEYS).await?;
            let stop = CancellationToken::new();
            let watch = tokio::spawn(bench::watch(self.queue.clone(), stop.clone()));
            limited.push(self.drain(jobs).await?);
            stop.cancel();
            seen = seen.and(watch.await??);
            bench::lift(&self.queue).await?;
        }
        let (plain_per_s, limited_per_s) = (middle(plain), middle(limited));
        Ok(Limited {
            keys: bench::KEYS,
            max_running,
            max_running_per_key,
            plain_per_s,
            limited_per_s,
            ratio: limited_per_s / plain_per_s,
            seen,
        })
    }

    async fn fairness(&self) -> Result<Fairness> {
        Ok(bench::fairness(&self.queue, 1_000, 1_000_000).await?)
    }
}
