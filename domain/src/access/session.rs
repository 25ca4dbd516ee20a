//! Sign-ins, personal tokens and the keys that access tokens are signed with. Secrets that people hold are known
//! here by their digest only.

use chrono::{DateTime, Utc};

use crate::id::{SessionId, TokenId, UserId};
use crate::secret::Secret;

use super::{Email, Scope};

/// SHA-256 of a secret of 256 random bits, which need no slower one.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Digest(pub [u8; 32]);

/// Who somebody is on the forge.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Identity {
    /// The account's number, which stays when its name changes.
    pub github_id: i64,
    /// The account's name.
    pub login: String,
    /// The addresses that the forge has verified, and no others.
    pub verified_emails: Vec<Email>,
}

/// How long sessions last.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct SessionTimes {
    /// Unused for so long, it ends.
    pub idle_s: i64,
    /// After so long it ends in any case.
    pub whole_s: i64,
}

/// A sign-in to record.
#[derive(Debug, Clone)]
pub struct NewSignIn {
    /// Who.
    pub identity: Identity,
    /// Of the first refresh token.
    pub refresh: Digest,
    /// What the browser says it is, for the list of sessions.
    pub user_agent: Option<String>,
    /// How long it lasts.
    pub times: SessionTimes,
}

/// Somebody has signed in.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct SignedIn {
    /// The new session.
    pub session: SessionId,
    /// Whose.
    pub user: UserId,
    /// When it ends at the latest, if it isn't refreshed.
    pub expires_at: DateTime<Utc>,
    /// The database's time.
    pub now: DateTime<Utc>,
}

/// What became of a refresh token.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Refreshed {
    /// It was good, and is replaced.
    Good(SignedIn),
    /// It had been used before: somebody has a copy, and the session is ended.
    Reused,
    /// It isn't one, or not any more.
    Refused,
}

/// A session, for the one whose it is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Session {
    /// Its identifier.
    pub id: SessionId,
    /// What the browser said it is.
    pub user_agent: Option<String>,
    /// When it began.
    pub created_at: DateTime<Utc>,
    /// When it was last refreshed.
    pub refreshed_at: DateTime<Utc>,
    /// When it ends in any case.
    pub expires_at: DateTime<Utc>,
}

/// A personal token to make.
#[derive(Debug, Clone)]
pub struct NewApiToken {
    /// What it is for, by its owner: 1 to 100 characters.
    pub name: String,
    /// What it may be used for; at least one.
    pub scopes: Vec<Scope>,
    /// For how long, in days; 1 to 366.
    pub days: i32,
    /// Of the token.
    pub digest: Digest,
}

/// A personal token.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ApiToken {
    /// Its identifier.
    pub id: TokenId,
    /// What it is for.
    pub name: String,
    /// What it may be used for.
    pub scopes: Vec<Scope>,
    /// When it was made.
    pub created_at: DateTime<Utc>,
    /// When it ends.
    pub expires_at: DateTime<Utc>,
    /// When it was last used, to the minute.
    pub last_used_at: Option<DateTime<Utc>>,
}

/// A key to sign with, Ed25519.
#[derive(Debug, Clone)]
pub struct NewSigningKey {
    /// The `kid`: 16 to 43 of `[A-Za-z0-9_-]`.
    pub id: String,
    /// The private part.
    pub seed: Secret<[u8; 32]>,
    /// The public part.
    pub public: [u8; 32],
}

/// A key that signs or still verifies.
#[derive(Debug, Clone)]
pub struct SigningKey {
    /// The key.
    pub key: NewSigningKey,
    /// Whether its time to sign has come; of several the first signs.
    pub signs: bool,
}
