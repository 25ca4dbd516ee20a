//! The text of a run's status comment. Nothing in it comes from strangers but the login of the one who asked,
//! whose form GitHub guarantees.

use std::fmt::Write;

use domain::run::{Run, RunState};

/// Markdown for the run as it stands.
pub(crate) fn status_comment(run: &Run) -> String {
    let (icon, status) = match &run.state {
        RunState::Pending => ("⏳", "is waiting to be started".to_owned()),
        RunState::WaitingSlot => ("⏳", "is waiting for a free slot of its project".to_owned()),
        RunState::Preparing => ("🛠️", "is being prepared".to_owned()),
        RunState::Running => ("▶️", "is running".to_owned()),
        RunState::Succeeded => ("✅", "**succeeded**".to_owned()),
        RunState::Failed { reason, .. } => ("❌", format!("**failed**: {}", one_line(reason))),
        RunState::Canceled { reason } => ("🚫", format!("was **canceled**: {}", one_line(reason))),
        RunState::TimedOut => ("⌛", "**timed out**".to_owned()),
    };
    let what = if run.revise { "revision of stage" } else { "stage" };
    let mut text = format!(
        "{icon} Run {} ({what} `{}`, agent `{}`) {status}.\n\n| | |\n|---|---|\n| asked for by | @{} |\n",
        run.id,
        run.stage,
        run.stage.role(),
        run.requested_by,
    );
    if let Some(namespace) = &run.namespace {
        let _ = writeln!(text, "| namespace | `{namespace}` |");
    }
    if let (Some(started), Some(finished)) = (run.started_at, run.finished_at) {
        let _ = writeln!(text, "| took | {} s |", (finished - started).num_seconds());
    }
    let _ = writeln!(text, "| correlation | `{}` |", run.correlation_id);
    text
}

/// Reasons come from the cluster: keep them inside of their line and their words out of Markdown.
fn one_line(reason: &str) -> String {
    let flat = reason
        .split_whitespace()
        .collect::<Vec<_>>()
        .join(" ")
        .replace('`', "'");
    let short: String = flat.chars().take(500).collect();
    format!("`{short}`")
}
