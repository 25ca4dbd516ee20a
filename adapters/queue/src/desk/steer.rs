//! Changes jobs at a person's wish, a statement for all of them, together with the audit's line.

use std::collections::{HashMap, HashSet};

use sqlx::{Connection, PgConnection};

use super::wish::{Action, By, Change, When};
use super::{Filter, State, audit};
use crate::finish::FOREVER;
use crate::{Error, Queue, Wake, flow, wake};

mod statements;

use statements::{
    CANCEL, DELETE_ATTEMPTS, DELETE_FINISHED, DELETE_WAITING, FORGET_REQUESTS, HASTEN, PRIORITY, REQUEST,
    RESCHEDULE, REVIVE, STATES,
};

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
