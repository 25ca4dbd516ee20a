//! What queues allow over all workers: shown, and changed one by one.

use std::str::FromStr;
use std::time::Duration;

use anyhow::{Result, bail};
use queue::{Limits, Queue, QueueRow, Rate};
use serde_json::{Value, json};

use super::author::Author;
use super::{pause, print};
use crate::staff::table;

/// Arguments of `queue limits`.
#[derive(Debug, clap::Args)]
pub(super) struct Limited {
    /// Only this queue
    queue: Option<String>,
    /// Jobs that run at once, or none for no limit
    #[arg(long, value_name = "JOBS")]
    max_running: Option<Setting<i32>>,
    /// Jobs of one key that run at once, or none
    #[arg(long, value_name = "JOBS")]
    max_running_per_key: Option<Setting<i32>>,
    /// Jobs that start in a time, such as 10/60s or 5/250ms, or none
    #[arg(long, value_name = "JOBS/TIME")]
    rate: Option<Setting<Rate>>,
    /// Jobs of one key that start in a time, or none
    #[arg(long, value_name = "JOBS/TIME")]
    rate_per_key: Option<Setting<Rate>>,
    #[command(flatten)]
    author: Author,
}

/// A limit, or none.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Setting<T>(Option<T>);

impl FromStr for Setting<i32> {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let jobs = || text.parse().ok().filter(|jobs| *jobs > 0);
        (text == "none")
            .then_some(None)
            .or_else(|| jobs().map(Some))
            .map(Self)
            .ok_or_else(|| "1 or more, or none".to_owned())
    }
}

impl FromStr for Setting<Rate> {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        (text == "none")
            .then_some(None)
            .or_else(|| parse_rate(text).map(Some))
            .map(Self)
            .ok_or_else(|| "such as 10/60s, 100/1m or 5/250ms, or none".to_owned())
    }
}

fn parse_rate(text: &str) -> Option<Rate> {
    let (jobs, period) = text.split_once('/')?;
    let units = [("ms", 1), ("s", 1_000), ("m", 60_000), ("h", 3_600_000)];
    let (number, unit_ms) = units
        .into_iter()
        .find_map(|(unit, ms)| Some((period.strip_suffix(unit)?, ms)))?;
    let number: u64 = if number.is_empty() {
        1
    } else {
        number.parse().ok()?
    };
    Some(Rate {
        jobs: jobs.parse().ok().filter(|jobs| *jobs > 0)?,
        period: Duration::from_millis(number.checked_mul(unit_ms).filter(|ms| *ms > 0)?),
    })
}

fn written(rate: Rate) -> String {
    let ms = rate.period.as_millis();
    match ms % 1_000 {
        0 => format!("{}/{}s", rate.jobs, ms / 1_000),
        _ => format!("{}/{ms}ms", rate.jobs),
    }
}

impl Limited {
    fn changes(&self) -> bool {
        self.max_running.is_some()
            || self.max_running_per_key.is_some()
            || self.rate.is_some()
            || self.rate_per_key.is_some()
    }
}

const COLUMNS: [(&str, &str); 7] = [
    ("QUEUE", "queue"),
    ("MAX RUNNING", "max_running"),
    ("PER KEY", "max_running_per_key"),
    ("RATE", "rate"),
    ("RATE PER KEY", "rate_per_key"),
    ("PAUSED SINCE (UTC)", "paused_at"),
    ("KEPT (DAYS)", "keep_days"),
];

/// Changes those that are given, and shows what holds since; without any it only shows.
pub(super) async fn run(queue: &Queue, limited: Limited, json: bool) -> Result<()> {
    if let Some(name) = &limited.queue {
        pause::known(queue, name).await?;
    }
    let only = limited.queue.clone();
    if limited.changes() {
        let Some(name) = &only else {
            bail!("the limits of which queue?");
        };
        let mut conn = queue.pool().acquire().await?;
        let change = |limits: Limits| Limits {
            max_running: limited.max_running.map_or(limits.max_running, |to| to.0),
            max_running_per_key: limited
                .max_running_per_key
                .map_or(limits.max_running_per_key, |to| to.0),
            rate: limited.rate.map_or(limits.rate, |to| to.0),
            rate_per_key: limited.rate_per_key.map_or(limits.rate_per_key, |to| to.0),
        };
        queue
            .change_limits(&mut conn, name, change, &limited.author.by())
            .await?;
    }
    let rows: Vec<QueueRow> = queue
        .queues()
        .await?
        .into_iter()
        .filter(|row| only.as_ref().is_none_or(|only| *only == row.name))
        .collect();
    let shown = |rate: fn(Rate) -> Value| -> Vec<Value> {
        rows.iter()
            .map(|row| {
                json!({
                    "queue": row.name, "paused_at": row.paused_at, "keep_days": row.keep_days,
                    "max_running": row.limits.max_running, "max_running_per_key": row.limits.max_running_per_key,
                    "rate": row.limits.rate.map(rate), "rate_per_key": row.limits.rate_per_key.map(rate),
                })
            })
            .collect()
    };
    print(&Value::Array(shown(|rate| json!(rate))), json, |_| {
        table::rows(&shown(|rate| Value::String(written(rate))), &COLUMNS)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_rate_is_jobs_in_a_time() {
        for (text, jobs, ms) in [
            ("10/60s", 10, 60_000),
            ("1/250ms", 1, 250),
            ("100/m", 100, 60_000),
            ("5/2h", 5, 7_200_000),
        ] {
            let period = Duration::from_millis(ms);
            assert_eq!(text.parse(), Ok(Setting(Some(Rate { jobs, period }))), "{text}");
        }
        assert_eq!("none".parse(), Ok(Setting::<Rate>(None)));
        for text in ["", "10", "10/", "/s", "0/s", "1/0s", "-1/s", "1/2d", "one/s"] {
            assert!(text.parse::<Setting<Rate>>().is_err(), "{text}");
        }
        assert_eq!("none".parse(), Ok(Setting::<i32>(None)));
        assert!("0".parse::<Setting<i32>>().is_err());
    }
}
