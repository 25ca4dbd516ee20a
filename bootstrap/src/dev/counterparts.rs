//! GitHub and Kubernetes where no real ones are configured: the simulators, in this process, with their state
//! kept in the data directory.

use std::io::Write;
use std::net::SocketAddr;
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::{Context, Result};
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use serde_json::Value;
use testkit::{github, kubernetes};

use super::demo::{Amount, ISSUES, PROJECTS, people_github, title};
use super::people::{self, PEOPLE};
use super::services::variable;
use super::state::Simulated;
use super::{DEMO_ISSUES, DEMO_REPOSITORY};
use crate::config::variables;

/// The image whose command is this program's `agent`.
pub(super) const AGENT_IMAGE: &str = "codex-k8s/agent:dev";
/// How often the simulated cluster is written down: what happened since is lost if `dev` is killed.
const SAVE_EVERY: Duration = Duration::from_secs(5);

/// What secrets in the database are sealed with. It lives as long as the data: without it they can't be read.
pub(super) fn encryption_key(data_dir: &Path) -> Result<String> {
    let file = data_dir.join("encryption-key");
    match std::fs::read_to_string(&file) {
        Ok(key) => Ok(key),
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => {
            let key = format!("dev:{}", STANDARD.encode(rand::random::<[u8; 32]>()));
            write_private(&file, key.as_bytes())?;
            Ok(key)
        }
        Err(error) => Err(error).with_context(|| format!("can't read {}", file.display())),
    }
}

/// The OAuth app that the simulated GitHub knows.
pub(super) struct OauthApp {
    client_secret: String,
    redirect_uri: String,
}

impl OauthApp {
    const CLIENT_ID: &'static str = "codex-k8s-dev";

    pub(super) fn new(gateway_url: &str, client_secret: String) -> Self {
        Self {
            client_secret,
            redirect_uri: format!("{gateway_url}/api/v1/auth/github/callback"),
        }
    }

    /// What the gateway has to know for people to sign in.
    pub(super) fn variables(
        &self,
        gateway_url: &str,
        github_url: &str,
        encryption_key: &str,
    ) -> Vec<(String, Option<String>)> {
        let values = [
            (&variables::PUBLIC_URL, gateway_url),
            (&variables::OWNER_EMAIL, people::OWNER),
            (&variables::ENCRYPTION_KEYS, encryption_key),
            (&variables::GITHUB_WEB_URL, github_url),
            (&variables::GITHUB_API_URL, github_url),
            (&variables::GITHUB_OAUTH_CLIENT_ID, Self::CLIENT_ID),
            (&variables::GITHUB_OAUTH_CLIENT_SECRET, &self.client_secret),
        ];
        let each = values.into_iter().map(|(name, value)| variable(name, value));
        each.flatten().collect()
    }
}

/// The simulated GitHub, with the demo repository and its issues.
pub(super) async fn start_github(
    data_dir: &Path,
    address: SocketAddr,
    token: &str,
    oauth: &OauthApp,
    demo: Amount,
) -> Result<github::Simulator> {
    let mut builder = github::Simulator::builder();
    for person in &PEOPLE {
        builder = builder.signs_in(person.login, person.note, &[(person.email, true)]);
    }
    let mut issues = vec![(DEMO_REPOSITORY, DEMO_ISSUES)];
    if demo != Amount::Nothing {
        let others = PROJECTS.iter().flat_map(|project| project.repositories);
        issues.extend(others.map(|repository| (*repository, ISSUES)));
    }
    for (repository, _) in &issues {
        builder = builder
            .repository(repository)
            .collaborator(repository, "codex-k8s", "admin");
    }
    let github = builder
        .oauth_app(OauthApp::CLIENT_ID, &oauth.client_secret, &oauth.redirect_uri)
        .listen(address)
        .account("codex-k8s", token)
        .state_file(data_dir.join("github.json"))
        .start()
        .await?;
    for (repository, count) in issues {
        for number in (1..=count)
            .filter(|number| !github.has_issue(repository, *number))
            .collect::<Vec<_>>()
        {
            let body = "It looks like this has been so for a while.";
            github.add_issue(repository, number, title(number), body, &[])?;
        }
    }
    if demo != Amount::Nothing {
        people_github(&github)?;
    }
    Ok(github)
}

/// The simulated cluster.
pub(super) struct Kubernetes {
    simulator: kubernetes::Simulator,
    file: PathBuf,
    saved: Option<Value>,
}

impl Kubernetes {
    pub(super) async fn start(
        data_dir: &Path,
        address: SocketAddr,
        token: &str,
        agent_program: Option<String>,
        demo: Amount,
    ) -> Result<Self> {
        let program = std::env::current_exe().context("can't find this program")?;
        let program = program.to_str().context("the path of this program isn't UTF-8")?;
        // Pods don't inherit our environment: the agent's program is part of its image.
        let configured = agent_program.map(|value| format!("{}={value}", variables::AGENT_PROGRAM.name));
        let command = match &configured {
            Some(setting) => vec!["env", setting, program, "agent"],
            None if demo == Amount::Nothing => vec![program, "agent"],
            None => vec![program, "dev", "agent"],
        };
        let mut builder = kubernetes::Simulator::builder()
            .address(address)
            .token(token)
            .with_own_path_dir()?
            .image_command(AGENT_IMAGE, &command);
        let file = data_dir.join("kubernetes.json");
        let saved: Option<Value> = match std::fs::read(&file) {
            Ok(text) => Some(serde_json::from_slice(&text).with_context(|| {
                format!(
                    "{} isn't a state of the simulated Kubernetes: remove it to begin anew",
                    file.display()
                )
            })?),
            Err(_) => None,
        };
        if let Some(snapshot) = &saved {
            builder = builder.restore(snapshot.clone());
        }
        let simulator = builder.start().await?;
        write_private(&data_dir.join("kubeconfig"), simulator.kubeconfig().as_bytes())?;
        Ok(Self {
            simulator,
            file,
            saved,
        })
    }

    /// Where it is.
    pub(super) fn address(&self) -> Simulated {
        Simulated {
            url: self.simulator.url(),
            token: self.simulator.token().to_owned(),
        }
    }

    /// Writes it down now and then, for ever.
    pub(super) async fn keep_saved(&mut self) {
        loop {
            tokio::time::sleep(SAVE_EVERY).await;
            if let Err(error) = self.save() {
                tracing::warn!(%error, "the simulated Kubernetes can't keep its state");
            }
        }
    }

    /// Ends it, with its state written down.
    pub(super) async fn stop(mut self) -> Result<()> {
        let saved = self.save();
        self.simulator.stop().await;
        saved
    }

    fn save(&mut self) -> Result<()> {
        let snapshot = self.simulator.snapshot();
        if self.saved.as_ref() == Some(&snapshot) {
            return Ok(());
        }
        let fresh = self.file.with_extension("json.new");
        write_private(&fresh, &serde_json::to_vec(&snapshot)?)?;
        std::fs::rename(&fresh, &self.file)
            .with_context(|| format!("can't write {}", self.file.display()))?;
        self.saved = Some(snapshot);
        Ok(())
    }
}

fn write_private(file: &Path, text: &[u8]) -> Result<()> {
    let mut options = std::fs::OpenOptions::new();
    let open = options
        .write(true)
        .create(true)
        .truncate(true)
        .mode(0o600)
        .open(file);
    Ok(open
        .with_context(|| format!("can't write {}", file.display()))?
        .write_all(text)?)
}
