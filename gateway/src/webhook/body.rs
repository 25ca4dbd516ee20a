//! The raw body: bounded in size, in time, and over all requests in memory.

use std::sync::Arc;
use std::time::Duration;

use axum::body::{Body, Bytes};
use axum::extract::Request;
use axum::http::{HeaderMap, header};
use futures::{Stream, StreamExt};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::time::{Instant, timeout, timeout_at};

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
    let deadline = Instant::now() + read_within;
    let length = headers
        .get(header::CONTENT_LENGTH)
        .and_then(|v| v.to_str().ok())
        .and_then(|v| v.parse().ok());
    let mut room = Room::new(&app.body_room_kib);
    let mut frames = body.into_data_stream();
    let refused = match timeout_at(deadline, fill(&mut frames, length, limit, &mut room)).await {
        Ok(Ok(bytes)) => return Ok(Received { bytes, room }),
        Ok(Err(refused)) => refused,
        Err(_) => {
            let detail = format!("the body must arrive within {} ms", read_within.as_millis());
            return Err(catalogue::BODY_SLOW.with(detail));
        }
    };
    drop(room);
    if !waits_for_leave(headers) && !matches!(refused, Refused::Broken(_)) {
        // Whether it was all of it or not makes no difference to the answer.
        let _ = timeout_at(deadline, discard(&mut frames, DISCARD_BYTES)).await;
    }
    Err(match refused {
        Refused::TooLarge => catalogue::BODY_TOO_LARGE.with(format!("a body may have at most {limit} bytes")),
        Refused::NoRoom => catalogue::BODY_MEMORY_FULL
            .with("the bodies in flight take all the memory that is meant for them; come again")
            .retry_after_s(2),
        Refused::Broken(error) => catalogue::BODY_INCOMPLETE
            .with("the body is not complete")
            .because(error.to_string()),
    })
}

/// A sender that asked for leave (`Expect: 100-continue`) sends nothing before we read.
fn waits_for_leave(headers: &HeaderMap) -> bool {
    headers.contains_key(header::EXPECT)
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
pub(crate) async fn discard_briefly(request: Request) {
    if !waits_for_leave(request.headers()) {
        let mut frames = request.into_body().into_data_stream();
        // Whether it was all of it or not makes no difference to the answer.
        let _ = timeout(BRIEF_DISCARD, discard(&mut frames, BRIEF_DISCARD_BYTES)).await;
    }
}
