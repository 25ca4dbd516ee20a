//! Every handler on the fakes in memory: what it does, what it does when a part fails or a call's answer gets
//! lost, and that doing it again harms nothing.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    reason = "what a test can't do without may fail it"
)]

mod comment;
mod delivery;
mod flow;
mod observe;
mod registry;
mod repeat;
mod report;
mod start;
mod workload;
mod world;
