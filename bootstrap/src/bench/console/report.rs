//! What was measured, for people and as JSON.

use std::fmt::Write;
use std::time::Duration;

use anyhow::Result;
use serde::Serialize;

use super::Arguments;

/// A list must be answered within this time, 95 of 100 times.
const WANTED_MS: f64 = 300.0;

#[derive(Debug, Serialize)]
pub(super) struct Report {
    pub(super) bench: &'static str,
    pub(super) settings: Settings,
    pub(super) answers: Vec<Answers>,
    pub(super) live: Vec<Live>,
}

#[derive(Debug, Serialize)]
pub(super) struct Settings {
    database: String,
    jobs: i64,
    deliveries: i64,
    log_lines: i64,
    requests: u32,
    profile: &'static str,
}

impl Settings {
    pub(super) fn of(arguments: &Arguments, database: String) -> Self {
        Self {
            database,
            jobs: arguments.jobs,
            deliveries: arguments.deliveries,
            log_lines: arguments.log_lines,
            requests: arguments.requests,
            profile: if cfg!(debug_assertions) { "dev" } else { "release" },
        }
    }
}

/// What one question's answers took.
#[derive(Debug, Serialize)]
pub(super) struct Answers {
    pub(super) name: String,
    /// Of the body, uncompressed.
    pub(super) bytes: usize,
    /// Lines, or what was counted.
    pub(super) found: usize,
    /// By concurrency.
    pub(super) times: Vec<Times>,
    /// Of a search whose page wasn't full though it wasn't the last.
    pub(super) whole: Option<Whole>,
}

#[derive(Debug, Serialize)]
pub(super) struct Times {
    at_once: u16,
    requests: usize,
    #[serde(flatten)]
    took: Milliseconds,
}

impl Times {
    pub(super) fn of(at_once: u16, times: Vec<Duration>) -> Self {
        Self {
            at_once,
            requests: times.len(),
            took: milliseconds(times),
        }
    }
}

/// A search taken to a full page or to its end, one answer after the other.
#[derive(Debug, Serialize)]
pub(super) struct Whole {
    pub(super) answers: usize,
    pub(super) found: usize,
    pub(super) seconds: f64,
}

#[derive(Debug, Clone, Copy, Serialize)]
#[expect(clippy::struct_field_names, reason = "they are the names in the JSON")]
pub(super) struct Milliseconds {
    p50_ms: f64,
    p95_ms: f64,
    p99_ms: f64,
    max_ms: f64,
}

/// By nearest rank.
pub(super) fn milliseconds(mut times: Vec<Duration>) -> Milliseconds {
    times.sort_unstable();
    let at = |share: f64| {
        let rank = (share * times.len() as f64).ceil() as usize;
        times
            .get(rank.saturating_sub(1))
            .map_or(0.0, |time| time.as_secs_f64() * 1_000.0)
    };
    Milliseconds {
        p50_ms: at(0.5),
        p95_ms: at(0.95),
        p99_ms: at(0.99),
        max_ms: at(1.0),
    }
}

/// What so many open streams cost, and how soon they hear of a change.
#[derive(Debug, Serialize)]
pub(super) struct Live {
    pub(super) streams: u16,
    pub(super) changes: u32,
    pub(super) seconds: f64,
    /// From the commit to the first console.
    pub(super) lag_ms: Option<Milliseconds>,
    /// Of the whole database.
    pub(super) transactions_per_s: f64,
    /// Rows that it read.
    pub(super) rows_per_s: f64,
    /// Sessions that listen for notifications.
    pub(super) listening_sessions: i64,
    pub(super) gateway_sessions: i64,
    /// Processors that the gateway kept busy.
    pub(super) gateway_cpu: Option<f64>,
    /// By all consoles.
    pub(super) received_bytes_per_s: f64,
}

impl Report {
    pub(super) fn print(&self, as_json: bool) -> Result<()> {
        if as_json {
            println!("{}", serde_json::to_string_pretty(self)?);
            return Ok(());
        }
        let Settings {
            database,
            jobs,
            deliveries,
            requests,
            profile,
            ..
        } = &self.settings;
        println!("database   {database}: {jobs} jobs, {deliveries} deliveries");
        println!("asked      {requests} times each, {profile} profile; times in ms: p50 / p95 / p99");
        for answers in &self.answers {
            println!("{}", answers.line());
        }
        let missed = self.answers.iter().filter(|answers| answers.is_slow()).count();
        println!("{missed} of {} beyond {WANTED_MS} ms (p95)", self.answers.len());
        for live in &self.live {
            live.print();
        }
        Ok(())
    }
}

impl Answers {
    fn is_slow(&self) -> bool {
        self.times.iter().any(|times| times.took.p95_ms > WANTED_MS)
    }

    /// For people.
    pub(super) fn line(&self) -> String {
        let mut line = format!("{:<44} {:>6}", self.name, self.found);
        for Times { at_once, took, .. } in &self.times {
            let Milliseconds {
                p50_ms,
                p95_ms,
                p99_ms,
                ..
            } = took;
            let _ = write!(
                line,
                "   {at_once:>2} at once {p50_ms:>6.1} / {p95_ms:>6.1} / {p99_ms:>6.1}"
            );
        }
        if let Some(Whole {
            answers,
            found,
            seconds,
        }) = &self.whole
        {
            let _ = write!(
                line,
                "   to the end: {answers} answers, {found} found, {seconds:.2} s"
            );
        }
        line + if self.is_slow() { "   !" } else { "" }
    }
}

impl Live {
    fn print(&self) {
        let Self {
            streams,
            changes,
            seconds,
            ..
        } = self;
        println!("streams    {streams}: {changes} changes in {seconds:.0} s");
        if let Some(Milliseconds {
            p50_ms,
            p95_ms,
            p99_ms,
            max_ms,
        }) = &self.lag_ms
        {
            println!("  told after (ms)  p50 {p50_ms:.0}  p95 {p95_ms:.0}  p99 {p99_ms:.0}  max {max_ms:.0}");
        }
        println!(
            "  database         {:.1} transactions and {:.0} rows a second; {} sessions listen, the gateway has {}",
            self.transactions_per_s, self.rows_per_s, self.listening_sessions, self.gateway_sessions
        );
        println!(
            "  gateway          {:.1} % of a processor, {:.1} KB a second sent",
            self.gateway_cpu.unwrap_or_default() * 100.0,
            self.received_bytes_per_s / 1_000.0
        );
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn shares_are_nearest_ranks() {
        let times = (1..=200).map(Duration::from_millis).collect();
        let Milliseconds {
            p50_ms,
            p95_ms,
            p99_ms,
            max_ms,
        } = milliseconds(times);
        let near = |a: f64, b: f64| (a - b).abs() < 1e-9;
        assert!(near(p50_ms, 100.0) && near(p95_ms, 190.0) && near(p99_ms, 198.0) && near(max_ms, 200.0));
        assert!(near(milliseconds(Vec::new()).p95_ms, 0.0));
    }
}
