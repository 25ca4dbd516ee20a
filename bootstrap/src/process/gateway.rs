//! `codex-k8s gateway`: the HTTP side as a process. Any number may run beside each other.

use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context, Result};
use domain::Secret;
use domain::access::OwnerWish;
use domain::port::access::{IdentityProvider, SignIns};
use domain::port::staff::RepositorySetup;
use gateway::{AccessPorts, ConfigurationLine, Gateway, Ports, StaffPorts};
use github::{GithubIdentity, GithubSettings, GithubSetup};
use metrics_exporter_prometheus::PrometheusHandle;
use postgres::Store;
use tokio::net::TcpListener;
use tokio_util::sync::CancellationToken;

use super::{database, health, observe, signals};
use crate::config::{self, Environment, Log, variables};

/// Arguments of `gateway`.
#[derive(Debug, clap::Args)]
pub(crate) struct Arguments {
    /// Drains when standard input ends, that is when the process that started this one is gone
    #[arg(long, hide = true)]
    with_parent: bool,
}

/// Serves until it is told to stop, then drains.
pub(crate) async fn run(env: &Environment, arguments: Arguments) -> Result<()> {
    observe::log(&Log::read(env)?)?;
    let config = config::Gateway::read(env)?;
    let prometheus = observe::metrics()?;
    gateway::metrics::describe();
    let shutdown = signals::shutdown(arguments.with_parent)?;
    // The address first: that it is taken is better known at once than after the wait for a database.
    let listener = listen(config.listen, "CODEX_K8S_LISTEN").await?;
    let store = database::connect(&config.database, "codex-k8s gateway", &shutdown).await?;
    let identity = match &config.sign_in {
        None => None,
        Some(sign_in) => Some(prepare_sign_in(&store, sign_in).await?),
    };
    let gateway = compose(
        &store,
        gateway::Settings {
            configuration: configuration(env)?,
            ..config.settings()
        },
        identity,
        Some(setup(&config)),
        prometheus.clone(),
        shutdown.clone(),
    )?;
    tracing::info!(listen = %listener.local_addr()?, wake = config.database.wake.describe(), "the gateway serves");
    tokio::spawn(health::upkeep(prometheus, shutdown));
    let served = gateway.serve(listener).await;
    store.close().await;
    served.context("the gateway stopped")
}

/// Makes sure that there is an owner, who invites everybody else.
async fn prepare_sign_in(store: &Store, sign_in: &config::SignIn) -> Result<Arc<dyn IdentityProvider>> {
    let owner = store.ensure_owner(&sign_in.owner).await;
    match owner
        .context("can't make sure that there is an owner; is the schema up to date (`codex-k8s migrate`)?")?
    {
        OwnerWish::Made => tracing::info!(owner = %sign_in.owner, "the owner may sign in"),
        OwnerWish::Already => {}
        OwnerWish::SomebodyElse => tracing::warn!(
            "CODEX_K8S_OWNER_EMAIL names another person than the owner that there is, who stays it"
        ),
    }
    Ok(Arc::new(GithubIdentity::new(sign_in.github.clone())?))
}

/// The forge, as it is set up for repositories: all of a look has to fit into one request's time.
fn setup(config: &config::Gateway) -> Arc<dyn RepositorySetup> {
    let settings = GithubSettings {
        connect_timeout: Duration::from_secs(1),
        request_timeout: Duration::from_secs(2),
        read_budget: Duration::from_secs(2),
        ..GithubSettings::new(config.github_api_url.clone(), Secret::new(String::new()))
    };
    Arc::new(GithubSetup::new(settings, config.github_token.clone()))
}

/// Every variable that the gateway reads, with its value unless that is a secret.
fn configuration(env: &Environment) -> Result<Vec<ConfigurationLine>> {
    let read = variables::ALL
        .iter()
        .filter(|variable| variable.of.contains("gateway") || variable.of == "all");
    read.map(|variable| {
        let value = env.text(variable)?;
        Ok(ConfigurationLine {
            name: variable.name.to_owned(),
            meaning: variable.meaning.to_owned(),
            default: variable.default.to_owned(),
            is_set: value.is_some(),
            is_secret: variable.secret,
            value: value.filter(|_| !variable.secret),
        })
    })
    .collect()
}

/// The gateway on this store.
pub(crate) fn compose(
    store: &Store,
    settings: gateway::Settings,
    identity: Option<Arc<dyn IdentityProvider>>,
    setup: Option<Arc<dyn RepositorySetup>>,
    prometheus: PrometheusHandle,
    shutdown: CancellationToken,
) -> Result<Gateway> {
    let store = Arc::new(store.clone());
    let ports = Ports {
        inbox: store.clone(),
        jobs: store.clone(),
        queues: store.clone(),
        schedules: store.clone(),
        runs: store.clone(),
        deliveries: store.clone(),
        staff: StaffPorts::of(store.clone()),
        changes: store.clone(),
        idempotent: store.clone(),
        access: AccessPorts::of(store),
        identity,
        setup,
    };
    Ok(Gateway::new(settings, ports, prometheus, shutdown)?)
}

/// Binds; a complaint names the variable.
pub(super) async fn listen(address: std::net::SocketAddr, variable: &str) -> Result<TcpListener> {
    TcpListener::bind(address).await.with_context(|| {
        format!("can't listen on {address}: stop what listens there, or set {variable} to another address")
    })
}
