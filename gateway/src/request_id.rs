//! The request's id: on each answer, in each problem, in the request's span.

use axum::http::{HeaderMap, HeaderName, HeaderValue};

/// The header that carries it, both ways.
pub(crate) const HEADER: HeaderName = HeaderName::from_static("x-request-id");

/// A request's id, safe in a header and in a log line.
#[derive(Debug, Clone)]
pub(crate) struct RequestId(HeaderValue);

impl RequestId {
    /// The caller's, if it is 1 to 64 characters of `[A-Za-z0-9._-]`, else a fresh one.
    pub(crate) fn of(headers: &HeaderMap) -> Self {
        headers
            .get(HEADER)
            .filter(|value| is_token(value.as_bytes()))
            .cloned()
            .map_or_else(Self::fresh, Self)
    }

    fn fresh() -> Self {
        let text = hex::encode(rand::random::<[u8; 16]>());
        // Hex digits are always a valid header value.
        Self(HeaderValue::try_from(text).unwrap_or_else(|_| HeaderValue::from_static("none")))
    }

    pub(crate) fn as_str(&self) -> &str {
        self.0.to_str().unwrap_or_default()
    }

    pub(crate) fn header(&self) -> HeaderValue {
        self.0.clone()
    }
}

fn is_token(bytes: &[u8]) -> bool {
    let allowed = |b: &u8| b.is_ascii_alphanumeric() || matches!(b, b'.' | b'_' | b'-');
    (1..=64).contains(&bytes.len()) && bytes.iter().all(allowed)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(text: &'static str) -> RequestId {
        RequestId::of(&HeaderMap::from_iter([(HEADER, HeaderValue::from_static(text))]))
    }

    #[test]
    fn only_a_sane_token_is_taken_over() {
        assert_eq!(of("abc-1.2_3").as_str(), "abc-1.2_3");
        for bad in [
            "",
            "a b",
            "a\"b",
            "{x}",
            "0123456789012345678901234567890123456789012345678901234567890123x",
        ] {
            let fresh = of(bad);
            assert_ne!(fresh.as_str(), bad);
            assert_eq!(fresh.as_str().len(), 32);
        }
        assert_ne!(RequestId::fresh().as_str(), RequestId::fresh().as_str());
    }
}
