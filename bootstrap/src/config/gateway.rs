//! What the gateway is started with.

use std::net::SocketAddr;
use std::sync::Arc;

use anyhow::{Context, Result, bail};
use domain::Secret;
use domain::access::Email;
use github::IdentitySettings;
use postgres::Keyring;
use url::{Host, Url};

use super::environment::{Environment, wrong};
use super::process::{Database, Mode, grace_period_s};
use super::variables as v;

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

#[cfg(test)]
mod tests {
    use super::super::environment::of;
    use super::*;

    const DATABASE: (&str, &str) = ("CODEX_K8S_DATABASE_URL", "postgres://u:hunter2@h/d");

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
}
