//! The gateway to measure: a running one, or one in this process on a database that keeps what it commits.

use anyhow::{Context, Result, bail};
use domain::Secret;
use tempfile::TempDir;
use testkit::postgres::{Installation, Server, Settings};
use tokio::net::TcpListener;
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

use crate::config::{Environment, variables};
use crate::dev::state::{State, data_dir};
use crate::process;

/// Where to send, and what was started for it.
pub(super) struct Target {
    pub(super) url: String,
    pub(super) secret: Secret<String>,
    /// For the report.
    pub(super) described: String,
    started: Option<Started>,
}

struct Started {
    shutdown: CancellationToken,
    serving: JoinHandle<std::io::Result<()>>,
    store: postgres::Store,
    database: Option<(Server, TempDir)>,
}

impl Target {
    /// The gateway at `url`, else one of our own.
    pub(super) async fn find(env: &Environment, url: Option<&str>) -> Result<Self> {
        let Some(url) = url else {
            return Self::start(env).await;
        };
        let configured = env.text(&variables::WEBHOOK_SECRETS)?;
        let secret =
            configured.and_then(|all| all.split(['\n', ',']).next().map(|one| one.trim().to_owned()));
        let state = State::read(&data_dir(env)?).unwrap_or_default();
        let Some(secret) = secret.or_else(|| state.map(|state| state.webhook_secret)) else {
            bail!(
                "no webhook secret to sign with: set {}",
                variables::WEBHOOK_SECRETS.name
            );
        };
        let url = url.trim_end_matches('/').to_owned();
        let answer = reqwest::get(format!("{url}/readyz")).await;
        let answer = answer.with_context(|| format!("no gateway answers at {url}"))?;
        if !answer.status().is_success() {
            bail!("the gateway at {url} isn't ready: {}", answer.status());
        }
        Ok(Self {
            described: url.clone(),
            url,
            secret: Secret::new(secret),
            started: None,
        })
    }

    async fn start(env: &Environment) -> Result<Self> {
        let (database, database_url, described) = if let Some(url) = env.text(&variables::DATABASE_URL)? {
            (None, url, "in this process, on CODEX_K8S_DATABASE_URL")
        } else {
            let (server, folder) = start_database().await?;
            let url = server.url().to_owned();
            let described = "in this process, on a PostgreSQL 18 of its own, commits durable";
            (Some((server, folder)), url, described)
        };
        let options = postgres::Options::new(Secret::new(database_url));
        let store = postgres::Store::connect(&options).await?;
        store.migrate().await?;
        let secret = Secret::new(hex::encode(rand::random::<[u8; 32]>()));
        // What protects a gateway from a flood would only measure itself here.
        let settings = gateway::Settings {
            rate_limit: gateway::RateLimit {
                per_second: 1_000_000,
                burst: u32::MAX,
            },
            backlog_limit: i64::MAX,
            ..gateway::Settings::new(vec![secret.clone()])
        };
        let shutdown = CancellationToken::new();
        let prometheus = process::observe::metrics()?;
        let gateway = process::gateway::compose(&store, settings, prometheus, shutdown.clone())?;
        let listener = TcpListener::bind(("127.0.0.1", 0)).await?;
        let url = format!("http://{}", listener.local_addr()?);
        let serving = tokio::spawn(gateway.serve(listener));
        let started = Started {
            shutdown,
            serving,
            store,
            database,
        };
        Ok(Self {
            url,
            secret,
            described: described.to_owned(),
            started: Some(started),
        })
    }

    /// Stops what was started.
    pub(super) async fn stop(self) {
        let Some(started) = self.started else { return };
        started.shutdown.cancel();
        let _ = started.serving.await;
        started.store.close().await;
        if let Some((mut server, _folder)) = started.database {
            server.crash().await;
        }
    }
}

/// A server that waits for the disk, on a folder that goes away afterwards.
async fn start_database() -> Result<(Server, TempDir)> {
    let installation =
        tokio::task::spawn_blocking(|| Installation::ensure(&|line| eprintln!("codex-k8s: {line}")))
            .await??;
    let folder = tempfile::Builder::new()
        .prefix("codex-k8s-bench-")
        .permissions(std::os::unix::fs::PermissionsExt::from_mode(0o711))
        .tempdir()?;
    let server = Server::start(&installation, &folder.path().join("data"), Settings::durable()).await?;
    Ok((server, folder))
}
