//! When GitHub wants to be left alone, and for how long: `retry-after`, the hourly allowance in
//! `x-ratelimit-*`, and the secondary limits that at times come without either.
//! The rules: docs.github.com, "Rate limits for the REST API", "Exceeding the rate limit".

use chrono::DateTime;
use http::{HeaderMap, StatusCode};

/// The wait when a secondary limit names none; GitHub asks for at least a minute.
const UNNAMED_WAIT_MS: u64 = 60_000;
/// No header may park a job for longer than the hourly allowance needs to come back.
const LONGEST_WAIT_MS: u64 = 3_900_000;

/// The time to wait in milliseconds if this answer is a rate limit, `None` if it is a real refusal.
pub(crate) fn wait_ms(status: StatusCode, headers: &HeaderMap, message: &str) -> Option<u64> {
    if status != StatusCode::FORBIDDEN && status != StatusCode::TOO_MANY_REQUESTS {
        return None;
    }
    let wait = retry_after_ms(headers).or_else(|| until_reset_ms(headers));
    let lower = message.to_ascii_lowercase();
    let says_so = status == StatusCode::TOO_MANY_REQUESTS
        || lower.contains("rate limit")
        || lower.contains("abuse detection");
    wait.or(says_so.then_some(UNNAMED_WAIT_MS))
        .map(|wait| wait.min(LONGEST_WAIT_MS))
}

/// `retry-after` in milliseconds; GitHub gives whole seconds.
pub(crate) fn retry_after_ms(headers: &HeaderMap) -> Option<u64> {
    number(headers, "retry-after")?
        .try_into()
        .ok()
        .map(|seconds: u64| seconds.saturating_mul(1_000))
}

/// What is left of the hourly allowance.
pub(crate) fn remaining(headers: &HeaderMap) -> Option<i64> {
    number(headers, "x-ratelimit-remaining")
}

/// How long until the allowance is renewed, if it is used up. Counted from the answer's own `date`, so that a
/// wrong clock on our side does no harm.
fn until_reset_ms(headers: &HeaderMap) -> Option<u64> {
    if remaining(headers)? > 0 {
        return None;
    }
    let date = headers.get("date").and_then(|value| value.to_str().ok());
    let now = date.and_then(|text| DateTime::parse_from_rfc2822(text).ok());
    let (Some(reset), Some(now)) = (number(headers, "x-ratelimit-reset"), now) else {
        return Some(UNNAMED_WAIT_MS);
    };
    // One second more: the two ends are rounded.
    let seconds = u64::try_from((reset - now.timestamp()).max(0)).unwrap_or(0) + 1;
    Some(seconds.saturating_mul(1_000))
}

fn number(headers: &HeaderMap, name: &str) -> Option<i64> {
    headers.get(name)?.to_str().ok()?.trim().parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_a_limit_and_how_long() {
        let used_up = [
            ("x-ratelimit-remaining", "0"),
            ("x-ratelimit-reset", "1000030"),
            ("date", "Mon, 12 Jan 1970 13:46:40 GMT"),
        ];
        for (status, headers, message, expected) in [
            (403, &[][..], "Must have admin rights to Repository.", None),
            (
                403,
                &[("x-ratelimit-remaining", "12")],
                "Resource not accessible",
                None,
            ),
            (404, &used_up, "", None),
            (403, &[("retry-after", "7")], "", Some(7_000)),
            (429, &[("retry-after", "0")], "", Some(0)),
            (403, &used_up, "API rate limit exceeded", Some(31_000)),
            (403, &[("x-ratelimit-remaining", "0")], "", Some(60_000)),
            (429, &[], "", Some(60_000)),
            (
                403,
                &[],
                "You have exceeded a secondary rate limit.",
                Some(60_000),
            ),
            (403, &[("retry-after", "999999")], "", Some(3_900_000)),
            (403, &[("retry-after", "-5")], "no", None),
        ] {
            let map: HeaderMap = headers
                .iter()
                .map(|(n, v)| (n.parse().unwrap(), v.parse().unwrap()))
                .collect();
            let status = StatusCode::from_u16(status).unwrap();
            assert_eq!(
                wait_ms(status, &map, message),
                expected,
                "{status} {headers:?} {message}"
            );
        }
    }
}
