//! A PostgreSQL server on a data directory: initialised where it is new, started, stopped, crashed and
//! started again. It listens on 127.0.0.1 only and asks for a random password that is kept beside the data
//! directory.

use std::net::TcpListener;
use std::os::unix::fs::{OpenOptionsExt, PermissionsExt};
use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::{Context, Result, bail};
use rustix::process::Signal;
use sqlx::Connection;

use super::data::{beside, initialise, read_password};
use super::installation::Installation;
use super::postmaster::Postmaster;
use super::settings::Settings;

/// A server of this program. Dropping it stops it; it also stops when this program is killed (on Linux).
#[derive(Debug)]
pub struct Server {
    installation: Installation,
    data: PathBuf,
    settings: Settings,
    port: u16,
    password: String,
    url: String,
    postmaster: Option<Postmaster>,
    /// Holds a throw-away server's folder; removed after the server has ended.
    _folder: Option<tempfile::TempDir>,
}

impl Server {
    /// Starts a server whose data goes away with it.
    pub async fn throwaway(installation: &Installation, settings: Settings) -> Result<Self> {
        let folder = tempfile::Builder::new().prefix("codex-k8s-postgres-").tempdir()?;
        std::fs::set_permissions(folder.path(), std::fs::Permissions::from_mode(0o711))?;
        installation
            .account()
            .check_reachable(&folder.path().join("data"), "set TMPDIR")?;
        let data = folder.path().join("data");
        Self::start_in(installation, &data, settings, Some(folder)).await
    }

    /// Starts the server of this data directory, and initialises it first where there is none.
    pub async fn start(installation: &Installation, data: &Path, settings: Settings) -> Result<Self> {
        Self::start_in(installation, data, settings, None).await
    }

    async fn start_in(
        installation: &Installation,
        data: &Path,
        settings: Settings,
        folder: Option<tempfile::TempDir>,
    ) -> Result<Self> {
        let data = std::path::absolute(data)?;
        let account = installation.account();
        let password = if data.join("PG_VERSION").exists() {
            read_password(&data)?
        } else {
            let (installation, data, durable) = (installation.clone(), data.clone(), settings.durable);
            tokio::task::spawn_blocking(move || initialise(&installation, &data, durable)).await??
        };
        account.check_reachable(&data, "use --data-dir or CODEX_K8S_DATA_DIR")?;
        let found = std::fs::read_to_string(data.join("PG_VERSION"))?;
        if found.trim() != "18" {
            bail!(
                "{} holds PostgreSQL {}'s data, and this is PostgreSQL 18",
                data.display(),
                found.trim()
            );
        }
        let mut server = Self {
            installation: installation.clone(),
            port: 0,
            url: String::new(),
            password,
            data,
            settings,
            postmaster: None,
            _folder: folder,
        };
        server.launch().await?;
        Ok(server)
    }

    /// `postgres://...` of the superuser and the database `postgres`, with the password.
    pub fn url(&self) -> &str {
        &self.url
    }

    /// The same for another database.
    pub fn url_of(&self, database: &str) -> String {
        format!(
            "postgres://postgres:{}@127.0.0.1:{}/{database}",
            self.password, self.port
        )
    }

    /// The port on 127.0.0.1; it stays the same over [`Server::restart`].
    pub fn port(&self) -> u16 {
        self.port
    }

    /// The server's process, while there is one.
    pub fn pid(&self) -> Option<i32> {
        self.postmaster
            .as_ref()
            .filter(|process| process.exited().is_none())
            .map(Postmaster::pid)
    }

    /// Where it writes its log.
    pub fn log(&self) -> PathBuf {
        self.settings
            .log
            .clone()
            .unwrap_or_else(|| beside(&self.data, "log"))
    }

    /// Makes a database where there is none of this name yet, and gives its URL.
    pub async fn create_database(&self, name: &str) -> Result<String> {
        let mut connection = sqlx::PgConnection::connect(&self.url).await?;
        let known: bool = sqlx::query_scalar("SELECT EXISTS (SELECT FROM pg_database WHERE datname = $1)")
            .bind(name)
            .fetch_one(&mut connection)
            .await?;
        if !known {
            let quoted = name.replace('"', "\"\"");
            let create = format!("CREATE DATABASE \"{quoted}\" TEMPLATE template0");
            sqlx::raw_sql(sqlx::AssertSqlSafe(create))
                .execute(&mut connection)
                .await?;
        }
        connection.close().await?;
        Ok(self.url_of(name))
    }

    /// Waits until the server has ended, whyever.
    pub async fn ended(&self) {
        if let Some(postmaster) = &self.postmaster {
            postmaster.wait().await;
        }
    }

    /// Fast shutdown: open transactions are rolled back, everything is written.
    pub async fn stop(&mut self) {
        if let Some(postmaster) = self.postmaster.take() {
            postmaster.end(Signal::INT, Duration::from_secs(30)).await;
        }
    }

    /// Immediate shutdown, as in a crash: the next start has to recover.
    pub async fn crash(&mut self) {
        if let Some(postmaster) = self.postmaster.take() {
            postmaster.end(Signal::QUIT, Duration::from_secs(10)).await;
        }
    }

    /// Starts it again, on the same port; stops it first (fast) if it runs.
    pub async fn restart(&mut self) -> Result<()> {
        self.stop().await;
        self.launch().await
    }

    async fn launch(&mut self) -> Result<()> {
        self.clear_stale_lock().await?;
        let wanted = if self.port == 0 {
            self.settings.port
        } else {
            Some(self.port)
        };
        // Between finding a free port and using it somebody else may take it.
        let tries = if wanted.is_some() { 1 } else { 5 };
        let mut last = None;
        for _ in 0..tries {
            let port = free_port(wanted)?;
            let postmaster = Postmaster::spawn(self.command(port)?)?;
            match self.until_ready(&postmaster).await {
                Ok(()) => {
                    self.port = port;
                    self.postmaster = Some(postmaster);
                    self.url = self.url_of("postgres");
                    return Ok(());
                }
                Err(error) => {
                    postmaster.end(Signal::QUIT, Duration::from_secs(5)).await;
                    last = Some(error);
                }
            }
        }
        Err(last.context("no free port")?)
    }

    fn command(&self, port: u16) -> Result<std::process::Command> {
        let log = self.log();
        let open = || {
            std::fs::OpenOptions::new()
                .create(true)
                .append(true)
                .mode(0o600)
                .open(&log)
        };
        let out = open().with_context(|| format!("can't write PostgreSQL's log {}", log.display()))?;
        let mut command = self.installation.command("postgres");
        command.arg("-D").arg(&self.data).arg("-p").arg(port.to_string());
        for (name, value) in self.settings.arguments() {
            command.arg("-c").arg(format!("{name}={value}"));
        }
        command.stderr(out.try_clone()?).stdout(out);
        Ok(command)
    }

    /// The server itself says so in the eighth line of its lock file.
    async fn until_ready(&self, postmaster: &Postmaster) -> Result<()> {
        let lock = self.data.join("postmaster.pid");
        // Recovery after a crash may take its time.
        for _ in 0..6000 {
            if postmaster.exited().is_some() {
                bail!(
                    "PostgreSQL ended while starting; the end of {}:\n{}",
                    self.log().display(),
                    self.log_tail()
                );
            }
            let text = std::fs::read_to_string(&lock).unwrap_or_default();
            let mut lines = text.lines();
            let ours = lines.next().and_then(|pid| pid.trim().parse().ok()) == Some(postmaster.pid());
            if ours && lines.nth(6).is_some_and(|status| status.trim() == "ready") {
                return Ok(());
            }
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
        bail!("PostgreSQL isn't ready after 120 s; see {}", self.log().display())
    }

    fn log_tail(&self) -> String {
        let text = std::fs::read(self.log()).unwrap_or_default();
        let text = String::from_utf8_lossy(&text);
        let skip = text.lines().count().saturating_sub(12);
        text.lines().skip(skip).collect::<Vec<_>>().join("\n")
    }

    /// After a crash the lock file stays behind, and its process number may belong to somebody else by now,
    /// which PostgreSQL would take for a running server.
    async fn clear_stale_lock(&self) -> Result<()> {
        let lock = self.data.join("postmaster.pid");
        for tries in 0.. {
            let Ok(text) = std::fs::read_to_string(&lock) else {
                return Ok(());
            };
            let pid = text
                .lines()
                .next()
                .and_then(|line| line.trim().parse::<i32>().ok());
            match pid {
                // One that is just going away gets a moment: its program may have been killed.
                Some(pid) if serves(pid, &self.data) && tries < 30 => {
                    tokio::time::sleep(Duration::from_millis(100)).await;
                }
                Some(pid) if serves(pid, &self.data) => bail!(
                    "another PostgreSQL (process {pid}) uses {}: another instance is running, or one was left \
                     over; stop it with `kill -INT {pid}`",
                    self.data.display()
                ),
                _ => {
                    return std::fs::remove_file(&lock)
                        .with_context(|| format!("can't remove the stale {}", lock.display()));
                }
            }
        }
        Ok(())
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        if let Some(postmaster) = self.postmaster.take() {
            postmaster.end_now(if self.settings.durable {
                Signal::INT
            } else {
                Signal::QUIT
            });
        }
    }
}

/// Whether this process is a PostgreSQL that runs this data directory (its working folder).
fn serves(pid: i32, data: &Path) -> bool {
    let process = PathBuf::from(format!("/proc/{pid}"));
    if !Path::new("/proc/self/comm").exists() {
        // No such file system here: leave the judgement to PostgreSQL.
        return rustix::process::Pid::from_raw(pid)
            .is_some_and(|pid| rustix::process::test_kill_process(pid).is_ok());
    }
    let is_postgres =
        std::fs::read_to_string(process.join("comm")).is_ok_and(|name| name.trim() == "postgres");
    let here = std::fs::read_link(process.join("cwd")).map_or(true, |cwd| {
        std::fs::canonicalize(data).map_or(true, |data| data == cwd)
    });
    is_postgres && here
}

fn free_port(wanted: Option<u16>) -> Result<u16> {
    match TcpListener::bind(("127.0.0.1", wanted.unwrap_or(0))) {
        Ok(listener) => Ok(listener.local_addr()?.port()),
        Err(error) => {
            let port = wanted.unwrap_or_default();
            Err(error)
                .with_context(|| format!("PostgreSQL's port {port} on 127.0.0.1 is taken: choose another"))
        }
    }
}
