//! [`Ledger`] in memory, and the [`Inbox`] that fills it, so that a job finds what was accepted.

use std::sync::Arc;

use async_trait::async_trait;
use domain::DeliveryId;
use domain::delivery::{Accepted, DeliveryOutcome, DeliveryStatus, NewDelivery, StoredDelivery};
use domain::flow::{FlowActor, FlowEvent};
use domain::job::{GithubDelivery, JobArgs, NewJob};
use domain::port::{Inbox, Ledger, PortError};
use domain::repository::{Repository, RepositoryName};
use serde_json::json;

use super::memory::{Memory, Row};

/// Deliveries in memory.
#[derive(Debug, Clone)]
pub struct FakeLedger {
    memory: Arc<Memory>,
}

impl FakeLedger {
    /// The ledger of this world.
    pub fn new(memory: &Arc<Memory>) -> Self {
        Self {
            memory: Arc::clone(memory),
        }
    }
}

#[async_trait]
impl Inbox for FakeLedger {
    async fn accept(&self, delivery: NewDelivery) -> Result<Accepted, PortError> {
        let call = self.memory.faults.begin("accept")?;
        let mut state = self.memory.lock();
        if let Some(row) = state.deliveries.get(&delivery.id) {
            let same = row.delivery.body_sha256 == delivery.body_sha256;
            return call.answer(if same {
                Accepted::Duplicate
            } else {
                Accepted::BodyMismatch
            });
        }
        let delivery_id = delivery.id.clone();
        state.events.push(FlowEvent {
            correlation_id: delivery_id.clone(),
            run: None,
            kind: "webhook.accepted",
            actor: FlowActor::System,
            data: json!({ "event": delivery.event, "action": delivery.action }),
        });
        let job = NewJob::new(&GithubDelivery {
            delivery_id: delivery_id.clone(),
        });
        let job = job.correlated(&delivery_id).traced(delivery.traceparent.clone());
        let job = state.enqueue(job);
        let row = Row {
            payload: Some(delivery.payload.clone()),
            delivery,
            outcome: None,
        };
        state.deliveries.insert(delivery_id, row);
        call.answer(Accepted::New(job))
    }

    async fn backlog(&self) -> Result<i64, PortError> {
        let call = self.memory.faults.begin("backlog")?;
        let state = self.memory.lock();
        let deliveries = state
            .queue
            .iter()
            .filter(|queued| queued.job.queue == GithubDelivery::QUEUE);
        call.answer(deliveries.count() as i64)
    }

    async fn ready(&self) -> Result<(), PortError> {
        self.memory.faults.begin("ready")?.answer(())
    }
}

#[async_trait]
impl Ledger for FakeLedger {
    async fn load(&self, id: &DeliveryId) -> Result<Option<StoredDelivery>, PortError> {
        let call = self.memory.faults.begin("load")?;
        let state = self.memory.lock();
        call.answer(state.deliveries.get(id).map(|row| StoredDelivery {
            id: id.clone(),
            event: row.delivery.event.clone(),
            payload: row.payload.clone(),
        }))
    }

    async fn settle(
        &self,
        id: &DeliveryId,
        outcome: &DeliveryOutcome,
        follow_ups: Vec<NewJob>,
    ) -> Result<(), PortError> {
        let call = self.memory.faults.begin("settle")?;
        let refused = |reason: String| PortError::Refused {
            part: "database",
            reason,
        };
        let kind = match outcome.status {
            DeliveryStatus::Processed => "webhook.processed",
            DeliveryStatus::Ignored => "webhook.ignored",
            DeliveryStatus::Accepted => return Err(refused("nothing is settled as accepted".to_owned())),
        };
        let mut state = self.memory.lock();
        let Some(row) = state.deliveries.get_mut(id) else {
            return Err(refused(format!("there is no delivery {id}")));
        };
        if row.outcome.as_ref() != Some(outcome) {
            row.outcome = Some(outcome.clone());
            state.events.push(FlowEvent {
                correlation_id: id.clone(),
                run: outcome.run,
                kind,
                actor: FlowActor::System,
                data: json!({ "reason": outcome.reason }),
            });
            for job in follow_ups {
                state.enqueue(job);
            }
        }
        call.answer(())
    }

    async fn repository(&self, name: &RepositoryName) -> Result<Option<Repository>, PortError> {
        let call = self.memory.faults.begin("repository")?;
        let state = self.memory.lock();
        call.answer(
            state
                .repositories
                .iter()
                .find(|known| known.name == *name)
                .cloned(),
        )
    }
}
