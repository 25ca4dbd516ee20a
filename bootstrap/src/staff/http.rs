//! Requests to a gateway, by HTTP or, proven by the system's certificates or those of `SSL_CERT_FILE`, by HTTPS. Follows
//! nobody elsewhere: a token is for the gateway that it was made by.

use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context, Result, bail};
use bytes::Bytes;
use domain::Secret;
use http::{Method, Request, StatusCode, header};
use http_body_util::{BodyExt, Full, Limited};
use hyper_rustls::{HttpsConnector, HttpsConnectorBuilder};
use hyper_util::client::legacy::Client;
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::rt::TokioExecutor;
use rustls::{ClientConfig, RootCertStore, crypto};
use serde_json::Value;

/// How long a whole request may take.
const PATIENCE: Duration = Duration::from_secs(30);
/// How long until somebody answers at all.
const CONNECT: Duration = Duration::from_secs(5);
/// More than any answer of the API.
const MOST_BYTES: usize = 64 * 1024 * 1024;

/// A client of one gateway.
pub(crate) struct Http {
    client: Client<HttpsConnector<HttpConnector>, Full<Bytes>>,
}

impl Http {
    /// For a gateway at this address, which begins with `http://` or `https://`.
    pub(crate) fn for_gateway(url: &str) -> Result<Self> {
        let mut plain = HttpConnector::new();
        plain.set_connect_timeout(Some(CONNECT));
        plain.enforce_http(false);
        let provider = crypto::ring::default_provider();
        let connector = if url.starts_with("https://") {
            HttpsConnectorBuilder::new()
                .with_provider_and_native_roots(provider)
                .context(
                    "no certificates to prove the gateway by: install the system's, or set SSL_CERT_FILE",
                )?
                .https_only()
                .enable_http1()
                .wrap_connector(plain)
        } else {
            // Certificates that aren't there are nothing to stumble over where none are needed.
            let none = ClientConfig::builder_with_provider(Arc::new(provider))
                .with_safe_default_protocol_versions()?
                .with_root_certificates(RootCertStore::empty())
                .with_no_client_auth();
            HttpsConnectorBuilder::new()
                .with_tls_config(none)
                .https_or_http()
                .enable_http1()
                .wrap_connector(plain)
        };
        Ok(Self {
            client: Client::builder(TokioExecutor::new()).build(connector),
        })
    }

    /// What is answered: the status, and the body if it is JSON.
    pub(crate) async fn ask(
        &self,
        method: Method,
        url: &str,
        bearer: Option<&Secret<String>>,
        body: Option<&Value>,
    ) -> Result<(StatusCode, Value)> {
        let mut request = Request::builder()
            .method(method)
            .uri(url)
            .header(header::USER_AGENT, "codex-k8s");
        if let Some(token) = bearer {
            let value = header::HeaderValue::try_from(format!("Bearer {}", token.expose()));
            let mut value = value.context("the token has characters that no token has")?;
            value.set_sensitive(true);
            request = request.header(header::AUTHORIZATION, value);
        }
        let body = match body {
            None => Bytes::new(),
            Some(body) => {
                request = request.header(header::CONTENT_TYPE, "application/json");
                serde_json::to_vec(body)?.into()
            }
        };
        let request = request
            .body(Full::new(body))
            .context("the address can't be used")?;
        let whole = async {
            let answer = self.client.request(request).await.map_err(explained)?;
            let status = answer.status();
            let body = Limited::new(answer.into_body(), MOST_BYTES).collect().await;
            let body = body.map_err(|error| anyhow::anyhow!("the gateway's answer broke off: {error}"))?;
            let body = serde_json::from_slice(&body.to_bytes()).unwrap_or(Value::Null);
            anyhow::Ok((status, body))
        };
        match tokio::time::timeout(PATIENCE, whole).await {
            Ok(answer) => answer,
            Err(_) => bail!("no answer within {} s", PATIENCE.as_secs()),
        }
    }
}

/// Says what to do about a certificate.
fn explained(error: hyper_util::client::legacy::Error) -> anyhow::Error {
    let error = anyhow::Error::new(error);
    let why = format!("{error:#}");
    if why.contains("certificate") {
        error.context("its certificate isn't trusted here: SSL_CERT_FILE names a file with those that are")
    } else {
        error
    }
}
