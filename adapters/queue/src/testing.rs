//! For the tests of programs that use the queue: run what is due in the present task, look at what was enqueued,
//! and let time pass without waiting. It is the real queue in a real database, claims and ends included; only
//! the worker's tasks are left out.
//!
//! ```no_run
//! use std::time::Duration;
//! use queue::testing::{Ended, advance, assert_enqueued, run_due};
//! use queue::{Job, JobError, Kind, NewJob, Outcome, Queue, Registry};
//! use serde::{Deserialize, Serialize};
//! use serde_json::json;
//!
//! #[derive(Serialize, Deserialize)]
//! struct Remind { user: String }
//!
//! impl Kind for Remind {
//!     type Context = ();
//!     const NAME: &'static str = "user.remind";
//!     async fn run(_job: Job<Self>, _context: ()) -> Result<Outcome, JobError> {
//!         Ok(Outcome::Done)
//!     }
//! }
//!
//! # async fn test(queue: Queue) -> Result<(), queue::Error> {
//! let mut tx = queue.pool().begin().await?;
//! let remind = NewJob::of(&Remind { user: "ada".into() })?.delay(Duration::from_secs(3_600));
//! queue.enqueue(&mut tx, remind).await?;
//! tx.commit().await?;
//! assert_enqueued(&queue, "user.remind", &json!({ "user": "ada" })).await?;
//!
//! let registry = Registry::new().register::<Remind>();
//! assert!(run_due(&queue, &registry, ()).await?.is_empty());
//! advance(&queue, Duration::from_secs(3_600)).await?;
//! let ran = run_due(&queue, &registry, ()).await?;
//! assert_eq!(ran[0].ended, Ended::Completed(None));
//! # Ok(())
//! # }
//! ```

mod enqueued;
mod inline;

pub use enqueued::{assert_enqueued, assert_not_enqueued};
pub use inline::{Ended, Ran, run_due};

use std::time::Duration;

use crate::finish::FOREVER;
use crate::{Error, Queue};

const ADVANCE: &str = "
update queue.job set
    run_at = run_at - $1 * interval '1 millisecond',
    rerun_at = rerun_at - $1 * interval '1 millisecond'
where (seq is null and run_at is not null) or rerun_at is not null";

/// Brings every scheduled job nearer by so much, as if the time had passed: delays, backoffs and snoozes come due.
/// Returns how many jobs that concerned. Time passes for jobs only: leases, rates and the ages of what is kept
/// stay as they are.
pub async fn advance(queue: &Queue, by: Duration) -> Result<u64, Error> {
    let mut unit = queue.own_unit().await?;
    let moved = sqlx::query(ADVANCE)
        .persistent(false)
        .bind(i64::try_from(by.min(FOREVER).as_millis()).unwrap_or(0))
        .execute(&mut *unit)
        .await?
        .rows_affected();
    unit.end().await?;
    Ok(moved)
}
