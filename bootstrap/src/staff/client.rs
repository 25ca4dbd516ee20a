//! Talks to the staff API. Finds the gateway and the token in the variables, else in what `login` kept, else in what
//! a running `dev` left. A token is sent to the gateway that it is good for, and to no other.

use anyhow::{Context, Result, bail};
use domain::Secret;
use http::{Method, StatusCode};
use serde_json::Value;
use url::Url;

use super::http::Http;
use super::login::Kept;
use crate::config::{Environment, variables};
use crate::dev::state::{State, data_dir};

/// A client of one gateway.
pub(crate) struct Client {
    http: Http,
    url: String,
    token: Secret<String>,
}

/// One value of a query, left out where it is `None`.
pub(crate) type Parameter<'a> = (&'a str, Option<String>);

impl Client {
    pub(crate) fn new(env: &Environment) -> Result<Self> {
        let (url, known) = whereabouts(env)?;
        let token = env.secret(&variables::STAFF_TOKEN)?.or(known);
        let Some(token) = token else {
            bail!(
                "no token for the staff API at {url}: `codex-k8s login`, or set {}, or start `codex-k8s dev` as the \
                 same user",
                variables::STAFF_TOKEN.name
            );
        };
        Ok(Self {
            http: Http::for_gateway(&url)?,
            url,
            token,
        })
    }

    /// `GET /api/v1/staff/<path>`.
    pub(crate) async fn get(&self, path: &str, query: &[Parameter<'_>]) -> Result<Value> {
        self.ask(Method::GET, path, query).await
    }

    /// `POST /api/v1/staff/<path>`.
    pub(crate) async fn post(&self, path: &str, query: &[Parameter<'_>]) -> Result<Value> {
        self.ask(Method::POST, path, query).await
    }

    async fn ask(&self, method: Method, path: &str, query: &[Parameter<'_>]) -> Result<Value> {
        let query: Vec<(&str, &str)> = query
            .iter()
            .filter_map(|(name, value)| value.as_deref().map(|value| (*name, value)))
            .collect();
        let mut url = Url::parse(&format!("{}/api/v1/staff/{path}", self.url))?;
        if !query.is_empty() {
            url.query_pairs_mut().extend_pairs(query);
        }
        let answer = self.http.ask(method, url.as_str(), Some(&self.token), None).await;
        let (status, body) = answer.with_context(|| {
            format!(
                "no gateway answers at {}: is it running (`make dev`)? {} says where",
                self.url,
                variables::URL.name
            )
        })?;
        if status.is_success() {
            return Ok(body);
        }
        let detail = body
            .get("detail")
            .and_then(Value::as_str)
            .unwrap_or("no reason given");
        if status == StatusCode::UNAUTHORIZED {
            bail!(
                "the gateway at {} doesn't know this token ({detail}): check {}",
                self.url,
                variables::STAFF_TOKEN.name
            );
        }
        bail!("{detail} ({status})")
    }
}

/// The gateway's address, without a slash at the end, and the token that is known to be good there.
pub(super) fn whereabouts(env: &Environment) -> Result<(String, Option<Secret<String>>)> {
    let kept = Kept::read()?.map(|kept| (kept.url, kept.token));
    let dev = State::read(&data_dir(env)?).unwrap_or_default();
    let dev = dev.map(|state| (state.url, state.staff_token));
    let known: Vec<(String, String)> = kept.into_iter().chain(dev).collect();
    let said = env.text(&variables::URL)?;
    let url = said.or_else(|| known.first().map(|(url, _)| url.clone()));
    let url = url.unwrap_or_else(|| "http://127.0.0.1:8080".to_owned());
    if !url.starts_with("http://") && !url.starts_with("https://") {
        bail!(
            "{} `{url}` can't be used: an address that begins with https:// or http://",
            variables::URL.name
        );
    }
    let url = url.trim_end_matches('/').to_owned();
    let token = known.into_iter().find(|(known, _)| *known == url);
    Ok((url, token.map(|(_, token)| Secret::new(token))))
}
