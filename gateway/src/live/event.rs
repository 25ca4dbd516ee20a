//! What the stream says, by name.

use chrono::{DateTime, Utc};
use domain::live::LogTail;
use serde::Serialize;
use utoipa::ToSchema;

use crate::api::deliveries::view::DeliveryLine;
use crate::api::jobs::view::JobLine;
use crate::api::queues::view::QueueLine;
use crate::api::runs::view::{FlowEvent, LogLine, RunLine};

/// What there is to hear of.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Topic {
    /// Jobs.
    Job,
    /// Runs.
    Run,
    /// Deliveries.
    Delivery,
    /// Queues and their counts; needs the right `platform_read`.
    Queues,
    /// What is recorded of runs.
    RunEvent,
}

impl Topic {
    pub(crate) const ALL: [Self; 5] = [Self::Job, Self::Run, Self::Delivery, Self::Queues, Self::RunEvent];

    /// As in the query string.
    pub(crate) fn as_str(self) -> &'static str {
        match self {
            Self::Job => "job",
            Self::Run => "run",
            Self::Delivery => "delivery",
            Self::Queues => "queues",
            Self::RunEvent => "run_event",
        }
    }
}

/// A message of the stream: its `event` line and its `data` line as the members of one object. Rows stand in the same
/// shape as in the lists, so that they can be put into what was read before.
#[derive(Debug, Serialize, ToSchema)]
#[serde(tag = "event", content = "data", rename_all = "snake_case")]
pub(crate) enum LiveEvent {
    /// The first message: from here on every change is told. Lists that were read before it was received are to be
    /// read again, unless it says `resumed`.
    Ready(Ready),
    /// Changes were left out: everything that is shown is to be read again.
    Reset(Reset),
    /// Too much changed at once to tell each: lists of these are to be read again, with some seconds of random
    /// delay where it comes again and again.
    More(More),
    /// Nothing for a while, or the database can't be read, or can again. Comes at least every 15 seconds.
    Heartbeat(Heartbeat),
    /// The last message, where the gateway ends the stream by itself.
    End(End),
    /// A job that is new or stands otherwise than before.
    Job(Box<JobLine>),
    /// A run that is new or stands otherwise than before.
    Run(Box<RunLine>),
    /// A delivery that is new or stands otherwise than before.
    Delivery(Box<DeliveryLine>),
    /// Something was recorded under a run.
    RunEvent(Box<FlowEvent>),
    /// All queues, because something about one is otherwise than before.
    Queues(Vec<QueueLine>),
    /// Further lines of the followed run's log, in order and without a gap among them. Lines between the last one
    /// that was read and the first of these are read as a page.
    Log(LogLines),
}

/// From here on every change is told.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct Ready {
    /// Whether it goes on where `Last-Event-ID` was: nothing is missing.
    pub(crate) resumed: bool,
    /// The database's time: what was committed until then has been told or can be read.
    pub(crate) as_of: DateTime<Utc>,
}

/// Why changes were left out.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub(crate) enum ResetReason {
    /// `Last-Event-ID` is too long ago, or none of ours.
    TooOld,
    /// Messages weren't taken as fast as they came.
    Lagged,
    /// The database could not be read for too long.
    Outage,
}

/// Changes were left out.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct Reset {
    /// Why.
    pub(crate) reason: ResetReason,
}

/// Too much changed at once.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct More {
    /// Of these.
    pub(crate) topics: Vec<Topic>,
}

/// How the stream stands.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct Heartbeat {
    /// The database's time at the last look: what is shown is as of then.
    pub(crate) as_of: DateTime<Utc>,
    /// Whether the database can't be read: what changes is told when it can again.
    pub(crate) behind: bool,
}

/// Why the gateway ends a stream.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub(crate) enum EndReason {
    /// The access token is over: get another one and connect again.
    TokenExpired,
    /// Session or token was ended, or the right for this is gone.
    Revoked,
    /// The gateway stops: connect again, to another one.
    Shutdown,
}

/// The gateway ends the stream.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct End {
    /// Why.
    pub(crate) reason: EndReason,
}

/// Further lines of a log.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct LogLines {
    /// The run.
    run_id: i64,
    /// In order.
    lines: Vec<LogLine>,
}

impl From<LogTail> for LogLines {
    fn from(tail: LogTail) -> Self {
        Self {
            run_id: tail.run.0,
            lines: tail.lines.into_iter().map(LogLine::from).collect(),
        }
    }
}

impl LiveEvent {
    /// As it is sent, without its place.
    pub(crate) fn render(&self) -> (&'static str, serde_json::Result<String>) {
        use serde_json::to_string;
        match self {
            Self::Ready(data) => ("ready", to_string(data)),
            Self::Reset(data) => ("reset", to_string(data)),
            Self::More(data) => ("more", to_string(data)),
            Self::Heartbeat(data) => ("heartbeat", to_string(data)),
            Self::End(data) => ("end", to_string(data)),
            Self::Job(data) => ("job", to_string(data)),
            Self::Run(data) => ("run", to_string(data)),
            Self::Delivery(data) => ("delivery", to_string(data)),
            Self::RunEvent(data) => ("run_event", to_string(data)),
            Self::Queues(data) => ("queues", to_string(data)),
            Self::Log(data) => ("log", to_string(data)),
        }
    }
}
