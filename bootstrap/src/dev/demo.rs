//! What `dev` shows to somebody who looks at it for the first time: projects with issues, runs that ended well,
//! badly or not yet, jobs in every state, and a trickle of events for as long as it runs. All of it comes about
//! as it would in production: signed webhooks to the gateway, jobs that the worker runs, the simulated GitHub
//! and cluster; nothing is written beneath them.
//!
//! `world` is what there is, `story` what happens at the first start, `standing` what operators have set up, `check`
//! what they have looked at, `trickle` what goes on; `sender` is GitHub's hand, `agent` the agents' work.

pub(crate) mod agent;
mod check;
mod sender;
mod standing;
mod story;
mod tidy;
mod trickle;
mod world;

use std::path::{Path, PathBuf};
use std::sync::Arc;

use anyhow::Result;
use domain::Secret;
use postgres::{Options, Store};
use testkit::github::Simulator;
use testkit::payloads::Payloads;
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

use super::progress::Progress;
use super::state::State;
use sender::Sender;

pub(super) use world::{ISSUES, PROJECTS, people_github, title};

/// How much the demo does by itself.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Amount {
    /// Nothing: the one demo project, and no events.
    Nothing,
    /// What happens at the first start.
    Story,
    /// That, and events for as long as `dev` runs.
    Everything,
}

/// Present once the story has been told: what people have changed since is theirs.
pub(super) const TOLD: &str = "demo.told";

/// What the demo works with.
struct Demo {
    github: Arc<Simulator>,
    sender: Sender,
    store: Store,
    state: State,
}

/// Makes the demo's projects at the first start. Idempotent.
pub(super) async fn projects(store: &Store, data_dir: &Path) -> Result<()> {
    if told(data_dir).exists() {
        return Ok(());
    }
    for project in &PROJECTS {
        for repository in project.repositories {
            store
                .seed_project(project.slug, project.slots, &repository.parse()?)
                .await?;
        }
    }
    Ok(())
}

/// Tells the story in the background, then lets events trickle until `stop`.
pub(super) fn start(
    amount: Amount,
    github: Arc<Simulator>,
    state: &State,
    data_dir: &Path,
    stop: CancellationToken,
    progress: Progress,
) -> JoinHandle<()> {
    let (state, told) = (state.clone(), told(data_dir));
    tokio::spawn(async move {
        let work = async {
            let demo = Demo::open(github, state).await?;
            if told.exists() && amount == Amount::Everything {
                // Agents end with the simulated cluster: somebody should be at work again.
                trickle::begin(&demo).await?;
            } else if !told.exists() {
                story::tell(&demo).await?;
                standing::set_up(&demo.store).await?;
                // Without it there is only less to see.
                if let Err(error) = check::repositories(&demo).await {
                    tracing::warn!(%error, "the demo can't check its repositories");
                }
                std::fs::write(&told, "")?;
            }
            if amount == Amount::Everything {
                trickle::flow(&demo).await;
            }
            demo.store.close().await;
            anyhow::Ok(())
        };
        tokio::select! {
            () = stop.cancelled() => {}
            result = work => if let Err(error) = result {
                progress.say(&format!("the demo's events stopped: {error:#}"));
            }
        }
    })
}

fn told(data_dir: &Path) -> PathBuf {
    data_dir.join(TOLD)
}

impl Demo {
    async fn open(github: Arc<Simulator>, state: State) -> Result<Self> {
        let payloads = tokio::task::spawn_blocking(|| Payloads::load(&|_| {})).await??;
        let options = Options {
            max_connections: 2,
            application_name: "codex-k8s demo".into(),
            ..Options::new(Secret::new(state.database_url.clone()))
        };
        Ok(Self {
            github,
            sender: Sender::new(&state, payloads)?,
            store: Store::connect(&options).await?,
            state,
        })
    }
}
