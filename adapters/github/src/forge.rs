//! [`GithubForge`]: the forge port on GitHub.

use std::time::Duration;

use async_trait::async_trait;
use domain::port::{Forge, ForgeIssue, PortError};
use domain::repository::{Permission, RepositoryName};
use domain::{CommentId, Secret};
use octocrab::Octocrab;
use tokio::sync::OnceCell;
use url::Url;

use crate::transport::{CallError, PART, Transport};
use crate::{comment, marker, wire};

/// How to reach GitHub, and as whom.
#[derive(Debug, Clone)]
pub struct GithubSettings {
    /// The API's address: `https://api.github.com`, or `https://<host>/api/v3` of a GitHub Enterprise Server.
    pub api_url: Url,
    /// A token that may read issues and collaborators and write comments.
    pub token: Secret<String>,
    /// Whose comments are ours. `None` asks `GET /user`, which GitHub App tokens may not: say it for those,
    /// for example `codex-k8s[bot]`.
    pub login: Option<String>,
    /// Time to connect.
    pub connect_timeout: Duration,
    /// Time for one request, whole.
    pub request_timeout: Duration,
    /// Time for a read with its retries.
    pub read_budget: Duration,
}

impl GithubSettings {
    /// With the usual time limits: 3 s to connect, 8 s for a request, 12 s for a read with its retries.
    pub fn new(api_url: Url, token: Secret<String>) -> Self {
        Self {
            api_url,
            token,
            login: None,
            connect_timeout: Duration::from_secs(3),
            request_timeout: Duration::from_secs(8),
            read_budget: Duration::from_secs(12),
        }
    }
}

/// The settings don't make a client.
#[derive(Debug, thiserror::Error)]
pub enum InvalidSettings {
    /// The address isn't one of an API.
    #[error("GitHub's API address `{0}` isn't an http(s) address like https://api.github.com")]
    Address(Url),
    /// There is no token.
    #[error("GitHub's token is empty, or has characters that no token has")]
    Token,
    /// The client library refuses.
    #[error("the GitHub client can't be made: {0}")]
    Client(#[from] Box<octocrab::Error>),
}

/// GitHub behind the forge port.
pub struct GithubForge {
    transport: Transport,
    login: OnceCell<String>,
}

impl GithubForge {
    /// Makes the client; asks nothing of GitHub yet. Call it inside a tokio runtime: the client keeps a task.
    pub fn new(settings: &GithubSettings) -> Result<Self, InvalidSettings> {
        Ok(Self {
            transport: transport(settings)?,
            login: OnceCell::new_with(settings.login.clone()),
        })
    }

    /// Whose comments are ours; asked once.
    async fn login(&self) -> Result<&str, PortError> {
        let ask = || async {
            let answer = self
                .transport
                .read("user", "/user")
                .await
                .and_then(|answer| answer.json());
            match answer {
                Ok(wire::User { login }) => Ok(login),
                Err(CallError::Port(PortError::Refused { reason, .. })) => Err(PortError::Refused {
                    part: PART,
                    reason: format!(
                        "GET /user: {reason}; for a GitHub App's token the login must be configured"
                    ),
                }),
                Err(error) => Err(error.into_port("the token's user")),
            }
        };
        self.login.get_or_try_init(ask).await.map(String::as_str)
    }

    /// Whether the issue that GitHub led us to is still in the repository that was asked for. GitHub answers for a
    /// renamed repository and for a transferred issue with the same kind of redirect.
    async fn is_in(&self, repository: &RepositoryName, issue: &wire::Issue) -> Result<bool, PortError> {
        let asked = format!("/repos/{repository}");
        if ends_with_ignore_case(&issue.repository_url, &asked) {
            return Ok(true);
        }
        match self
            .transport
            .read("repository", &asked)
            .await
            .and_then(|answer| answer.json())
        {
            Ok(wire::Repository { url }) => Ok(url == issue.repository_url),
            Err(CallError::Missing(_)) => Ok(false),
            Err(CallError::Port(error)) => Err(error),
        }
    }
}

/// The way to GitHub with these settings.
pub(crate) fn transport(settings: &GithubSettings) -> Result<Transport, InvalidSettings> {
    let address = &settings.api_url;
    if !matches!(address.scheme(), "http" | "https") || address.host_str().is_none() {
        return Err(InvalidSettings::Address(address.clone()));
    }
    let token = settings.token.expose();
    if token.is_empty() || !token.bytes().all(|b| b.is_ascii_graphic()) {
        return Err(InvalidSettings::Token);
    }
    let build = || -> Result<Octocrab, octocrab::Error> {
        Octocrab::builder()
            .base_uri(address.as_str())?
            .upload_uri(address.as_str())?
            .personal_token(token.as_str())
            .add_header(
                http::header::USER_AGENT,
                concat!("codex-k8s/", env!("CARGO_PKG_VERSION")).to_owned(),
            )
            .set_connect_timeout(Some(settings.connect_timeout))
            .set_read_timeout(Some(settings.request_timeout))
            .set_write_timeout(Some(settings.request_timeout))
            .build()
    };
    Ok(Transport::new(
        build().map_err(Box::new)?,
        settings.request_timeout,
        settings.read_budget,
    ))
}

fn ends_with_ignore_case(text: &str, end: &str) -> bool {
    text.to_ascii_lowercase().ends_with(&end.to_ascii_lowercase())
}

#[async_trait]
impl Forge for GithubForge {
    async fn issue(&self, repository: &RepositoryName, number: i64) -> Result<Option<ForgeIssue>, PortError> {
        let path = format!("/repos/{repository}/issues/{number}");
        let issue: wire::Issue = match self.transport.read("issue", &path).await.and_then(|a| a.json()) {
            Ok(issue) => issue,
            Err(CallError::Missing(_)) => return Ok(None),
            Err(CallError::Port(error)) => return Err(error),
        };
        if issue.number != number || !self.is_in(repository, &issue).await? {
            return Ok(None);
        }
        Ok(Some(ForgeIssue {
            open: issue.state == "open",
            labels: issue.labels.into_iter().filter_map(wire::Label::name).collect(),
            title: issue.title,
            body: issue.body.unwrap_or_default(),
        }))
    }

    async fn permission(&self, repository: &RepositoryName, login: &str) -> Result<Permission, PortError> {
        let Some(login) = path_part(login) else {
            return Ok(Permission::None);
        };
        let path = format!("/repos/{repository}/collaborators/{login}/permission");
        match self
            .transport
            .read("permission", &path)
            .await
            .and_then(|answer| answer.json())
        {
            Ok(answer) => Ok(permission(&answer)),
            // No such account.
            Err(CallError::Missing(_)) => Ok(Permission::None),
            Err(CallError::Port(error)) => Err(error),
        }
    }

    async fn upsert_comment(
        &self,
        repository: &RepositoryName,
        issue: i64,
        known: Option<CommentId>,
        marker: &str,
        body: &str,
    ) -> Result<CommentId, PortError> {
        let line = marker::line(marker).map_err(|error| PortError::Refused {
            part: PART,
            reason: error.to_string(),
        })?;
        let text = marker::text(&line, body);
        let login = self.login().await?;
        comment::Upsert {
            transport: &self.transport,
            repository,
            issue,
            login,
            line: &line,
            text: &text,
        }
        .run(known)
        .await
    }
}

/// A login as it may stand in a path; `None` if no account can be called so.
fn path_part(login: &str) -> Option<String> {
    let allowed = |b: u8| b.is_ascii_alphanumeric() || matches!(b, b'-' | b'_' | b'[' | b']');
    let valid = !login.is_empty() && login.len() <= 100 && login.bytes().all(allowed);
    valid.then(|| login.replace('[', "%5B").replace(']', "%5D"))
}

/// The finer role where GitHub names one that we know, else the old level: an organisation's own role has a name of
/// its own, and the level that it is built on.
fn permission(answer: &wire::CollaboratorPermission) -> Permission {
    let named = |name: &str| match name {
        "admin" => Some(Permission::Admin),
        "maintain" => Some(Permission::Maintain),
        "write" => Some(Permission::Write),
        "triage" => Some(Permission::Triage),
        "read" => Some(Permission::Read),
        "none" => Some(Permission::None),
        _ => None,
    };
    answer
        .role_name
        .as_deref()
        .and_then(named)
        .or_else(|| named(&answer.permission))
        .unwrap_or(Permission::None)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn permissions() {
        for (level, role, expected) in [
            ("admin", Some("admin"), Permission::Admin),
            ("write", Some("maintain"), Permission::Maintain),
            ("write", Some("write"), Permission::Write),
            ("read", Some("triage"), Permission::Triage),
            ("read", Some("read"), Permission::Read),
            ("none", Some("none"), Permission::None),
            ("write", Some("Release captain"), Permission::Write),
            ("read", None, Permission::Read),
            ("something new", None, Permission::None),
        ] {
            let answer = wire::CollaboratorPermission {
                permission: level.into(),
                role_name: role.map(str::to_owned),
            };
            assert_eq!(permission(&answer), expected, "{level} {role:?}");
        }
    }

    #[test]
    fn logins_stay_within_their_part_of_the_path() {
        assert_eq!(path_part("renovate[bot]").as_deref(), Some("renovate%5Bbot%5D"));
        for bad in ["", "a/b", "..", "a?b", "a b", "é"] {
            assert_eq!(path_part(bad), None, "{bad:?}");
        }
    }
}
