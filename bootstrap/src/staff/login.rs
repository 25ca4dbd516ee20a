//! `codex-k8s login` and `logout`: a personal token for the staff commands, by a code that a person confirms in the
//! browser. It is kept in a file of its owner's alone.

use std::io::Write;
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::{Context, Result, bail};
use domain::Secret;
use http::{Method, StatusCode};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use super::client::whereabouts;
use super::http::Http;
use super::table;
use crate::config::{Environment, variables};

/// Arguments of `login`.
#[derive(Debug, clap::Args)]
pub(crate) struct Login {
    /// What the token may be used for, of what you may: read, write, admin
    #[arg(long, value_delimiter = ',', default_value = "read,write",
          value_parser = clap::builder::PossibleValuesParser::new(["read", "write", "admin"]))]
    scopes: Vec<String>,
    /// For how many days
    #[arg(long, default_value_t = 30, value_parser = clap::value_parser!(u16).range(1..=366))]
    days: u16,
    /// What the token is called in the console's list
    #[arg(long)]
    name: Option<String>,
}

/// A token that somebody has, and where it is good.
#[derive(Serialize, Deserialize)]
pub(super) struct Kept {
    /// The gateway.
    pub(super) url: String,
    /// The personal token.
    pub(super) token: String,
    /// Whose it is.
    owner: String,
}

impl Kept {
    /// `$XDG_CONFIG_HOME/codex-k8s/login.json`, else below `~/.config`.
    fn file() -> Result<PathBuf> {
        let set = std::env::var_os("XDG_CONFIG_HOME").filter(|value| !value.is_empty());
        let config = set.map(PathBuf::from);
        let config = config.or_else(|| Some(std::env::home_dir()?.join(".config")));
        let config = config.context("no home directory: set XDG_CONFIG_HOME")?;
        Ok(config.join("codex-k8s/login.json"))
    }

    /// The one that was kept; `None` if nobody has logged in.
    pub(super) fn read() -> Result<Option<Self>> {
        Self::read_from(&Self::file()?)
    }

    fn read_from(file: &Path) -> Result<Option<Self>> {
        match std::fs::read(file) {
            Ok(text) => serde_json::from_slice(&text)
                .map(Some)
                .with_context(|| format!("{} can't be understood: remove it", file.display())),
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(None),
            Err(error) => Err(error).with_context(|| format!("can't read {}", file.display())),
        }
    }

    /// Written beside and renamed, readable by its owner alone from the first byte on.
    fn write_to(&self, file: &Path) -> Result<()> {
        let folder = file.parent().context("no folder")?;
        std::fs::create_dir_all(folder).with_context(|| format!("can't create {}", folder.display()))?;
        let fresh = file.with_extension("new");
        let _ = std::fs::remove_file(&fresh);
        let mut options = std::fs::OpenOptions::new();
        let mut open = options
            .write(true)
            .create_new(true)
            .mode(0o600)
            .open(&fresh)
            .with_context(|| format!("can't write {}", fresh.display()))?;
        open.write_all(&serde_json::to_vec_pretty(self)?)?;
        std::fs::rename(&fresh, file).with_context(|| format!("can't write {}", file.display()))
    }
}

/// Shows a code, waits until it is confirmed, keeps the token.
pub(crate) async fn login(env: &Environment, login: Login) -> Result<()> {
    let (url, _) = whereabouts(env)?;
    let http = Http::for_gateway(&url)?;
    let name = login.name.unwrap_or_else(|| {
        let host = crate::process::worker::host().unwrap_or_else(|| "this machine".into());
        format!("codex-k8s on {host}")
    });
    let wish = json!({ "name": name, "scopes": login.scopes, "days": login.days });
    let (status, begun) = post(&http, &format!("{url}/api/v1/auth/device"), &wish).await?;
    if !status.is_success() {
        bail!("{} ({status})", detail(&begun));
    }
    let text = |member: &str| begun[member].as_str().map(table::printable).unwrap_or_default();
    println!("Open this page in a browser where you are signed in, or sign in there:\n");
    println!("  {}\n", text("verification_uri_complete"));
    println!(
        "and compare the code before you confirm:  {}\n",
        text("user_code")
    );
    let interval = begun["interval"].as_u64().unwrap_or(2).clamp(1, 60);
    let question = json!({ "device_code": begun["device_code"] });
    let mut pause = Duration::from_secs(interval);
    let collected = loop {
        tokio::time::sleep(pause).await;
        let (status, answer) = post(&http, &format!("{url}/api/v1/auth/device/token"), &question).await?;
        pause = Duration::from_secs(interval);
        match answer["code"].as_str() {
            _ if status.is_success() => break answer,
            Some("device_pending") => {}
            _ if status == StatusCode::TOO_MANY_REQUESTS || status.is_server_error() => pause *= 3,
            Some("device_gone") => bail!("nobody confirmed the code in time: begin again"),
            _ => bail!("{} ({status})", detail(&answer)),
        }
    };
    let member = |name: &str| {
        collected[name]
            .as_str()
            .context("the gateway's answer lacks a member")
    };
    let kept = Kept {
        url,
        token: member("secret")?.to_owned(),
        owner: member("owner")?.to_owned(),
    };
    let file = Kept::file()?;
    kept.write_to(&file)?;
    println!(
        "You are logged in to {} as {} until {}. The token is in {}.",
        kept.url,
        table::printable(&kept.owner),
        table::cell(&collected["expires_at"]),
        file.display()
    );
    Ok(())
}

/// Revokes the token and forgets it.
pub(crate) async fn logout() -> Result<()> {
    let file = Kept::file()?;
    let Some(kept) = Kept::read_from(&file)? else {
        println!("nobody is logged in here");
        return Ok(());
    };
    let (http, token) = (Http::for_gateway(&kept.url)?, Secret::new(kept.token.clone()));
    let own = format!("{}/api/v1/staff/me/token", kept.url);
    let answer = http.ask(Method::DELETE, &own, Some(&token), None).await;
    // A token that isn't good any more is as good as revoked; one that may be is kept, so that it can be tried again.
    let (status, _) =
        answer.with_context(|| format!("no gateway answers at {}: the token is still good", kept.url))?;
    if !status.is_success() && status != StatusCode::UNAUTHORIZED {
        bail!("the gateway didn't revoke the token ({status}): try again, or revoke it in the console");
    }
    std::fs::remove_file(&file).with_context(|| format!("can't remove {}", file.display()))?;
    println!("logged out of {}: the token is revoked", kept.url);
    Ok(())
}

async fn post(http: &Http, url: &str, body: &Value) -> Result<(StatusCode, Value)> {
    http.ask(Method::POST, url, None, Some(body))
        .await
        .with_context(|| {
            format!(
                "no gateway answers at {url}: {} says where it is",
                variables::URL.name
            )
        })
}

fn detail(answer: &Value) -> String {
    table::printable(answer["detail"].as_str().unwrap_or("no reason given"))
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt;

    use super::*;

    #[test]
    fn the_token_is_its_owner_s_alone() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("codex-k8s/login.json");
        assert!(Kept::read_from(&file).unwrap().is_none());
        let kept = Kept {
            url: "http://127.0.0.1:8080".into(),
            token: "ck8s_x".into(),
            owner: "ann@example.com".into(),
        };
        kept.write_to(&file).unwrap();
        kept.write_to(&file).unwrap();
        assert_eq!(
            std::fs::metadata(&file).unwrap().permissions().mode() & 0o777,
            0o600
        );
        assert_eq!(Kept::read_from(&file).unwrap().unwrap().token, "ck8s_x");
        std::fs::write(&file, "{").unwrap();
        assert!(
            Kept::read_from(&file)
                .err()
                .unwrap()
                .to_string()
                .contains("remove it")
        );
    }
}
