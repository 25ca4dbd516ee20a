//! What every process is started with: the mode, the database, the keys and the time to stop.

use std::sync::Arc;

use anyhow::{Context, Result};
use domain::Secret;
use postgres::Keyring;
use queue::Wake;
use url::Url;

use super::environment::{Environment, wrong};
use super::variables as v;

/// Where this runs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Mode {
    /// On one person's machine.
    Dev,
    /// Anywhere else.
    Production,
}

impl Mode {
    pub(crate) fn read(env: &Environment) -> Result<Self> {
        match env.text(&v::MODE)?.as_deref() {
            Some("dev") => Ok(Self::Dev),
            None | Some("production") => Ok(Self::Production),
            Some(other) => Err(wrong(&v::MODE, other)),
        }
    }
}

/// The database.
#[derive(Debug, Clone)]
pub(crate) struct Database {
    /// With the password in it.
    pub(crate) url: Secret<String>,
    /// Of one process.
    pub(crate) max_connections: u32,
    /// What secrets in it are sealed with; where none is configured, what needs one is refused.
    pub(crate) keyring: Option<Arc<Keyring>>,
    /// How the queue's workers learn of new jobs.
    pub(crate) wake: Wake,
}

impl Database {
    pub(crate) fn read(env: &Environment) -> Result<Self> {
        let url = env.required(&v::DATABASE_URL)?;
        let scheme = url.parse::<Url>().ok().map(|url| url.scheme().to_owned());
        if !matches!(scheme.as_deref(), Some("postgres" | "postgresql")) {
            return Err(wrong(&v::DATABASE_URL, ""));
        }
        let max_connections = env.number(&v::DATABASE_MAX_CONNECTIONS, 20, 2..=1000)?;
        Ok(Self {
            url: Secret::new(url),
            max_connections,
            keyring: None,
            wake: match env.text(&v::QUEUE_WAKE)?.as_deref() {
                None | Some("notify") => Wake::Notify,
                Some("poll") => Wake::Poll,
                Some(other) => return Err(wrong(&v::QUEUE_WAKE, other)),
            },
        })
    }
}

/// The password in a database's URL.
pub(super) fn password(url: &Secret<String>) -> Option<Secret<String>> {
    let url: Url = url.expose().parse().ok()?;
    url.password().map(|password| Secret::new(password.to_owned()))
}

/// Without one, what is sealed in the database can't be read; that is said where it is needed.
pub(super) fn keyring(env: &Environment) -> Result<Option<Arc<Keyring>>> {
    let Some(keys) = env.text(&v::ENCRYPTION_KEYS)? else {
        return Ok(None);
    };
    let keyring = keys.parse().with_context(|| v::ENCRYPTION_KEYS.name)?;
    Ok(Some(Arc::new(keyring)))
}

/// How long a process that was told to stop may take for what it has begun.
pub(super) fn grace_period_s(env: &Environment) -> Result<u32> {
    env.number(&v::GRACE_PERIOD, 20, 0..=3600)
}
