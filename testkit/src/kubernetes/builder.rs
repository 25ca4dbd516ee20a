//! Starting a simulator: what it is told, and what it has from the beginning.

use std::collections::HashMap;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use anyhow::Context;
use axum::Router;
use domain::{Clock, SystemClock};
use rand::Rng;
use serde_json::{Value, json};
use tokio::net::TcpListener;

use super::Simulator;
use super::access::Subject;
use super::cluster::{Cluster, Settings};
use super::kubelet::{Groups, Kubelet, NODE_NAME};
use super::resource::{NAMESPACE, NODE, Resource};
use super::store::Store;
use super::writes::{self, Writer};
use super::{controllers, object, routes};

/// How a simulator is to be.
pub struct Builder {
    address: SocketAddr,
    token: Option<String>,
    clock: Arc<dyn Clock>,
    settings: Settings,
    history_limit: usize,
    snapshot: Option<Value>,
}

impl Builder {
    pub(super) fn new() -> Self {
        Self {
            address: SocketAddr::from(([127, 0, 0, 1], 0)),
            token: None,
            clock: Arc::new(SystemClock),
            settings: Settings {
                tokens: HashMap::new(),
                path_dirs: Vec::new(),
                image_commands: HashMap::new(),
                bookmark_interval: Duration::from_secs(10),
                job_backoff: Duration::from_secs(10),
                log_limit_bytes: 10 * 1024 * 1024,
            },
            history_limit: 10_000,
            snapshot: None,
        }
    }

    /// Listens here instead of a free port of 127.0.0.1.
    pub fn address(mut self, address: SocketAddr) -> Self {
        self.address = address;
        self
    }

    /// The token with all rights; a random one otherwise.
    pub fn token(mut self, token: &str) -> Self {
        self.token = Some(token.to_owned());
        self
    }

    /// A further token, for a subject with the rights that it was given and those that roles in the cluster
    /// give to it.
    pub fn subject(mut self, token: &str, subject: Subject) -> Self {
        self.settings.tokens.insert(token.to_owned(), subject);
        self
    }

    /// The clock of all timestamps and deadlines.
    pub fn clock(mut self, clock: Arc<dyn Clock>) -> Self {
        self.clock = clock;
        self
    }

    /// Puts a directory first on the PATH of all containers.
    pub fn with_path_dir(mut self, directory: impl Into<PathBuf>) -> Self {
        self.settings.path_dirs.insert(0, directory.into());
        self
    }

    /// Puts the directory of the running program first on the PATH of all containers, so that they can call it.
    pub fn with_own_path_dir(self) -> anyhow::Result<Self> {
        let program = std::env::current_exe().context("the running program can't be located")?;
        let directory = program.parent().context("the running program has no directory")?;
        Ok(self.with_path_dir(directory))
    }

    /// What a container with this image runs when it names no command of its own.
    pub fn image_command(mut self, image: &str, command: &[&str]) -> Self {
        let words = command.iter().map(|word| (*word).to_owned()).collect();
        self.settings.image_commands.insert(image.to_owned(), words);
        self
    }

    /// How often watches that allow it get a bookmark (10 s otherwise).
    pub fn bookmark_interval(mut self, interval: Duration) -> Self {
        self.settings.bookmark_interval = interval;
        self
    }

    /// How long a Job's second pod waits after the first failed (10 s otherwise); doubled with each failure.
    pub fn job_backoff(mut self, backoff: Duration) -> Self {
        self.settings.job_backoff = backoff;
        self
    }

    /// How much of a container's log is kept (10 MiB otherwise); the oldest lines go first.
    pub fn log_limit_bytes(mut self, limit: usize) -> Self {
        self.settings.log_limit_bytes = limit;
        self
    }

    /// How many changes watches can go back (10,000 otherwise).
    pub fn history_limit(mut self, changes: usize) -> Self {
        self.history_limit = changes;
        self
    }

    /// Starts with the objects of an earlier [`Simulator::snapshot`]. Pods that ran then are failed: their
    /// processes are gone.
    pub fn restore(mut self, snapshot: Value) -> Self {
        self.snapshot = Some(snapshot);
        self
    }

    /// Starts it.
    ///
    /// # Errors
    /// The address can't be listened on, the snapshot isn't one, or there is no place for temporary files.
    pub async fn start(mut self) -> anyhow::Result<Simulator> {
        let token = self
            .token
            .take()
            .unwrap_or_else(|| hex::encode(rand::rng().random::<[u8; 16]>()));
        self.settings
            .tokens
            .insert(token.clone(), Subject::administrator());
        let listener = TcpListener::bind(self.address).await.with_context(|| {
            format!(
                "the Kubernetes simulator can't listen on {}: choose another port",
                self.address
            )
        })?;
        let address = listener.local_addr()?;
        let directory = tempfile::Builder::new().prefix("codex-k8s-pods-").tempdir()?;
        let mut store = Store::new(self.history_limit);
        if let Some(snapshot) = self.snapshot.take() {
            store.restore(read_snapshot(snapshot)?);
        }
        let cluster = Arc::new(Cluster::new(store, self.clock, self.settings));
        furnish(&cluster)?;
        let groups = Arc::new(Groups::open());
        let kubelet = Kubelet::new(
            Arc::clone(&cluster),
            Arc::clone(&groups),
            directory.path().to_owned(),
        );
        controllers::pass(&cluster);
        let router = Router::new()
            .fallback(routes::handle)
            .with_state(Arc::clone(&cluster));
        let stopped = cluster.stopped.clone();
        let server = tokio::spawn(async move {
            let shutdown = stopped.cancelled_owned();
            if let Err(error) = axum::serve(listener, router)
                .with_graceful_shutdown(shutdown)
                .await
            {
                tracing::error!(%error, "the Kubernetes simulator stopped serving");
            }
        });
        let tasks = vec![
            server,
            tokio::spawn(controllers::run(Arc::clone(&cluster))),
            tokio::spawn(kubelet.run()),
        ];
        Ok(Simulator {
            address,
            token,
            cluster,
            groups,
            tasks,
            directory: Some(directory),
        })
    }
}

/// What a cluster has from the beginning.
fn furnish(cluster: &Cluster) -> anyhow::Result<()> {
    let writer = Writer::system("kube-apiserver", &cluster.timestamp());
    let mut store = cluster.store();
    for name in ["default", "kube-system", "kube-public", "kube-node-lease"] {
        if store.get(&NAMESPACE, "", name).is_none() {
            writes::create(
                &mut store,
                &NAMESPACE,
                "",
                json!({ "metadata": { "name": name } }),
                &writer,
            )?;
        }
    }
    if store.get(&NODE, "", NODE_NAME).is_none() {
        let node = json!({ "metadata": { "name": NODE_NAME } });
        let node = writes::create(&mut store, &NODE, "", node, &writer)?;
        writes::edit(&mut store, &NODE, &node, |node| {
            let condition = json!({ "type": "Ready", "status": "True", "reason": "KubeletReady" });
            object::set_condition(node, condition, &writer.now);
        });
    }
    Ok(())
}

fn read_snapshot(snapshot: Value) -> anyhow::Result<Vec<(&'static Resource, Value)>> {
    let Value::Array(objects) = snapshot else {
        anyhow::bail!("a snapshot is a list of objects")
    };
    let with_resource = objects.into_iter().map(|found| {
        let resource = Resource::of_kind(
            object::str_of(&found, "apiVersion"),
            object::str_of(&found, "kind"),
        );
        Ok((
            resource.context("the snapshot holds an object of an unknown kind")?,
            found,
        ))
    });
    with_resource.collect()
}
