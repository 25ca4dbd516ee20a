//! The order in which `dev` brings the product up, watches over it, and takes it down.

use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context, Result, bail};
use domain::Secret;
use testkit::github;
use testkit::postgres::{Installation, Server, Settings};
use tokio_util::sync::CancellationToken;

use super::counterparts::{AGENT_IMAGE, Kubernetes, OauthApp, encryption_key, start_github};
use super::demo::{self, Amount};
use super::people;
use super::progress::Progress;
use super::services::{Running, Service, variable};
use super::state::{Simulated, State, data_dir};
use super::{DEMO_PROJECT, DEMO_REPOSITORY, DEMO_SLOTS, Dev, lock, ports};
use crate::config::{Cluster, Environment, Github, variables as v};
use crate::process::{observe, signals};

const DATABASE: &str = "codex_k8s";

/// Everything that runs, in the order of its making.
struct Product {
    database: Option<Server>,
    github: Option<Arc<github::Simulator>>,
    kubernetes: Option<Kubernetes>,
    gateway: Running,
    worker: Running,
    state: State,
}

/// Runs until Ctrl-C or SIGTERM.
pub(crate) async fn run(env: &Environment, dev: Dev) -> Result<ExitCode> {
    let progress = Progress::start();
    observe::log(&crate::config::Log {
        filter: "warn".into(),
        ..crate::config::Log::read(env)?
    })?;
    let data_dir = match dev.data_dir {
        Some(dir) => std::path::absolute(dir)?,
        None => data_dir(env)?,
    };
    let _lock = lock::take(&data_dir)?;
    let gateway = ports::gateway(dev.port)?;
    if dev.reset {
        lock::reset(&data_dir)?;
        progress.say(&format!(
            "removed the data of earlier starts from {}",
            data_dir.display()
        ));
    }
    std::fs::create_dir_all(data_dir.join("logs"))?;

    let asked = signals::shutdown(false)?;
    let stop = CancellationToken::new();
    let demo = match dev {
        Dev { empty: true, .. } => Amount::Nothing,
        // It needs a GitHub and a cluster with which one may do what one likes.
        _ if Github::is_configured(env)? || Cluster::is_configured(env)? => Amount::Nothing,
        Dev { quiet: true, .. } => Amount::Story,
        _ => Amount::Everything,
    };
    let mut product = tokio::select! {
        product = bring_up(env, &data_dir, gateway, demo, &stop, progress) => product?,
        () = asked.cancelled() => bail!("interrupted while starting"),
    };
    introduce(&product, &data_dir);
    let events = match (&product.github, demo) {
        (None, _) | (_, Amount::Nothing) => None,
        (Some(github), _) => {
            let (github, stop) = (Arc::clone(github), stop.clone());
            Some(demo::start(
                demo,
                github,
                &product.state,
                &data_dir,
                stop,
                progress,
            ))
        }
    };

    watch_over(&mut product, &asked, progress).await;
    progress.say("stopping; Ctrl-C once more stops at once");
    stop.cancel();
    if let Some(events) = events {
        events.await?;
    }
    tokio::join!(product.worker.ended(), product.gateway.ended());
    if let Some(kubernetes) = product.kubernetes {
        kubernetes.stop().await?;
    }
    drop(product.github);
    if let Some(mut database) = product.database {
        database.stop().await;
    }
    progress.say(&format!("stopped; the data stays in {}", data_dir.display()));
    Ok(ExitCode::SUCCESS)
}

async fn bring_up(
    env: &Environment,
    data_dir: &Path,
    gateway: SocketAddr,
    demo: Amount,
    stop: &CancellationToken,
    progress: Progress,
) -> Result<Product> {
    let earlier = State::read(data_dir)?;
    let (database, database_url) = start_database(env, data_dir, gateway, progress).await?;
    prepare_database(&database_url, data_dir, demo, progress).await?;

    let kept = |of: fn(&State) -> Option<&Simulated>| {
        earlier
            .as_ref()
            .and_then(of)
            .map_or_else(random_token, |simulated| simulated.token.clone())
    };
    let mut for_worker = variable(&v::DATABASE_URL, &database_url);
    let mut for_gateway = variable(&v::DATABASE_URL, &database_url);
    let mut state = State {
        url: format!("http://{gateway}"),
        staff_token: earlier
            .as_ref()
            .map_or_else(random_token, |state| state.staff_token.clone()),
        webhook_secret: earlier
            .as_ref()
            .map_or_else(random_token, |state| state.webhook_secret.clone()),
        database_url,
        worker_url: format!("http://{}", ports::near(gateway, 3)?),
        github: None,
        kubernetes: None,
        pid: std::process::id(),
    };
    let github = if Github::is_configured(env)? {
        progress.say("GitHub: the real one that is configured");
        None
    } else {
        let token = kept(|state| state.github.as_ref());
        let oauth = OauthApp::new(&state.url, random_token());
        let github = start_github(data_dir, ports::near(gateway, 1)?, &token, &oauth, demo).await?;
        let key = encryption_key(data_dir)?;
        for_gateway.extend(oauth.variables(&state.url, github.url(), &key));
        people::seed(&state.database_url).await?;
        progress.say(&format!("GitHub is simulated on {}", github.url()));
        for_worker.extend(variable(&v::GITHUB_API_URL, github.url()));
        for_worker.extend(variable(&v::GITHUB_TOKEN, &token));
        for_worker.extend(variable(&v::ENCRYPTION_KEYS, &key));
        for_gateway.extend(variable(&v::GITHUB_TOKEN, &token));
        state.github = Some(Simulated {
            url: github.url().to_owned(),
            token,
        });
        Some(Arc::new(github))
    };
    let kubernetes = if Cluster::is_configured(env)? {
        progress.say("Kubernetes: the real one that is configured");
        None
    } else {
        let token = kept(|state| state.kubernetes.as_ref());
        let agent_program = env.text(&v::AGENT_PROGRAM)?;
        let kubernetes =
            Kubernetes::start(data_dir, ports::near(gateway, 2)?, &token, agent_program, demo).await?;
        let address = kubernetes.address();
        progress.say(&format!("Kubernetes is simulated on {}", address.url));
        for_worker.extend(variable(&v::KUBERNETES_URL, &address.url));
        for_worker.extend(variable(&v::KUBERNETES_TOKEN, &address.token));
        for_worker.extend(variable(&v::AGENT_IMAGE, AGENT_IMAGE));
        state.kubernetes = Some(address);
        Some(kubernetes)
    };

    for_gateway.extend(variable(&v::MODE, "dev"));
    for_gateway.extend(variable(&v::LISTEN, gateway.to_string()));
    for_gateway.extend(variable(&v::WEBHOOK_SECRETS, &state.webhook_secret));
    for_gateway.extend(variable(&v::STAFF_TOKEN, &state.staff_token));
    for_worker.extend(variable(
        &v::METRICS_LISTEN,
        state.worker_url.trim_start_matches("http://"),
    ));
    let program = std::env::current_exe().context("can't find this program")?;
    let service = |name, env, url: &str| Service {
        name,
        program: program.clone(),
        env,
        log: data_dir.join("logs").join(format!("{name}.log")),
        ready_url: format!("{url}/readyz"),
    };
    let gateway = service("gateway", for_gateway, &state.url);
    let gateway = Running::start(gateway, stop.clone(), progress)?;
    let worker = service("worker", for_worker, &state.worker_url);
    let worker = Running::start(worker, stop.clone(), progress)?;
    let http = reqwest::Client::builder()
        .timeout(Duration::from_secs(2))
        .build()?;
    tokio::try_join!(gateway.until_ready(&http), worker.until_ready(&http))?;
    progress.say("gateway and worker are ready");
    state.write(data_dir)?;
    Ok(Product {
        database,
        github,
        kubernetes,
        gateway,
        worker,
        state,
    })
}

/// The configured database, or one of our own.
async fn start_database(
    env: &Environment,
    data_dir: &Path,
    gateway: SocketAddr,
    progress: Progress,
) -> Result<(Option<Server>, String)> {
    if let Some(url) = env.text(&v::DATABASE_URL)? {
        progress.say("PostgreSQL: the one that is configured");
        return Ok((None, url));
    }
    let installation =
        tokio::task::spawn_blocking(move || Installation::ensure(&|line| progress.say(line))).await??;
    let log = data_dir.join("logs/postgres.log");
    let settings = Settings {
        port: Some(ports::near(gateway, 4)?.port()),
        log: Some(log),
        ..Settings::durable()
    };
    let server = Server::start(&installation, &data_dir.join("postgres"), settings).await?;
    let url = server.create_database(DATABASE).await?;
    progress.say(&format!(
        "PostgreSQL 18 with pgvector runs on port {}",
        server.port()
    ));
    Ok((Some(server), url))
}

/// Migrations and the demo project.
async fn prepare_database(url: &str, data_dir: &Path, demo: Amount, progress: Progress) -> Result<()> {
    let options = postgres::Options {
        max_connections: 2,
        ..postgres::Options::new(Secret::new(url.to_owned()))
    };
    let store = postgres::Store::connect(&options).await?;
    store
        .migrate()
        .await
        .context("can't bring the database's schema up to date")?;
    let repository = DEMO_REPOSITORY.parse()?;
    store.seed_project(DEMO_PROJECT, DEMO_SLOTS, &repository).await?;
    if demo != Amount::Nothing {
        demo::projects(&store, data_dir).await?;
    }
    store.close().await;
    progress.say(&format!(
        "the schema is up to date; project {DEMO_PROJECT} has {DEMO_REPOSITORY}"
    ));
    Ok(())
}

/// Until somebody asks to stop: the database is started again if it ends, the cluster's state is written down.
async fn watch_over(product: &mut Product, asked: &CancellationToken, progress: Progress) {
    let database = async {
        let Some(server) = &mut product.database else {
            return std::future::pending().await;
        };
        loop {
            server.ended().await;
            progress.say("PostgreSQL ended: starting it again");
            while let Err(error) = server.restart().await {
                progress.say(&format!("PostgreSQL can't be started: {error:#}"));
                tokio::time::sleep(Duration::from_secs(5)).await;
            }
            progress.say("PostgreSQL runs again");
        }
    };
    let cluster = async {
        match &mut product.kubernetes {
            Some(kubernetes) => kubernetes.keep_saved().await,
            None => std::future::pending().await,
        }
    };
    tokio::select! {
        () = asked.cancelled() => {}
        () = database => {}
        () = cluster => {}
    }
}

fn introduce(product: &Product, data_dir: &Path) {
    let State {
        url,
        worker_url,
        database_url,
        github,
        kubernetes,
        ..
    } = &product.state;
    let dir = data_dir.display();
    let pid = |running: &Running| {
        running
            .pid()
            .map_or_else(|| "-".to_owned(), |pid| pid.to_string())
    };
    let host = database_url
        .rsplit_once('@')
        .map_or(database_url.as_str(), |(_, host)| host);
    let program = program();
    println!("\ncodex-k8s is running. Open the console:\n");
    println!("  {url}/\n");
    println!(
        "  gateway     {url}  (process {}, {dir}/logs/gateway.log)",
        pid(&product.gateway)
    );
    println!(
        "  worker      {worker_url}  (process {}, {dir}/logs/worker.log)",
        pid(&product.worker)
    );
    println!("  API         {url}/api/v1/openapi.json");
    println!("  database    {host}  (its whole URL is in {dir}/dev.json)");
    match github {
        Some(github) => println!(
            "  GitHub      simulated: {}/{DEMO_REPOSITORY}/issues/1",
            github.url
        ),
        None => println!("  GitHub      the real one that is configured"),
    }
    match kubernetes {
        Some(_) => println!("  Kubernetes  simulated: kubectl --kubeconfig {dir}/kubeconfig get namespaces"),
        None => println!("  Kubernetes  the real one that is configured"),
    }
    println!("  staff token {dir}/dev.json, where the commands below find it");
    println!("\nTry, in another terminal:\n");
    println!("  {program} webhook simulate issues.labeled --label run:dev");
    println!("  {program} runs list");
    println!("\nCtrl-C stops everything and keeps the data; --reset throws it away.");
}

/// How to call this program from here.
fn program() -> String {
    let program = std::env::current_exe().unwrap_or_else(|_| PathBuf::from("codex-k8s"));
    let here = std::env::current_dir().unwrap_or_default();
    program
        .strip_prefix(here)
        .unwrap_or(&program)
        .display()
        .to_string()
}

fn random_token() -> String {
    hex::encode(rand::random::<[u8; 32]>())
}
