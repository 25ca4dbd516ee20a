//! One file per kind of job.

pub mod github_delivery;
pub mod issue_comment;
pub mod run_observe;
pub mod run_report;
pub mod run_start;
