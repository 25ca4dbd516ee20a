//! Talks to the staff API. Finds the gateway and the token in the variables, else in what a running `dev` left.

use std::time::Duration;

use anyhow::{Context, Result, bail};
use domain::Secret;
use reqwest::{Method, StatusCode};
use serde_json::Value;

use crate::config::{Environment, variables};
use crate::dev::state::{State, data_dir};

/// A client of one gateway.
pub(crate) struct Client {
    http: reqwest::Client,
    url: String,
    token: Secret<String>,
}

/// One value of a query, left out where it is `None`.
pub(crate) type Parameter<'a> = (&'a str, Option<String>);

impl Client {
    pub(crate) fn new(env: &Environment) -> Result<Self> {
        let state = State::read(&data_dir(env)?).unwrap_or_default();
        let url = env.text(&variables::URL)?;
        let token = env.secret(&variables::STAFF_TOKEN)?;
        let Some(token) = token.or_else(|| state.as_ref().map(|s| Secret::new(s.staff_token.clone()))) else {
            bail!(
                "no token for the staff API: set {}, or start `codex-k8s dev` as the same user",
                variables::STAFF_TOKEN.name
            );
        };
        let url = url.or_else(|| state.map(|state| state.url));
        let url = url.unwrap_or_else(|| "http://127.0.0.1:8080".to_owned());
        if !url.starts_with("http://") {
            bail!(
                "{} `{url}` can't be used: an address that begins with http://",
                variables::URL.name
            );
        }
        let http = reqwest::Client::builder()
            .connect_timeout(Duration::from_secs(5))
            .timeout(Duration::from_secs(30))
            .build()?;
        Ok(Self {
            http,
            url: url.trim_end_matches('/').to_owned(),
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
        let request = self
            .http
            .request(method, format!("{}/api/v1/staff/{path}", self.url))
            .query(&query)
            .bearer_auth(self.token.expose());
        let answer = request.send().await.with_context(|| {
            format!(
                "no gateway answers at {}: is it running (`make dev`)? {} says where",
                self.url,
                variables::URL.name
            )
        })?;
        let status = answer.status();
        let body = answer.bytes().await.context("the gateway's answer broke off")?;
        let body: Value = serde_json::from_slice(&body).unwrap_or(Value::Null);
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
