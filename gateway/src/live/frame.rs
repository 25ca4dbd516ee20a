//! Messages as bytes, each rendered once for all, and who may see them.

use bytes::Bytes;
use chrono::{DateTime, Utc};
use domain::access::{Principal, Projects, Right};
use domain::id::{ProjectId, RunId};
use domain::live::{Changed, Changes, Owned};
use metrics::counter;

use super::event::{LiveEvent, LogLines, More, Topic};
use crate::metrics::STREAM_EVENTS;

/// Whom a message is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Audience {
    /// Who may read what belongs to no project.
    Platform(Topic),
    /// Who may read this project; without one, who may read all.
    Project(Topic, Option<ProjectId>),
    /// Everybody.
    Any(Topic),
    /// Who may read the project and follows the run.
    Follower(RunId, Option<ProjectId>),
}

/// A message, rendered.
#[derive(Debug, Clone)]
pub(crate) struct Frame {
    pub(crate) audience: Audience,
    pub(crate) bytes: Bytes,
}

/// What somebody may see, as of the last look.
#[derive(Debug, Clone)]
pub(crate) struct Sight {
    platform: bool,
    projects: Projects,
}

impl Sight {
    pub(crate) fn of(principal: &Principal) -> Self {
        Self {
            platform: principal.may(Right::PlatformRead),
            projects: principal.projects(Right::ProjectRead),
        }
    }

    pub(crate) fn platform(&self) -> bool {
        self.platform
    }

    pub(crate) fn project(&self, project: Option<ProjectId>) -> bool {
        project.map_or(self.projects == Projects::All, |id| self.projects.contains(id))
    }
}

/// A message as it is sent.
pub(crate) fn render(event: &LiveEvent) -> Bytes {
    let (name, data) = event.render();
    counter!(STREAM_EVENTS, "event" => name).increment(1);
    // Structs of strings and numbers always serialise, to one line.
    Bytes::from(format!("event: {name}\ndata: {}\n\n", data.unwrap_or_default()))
}

/// Puts the place on the last message: whoever has received it has received all of the look.
pub(crate) fn placed(mut frames: Vec<Bytes>, place: DateTime<Utc>) -> Vec<Bytes> {
    if let Some(last) = frames.pop() {
        frames.push(Bytes::from(format!("id: {}\n", place.timestamp_micros())));
        frames.push(last);
    }
    frames
}

/// Reads a place back.
pub(crate) fn place(text: &str) -> Option<DateTime<Utc>> {
    text.trim().parse().ok().and_then(DateTime::from_timestamp_micros)
}

/// All messages of a look.
pub(crate) fn frames(changes: Changes) -> Vec<Frame> {
    let mut frames = Vec::new();
    for log in changes.logs {
        let audience = Audience::Follower(log.row.run, log.project);
        push(&mut frames, audience, &LiveEvent::Log(LogLines::from(log.row)));
    }
    owned(&mut frames, Topic::Delivery, changes.deliveries, |row| {
        LiveEvent::Delivery(Box::new(row.into()))
    });
    owned(&mut frames, Topic::Job, changes.jobs, |row| {
        LiveEvent::Job(Box::new(row.into()))
    });
    owned(&mut frames, Topic::Run, changes.runs, |row| {
        LiveEvent::Run(Box::new(row.into()))
    });
    owned(&mut frames, Topic::RunEvent, changes.run_events, |row| {
        LiveEvent::RunEvent(Box::new(row.into()))
    });
    if let Some(queues) = changes.queues {
        let lines = queues.into_iter().map(Into::into).collect();
        push(
            &mut frames,
            Audience::Platform(Topic::Queues),
            &LiveEvent::Queues(lines),
        );
    }
    frames
}

fn owned<T>(frames: &mut Vec<Frame>, topic: Topic, changed: Changed<Owned<T>>, event: fn(T) -> LiveEvent) {
    for Owned { project, row } in changed.rows {
        push(frames, Audience::Project(topic, project), &event(row));
    }
    if changed.more {
        // Of whichever projects: it says no more than that the lists are worth a look.
        push(frames, Audience::Any(topic), &more(topic));
    }
}

fn more(topic: Topic) -> LiveEvent {
    LiveEvent::More(More { topics: vec![topic] })
}

fn push(frames: &mut Vec<Frame>, audience: Audience, event: &LiveEvent) {
    frames.push(Frame {
        audience,
        bytes: render(event),
    });
}
