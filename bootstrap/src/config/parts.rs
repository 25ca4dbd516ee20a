//! What each part is started with, parsed out of the environment.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;

use anyhow::{Context, Result, bail};
use domain::Secret;
use domain::access::Email;
use github::IdentitySettings;
use postgres::Keyring;
use queue::Wake;
use url::{Host, Url};

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

/// The gateway.
#[derive(Debug, Clone)]
pub(crate) struct Gateway {
    pub(crate) listen: SocketAddr,
    pub(crate) database: Database,
    pub(crate) webhook_secrets: Vec<Secret<String>>,
    pub(crate) staff_token: Option<Secret<String>>,
    pub(crate) sign_in: Option<SignIn>,
    /// For links to what stands there.
    pub(crate) forge_url: Url,
    /// To see whether repositories are set up.
    pub(crate) github_api_url: Url,
    /// For repositories that have no token of their own.
    pub(crate) github_token: Option<Secret<String>>,
    pub(crate) grace_period_s: u32,
}

impl Gateway {
    pub(crate) fn read(env: &Environment) -> Result<Self> {
        let staff_token = env.secret(&v::STAFF_TOKEN)?;
        let sign_in = SignIn::read(env)?;
        if Mode::read(env)? == Mode::Production {
            if staff_token.is_some() {
                bail!(
                    "{} is for development: here people sign in, and programs have personal tokens; take it \
                     from the gateway's environment, or on a machine of your own set {}=dev",
                    v::STAFF_TOKEN.name,
                    v::MODE.name
                );
            }
            if sign_in.is_none() {
                bail!(
                    "{} isn't set, and outside development people have to sign in: {}; on a machine of your own \
                     set {}=dev",
                    v::GITHUB_OAUTH_CLIENT_ID.name,
                    v::GITHUB_OAUTH_CLIENT_ID.meaning,
                    v::MODE.name
                );
            }
        }
        let secrets = env.required(&v::WEBHOOK_SECRETS)?;
        let webhook_secrets: Vec<_> = secrets
            .split(['\n', ','])
            .map(str::trim)
            .filter(|secret| !secret.is_empty())
            .map(|secret| Secret::new(secret.to_owned()))
            .collect();
        Ok(Self {
            listen: env
                .parsed(&v::LISTEN)?
                .unwrap_or_else(|| SocketAddr::from(([127, 0, 0, 1], 8080))),
            database: Database {
                keyring: sign_in.as_ref().map(|sign_in| Arc::clone(&sign_in.keyring)),
                ..Database::read(env)?
            },
            webhook_secrets,
            staff_token,
            sign_in,
            forge_url: forge_url(env, &v::GITHUB_WEB_URL)?,
            github_api_url: forge_url(env, &v::GITHUB_API_URL)?,
            github_token: env.secret(&v::GITHUB_TOKEN)?,
            grace_period_s: grace_period_s(env)?,
        })
    }

    /// What the gateway's crate wants to know.
    pub(crate) fn settings(&self) -> gateway::Settings {
        gateway::Settings {
            staff_token: self.staff_token.clone(),
            public_url: self.sign_in.as_ref().map(|sign_in| sign_in.public_url.clone()),
            grace_period_ms: u64::from(self.grace_period_s) * 1000,
            forge_url: self.forge_url.to_string(),
            ..gateway::Settings::new(self.webhook_secrets.clone())
        }
    }
}

/// What signing in needs; all of it or nothing.
#[derive(Debug, Clone)]
pub(crate) struct SignIn {
    pub(crate) public_url: String,
    pub(crate) owner: Email,
    pub(crate) keyring: Arc<Keyring>,
    pub(crate) github: IdentitySettings,
}

impl SignIn {
    /// `None` if no OAuth app is configured.
    pub(crate) fn read(env: &Environment) -> Result<Option<Self>> {
        let Some(client_id) = env.text(&v::GITHUB_OAUTH_CLIENT_ID)? else {
            return Ok(None);
        };
        let owner = env.required(&v::OWNER_EMAIL)?;
        let keys = env.required(&v::ENCRYPTION_KEYS)?;
        let keyring = keys.parse().with_context(|| v::ENCRYPTION_KEYS.name)?;
        Ok(Some(Self {
            public_url: env.required(&v::PUBLIC_URL)?,
            owner: owner.parse().map_err(|_| wrong(&v::OWNER_EMAIL, &owner))?,
            keyring: Arc::new(keyring),
            github: IdentitySettings {
                web_url: forge_url(env, &v::GITHUB_WEB_URL)?,
                api_url: forge_url(env, &v::GITHUB_API_URL)?,
                client_id,
                client_secret: Secret::new(env.required(&v::GITHUB_OAUTH_CLIENT_SECRET)?),
            },
        }))
    }
}

/// An address that secrets are sent to: https, or http on this very machine.
fn forge_url(env: &Environment, variable: &v::Variable) -> Result<Url> {
    let url: Url = match env.parsed(variable)? {
        Some(url) => url,
        None => variable.default.parse()?,
    };
    let local = match url.host() {
        Some(Host::Ipv4(v4)) => v4.is_loopback(),
        Some(Host::Ipv6(v6)) => v6.is_loopback(),
        Some(Host::Domain(name)) => name == "localhost",
        None => false,
    };
    if url.scheme() == "https" || (url.scheme() == "http" && local) {
        Ok(url)
    } else {
        Err(wrong(variable, url.as_str()))
    }
}

/// The worker.
#[derive(Debug, Clone)]
pub(crate) struct Worker {
    pub(crate) database: Database,
    pub(crate) metrics_listen: SocketAddr,
    pub(crate) queues: Vec<String>,
    pub(crate) concurrency: u32,
    pub(crate) grace_period_s: u32,
    /// How long finished jobs are kept; `None` leaves it as the database has it.
    pub(crate) queue_keep_days: Option<u16>,
    pub(crate) payload_retention_days: u16,
    /// Everything that must not appear in what agents write.
    pub(crate) secrets: Vec<Secret<String>>,
    pub(crate) github: Github,
    pub(crate) cluster: Cluster,
    pub(crate) agent: Agent,
}

impl Worker {
    pub(crate) fn read(env: &Environment) -> Result<Self> {
        let queues = match env.text(&v::QUEUES)? {
            None => vec![domain::job::DELIVERIES.to_owned(), domain::job::RUNS.to_owned()],
            Some(text) => parse_queues(&text)?,
        };
        let (database, github, cluster) = (Database::read(env)?, Github::read(env)?, Cluster::read(env)?);
        let mut secrets = vec![database.url.clone(), github.token.clone()];
        secrets.extend(password(&database.url));
        if let Cluster::Address { token, .. } = &cluster {
            secrets.push(token.clone());
        }
        let retention = env.number(&v::PAYLOAD_RETENTION, 30, 1..=3650)?;
        Ok(Self {
            metrics_listen: env
                .parsed(&v::METRICS_LISTEN)?
                .unwrap_or_else(|| SocketAddr::from(([127, 0, 0, 1], 9090))),
            queues,
            concurrency: env.number(&v::CONCURRENCY, 32, 1..=10_000)?,
            grace_period_s: grace_period_s(env)?,
            queue_keep_days: queue_keep_days(env)?,
            payload_retention_days: u16::try_from(retention)?,
            secrets,
            database: Database {
                keyring: keyring(env)?,
                ..database
            },
            github,
            cluster,
            agent: Agent::read(env)?,
        })
    }
}

/// Without one, what is sealed in the database can't be read; that is said where it is needed.
fn keyring(env: &Environment) -> Result<Option<Arc<Keyring>>> {
    let Some(keys) = env.text(&v::ENCRYPTION_KEYS)? else {
        return Ok(None);
    };
    let keyring = keys.parse().with_context(|| v::ENCRYPTION_KEYS.name)?;
    Ok(Some(Arc::new(keyring)))
}

/// Not a default of 30: that would undo at each start what was set in the database.
fn queue_keep_days(env: &Environment) -> Result<Option<u16>> {
    if env.text(&v::QUEUE_KEEP_DAYS)?.is_none() {
        return Ok(None);
    }
    let days = env.number(&v::QUEUE_KEEP_DAYS, 30, 1..=3650)?;
    Ok(Some(u16::try_from(days)?))
}

/// The password in a database's URL.
fn password(url: &Secret<String>) -> Option<Secret<String>> {
    let url: Url = url.expose().parse().ok()?;
    url.password().map(|password| Secret::new(password.to_owned()))
}

/// Names of queues, separated by commas; only those that exist.
pub(crate) fn parse_queues(text: &str) -> Result<Vec<String>> {
    let known = [domain::job::DELIVERIES, domain::job::RUNS];
    let mut queues: Vec<String> = Vec::new();
    for name in text.split(',').map(str::trim).filter(|name| !name.is_empty()) {
        if !known.contains(&name) {
            bail!("there is no queue `{name}`; queues are: {}", known.join(", "));
        }
        if !queues.iter().any(|queue| queue == name) {
            queues.push(name.to_owned());
        }
    }
    if queues.is_empty() {
        bail!("no queue to work on; queues are: {}", known.join(", "));
    }
    Ok(queues)
}

/// GitHub.
#[derive(Debug, Clone)]
pub(crate) struct Github {
    pub(crate) api_url: Url,
    pub(crate) token: Secret<String>,
    pub(crate) login: Option<String>,
}

impl Github {
    /// Whether a real GitHub is configured; `dev` brings its simulator otherwise.
    pub(crate) fn is_configured(env: &Environment) -> Result<bool> {
        Ok(env.text(&v::GITHUB_TOKEN)?.is_some())
    }

    pub(crate) fn read(env: &Environment) -> Result<Self> {
        let api_url: Url = match env.parsed(&v::GITHUB_API_URL)? {
            Some(url) => url,
            None => "https://api.github.com".parse()?,
        };
        if !matches!(api_url.scheme(), "http" | "https") {
            return Err(wrong(&v::GITHUB_API_URL, api_url.as_str()));
        }
        let token = Secret::new(env.required(&v::GITHUB_TOKEN)?);
        Ok(Self {
            api_url,
            token,
            login: env.text(&v::GITHUB_LOGIN)?,
        })
    }
}

/// Which Kubernetes.
#[derive(Debug, Clone)]
pub(crate) enum Cluster {
    /// An address and a token.
    Address {
        /// Of the API.
        url: Url,
        /// Bearer.
        token: Secret<String>,
    },
    /// A kubeconfig file.
    Kubeconfig(PathBuf),
    /// What the process finds: in-cluster configuration, else the usual kubeconfig.
    Inferred,
}

impl Cluster {
    /// Whether a real cluster was asked for; `dev` brings its simulator otherwise.
    pub(crate) fn is_configured(env: &Environment) -> Result<bool> {
        Ok(env.text(&v::KUBECONFIG)?.is_some() || env.text(&v::KUBERNETES_URL)?.is_some())
    }

    pub(crate) fn read(env: &Environment) -> Result<Self> {
        let kubeconfig = env.text(&v::KUBECONFIG)?;
        match (
            env.parsed::<Url>(&v::KUBERNETES_URL)?,
            env.secret(&v::KUBERNETES_TOKEN)?,
            kubeconfig,
        ) {
            (Some(_), _, Some(_)) => {
                bail!(
                    "set either {} or {}, not both",
                    v::KUBERNETES_URL.name,
                    v::KUBECONFIG.name
                )
            }
            (Some(url), Some(token), None) => Ok(Self::Address { url, token }),
            (Some(_), None, None) => {
                bail!(
                    "{} needs {} beside it",
                    v::KUBERNETES_URL.name,
                    v::KUBERNETES_TOKEN.name
                )
            }
            (None, Some(_), _) => {
                bail!(
                    "{} needs {} beside it",
                    v::KUBERNETES_TOKEN.name,
                    v::KUBERNETES_URL.name
                )
            }
            (None, None, Some(file)) => Ok(Self::Kubeconfig(file.into())),
            (None, None, None) => Ok(Self::Inferred),
        }
    }
}

/// What runs in a run's pod.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Agent {
    pub(crate) image: String,
    /// Empty leaves the image's own.
    pub(crate) command: Vec<String>,
    pub(crate) deadline_s: u32,
}

impl Agent {
    pub(crate) fn read(env: &Environment) -> Result<Self> {
        let command = env.text(&v::AGENT_COMMAND)?.unwrap_or_default();
        let words = if command.starts_with('[') {
            serde_json::from_str(&command).map_err(|_| wrong(&v::AGENT_COMMAND, &command))?
        } else {
            command.split_whitespace().map(str::to_owned).collect()
        };
        Ok(Self {
            image: env.required(&v::AGENT_IMAGE)?,
            command: words,
            deadline_s: env.number(&v::AGENT_DEADLINE, 3600, 10..=86_400)?,
        })
    }
}

/// How a log line looks.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum LogFormat {
    /// For people.
    Text,
    /// For machines.
    Json,
}

/// Logging.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Log {
    /// Levels and directives.
    pub(crate) filter: String,
    pub(crate) format: LogFormat,
}

impl Log {
    pub(crate) fn read(env: &Environment) -> Result<Self> {
        let filter = env.text(&v::LOG)?.unwrap_or_else(|| "info".to_owned());
        if filter.parse::<tracing_subscriber::EnvFilter>().is_err() {
            return Err(wrong(&v::LOG, &filter));
        }
        let format = match env.text(&v::LOG_FORMAT)?.as_deref() {
            None | Some("text") => LogFormat::Text,
            Some("json") => LogFormat::Json,
            Some(other) => return Err(wrong(&v::LOG_FORMAT, other)),
        };
        Ok(Self { filter, format })
    }
}

fn grace_period_s(env: &Environment) -> Result<u32> {
    env.number(&v::GRACE_PERIOD, 20, 0..=3600)
}

#[cfg(test)]
mod tests {
    use super::super::environment::of;
    use super::*;

    const DATABASE: (&str, &str) = ("CODEX_K8S_DATABASE_URL", "postgres://u:hunter2@h/d");
    const TOKEN: (&str, &str) = ("CODEX_K8S_GITHUB_TOKEN", "ghp_1");
    const IMAGE: (&str, &str) = ("CODEX_K8S_AGENT_IMAGE", "agent:1");

    #[test]
    fn the_gateway_needs_dev_and_a_secret() {
        let dev = ("CODEX_K8S_MODE", "dev");
        let secrets = (
            "CODEX_K8S_WEBHOOK_SECRETS",
            "first-secret-of-two, second-secret-of-two,",
        );
        let gateway = Gateway::read(&of(&[dev, DATABASE, secrets])).unwrap();
        assert_eq!(gateway.webhook_secrets.len(), 2);
        assert_eq!(gateway.listen.to_string(), "127.0.0.1:8080");
        assert_eq!(gateway.settings().check(), Ok(()));
        for (pairs, said) in [
            (vec![DATABASE, secrets], "CODEX_K8S_MODE=dev"),
            (
                vec![
                    DATABASE,
                    secrets,
                    ("CODEX_K8S_STAFF_TOKEN", "hunter2-hunter2-hunter2"),
                ],
                "CODEX_K8S_STAFF_TOKEN is for development",
            ),
            (
                vec![("CODEX_K8S_MODE", "test"), DATABASE, secrets],
                "CODEX_K8S_MODE `test` can't be used",
            ),
            (vec![dev, DATABASE], "CODEX_K8S_WEBHOOK_SECRETS"),
            (vec![dev, secrets], "CODEX_K8S_DATABASE_URL"),
            (
                vec![dev, secrets, ("CODEX_K8S_DATABASE_URL", "mysql://u:hunter2@h/d")],
                "CODEX_K8S_DATABASE_URL",
            ),
        ] {
            let error = format!("{:#}", Gateway::read(&of(&pairs)).unwrap_err());
            assert!(error.contains(said) && !error.contains("hunter2"), "{error}");
        }
    }

    #[test]
    fn people_sign_in_with_all_that_it_needs() {
        let all = [
            DATABASE,
            ("CODEX_K8S_WEBHOOK_SECRETS", "first-secret-of-two"),
            ("CODEX_K8S_PUBLIC_URL", "https://codex.example.com"),
            ("CODEX_K8S_OWNER_EMAIL", "Ann@Example.com"),
            (
                "CODEX_K8S_ENCRYPTION_KEYS",
                "a:AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA=",
            ),
            ("CODEX_K8S_GITHUB_OAUTH_CLIENT_ID", "an-app"),
            ("CODEX_K8S_GITHUB_OAUTH_CLIENT_SECRET", "hunter2"),
        ];
        let gateway = Gateway::read(&of(&all)).unwrap();
        assert_eq!(gateway.settings().check(), Ok(()));
        let sign_in = gateway.sign_in.unwrap();
        assert_eq!(sign_in.owner.as_str(), "ann@example.com");
        assert_eq!(sign_in.github.api_url.as_str(), "https://api.github.com/");
        assert!(!format!("{sign_in:?}").contains("hunter2"));
        for (name, _) in all {
            let without: Vec<_> = all.iter().copied().filter(|(known, _)| *known != name).collect();
            let error = format!("{:#}", Gateway::read(&of(&without)).unwrap_err());
            assert!(error.contains(name) && !error.contains("hunter2"), "{error}");
        }
        for (name, value) in [
            ("CODEX_K8S_OWNER_EMAIL", "nobody"),
            ("CODEX_K8S_ENCRYPTION_KEYS", "a:hunter2"),
            ("CODEX_K8S_GITHUB_WEB_URL", "http://github.example.com"),
            ("CODEX_K8S_GITHUB_API_URL", "http://169.254.169.254"),
        ] {
            let mut wrong: Vec<_> = all.iter().copied().filter(|(known, _)| *known != name).collect();
            wrong.push((name, value));
            let error = format!("{:#}", Gateway::read(&of(&wrong)).unwrap_err());
            assert!(error.contains(name) && !error.contains("hunter2"), "{error}");
        }
    }

    #[test]
    fn the_worker_needs_its_counterparts() {
        let worker = Worker::read(&of(&[DATABASE, TOKEN, IMAGE])).unwrap();
        assert_eq!(worker.queues, ["deliveries", "runs"]);
        assert!(matches!(worker.cluster, Cluster::Inferred));
        assert_eq!(worker.queue_keep_days, None);
        let week = ("CODEX_K8S_QUEUE_KEEP_DAYS", "7");
        let worker = Worker::read(&of(&[DATABASE, TOKEN, IMAGE, week])).unwrap();
        assert_eq!(worker.queue_keep_days, Some(7));
        let url = ("CODEX_K8S_KUBERNETES_URL", "https://k");
        for (pairs, said) in [
            (vec![DATABASE, IMAGE], "CODEX_K8S_GITHUB_TOKEN"),
            (vec![DATABASE, TOKEN], "CODEX_K8S_AGENT_IMAGE isn't set"),
            (
                vec![DATABASE, TOKEN, IMAGE, ("CODEX_K8S_QUEUES", "runs,walks")],
                "there is no queue `walks`",
            ),
            (
                vec![DATABASE, TOKEN, IMAGE, url],
                "needs CODEX_K8S_KUBERNETES_TOKEN",
            ),
            (
                vec![DATABASE, TOKEN, IMAGE, url, ("CODEX_K8S_KUBECONFIG", "/k")],
                "not both",
            ),
            (
                vec![DATABASE, TOKEN, IMAGE, ("CODEX_K8S_GITHUB_API_URL", "ftp://x/")],
                "CODEX_K8S_GITHUB_API_URL",
            ),
            (
                vec![DATABASE, TOKEN, IMAGE, ("CODEX_K8S_QUEUE_KEEP_DAYS", "0")],
                "1 to 3650",
            ),
            (
                vec![DATABASE, TOKEN, IMAGE, ("CODEX_K8S_AGENT_DEADLINE", "5")],
                "10 to 86400",
            ),
        ] {
            let error = format!("{:#}", Worker::read(&of(&pairs)).unwrap_err());
            assert!(error.contains(said), "{error}");
        }
    }

    #[test]
    fn agent_commands_are_words_or_json() {
        let command = |text: &str| {
            Agent::read(&of(&[IMAGE, ("CODEX_K8S_AGENT_COMMAND", text)])).map(|agent| agent.command)
        };
        assert_eq!(command("").unwrap(), Vec::<String>::new());
        assert_eq!(command("codex-k8s agent").unwrap(), ["codex-k8s", "agent"]);
        assert_eq!(command(r#"["sh", "-c", "a b"]"#).unwrap(), ["sh", "-c", "a b"]);
        assert!(
            command(r#"["sh", 1]"#)
                .unwrap_err()
                .to_string()
                .contains("CODEX_K8S_AGENT_COMMAND")
        );
    }

    #[test]
    fn log_settings() {
        let log = |name, text| Log::read(&of(&[(name, text)]));
        assert_eq!(
            log("CODEX_K8S_LOG", "").unwrap(),
            Log {
                filter: "info".into(),
                format: LogFormat::Text
            }
        );
        assert_eq!(
            log("CODEX_K8S_LOG_FORMAT", "json").unwrap().format,
            LogFormat::Json
        );
        assert!(log("CODEX_K8S_LOG", "queue=loud").is_err());
        assert!(
            log("CODEX_K8S_LOG_FORMAT", "xml")
                .unwrap_err()
                .to_string()
                .contains("text or json")
        );
    }
}
