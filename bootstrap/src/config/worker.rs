//! What the worker is started with.

use std::net::SocketAddr;

use anyhow::{Result, bail};
use domain::Secret;

use super::counterparts::{Agent, Cluster, Github};
use super::environment::Environment;
use super::process::{Database, grace_period_s, keyring, password};
use super::variables as v;

/// The worker.
#[derive(Debug, Clone)]
pub(crate) struct Worker {
    pub(crate) database: Database,
    pub(crate) metrics_listen: SocketAddr,
    pub(crate) queues: Vec<String>,
    pub(crate) concurrency: u32,
    pub(crate) grace_period_s: u32,
    /// How long finished jobs are kept; `None` leaves it as the database has it.
    pub(crate) queue_keep_days: Option<u16>,
    pub(crate) payload_retention_days: u16,
    /// Everything that must not appear in what agents write.
    pub(crate) secrets: Vec<Secret<String>>,
    pub(crate) github: Github,
    pub(crate) cluster: Cluster,
    pub(crate) agent: Agent,
}

impl Worker {
    pub(crate) fn read(env: &Environment) -> Result<Self> {
        let queues = match env.text(&v::QUEUES)? {
            None => vec![domain::job::DELIVERIES.to_owned(), domain::job::RUNS.to_owned()],
            Some(text) => parse_queues(&text)?,
        };
        let (database, github, cluster) = (Database::read(env)?, Github::read(env)?, Cluster::read(env)?);
        let mut secrets = vec![database.url.clone(), github.token.clone()];
        secrets.extend(password(&database.url));
        if let Cluster::Address { token, .. } = &cluster {
            secrets.push(token.clone());
        }
        let retention = env.number(&v::PAYLOAD_RETENTION, 30, 1..=3650)?;
        Ok(Self {
            metrics_listen: env
                .parsed(&v::METRICS_LISTEN)?
                .unwrap_or_else(|| SocketAddr::from(([127, 0, 0, 1], 9090))),
            queues,
            concurrency: env.number(&v::CONCURRENCY, 32, 1..=10_000)?,
            grace_period_s: grace_period_s(env)?,
            queue_keep_days: queue_keep_days(env)?,
            payload_retention_days: u16::try_from(retention)?,
            secrets,
            database: Database {
                keyring: keyring(env)?,
                ..database
            },
            github,
            cluster,
            agent: Agent::read(env)?,
        })
    }
}

/// Not a default of 30: that would undo at each start what was set in the database.
fn queue_keep_days(env: &Environment) -> Result<Option<u16>> {
    if env.text(&v::QUEUE_KEEP_DAYS)?.is_none() {
        return Ok(None);
    }
    let days = env.number(&v::QUEUE_KEEP_DAYS, 30, 1..=3650)?;
    Ok(Some(u16::try_from(days)?))
}

/// Names of queues, separated by commas; only those that exist.
pub(crate) fn parse_queues(text: &str) -> Result<Vec<String>> {
    let known = [domain::job::DELIVERIES, domain::job::RUNS];
    let mut queues: Vec<String> = Vec::new();
    for name in text.split(',').map(str::trim).filter(|name| !name.is_empty()) {
        if !known.contains(&name) {
            bail!("there is no queue `{name}`; queues are: {}", known.join(", "));
        }
        if !queues.iter().any(|queue| queue == name) {
            queues.push(name.to_owned());
        }
    }
    if queues.is_empty() {
        bail!("no queue to work on; queues are: {}", known.join(", "));
    }
    Ok(queues)
}

#[cfg(test)]
mod tests {
    use super::super::environment::of;
    use super::*;

    const DATABASE: (&str, &str) = ("CODEX_K8S_DATABASE_URL", "postgres://u:hunter2@h/d");
    const TOKEN: (&str, &str) = ("CODEX_K8S_GITHUB_TOKEN", "ghp_1");
    const IMAGE: (&str, &str) = ("CODEX_K8S_AGENT_IMAGE", "agent:1");

    #[test]
    fn the_worker_needs_its_counterparts() {
        let worker = Worker::read(&of(&[DATABASE, TOKEN, IMAGE])).unwrap();
        assert_eq!(worker.queues, ["deliveries", "runs"]);
        assert!(matches!(worker.cluster, Cluster::Inferred));
        assert_eq!(worker.queue_keep_days, None);
        let week = ("CODEX_K8S_QUEUE_KEEP_DAYS", "7");
        let worker = Worker::read(&of(&[DATABASE, TOKEN, IMAGE, week])).unwrap();
        assert_eq!(worker.queue_keep_days, Some(7));
        let url = ("CODEX_K8S_KUBERNETES_URL", "https://k");
        for (pairs, said) in [
            (vec![DATABASE, IMAGE], "CODEX_K8S_GITHUB_TOKEN"),
            (vec![DATABASE, TOKEN], "CODEX_K8S_AGENT_IMAGE isn't set"),
            (
                vec![DATABASE, TOKEN, IMAGE, ("CODEX_K8S_QUEUES", "runs,walks")],
                "there is no queue `walks`",
            ),
            (
                vec![DATABASE, TOKEN, IMAGE, url],
                "needs CODEX_K8S_KUBERNETES_TOKEN",
            ),
            (
                vec![DATABASE, TOKEN, IMAGE, url, ("CODEX_K8S_KUBECONFIG", "/k")],
                "not both",
            ),
            (
                vec![DATABASE, TOKEN, IMAGE, ("CODEX_K8S_GITHUB_API_URL", "ftp://x/")],
                "CODEX_K8S_GITHUB_API_URL",
            ),
            (
                vec![DATABASE, TOKEN, IMAGE, ("CODEX_K8S_QUEUE_KEEP_DAYS", "0")],
                "1 to 3650",
            ),
            (
                vec![DATABASE, TOKEN, IMAGE, ("CODEX_K8S_AGENT_DEADLINE", "5")],
                "10 to 86400",
            ),
        ] {
            let error = format!("{:#}", Worker::read(&of(&pairs)).unwrap_err());
            assert!(error.contains(said), "{error}");
        }
    }
}
