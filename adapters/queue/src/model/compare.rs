//! The database holds what the model says.

use sqlx::Row;
use sqlx::postgres::PgRow;

use super::case::Case;
use super::world::{Finished, Job, Place};

/// Job, state, attempt, worker, unique key, arguments, tenant and key.
type Ended = (
    i64,
    i16,
    i32,
    Option<i32>,
    Option<String>,
    i64,
    Option<String>,
    Option<String>,
);

impl Case<'_> {
    pub(super) async fn compare(&mut self) {
        let rows: Vec<PgRow> = sqlx::query(
            "select id, claimed_by, seq is not null,
                coalesce(round(extract(epoch from run_at - clock_timestamp()) / 3600), 0)::bigint,
                epoch, attempt, max_attempts, rescues, priority, unique_key, args::text::bigint,
                rerun_args::text::bigint,
                coalesce(round(extract(epoch from rerun_at - clock_timestamp()) / 3600), 0)::bigint,
                kind_id, tenant, key, parked is not null,
                lane is not distinct from case when tenant is not null then queue.lane(tenant, key) end
            from queue.job order by id",
        )
        .fetch_all(&mut *self.conn)
        .await
        .unwrap();
        let jobs: Vec<(i64, Job)> = rows.iter().map(|row| self.job(row)).collect();
        let expected: Vec<(i64, Job)> = self.world.jobs.clone().into_iter().collect();
        assert_eq!(jobs, expected, "unfinished: the database's, then the model's");

        let history: Vec<Ended> = sqlx::query_as(
            "select id, state, attempt, worker_id, unique_key, args::text::bigint, tenant, key
            from queue.history order by id",
        )
        .fetch_all(&mut *self.conn)
        .await
        .unwrap();
        let row = |(id, finished): (&i64, &Finished)| {
            let Finished {
                state,
                attempt,
                worker,
                args,
                job,
            } = finished.clone();
            (*id, state, attempt, worker, job.unique, args, job.tenant, job.key)
        };
        let expected: Vec<_> = self.world.history.iter().map(row).collect();
        assert_eq!(history, expected, "finished: the database's, then the model's");
        assert_eq!(
            history.len() + jobs.len(),
            self.ids.len(),
            "nothing is lost or doubled"
        );

        let failures: Vec<(i64, i64)> =
            sqlx::query_as("select job_id, count(*) from queue.attempt group by job_id order by job_id")
                .fetch_all(&mut *self.conn)
                .await
                .unwrap();
        let expected: Vec<(i64, i64)> = self.world.failures.clone().into_iter().collect();
        assert_eq!(failures, expected, "failed attempts");
    }

    fn job(&self, row: &PgRow) -> (i64, Job) {
        let (holder, in_line, wait): (Option<i32>, bool, i64) = (row.get(1), row.get(2), row.get(3));
        let (rerun, at): (Option<i64>, i64) = (row.get(11), row.get(12));
        let (aside, in_its_lane): (bool, bool) = (row.get(16), row.get(17));
        assert!(in_its_lane, "job {} stands in a wrong lane", row.get::<i64, _>(0));
        let job = Job {
            place: match (holder, in_line, aside) {
                (Some(worker), ..) => Place::Held(worker),
                (None, true, _) => Place::Ready,
                (None, false, true) => Place::Aside,
                (None, false, false) => Place::Waiting(self.world.hour + wait),
            },
            epoch: row.get(4),
            attempt: row.get(5),
            max_attempts: row.get(6),
            rescues: row.get(7),
            priority: row.get(8),
            unique: row.get(9),
            args: row.get(10),
            kind: row.get(13),
            tenant: row.get(14),
            key: row.get(15),
            rerun: rerun.map(|args| (args, self.world.hour + at)),
        };
        (row.get(0), job)
    }
}
