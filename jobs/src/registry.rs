//! Every kind of job, its handler and its policy. A new kind is a file in `kinds/` and a line here.

use std::time::Duration;

use queue::{Backoff, Policy, Registry};

use crate::context::Ctx;
use crate::dispatch::add;
use crate::kinds::{github_delivery, issue_comment, run_observe, run_report, run_start};

/// The kinds that a worker of this version knows.
pub fn registry() -> Registry<Ctx> {
    let backoff = Backoff::exponential(Duration::from_secs(1), Duration::from_mins(5));
    let policy = Policy {
        backoff,
        timeout: Some(Duration::from_mins(1)),
        ..Policy::default()
    };
    let mut registry = Registry::new();
    registry = add(registry, policy, github_delivery::handle);
    registry = add(registry, policy, run_start::handle);
    registry = add(registry, policy, run_observe::handle);
    registry = add(registry, policy, run_report::handle);
    registry = add(registry, policy, issue_comment::handle);
    registry
}
