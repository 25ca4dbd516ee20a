//! What a running `dev` leaves in its data directory, so that the other commands find it without any
//! variable: addresses, tokens, process numbers. Only its owner can read it.

use std::io::Write;
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, bail};
use serde::{Deserialize, Serialize};

use crate::config::{Environment, variables};

/// A counterpart that `dev` simulates.
#[derive(Clone, Serialize, Deserialize)]
pub(crate) struct Simulated {
    /// Its address.
    pub(crate) url: String,
    /// A token that it accepts.
    pub(crate) token: String,
}

/// The file's content.
#[derive(Clone, Serialize, Deserialize)]
pub(crate) struct State {
    /// The gateway.
    pub(crate) url: String,
    /// Opens the staff API. Kept from start to start.
    pub(crate) staff_token: String,
    /// Signs webhooks. Kept from start to start.
    pub(crate) webhook_secret: String,
    /// The database, with its password.
    pub(crate) database_url: String,
    /// The worker's health and metrics.
    pub(crate) worker_url: String,
    /// GitHub, where it is simulated.
    pub(crate) github: Option<Simulated>,
    /// Kubernetes, where it is simulated.
    pub(crate) kubernetes: Option<Simulated>,
    /// The `dev` process that wrote this.
    pub(crate) pid: u32,
}

/// The directory: `CODEX_K8S_DATA_DIR`, else for root `/var/lib/codex-k8s` (PostgreSQL runs as `nobody`, who
/// can't look into root's home), else `$XDG_STATE_HOME/codex-k8s`, else `~/.local/state/codex-k8s`.
pub(crate) fn data_dir(env: &Environment) -> Result<PathBuf> {
    let set = |name: &str| {
        std::env::var_os(name)
            .filter(|value| !value.is_empty())
            .map(PathBuf::from)
    };
    let dir = if let Some(dir) = env.text(&variables::DATA_DIR)? {
        PathBuf::from(dir)
    } else if rustix::process::geteuid().is_root() {
        PathBuf::from("/var/lib/codex-k8s")
    } else if let Some(dir) = set("XDG_STATE_HOME") {
        dir.join("codex-k8s")
    } else if let Some(home) = set("HOME") {
        home.join(".local/state/codex-k8s")
    } else {
        bail!("no place for the data: set {}", variables::DATA_DIR.name);
    };
    Ok(std::path::absolute(dir)?)
}

impl State {
    fn file(data_dir: &Path) -> PathBuf {
        data_dir.join("dev.json")
    }

    /// The state of the last `dev` here, running or not; `None` if there was none.
    pub(crate) fn read(data_dir: &Path) -> Result<Option<Self>> {
        let file = Self::file(data_dir);
        let text = match std::fs::read(&file) {
            Ok(text) => text,
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(None),
            Err(error) => return Err(error).with_context(|| format!("can't read {}", file.display())),
        };
        let state = serde_json::from_slice(&text);
        state
            .map(Some)
            .with_context(|| format!("{} can't be understood: remove it", file.display()))
    }

    /// Writes it whole: a reader sees the old one or the new one.
    pub(crate) fn write(&self, data_dir: &Path) -> Result<PathBuf> {
        let (file, fresh) = (Self::file(data_dir), data_dir.join("dev.json.new"));
        let mut options = std::fs::OpenOptions::new();
        let mut open = options
            .write(true)
            .create(true)
            .truncate(true)
            .mode(0o600)
            .open(&fresh)?;
        open.write_all(&serde_json::to_vec_pretty(self)?)?;
        std::fs::rename(&fresh, &file)?;
        Ok(file)
    }
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt;

    use super::*;

    #[test]
    fn is_found_again_and_closed_to_others() {
        let folder = tempfile::tempdir().unwrap();
        assert!(State::read(folder.path()).unwrap().is_none());
        let state = State {
            url: "http://127.0.0.1:8080".into(),
            staff_token: "t".into(),
            webhook_secret: "s".into(),
            database_url: "postgres://".into(),
            worker_url: "http://127.0.0.1:8083".into(),
            github: Some(Simulated {
                url: "http://127.0.0.1:8081".into(),
                token: "g".into(),
            }),
            kubernetes: None,
            pid: 1,
        };
        let file = state.write(folder.path()).unwrap();
        assert_eq!(
            std::fs::metadata(&file).unwrap().permissions().mode() & 0o777,
            0o600
        );
        let again = State::read(folder.path()).unwrap().unwrap();
        assert_eq!((again.url, again.github.unwrap().token), (state.url, "g".into()));
        std::fs::write(file, "{").unwrap();
        let error = State::read(folder.path()).err().unwrap().to_string();
        assert!(error.contains("remove it"), "{error}");
    }
}
