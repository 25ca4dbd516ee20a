//! Whom the worker speaks to, and what it starts there: GitHub, Kubernetes, the agent.

use std::path::PathBuf;

use anyhow::{Result, bail};
use domain::Secret;
use url::Url;

use super::environment::{Environment, wrong};
use super::variables as v;

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

#[cfg(test)]
mod tests {
    use super::super::environment::of;
    use super::*;

    const IMAGE: (&str, &str) = ("CODEX_K8S_AGENT_IMAGE", "agent:1");

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
}
