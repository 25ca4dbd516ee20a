//! A worker: one process' share of the queue. It puts the tasks together and takes them down in order.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use apalis_core::worker::builder::WorkerBuilder;
use tokio::sync::mpsc;
use tokio::task::{JoinHandle, JoinSet};
use tokio_util::sync::CancellationToken;

use crate::acker::Acker;
use crate::backend::PostgresBackend;
use crate::claim::{Claimer, FIRST_STEP};
use crate::dispatch::{Dispatch, Shared};
use crate::fetcher::{Fetcher, Slots};
use crate::gauges;
use crate::heartbeat::{self, Contact, Heartbeat};
use crate::maintenance::Maintenance;
use crate::report::writer::Reports;
use crate::running::{Running, Stop};
use crate::wake::{self, Wakes};
use crate::{Error, Queue, Registry, Wake};

/// How a worker works.
#[derive(Debug, Clone)]
pub struct WorkerOptions {
    /// A name for people and for [`Queue::drain_worker`] and [`Queue::worker_gone`]: in Kubernetes the
    /// pod's. Not unique.
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
    /// rest is given back with its attempts unburned, and all that has ended is written down. Asked by
    /// [`Queue::drain_worker`] it does the same, but lets running jobs take their time until a `shutdown`.
    /// Fails only if the worker can't be registered at the start; a database lost later is waited for.
    pub async fn run(self, shutdown: CancellationToken) -> Result<(), Error> {
        let Self {
            queue,
            registry,
            context,
            options,
        } = self;
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
        let worker_id = heartbeat::register(
            queue.pool(),
            &options.name,
            &queue_ids,
            &kind_ids,
            concurrency,
            options.lease,
        )
        .await?;
        tracing::info!(worker.id = worker_id, worker.name = options.name, queues = ?options.queues,
            wake = queue.wake_mode().describe(), "worker started");

        let running = Arc::new(Running::default());
        let wakes = Arc::new(Wakes::new(&queue_ids));
        let leaving = shutdown.child_token();
        let keepers = Keepers::start(&queue, &options, worker_id, &running, &wakes, &leaving);
        let (ack_sender, acks) = mpsc::unbounded_channel();
        let give_up = CancellationToken::new();
        let acker = tokio::spawn(
            Acker {
                sessions: queue.sessions(),
                worker_id,
                acks,
            }
            .run(give_up.clone()),
        );
        let reports = Reports::start(queue.sessions(), worker_id);
        let shared = Arc::new(Shared {
            reports: Arc::clone(&reports.outbox),
            context,
            kinds,
            running: Arc::clone(&running),
            worker_id,
            named: queue.named(),
        });

        let mut serving = JoinSet::new();
        for ((name, concurrency), queue_id) in options.queues.iter().zip(queue_ids) {
            let slots = Arc::new(Slots::new((*concurrency).max(1)));
            let (claimed_sender, claimed) = mpsc::unbounded_channel();
            let fetcher = Fetcher {
                sessions: queue.sessions(),
                who: Claimer {
                    worker_id,
                    queue_id,
                    kinds: kind_ids.clone(),
                    step: FIRST_STEP,
                },
                queue: name.clone(),
                slots: Arc::clone(&slots),
                max_claim: options.max_claim,
                poll_interval: options.poll_interval,
                wake: wakes.fetcher(queue_id),
                claimed: claimed_sender,
                running: Arc::clone(&running),
            };
            serving.spawn(fetcher.run(leaving.clone()));
            let dispatch = Dispatch {
                shared: Arc::clone(&shared),
                slots,
                acks: ack_sender.clone(),
            };
            let worker = WorkerBuilder::new(format!("{}/{name}", options.name))
                .backend(PostgresBackend::new(claimed))
                .build(dispatch);
            serving.spawn(async move {
                if let Err(error) = worker.run().await {
                    tracing::error!(%error, "the apalis worker ended");
                }
            });
        }
        drop((ack_sender, shared));

        leaving.cancelled().await;
        let given_back = drain(serving, &running, &shutdown, options.drain_grace).await;
        write_last(acker, give_up).await;
        reports.stop().await;
        keepers.stop().await;
        tracing::info!(worker.id = worker_id, given_back, "worker stopped");
        Ok(())
    }
}

/// How long the last acknowledgements may take.
const WRITE_WITHIN: Duration = Duration::from_secs(5);
/// How long handlers may take to notice that they are dropped.
const DROP_WITHIN: Duration = Duration::from_secs(2);

async fn write_last(acker: JoinHandle<()>, give_up: CancellationToken) {
    tokio::spawn(async move {
        tokio::time::sleep(WRITE_WITHIN).await;
        give_up.cancel();
    });
    if let Err(error) = acker.await {
        tracing::error!(%error, "the acker ended");
    }
}

/// Returns how many jobs had to be given back.
async fn drain(
    mut serving: JoinSet<()>,
    running: &Running,
    shutdown: &CancellationToken,
    grace: Duration,
) -> usize {
    tracing::info!(
        running = running.count(),
        "draining: claims no more, lets what runs end"
    );
    let ended = async { while serving.join_next().await.is_some() {} };
    tokio::pin!(ended);
    tokio::select! {
        () = &mut ended => return 0,
        () = shutdown.cancelled() => {}
    }
    let count = running.count();
    if count > 0 {
        tracing::info!(
            running = count,
            grace_ms = grace.as_millis() as u64,
            "the grace period begins"
        );
    }
    if tokio::time::timeout(grace, &mut ended).await.is_err() {
        let jobs = running.stop_all(Stop::Drained);
        tracing::warn!(jobs, "the grace period is over, giving jobs back");
        // Handlers are dropped at their next await; one that never awaits can't be waited for.
        let _ = tokio::time::timeout(DROP_WITHIN, ended).await;
        return jobs;
    }
    0
}

/// The tasks that go on while the worker drains: heartbeat, maintenance, listener.
struct Keepers {
    tasks: JoinSet<()>,
    stop: CancellationToken,
}

impl Keepers {
    fn start(
        queue: &Queue,
        options: &WorkerOptions,
        worker_id: i32,
        running: &Arc<Running>,
        wakes: &Arc<Wakes>,
        leaving: &CancellationToken,
    ) -> Self {
        let (mut tasks, stop) = (JoinSet::new(), CancellationToken::new());
        let contact = Arc::new(Contact::default());
        let beat = Heartbeat {
            sessions: queue.sessions(),
            worker_id,
            every: (options.lease / 10).max(Duration::from_millis(100)),
            running: Arc::clone(running),
            contact: Arc::clone(&contact),
            hurry: Arc::clone(&wakes.heartbeat),
            drain: leaving.clone(),
        };
        tasks.spawn(beat.run(stop.clone()));
        let notify = queue.wake_mode() == Wake::Notify;
        let maintenance = Maintenance {
            queue: queue.clone(),
            sessions: queue.sessions(),
            notify,
            contact,
            wakes: Arc::clone(wakes),
            worker_id,
            running: Arc::clone(running),
        };
        tasks.spawn(maintenance.run(stop.clone()));
        tasks.spawn(gauges::publish(queue.pool().clone(), stop.clone()));
        if notify {
            tasks.spawn(wake::listen(
                queue.pool().clone(),
                Arc::clone(wakes),
                stop.clone(),
            ));
        }
        Self { tasks, stop }
    }

    async fn stop(mut self) {
        self.stop.cancel();
        while self.tasks.join_next().await.is_some() {}
    }
}
