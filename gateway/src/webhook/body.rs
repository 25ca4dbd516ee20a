//! The raw body: bounded in size, in time, and over all requests in memory.

use std::sync::Arc;
use std::time::Duration;

use axum::body::{Body, Bytes};
use axum::http::{HeaderMap, header};
use futures::{Stream, StreamExt};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::time::timeout;

use crate::app::App;
use crate::problem::{ApiError, catalogue};

/// What is read of an oversized body and thrown away: a sender that is still writing would otherwise meet a
/// reset connection instead of our answer.
const DISCARD_BYTES: usize = 64 * 1024 * 1024;
/// The same for a request that is refused before its body is looked at.
const BRIEF_DISCARD_BYTES: usize = 1024 * 1024;
const BRIEF_DISCARD: Duration = Duration::from_millis(500);
/// A sender's word about the length is believed up to here; beyond, the buffer grows as bytes arrive.
const TRUSTED_LENGTH_BYTES: usize = 64 * 1024;

/// A body, whole.
pub(crate) struct Received {
    pub(crate) bytes: Vec<u8>,
    pub(crate) room: Room,
}

/// Memory that a body has taken of what all may take together; given back when dropped.
pub(crate) struct Room {
    all: Arc<Semaphore>,
    taken: Option<OwnedSemaphorePermit>,
}

impl Room {
    fn new(all: &Arc<Semaphore>) -> Self {
        Self {
            all: Arc::clone(all),
            taken: None,
        }
    }

    /// Makes sure that so many bytes are taken.
    fn hold(&mut self, bytes: usize) -> Result<(), Refused> {
        let held = self.taken.as_ref().map_or(0, OwnedSemaphorePermit::num_permits);
        let more = bytes.div_ceil(1024).saturating_sub(held);
        if more == 0 {
            return Ok(());
        }
        let more = u32::try_from(more).map_err(|_| Refused::NoRoom)?;
        let permit = Arc::clone(&self.all)
            .try_acquire_many_owned(more)
            .map_err(|_| Refused::NoRoom)?;
        match &mut self.taken {
            Some(taken) => taken.merge(permit),
            none => *none = Some(permit),
        }
        Ok(())
    }
}

enum Refused {
    TooLarge,
    NoRoom,
    Broken(axum::Error),
}

/// Reads the body whole: 413 above the limit, 408 when it takes too long, 400 when it breaks off, 503 when
/// all bodies together would take too much memory.
pub(crate) async fn receive(body: Body, headers: &HeaderMap, app: &App) -> Result<Received, ApiError> {
    let limit = app.settings.max_body_bytes;
    let read_within = Duration::from_millis(app.settings.body_read_timeout_ms);
    let declared = headers
        .get(header::CONTENT_LENGTH)
        .and_then(|v| v.to_str().ok())
        .and_then(|v| v.parse().ok());
    let mut room = Room::new(&app.body_room_kib);
    let mut frames = body.into_data_stream();
    let read = timeout(read_within, async {
        let read = fill(&mut frames, declared, limit, &mut room).await;
        if let Err(Refused::TooLarge | Refused::NoRoom) = read {
            discard(&mut frames, DISCARD_BYTES).await;
        }
        read
    });
    match read.await {
        Ok(Ok(bytes)) => Ok(Received { bytes, room }),
        Ok(Err(Refused::TooLarge)) => {
            Err(catalogue::BODY_TOO_LARGE.with(format!("a body may have at most {limit} bytes")))
        }
        Ok(Err(Refused::NoRoom)) => Err(catalogue::BODY_MEMORY_FULL
            .with("the bodies in flight take all the memory that is meant for them; come again")
            .retry_after_s(2)),
        Ok(Err(Refused::Broken(error))) => Err(catalogue::BODY_INCOMPLETE
            .with("the body is not complete")
            .because(error.to_string())),
        Err(_) if declared.is_some_and(|bytes: usize| bytes > limit) => {
            Err(catalogue::BODY_TOO_LARGE.with(format!("a body may have at most {limit} bytes")))
        }
        Err(_) => {
            let detail = format!("the body must arrive within {} ms", read_within.as_millis());
            Err(catalogue::BODY_SLOW.with(detail))
        }
    }
}

async fn fill<S>(
    frames: &mut S,
    declared: Option<usize>,
    limit: usize,
    room: &mut Room,
) -> Result<Vec<u8>, Refused>
where
    S: Stream<Item = Result<Bytes, axum::Error>> + Unpin,
{
    let declared = declared.unwrap_or(0);
    if declared > limit {
        return Err(Refused::TooLarge);
    }
    let mut bytes = Vec::with_capacity(declared.min(TRUSTED_LENGTH_BYTES));
    while let Some(frame) = frames.next().await {
        let frame = frame.map_err(Refused::Broken)?;
        let length = bytes.len() + frame.len();
        if length > limit {
            return Err(Refused::TooLarge);
        }
        room.hold(length)?;
        bytes.extend_from_slice(&frame);
    }
    Ok(bytes)
}

/// Reads and throws away, up to so many bytes.
async fn discard<S>(frames: &mut S, up_to_bytes: usize)
where
    S: Stream<Item = Result<Bytes, axum::Error>> + Unpin,
{
    let mut left = up_to_bytes;
    while let Some(Ok(frame)) = frames.next().await {
        match left.checked_sub(frame.len()) {
            Some(rest) => left = rest,
            None => return,
        }
    }
}

/// Reads what is on its way of a request that is refused anyway.
pub(crate) async fn discard_briefly(body: Body) {
    let mut frames = body.into_data_stream();
    // Whether it was all of it or not makes no difference to the answer.
    let _ = timeout(BRIEF_DISCARD, discard(&mut frames, BRIEF_DISCARD_BYTES)).await;
}
