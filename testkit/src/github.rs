//! A GitHub of our own: a small world of repositories, issues and comments behind GitHub's REST protocol, on a
//! local port. `codex-k8s dev` talks to it where no real GitHub is configured, and the adapter's tests prove
//! themselves on it. Its answers are checked against GitHub's own description (`testkit/prism`).
//!
//! ```text
//! # async fn example() -> anyhow::Result<()> {
//! let github = testkit::github::Simulator::builder()
//!     .repository("Codertocat/Hello-World")
//!     .collaborator("Codertocat/Hello-World", "ann", "write")
//!     .start()
//!     .await?;
//! github.add_issue("Codertocat/Hello-World", 1, "Spelling error", "It says comit.", &["run:dev"])?;
//! println!("{} {}", github.url(), github.issue_url("Codertocat/Hello-World", 1));
//! # Ok(()) }
//! ```

mod answer;
mod api;
mod builder;
mod faults;
mod hooks;
mod oauth;
mod shapes;
mod site;
#[cfg(test)]
mod tests;
mod world;

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use anyhow::Context as _;
use axum::http::Method;
use chrono::{DateTime, Utc};
use domain::{Clock, Secret};
use tokio_util::sync::CancellationToken;

pub use builder::Builder;
pub use faults::Fault;
pub use oauth::Person;
pub use world::Comment;

use world::World;

/// Requests per hour and account.
const HOURLY_LIMIT: u64 = 5_000;
/// How many requests are remembered for [`Simulator::requests`].
const REQUESTS_KEPT: usize = 20_000;

/// What the routes and the [`Simulator`] share.
struct Shared {
    /// The address without a slash at the end.
    root: String,
    /// Logins by token.
    accounts: BTreeMap<String, String>,
    world: Mutex<World>,
    state_file: Option<PathBuf>,
    requests: Mutex<Vec<(Method, String)>>,
    counted: AtomicU64,
    faults: faults::Faults,
    hook: Option<hooks::Hook>,
    oauth: oauth::Oauth,
    client: reqwest::Client,
    clock: Arc<dyn Clock>,
}

impl Shared {
    fn now(&self) -> DateTime<Utc> {
        // GitHub's times have whole seconds.
        let now = self.clock.now();
        DateTime::from_timestamp(now.timestamp(), 0).unwrap_or(now)
    }

    fn world(&self) -> MutexGuard<'_, World> {
        self.world.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Changes the world and writes it to the state file, before anybody hears of the change.
    fn change<T>(&self, change: impl FnOnce(&mut World) -> T) -> T {
        let mut world = self.world();
        let result = change(&mut world);
        if let Some(path) = &self.state_file
            && let Err(error) = builder::save(path, &world)
        {
            tracing::error!(path = %path.display(), %error, "the simulated GitHub can't keep its state");
        }
        result
    }

    fn login_of(&self, token: &str) -> Option<String> {
        self.accounts
            .get(token)
            .cloned()
            .or_else(|| self.oauth.login_of(token))
    }

    /// Notes a request, says how much of the hourly allowance is used.
    fn note_request(&self, method: &Method, path: &str) -> u64 {
        let mut requests = self.requests.lock().unwrap_or_else(PoisonError::into_inner);
        if requests.len() >= REQUESTS_KEPT {
            requests.drain(..REQUESTS_KEPT / 2);
        }
        requests.push((method.clone(), path.to_owned()));
        self.counted.fetch_add(1, Ordering::Relaxed) % HOURLY_LIMIT + 1
    }

    /// How much of the hourly allowance is used. It renews itself when it is: only a [`Fault`] makes anybody wait.
    fn used(&self) -> u64 {
        self.counted.load(Ordering::Relaxed) % HOURLY_LIMIT
    }

    /// Sets the labels and sends `issues.labeled` for each new one.
    fn set_labels(&self, full_name: &str, number: i64, labels: &[&str], sender: &str) -> Option<()> {
        let now = self.now();
        let new = self.change(|world| world.set_labels(full_name, number, labels, now))?;
        let world = self.world();
        let repository = world.repository(full_name)?;
        let issue = repository.issues.get(&number)?;
        let made = repository.hooks.iter().filter(|hook| hook.active);
        let made = made.map(|hook| hooks::Hook {
            url: hook.url.clone(),
            secret: Secret::new(hook.secret.clone()),
        });
        let told: Vec<hooks::Hook> = self.hook.iter().cloned().chain(made).collect();
        for label in &new {
            let payload = hooks::issues_labeled(&self.root, repository, issue, label, sender);
            for hook in &told {
                hooks::deliver(self.client.clone(), hook.clone(), "issues", payload.clone());
            }
        }
        Some(())
    }
}

/// A running simulated GitHub; it stops when this is dropped.
pub struct Simulator {
    shared: Arc<Shared>,
    login: String,
    token: String,
    stop: CancellationToken,
}

impl Drop for Simulator {
    fn drop(&mut self) {
        self.stop.cancel();
    }
}

impl Simulator {
    /// Describes a world to start.
    pub fn builder() -> Builder {
        Builder::default()
    }

    /// The API's address, `http://127.0.0.1:<port>`.
    pub fn url(&self) -> &str {
        &self.shared.root
    }

    /// A token that it accepts.
    pub fn token(&self) -> &str {
        &self.token
    }

    /// Whose token that is.
    pub fn login(&self) -> &str {
        &self.login
    }

    /// A page about the issue, for people.
    pub fn issue_url(&self, repository: &str, number: i64) -> String {
        format!("{}/{repository}/issues/{number}", self.shared.root)
    }

    /// Adds an issue, or changes its title, text and labels; its comments stay. Sends no webhook.
    pub fn add_issue(
        &self,
        repository: &str,
        number: i64,
        title: &str,
        body: &str,
        labels: &[&str],
    ) -> anyhow::Result<()> {
        let now = self.shared.now();
        let known = self
            .shared
            .change(|w| w.put_issue(repository, number, (title, body), labels, now));
        anyhow::ensure!(known, "the simulated GitHub has no repository {repository}");
        Ok(())
    }

    /// Whether there is such an issue.
    pub fn has_issue(&self, repository: &str, number: i64) -> bool {
        self.shared
            .world()
            .repository(repository)
            .is_some_and(|r| r.issues.contains_key(&number))
    }

    /// Opens or closes an issue.
    pub fn set_open(&self, repository: &str, number: i64, open: bool) -> anyhow::Result<()> {
        let done = self.shared.change(|world| {
            world.repository_mut(repository)?.issues.get_mut(&number)?.open = open;
            Some(())
        });
        done.with_context(|| format!("no issue {repository}#{number}"))
    }

    /// Gives the issue exactly these labels, as `sender` would; new ones are told to the webhook.
    pub fn set_labels(
        &self,
        repository: &str,
        number: i64,
        labels: &[&str],
        sender: &str,
    ) -> anyhow::Result<()> {
        let done = self.shared.set_labels(repository, number, labels, sender);
        done.with_context(|| format!("no issue {repository}#{number}"))
    }

    /// Makes `login` an `admin`, `maintain`, `write`, `triage`, `read` or `none` of the repository.
    pub fn set_permission(&self, repository: &str, login: &str, role: &str) -> anyhow::Result<()> {
        let done = self.shared.change(|world| {
            let roles = &mut world.repository_mut(repository)?.roles;
            roles.insert(login.to_ascii_lowercase(), role.to_owned());
            Some(())
        });
        done.with_context(|| format!("the simulated GitHub has no repository {repository}"))
    }

    /// Writes a comment as `login`.
    pub fn add_comment(&self, repository: &str, number: i64, login: &str, body: &str) -> anyhow::Result<i64> {
        let now = self.shared.now();
        let comment = self
            .shared
            .change(|w| w.add_comment(repository, number, (login, body), now));
        Ok(comment
            .with_context(|| format!("no issue {repository}#{number}"))?
            .id)
    }

    /// Takes a comment away, as a person would on the site.
    pub fn delete_comment(&self, repository: &str, id: i64) -> anyhow::Result<()> {
        let done = self.shared.change(|world| {
            let (number, place) = world.find_comment(repository, id)?;
            world
                .repository_mut(repository)?
                .issues
                .get_mut(&number)?
                .comments
                .remove(place);
            Some(())
        });
        done.with_context(|| format!("no comment {id} in {repository}"))
    }

    /// The issue's labels, empty if there is no such issue.
    pub fn labels(&self, repository: &str, number: i64) -> Vec<String> {
        let world = self.shared.world();
        let issue = world.repository(repository).and_then(|r| r.issues.get(&number));
        issue.map(|issue| issue.labels.clone()).unwrap_or_default()
    }

    /// The issue's comments, oldest first, empty if there is no such issue.
    pub fn comments(&self, repository: &str, number: i64) -> Vec<Comment> {
        let world = self.shared.world();
        let issue = world.repository(repository).and_then(|r| r.issues.get(&number));
        issue.map(|issue| issue.comments.clone()).unwrap_or_default()
    }

    /// Lets `fault` strike the next `times` requests of this method whose path contains `path_part`.
    pub fn inject(&self, method: Method, path_part: &str, times: usize, fault: Fault) {
        self.shared.faults.arm(method, path_part, times, fault);
    }

    /// The API requests so far, the last 10,000 at least: method and path.
    pub fn requests(&self) -> Vec<(Method, String)> {
        self.shared
            .requests
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .clone()
    }
}
