//! Agents as staff see them: who they are, how workers run them, how their runs end.

use std::collections::BTreeMap;

use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};

use crate::stage::{Role, Stage};

/// How a worker runs agents.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct AgentSettings {
    /// The image.
    pub image: String,
    /// The command line; empty for the image's own.
    pub command: Vec<String>,
    /// How long one may run, in seconds.
    pub deadline_s: i64,
    /// How long a run's namespace is kept from its creation on, in seconds.
    pub namespace_lease_s: i64,
    /// The most that is kept of its log, in bytes.
    pub log_limit_bytes: i64,
    /// What its container is promised: Kubernetes' quantities by resource.
    pub requests: BTreeMap<String, String>,
    /// What it may use at most.
    pub limits: BTreeMap<String, String>,
}

/// What a living worker said when it started.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AnnouncedAgents {
    /// The worker's name.
    pub worker: String,
    /// How it runs agents.
    pub settings: AgentSettings,
    /// When it said so.
    pub announced_at: DateTime<Utc>,
}

/// How many of the last runs are counted.
pub const COUNTED_RUNS: i64 = 1_000;

/// What there is to see of all agents.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct AgentsAtWork {
    /// Living workers that run agents, by name.
    pub workers: Vec<AnnouncedAgents>,
    /// Of the last [`COUNTED_RUNS`] runs: how many of a stage stand how.
    pub runs: Vec<(Stage, String, i64)>,
}

impl Role {
    /// Every one.
    pub const ALL: [Self; 1] = [Self::Dev];

    /// The stages that it carries.
    pub fn stages(self) -> impl Iterator<Item = Stage> {
        // A stage that is added has to be named here: this doesn't compile without.
        let Stage::Dev = Stage::Dev;
        [Stage::Dev].into_iter().filter(move |stage| stage.role() == self)
    }
}
