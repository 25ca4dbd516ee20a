//! The gateway to ask: this program, started again.

use std::net::TcpListener;
use std::process::Stdio;
use std::time::Duration;

use anyhow::{Context, Result, bail};
use tokio::process::{Child, Command};

use crate::child;
use crate::config::variables;

/// How long it may take to become ready.
const READY: Duration = Duration::from_secs(30);
/// `/proc` counts the processors' time in hundredths of a second, whatever the kernel's own clock does.
const TICKS_PER_S: f64 = 100.0;

/// A gateway, killed with this value.
pub(super) struct Gateway {
    pub(super) url: String,
    process: Child,
}

impl Gateway {
    /// Starts one on this database and waits until it is ready.
    pub(super) async fn start(database_url: &str) -> Result<Self> {
        let program = std::env::current_exe().context("finding this program")?;
        let listen = TcpListener::bind(("127.0.0.1", 0))?.local_addr()?;
        let secret = || hex::encode(rand::random::<[u8; 32]>());
        let mut command = Command::new(&program);
        for variable in variables::ALL {
            command
                .env_remove(variable.name)
                .env_remove(format!("{}_FILE", variable.name));
        }
        command
            .args(["gateway", "--with-parent"])
            .env(variables::MODE.name, "dev")
            .env(variables::DATABASE_URL.name, database_url)
            .env(variables::LISTEN.name, listen.to_string())
            .env(variables::WEBHOOK_SECRETS.name, secret())
            .env(variables::STAFF_TOKEN.name, secret())
            .env(variables::LOG.name, "warn")
            .stdin(Stdio::piped())
            .stdout(Stdio::null())
            .kill_on_drop(true);
        let gateway = Self {
            url: format!("http://{listen}"),
            process: command.spawn().context("starting a gateway")?,
        };
        let ready = async {
            while !reqwest::get(format!("{}/readyz", gateway.url))
                .await
                .is_ok_and(|answer| answer.status().is_success())
            {
                tokio::time::sleep(Duration::from_millis(50)).await;
            }
        };
        if tokio::time::timeout(READY, ready).await.is_err() {
            bail!("the gateway isn't ready after {} s", READY.as_secs());
        }
        Ok(gateway)
    }

    /// Processor time that it has taken, in seconds; `None` where the system doesn't tell.
    pub(super) fn cpu_s(&self) -> Option<f64> {
        let stat = std::fs::read_to_string(format!("/proc/{}/stat", self.process.id()?)).ok()?;
        // The program's name, in brackets, may hold anything; user and system time are the 12th and 13th after it.
        let mut fields = stat.rsplit_once(')')?.1.split_whitespace().skip(11);
        let user: f64 = fields.next()?.parse().ok()?;
        let system: f64 = fields.next()?.parse().ok()?;
        Some((user + system) / TICKS_PER_S)
    }

    /// Has it drain.
    pub(super) async fn stop(mut self) {
        child::terminate(&self.process);
        let _ = tokio::time::timeout(READY, self.process.wait()).await;
    }
}
