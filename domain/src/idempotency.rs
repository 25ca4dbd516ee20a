//! Requests that may be sent again without a second effect.

/// A request under the key that its sender gave it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct IdempotentRequest {
    /// Whose: keys of different people have nothing to do with each other.
    pub owner: String,
    /// 1 to 255 visible ASCII characters.
    pub key: String,
    /// SHA-256 of method, path, query and body.
    pub fingerprint: [u8; 32],
}

/// An answer as it was given.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StoredAnswer {
    /// The HTTP status.
    pub status: u16,
    /// The content type, where there is a body.
    pub content_type: Option<String>,
    /// The body; `None` where it isn't kept, because it holds a secret.
    pub body: Option<Vec<u8>>,
}

/// What is known of a request.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Begun {
    /// Nothing: it is to be carried out.
    New,
    /// It was carried out, with this answer.
    Answered(StoredAnswer),
    /// It is being carried out just now.
    InProgress,
    /// The key belongs to another request.
    Other,
}
