//! One who is connected.

use std::collections::{BTreeSet, VecDeque};
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use bytes::Bytes;
use chrono::{DateTime, Utc};
use domain::access::{Principal, Via};
use domain::id::{JobId, RunId, UserId};
use futures::Stream;
use metrics::counter;
use tokio::sync::mpsc;
use tokio::time::Instant;

use super::event::{End, EndReason, Heartbeat, LiveEvent, Ready, Reset, ResetReason, Topic};
use super::frame::{Audience, Frame, Sight, placed, render};
use super::hub::Hub;
use super::recent::Recent;
use crate::metrics::STREAM_RESETS;

/// Something is said at least so often.
const HEARTBEAT: Duration = Duration::from_secs(15);
/// Looks that may wait to be taken; whoever is further behind reads anew.
pub(super) const WAITING: usize = 32;

/// Where to begin.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Start {
    /// With what changes from now on.
    Now,
    /// After this place; `None` if it is none of ours.
    After(Option<DateTime<Utc>>),
}

/// What somebody wants to hear.
#[derive(Debug)]
pub(crate) struct Wish {
    pub(crate) principal: Principal,
    /// When the access token is over.
    pub(crate) until: Option<DateTime<Utc>>,
    pub(crate) topics: BTreeSet<Topic>,
    pub(crate) run: Option<RunId>,
    pub(crate) job: Option<JobId>,
    pub(crate) start: Start,
}

/// The hub's side of a connection.
pub(super) struct Client {
    pub(super) via: Via,
    pub(super) user: Option<UserId>,
    pub(super) run: Option<RunId>,
    pub(super) job: Option<JobId>,
    sight: Sight,
    until: Option<DateTime<Utc>>,
    topics: BTreeSet<Topic>,
    sender: mpsc::Sender<Vec<Bytes>>,
    /// Not greeted yet: where it wants to go on.
    greeting: Option<Start>,
    lagged: bool,
    /// Was told that the database can't be read.
    behind: bool,
    told_at: Instant,
}

impl Client {
    pub(super) fn new(wish: Wish, sender: mpsc::Sender<Vec<Bytes>>) -> Self {
        Self {
            sight: Sight::of(&wish.principal),
            via: wish.principal.via,
            user: wish.principal.user,
            run: wish.run,
            job: wish.job,
            until: wish.until,
            topics: wish.topics,
            sender,
            greeting: Some(wish.start),
            lagged: false,
            behind: false,
            told_at: Instant::now(),
        }
    }

    fn hears(&self, audience: Audience) -> bool {
        match audience {
            Audience::Platform(topic) => self.topics.contains(&topic) && self.sight.platform(),
            Audience::Project(topic, project) => self.topics.contains(&topic) && self.sight.project(project),
            Audience::Any(topic) => self.topics.contains(&topic),
            Audience::Follower(run, project) => self.run == Some(run) && self.sight.project(project),
        }
    }

    fn heard<'a>(&self, frames: impl Iterator<Item = &'a Frame>) -> Vec<Bytes> {
        let heard = frames.filter(|frame| self.hears(frame.audience));
        heard.map(|frame| frame.bytes.clone()).collect()
    }

    /// Who it is by now; the reason if the stream has to end.
    pub(super) fn recognise(
        &mut self,
        principal: Option<&Principal>,
        now: DateTime<Utc>,
    ) -> Result<(), EndReason> {
        if self.until.is_some_and(|until| until <= now) {
            return Err(EndReason::TokenExpired);
        }
        let principal = principal.ok_or(EndReason::Revoked)?;
        if !principal.may(domain::access::Right::ProjectRead) {
            return Err(EndReason::Revoked);
        }
        self.sight = Sight::of(principal);
        Ok(())
    }

    /// Tells what this look has found, or greets; false if the one who was connected is gone.
    pub(super) fn tell(&mut self, frames: &[Frame], recent: &Recent) -> bool {
        let Some(place) = recent.place() else { return true };
        let mut batch = match self.greeting.take() {
            Some(start) => self.greet(start, place, recent),
            None if self.lagged => vec![reset(ResetReason::Lagged)],
            None => self.heard(frames.iter()),
        };
        let was_behind = std::mem::take(&mut self.behind);
        if was_behind || (batch.is_empty() && self.told_at.elapsed() >= HEARTBEAT) {
            batch.push(heartbeat(place, false));
        }
        self.send(placed(batch, place))
    }

    fn greet(&self, start: Start, place: DateTime<Utc>, recent: &Recent) -> Vec<Bytes> {
        let ready = |resumed| {
            render(&LiveEvent::Ready(Ready {
                resumed,
                as_of: place,
            }))
        };
        let Start::After(after) = start else {
            return vec![ready(false)];
        };
        match after.and_then(|after| recent.after(after)) {
            Some(missed) => std::iter::once(ready(true)).chain(self.heard(missed)).collect(),
            None => vec![reset(ResetReason::TooOld)],
        }
    }

    /// Says that all has to be read again.
    pub(super) fn reset(&mut self, reason: ResetReason, place: DateTime<Utc>) -> bool {
        self.behind = false;
        self.send(placed(vec![reset(reason)], place))
    }

    pub(super) fn is_greeted(&self) -> bool {
        self.greeting.is_none()
    }

    /// While the database can't be read: no place, since nothing was read.
    pub(super) fn wait(&mut self, as_of: Option<DateTime<Utc>>) -> bool {
        let is_news = self.is_greeted() && !self.behind;
        match as_of {
            Some(as_of) if is_news || self.told_at.elapsed() >= HEARTBEAT => {
                self.behind = true;
                self.send(vec![heartbeat(as_of, true)])
            }
            _ => !self.sender.is_closed(),
        }
    }

    /// The last word.
    pub(super) fn end(&mut self, reason: EndReason) {
        self.send(vec![render(&LiveEvent::End(End { reason }))]);
    }

    fn send(&mut self, batch: Vec<Bytes>) -> bool {
        if batch.is_empty() {
            return !self.sender.is_closed();
        }
        match self.sender.try_send(batch) {
            Ok(()) => {
                self.told_at = Instant::now();
                self.lagged = false;
                true
            }
            Err(mpsc::error::TrySendError::Full(_)) => {
                self.lagged = true;
                true
            }
            Err(mpsc::error::TrySendError::Closed(_)) => false,
        }
    }
}

fn heartbeat(as_of: DateTime<Utc>, behind: bool) -> Bytes {
    render(&LiveEvent::Heartbeat(Heartbeat { as_of, behind }))
}

fn reset(reason: ResetReason) -> Bytes {
    let name = match reason {
        ResetReason::TooOld => "too_old",
        ResetReason::Lagged => "lagged",
        ResetReason::Outage => "outage",
    };
    counter!(STREAM_RESETS, "reason" => name).increment(1);
    render(&LiveEvent::Reset(Reset { reason }))
}

/// The connection's side: a body that ends when the hub says so, and tells the hub when it is dropped.
pub(crate) struct Subscription {
    pub(super) hub: Arc<Hub>,
    pub(super) id: u64,
    pub(super) receiver: mpsc::Receiver<Vec<Bytes>>,
    pub(super) taken: VecDeque<Bytes>,
}

impl Stream for Subscription {
    type Item = Result<Bytes, std::convert::Infallible>;

    fn poll_next(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        loop {
            if let Some(bytes) = self.taken.pop_front() {
                return Poll::Ready(Some(Ok(bytes)));
            }
            match self.receiver.poll_recv(context) {
                Poll::Ready(Some(batch)) => self.taken = batch.into(),
                Poll::Ready(None) => return Poll::Ready(None),
                Poll::Pending => return Poll::Pending,
            }
        }
    }
}

impl Drop for Subscription {
    fn drop(&mut self) {
        self.hub.leave(self.id);
    }
}
