//! Changes as many jobs as there are: a look ahead first, then a thousand at a time.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use super::search::{IDS, Search, bounded};
use super::steer::Answer;
use super::{By, Change, Filter, State};
use crate::{Error, Queue};

/// Jobs changed in one transaction.
const BATCH: i64 = 1_000;
/// How far a preview counts.
const COUNT: i64 = 100_000;
/// How long a preview counts.
const PATIENCE: Duration = Duration::from_secs(3);

/// Which jobs to change.
#[derive(Debug, Clone)]
#[allow(clippy::large_enum_variant, reason = "there is one at a time")]
pub enum Selection {
    /// These.
    Ids(Vec<i64>),
    /// All that match. With no states asked for, those in which the change is possible.
    Matching(Filter),
}

/// How many jobs would be changed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Preview {
    /// So many were found.
    pub count: i64,
    /// There may be more: it was counted no further.
    pub at_least: bool,
}

/// How many jobs match, as far as was counted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Matching {
    /// So many were found.
    pub count: i64,
    /// There may be more.
    pub at_least: bool,
    /// [`Filter::before`] of a count that goes on from here, where it was time that ran out.
    pub next: Option<i64>,
}

/// What became of it.
#[derive(Debug, Default)]
pub struct Applied {
    /// Jobs changed.
    pub done: u64,
    /// Running jobs that were asked to stop.
    pub requested: u64,
    /// Jobs left as they were, by reason.
    pub refused: BTreeMap<&'static str, u64>,
    /// Why it stopped early. What was done until then stays done; the same call does the rest, or one with
    /// [`Filter::before`] set to the number here goes on where it stopped.
    pub stopped: Option<(i64, Error)>,
}

impl Applied {
    fn add_all(&mut self, answers: Vec<Answer>) {
        for answer in answers {
            self.add(answer);
        }
    }

    fn add(&mut self, answer: Answer) {
        let reason = match answer {
            Answer::Done => {
                self.done += 1;
                return;
            }
            Answer::Requested => {
                self.requested += 1;
                return;
            }
            Answer::NotAllowed(state) => state.as_str(),
            Answer::NotFound => "no such job",
            Answer::KeyTaken(_) => "an unfinished job has the same unique key",
            Answer::Held => "held or changed by another transaction",
        };
        *self.refused.entry(reason).or_default() += 1;
    }
}

impl Queue {
    /// How many jobs `change` would find to do something to, counted up to 100,000 and no longer than three seconds.
    pub async fn preview(&self, filter: &Filter, change: &Change) -> Result<Preview, Error> {
        let filter = Filter {
            states: possible(filter, change),
            ..filter.clone()
        };
        if filter.states.is_empty() {
            return Ok(Preview {
                count: 0,
                at_least: false,
            });
        }
        let found = self.count_matching(&filter, PATIENCE).await?;
        Ok(Preview {
            count: found.count,
            at_least: found.at_least,
        })
    }

    /// How many jobs match, in whatever state: counted up to 100,000, the newest first, and for about so long where no
    /// index helps.
    pub async fn count_matching(&self, filter: &Filter, patience: Duration) -> Result<Matching, Error> {
        let began = Instant::now();
        let mut count = 0;
        let mut next = filter.before;
        let mut tx = self.pool().begin().await?;
        bounded(&mut tx).await?;
        if let Some(search) = Search::new(&mut tx, filter).await? {
            loop {
                let (found, floor) = search.count(&mut tx, next, COUNT - count).await?;
                count += found;
                next = floor;
                if next.is_none() || count == COUNT || began.elapsed() > patience {
                    break;
                }
            }
        } else {
            next = None;
        }
        let is_full = count == COUNT;
        Ok(Matching {
            count,
            at_least: is_full || next.is_some(),
            next: next.filter(|_| !is_full),
        })
    }

    /// Changes the jobs, the newest first, a thousand in a transaction of their own together with their
    /// audit. Jobs enqueued after the call are not touched. To be called again after an error: what is done
    /// already is refused or done to the same effect.
    pub async fn apply(&self, selection: &Selection, change: &Change, by: &By) -> Result<Applied, Error> {
        let mut applied = Applied::default();
        match selection {
            Selection::Ids(ids) => {
                let mut ids = ids.clone();
                ids.sort_unstable_by(|a, b| b.cmp(a));
                ids.dedup();
                for batch in ids.chunks(BATCH as usize) {
                    let before = batch.first().map_or(i64::MAX, |first| first.saturating_add(1));
                    let done = self.apply_to(batch, change, by).await;
                    if let Err(error) = applied.take(done) {
                        return applied.stop(before, error);
                    }
                }
            }
            Selection::Matching(filter) => {
                let states = if filter.states.is_empty() {
                    change.states().to_vec()
                } else {
                    filter.states.clone()
                };
                let filter = Filter {
                    states,
                    ..filter.clone()
                };
                let mut next = Some(match filter.before {
                    Some(before) => before,
                    None => self.youngest().await?,
                });
                while let Some(before) = next {
                    match self.apply_page(&filter, before, change, by).await {
                        Ok((answers, rest)) => {
                            applied.add_all(answers);
                            next = rest;
                        }
                        Err(error) => return applied.stop(before, error),
                    }
                }
            }
        }
        Ok(applied)
    }

    async fn apply_to(&self, ids: &[i64], change: &Change, by: &By) -> Result<Vec<Answer>, Error> {
        let mut tx = self.pool().begin().await?;
        bounded(&mut tx).await?;
        let answers = self.steer(&mut tx, ids, change, by, None).await?;
        tx.commit().await?;
        Ok(answers.into_values().collect())
    }

    /// One batch of what matches, and where to go on.
    async fn apply_page(
        &self,
        filter: &Filter,
        before: i64,
        change: &Change,
        by: &By,
    ) -> Result<(Vec<Answer>, Option<i64>), Error> {
        let mut tx = self.pool().begin().await?;
        bounded(&mut tx).await?;
        let Some(search) = Search::new(&mut tx, filter).await? else {
            return Ok((Vec::new(), None));
        };
        let page = search
            .page(&mut tx, IDS, Some(before), BATCH, |row: &(i64,)| row.0)
            .await?;
        let ids: Vec<i64> = page.jobs.into_iter().map(|(id,)| id).collect();
        let answers = self.steer(&mut tx, &ids, change, by, Some(filter)).await?;
        tx.commit().await?;
        Ok((answers.into_values().collect(), page.next))
    }

    /// A number above all jobs there are.
    async fn youngest(&self) -> Result<i64, Error> {
        let last = sqlx::query_scalar("select last_value + 1 from queue.job_id").persistent(false);
        let mut unit = self.own_unit().await?;
        let last = last.fetch_one(&mut *unit).await?;
        unit.end().await?;
        Ok(last)
    }
}

impl Applied {
    fn take(&mut self, answers: Result<Vec<Answer>, Error>) -> Result<(), Error> {
        self.add_all(answers?);
        Ok(())
    }

    /// An error before anything was done is the call's.
    fn stop(mut self, before: i64, error: Error) -> Result<Self, Error> {
        if self.done + self.requested == 0 {
            return Err(error);
        }
        self.stopped = Some((before, error));
        Ok(self)
    }
}

/// The states asked for in which the change is possible.
fn possible(filter: &Filter, change: &Change) -> Vec<State> {
    let asked = |state: &State| filter.states.is_empty() || filter.states.contains(state);
    change.states().iter().copied().filter(asked).collect()
}
