//! Everything at a glance.

use std::collections::HashMap;
use std::time::Instant;

use async_trait::async_trait;
use chrono::TimeDelta;
use domain::overview::{Ended, Figures, Health, Latency, OpenRuns, Overview, Point, QueueFigures, Window};
use domain::port::staff::OverviewDesk;
use domain::port::{PortError, QueueDesk};
use queue::{Latencies, ThroughputRow};

use crate::Store;
use crate::error::db;

#[async_trait]
impl OverviewDesk for Store {
    async fn overview(&self, window: Window, queue: Option<&str>) -> Result<Overview, PortError> {
        let window = match window {
            Window::Hour => queue::Window::Hour,
            Window::Day => queue::Window::Day,
            Window::Week => queue::Window::Week,
        };
        let began = Instant::now();
        let throughput = self.queue.throughput(window, queue).await.map_err(db)?;
        let database_ms = began.elapsed().as_secs_f64() * 1_000.0;
        let pulse = self.queue.pulse().await.map_err(db)?;
        let queues = QueueDesk::queues(self).await?;

        let step = TimeDelta::minutes(i64::from(window.step_minutes()));
        let mut steps: HashMap<_, Sum> = HashMap::new();
        let mut by_queue: HashMap<&str, Sum> = HashMap::new();
        let mut whole = Sum::default();
        for row in &throughput.rows {
            steps.entry(row.at).or_default().add(row);
            by_queue.entry(&row.queue).or_default().add(row);
            whole.add(row);
        }
        let points = (0..window.steps()).map(|number| throughput.since + step * number);
        Ok(Overview {
            step_ms: step.num_milliseconds(),
            counted_until: throughput.upto,
            points: points
                .map(|at| Point {
                    at,
                    figures: steps.get(&at).map(Sum::figures).unwrap_or_default(),
                })
                .collect(),
            whole: whole.figures(),
            queues: queues
                .into_iter()
                .filter(|one| queue.is_none_or(|name| one.name == name))
                .map(|queue| QueueFigures {
                    figures: by_queue
                        .get(queue.name.as_str())
                        .map(Sum::figures)
                        .unwrap_or_default(),
                    queue,
                })
                .collect(),
            runs: self.open_runs().await?,
            health: Health {
                workers: pulse.workers,
                workers_late: pulse.workers_late,
                workers_draining: pulse.workers_draining,
                schedules: pulse.schedules,
                schedules_late: pulse.schedules_late,
                schedules_failing: pulse.schedules_failing,
                pauses: pulse.pauses,
                oldest_snapshot_s: pulse.oldest_snapshot_s,
                database_ms,
            },
        })
    }
}

/// Rows put together.
#[derive(Default)]
struct Sum {
    ended: Ended,
    start: Latencies,
    run: Latencies,
}

impl Sum {
    fn add(&mut self, row: &ThroughputRow) {
        self.ended.completed += row.completed;
        self.ended.cancelled += row.cancelled;
        self.ended.dead += row.dead;
        self.start.add(&row.start);
        self.run.add(&row.run);
    }

    fn figures(&self) -> Figures {
        let latency = |latencies: &Latencies| Latency {
            p50_ms: latencies.quantile_ms(0.5),
            p99_ms: latencies.quantile_ms(0.99),
        };
        Figures {
            ended: self.ended,
            start: latency(&self.start),
            run: latency(&self.run),
        }
    }
}

impl Store {
    /// By an index that only unfinished runs are in.
    async fn open_runs(&self) -> Result<OpenRuns, PortError> {
        let row = sqlx::query!(
            r#"select count(*) filter (where status in ('pending', 'waiting_slot')) as "waiting!",
                count(*) filter (where status = 'preparing') as "preparing!",
                count(*) filter (where status = 'running') as "running!"
            from runs.run where status not in ('succeeded', 'failed', 'canceled', 'timed_out')"#
        )
        .fetch_one(&self.pool)
        .await
        .map_err(db)?;
        Ok(OpenRuns {
            waiting: row.waiting,
            preparing: row.preparing,
            running: row.running,
        })
    }
}
