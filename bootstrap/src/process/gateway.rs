//! `codex-k8s gateway`: the HTTP side as a process. Any number may run beside each other.

use std::sync::Arc;

use anyhow::{Context, Result};
use gateway::{Gateway, Ports};
use metrics_exporter_prometheus::PrometheusHandle;
use postgres::Store;
use tokio::net::TcpListener;
use tokio_util::sync::CancellationToken;

use super::{database, health, observe, signals};
use crate::config::{self, Environment, Log};

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
    let gateway = compose(&store, config.settings(), prometheus.clone(), shutdown.clone())?;
    tracing::info!(listen = %listener.local_addr()?, "the gateway serves");
    tokio::spawn(health::upkeep(prometheus, shutdown));
    let served = gateway.serve(listener).await;
    store.close().await;
    served.context("the gateway stopped")
}

/// The gateway on this store.
pub(crate) fn compose(
    store: &Store,
    settings: gateway::Settings,
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
        deliveries: store,
    };
    Ok(Gateway::new(settings, ports, prometheus, shutdown)?)
}

/// Binds; a complaint names the variable.
pub(super) async fn listen(address: std::net::SocketAddr, variable: &str) -> Result<TcpListener> {
    TcpListener::bind(address).await.with_context(|| {
        format!("can't listen on {address}: stop what listens there, or set {variable} to another address")
    })
}
