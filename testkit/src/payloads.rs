//! GitHub's own example payloads, from the npm package `@octokit/webhooks-examples` (58 events, 329 payloads),
//! for tests and for `codex-k8s webhook simulate`.
//!
//! In a checkout the package is installed in `testkit/payloads` (`make test` and `make dev` see to it);
//! anywhere else it is installed into the cache when it is first needed.

use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result, bail};
use serde::Deserialize;
use serde_json::Value;

use crate::postgres::cache_dir;

const CHECKOUT: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/payloads");
const INDEX: &str = "node_modules/@octokit/webhooks-examples/api.github.com/index.json";
/// The folder in the cache; its name carries the package's version.
const FOLDER: &str = "webhooks-examples-7.6.1";

/// One example.
#[derive(Debug, Clone)]
pub struct Example {
    /// `X-GitHub-Event`, for example `issues`.
    pub event: String,
    /// The payload's `action`, where it has one.
    pub action: Option<String>,
    /// The payload.
    pub payload: Value,
}

/// All examples, in the package's order.
#[derive(Debug, Clone)]
pub struct Payloads {
    examples: Vec<Example>,
}

#[derive(Deserialize)]
struct Event {
    name: String,
    examples: Vec<Value>,
}

impl Payloads {
    /// Reads them; installs the package first where it isn't there yet, which needs npm and takes seconds.
    pub fn load(progress: &(dyn Fn(&str) + Send + Sync)) -> Result<Self> {
        let index = match Path::new(CHECKOUT).join(INDEX) {
            index if index.is_file() => index,
            _ => installed(&cache_dir()?, progress)?,
        };
        Self::read(&index)
    }

    fn read(index: &Path) -> Result<Self> {
        let text = std::fs::read(index).with_context(|| format!("can't read {}", index.display()))?;
        let events: Vec<Event> = serde_json::from_slice(&text).with_context(|| {
            format!(
                "{} isn't what it should be: remove its node_modules and try again",
                index.display()
            )
        })?;
        let examples = events.into_iter().flat_map(|event| {
            let example = move |payload: Value| Example {
                event: event.name.clone(),
                action: payload.get("action").and_then(Value::as_str).map(str::to_owned),
                payload,
            };
            event.examples.into_iter().map(example)
        });
        Ok(Self {
            examples: examples.collect(),
        })
    }

    /// Every example.
    pub fn all(&self) -> &[Example] {
        &self.examples
    }

    /// The examples of `event` or `event.action`.
    pub fn find(&self, name: &str) -> Vec<&Example> {
        let (event, action) = match name.split_once('.') {
            Some((event, action)) => (event, Some(action)),
            None => (name, None),
        };
        let fits = |example: &&Example| {
            example.event == event && (action.is_none() || example.action.as_deref() == action)
        };
        self.examples.iter().filter(fits).collect()
    }

    /// Every `event` or `event.action` there is an example of, sorted.
    pub fn names(&self) -> Vec<String> {
        let name = |example: &Example| match &example.action {
            Some(action) => format!("{}.{action}", example.event),
            None => example.event.clone(),
        };
        let mut names: Vec<String> = self.examples.iter().map(name).collect();
        names.sort();
        names.dedup();
        names
    }
}

/// Installs beside and renames: a half installation never counts.
fn installed(cache: &Path, progress: &(dyn Fn(&str) + Send + Sync)) -> Result<PathBuf> {
    let folder = cache.join(FOLDER);
    let index = folder.join(INDEX);
    if index.is_file() {
        return Ok(index);
    }
    progress("fetching GitHub's example payloads through npm (once)");
    std::fs::create_dir_all(cache).with_context(|| {
        format!(
            "can't create the cache {}: set CODEX_K8S_CACHE_DIR to a folder of yours",
            cache.display()
        )
    })?;
    let work = tempfile::Builder::new().prefix(".fetching-").tempdir_in(cache)?;
    let fresh = work.path().join("payloads");
    std::fs::create_dir(&fresh)?;
    std::fs::write(
        fresh.join("package.json"),
        include_str!("../payloads/package.json"),
    )?;
    std::fs::write(
        fresh.join("package-lock.json"),
        include_str!("../payloads/package-lock.json"),
    )?;
    let output = Command::new("npm")
        .args(["ci", "--ignore-scripts", "--no-audit", "--no-fund"])
        .current_dir(&fresh)
        .stdin(std::process::Stdio::null())
        .output()
        .context(
            "GitHub's example payloads come through npm, and it can't be run: install Node.js with npm",
        )?;
    if !output.status.success() {
        bail!(
            "npm couldn't fetch GitHub's example payloads: {}",
            String::from_utf8_lossy(&output.stderr).trim()
        );
    }
    if folder.exists() {
        std::fs::remove_dir_all(&folder)
            .with_context(|| format!("can't remove the broken {}", folder.display()))?;
    }
    match std::fs::rename(&fresh, &folder) {
        // Somebody else was faster with the same thing.
        Err(_) if index.is_file() => Ok(index),
        other => other
            .map(|()| index)
            .with_context(|| format!("can't move them to {}", folder.display())),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn finds_examples() {
        let payloads = Payloads::load(&|line| eprintln!("{line}")).unwrap();
        assert_eq!(payloads.all().len(), 329);
        let labeled = payloads.find("issues.labeled");
        assert!(!labeled.is_empty());
        for example in labeled {
            assert_eq!(example.payload["label"]["name"], "bug");
        }
        assert!(
            payloads
                .find("push")
                .iter()
                .all(|example| example.action.is_none())
        );
        assert!(payloads.find("issues.sung").is_empty());
        assert!(
            payloads.names().contains(&"ping".to_owned()),
            "{:?}",
            payloads.names()
        );
    }
}
