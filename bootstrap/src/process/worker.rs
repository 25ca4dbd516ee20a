//! `codex-k8s worker`: runs jobs, as a process. Any number may run beside each other.

use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context, Result};
use domain::Redactor;
use domain::agent::AgentSettings;
use domain::port::staff::AgentDesk;
use domain::port::{Cluster, Forge};
use github::{GithubSettings, TokenedForge};
use jobs::{Ctx, Worker, WorkerOptions};
use kubernetes::{Access, KubeCluster};
use postgres::Store;
use tokio_util::sync::CancellationToken;

use super::{database, drain, gateway, health, observe, payloads, signals};
use crate::config::{self, Environment, Log, variables};

/// Arguments of `worker`.
#[derive(Debug, clap::Args)]
#[command(args_conflicts_with_subcommands = true)]
pub(crate) struct Arguments {
    #[command(subcommand)]
    command: Option<Command>,
    /// The queues to work on, separated by commas (CODEX_K8S_QUEUES)
    #[arg(long)]
    queues: Option<String>,
    /// Jobs of each queue to run at once (CODEX_K8S_CONCURRENCY)
    #[arg(long, value_parser = clap::value_parser!(u32).range(1..=10_000))]
    concurrency: Option<u32>,
    /// Drains when standard input ends, that is when the process that started this one is gone
    #[arg(long, hide = true)]
    with_parent: bool,
}

/// What to do with a worker that runs.
#[derive(Debug, clap::Subcommand)]
enum Command {
    /// Asks a running worker to finish and leave, and waits until it has no job left
    Drain(drain::Drain),
}

/// Works until it is told to stop, then drains.
pub(crate) async fn run(env: &Environment, arguments: Arguments) -> Result<()> {
    if let Some(Command::Drain(arguments)) = arguments.command {
        return drain::run(env, arguments).await;
    }
    observe::log(&Log::read(env)?)?;
    let mut config = config::Worker::read(env)?;
    if let Some(queues) = &arguments.queues {
        config.queues = config::parse_queues(queues)?;
    }
    config.concurrency = arguments.concurrency.unwrap_or(config.concurrency);
    let prometheus = observe::metrics()?;
    let shutdown = signals::shutdown(arguments.with_parent)?;
    let listener = gateway::listen(config.metrics_listen, variables::METRICS_LISTEN.name).await?;
    let store = database::connect(&config.database, "codex-k8s worker", &shutdown).await?;
    keep_finished(&config, &store).await?;
    announce(&config, &store).await?;
    let worker = compose(&config, &store).await?;

    // These outlive the drain: an orchestrator goes on asking, and jobs go on counting.
    let stop = CancellationToken::new();
    let routes = health::router(Arc::new(store.clone()), prometheus.clone(), shutdown.clone());
    tracing::info!(listen = %listener.local_addr()?, "health and metrics are served");
    let serving = tokio::spawn(health::serve(listener, routes, stop.clone()));
    tokio::spawn(health::upkeep(prometheus, stop.clone()));
    tokio::spawn(payloads::keep(
        store.clone(),
        config.payload_retention_days,
        stop.clone(),
    ));

    let outcome = worker.run(shutdown).await;
    stop.cancel();
    serving.await??;
    store.close().await;
    outcome.context("the worker stopped")
}

/// Has the queues keep their finished jobs as long as was configured, if it was.
async fn keep_finished(config: &config::Worker, store: &Store) -> Result<()> {
    let Some(days) = config.queue_keep_days else {
        return Ok(());
    };
    for queue in &config.queues {
        let kept = store.queue().set_retention(queue, days).await;
        kept.with_context(|| format!("can't have the queue {queue} keep its jobs for {days} days"))?;
    }
    Ok(())
}

/// Tells staff how this worker runs agents.
async fn announce(config: &config::Worker, store: &Store) -> Result<()> {
    let settings = settings(config);
    let [requests, limits] = kubernetes::agent_quantities();
    let agents = AgentSettings {
        image: settings.agent_image,
        command: settings.agent_command,
        deadline_s: settings.agent_deadline_s,
        namespace_lease_s: settings.namespace_lease_s,
        log_limit_bytes: settings.log_limit_bytes,
        requests,
        limits,
    };
    let announced = store.announce(&name(), &agents).await;
    announced.context("can't say how this worker runs agents")
}

fn settings(config: &config::Worker) -> jobs::Settings {
    jobs::Settings {
        agent_image: config.agent.image.clone(),
        agent_command: config.agent.command.clone(),
        agent_deadline_s: i64::from(config.agent.deadline_s),
        ..jobs::Settings::default()
    }
}

/// The worker on this store, with GitHub and Kubernetes as configured.
async fn compose(config: &config::Worker, store: &Store) -> Result<Worker> {
    let shared = Arc::new(store.clone());
    let ctx = Ctx {
        ledger: shared.clone(),
        runs: shared.clone(),
        forge: forge(&config.github, shared)?,
        cluster: cluster(&config.cluster).await?,
        redactor: Redactor::new(&config.secrets),
        settings: Arc::new(settings(config)),
    };
    let concurrency = usize::try_from(config.concurrency)?;
    let options = WorkerOptions {
        name: name(),
        queues: config
            .queues
            .iter()
            .map(|queue| (queue.clone(), concurrency))
            .collect(),
        drain_grace: Duration::from_secs(u64::from(config.grace_period_s)),
        ..WorkerOptions::default()
    };
    Ok(Worker::new(store.queue().clone(), ctx, options))
}

/// With each repository's own token, where it has one.
fn forge(github: &config::Github, tokens: Arc<Store>) -> Result<Arc<dyn Forge>> {
    let settings = GithubSettings {
        login: github.login.clone(),
        ..GithubSettings::new(github.api_url.clone(), github.token.clone())
    };
    Ok(Arc::new(TokenedForge::new(settings, tokens)?))
}

async fn cluster(cluster: &config::Cluster) -> Result<Arc<dyn Cluster>> {
    let access = match cluster {
        config::Cluster::Address { url, token } => Access::Token {
            url: url.to_string(),
            token: token.clone(),
        },
        config::Cluster::Kubeconfig(file) => Access::Kubeconfig(file.clone()),
        config::Cluster::Inferred if std::env::var_os("KUBERNETES_SERVICE_HOST").is_some() => {
            Access::InCluster
        }
        config::Cluster::Inferred => {
            let home = std::env::home_dir().context("no home directory: set CODEX_K8S_KUBECONFIG")?;
            Access::Kubeconfig(home.join(".kube/config"))
        }
    };
    let cluster = KubeCluster::connect(&access).await;
    Ok(Arc::new(cluster.context(
        "check CODEX_K8S_KUBECONFIG or CODEX_K8S_KUBERNETES_URL",
    )?))
}

/// The host's name, in Kubernetes the pod's: what people and orchestrators know it by.
fn name() -> String {
    host().unwrap_or_else(|| "worker".into())
}

pub(crate) fn host() -> Option<String> {
    let host = std::env::var("HOSTNAME").ok();
    let host = host.or_else(|| std::fs::read_to_string("/etc/hostname").ok());
    host.map(|host| host.trim().to_owned())
        .filter(|host| !host.is_empty())
}
