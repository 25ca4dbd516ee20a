//! The workers' side: what each kind of job does.
//!
//! [`kinds`] has one file per kind, [`registry`] a line for each; [`dispatch`] is what surrounds every
//! handler. A handler reads the present state through ports, lets `domain` decide, carries the effect out
//! and records it; each step may be repeated without harm.

mod context;
mod dispatch;
mod failure;
pub mod kinds;
mod registry;
mod report;
mod watch;
mod worker;

pub use context::{Ctx, Settings};
pub use failure::Failure;
pub use registry::registry;
pub use worker::{Worker, WorkerOptions};
