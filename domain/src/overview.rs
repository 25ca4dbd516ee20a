//! How everything fares at a glance: what ended over a time, and whether something needs looking after.

use chrono::{DateTime, Utc};

use crate::queue::QueueOverview;

/// How far to look back, and in which steps.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Window {
    /// An hour by minutes.
    Hour,
    /// A day by quarters of an hour.
    Day,
    /// A week by hours.
    Week,
}

/// How many jobs ended, and how.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Ended {
    /// Well.
    pub completed: i64,
    /// By a person.
    pub cancelled: i64,
    /// Badly.
    pub dead: i64,
}

/// Shares of jobs by a time, in milliseconds, to within a fifth; none where no job ended.
#[derive(Debug, Clone, Copy, PartialEq, Default)]
pub struct Latency {
    /// Half of the jobs took no longer.
    pub p50_ms: Option<f64>,
    /// 99 of 100 took no longer.
    pub p99_ms: Option<f64>,
}

/// What ended in a step, or in the whole window.
#[derive(Debug, Clone, Copy, PartialEq, Default)]
pub struct Figures {
    /// How many.
    pub ended: Ended,
    /// For how long they had been ready when their last attempt began.
    pub start: Latency,
    /// For how long their last attempt ran.
    pub run: Latency,
}

/// A step of the series.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Point {
    /// When it begins.
    pub at: DateTime<Utc>,
    /// What ended in it.
    pub figures: Figures,
}

/// A queue, and what ended of it in the window.
#[derive(Debug, Clone, PartialEq)]
pub struct QueueFigures {
    /// As it stands.
    pub queue: QueueOverview,
    /// What ended.
    pub figures: Figures,
}

/// Unfinished runs.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct OpenRuns {
    /// Created, or waiting for a slot.
    pub waiting: i64,
    /// Being prepared.
    pub preparing: i64,
    /// With a Job in the cluster.
    pub running: i64,
}

/// Whether something needs looking after.
#[derive(Debug, Clone, PartialEq)]
pub struct Health {
    /// Workers that live.
    pub workers: i64,
    /// Of those: beyond their lease, about to be given up.
    pub workers_late: i64,
    /// Of those: asked to finish and leave.
    pub workers_draining: i64,
    /// Schedules that aren't paused.
    pub schedules: i64,
    /// Of those: more than 30 s overdue.
    pub schedules_late: i64,
    /// Of those: their last tick failed.
    pub schedules_failing: i64,
    /// Pauses of queues, kinds and tenants.
    pub pauses: i64,
    /// The age in seconds of the oldest snapshot, which keeps the database from cleaning up.
    pub oldest_snapshot_s: Option<f64>,
    /// How long the database took for the first of these questions, in milliseconds.
    pub database_ms: f64,
}

/// Everything at a glance.
#[derive(Debug, Clone, PartialEq)]
pub struct Overview {
    /// Milliseconds of a step.
    pub step_ms: i64,
    /// What ended before this is counted.
    pub counted_until: DateTime<Utc>,
    /// The steps, oldest first, none left out.
    pub points: Vec<Point>,
    /// The window as a whole.
    pub whole: Figures,
    /// The queues, by name.
    pub queues: Vec<QueueFigures>,
    /// Unfinished runs.
    pub runs: OpenRuns,
    /// Whether something needs looking after.
    pub health: Health,
}
