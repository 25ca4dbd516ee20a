//! What can be made to go wrong: errors, limits, delays and lost answers, for the next matching requests.

use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use axum::body::Body;
use axum::http::{HeaderMap, HeaderValue, Method, StatusCode};
use axum::response::{IntoResponse, Response};

use super::answer::error;

/// A way to go wrong.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Fault {
    /// Answers with this status (500, 502, ...) and does nothing.
    Status(u16),
    /// The hourly allowance is used up: 403, `x-ratelimit-remaining: 0`, a reset so many seconds from now.
    PrimaryRateLimit {
        /// Seconds until the reset.
        reset_in_s: i64,
    },
    /// Too much in a short time, with this status (403 or 429).
    SecondaryRateLimit {
        /// The status.
        status: u16,
        /// `retry-after`; GitHub leaves it out at times.
        retry_after_s: Option<u64>,
    },
    /// Does what is asked at once, and answers after this time.
    Delay(Duration),
    /// Does what is asked, then breaks the connection before the answer is through.
    LoseAnswer,
}

struct Armed {
    method: Method,
    path_part: String,
    left: usize,
    fault: Fault,
}

/// The faults that wait for their request.
#[derive(Default)]
pub(super) struct Faults(Mutex<Vec<Armed>>);

impl Faults {
    pub(super) fn arm(&self, method: Method, path_part: &str, times: usize, fault: Fault) {
        let armed = Armed {
            method,
            path_part: path_part.to_owned(),
            left: times,
            fault,
        };
        self.0.lock().unwrap_or_else(PoisonError::into_inner).push(armed);
    }

    /// The fault for this request, used up by one.
    pub(super) fn take(&self, method: &Method, path: &str) -> Option<Fault> {
        let mut armed = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let hit = armed
            .iter_mut()
            .find(|a| a.left > 0 && a.method == *method && path.contains(&a.path_part))?;
        hit.left -= 1;
        Some(hit.fault)
    }
}

/// The answer of a fault that does nothing else; `None` where the request goes on.
pub(super) fn refuse(fault: Fault, now_epoch_s: i64) -> Option<Response> {
    match fault {
        Fault::Status(status) => {
            let status = StatusCode::from_u16(status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
            Some(error(status, "Server Error"))
        }
        Fault::PrimaryRateLimit { reset_in_s } => {
            let mut headers = HeaderMap::new();
            headers.insert("x-ratelimit-remaining", HeaderValue::from_static("0"));
            headers.insert("x-ratelimit-reset", HeaderValue::from(now_epoch_s + reset_in_s));
            let message = "API rate limit exceeded for user ID 1.";
            Some((headers, error(StatusCode::FORBIDDEN, message)).into_response())
        }
        Fault::SecondaryRateLimit {
            status,
            retry_after_s,
        } => {
            let mut headers = HeaderMap::new();
            if let Some(seconds) = retry_after_s {
                headers.insert("retry-after", HeaderValue::from(seconds));
            }
            let status = StatusCode::from_u16(status).unwrap_or(StatusCode::FORBIDDEN);
            let message =
                "You have exceeded a secondary rate limit. Please wait a few minutes before you try again.";
            Some((headers, error(status, message)).into_response())
        }
        Fault::Delay(_) | Fault::LoseAnswer => None,
    }
}

/// The same answer, with a body that breaks off at once: the client learns nothing of what was done.
pub(super) fn lose(answer: Response) -> Response {
    let broken =
        futures::stream::once(async { Err::<bytes::Bytes, _>(std::io::Error::other("connection lost")) });
    let (parts, _) = answer.into_parts();
    Response::from_parts(parts, Body::from_stream(broken))
}
