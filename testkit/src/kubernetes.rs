//! A simulator of the Kubernetes API: just the kinds that the product uses, over HTTP, faithful enough for
//! `kube`. It stands where a cluster stands: the Cluster adapter talks to it in development and in tests, and
//! its little kubelet really executes the command of a pod as a local process, so that logs and exit codes
//! are real. What it claims is held against real clusters by the conformance suite in
//! `tests/kubernetes_conformance`.
//!
//! A request goes through `routes` (path, verb), `access` (token, RBAC), `typed`, `defaults`, `admission` and
//! `validation` into `store`; `controllers` and `kubelet` follow the store and write back through the same
//! `writes`.

mod access;
mod admission;
mod apply;
mod builder;
mod cluster;
mod controllers;
mod defaults;
mod discovery;
mod fields;
mod kubelet;
mod listing;
mod object;
mod pod_log;
mod quantity;
mod resource;
mod routes;
mod selector;
mod status;
mod store;
mod typed;
mod validation;
mod watch;
mod writes;

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use serde_json::Value;
use tempfile::TempDir;
use tokio::task::JoinHandle;

pub use access::{Rule, Subject};
pub use builder::Builder;

use cluster::Cluster;
use kubelet::Groups;

/// A running simulator. Dropping it ends everything that it started.
pub struct Simulator {
    address: SocketAddr,
    token: String,
    cluster: Arc<Cluster>,
    groups: Arc<Groups>,
    tasks: Vec<JoinHandle<()>>,
    directory: Option<TempDir>,
}

impl Simulator {
    /// One with all defaults, to be changed.
    pub fn builder() -> Builder {
        Builder::new()
    }

    /// `http://127.0.0.1:<port>`
    pub fn url(&self) -> String {
        format!("http://{}", self.address)
    }

    /// The bearer token with all rights.
    pub fn token(&self) -> &str {
        &self.token
    }

    /// A kubeconfig in YAML, with all rights.
    pub fn kubeconfig(&self) -> String {
        self.kubeconfig_for(&self.token)
    }

    /// A kubeconfig in YAML with another token.
    pub fn kubeconfig_for(&self, token: &str) -> String {
        format!(
            "apiVersion: v1\nkind: Config\ncurrent-context: simulator\nclusters:\n- name: simulator\n  cluster:\n    server: {}\ncontexts:\n- name: simulator\n  context:\n    cluster: simulator\n    user: simulator\nusers:\n- name: simulator\n  user:\n    token: {token}\n",
            self.url()
        )
    }

    /// All objects, for [`Builder::restore`].
    pub fn snapshot(&self) -> Value {
        self.cluster
            .store()
            .all()
            .map(|(_, object)| (**object).clone())
            .collect()
    }

    /// Cuts all open watches.
    pub fn drop_watches(&self) {
        self.cluster.faults.drop_watches();
    }

    /// Answers the next requests with this status, 429 or 5xx.
    pub fn fail_requests(&self, code: u16, times: u32) {
        self.cluster.faults.fail(code, times);
    }

    /// Lets every request wait; zero ends it.
    pub fn delay_requests(&self, delay: Duration) {
        self.cluster.faults.set_delay(delay);
    }

    /// Forgets the history of changes, so that watches which continue from an earlier version get 410.
    pub fn compact(&self) {
        self.cluster.store().compact();
    }

    /// Leaves new pods pending, unschedulable, until it is switched off again.
    pub fn hold_pods(&self, hold: bool) {
        self.cluster.faults.set_hold_pods(hold);
    }

    /// Ends everything: streams, loops, processes, files.
    pub async fn stop(mut self) {
        self.end();
        for task in self.tasks.drain(..) {
            let handle = task.abort_handle();
            if tokio::time::timeout(Duration::from_secs(2), task).await.is_err() {
                handle.abort();
            }
        }
    }

    fn end(&mut self) {
        self.cluster.stopped.cancel();
        self.groups.kill_all();
        // A process that is just being killed may still write into its working directory.
        if let Some(directory) = self.directory.take() {
            let path = directory.keep();
            for _ in 0..10 {
                match std::fs::remove_dir_all(&path) {
                    Err(error) if error.kind() != std::io::ErrorKind::NotFound => {
                        std::thread::sleep(Duration::from_millis(10));
                    }
                    _ => break,
                }
            }
        }
    }
}

impl Drop for Simulator {
    fn drop(&mut self) {
        self.end();
    }
}
