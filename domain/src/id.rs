//! One newtype per identifier, so that a run's number can't be passed for a project's.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

macro_rules! numeric_id {
    ($($(#[$doc:meta])* $name:ident;)+) => {$(
        $(#[$doc])*
        #[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
        #[serde(transparent)]
        pub struct $name(pub i64);

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                self.0.fmt(f)
            }
        }

        impl FromStr for $name {
            type Err = std::num::ParseIntError;
            fn from_str(s: &str) -> Result<Self, Self::Err> {
                s.parse().map(Self)
            }
        }
    )+};
}

numeric_id! {
    /// A project: the unit of access, slots and settings.
    ProjectId;
    /// A repository of a project.
    RepositoryId;
    /// A run of an agent.
    RunId;
    /// A job of the queue.
    JobId;
    /// A comment on the forge.
    CommentId;
    /// A person who may sign in.
    UserId;
    /// A sign-in of a person.
    SessionId;
    /// A personal token.
    TokenId;
}

/// GitHub's `X-GitHub-Delivery`: 1 to 128 characters of `[A-Za-z0-9._-]`. GitHub sends a GUID; other
/// senders of the same protocol may not, so only what is safe in a path, a label or a log line is demanded.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct DeliveryId(String);

/// The delivery identifier isn't 1 to 128 characters of `[A-Za-z0-9._-]`.
#[derive(Debug, thiserror::Error, PartialEq, Eq)]
#[error("a delivery identifier is 1 to 128 characters of A-Z a-z 0-9 . _ -")]
pub struct InvalidDeliveryId;

impl DeliveryId {
    /// Parses an identifier as it stands in the header.
    pub fn new(text: impl Into<String>) -> Result<Self, InvalidDeliveryId> {
        let text = text.into();
        let allowed = |b: u8| b.is_ascii_alphanumeric() || matches!(b, b'.' | b'_' | b'-');
        if text.is_empty() || text.len() > 128 || !text.bytes().all(allowed) {
            return Err(InvalidDeliveryId);
        }
        Ok(Self(text))
    }

    /// The identifier's text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for DeliveryId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl TryFrom<String> for DeliveryId {
    type Error = InvalidDeliveryId;
    fn try_from(text: String) -> Result<Self, Self::Error> {
        Self::new(text)
    }
}

impl FromStr for DeliveryId {
    type Err = InvalidDeliveryId;
    fn from_str(s: &str) -> Result<Self, Self::Err> {
        Self::new(s)
    }
}

impl From<DeliveryId> for String {
    fn from(id: DeliveryId) -> Self {
        id.0
    }
}

/// What ties rows, spans, annotations and comments of one cause together: the delivery's identifier.
pub type CorrelationId = DeliveryId;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn delivery_id_accepts_what_is_safe_everywhere() {
        for ok in ["72d3162e-cc78-11e3-81ab-4c9367dc0958", "a", "run.1_2"] {
            assert_eq!(DeliveryId::new(ok).unwrap().as_str(), ok);
        }
        for bad in ["", "a b", "a/b", "é", "a\n", &"x".repeat(129)] {
            assert_eq!(DeliveryId::new(bad), Err(InvalidDeliveryId), "{bad:?}");
        }
    }
}
