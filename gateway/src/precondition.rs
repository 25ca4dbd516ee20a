//! `ETag`, `If-Match` and `If-None-Match`: nobody overwrites what they did not see. What can be changed has a version;
//! a change that hands it in is refused with 412 if it is another one by now.

use axum::Json;
use axum::extract::FromRequestParts;
use axum::http::request::Parts;
use axum::http::{HeaderMap, HeaderName, HeaderValue, header};
use axum::response::{IntoResponse, Response};
use domain::{Precondition, Version};
use serde::Serialize;
use utoipa::IntoParams;
use utoipa::openapi::path::{Operation, Parameter, ParameterBuilder, ParameterIn};
use utoipa::openapi::schema::Type;
use utoipa::openapi::{ObjectBuilder, RefOr, Required, Response as Described};

use crate::problem::{ApiError, catalogue};

const IF_MATCH: &str = "If-Match";

/// What the one who asks for a change has seen. Named in a route's `params`, it describes itself.
pub(crate) struct Seen(pub(crate) Precondition);

impl<S: Sync> FromRequestParts<S> for Seen {
    type Rejection = ApiError;
    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, ApiError> {
        let matched = listed(&parts.headers, &header::IF_MATCH)?;
        let unmatched = listed(&parts.headers, &header::IF_NONE_MATCH)?;
        match (matched, unmatched) {
            (None, None) => Ok(Self(Precondition::Anything)),
            (Some(Tags::Any), None) => Ok(Self(Precondition::Present)),
            (Some(Tags::Of(versions)), None) => Ok(Self(Precondition::OneOf(versions))),
            (None, Some(Tags::Any)) => Ok(Self(Precondition::Absent)),
            _ => {
                Err(catalogue::PRECONDITION_INVALID
                    .with("send `If-Match`, or `If-None-Match: *`, or neither"))
            }
        }
    }
}

/// What such a header names.
#[derive(Debug, PartialEq, Eq)]
enum Tags {
    Any,
    Of(Vec<Version>),
}

fn listed(headers: &HeaderMap, name: &HeaderName) -> Result<Option<Tags>, ApiError> {
    let mut tags = Vec::new();
    let mut lines = headers.get_all(name).iter().peekable();
    if lines.peek().is_none() {
        return Ok(None);
    }
    for line in lines {
        let line = line.to_str().unwrap_or_default().trim();
        if line == "*" {
            return Ok(Some(Tags::Any));
        }
        let refuse = || {
            catalogue::PRECONDITION_INVALID
                .with(format!("`{name}` is `*`, or what `ETag` was, with its quotes"))
        };
        tags.extend(of_line(line).ok_or_else(refuse)?);
    }
    Ok(Some(Tags::Of(tags)))
}

/// `"one", W/"another"`. Weak ones are left out: they say too little to match.
fn of_line(line: &str) -> Option<Vec<Version>> {
    let mut tags = Vec::new();
    let mut rest = line;
    loop {
        let weak = rest.strip_prefix("W/");
        let (tag, after) = weak.unwrap_or(rest).strip_prefix('"')?.split_once('"')?;
        if weak.is_none() {
            tags.push(Version::new(tag));
        }
        let after = after.trim_start();
        match after.strip_prefix(',') {
            Some(next) => rest = next.trim_start(),
            None => return after.is_empty().then_some(tags),
        }
    }
}

/// Somebody was faster.
pub(crate) fn stale() -> ApiError {
    catalogue::CHANGED_MEANWHILE
        .with("it is not as you saw it: read it again, look at what is different, and send your change with its version")
}

/// What has a version that a change can hand in.
pub(crate) trait Versioned {
    /// As in `version` of the body, and in quotes in `ETag`.
    fn version(&self) -> &str;
}

/// An answer with its version in `ETag`.
pub(crate) struct Tagged<T>(pub(crate) T);

impl<T: Serialize + Versioned> IntoResponse for Tagged<T> {
    fn into_response(self) -> Response {
        let tag = HeaderValue::try_from(format!("\"{}\"", self.0.version()));
        let mut response = Json(self.0).into_response();
        if let Ok(tag) = tag {
            response.headers_mut().insert(header::ETAG, tag);
        }
        response
    }
}

impl IntoParams for Seen {
    fn into_params(_: impl Fn() -> Option<ParameterIn>) -> Vec<Parameter> {
        vec![
            ParameterBuilder::new()
                .name(IF_MATCH)
                .parameter_in(ParameterIn::Header)
                .required(Required::False)
                .description(Some(
                    "The `ETag`, or the `version` in quotes, of what was seen: a change since is not overwritten. \
                     Without it the last one to write wins",
                ))
                .schema(Some(ObjectBuilder::new().schema_type(Type::String)))
                .build(),
        ]
    }
}

/// Says of each operation that takes `If-Match` what it answers then: once for all.
pub(crate) fn describe(operation: &mut Operation) {
    let is_guarded = operation
        .parameters
        .iter()
        .flatten()
        .any(|parameter| matches!(parameter, RefOr::T(parameter) if parameter.name == IF_MATCH));
    if !is_guarded {
        return;
    }
    let responses = &mut operation.responses.responses;
    responses.entry("412".to_owned()).or_insert_with(|| {
        RefOr::T(Described::new(
            "It is not as it was seen (`changed_meanwhile`): read it again and decide anew",
        ))
    });
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_the_headers_name() {
        let named = |line: &str| {
            of_line(line).map(|tags| tags.iter().map(|tag| tag.as_str().to_owned()).collect::<Vec<_>>())
        };
        let of = |tags: &[&str]| Some(tags.iter().map(|tag| (*tag).to_owned()).collect::<Vec<_>>());
        assert_eq!(named("\"1\""), of(&["1"]));
        assert_eq!(named("\"a,b\" , W/\"c\",\"\""), of(&["a,b", ""]));
        for bad in ["", "1", "\"1", "\"1\",", "\"1\" \"2\"", "w/\"1\""] {
            assert_eq!(named(bad), None, "{bad}");
        }
    }
}
