//! A worker: one process' share of the queue. It puts the tasks together and takes them down in order.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use apalis_core::worker::builder::WorkerBuilder;
use tokio::sync::{Notify, mpsc};
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;

use crate::acker::Acker;
use crate::backend::PostgresBackend;
use crate::dispatch::{Dispatch, Shared};
use crate::fetcher::{Fetcher, Slots};
use crate::heartbeat::{self, Contact, Heartbeat};
use crate::maintenance::Maintenance;
use crate::running::{Running, Stop};
use crate::wake::{self, Wakes};
use crate::{Error, Queue, Registry, Wake};

/// How a worker works.
#[derive(Debug, Clone)]
pub struct WorkerOptions {
    /// A name for people; not unique.
    pub name: String,
    /// The queues that it serves, each with the number of jobs to run at once.
    pub queues: Vec<(String, usize)>,
    /// A worker without a heartbeat for so long is given up and its jobs are rescued.
    pub lease: Duration,
    /// The longest wait between looks at an idle queue.
    pub poll_interval: Duration,
    /// How long running jobs may take to end once the worker is told to stop.
    pub drain_grace: Duration,
    /// The most jobs claimed by one statement.
    pub max_claim: usize,
    /// How many days of finished jobs are kept.
    pub keep_days: i32,
}

impl Default for WorkerOptions {
    fn default() -> Self {
        Self {
            name: "worker".into(),
            queues: vec![("default".into(), 10)],
            lease: Duration::from_secs(10),
            poll_interval: Duration::from_millis(500),
            drain_grace: Duration::from_secs(25),
            max_claim: 1_000,
            keep_days: 30,
        }
    }
}

/// A worker, ready to run.
#[derive(Debug)]
pub struct Worker<C> {
    queue: Queue,
    registry: Registry<C>,
    context: C,
    options: WorkerOptions,
}

impl<C: Clone + Send + Sync + 'static> Worker<C> {
    /// A worker for these kinds; every handler gets a clone of the context.
    pub fn new(queue: Queue, registry: Registry<C>, context: C, options: WorkerOptions) -> Self {
        Self {
            queue,
            registry,
            context,
            options,
        }
    }

    /// Works until `shutdown`, then drains: no more claims, running jobs have the grace period to end, the
    /// rest is given back with its attempts unburned, and all that has ended is written down. Fails only
    /// if the worker can't be registered at the start; a database lost later is waited for.
    pub async fn run(self, shutdown: CancellationToken) -> Result<(), Error> {
        let Self {
            queue,
            registry,
            context,
            options,
        } = self;
        let pool = queue.pool().clone();
        let mut queue_ids = Vec::new();
        for (name, _) in &options.queues {
            queue_ids.push(queue.names().queue(name).await?);
        }
        let mut kinds = HashMap::new();
        for (name, kind) in registry.into_kinds() {
            kinds.insert(queue.names().kind(name).await?, kind);
        }
        let kind_ids: Vec<i32> = kinds.keys().copied().collect();
        let concurrency: usize = options.queues.iter().map(|(_, concurrency)| concurrency).sum();
        let concurrency = i32::try_from(concurrency).unwrap_or(i32::MAX);
        let worker_id = heartbeat::register(&pool, &options.name, &queue_ids, &kind_ids, concurrency).await?;
        tracing::info!(worker.id = worker_id, worker.name = options.name, queues = ?options.queues,
            wake = ?queue.wake_mode(), "worker started");

        let running = Arc::new(Running::default());
        let contact = Arc::new(Contact::default());
        let wakes = Arc::new(Wakes {
            queues: queue_ids
                .iter()
                .map(|id| (*id, Arc::new(Notify::new())))
                .collect(),
            heartbeat: Arc::new(Notify::new()),
        });
        let (ack_sender, acks) = mpsc::unbounded_channel();
        let shared = Arc::new(Shared {
            context,
            kinds,
            running: Arc::clone(&running),
            worker_id,
        });

        // These go on while the worker drains.
        let stop_keepers = CancellationToken::new();
        let give_up = CancellationToken::new();
        let mut keepers = JoinSet::new();
        let beat = Heartbeat {
            pool: pool.clone(),
            worker_id,
            every: (options.lease / 10).max(Duration::from_millis(100)),
            running: Arc::clone(&running),
            contact: Arc::clone(&contact),
            hurry: Arc::clone(&wakes.heartbeat),
        };
        keepers.spawn(beat.run(stop_keepers.clone()));
        let maintenance = Maintenance {
            pool: pool.clone(),
            lease: options.lease,
            keep_days: options.keep_days,
            notify: queue.wake_mode() == Wake::Notify,
            contact,
            wakes: Arc::clone(&wakes),
        };
        keepers.spawn(maintenance.run(stop_keepers.clone()));
        if queue.wake_mode() == Wake::Notify {
            keepers.spawn(wake::listen(
                pool.clone(),
                Arc::clone(&wakes),
                stop_keepers.clone(),
            ));
        }
        let acker = tokio::spawn(
            Acker {
                pool: pool.clone(),
                worker_id,
                acks,
            }
            .run(give_up.clone()),
        );

        let mut workers = JoinSet::new();
        for ((name, concurrency), queue_id) in options.queues.iter().zip(queue_ids) {
            let slots = Arc::new(Slots::new((*concurrency).max(1)));
            let (claimed_sender, claimed) = mpsc::unbounded_channel();
            let fetcher = Fetcher {
                pool: pool.clone(),
                worker_id,
                queue_id,
                queue: name.clone(),
                kinds: kind_ids.clone(),
                slots: Arc::clone(&slots),
                max_claim: options.max_claim,
                poll_interval: options.poll_interval,
                wake: wakes.queues.get(&queue_id).cloned().unwrap_or_default(),
                claimed: claimed_sender,
            };
            workers.spawn(fetcher.run(shutdown.clone()));
            let dispatch = Dispatch {
                shared: Arc::clone(&shared),
                slots,
                acks: ack_sender.clone(),
            };
            let worker = WorkerBuilder::new(format!("{}/{name}", options.name))
                .backend(PostgresBackend::new(claimed))
                .build(dispatch);
            workers.spawn(async move {
                if let Err(error) = worker.run().await {
                    tracing::error!(%error, "the apalis worker ended");
                }
            });
        }
        drop(ack_sender);
        drop(shared);

        shutdown.cancelled().await;
        tracing::info!(worker.id = worker_id, "draining");
        let ended = async { while workers.join_next().await.is_some() {} };
        tokio::pin!(ended);
        if tokio::time::timeout(options.drain_grace, &mut ended)
            .await
            .is_err()
        {
            let jobs = running.stop_all(Stop::Drained);
            tracing::warn!(jobs, "the grace period is over, giving jobs back");
            // Handlers are dropped at their next await; one that never awaits can't be waited for.
            let _ = tokio::time::timeout(Duration::from_secs(2), &mut ended).await;
        }
        tokio::spawn(async move {
            tokio::time::sleep(Duration::from_secs(5)).await;
            give_up.cancel();
        });
        if let Err(error) = acker.await {
            tracing::error!(%error, "the acker ended");
        }
        stop_keepers.cancel();
        while keepers.join_next().await.is_some() {}
        tracing::info!(worker.id = worker_id, "worker stopped");
        Ok(())
    }
}
