//! The queue against a real PostgreSQL, a database per test: a file per topic.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    reason = "a test fails by panicking"
)]

mod cancel;
mod changes;
mod chaos;
mod claim;
mod desk;
mod drain;
mod enqueue;
mod explain;
mod features;
mod fleet;
mod flow;
mod harness;
mod history;
mod kinds;
mod lanes;
mod lease;
mod limits;
mod line;
mod meter;
mod operate;
mod outage;
mod pooler;
mod poolers;
mod proxy;
mod report;
mod retry;
mod run;
mod schedule;
mod see;
mod send;
mod steering;
mod testkit;
mod throughput;
mod transaction;
mod unique;
mod wake;
