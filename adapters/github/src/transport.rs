//! One request to GitHub: its time limit, the retries of reads, its metrics, and what a refusal means.
//!
//! Only reads are tried again here, and only for a few seconds: everything else is for the job's own retry,
//! which survives us and waits as long as GitHub asks.

use std::time::{Duration, Instant};

use backon::{ExponentialBuilder, Retryable as _};
use chrono::{DateTime, Utc};
use domain::port::PortError;
use http::{HeaderMap, Method, StatusCode, header};
use octocrab::Octocrab;
use serde::de::DeserializeOwned;
use serde_json::Value;

use crate::limits;
use crate::wire::Problem;

pub(crate) const PART: &str = "github";

/// How a request ended, other than well.
#[derive(Debug)]
pub(crate) enum CallError {
    /// 404 or 410: not there, or hidden from us. Carries what GitHub said.
    Missing(String),
    /// Anything else.
    Port(PortError),
}

impl CallError {
    /// For calls where a missing thing is an error like any other.
    pub(crate) fn into_port(self, what: &str) -> PortError {
        match self {
            Self::Missing(said) => PortError::Refused {
                part: PART,
                reason: format!("{what} isn't there, or the token may not see it ({said})"),
            },
            Self::Port(error) => error,
        }
    }
}

pub(crate) fn unavailable(reason: impl Into<String>) -> PortError {
    PortError::Unavailable {
        part: PART,
        reason: reason.into(),
        retry_after_ms: None,
    }
}

/// A good answer.
pub(crate) struct Answer {
    headers: HeaderMap,
    body: Vec<u8>,
}

impl Answer {
    pub(crate) fn json<T: DeserializeOwned>(&self) -> Result<T, CallError> {
        // A 200 that isn't what GitHub documents comes from something in between, and passes.
        serde_json::from_slice(&self.body)
            .map_err(|error| CallError::Port(unavailable(format!("an answer that isn't GitHub's: {error}"))))
    }

    /// A header, where it is there and text.
    pub(crate) fn header(&self, name: &str) -> Option<&str> {
        self.headers.get(name)?.to_str().ok()
    }

    /// When it was answered, by GitHub's clock.
    pub(crate) fn date(&self) -> Option<DateTime<Utc>> {
        let date = DateTime::parse_from_rfc2822(self.header("date")?).ok()?;
        Some(date.with_timezone(&Utc))
    }

    /// Whether the list goes on.
    pub(crate) fn has_next(&self) -> bool {
        let links = self
            .headers
            .get(header::LINK)
            .and_then(|value| value.to_str().ok());
        links.is_some_and(|links| links.contains("rel=\"next\""))
    }
}

/// The way to GitHub.
pub(crate) struct Transport {
    client: Octocrab,
    accept: &'static str,
    request_timeout: Duration,
    read_budget: Duration,
}

impl Transport {
    pub(crate) fn new(client: Octocrab, request_timeout: Duration, read_budget: Duration) -> Self {
        Self {
            client,
            accept: "application/vnd.github+json",
            request_timeout,
            read_budget,
        }
    }

    /// Asks for another kind of answer than the API's.
    pub(crate) fn accepting(self, accept: &'static str) -> Self {
        Self { accept, ..self }
    }

    /// Reads, trying again for what passes quickly. `operation` names it in the metrics.
    pub(crate) async fn read(&self, operation: &'static str, path: &str) -> Result<Answer, CallError> {
        let backoff = ExponentialBuilder::default()
            .with_jitter()
            .with_min_delay(Duration::from_millis(100))
            .with_max_delay(Duration::from_secs(1))
            .with_max_times(3);
        let attempts = (|| self.once(operation, Method::GET, path, None))
            .retry(backoff)
            .when(passes_quickly);
        let Ok(result) = tokio::time::timeout(self.read_budget, attempts).await else {
            let reason = format!("no good answer within {} ms", self.read_budget.as_millis());
            return Err(CallError::Port(unavailable(reason)));
        };
        result
    }

    /// Writes, once.
    pub(crate) async fn write(
        &self,
        operation: &'static str,
        method: Method,
        path: &str,
        body: Option<&Value>,
    ) -> Result<Answer, CallError> {
        self.once(operation, method, path, body).await
    }

    async fn once(
        &self,
        operation: &'static str,
        method: Method,
        path: &str,
        body: Option<&Value>,
    ) -> Result<Answer, CallError> {
        let begun = Instant::now();
        let sent = tokio::time::timeout(self.request_timeout, self.exchange(method, path, body)).await;
        let (outcome, result) = match sent {
            Err(_) => {
                let reason = format!("no answer within {} ms", self.request_timeout.as_millis());
                ("timeout", Err(CallError::Port(unavailable(reason))))
            }
            Ok(Err(error)) => ("transport", Err(CallError::Port(unavailable(chain(&error))))),
            Ok(Ok((status, answer))) => {
                if let Some(remaining) = limits::remaining(&answer.headers) {
                    metrics::gauge!("codex_k8s_github_rate_limit_remaining").set(remaining as f64);
                }
                let result = if status.is_success() {
                    Ok(answer)
                } else {
                    Err(meaning(status, &answer))
                };
                (outcome(status, result.as_ref().err()), result)
            }
        };
        metrics::counter!("codex_k8s_github_requests_total", "operation" => operation, "outcome" => outcome)
            .increment(1);
        metrics::histogram!("codex_k8s_github_request_duration_seconds", "operation" => operation)
            .record(begun.elapsed().as_secs_f64());
        tracing::debug!(
            operation,
            outcome,
            duration_ms = begun.elapsed().as_millis() as u64,
            "github request"
        );
        result
    }

    async fn exchange(
        &self,
        method: Method,
        path: &str,
        body: Option<&Value>,
    ) -> Result<(StatusCode, Answer), octocrab::Error> {
        let request = http::Request::builder()
            .method(method)
            .uri(path)
            .header(header::ACCEPT, self.accept);
        let request = self.client.build_request(request, body)?;
        let response = self.client.execute(request).await?;
        let (status, headers) = (response.status(), response.headers().clone());
        let body = self.client.body_to_string(response).await?.into_bytes();
        Ok((status, Answer { headers, body }))
    }
}

/// What an answer other than 2xx means for the one who asked.
fn meaning(status: StatusCode, answer: &Answer) -> CallError {
    let problem: Problem = serde_json::from_slice(&answer.body).unwrap_or_default();
    let details = problem
        .errors
        .map(|errors| format!(" {errors}"))
        .unwrap_or_default();
    let said = format!("{} {}{details}", status.as_u16(), problem.message);
    let said = said.trim_end();
    if let Some(wait_ms) = limits::wait_ms(status, &answer.headers, &problem.message) {
        let reason = format!("rate limit: {said}");
        return CallError::Port(PortError::Unavailable {
            part: PART,
            reason,
            retry_after_ms: Some(wait_ms),
        });
    }
    match status {
        StatusCode::NOT_FOUND | StatusCode::GONE => CallError::Missing(said.to_owned()),
        StatusCode::UNAUTHORIZED => CallError::Port(PortError::Refused {
            part: PART,
            reason: format!("the token isn't accepted: {said}; give it a valid one"),
        }),
        status if status.is_redirection() => CallError::Port(PortError::Refused {
            part: PART,
            reason: format!("{said}: the repository was renamed or moved; use its present name"),
        }),
        StatusCode::REQUEST_TIMEOUT | StatusCode::CONFLICT => CallError::Port(unavailable(said)),
        status if status.is_server_error() => CallError::Port(PortError::Unavailable {
            part: PART,
            reason: said.to_owned(),
            retry_after_ms: limits::retry_after_ms(&answer.headers),
        }),
        _ => CallError::Port(PortError::Refused {
            part: PART,
            reason: said.to_owned(),
        }),
    }
}

/// Whether the same may go well a moment later.
pub(crate) fn passes_quickly(error: &CallError) -> bool {
    matches!(
        error,
        CallError::Port(PortError::Unavailable {
            retry_after_ms: None,
            ..
        })
    )
}

fn outcome(status: StatusCode, error: Option<&CallError>) -> &'static str {
    match error {
        None => "ok",
        Some(CallError::Missing(_)) => "missing",
        Some(CallError::Port(PortError::Refused { .. })) => "refused",
        Some(CallError::Port(PortError::Unavailable { .. })) if status.is_server_error() => "server_error",
        Some(CallError::Port(PortError::Unavailable { .. })) => "rate_limited",
    }
}

/// The error with its causes: octocrab's and hyper's own lines say little alone.
fn chain(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut next = error.source();
    while let Some(cause) = next {
        let cause_text = cause.to_string();
        if !text.contains(&cause_text) {
            text.push_str(": ");
            text.push_str(&cause_text);
        }
        next = cause.source();
    }
    text
}
