//! The database to measure on: one that is named, or a server of its own that keeps what it commits.

use anyhow::Result;
use domain::Secret;
use postgres::{Options, Store};
use tempfile::TempDir;
use testkit::postgres::{Installation, Server, Settings};

use crate::config::{Environment, variables};

/// A database, and the server that was started for it.
pub(super) struct Database {
    url: Secret<String>,
    /// For the report.
    pub(super) described: String,
    server: Option<(Server, TempDir)>,
}

impl Database {
    /// The database at `url`, else at `CODEX_K8S_DATABASE_URL`, else one on a new server.
    pub(super) async fn find(env: &Environment, url: Option<&str>) -> Result<Self> {
        let (url, described) = match (url, env.text(&variables::DATABASE_URL)?) {
            (Some(url), _) => (url.to_owned(), "as given"),
            (None, Some(url)) => (url, "as in CODEX_K8S_DATABASE_URL"),
            (None, None) => return Self::start().await,
        };
        Ok(Self {
            url: Secret::new(url),
            described: described.to_owned(),
            server: None,
        })
    }

    /// A server that waits for the disk, on a folder that goes away afterwards.
    async fn start() -> Result<Self> {
        let installation =
            tokio::task::spawn_blocking(|| Installation::ensure(&|line| eprintln!("codex-k8s: {line}")));
        let installation = installation.await??;
        let folder = tempfile::Builder::new()
            .prefix("codex-k8s-bench-")
            .permissions(std::os::unix::fs::PermissionsExt::from_mode(0o711))
            .tempdir()?;
        let server = Server::start(&installation, &folder.path().join("data"), Settings::durable()).await?;
        Ok(Self {
            url: Secret::new(server.url().to_owned()),
            described: "a server of its own, commits durable".to_owned(),
            server: Some((server, folder)),
        })
    }

    /// For a process that works on it too.
    pub(super) fn url(&self) -> &str {
        self.url.expose()
    }

    /// A store with so many connections at most.
    pub(super) async fn connect(&self, max_connections: u32) -> Result<Store> {
        let options = Options {
            max_connections,
            ..Options::new(self.url.clone())
        };
        Ok(Store::connect(&options).await?)
    }

    /// Stops the server that was started, and throws its data away.
    pub(super) async fn stop(self) {
        if let Some((mut server, _folder)) = self.server {
            server.crash().await;
        }
    }
}
