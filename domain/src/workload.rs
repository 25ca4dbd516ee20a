//! What a run asks of the cluster, and what the cluster says of it.

use std::collections::BTreeMap;

use chrono::{DateTime, Utc};

use crate::id::{CorrelationId, RunId};
use crate::run::Run;

/// Everything the cluster needs to know to carry a run. Deterministic: built twice from the same run it
/// is the same, so applying it again changes nothing.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Workload {
    /// The run.
    pub run: RunId,
    /// The project's slug.
    pub project: String,
    /// The issue's number.
    pub issue: i64,
    /// The agent's role.
    pub role: String,
    /// The cause.
    pub correlation_id: CorrelationId,
    /// The namespace, a valid DNS label of at most 63 characters.
    pub namespace: String,
    /// The Job's name in it.
    pub job_name: String,
    /// The agent's image.
    pub image: String,
    /// The agent's command line; empty leaves the image's own.
    pub command: Vec<String>,
    /// The agent's environment. No secrets: those are references.
    pub env: BTreeMap<String, String>,
    /// The Job's deadline, in seconds.
    pub deadline_s: i64,
    /// When the namespace may be removed.
    pub expires_at: DateTime<Utc>,
}

/// The namespace of a run: `codex-issue-<project>-i<issue>-r<run>`, always a valid DNS label of at most
/// 63 characters. The project's part is cut where it must be; the run's number keeps it unique.
pub fn namespace_name(project: &str, issue: i64, run: RunId) -> String {
    let tail = format!("-i{issue}-r{run}");
    let head = "codex-issue-";
    let room = 63_usize.saturating_sub(head.len() + tail.len());
    let cleaned: String = project
        .chars()
        .map(|c| {
            if c.is_ascii_alphanumeric() {
                c.to_ascii_lowercase()
            } else {
                '-'
            }
        })
        .take(room)
        .collect();
    let slug = cleaned.trim_matches('-');
    let slug = if slug.is_empty() { "p" } else { slug };
    format!("{head}{slug}{tail}")
}

/// The namespace of this run.
pub fn namespace_of(run: &Run) -> String {
    namespace_name(&run.repository.project.slug, run.issue, run.id)
}

/// The name of the run's Job in its namespace.
pub fn job_name(run: RunId) -> String {
    format!("agent-r{run}")
}

/// What the cluster says of a run's Job.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Observation {
    /// There is no such Job (or no such namespace).
    Missing,
    /// Its pod isn't running yet, or runs.
    Active {
        /// For people: the pod's phase or what holds it back (`ImagePullBackOff`, `Unschedulable`, ...).
        detail: String,
    },
    /// The agent ended.
    Exited {
        /// With this code.
        code: i32,
    },
    /// The Job's deadline passed.
    DeadlineExceeded,
    /// The Job failed without an exit code (evicted, pod deleted, ...).
    Failed {
        /// For people: the cluster's reason.
        reason: String,
    },
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn namespaces_are_valid_labels() {
        for (project, issue, run, expected) in [
            ("demo", 1, 2, "codex-issue-demo-i1-r2"),
            ("Démo_X", 1, 2, "codex-issue-d-mo-x-i1-r2"),
            ("---", 1, 2, "codex-issue-p-i1-r2"),
        ] {
            assert_eq!(namespace_name(project, issue, RunId(run)), expected);
        }
        let long = namespace_name(&"a-".repeat(60), i64::from(i32::MAX), RunId(i64::MAX));
        assert!(
            long.len() <= 63 && long.ends_with(&format!("-r{}", i64::MAX)),
            "{long}"
        );
        assert!(!long.contains("--i"), "{long}");
    }
}
