//! The gateway to measure: a running one, or one in this process on a database that keeps what it commits.

use std::time::Duration;

use anyhow::{Context, Result, bail};
use domain::Secret;
use queue::bench::floor;
use tokio::net::TcpListener;
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

use crate::bench::database::Database;
use crate::config::{Environment, variables};
use crate::dev::state::{State, data_dir};
use crate::process;

/// Where to send, and what was started for it.
pub(super) struct Target {
    pub(super) url: String,
    pub(super) secret: Secret<String>,
    /// For the report.
    pub(super) described: String,
    /// Single-row inserts per second that the same database commits, where it is ours to measure.
    pub(super) floor_per_s: Option<f64>,
    started: Option<Started>,
}

/// Connections of the gateway that is started.
const CONNECTIONS: u32 = 20;
/// Sessions that the floor is measured with.
const CLIENTS: usize = 10;
/// How long the floor is measured.
const FLOOR: Duration = Duration::from_secs(3);

struct Started {
    shutdown: CancellationToken,
    serving: JoinHandle<std::io::Result<()>>,
    store: postgres::Store,
    database: Database,
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
            floor_per_s: None,
            started: None,
        })
    }

    async fn start(env: &Environment) -> Result<Self> {
        let database = Database::find(env, None).await?;
        let described = format!("in this process, database {}", database.described);
        let store = database.connect(CONNECTIONS).await?;
        store.migrate().await?;
        let floor_per_s = floor::single_insert(store.queue().pool(), CLIENTS, FLOOR).await?;
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
        let gateway = process::gateway::compose(&store, settings, None, None, prometheus, shutdown.clone())?;
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
            described,
            floor_per_s: Some(floor_per_s),
            started: Some(started),
        })
    }

    /// Stops what was started.
    pub(super) async fn stop(self) {
        let Some(started) = self.started else { return };
        started.shutdown.cancel();
        let _ = started.serving.await;
        started.store.close().await;
        started.database.stop().await;
    }
}
