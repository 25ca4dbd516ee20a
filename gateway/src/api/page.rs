//! Pages of a list and the cursor that leads to the next: keyset paging, so that a page costs the same
//! however far down it is, and lines that come meanwhile shift nothing.

use std::fmt;

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde::Serialize;
use utoipa::ToSchema;

use crate::problem::{ApiError, catalogue};

/// A page of a list, newest first.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct Page<T> {
    /// The lines.
    items: Vec<T>,
    /// Hand it in as `before` to get the next page; null when there is none. A page may be short, or empty, and still
    /// not be the last: a search that no index serves answers with what it found in time.
    next: Option<String>,
}

impl<T> Page<T> {
    /// A page out of one line more than it takes, which tells whether there is a next one.
    pub(crate) fn cut<L, K: fmt::Display>(mut lines: Vec<L>, limit: usize, key: impl Fn(&L) -> K) -> Self
    where
        T: From<L>,
    {
        let more = lines.len() > limit;
        lines.truncate(limit);
        let next = lines.last().filter(|_| more).map(|last| cursor(key(last)));
        Self {
            items: lines.into_iter().map(T::from).collect(),
            next,
        }
    }
}

impl<T> Page<T> {
    /// A page of a search that may have to go on although it is short.
    pub(crate) fn new(items: Vec<T>, next: Option<impl fmt::Display>) -> Self {
        Self {
            items,
            next: next.map(cursor),
        }
    }
}

pub(crate) fn cursor(key: impl fmt::Display) -> String {
    URL_SAFE_NO_PAD.encode(key.to_string())
}

/// Reads a cursor back.
pub(crate) fn key<K>(cursor: Option<&str>, parse: impl Fn(&str) -> Option<K>) -> Result<Option<K>, ApiError> {
    let Some(cursor) = cursor else { return Ok(None) };
    let text = URL_SAFE_NO_PAD
        .decode(cursor)
        .ok()
        .and_then(|bytes| String::from_utf8(bytes).ok());
    let key = text.as_deref().and_then(parse);
    key.map(Some)
        .ok_or_else(|| catalogue::CURSOR_INVALID.with("`before` takes the `next` of an earlier page"))
}
