//! The text of a run's status comment. What strangers may have written (a reason from the cluster, a label's
//! name) stands in code spans, where Markdown has no power; a login has the form that GitHub guarantees.

use std::fmt::Write;

use domain::Redactor;
use domain::run::{Run, RunState};

/// The most of a foreign text that is quoted, in characters.
const QUOTE_LIMIT: usize = 500;

/// Markdown for the run as it stands, without secrets.
pub(crate) fn status_comment(run: &Run, redactor: &Redactor) -> String {
    // Before anything is cut or replaced in it: half a secret is still one, and isn't recognised any more.
    let quoted = |reason: &str| code(&redactor.redact(reason));
    let (icon, status) = match &run.state {
        RunState::Pending => ("⏳", "is waiting to be started".to_owned()),
        RunState::WaitingSlot => ("⏳", "is waiting for a free slot of its project".to_owned()),
        RunState::Preparing => ("🛠️", "is being prepared".to_owned()),
        RunState::Running => ("▶️", "is running".to_owned()),
        RunState::Succeeded => ("✅", "**succeeded**".to_owned()),
        RunState::Failed { reason, .. } => ("❌", format!("**failed**: {}", quoted(reason))),
        RunState::Canceled { reason } => ("🚫", format!("was **canceled**: {}", quoted(reason))),
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

/// A foreign text as a code span: on one line, without what would end the span or reorder its characters.
pub(crate) fn code(text: &str) -> String {
    let visible: String = text
        .chars()
        .filter(|c| c.is_whitespace() || !(c.is_control() || is_format(*c)))
        .collect();
    let flat = visible
        .split_whitespace()
        .collect::<Vec<_>>()
        .join(" ")
        .replace('`', "'");
    if flat.is_empty() {
        // Two backticks with nothing in between are no code span.
        return "`(nothing)`".to_owned();
    }
    let short: String = flat.chars().take(QUOTE_LIMIT).collect();
    format!("`{}`", short.trim_end())
}

/// Characters without a shape of their own: zero width, direction marks, byte order mark.
fn is_format(c: char) -> bool {
    matches!(c, '\u{200b}'..='\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2060}'..='\u{2069}' | '\u{feff}')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn foreign_text_stays_in_its_span() {
        for (text, expected) in [
            ("plain words", "`plain words`"),
            ("a `b` @c", "`a 'b' @c`"),
            ("one\n\n# two\r\n\tthree", "`one # two three`"),
            ("``", "`''`"),
            ("", "`(nothing)`"),
            (" \n\u{200b}", "`(nothing)`"),
            ("safe\u{202e}live\u{7}", "`safelive`"),
        ] {
            assert_eq!(code(text), expected, "{text:?}");
        }
        assert_eq!(code(&"x".repeat(9_000)).len(), QUOTE_LIMIT + 2);
    }
}
