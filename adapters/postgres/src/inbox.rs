//! Ingress: the gateway hands verified deliveries to [`Inbox::accept`], which answers when they are
//! committed.
//!
//! A commit costs a write to disk whatever it holds, so deliveries that arrive while one is under way share
//! the next: `intake` gathers them, `write` commits a batch with a single statement. A lone delivery isn't
//! kept waiting: it is a batch of one.

mod intake;
mod write;

use async_trait::async_trait;
use domain::delivery::{Accepted, NewDelivery};
use domain::job::DELIVERIES;
use domain::port::{Inbox, PortError};

pub(crate) use intake::Intake;

use crate::error::db;
use crate::{Store, migrate};

/// The backlog is counted up to here: whoever reads it has long decided by then.
const BACKLOG_COUNTED: i64 = 100_000;

#[async_trait]
impl Inbox for Store {
    async fn accept(&self, delivery: NewDelivery) -> Result<Accepted, PortError> {
        self.intake.accept(delivery).await
    }

    async fn backlog(&self) -> Result<i64, PortError> {
        self.queue.ready(DELIVERIES, BACKLOG_COUNTED).await.map_err(db)
    }

    async fn ready(&self) -> Result<(), PortError> {
        migrate::check(&self.pool).await
    }
}
