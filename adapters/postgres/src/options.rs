//! How to reach the database.

use std::sync::Arc;

use domain::Secret;
use queue::Wake;

use crate::Keyring;

/// Where the database is and how patient to be with it.
#[derive(Debug, Clone)]
pub struct Options {
    /// `postgres://user:password@host:port/name`.
    pub url: Secret<String>,
    /// Connections at most, of this process.
    pub max_connections: u32,
    /// How long to wait for a free or a new connection, in milliseconds.
    pub acquire_timeout_ms: u64,
    /// How long one statement may take, in milliseconds.
    pub statement_timeout_ms: u64,
    /// Shown in `pg_stat_activity`, to tell processes apart.
    pub application_name: String,
    /// What secrets are sealed with. Without it, what needs one is refused.
    pub keyring: Option<Arc<Keyring>>,
    /// How the queue's workers learn of new jobs. [`Wake::Poll`] is for a pooler in transaction mode: nothing is then
    /// set at a connection's start, neither the statement's timeout nor the plans.
    pub wake: Wake,
}

impl Options {
    /// 20 connections, 5 s for a connection, 30 s for a statement, no keyring, no pooler in transaction mode.
    pub fn new(url: Secret<String>) -> Self {
        Self {
            url,
            max_connections: 20,
            acquire_timeout_ms: 5_000,
            statement_timeout_ms: 30_000,
            application_name: "codex-k8s".to_owned(),
            keyring: None,
            wake: Wake::Notify,
        }
    }
}
