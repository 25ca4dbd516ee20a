//! [`GithubIdentity`]: GitHub as the one who says who people are. An OAuth app with PKCE: the browser brings a code,
//! which is exchanged for a token that is used twice, for `/user` and `/user/emails`, and then forgotten.

use std::time::Duration;

use async_trait::async_trait;
use domain::Secret;
use domain::access::Identity;
use domain::port::PortError;
use domain::port::access::IdentityProvider;
use http::Method;
use octocrab::Octocrab;
use serde::Deserialize;
use serde_json::json;
use url::Url;

use crate::forge::InvalidSettings;
use crate::transport::{PART, Transport, passes_quickly};

/// The OAuth app, and where GitHub is.
#[derive(Debug, Clone)]
pub struct IdentitySettings {
    /// The site: `https://github.com`, or `https://<host>` of a GitHub Enterprise Server.
    pub web_url: Url,
    /// Its API: `https://api.github.com`, or `https://<host>/api/v3`.
    pub api_url: Url,
    /// The app's.
    pub client_id: String,
    /// The app's.
    pub client_secret: Secret<String>,
}

/// GitHub's sign-in.
pub struct GithubIdentity {
    web: Transport,
    api: Octocrab,
    settings: IdentitySettings,
}

const REQUEST_TIMEOUT: Duration = Duration::from_secs(4);
/// The gateway answers within 9.5 s, and there are three requests to make.
const READ_BUDGET: Duration = Duration::from_secs(3);

/// As GitHub answers an exchange: refusals are a 200 too.
#[derive(Deserialize)]
struct Exchanged {
    access_token: Option<String>,
    error: Option<String>,
}

#[derive(Deserialize)]
struct Account {
    id: i64,
    login: String,
}

#[derive(Deserialize)]
struct Address {
    email: String,
    verified: bool,
}

impl GithubIdentity {
    /// Makes the clients; asks nothing of GitHub yet. Call it inside a tokio runtime: the clients keep tasks.
    pub fn new(settings: IdentitySettings) -> Result<Self, InvalidSettings> {
        let web = client(&settings.web_url)?;
        let api = client(&settings.api_url)?;
        Ok(Self {
            web: Transport::new(web, REQUEST_TIMEOUT, READ_BUDGET).accepting("application/json"),
            api,
            settings,
        })
    }
}

fn client(address: &Url) -> Result<Octocrab, InvalidSettings> {
    if !matches!(address.scheme(), "http" | "https") || address.host_str().is_none() {
        return Err(InvalidSettings::Address(address.clone()));
    }
    let build = || -> Result<Octocrab, octocrab::Error> {
        Octocrab::builder()
            .base_uri(address.as_str())?
            .upload_uri(address.as_str())?
            .add_header(
                http::header::USER_AGENT,
                concat!("codex-k8s/", env!("CARGO_PKG_VERSION")).to_owned(),
            )
            .set_connect_timeout(Some(Duration::from_secs(3)))
            .set_read_timeout(Some(REQUEST_TIMEOUT))
            .set_write_timeout(Some(REQUEST_TIMEOUT))
            .build()
    };
    Ok(build().map_err(Box::new)?)
}

#[async_trait]
impl IdentityProvider for GithubIdentity {
    fn authorize_url(&self, state: &str, challenge: &str, redirect_uri: &str) -> String {
        let mut url = self.settings.web_url.clone();
        url.set_path(&format!(
            "{}/login/oauth/authorize",
            url.path().trim_end_matches('/')
        ));
        url.query_pairs_mut()
            .append_pair("client_id", &self.settings.client_id)
            .append_pair("redirect_uri", redirect_uri)
            .append_pair("scope", "user:email")
            .append_pair("state", state)
            .append_pair("code_challenge", challenge)
            .append_pair("code_challenge_method", "S256")
            .append_pair("allow_signup", "false");
        url.into()
    }

    async fn identity(
        &self,
        code: &Secret<String>,
        verifier: &Secret<String>,
        redirect_uri: &str,
    ) -> Result<Option<Identity>, PortError> {
        let wish = json!({
            "client_id": self.settings.client_id,
            "client_secret": self.settings.client_secret.expose(),
            "code": code.expose(),
            "redirect_uri": redirect_uri,
            "code_verifier": verifier.expose(),
        });
        let what = "GitHub's sign-in";
        let path = "/login/oauth/access_token";
        let exchange = || self.web.write("oauth_exchange", Method::POST, path, Some(&wish));
        let answer = match exchange().await {
            // A connection that was kept may end as it is used. A code is good once: where GitHub has taken it
            // already, it refuses it now, and the person begins again, as they would have had to.
            Err(error) if passes_quickly(&error) => exchange().await,
            answer => answer,
        };
        let exchanged: Exchanged = answer
            .and_then(|answer| answer.json())
            .map_err(|error| error.into_port(what))?;
        let Some(token) = exchanged.access_token else {
            return match exchanged.error.as_deref() {
                Some("bad_verification_code") => Ok(None),
                said => Err(PortError::Refused {
                    part: PART,
                    reason: format!(
                        "the sign-in app's settings don't work: GitHub said {}",
                        said.unwrap_or("nothing")
                    ),
                }),
            };
        };
        let client = self
            .api
            .user_access_token(token)
            .map_err(|error| PortError::Refused {
                part: PART,
                reason: format!("the person's token can't be used: {error}"),
            })?;
        let api = Transport::new(client, REQUEST_TIMEOUT, READ_BUDGET);
        let account = api
            .read("own_account", "/user")
            .await
            .and_then(|answer| answer.json());
        let account: Account = account.map_err(|error| error.into_port("the person's account"))?;
        let emails = api.read("own_emails", "/user/emails?per_page=100").await;
        let emails = emails.and_then(|answer| answer.json());
        let emails: Vec<Address> = emails.map_err(|error| error.into_port("the person's addresses"))?;
        let addresses = emails.into_iter().filter(|address| address.verified);
        Ok(Some(Identity {
            github_id: account.id,
            login: account.login,
            verified_emails: addresses
                .filter_map(|address| address.email.parse().ok())
                .collect(),
        }))
    }
}
