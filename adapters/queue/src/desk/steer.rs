//! Changes jobs at a person's wish, a statement for all of them, together with the audit's line.

use std::collections::{HashMap, HashSet};
use std::time::Duration;

use chrono::{DateTime, SecondsFormat, Utc};
use sqlx::{Connection, PgConnection};

use super::{Filter, State, audit, standing};
use crate::finish::{FOREVER, to_history};
use crate::{Error, Queue, Wake, flow, wake};

/// Who wants a change, and why: the audit says so.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct By {
    /// A person's or a program's name.
    pub actor: String,
    /// Their reason; a cancelled job keeps it.
    pub reason: Option<String>,
}

impl By {
    /// By this person or program.
    pub fn new(actor: impl Into<String>) -> Self {
        Self {
            actor: actor.into(),
            reason: None,
        }
    }

    /// For this reason.
    pub fn because(mut self, reason: impl Into<String>) -> Self {
        self.reason = Some(reason.into());
        self
    }
}

/// What to do to a job.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Change {
    /// Run a dead, cancelled, scheduled or waiting job now, with its attempts counted anew.
    Retry,
    /// End one that hasn't ended: at once, or by asking its worker where it runs.
    Cancel,
    /// Remove one that doesn't run, with its failed attempts, without a trace but the audit's.
    Delete,
    /// Give one that waits another time.
    Reschedule(When),
    /// Give one that waits another priority; it goes to the end of that line.
    Priority(i16),
}

/// When to run.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum When {
    /// As soon as a worker is free; a job that is ready already keeps its place.
    Now,
    /// Not before so much time has passed, up to ten years.
    In(Duration),
    /// Not before this.
    At(DateTime<Utc>),
}

impl Change {
    /// As the audit has it.
    pub fn name(&self) -> &'static str {
        match self {
            Self::Retry => "retry",
            Self::Cancel => "cancel",
            Self::Delete => "delete",
            Self::Reschedule(_) => "reschedule",
            Self::Priority(_) => "priority",
        }
    }

    pub(super) fn detail(&self) -> Option<String> {
        match self {
            Self::Reschedule(When::Now) => Some("now".into()),
            Self::Reschedule(When::In(delay)) => Some(format!("in {} ms", delay.as_millis())),
            Self::Reschedule(When::At(at)) => Some(at.to_rfc3339_opts(SecondsFormat::Millis, true)),
            Self::Priority(priority) => Some(priority.to_string()),
            Self::Retry | Self::Cancel | Self::Delete => None,
        }
    }

    /// The states in which a job can be changed so.
    pub(super) fn states(&self) -> &'static [State] {
        match self {
            Self::Retry => &[State::Scheduled, State::Waiting, State::Cancelled, State::Dead],
            Self::Cancel => &[State::Ready, State::Scheduled, State::Waiting, State::Running],
            Self::Delete => &[
                State::Ready,
                State::Scheduled,
                State::Waiting,
                State::Completed,
                State::Cancelled,
                State::Dead,
            ],
            Self::Reschedule(_) => &[State::Ready, State::Scheduled],
            Self::Priority(_) => &[State::Ready, State::Scheduled, State::Waiting],
        }
    }
}

/// What became of a wish about a job.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Action {
    /// Done.
    Done,
    /// A running job was asked to stop.
    Requested,
    /// The job's state doesn't allow it.
    NotAllowed(State),
    /// There is no such job.
    NotFound,
}

/// As [`Action`], with what only many at once can meet.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Answer {
    Done,
    Requested,
    NotAllowed(State),
    NotFound,
    /// This unfinished job has the same unique key.
    KeyTaken(i64),
    /// Another transaction holds the row, or has changed it meanwhile.
    Held,
}

// Rows that another transaction holds are left alone by all of these: one caller must not keep a bulk waiting.

const HASTEN: &str = "
with held as materialized (
    select ctid from queue.job where id = any($1) and seq is null and parked is null for update skip locked)
update queue.job set seq = nextval('queue.job_seq'), run_at = clock_timestamp(), attempt = 0,
    waiting = null, not_before = null
where ctid = any (array (select ctid from held)) returning id, queue_id";

/// A key that is taken, by an unfinished job or by another of these, leaves its job where it is. Its epochs
/// begin anywhere: an acknowledgement of an earlier life that comes late must fit none of its new leases. Others
/// may wait for it, as they did.
const REVIVE: &str = "
with held as materialized (
    select * from queue.history where id = any($1) and state in (1, 2) for update skip locked),
back as (
    insert into queue.job (id, seq, run_at, epoch, created_at, kind_id, max_attempts, timeout_ms, queue_id,
        priority, unique_key, correlation_id, traceparent, last_error, tags, args, tenant, key, lane, awaited)
    select id, nextval('queue.job_seq'), clock_timestamp(),
        (random() * 2000000000)::integer,
        created_at, kind_id, max_attempts, timeout_ms, queue_id, priority, unique_key, correlation_id,
        traceparent, reason, tags, args, tenant, key,
        case when tenant is not null then queue.lane(tenant, key) end, true
    from held order by id
    on conflict do nothing
    returning id, queue_id),
gone as (
    delete from queue.history as history using back where history.id = back.id and history.state in (1, 2))
select id, queue_id from back";

const FORGET_REQUESTS: &str = "delete from queue.cancel_request where job_id = any($1)";

const CANCEL: &str = concat!(
    "with held as materialized (
        select ctid from queue.job where id = any($1) and claimed_by is null for update skip locked),
    gone as (
        delete from queue.job where ctid = any (array (select ctid from held)) returning *) ",
    to_history!("gone", "1", "$2::text", "null"),
    " returning id"
);

const REQUEST: &str = "
with running as (select id from queue.job where id = any($1) and claimed_by is not null),
asked as (
    insert into queue.cancel_request (job_id) select id from running on conflict do nothing)
select id from running";

const DELETE_WAITING: &str = "
with held as materialized (
    select ctid from queue.job where id = any($1) and claimed_by is null for update skip locked)
delete from queue.job where ctid = any (array (select ctid from held)) returning id";

const DELETE_FINISHED: &str = "delete from queue.history where id = any($1) returning id";

const DELETE_ATTEMPTS: &str = "delete from queue.attempt where job_id = any($1)";

/// $2 the delay in ms, else $3 the time, else now.
const RESCHEDULE: &str = "
with wish as materialized (
    select coalesce(clock_timestamp() + $2::bigint * interval '1 millisecond', $3::timestamptz, '-infinity') as at),
held as materialized (
    select ctid from queue.job where id = any($1) and claimed_by is null and waiting is not true
    for update skip locked)
update queue.job as job set
    seq = case
        when wish.at <= clock_timestamp() and (job.seq is not null or job.parked is null)
        then coalesce(job.seq, nextval('queue.job_seq')) end,
    parked = case when wish.at <= clock_timestamp() then job.parked end,
    run_at = case
        when wish.at > clock_timestamp() then wish.at
        when job.seq is null and job.parked is null then clock_timestamp()
        else job.run_at end
from wish where job.ctid = any (array (select ctid from held))
returning job.id, case when job.seq is not null then job.queue_id end";

/// A new place: the old one may lie before what workers of that line still look at.
const PRIORITY: &str = "
with held as materialized (
    select ctid from queue.job where id = any($1) and claimed_by is null for update skip locked)
update queue.job set
    seq = case when seq is null or priority = $2 then seq else nextval('queue.job_seq') end,
    priority = $2
where ctid = any (array (select ctid from held))
returning id, case when seq is not null then queue_id end";

/// How these stand, and which unfinished job has their key.
const STATES: &str = concat!(
    "
select job.id, ",
    standing!(),
    ",
    null::bigint
from queue.job as job where job.id = any($1)
union all
select job.id, job.state, (select rival.id from queue.job as rival where rival.unique_key = job.unique_key)
from queue.history as job where job.id = any($1)"
);

impl Queue {
    /// Runs a dead, cancelled or scheduled job now, with its attempts counted anew.
    pub async fn retry(&self, conn: &mut PgConnection, id: i64, by: &By) -> Result<Action, Error> {
        self.change(conn, id, &Change::Retry, by).await
    }

    /// Ends a job that hasn't ended: at once, or by asking its worker where it runs. The job keeps the
    /// reason, or who it was.
    pub async fn cancel(&self, conn: &mut PgConnection, id: i64, by: &By) -> Result<Action, Error> {
        self.change(conn, id, &Change::Cancel, by).await
    }

    /// Changes one job in the caller's transaction (or at once, on a plain connection), together with the
    /// audit's line. Waits for a transaction that holds the job.
    pub async fn change(
        &self,
        conn: &mut PgConnection,
        id: i64,
        change: &Change,
        by: &By,
    ) -> Result<Action, Error> {
        let mut tx = conn.begin().await?;
        sqlx::query("select from queue.job where id = $1 and claimed_by is null for update")
            .persistent(false)
            .bind(id)
            .execute(&mut *tx)
            .await?;
        let answers = self.steer(&mut tx, &[id], change, by, None).await?;
        tx.commit().await?;
        match answers.get(&id) {
            Some(Answer::Done) => Ok(Action::Done),
            Some(Answer::Requested) => Ok(Action::Requested),
            Some(Answer::NotAllowed(state)) => Ok(Action::NotAllowed(*state)),
            Some(Answer::NotFound) | None => Ok(Action::NotFound),
            Some(Answer::KeyTaken(holder)) => Err(Error::Invalid(format!(
                "job {holder} has the same unique key and isn't finished"
            ))),
            Some(Answer::Held) => Err(Error::Invalid(format!(
                "job {id} changed in the meantime: try again"
            ))),
        }
    }

    /// Changes jobs and writes the audit, in the caller's transaction. Answers for each.
    pub(super) async fn steer(
        &self,
        tx: &mut PgConnection,
        ids: &[i64],
        change: &Change,
        by: &By,
        filter: Option<&Filter>,
    ) -> Result<HashMap<i64, Answer>, Error> {
        let mut answers: HashMap<i64, Answer> = HashMap::with_capacity(ids.len());
        let mut awake: HashSet<i16> = HashSet::new();
        let mut done = |rows: Vec<(i64, Option<i16>)>| {
            for (id, queue_id) in rows {
                answers.insert(id, Answer::Done);
                awake.extend(queue_id);
            }
        };
        match change {
            Change::Retry => {
                for statement in [HASTEN, REVIVE] {
                    done(
                        sqlx::query_as(statement)
                            .persistent(false)
                            .bind(ids)
                            .fetch_all(&mut *tx)
                            .await?,
                    );
                }
                // The wish to end the last run must not end the next one.
                let ids: Vec<i64> = answers.keys().copied().collect();
                sqlx::query(FORGET_REQUESTS)
                    .persistent(false)
                    .bind(ids)
                    .execute(&mut *tx)
                    .await?;
            }
            Change::Cancel => {
                let reason = by
                    .reason
                    .clone()
                    .unwrap_or_else(|| format!("cancelled by {}", by.actor));
                let ended = sqlx::query_scalar(CANCEL)
                    .persistent(false)
                    .bind(ids)
                    .bind(reason)
                    .fetch_all(&mut *tx)
                    .await?;
                done(ended.into_iter().map(|id| (id, None)).collect());
                self.request_cancel(tx, ids, &mut answers).await?;
            }
            Change::Delete => {
                for statement in [DELETE_WAITING, DELETE_FINISHED] {
                    let gone = sqlx::query_scalar(statement)
                        .persistent(false)
                        .bind(ids)
                        .fetch_all(&mut *tx)
                        .await?;
                    done(gone.into_iter().map(|id| (id, None)).collect());
                }
                let gone: Vec<i64> = answers.keys().copied().collect();
                sqlx::query(DELETE_ATTEMPTS)
                    .persistent(false)
                    .bind(gone)
                    .execute(&mut *tx)
                    .await?;
            }
            Change::Reschedule(when) => {
                let delay_ms = match when {
                    When::In(delay) => i64::try_from((*delay).min(FOREVER).as_millis()).ok(),
                    When::Now | When::At(_) => None,
                };
                let at = if let When::At(at) = when { Some(*at) } else { None };
                let query = sqlx::query_as(RESCHEDULE)
                    .persistent(false)
                    .bind(ids)
                    .bind(delay_ms)
                    .bind(at);
                done(query.fetch_all(&mut *tx).await?);
            }
            Change::Priority(priority) => {
                let query = sqlx::query_as(PRIORITY)
                    .persistent(false)
                    .bind(ids)
                    .bind(*priority);
                done(query.fetch_all(&mut *tx).await?);
            }
        }
        let mut changed: Vec<i64> = answers.keys().copied().collect();
        changed.sort_unstable();
        if matches!(change, Change::Retry | Change::Cancel | Change::Delete) {
            flow::forget(tx, &changed).await?;
        }
        audit::record(tx, change, by, filter, &changed).await?;
        explain(tx, ids, change, &mut answers).await?;
        if self.wake_mode() == Wake::Notify {
            for queue_id in awake {
                sqlx::query("select queue.wake($1)")
                    .persistent(false)
                    .bind(queue_id)
                    .execute(&mut *tx)
                    .await?;
            }
        }
        Ok(answers)
    }

    /// Asks the workers of those that run.
    async fn request_cancel(
        &self,
        tx: &mut PgConnection,
        ids: &[i64],
        answers: &mut HashMap<i64, Answer>,
    ) -> Result<(), Error> {
        let asked: Vec<i64> = sqlx::query_scalar(REQUEST)
            .persistent(false)
            .bind(ids)
            .fetch_all(&mut *tx)
            .await?;
        if !asked.is_empty() && self.wake_mode() == Wake::Notify {
            let notify = sqlx::query("select pg_notify($1, 'cancel')")
                .persistent(false)
                .bind(wake::CHANNEL);
            notify.execute(tx).await?;
        }
        answers.extend(asked.into_iter().map(|id| (id, Answer::Requested)));
        Ok(())
    }
}

/// Says of the jobs without an answer why nothing was done.
async fn explain(
    tx: &mut PgConnection,
    ids: &[i64],
    change: &Change,
    answers: &mut HashMap<i64, Answer>,
) -> Result<(), sqlx::Error> {
    let open: Vec<i64> = ids
        .iter()
        .copied()
        .filter(|id| !answers.contains_key(id))
        .collect();
    if open.is_empty() {
        return Ok(());
    }
    let states: Vec<(i64, i16, Option<i64>)> = sqlx::query_as(STATES)
        .persistent(false)
        .bind(&open)
        .fetch_all(tx)
        .await?;
    for (id, number, rival) in states {
        let state = State::from_number(number);
        let answer = match rival {
            _ if !change.states().contains(&state) => Answer::NotAllowed(state),
            Some(rival) if *change == Change::Retry => Answer::KeyTaken(rival),
            _ => Answer::Held,
        };
        answers.insert(id, answer);
    }
    for id in open {
        answers.entry(id).or_insert(Answer::NotFound);
    }
    Ok(())
}
