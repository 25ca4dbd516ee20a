//! What every handler gets.

use std::sync::Arc;

use domain::port::{Cluster, Forge, Ledger, RunStore};
use domain::run::Run;
use domain::workload::{Workload, job_name, namespace_of};
use domain::{Redactor, RunId};

/// The ports and settings that handlers work with.
#[derive(Clone)]
pub struct Ctx {
    /// Deliveries and projects.
    pub ledger: Arc<dyn Ledger>,
    /// Runs.
    pub runs: Arc<dyn RunStore>,
    /// GitHub.
    pub forge: Arc<dyn Forge>,
    /// Kubernetes.
    pub cluster: Arc<dyn Cluster>,
    /// Takes known secrets out of what agents write.
    pub redactor: Redactor,
    /// How runs are carried out.
    pub settings: Arc<Settings>,
}

/// How runs are carried out.
#[derive(Debug, Clone)]
pub struct Settings {
    /// The agent's image.
    pub agent_image: String,
    /// The agent's command line; empty leaves the image's own.
    pub agent_command: Vec<String>,
    /// How long an agent may run, in seconds.
    pub agent_deadline_s: i64,
    /// How long a run's namespace is kept from its creation on, in seconds.
    pub namespace_lease_s: i64,
    /// The poll beneath the cluster's watch, in seconds; a run whose log is short is looked at sooner.
    pub observe_every_s: u64,
    /// The most that is kept of an agent's log, in bytes.
    pub log_limit_bytes: i64,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            agent_image: "codex-k8s:latest".into(),
            agent_command: vec!["codex-k8s".into(), "agent".into()],
            agent_deadline_s: 3_600,
            namespace_lease_s: 24 * 3_600,
            observe_every_s: 30,
            log_limit_bytes: 10 * 1024 * 1024,
        }
    }
}

impl Settings {
    /// What this run asks of the cluster. The same run always gives the same workload.
    pub fn workload(&self, run: &Run) -> Workload {
        let env = [
            ("CODEX_K8S_RUN_ID", run.id.to_string()),
            ("CODEX_K8S_PROJECT", run.repository.project.slug.clone()),
            ("CODEX_K8S_REPOSITORY", run.repository.name.to_string()),
            ("CODEX_K8S_ISSUE", run.issue.to_string()),
            ("CODEX_K8S_STAGE", run.stage.to_string()),
            ("CODEX_K8S_ROLE", run.stage.role().to_string()),
            ("CODEX_K8S_REVISE", run.revise.to_string()),
            ("CODEX_K8S_CORRELATION_ID", run.correlation_id.to_string()),
        ];
        Workload {
            run: run.id,
            project: run.repository.project.slug.clone(),
            issue: run.issue,
            role: run.stage.role().to_string(),
            correlation_id: run.correlation_id.clone(),
            namespace: namespace_of(run),
            job_name: job_name(run.id),
            image: self.agent_image.clone(),
            command: self.agent_command.clone(),
            env: env
                .into_iter()
                .map(|(name, value)| (name.to_owned(), value))
                .collect(),
            deadline_s: self.agent_deadline_s,
            expires_at: run.created_at + chrono::TimeDelta::seconds(self.namespace_lease_s),
        }
    }
}

/// The hidden marker of a run's status comment.
pub(crate) fn run_marker(run: RunId) -> String {
    format!("codex-k8s:run:{run}")
}
