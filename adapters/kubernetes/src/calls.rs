//! One request to the API server: its time limit, its metrics, and what a refusal means.

use std::future::Future;
use std::time::{Duration, Instant};

use domain::port::PortError;
use kube::core::Status;

pub(crate) const PART: &str = "kubernetes";

/// Runs one request under a time limit and counts it. `verb` names it in the metrics. A `404` is an error here;
/// where a missing object is an answer, ask with `get_opt`.
pub(crate) async fn call<T>(
    verb: &'static str,
    limit: Duration,
    request: impl Future<Output = kube::Result<T>>,
) -> Result<T, kube::Error> {
    let begun = Instant::now();
    let result = tokio::time::timeout(limit, request).await.unwrap_or_else(|_| {
        let message = format!("no answer within {} ms", limit.as_millis());
        Err(kube::Error::Service(message.into()))
    });
    let outcome = match &result {
        Ok(_) => "ok",
        Err(kube::Error::Api(status)) if status.code == 404 => "missing",
        Err(error) if passes(error) => "unavailable",
        Err(_) => "refused",
    };
    metrics::counter!("codex_k8s_kubernetes_requests_total", "verb" => verb, "outcome" => outcome)
        .increment(1);
    metrics::histogram!("codex_k8s_kubernetes_request_duration_seconds", "verb" => verb)
        .record(begun.elapsed().as_secs_f64());
    tracing::debug!(
        verb,
        outcome,
        duration_ms = begun.elapsed().as_millis() as u64,
        "kubernetes request"
    );
    result
}

/// Whether the same request may succeed later.
fn passes(error: &kube::Error) -> bool {
    match error {
        // 401: credentials rotate, and no run should end for ours.
        kube::Error::Api(status) => {
            matches!(status.code, 401 | 408 | 409 | 410 | 429 | 500..) || is_terminating(status)
        }
        kube::Error::BuildRequest(_) | kube::Error::InferConfig(_) | kube::Error::TlsRequired => false,
        _ => true,
    }
}

/// A namespace that is being removed answers 403 to whatever is to be created in it.
fn is_terminating(status: &Status) -> bool {
    let causes = status
        .details
        .as_ref()
        .map(|details| details.causes.as_slice())
        .unwrap_or_default();
    status.code == 403 && causes.iter().any(|cause| cause.reason == "NamespaceTerminating")
}

/// The error as the port tells it. `what` is what we were at, for people.
pub(crate) fn port_error(what: &str, error: &kube::Error) -> PortError {
    let said = match error {
        kube::Error::Api(status) => format!("{} {}", status.code, status.message),
        other => chain(other),
    };
    let reason = format!("{what}: {said}");
    if !passes(error) {
        return PortError::Refused { part: PART, reason };
    }
    let retry_after_ms = match error {
        kube::Error::Api(status) => status.details.as_ref().map(|details| details.retry_after_seconds),
        _ => None,
    };
    let retry_after_ms = retry_after_ms
        .filter(|seconds| *seconds > 0)
        .map(|seconds| u64::from(seconds) * 1_000);
    PortError::Unavailable {
        part: PART,
        reason,
        retry_after_ms,
    }
}

/// The error with its causes.
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

#[cfg(test)]
mod tests {
    use super::*;

    fn api(code: u16, details: &serde_json::Value) -> kube::Error {
        let status = serde_json::json!({ "code": code, "message": "said so", "details": details });
        kube::Error::Api(Box::new(serde_json::from_value(status).unwrap()))
    }

    #[test]
    fn what_passes_and_what_does_not() {
        let none = serde_json::Value::Null;
        for code in [401, 409, 410, 429, 500, 503, 504] {
            let error = port_error("x", &api(code, &none));
            assert!(
                matches!(
                    error,
                    PortError::Unavailable {
                        retry_after_ms: None,
                        ..
                    }
                ),
                "{code} {error:?}"
            );
        }
        for code in [400, 403, 404, 405, 422] {
            let error = port_error("the Job", &api(code, &none));
            assert_eq!(
                error.to_string(),
                format!("kubernetes refused: the Job: {code} said so")
            );
        }
        let error = port_error("x", &api(429, &serde_json::json!({ "retryAfterSeconds": 3 })));
        assert!(
            matches!(
                error,
                PortError::Unavailable {
                    retry_after_ms: Some(3_000),
                    ..
                }
            ),
            "{error:?}"
        );
        let leaving = serde_json::json!({ "causes": [{ "reason": "NamespaceTerminating", "message": "", "field": "" }] });
        assert!(matches!(
            port_error("x", &api(403, &leaving)),
            PortError::Unavailable { .. }
        ));
    }
}
