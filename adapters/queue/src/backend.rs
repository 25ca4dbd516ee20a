//! The apalis backend. It only hands on what the fetcher has claimed: all that talks to the database runs on
//! tasks of its own, so that a busy worker can't stall its heartbeat and a lost connection can't end it.

use std::convert::Infallible;
use std::task::{Context, Poll};

use apalis_core::backend::finalize::Ephemeral;
use apalis_core::backend::{Backend, BackendConfig};
use apalis_core::task::Task;
use apalis_core::task::builder::TaskBuilder;
use apalis_core::task::task_id::TaskId;
use apalis_core::worker::context::WorkerContext;
use tokio::sync::mpsc;
use tower::layer::util::Identity;

use crate::claim::Claimed;

/// Claimed jobs of one queue. Ends when its fetcher has ended and everything is handed on.
#[derive(Debug)]
pub struct PostgresBackend {
    claimed: mpsc::UnboundedReceiver<Claimed>,
}

impl PostgresBackend {
    pub(crate) fn new(claimed: mpsc::UnboundedReceiver<Claimed>) -> Self {
        Self { claimed }
    }
}

impl Backend for PostgresBackend {
    type Task = Task<Claimed>;
    type Error = Infallible;

    fn poll_ready(&mut self, _: &mut Context<'_>, _: &WorkerContext) -> Poll<Result<(), Infallible>> {
        Poll::Ready(Ok(()))
    }

    fn poll_next(
        &mut self,
        cx: &mut Context<'_>,
        _: &WorkerContext,
    ) -> Poll<Option<Result<Self::Task, Infallible>>> {
        self.claimed.poll_recv(cx).map(|next| {
            next.map(|claimed| {
                let id = TaskId::from_int(u64::try_from(claimed.id).unwrap_or_default());
                Ok(TaskBuilder::new(claimed).task_id(id).build())
            })
        })
    }

    /// Everything handed on has ended. Nothing to release, since acks outlive the backend, but the worker has
    /// to be told: a stream's end alone doesn't stop it.
    fn poll_close(&mut self, _: &mut Context<'_>, worker: &WorkerContext) -> Poll<Result<(), Infallible>> {
        if let Err(error) = worker.stop() {
            tracing::warn!(%error, "the worker could not be stopped");
        }
        Poll::Ready(Ok(()))
    }
}

impl BackendConfig for PostgresBackend {
    type Args = Claimed;
    type Id = TaskId;
    type Kind = Ephemeral;
    type Config = ();
    type Layer = Identity;

    fn config(&self) -> &Self::Config {
        &()
    }

    fn middleware(&mut self, _: &mut WorkerContext) -> Self::Layer {
        Identity::new()
    }
}
