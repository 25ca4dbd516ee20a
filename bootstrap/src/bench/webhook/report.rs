//! What was measured, for people and as JSON.

use std::collections::BTreeMap;
use std::time::Duration;

use anyhow::Result;
use serde::Serialize;

use super::Arguments;
use super::gateway::Target;

const ACCEPTED: u16 = 202;

/// Answers and times, as they come.
#[derive(Debug, Default)]
pub(super) struct Tally {
    accepted: Vec<Duration>,
    others: BTreeMap<String, u64>,
}

impl Tally {
    pub(super) fn note(&mut self, status: Result<u16, reqwest::Error>, took: Duration) {
        let other = match status {
            Ok(ACCEPTED) => return self.accepted.push(took),
            Ok(status) => status.to_string(),
            Err(error) if error.is_timeout() => "timeout".to_owned(),
            Err(_) => "no answer".to_owned(),
        };
        *self.others.entry(other).or_default() += 1;
    }

    pub(super) fn add(&mut self, tally: Self) {
        self.accepted.extend(tally.accepted);
        for (what, times) in tally.others {
            *self.others.entry(what).or_default() += times;
        }
    }
}

/// The result.
#[derive(Debug, Serialize)]
pub(super) struct Report {
    bench: &'static str,
    settings: Settings,
    /// 202 answers: the delivery and its job are committed.
    accepted: usize,
    /// Any other answer, or none, by status.
    others: BTreeMap<String, u64>,
    seconds: f64,
    per_second: f64,
    /// Single-row inserts that the same database committed per second just before, from ten sessions.
    floor_per_second: Option<f64>,
    ratio_to_floor: Option<f64>,
    ack_ms: Milliseconds,
}

#[derive(Debug, Serialize)]
struct Settings {
    gateway: String,
    connections: u32,
    rate: Option<u32>,
    payload_bytes: u32,
    profile: &'static str,
}

#[derive(Debug, Serialize)]
struct Milliseconds {
    p50: f64,
    p90: f64,
    p99: f64,
    max: f64,
}

impl Report {
    pub(super) fn of(tally: Tally, took: Duration, arguments: &Arguments, target: &Target) -> Self {
        let Tally { mut accepted, others } = tally;
        let per_second = accepted.len() as f64 / took.as_secs_f64();
        accepted.sort_unstable();
        let at = |share| quantile_ms(&accepted, share);
        Self {
            bench: "webhook",
            settings: Settings {
                gateway: target.described.clone(),
                connections: arguments.connections,
                rate: arguments.rate,
                payload_bytes: arguments.bytes,
                profile: if cfg!(debug_assertions) { "dev" } else { "release" },
            },
            ack_ms: Milliseconds {
                p50: at(0.5),
                p90: at(0.9),
                p99: at(0.99),
                max: at(1.0),
            },
            per_second,
            floor_per_second: target.floor_per_s,
            ratio_to_floor: target.floor_per_s.map(|floor| per_second / floor),
            seconds: took.as_secs_f64(),
            accepted: accepted.len(),
            others,
        }
    }

    pub(super) fn accepted(&self) -> usize {
        self.accepted
    }

    pub(super) fn print(&self, as_json: bool) -> Result<()> {
        if as_json {
            println!("{}", serde_json::to_string_pretty(self)?);
            return Ok(());
        }
        let Settings {
            gateway,
            connections,
            payload_bytes,
            profile,
            ..
        } = &self.settings;
        println!("gateway     {gateway}");
        println!("sent        {payload_bytes} bytes each over {connections} connections, {profile} profile");
        println!(
            "accepted    {} in {:.1} s: {:.0} per second",
            self.accepted, self.seconds, self.per_second
        );
        if let (Some(floor), Some(ratio)) = (self.floor_per_second, self.ratio_to_floor) {
            println!("floor       {floor:.0} single-row inserts per second; ratio {ratio:.2}");
        }
        let Milliseconds { p50, p90, p99, max } = &self.ack_ms;
        println!("ack (ms)    p50 {p50:.1}  p90 {p90:.1}  p99 {p99:.1}  max {max:.1}");
        for (what, times) in &self.others {
            println!("{what:<10}  {times}");
        }
        Ok(())
    }
}

/// The smallest time that at least this share doesn't exceed (nearest rank).
fn quantile_ms(sorted: &[Duration], share: f64) -> f64 {
    let rank = (share * sorted.len() as f64).ceil() as usize;
    sorted
        .get(rank.saturating_sub(1))
        .map_or(0.0, |time| time.as_secs_f64() * 1000.0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn quantiles_are_nearest_ranks() {
        let times: Vec<_> = (1..=200).map(Duration::from_millis).collect();
        let near = |a: f64, b: f64| (a - b).abs() < 1e-9;
        assert!(near(quantile_ms(&times, 0.5), 100.0));
        assert!(near(quantile_ms(&times, 0.99), 198.0));
        assert!(near(quantile_ms(&times, 1.0), 200.0));
        assert!(near(quantile_ms(&times[..1], 0.99), 1.0));
        assert!(near(quantile_ms(&[], 0.5), 0.0));
    }

    #[test]
    fn only_202_counts_as_accepted() {
        let mut tally = Tally::default();
        for status in [202, 202, 503, 200] {
            tally.note(Ok(status), Duration::from_millis(1));
        }
        assert_eq!(tally.accepted.len(), 2);
        assert_eq!(
            tally.others,
            BTreeMap::from([("200".to_owned(), 1), ("503".to_owned(), 1)])
        );
    }
}
