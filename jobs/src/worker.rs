//! A worker process: the queue's worker with every kind that this version knows, and the cluster's watch.

use domain::job::{DELIVERIES, RUNS};
use queue::Queue;
use tokio_util::sync::CancellationToken;

use crate::context::Ctx;
use crate::{registry, watch};

pub use queue::WorkerOptions;

/// A worker of codex-k8s.
pub struct Worker {
    queue: Queue,
    ctx: Ctx,
    options: WorkerOptions,
}

impl Worker {
    /// The queues that there are; a worker serves them all unless told otherwise.
    pub const QUEUES: [&'static str; 2] = [DELIVERIES, RUNS];

    /// A worker for the queues in the options.
    pub fn new(queue: Queue, ctx: Ctx, options: WorkerOptions) -> Self {
        Self { queue, ctx, options }
    }

    /// Works until `shutdown`, then drains. Fails only if it can't be registered at the start.
    pub async fn run(self, shutdown: CancellationToken) -> Result<(), queue::Error> {
        let watching = self.options.queues.iter().any(|(name, _)| name == RUNS);
        let watch = {
            let (ctx, shutdown) = (self.ctx.clone(), shutdown.clone());
            async move {
                if watching {
                    watch::run(ctx, shutdown).await;
                }
            }
        };
        let worker = queue::Worker::new(self.queue, registry::registry(), self.ctx, self.options);
        let watch = tokio::spawn(watch);
        let result = worker.run(shutdown).await;
        watch.abort();
        result
    }
}
