//! [`GithubSetup`]: whether a repository is set up for us on GitHub, and how it becomes so: token, webhook, labels.

mod look;

use async_trait::async_trait;
use domain::Secret;
use domain::port::PortError;
use domain::port::staff::RepositorySetup;
use domain::project::{HookSummary, Preflight, known_labels};
use domain::repository::RepositoryName;
use http::Method;
use serde::Deserialize;
use serde_json::json;

use crate::forge::{GithubSettings, InvalidSettings, transport};
use crate::transport::{CallError, PART, Transport};

/// What our webhook tells of.
pub(crate) const EVENTS: [&str; 1] = ["issues"];

/// The pages of a list that are read: more hooks or labels than that has nobody.
const PAGES: usize = 5;

/// GitHub, as it is set up for a repository.
pub struct GithubSetup {
    settings: GithubSettings,
    /// Whether the settings have the platform's own token.
    has_own: bool,
}

#[derive(Debug, Deserialize)]
pub(crate) struct Hook {
    id: i64,
    active: bool,
    events: Vec<String>,
    config: HookConfig,
    #[serde(default)]
    last_response: Option<LastResponse>,
}

#[derive(Debug, Deserialize)]
struct HookConfig {
    #[serde(default)]
    url: Option<String>,
    #[serde(default)]
    content_type: Option<String>,
}

#[derive(Debug, Deserialize)]
struct LastResponse {
    #[serde(default)]
    code: Option<u16>,
}

#[derive(Debug, Deserialize)]
struct LabelName {
    name: String,
}

impl Hook {
    fn is_ours(&self, hook_url: &str) -> bool {
        self.config.url.as_deref() == Some(hook_url)
    }

    /// Whether it tells us what we have to know, in the form that we read best.
    pub(crate) fn is_right(&self) -> bool {
        let tells = |event: &&str| self.events.iter().any(|told| told == event || told == "*");
        self.active && EVENTS.iter().all(&tells) && self.config.content_type.as_deref() == Some("json")
    }

    fn summary(&self) -> HookSummary {
        HookSummary {
            id: self.id,
            active: self.active,
            events: self.events.clone(),
            last_status: self.last_response.as_ref().and_then(|last| last.code),
        }
    }
}

impl GithubSetup {
    /// For calls with a repository's own token, or with the platform's where `own` is given.
    pub fn new(settings: GithubSettings, own: Option<Secret<String>>) -> Self {
        let has_own = own.is_some();
        Self {
            settings: GithubSettings {
                token: own.unwrap_or_else(|| Secret::new(String::new())),
                ..settings
            },
            has_own,
        }
    }

    /// The way to GitHub with this token; `None` if there is none to call with.
    fn client(&self, token: Option<&Secret<String>>) -> Result<Option<Transport>, InvalidSettings> {
        match token {
            None if !self.has_own => Ok(None),
            None => transport(&self.settings).map(Some),
            Some(token) => transport(&GithubSettings {
                token: token.clone(),
                ..self.settings.clone()
            })
            .map(Some),
        }
    }

    fn required(&self, token: Option<&Secret<String>>) -> Result<Transport, PortError> {
        let refuse = |reason: String| PortError::Refused { part: PART, reason };
        let client = self.client(token).map_err(|error| refuse(error.to_string()))?;
        client.ok_or_else(|| refuse("the repository has no token".to_owned()))
    }
}

/// The repository's webhooks.
async fn hooks(client: &Transport, repository: &RepositoryName) -> Result<Vec<Hook>, CallError> {
    let path = format!("/repos/{repository}/hooks?per_page=100");
    client.read("hooks", &path).await.and_then(|answer| answer.json())
}

/// Those of the labels that we know which the repository doesn't have.
async fn missing_labels(client: &Transport, repository: &RepositoryName) -> Result<Vec<String>, CallError> {
    let mut there: Vec<LabelName> = Vec::new();
    for page in 1..=PAGES {
        let path = format!("/repos/{repository}/labels?per_page=100&page={page}");
        let answer = client.read("labels", &path).await?;
        there.extend(answer.json::<Vec<LabelName>>()?);
        if !answer.has_next() {
            break;
        }
    }
    let known = known_labels();
    let missing = known
        .iter()
        .filter(|label| !there.iter().any(|one| one.name.eq_ignore_ascii_case(label.name)));
    Ok(missing.map(|label| label.name.to_owned()).collect())
}

#[async_trait]
impl RepositorySetup for GithubSetup {
    async fn preflight(
        &self,
        token: Option<&Secret<String>>,
        repository: &RepositoryName,
        hook_url: &str,
    ) -> Result<Preflight, PortError> {
        match self.client(token) {
            Ok(Some(client)) => look::look(&client, repository, hook_url).await,
            Ok(None) => Ok(look::without_token("the repository has no token: set one")),
            Err(error) => Ok(look::without_token(&error.to_string())),
        }
    }

    async fn ensure_webhook(
        &self,
        token: Option<&Secret<String>>,
        repository: &RepositoryName,
        hook_url: &str,
        secret: &Secret<String>,
    ) -> Result<HookSummary, PortError> {
        let client = self.required(token)?;
        let known = hooks(&client, repository).await;
        let known = known.map_err(|error| error.into_port("the repository's list of webhooks"))?;
        let ours = known.iter().find(|hook| hook.is_ours(hook_url));
        let wish = json!({
            "name": "web",
            "active": true,
            "events": EVENTS,
            "config": { "url": hook_url, "content_type": "json", "insecure_ssl": "0", "secret": secret.expose() },
        });
        let (method, path) = match ours {
            // The secret can't be read back: it is set anew with everything else.
            Some(hook) => (Method::PATCH, format!("/repos/{repository}/hooks/{}", hook.id)),
            None => (Method::POST, format!("/repos/{repository}/hooks")),
        };
        let made = client.write("hook", method, &path, Some(&wish)).await;
        let hook: Hook = made
            .and_then(|answer| answer.json())
            .map_err(|error| error.into_port("the repository's webhook"))?;
        Ok(hook.summary())
    }

    async fn ensure_labels(
        &self,
        token: Option<&Secret<String>>,
        repository: &RepositoryName,
    ) -> Result<Vec<String>, PortError> {
        let client = self.required(token)?;
        let missing = missing_labels(&client, repository).await;
        let missing = missing.map_err(|error| error.into_port("the repository's labels"))?;
        for label in known_labels()
            .iter()
            .filter(|label| missing.iter().any(|name| name == label.name))
        {
            let wish = json!({ "name": label.name, "color": label.color, "description": label.description });
            let path = format!("/repos/{repository}/labels");
            let made = client.write("label", Method::POST, &path, Some(&wish)).await;
            made.map_err(|error| error.into_port("the repository's labels"))?;
        }
        Ok(missing)
    }
}
