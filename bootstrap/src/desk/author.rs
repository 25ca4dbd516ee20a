//! Who changes something, for the audit.

use queue::By;

/// Who, and why.
#[derive(Debug, clap::Args)]
pub(super) struct Author {
    /// Who you are, for the audit
    #[arg(long, env = "USER", default_value = "operator")]
    by: String,
    /// Why, for the audit
    #[arg(long)]
    reason: Option<String>,
}

impl Author {
    pub(super) fn by(self) -> By {
        let mut by = By::new(self.by);
        by.reason = self.reason;
        by
    }
}
