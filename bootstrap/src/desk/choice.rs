//! Which jobs: the same options for lists and for changes.

use anyhow::{Context, Result, bail};
use chrono::{DateTime, Utc};
use queue::{Filter, Selection, State};
use serde_json::Value;

/// Conditions; all must hold.
#[derive(Debug, clap::Args)]
pub(super) struct Conditions {
    /// ready, scheduled, waiting, running, completed, cancelled or dead; several separated by commas
    #[arg(long, value_delimiter = ',', value_parser = parse_state)]
    state: Vec<State>,
    /// Only in this queue
    #[arg(long)]
    queue: Option<String>,
    /// Only of this kind
    #[arg(long)]
    kind: Option<String>,
    /// Only with this tag
    #[arg(long)]
    tag: Option<String>,
    /// Only with this correlation id
    #[arg(long)]
    correlation_id: Option<String>,
    /// Only with this unique key
    #[arg(long)]
    unique_key: Option<String>,
    /// Only of this tenant
    #[arg(long)]
    tenant: Option<String>,
    /// Only with this text in the last error
    #[arg(long)]
    error: Option<String>,
    /// Only with arguments that contain this JSON
    #[arg(long, value_name = "JSON", value_parser = parse_json)]
    args: Option<Value>,
    /// Only enqueued at or after this (RFC 3339)
    #[arg(long, value_name = "TIME")]
    created_after: Option<DateTime<Utc>>,
    /// Only enqueued before this (RFC 3339)
    #[arg(long, value_name = "TIME")]
    created_before: Option<DateTime<Utc>>,
    /// Only with a smaller identifier
    #[arg(long, value_name = "ID")]
    before: Option<i64>,
}

/// A page of jobs.
#[derive(Debug, clap::Args)]
pub(super) struct Listed {
    #[command(flatten)]
    conditions: Conditions,
    /// At most so many (1 to 1000)
    #[arg(long, default_value_t = 50, value_parser = clap::value_parser!(i64).range(1..=1000))]
    limit: i64,
}

/// Jobs to change.
#[derive(Debug, clap::Args)]
pub(super) struct Chosen {
    /// These jobs
    ids: Vec<i64>,
    #[command(flatten)]
    conditions: Conditions,
    /// All jobs in which the change is possible
    #[arg(long)]
    all: bool,
}

impl Conditions {
    fn filter(&self) -> Filter {
        Filter {
            states: self.state.clone(),
            queue: self.queue.clone(),
            kind: self.kind.clone(),
            tag: self.tag.clone(),
            correlation_id: self.correlation_id.clone(),
            unique_key: self.unique_key.clone(),
            tenant: self.tenant.clone(),
            key: None,
            error: self.error.clone(),
            args: self.args.clone(),
            created_after: self.created_after,
            created_before: self.created_before,
            before: self.before,
            ..Filter::default()
        }
    }
}

impl Listed {
    pub(super) fn filter(&self) -> Filter {
        Filter {
            limit: self.limit,
            ..self.conditions.filter()
        }
    }
}

impl Chosen {
    /// One mistake must not change everything: no choice at all is an error.
    pub(super) fn selection(&self) -> Result<Selection> {
        let filter = self.conditions.filter();
        let is_empty = serde_json::to_value(&filter)?
            .as_object()
            .is_none_or(serde_json::Map::is_empty);
        match (self.ids.is_empty(), is_empty, self.all) {
            (false, true, false) => Ok(Selection::Ids(self.ids.clone())),
            (true, false, false) | (true, true, true) => Ok(Selection::Matching(filter)),
            (true, true, false) => {
                bail!("which jobs? give identifiers, conditions such as --state dead, or --all")
            }
            _ => bail!("give either identifiers, conditions or --all"),
        }
    }
}

fn parse_state(text: &str) -> Result<State, String> {
    use State::{Cancelled, Completed, Dead, Ready, Running, Scheduled, Waiting};
    [Ready, Scheduled, Waiting, Running, Completed, Cancelled, Dead]
        .into_iter()
        .find(|state| state.as_str() == text)
        .ok_or_else(|| "ready, scheduled, waiting, running, completed, cancelled or dead".to_owned())
}

pub(super) fn parse_json(text: &str) -> Result<Value> {
    serde_json::from_str(text).context("no JSON")
}
