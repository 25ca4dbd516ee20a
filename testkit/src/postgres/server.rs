//! A PostgreSQL server on a data directory: initialised where it is new, started, stopped, crashed and
//! started again. It listens on 127.0.0.1 only and asks for a random password that is kept beside the data
//! directory.

use std::net::TcpListener;
use std::os::unix::fs::{OpenOptionsExt, PermissionsExt, chown};
use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::{Context, Result, bail};
use rustix::process::Signal;
use sqlx::Connection;

use super::account::Account;
use super::installation::{Installation, run};
use super::postmaster::Postmaster;

/// How a server is to run.
#[derive(Debug, Clone)]
pub struct Settings {
    /// The TCP port on 127.0.0.1; `None` takes a free one.
    pub port: Option<u16>,
    /// Whether a commit survives a power cut. A throw-away server doesn't wait for the disk.
    pub durable: bool,
    /// Connections at once.
    pub max_connections: u16,
    /// Where it writes its log; `None` writes it beside the data directory.
    pub log: Option<PathBuf>,
    /// Further settings, as in `postgresql.conf`.
    pub extra: Vec<(String, String)>,
}

impl Settings {
    /// For data that is worth keeping.
    pub fn durable() -> Self {
        Self {
            port: None,
            durable: true,
            max_connections: 200,
            log: None,
            extra: Vec::new(),
        }
    }

    /// For tests: fast, many connections, nothing survives a power cut.
    pub fn throwaway() -> Self {
        Self {
            durable: false,
            max_connections: 300,
            ..Self::durable()
        }
    }

    fn arguments(&self) -> Vec<(String, String)> {
        let mut all = vec![
            ("listen_addresses", "127.0.0.1".to_owned()),
            ("unix_socket_directories", String::new()),
            ("max_connections", self.max_connections.to_string()),
            ("max_wal_size", "2GB".to_owned()),
            ("log_line_prefix", "%m [%p] %q%d ".to_owned()),
        ];
        if !self.durable {
            for name in ["fsync", "synchronous_commit", "full_page_writes"] {
                all.push((name, "off".to_owned()));
            }
        }
        let mut all: Vec<_> = all
            .into_iter()
            .map(|(name, value)| (name.to_owned(), value))
            .collect();
        all.extend(self.extra.iter().cloned());
        all
    }
}

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

fn beside(data: &Path, suffix: &str) -> PathBuf {
    let mut name = data.as_os_str().to_owned();
    name.push(".");
    name.push(suffix);
    PathBuf::from(name)
}

fn read_password(data: &Path) -> Result<String> {
    let file = beside(data, "password");
    let password = std::fs::read_to_string(&file).with_context(|| {
        format!(
            "the password of the database in {} should be in {}",
            data.display(),
            file.display()
        )
    })?;
    Ok(password.trim().to_owned())
}

/// Initialises into a folder beside and renames: a half initialised directory never counts.
fn initialise(installation: &Installation, data: &Path, durable: bool) -> Result<String> {
    let account = installation.account();
    if data.exists() && std::fs::read_dir(data)?.next().is_some() {
        bail!(
            "{} is not empty and holds no PostgreSQL data: choose another folder",
            data.display()
        );
    }
    let fresh = beside(data, "initialising");
    if fresh.exists() {
        std::fs::remove_dir_all(&fresh).with_context(|| format!("can't remove {}", fresh.display()))?;
    }
    account.own_dir(&fresh)?;
    account.check_reachable(&fresh, "use --data-dir or CODEX_K8S_DATA_DIR")?;

    let password = hex::encode(rand::random::<[u8; 24]>());
    // initdb reads the password from a file, which must be the account's.
    let handed = beside(data, "initialising-password");
    write_private(&handed, &password)?;
    if let Account::Nobody { uid, gid } = account {
        chown(&handed, Some(uid), Some(gid))?;
    }
    let mut initdb = installation.command("initdb");
    initdb.args(["--username=postgres", "--encoding=UTF8", "--auth=scram-sha-256"]);
    initdb.args([
        "--locale-provider=builtin",
        "--builtin-locale=C.UTF-8",
        "--locale=C",
    ]);
    initdb
        .arg(format!("--pwfile={}", handed.display()))
        .arg("-D")
        .arg(&fresh);
    if !durable {
        initdb.arg("--no-sync");
    }
    let result = run(&mut initdb).context(
        "can't initialise the database (PostgreSQL needs an account that the system knows, with an entry in \
         /etc/passwd)",
    );
    std::fs::remove_file(&handed)?;
    result?;

    write_private(&beside(data, "password"), &password)?;
    if data.exists() {
        std::fs::remove_dir(data)?;
    }
    std::fs::rename(&fresh, data)
        .with_context(|| format!("can't move the database to {}", data.display()))?;
    Ok(password)
}

fn write_private(file: &Path, text: &str) -> Result<()> {
    use std::io::Write;
    let mut options = std::fs::OpenOptions::new();
    let mut open = options
        .write(true)
        .create(true)
        .truncate(true)
        .mode(0o600)
        .open(file)
        .with_context(|| format!("can't write {}", file.display()))?;
    Ok(open.write_all(text.as_bytes())?)
}
