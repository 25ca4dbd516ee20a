//! Query strings and path parameters, refused as problems that say what is allowed.

use std::fmt;
use std::str::FromStr;

use axum::extract::{FromRequestParts, Path, Query};
use axum::http::request::Parts;
use serde::de::{Deserialize, DeserializeOwned, Deserializer, Error};

use crate::problem::{ApiError, catalogue};

/// A query string; the type's `deny_unknown_fields` names what there is.
pub(crate) struct Params<T>(pub(crate) T);

impl<S: Send + Sync, T: DeserializeOwned> FromRequestParts<S> for Params<T> {
    type Rejection = ApiError;
    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, ApiError> {
        match Query::try_from_uri(&parts.uri) {
            Ok(Query(params)) => Ok(Self(params)),
            Err(rejection) => Err(catalogue::QUERY_INVALID.with(rejection.body_text())),
        }
    }
}

/// No query string; any is refused.
pub(crate) struct NoParams;

impl<S: Sync> FromRequestParts<S> for NoParams {
    type Rejection = ApiError;
    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, ApiError> {
        match parts.uri.query() {
            None | Some("") => Ok(Self),
            Some(_) => Err(catalogue::QUERY_INVALID.with("no query parameters are expected here")),
        }
    }
}

/// The one path parameter.
pub(crate) struct Id<T>(pub(crate) T);

impl<S: Send + Sync, T: FromStr<Err: fmt::Display>> FromRequestParts<S> for Id<T> {
    type Rejection = ApiError;
    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, ApiError> {
        let refuse = |reason: String| catalogue::PATH_INVALID.with(format!("the id can't be read: {reason}"));
        let Path(text) = Path::<String>::from_request_parts(parts, state)
            .await
            .map_err(|r| refuse(r.body_text()))?;
        text.parse()
            .map(Self)
            .map_err(|error: T::Err| refuse(error.to_string()))
    }
}

/// The two path parameters.
pub(crate) struct Ids<A, B>(pub(crate) A, pub(crate) B);

impl<S, A, B> FromRequestParts<S> for Ids<A, B>
where
    S: Send + Sync,
    A: FromStr<Err: fmt::Display>,
    B: FromStr<Err: fmt::Display>,
{
    type Rejection = ApiError;
    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, ApiError> {
        let refuse =
            |reason: String| catalogue::PATH_INVALID.with(format!("the path can't be read: {reason}"));
        let Path((a, b)) = Path::<(String, String)>::from_request_parts(parts, state)
            .await
            .map_err(|r| refuse(r.body_text()))?;
        let a = a.parse().map_err(|error: A::Err| refuse(error.to_string()))?;
        let b = b.parse().map_err(|error: B::Err| refuse(error.to_string()))?;
        Ok(Self(a, b))
    }
}

/// How many to answer with: 1 to `MAX`, 50 if not said.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Limit<const MAX: u16>(u16);

impl<const MAX: u16> Default for Limit<MAX> {
    fn default() -> Self {
        Self(50)
    }
}

impl<const MAX: u16> Limit<MAX> {
    pub(crate) fn get(self) -> usize {
        usize::from(self.0)
    }
}

impl<'de, const MAX: u16> Deserialize<'de> for Limit<MAX> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        let limit = text.parse().ok().filter(|limit| (1..=MAX).contains(limit));
        limit
            .map(Self)
            .ok_or_else(|| D::Error::custom(format!("must be a whole number from 1 to {MAX}")))
    }
}

/// Text in a query, a path or a body: 1 to `MAX` characters, none of them a control character.
#[derive(Debug, Clone)]
pub(crate) struct Text<const MAX: usize>(pub(crate) String);

/// A name to filter by.
pub(crate) type Name = Text<128>;

impl<const MAX: usize> FromStr for Text<MAX> {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        if (1..=MAX).contains(&text.chars().count()) && !text.chars().any(char::is_control) {
            Ok(Self(text.to_owned()))
        } else {
            Err(format!(
                "must be 1 to {MAX} characters, without control characters"
            ))
        }
    }
}

impl<'de, const MAX: usize> Deserialize<'de> for Text<MAX> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        String::deserialize(deserializer)?
            .parse()
            .map_err(D::Error::custom)
    }
}
