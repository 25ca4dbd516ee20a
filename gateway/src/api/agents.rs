//! Agents: what they do, how workers run them, how their runs end.

use std::collections::BTreeMap;
use std::sync::Arc;

use axum::Json;
use axum::extract::State;
use chrono::{DateTime, Utc};
use domain::agent::{AgentsAtWork, AnnouncedAgents};
use domain::label::Label;
use domain::project::known_labels;
use domain::stage::Role;
use serde::Serialize;
use utoipa::ToSchema;

use crate::app::App;
use crate::problem::ApiError;
use crate::query::NoParams;

/// An agent.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct Agent {
    /// Its role.
    role: String,
    /// The stages that it carries.
    stages: Vec<String>,
    /// The labels that start it.
    labels: Vec<String>,
    /// How the living workers run it, by their names; as each says when it starts.
    workers: Vec<AgentOnWorker>,
    /// Of the last 1,000 runs, how many of this agent's are in which status.
    runs: BTreeMap<String, i64>,
}

/// How a worker runs an agent.
#[derive(Debug, Clone, Serialize, ToSchema)]
pub(crate) struct AgentOnWorker {
    /// The worker's name.
    worker: String,
    /// The image.
    image: String,
    /// The command line; empty for the image's own.
    command: Vec<String>,
    /// How long a run may take, in seconds.
    deadline_s: i64,
    /// How long a run's namespace is kept, in seconds.
    namespace_lease_s: i64,
    /// The most that is kept of a log, in bytes.
    log_limit_bytes: i64,
    /// What its container is promised: Kubernetes' quantities by resource.
    requests: BTreeMap<String, String>,
    /// What it may use at most.
    limits: BTreeMap<String, String>,
    /// When the worker said so.
    announced_at: DateTime<Utc>,
}

impl From<AnnouncedAgents> for AgentOnWorker {
    fn from(announced: AnnouncedAgents) -> Self {
        let settings = announced.settings;
        Self {
            worker: announced.worker,
            image: settings.image,
            command: settings.command,
            deadline_s: settings.deadline_s,
            namespace_lease_s: settings.namespace_lease_s,
            log_limit_bytes: settings.log_limit_bytes,
            requests: settings.requests,
            limits: settings.limits,
            announced_at: announced.announced_at,
        }
    }
}

impl Agent {
    fn new(role: Role, found: &AgentsAtWork, workers: &[AgentOnWorker]) -> Self {
        let starts_it =
            |name: &str| matches!(Label::parse(name), Label::Run { stage, .. } if stage.role() == role);
        let mut runs = BTreeMap::new();
        for (stage, status, count) in &found.runs {
            if stage.role() == role {
                *runs.entry(status.clone()).or_default() += count;
            }
        }
        Self {
            role: role.to_string(),
            stages: role.stages().map(|stage| stage.to_string()).collect(),
            labels: known_labels()
                .into_iter()
                .filter(|label| starts_it(label.name))
                .map(|label| label.name.to_owned())
                .collect(),
            workers: workers.to_vec(),
            runs,
        }
    }
}

/// The agents of this version.
#[utoipa::path(
    get,
    path = "/api/v1/staff/agents",
    operation_id = "list_agents",
    tag = "agents",
    extensions(("x-right" = json!("platform_read"))),
    security(("staff" = [])),
    responses(
        (status = 200, description = "Agents by role", body = Vec<Agent>),
    )
)]
pub(crate) async fn list(State(app): State<Arc<App>>, _: NoParams) -> Result<Json<Vec<Agent>>, ApiError> {
    let mut found = app.ports.staff.agents.agents().await?;
    let workers: Vec<AgentOnWorker> = std::mem::take(&mut found.workers)
        .into_iter()
        .map(AgentOnWorker::from)
        .collect();
    let agent = |role| Agent::new(role, &found, &workers);
    Ok(Json(Role::ALL.into_iter().map(agent).collect()))
}
