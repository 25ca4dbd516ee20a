//! Flow events: the append-only record of what happened, tied together by the correlation id.

use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::id::{CorrelationId, RunId};

/// Who caused an event.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "actor_kind", content = "actor", rename_all = "snake_case")]
pub enum FlowActor {
    /// A person, by login.
    Human(String),
    /// An agent, by role.
    Agent(String),
    /// The platform itself.
    System,
}

/// Who wants a change, and why: the audit says so.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Author {
    /// Who.
    pub actor: FlowActor,
    /// Why, where it was said.
    pub reason: Option<String>,
}

/// An event to record.
#[derive(Debug, Clone)]
pub struct FlowEvent {
    /// Ties it to its cause.
    pub correlation_id: CorrelationId,
    /// The run that it belongs to, where there is one.
    pub run: Option<RunId>,
    /// A dotted name: `webhook.accepted`, `run.created`, `namespace.prepared`.
    pub kind: &'static str,
    /// Who caused it.
    pub actor: FlowActor,
    /// What else there is to know; no secrets.
    pub data: Value,
}

/// A recorded event, for people.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct RecordedEvent {
    /// Its number; grows with time.
    pub id: i64,
    /// When, by the database's clock.
    pub at: DateTime<Utc>,
    /// Ties it to its cause.
    pub correlation_id: CorrelationId,
    /// The run that it belongs to.
    pub run_id: Option<RunId>,
    /// A dotted name.
    pub kind: String,
    /// Who caused it.
    #[serde(flatten)]
    pub actor: FlowActor,
    /// What else there is to know.
    pub data: Value,
}
