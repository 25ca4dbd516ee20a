//! PgBouncer in transaction mode in front of a test's server: for the tests of poll-only mode, and for all of
//! them where `CODEX_K8S_TEST_PGBOUNCER=1`.

use std::os::unix::fs::{PermissionsExt, chown};
use std::path::Path;
use std::process::{Child, Stdio};
use std::str::FromStr;
use std::time::{Duration, Instant};

use sqlx::postgres::{PgConnectOptions, PgPoolOptions};
use sqlx::{Connection, PgConnection, PgPool};
use tempfile::TempDir;
use testkit::postgres::Account;

use crate::harness::PATIENCE;

const PROGRAMS: [&str; 3] = [
    "/usr/sbin/pgbouncer",
    "/usr/bin/pgbouncer",
    "/usr/local/bin/pgbouncer",
];
const PORT: u16 = 6432;

/// Whether every test is to go through the pooler.
pub(crate) fn is_wanted() -> bool {
    std::env::var("CODEX_K8S_TEST_PGBOUNCER").is_ok_and(|wanted| wanted == "1")
}

/// Says so where a test can't be run behind a pooler.
pub(crate) fn skips(why: &str) -> bool {
    if is_wanted() {
        eprintln!("skipped behind a pooler: {why}");
    }
    is_wanted()
}

/// Is stopped with this value.
pub(crate) struct Pooler {
    child: Child,
    folder: TempDir,
    options: PgConnectOptions,
}

impl Pooler {
    /// In front of the server of this URL; `None`, and a word on stderr, where PgBouncer isn't installed.
    pub(crate) async fn start(url: &str) -> Option<Self> {
        let Some(program) = PROGRAMS.iter().map(Path::new).find(|path| path.exists()) else {
            assert!(
                !is_wanted(),
                "CODEX_K8S_TEST_PGBOUNCER=1, and PgBouncer isn't installed"
            );
            eprintln!("not run: PgBouncer isn't installed (on Debian: apt-get install pgbouncer)");
            return None;
        };
        let folder = tempfile::Builder::new().prefix("pgbouncer-").tempdir().unwrap();
        let account = Account::of_this_process().unwrap();
        std::fs::set_permissions(folder.path(), std::fs::Permissions::from_mode(0o755)).unwrap();
        if let Account::Nobody { uid, gid } = account {
            chown(folder.path(), Some(uid), Some(gid)).unwrap();
        }
        let server = PgConnectOptions::from_str(url).unwrap();
        let login = url.split("://").nth(1).and_then(|rest| rest.split('@').next());
        let password = login.and_then(|login| login.split(':').nth(1));
        let password = password.map_or(String::new(), |password| format!(" password='{password}'"));
        let at = folder.path().display();
        // Few server connections, so that clients share them. None is told a startup parameter to ignore.
        let settings = format!(
            "[databases]\n* = host={} port={} user={}{password}\n\n[pgbouncer]\npool_mode = transaction\nauth_type = any\n\
             listen_addr =\nlisten_port = {PORT}\nunix_socket_dir = {at}\nlogfile = {at}/log\ndefault_pool_size = 8\n\
             max_client_conn = 500\n",
            server.get_host(),
            server.get_port(),
            server.get_username(),
        );
        let ini = folder.path().join("pgbouncer.ini");
        std::fs::write(&ini, settings).unwrap();
        let mut command = account.command(program);
        let child = command
            .arg("-q")
            .arg(&ini)
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        let options = server.socket(folder.path()).port(PORT).extra_float_digits(None);
        let pooler = Self {
            child,
            folder,
            options,
        };
        pooler.until_ready().await;
        Some(pooler)
    }

    async fn until_ready(&self) {
        let start = Instant::now();
        while let Err(error) = PgConnection::connect_with(&self.options).await {
            let log = std::fs::read_to_string(self.folder.path().join("log")).unwrap_or_default();
            assert!(start.elapsed() < PATIENCE, "no pooler: {error}\n{log}");
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    }

    /// An application's pool that goes through it.
    pub(crate) async fn pool(&self, connections: u32) -> PgPool {
        PgPoolOptions::new()
            .max_connections(connections)
            .connect_with(self.options.clone())
            .await
            .unwrap()
    }
}

impl Drop for Pooler {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
