//! [`TokenedForge`]: the forge port with each repository's own token, and the platform's where a repository has none.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};

use async_trait::async_trait;
use domain::port::staff::RepositoryTokens;
use domain::port::{Forge, ForgeIssue, PortError};
use domain::repository::{Permission, RepositoryName};
use domain::{CommentId, Secret};

use crate::forge::{GithubForge, GithubSettings, InvalidSettings};
use crate::transport::PART;

/// Clients that are kept: beyond that many tokens they are made anew.
const KEPT: usize = 256;

/// GitHub behind the forge port, with each repository's own token.
pub struct TokenedForge {
    settings: GithubSettings,
    own: Arc<GithubForge>,
    tokens: Arc<dyn RepositoryTokens>,
    clients: Mutex<HashMap<String, Arc<GithubForge>>>,
}

impl TokenedForge {
    /// With the platform's token in the settings.
    pub fn new(settings: GithubSettings, tokens: Arc<dyn RepositoryTokens>) -> Result<Self, InvalidSettings> {
        Ok(Self {
            own: Arc::new(GithubForge::new(&settings)?),
            settings,
            tokens,
            clients: Mutex::default(),
        })
    }

    /// The client for this repository. Its token is read each time: one that was replaced isn't used again.
    async fn client(&self, repository: &RepositoryName) -> Result<Arc<GithubForge>, PortError> {
        let Some(token) = self.tokens.token_of(repository).await? else {
            return Ok(Arc::clone(&self.own));
        };
        let mut clients = self.clients.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(client) = clients.get(token.expose()) {
            return Ok(Arc::clone(client));
        }
        if clients.len() >= KEPT {
            clients.clear();
        }
        let key = token.expose().clone();
        let made = self.make(token).map_err(|error| PortError::Refused {
            part: PART,
            reason: format!("the token of {repository}: {error}"),
        })?;
        clients.insert(key, Arc::clone(&made));
        Ok(made)
    }

    fn make(&self, token: Secret<String>) -> Result<Arc<GithubForge>, InvalidSettings> {
        // Whose comments are ours follows from the token.
        let settings = GithubSettings {
            token,
            login: None,
            ..self.settings.clone()
        };
        GithubForge::new(&settings).map(Arc::new)
    }
}

#[async_trait]
impl Forge for TokenedForge {
    async fn issue(&self, repository: &RepositoryName, number: i64) -> Result<Option<ForgeIssue>, PortError> {
        self.client(repository).await?.issue(repository, number).await
    }

    async fn permission(&self, repository: &RepositoryName, login: &str) -> Result<Permission, PortError> {
        self.client(repository).await?.permission(repository, login).await
    }

    async fn upsert_comment(
        &self,
        repository: &RepositoryName,
        issue: i64,
        known: Option<CommentId>,
        marker: &str,
        body: &str,
    ) -> Result<CommentId, PortError> {
        let client = self.client(repository).await?;
        client
            .upsert_comment(repository, issue, known, marker, body)
            .await
    }
}
