//! What was measured, as JSON or as a table.

use queue::bench::{Claimed, Cost, Dropped, Fairness, History, Steady};
use serde::Serialize;

/// Jobs per second, or a ratio of them.
#[derive(Debug, Clone, Copy, Serialize)]
pub(super) struct Measured {
    /// On a connection of each client's own.
    pub(super) enqueue_single: f64,
    /// Where clients share commits; the floor has nothing of the kind and stands with single inserts.
    pub(super) send: f64,
    pub(super) enqueue_bulk: f64,
    pub(super) drain: f64,
}

/// Everything that was asked for.
#[derive(Debug, Serialize)]
pub(super) struct Report {
    pub(super) server_version: String,
    pub(super) database: String,
    pub(super) settings: Settings,
    pub(super) throughput: Option<Throughput>,
    pub(super) steady: Vec<Steady>,
    pub(super) pinned_snapshot: Option<Steady>,
    pub(super) history: Option<Deep>,
    pub(super) limits: Option<Limited>,
    pub(super) fairness: Option<Fairness>,
}

#[derive(Debug, Serialize)]
pub(super) struct Settings {
    pub(super) jobs: u64,
    pub(super) clients: u16,
    pub(super) workers: u16,
    pub(super) concurrency: u32,
    pub(super) rounds: u8,
    pub(super) seconds: u64,
}

/// Beside the floor; medians of the rounds.
#[derive(Debug, Serialize)]
pub(super) struct Throughput {
    pub(super) floor_per_s: Measured,
    pub(super) queue_per_s: Measured,
    pub(super) ratio_to_floor: Measured,
    /// Of enqueueing in bulk and draining.
    pub(super) cost_per_job: Cost,
    pub(super) history_kept: bool,
}

/// Drains before and beside a deep history.
#[derive(Debug, Serialize)]
#[expect(clippy::struct_field_names, reason = "they are the names in the JSON")]
pub(super) struct Deep {
    pub(super) beside: History,
    pub(super) empty_per_s: f64,
    pub(super) deep_per_s: f64,
    pub(super) ratio: f64,
    pub(super) dropped: Dropped,
}

/// Drains without and with limits.
#[derive(Debug, Serialize)]
#[expect(clippy::struct_field_names, reason = "they are the names in the JSON")]
pub(super) struct Limited {
    pub(super) keys: u64,
    pub(super) max_running: i32,
    pub(super) max_running_per_key: i32,
    pub(super) plain_per_s: f64,
    pub(super) limited_per_s: f64,
    pub(super) ratio: f64,
    pub(super) seen: Claimed,
}

/// The median of each figure by itself.
pub(super) fn median(rounds: impl Iterator<Item = Measured>) -> Measured {
    let rounds: Vec<Measured> = rounds.collect();
    let of = |figure: fn(&Measured) -> f64| middle(rounds.iter().map(figure).collect());
    Measured {
        enqueue_single: of(|round| round.enqueue_single),
        send: of(|round| round.send),
        enqueue_bulk: of(|round| round.enqueue_bulk),
        drain: of(|round| round.drain),
    }
}

/// The median.
pub(super) fn middle(mut values: Vec<f64>) -> f64 {
    values.sort_by(f64::total_cmp);
    values.get(values.len() / 2).copied().unwrap_or(f64::NAN)
}

/// Prints what there is.
pub(super) fn print(report: &Report) {
    println!("PostgreSQL {}, {}", report.server_version, report.database);
    if let Some(throughput) = &report.throughput {
        print_throughput(throughput);
    }
    for steady in &report.steady {
        let Steady {
            rate, sent, latency, ..
        } = steady;
        println!(
            "enqueue to start at {rate}/s ({sent} jobs): p50 {:.1} ms, p99 {:.1} ms, max {:.1} ms",
            latency.p50_ms, latency.p99_ms, latency.max_ms
        );
    }
    if let Some(pinned) = &report.pinned_snapshot {
        println!(
            "snapshot pinned for {} s at {}/s: {} of {} started in time; p99 {:.1} ms at first, {:.1} ms at last",
            pinned.seconds,
            pinned.rate,
            pinned.started_in_time,
            pinned.sent,
            pinned.first.p99_ms,
            pinned.last.p99_ms
        );
    }
    if let Some(deep) = &report.history {
        println!(
            "beside {} finished and {} scheduled jobs: drain {:.0}/s, {:.2} of {:.0}/s without; a day dropped in {:.1} ms, others waited {:.1} ms",
            deep.beside.finished,
            deep.beside.scheduled,
            deep.deep_per_s,
            deep.ratio,
            deep.empty_per_s,
            deep.dropped.took_ms,
            deep.dropped.others_waited_ms
        );
    }
    if let Some(limited) = &report.limits {
        println!(
            "limits of {} and {} per key over {} keys: drain {:.0}/s, {:.2} of {:.0}/s without; seen at most {} and {} in {} looks",
            limited.max_running,
            limited.max_running_per_key,
            limited.keys,
            limited.limited_per_s,
            limited.ratio,
            limited.plain_per_s,
            limited.seen.most_running,
            limited.seen.most_of_a_key,
            limited.seen.looks
        );
    }
    if let Some(fairness) = &report.fairness {
        println!(
            "{} equal tenants: Jain's index {:.3}; one job beside {} of another tenant: p50 {:.1} ms, max {:.1} ms",
            fairness.tenants,
            fairness.jain_index,
            fairness.flood,
            fairness.single_p50_ms,
            fairness.single_max_ms
        );
    }
}

fn print_throughput(throughput: &Throughput) {
    println!("{:<28}{:>12}{:>12}{:>8}", "", "floor", "queue", "ratio");
    let figures = |of: &Measured| [of.enqueue_single, of.send, of.enqueue_bulk, of.drain];
    let names = [
        "enqueue one at a time, 1/s",
        "the same, sharing commits",
        "enqueue in bulk, 1/s",
        "drain, jobs/s",
    ];
    let (floor, ours) = (figures(&throughput.floor_per_s), figures(&throughput.queue_per_s));
    for (nth, (name, ratio)) in names.iter().zip(figures(&throughput.ratio_to_floor)).enumerate() {
        let (floor, ours) = (floor[nth], ours[nth]);
        println!("{name:<28}{floor:>12.0}{ours:>12.0}{ratio:>8.2}");
    }
    println!(
        "a job enqueued in bulk and drained: {:.0} bytes of WAL, {:.4} transactions; history kept: {}",
        throughput.cost_per_job.wal_bytes,
        throughput.cost_per_job.transactions,
        if throughput.history_kept { "yes" } else { "no" }
    );
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn median_is_taken_by_figure() {
        let round = |a, b, c| Measured {
            enqueue_single: a,
            send: a,
            enqueue_bulk: b,
            drain: c,
        };
        let median = median([round(1.0, 9.0, 5.0), round(3.0, 8.0, 6.0), round(2.0, 7.0, 4.0)].into_iter());
        assert_eq!(
            (median.enqueue_single, median.enqueue_bulk, median.drain),
            (2.0, 8.0, 5.0)
        );
    }
}
