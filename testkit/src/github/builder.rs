//! Setting up the simulated GitHub: accounts, repositories, the state file, the webhook, the port.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::sync::atomic::AtomicU64;
use std::sync::{Arc, Mutex};

use anyhow::Context as _;
use domain::{Clock, Secret, SystemClock};
use tokio::net::TcpListener;
use tokio_util::sync::CancellationToken;

use super::oauth::{self, Person};
use super::world::World;
use super::{Shared, Simulator, api, faults, hooks};

/// What to start; see [`Simulator::builder`].
pub struct Builder {
    listen: SocketAddr,
    login: String,
    token: String,
    others: Vec<(String, String)>,
    repositories: Vec<String>,
    collaborators: Vec<(String, String, String)>,
    state_file: Option<PathBuf>,
    hook: Option<hooks::Hook>,
    oauth: oauth::Oauth,
    clock: Arc<dyn Clock>,
}

impl Default for Builder {
    fn default() -> Self {
        Self {
            listen: SocketAddr::from(([127, 0, 0, 1], 0)),
            login: "codex-k8s".to_owned(),
            token: "simulated-github-token".to_owned(),
            others: Vec::new(),
            repositories: Vec::new(),
            collaborators: Vec::new(),
            state_file: None,
            hook: None,
            oauth: oauth::Oauth::default(),
            clock: Arc::new(SystemClock),
        }
    }
}

impl Builder {
    /// Where to listen; any free local port if not said.
    pub fn listen(mut self, address: SocketAddr) -> Self {
        self.listen = address;
        self
    }

    /// The platform's own account and its token, instead of the built-in one. It may push to every repository.
    pub fn account(mut self, login: &str, token: &str) -> Self {
        login.clone_into(&mut self.login);
        token.clone_into(&mut self.token);
        self
    }

    /// Another account with a token.
    pub fn person(mut self, login: &str, token: &str) -> Self {
        self.others.push((login.to_owned(), token.to_owned()));
        self
    }

    /// A repository, `owner/name`; the owner is its admin.
    pub fn repository(mut self, full_name: &str) -> Self {
        self.repositories.push(full_name.to_owned());
        self
    }

    /// Someone's role in a repository: `admin`, `maintain`, `write`, `triage`, `read`, `none`.
    pub fn collaborator(mut self, repository: &str, login: &str, role: &str) -> Self {
        self.collaborators
            .push((repository.to_owned(), login.to_owned(), role.to_owned()));
        self
    }

    /// Keeps the world in this file over restarts; it is written whole at each change.
    pub fn state_file(mut self, path: impl Into<PathBuf>) -> Self {
        self.state_file = Some(path.into());
        self
    }

    /// Sends webhooks to this address, signed with this secret.
    pub fn webhook(mut self, url: &str, secret: Secret<String>) -> Self {
        self.hook = Some(hooks::Hook {
            url: url.to_owned(),
            secret,
        });
        self
    }

    /// An OAuth app that people sign in to; the browser is sent back to exactly this address.
    pub fn oauth_app(mut self, client_id: &str, client_secret: &str, redirect_uri: &str) -> Self {
        self.oauth.app = Some(oauth::App {
            client_id: client_id.to_owned(),
            client_secret: client_secret.to_owned(),
            redirect_uri: redirect_uri.to_owned(),
        });
        self
    }

    /// Somebody who may sign in: offered on the sign-in page, with `note` beside the name.
    pub fn signs_in(mut self, login: &str, note: &str, emails: &[(&str, bool)]) -> Self {
        self.oauth.people.push(Person {
            login: login.to_owned(),
            note: note.to_owned(),
            emails: emails
                .iter()
                .map(|(email, verified)| ((*email).to_owned(), *verified))
                .collect(),
        });
        self
    }

    /// Another clock than the machine's.
    pub fn clock(mut self, clock: Arc<dyn Clock>) -> Self {
        self.clock = clock;
        self
    }

    /// Starts it. Fails if the port is taken or the state file can't be read.
    pub async fn start(self) -> anyhow::Result<Simulator> {
        let mut world = match &self.state_file {
            Some(path) => load(path)?,
            None => World::default(),
        };
        for name in &self.repositories {
            world.add_repository(name, self.clock.now());
            if let Some(repository) = world.repository_mut(name) {
                repository
                    .roles
                    .insert(self.login.to_ascii_lowercase(), "write".to_owned());
            }
        }
        for (name, login, role) in &self.collaborators {
            let repository = world.repository_mut(name).with_context(|| {
                format!("the simulated GitHub has no repository {name}: add it with .repository()")
            })?;
            repository.roles.insert(login.to_ascii_lowercase(), role.clone());
        }
        if let Some(path) = &self.state_file {
            save(path, &world)?;
        }
        let listener = TcpListener::bind(self.listen)
            .await
            .with_context(|| format!("the simulated GitHub can't listen on {}", self.listen))?;
        let root = format!("http://{}", listener.local_addr()?);
        let mut accounts: BTreeMap<_, _> = self
            .others
            .into_iter()
            .map(|(login, token)| (token, login))
            .collect();
        accounts.insert(self.token.clone(), self.login.clone());
        let shared = Arc::new(Shared {
            root,
            accounts,
            world: Mutex::new(world),
            state_file: self.state_file,
            requests: Mutex::default(),
            counted: AtomicU64::default(),
            faults: faults::Faults::default(),
            hook: self.hook,
            oauth: self.oauth,
            client: reqwest::Client::new(),
            clock: self.clock,
        });
        let stop = CancellationToken::new();
        let (router, stopped) = (api::router(&shared), stop.clone());
        tokio::spawn(async move {
            let served = axum::serve(listener, router)
                .with_graceful_shutdown(stopped.cancelled_owned())
                .await;
            if let Err(error) = served {
                tracing::error!(%error, "the simulated GitHub stopped");
            }
        });
        Ok(Simulator {
            shared,
            login: self.login,
            token: self.token,
            stop,
        })
    }
}

fn load(path: &Path) -> anyhow::Result<World> {
    match std::fs::read(path) {
        Ok(bytes) => serde_json::from_slice(&bytes).with_context(|| {
            format!(
                "{} isn't a state of the simulated GitHub: remove it to begin anew",
                path.display()
            )
        }),
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(World::default()),
        Err(error) => Err(error).with_context(|| format!("can't read {}", path.display())),
    }
}

/// Writes beside and renames, so that a crash leaves the old state or the new one, never half of one.
pub(super) fn save(path: &Path, world: &World) -> anyhow::Result<()> {
    let beside = path.with_extension("new");
    std::fs::write(&beside, serde_json::to_vec(world)?)
        .with_context(|| format!("can't write {}", beside.display()))?;
    std::fs::rename(&beside, path).with_context(|| format!("can't write {}", path.display()))
}
