//! The overview as the API shows it.

use chrono::{DateTime, Utc};
use domain::overview;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use crate::api::queues::view::QueueLine;

/// How far to look back, and in which steps.
#[derive(Debug, Clone, Copy, Serialize, Deserialize, ToSchema)]
#[schema(as = OverviewWindow)]
pub(crate) enum Window {
    /// An hour by minutes.
    #[serde(rename = "1h")]
    Hour,
    /// A day by quarters of an hour.
    #[serde(rename = "24h")]
    Day,
    /// A week by hours.
    #[serde(rename = "7d")]
    Week,
}

impl From<Window> for overview::Window {
    fn from(window: Window) -> Self {
        match window {
            Window::Hour => Self::Hour,
            Window::Day => Self::Day,
            Window::Week => Self::Week,
        }
    }
}

/// What ended. Times are in milliseconds, to within a fifth, and null where nothing ended.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct Figures {
    /// Jobs that ended well.
    completed: i64,
    /// Jobs that people ended.
    cancelled: i64,
    /// Jobs that ended badly.
    dead: i64,
    /// For so long half of them had been ready when their last attempt began.
    start_p50_ms: Option<f64>,
    /// And 99 of 100.
    start_p99_ms: Option<f64>,
    /// For so long the last attempt of half of them ran.
    run_p50_ms: Option<f64>,
    /// And of 99 of 100.
    run_p99_ms: Option<f64>,
}

impl From<overview::Figures> for Figures {
    fn from(figures: overview::Figures) -> Self {
        Self {
            completed: figures.ended.completed,
            cancelled: figures.ended.cancelled,
            dead: figures.ended.dead,
            start_p50_ms: figures.start.p50_ms,
            start_p99_ms: figures.start.p99_ms,
            run_p50_ms: figures.run.p50_ms,
            run_p99_ms: figures.run.p99_ms,
        }
    }
}

/// A step of the series.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct Point {
    /// When it begins.
    at: DateTime<Utc>,
    #[serde(flatten)]
    figures: Figures,
}

/// A queue as it stands, and what ended of it in the window.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct QueueFigures {
    /// As it stands.
    queue: QueueLine,
    /// What ended.
    figures: Figures,
}

/// Unfinished runs.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct OpenRuns {
    /// Created, or waiting for a slot.
    waiting: i64,
    /// Being prepared.
    preparing: i64,
    /// With a Job in the cluster.
    running: i64,
}

/// Whether something needs looking after.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = OverviewHealth)]
pub(crate) struct Health {
    /// Workers that live.
    workers: i64,
    /// Of those: beyond their lease, about to be given up.
    workers_late: i64,
    /// Of those: asked to finish and leave.
    workers_draining: i64,
    /// Schedules that are not paused.
    schedules: i64,
    /// Of those: more than 30 s overdue.
    schedules_late: i64,
    /// Of those: their last tick failed.
    schedules_failing: i64,
    /// Pauses of queues, kinds and tenants.
    pauses: i64,
    /// The age in seconds of the oldest snapshot, which keeps the database from cleaning up; null if there is none.
    oldest_snapshot_s: Option<f64>,
    /// How long the database took for a question, in milliseconds.
    database_ms: f64,
}

/// Everything at a glance.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct Overview {
    /// How far it looks back.
    window: Window,
    /// Milliseconds of a step.
    step_ms: i64,
    /// What ended before this is counted: about a minute ago, longer where no worker runs.
    counted_until: DateTime<Utc>,
    /// The steps, oldest first, none left out; the last is still open.
    points: Vec<Point>,
    /// The window as a whole.
    whole: Figures,
    /// The queues, by name.
    queues: Vec<QueueFigures>,
    /// Unfinished runs.
    runs: OpenRuns,
    /// Whether something needs looking after.
    health: Health,
}

impl Overview {
    pub(super) fn new(window: Window, overview: overview::Overview) -> Self {
        let (runs, health) = (overview.runs, overview.health);
        let points = overview.points.into_iter().map(|point| Point {
            at: point.at,
            figures: point.figures.into(),
        });
        let queues = overview.queues.into_iter().map(|one| QueueFigures {
            queue: one.queue.into(),
            figures: one.figures.into(),
        });
        Self {
            window,
            step_ms: overview.step_ms,
            counted_until: overview.counted_until,
            points: points.collect(),
            whole: overview.whole.into(),
            queues: queues.collect(),
            runs: OpenRuns {
                waiting: runs.waiting,
                preparing: runs.preparing,
                running: runs.running,
            },
            health: Health {
                workers: health.workers,
                workers_late: health.workers_late,
                workers_draining: health.workers_draining,
                schedules: health.schedules,
                schedules_late: health.schedules_late,
                schedules_failing: health.schedules_failing,
                pauses: health.pauses,
                oldest_snapshot_s: health.oldest_snapshot_s,
                database_ms: health.database_ms,
            },
        }
    }
}
