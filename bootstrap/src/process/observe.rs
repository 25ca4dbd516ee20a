//! Logs to standard error, metrics to a Prometheus recorder.

use anyhow::{Context, Result};
use metrics_exporter_prometheus::{Matcher, PrometheusBuilder, PrometheusHandle};
use tracing_subscriber::EnvFilter;

use crate::config::{Environment, Log, LogFormat};

/// Bucket borders of every histogram that counts seconds and isn't the gateway's own.
const SECONDS: &[f64] = &[0.001, 0.005, 0.01, 0.05, 0.1, 0.5, 1.0, 5.0, 10.0, 60.0, 600.0];
/// The same for those that count milliseconds.
const MILLISECONDS: &[f64] = &[
    1.0, 5.0, 10.0, 50.0, 100.0, 500.0, 1_000.0, 5_000.0, 10_000.0, 60_000.0, 600_000.0,
];

/// Starts logging, and complains of variables that look like ours and aren't.
pub(crate) fn log(log: &Log) -> Result<()> {
    // Its errors are returned to us as well, and logged where they are handled. Who wants them can name it.
    let filter: EnvFilter = format!("kube_client::client::builder=off,{}", log.filter).parse()?;
    let builder = tracing_subscriber::fmt()
        .with_env_filter(filter)
        .with_writer(std::io::stderr);
    let started = match log.format {
        LogFormat::Text => builder
            .with_ansi(std::io::IsTerminal::is_terminal(&std::io::stderr()))
            .try_init(),
        LogFormat::Json => builder.json().flatten_event(true).try_init(),
    };
    started.map_err(|error| anyhow::anyhow!("can't start logging: {error}"))?;
    for name in Environment::unknown(std::env::vars_os().filter_map(|(name, _)| name.into_string().ok())) {
        tracing::warn!(
            variable = name,
            "there is no such variable: a typing error? see codex-k8s --help"
        );
    }
    Ok(())
}

/// Starts the recorder; `/metrics` prints what its handle renders.
pub(crate) fn metrics() -> Result<PrometheusHandle> {
    PrometheusBuilder::new()
        .set_buckets_for_metric(Matcher::Suffix("_seconds".into()), SECONDS)?
        .set_buckets_for_metric(Matcher::Suffix("_ms".into()), MILLISECONDS)?
        .set_buckets_for_metric(
            Matcher::Full(gateway::metrics::HTTP_DURATION.into()),
            gateway::metrics::HTTP_DURATION_BUCKETS,
        )?
        .install_recorder()
        .context("can't start the metrics recorder")
}
