//! Schedules: jobs that are enqueued at the ticks of a cron expression, once per tick over the whole fleet.

mod row;
pub(crate) mod tick;
mod timetable;

use std::borrow::Cow;
use std::time::Duration;

use chrono::{DateTime, SecondsFormat, Utc};
use serde_json::Value;
use sqlx::{Connection, PgConnection};

use crate::desk::{Subject, record_subject};
use crate::finish::FOREVER;
use crate::pause::pause_states;
use crate::{By, Enqueued, Error, NewJob, OnConflict, Queue};
pub use row::{ScheduleRow, TickRow};
use timetable::Timetable;

/// What becomes of ticks that nobody saw: no worker ran, or the database was away.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum CatchUp {
    /// Ticks more than a minute late are left out.
    #[default]
    Skip,
    /// If any tick is more than a minute late: one job, for the last of all.
    Once,
    /// A job for each of the last so many (1 to 1,000).
    All(u16),
}

/// The most that [`CatchUp::All`] may ask for.
const MOST_CAUGHT_UP: u16 = 1_000;

impl CatchUp {
    fn from_number(number: i32) -> Self {
        match number {
            0 => Self::Skip,
            1 => Self::Once,
            more => Self::All(
                u16::try_from(more - 1)
                    .unwrap_or(MOST_CAUGHT_UP)
                    .min(MOST_CAUGHT_UP),
            ),
        }
    }

    fn number(self) -> i32 {
        match self {
            Self::Skip => 0,
            Self::Once => 1,
            Self::All(most) => i32::from(most) + 1,
        }
    }
}

/// A job to enqueue at every tick.
#[derive(Debug, Clone)]
pub struct Schedule {
    name: Cow<'static, str>,
    cron: Cow<'static, str>,
    time_zone: Cow<'static, str>,
    queue: Cow<'static, str>,
    kind: Cow<'static, str>,
    args: Value,
    priority: i16,
    max_attempts: i32,
    timeout: Option<Duration>,
    tags: Vec<String>,
    tenant: Option<String>,
    key: Option<String>,
    tick_field: Option<String>,
    single: bool,
    catch_up: CatchUp,
}

impl Schedule {
    /// A schedule in UTC. `cron` has five fields (minute, hour, day, month, weekday), or a sixth before them for
    /// seconds, or is a word such as `@daily`.
    pub fn new(
        name: impl Into<Cow<'static, str>>,
        cron: impl Into<Cow<'static, str>>,
        queue: impl Into<Cow<'static, str>>,
        kind: impl Into<Cow<'static, str>>,
        args: Value,
    ) -> Self {
        Self {
            name: name.into(),
            cron: cron.into(),
            time_zone: "UTC".into(),
            queue: queue.into(),
            kind: kind.into(),
            args,
            priority: 0,
            max_attempts: 20,
            timeout: None,
            tags: Vec::new(),
            tenant: None,
            key: None,
            tick_field: None,
            single: false,
            catch_up: CatchUp::Skip,
        }
    }

    /// The IANA time zone in which the expression is read, such as `Europe/Berlin`.
    pub fn time_zone(mut self, name: impl Into<Cow<'static, str>>) -> Self {
        self.time_zone = name.into();
        self
    }

    /// Lower runs first; 0 by default.
    pub fn priority(mut self, priority: i16) -> Self {
        self.priority = priority;
        self
    }

    /// How many attempts of a job may fail before it is dead; at least 1, and 20 by default.
    pub fn max_attempts(mut self, max_attempts: i32) -> Self {
        self.max_attempts = max_attempts.max(1);
        self
    }

    /// How long one attempt may take; overrides the kind's own.
    pub fn timeout(mut self, timeout: Duration) -> Self {
        self.timeout = Some(timeout);
        self
    }

    /// A word to find the jobs by, beside `schedule:<name>` and `tick:<time>`, which all of them have.
    pub fn tag(mut self, tag: impl Into<String>) -> Self {
        self.tags.push(tag.into());
        self
    }

    /// Whose the jobs are; see [`NewJob::tenant`].
    pub fn tenant(mut self, tenant: impl Into<String>) -> Self {
        self.tenant = Some(tenant.into());
        self
    }

    /// What per-key limits and rates count the jobs by; see [`NewJob::key`].
    pub fn key(mut self, key: impl Into<String>) -> Self {
        self.key = Some(key.into());
        self
    }

    /// Puts the tick, as RFC 3339 in UTC, into this field of the arguments, which must be an object.
    pub fn tick_field(mut self, field: impl Into<String>) -> Self {
        self.tick_field = Some(field.into());
        self
    }

    /// At most one unfinished job at a time: a tick that finds the last one's job unfinished adds none.
    pub fn single(mut self) -> Self {
        self.single = true;
        self
    }

    /// What becomes of missed ticks; they are left out by default.
    pub fn catch_up(mut self, catch_up: CatchUp) -> Self {
        self.catch_up = catch_up;
        self
    }

    fn check(&self) -> Result<Timetable, Error> {
        let invalid = |why: &str| Err(Error::Invalid(format!("schedule `{}`: {why}", self.name)));
        if self.name.is_empty() || self.name.len() > 128 || self.name.chars().any(char::is_control) {
            return invalid("a name has 1 to 128 bytes, and no control characters");
        }
        if matches!(self.catch_up, CatchUp::All(most) if most == 0 || most > MOST_CAUGHT_UP) {
            return invalid("1 to 1,000 ticks can be caught up");
        }
        if self.tick_field.is_some() && !self.args.is_object() {
            return invalid("the tick has no field in arguments that are no object");
        }
        let mut job = NewJob::new(self.queue.clone(), self.kind.clone(), Value::Null);
        (job.tenant, job.key) = (self.tenant.clone(), self.key.clone());
        job.check()?;
        Timetable::parse(&self.cron, &self.time_zone)
    }
}

/// What is stored stays as it is where nothing has changed, so that putting the same schedule at every start
/// neither loses a missed tick nor writes a row. Another expression or zone counts from now on.
const PUT: &str = "
insert into queue.schedule as old (name, cron, time_zone, queue, kind, args, priority, max_attempts, timeout_ms,
    tags, tick_field, single, catch_up, next_at, tenant, key)
values ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, $15, $16)
on conflict (name) do update set cron = excluded.cron, time_zone = excluded.time_zone, queue = excluded.queue,
    kind = excluded.kind, args = excluded.args, priority = excluded.priority,
    max_attempts = excluded.max_attempts, timeout_ms = excluded.timeout_ms, tags = excluded.tags, tenant = excluded.tenant, key = excluded.key,
    tick_field = excluded.tick_field, single = excluded.single, catch_up = excluded.catch_up,
    next_at = case when (old.cron, old.time_zone) = (excluded.cron, excluded.time_zone) and old.next_at is not null
        then old.next_at else excluded.next_at end,
    retry_at = null, error = null, updated_at = clock_timestamp()
where (old.cron, old.time_zone, old.queue, old.kind, old.args, old.priority, old.max_attempts, old.timeout_ms,
        old.tags, old.tick_field, old.single, old.catch_up, old.error, old.tenant, old.key)
    is distinct from (excluded.cron, excluded.time_zone, excluded.queue, excluded.kind, excluded.args,
        excluded.priority, excluded.max_attempts, excluded.timeout_ms, excluded.tags, excluded.tick_field,
        excluded.single, excluded.catch_up, null, excluded.tenant, excluded.key)";

const PAUSE: &str = "
update queue.schedule set paused_at = clock_timestamp(), updated_at = clock_timestamp()
where name = $1 and paused_at is null returning paused_at";

const RESUME: &str = "
update queue.schedule set paused_at = null, next_at = $2, retry_at = null, error = null,
    updated_at = clock_timestamp()
where name = $1 and paused_at is not null";

impl Queue {
    /// Stores a schedule under its name, new or instead of the old one; the same one twice changes nothing. A
    /// paused schedule stays paused. Fails before anything is stored if the expression or the zone is no good or
    /// there is never a tick. The first tick is the first one from now on.
    pub async fn put_schedule(
        &self,
        conn: &mut PgConnection,
        schedule: Schedule,
    ) -> Result<ScheduleRow, Error> {
        let timetable = schedule.check()?;
        self.prepare(&schedule.queue, &schedule.kind).await?;
        let mut conn = self.unit(conn).await?;
        let next_at = self.upcoming(&mut conn, &timetable, &schedule.cron).await?;
        let timeout = schedule
            .timeout
            .map(|timeout| timeout.min(FOREVER).as_millis().max(1));
        sqlx::query(PUT)
            .persistent(self.named())
            .bind(schedule.name.as_ref())
            .bind(schedule.cron.as_ref())
            .bind(schedule.time_zone.as_ref())
            .bind(schedule.queue.as_ref())
            .bind(schedule.kind.as_ref())
            .bind(schedule.args)
            .bind(schedule.priority)
            .bind(schedule.max_attempts)
            .bind(timeout.map(|ms| i32::try_from(ms).unwrap_or(i32::MAX)))
            .bind(schedule.tags)
            .bind(schedule.tick_field)
            .bind(schedule.single)
            .bind(schedule.catch_up.number())
            .bind(next_at)
            .bind(schedule.tenant)
            .bind(schedule.key)
            .execute(&mut *conn)
            .await?;
        let stored = self.find_schedule(&mut conn, &schedule.name).await?;
        conn.end().await?;
        stored.ok_or_else(|| Error::Invalid(format!("schedule `{}` was removed meanwhile", schedule.name)))
    }

    /// Removes a schedule; its jobs stay. Audited, as its pauses and triggers are, in the caller's transaction. False
    /// if there is none of this name.
    pub async fn remove_schedule(&self, conn: &mut PgConnection, name: &str, by: &By) -> Result<bool, Error> {
        let removed = sqlx::query_scalar(
            "delete from queue.schedule as schedule where name = $1 returning to_jsonb(schedule)",
        );
        let mut tx = conn.begin().await?;
        let removed: Option<Value> = removed
            .persistent(false)
            .bind(name)
            .fetch_optional(&mut *tx)
            .await?;
        let is_gone = removed.is_some();
        if is_gone {
            let change = (removed, None);
            record_subject(&mut tx, "remove", &Subject::Schedule(name), change, &[], by).await?;
        }
        tx.commit().await?;
        Ok(is_gone)
    }

    /// Stops its ticks; those of the pause are not caught up. False if there is none that isn't paused.
    pub async fn pause_schedule(&self, conn: &mut PgConnection, name: &str, by: &By) -> Result<bool, Error> {
        let mut tx = conn.begin().await?;
        let paused = sqlx::query_scalar(PAUSE).persistent(false).bind(name);
        let Some(paused_at) = paused.fetch_optional(&mut *tx).await? else {
            return Ok(false);
        };
        let change = pause_states(None, Some(paused_at));
        record_subject(&mut tx, "pause", &Subject::Schedule(name), change, &[], by).await?;
        tx.commit().await?;
        Ok(true)
    }

    /// Lets it tick again from now on. False if there is none that is paused.
    pub async fn resume_schedule(&self, conn: &mut PgConnection, name: &str, by: &By) -> Result<bool, Error> {
        let mut tx = conn.begin().await?;
        let Some(row) = self.find_schedule(&mut tx, name).await? else {
            return Ok(false);
        };
        let timetable = Timetable::parse(&row.cron, &row.time_zone)?;
        let next_at = self.upcoming(&mut tx, &timetable, &row.cron).await?;
        let resumed = sqlx::query(RESUME).persistent(false).bind(name).bind(next_at);
        if resumed.execute(&mut *tx).await?.rows_affected() == 0 {
            return Ok(false);
        }
        let change = pause_states(row.paused_at, None);
        record_subject(&mut tx, "resume", &Subject::Schedule(name), change, &[], by).await?;
        tx.commit().await?;
        Ok(true)
    }

    /// Enqueues its job now, paused or not; its ticks stay as they are. None if there is none of this name.
    pub async fn trigger_schedule(
        &self,
        conn: &mut PgConnection,
        name: &str,
        by: &By,
    ) -> Result<Option<Enqueued>, Error> {
        let mut tx = conn.begin().await?;
        let Some(row) = self.find_schedule(&mut tx, name).await? else {
            return Ok(None);
        };
        let now = self.now(&mut tx).await?;
        let enqueued = self.enqueue(&mut tx, row.job(now).tag("manual")).await?;
        sqlx::query(
            "insert into queue.schedule_tick (schedule_id, tick, manual, job_id) values ($1, $2, true, $3)",
        )
        .persistent(self.named())
        .bind(row.id)
        .bind(now)
        .bind(enqueued.id)
        .execute(&mut *tx)
        .await?;
        let subject = Subject::Schedule(name);
        record_subject(&mut tx, "trigger", &subject, (None, None), &[enqueued.id], by).await?;
        tx.commit().await?;
        Ok(Some(enqueued))
    }

    async fn now(&self, conn: &mut PgConnection) -> Result<DateTime<Utc>, sqlx::Error> {
        let now = sqlx::query_scalar("select clock_timestamp()").persistent(self.named());
        now.fetch_one(conn).await
    }

    /// The first tick from now on, by the database's clock.
    async fn upcoming(
        &self,
        conn: &mut PgConnection,
        timetable: &Timetable,
        cron: &str,
    ) -> Result<DateTime<Utc>, Error> {
        let never = || Error::Invalid(format!("`{cron}` never ticks"));
        timetable.next(self.now(conn).await?)?.ok_or_else(never)
    }
}

impl ScheduleRow {
    /// The job of a tick.
    fn job(&self, tick: DateTime<Utc>) -> NewJob {
        let time = tick.to_rfc3339_opts(SecondsFormat::AutoSi, true);
        let mut args = self.args.clone();
        if let (Some(field), Some(fields)) = (&self.tick_field, args.as_object_mut()) {
            fields.insert(field.clone(), Value::String(time.clone()));
        }
        let mut job = NewJob::new(self.queue.clone(), self.kind.clone(), args)
            .priority(self.priority)
            .max_attempts(self.max_attempts)
            .tag(format!("schedule:{}", self.name))
            .tag(format!("tick:{time}"));
        for tag in &self.tags {
            job = job.tag(tag.clone());
        }
        if let Some(timeout_ms) = self.timeout_ms {
            job = job.timeout(Duration::from_millis(u64::try_from(timeout_ms).unwrap_or(1)));
        }
        if let Some(tenant) = &self.tenant {
            job = job.tenant(tenant.clone());
        }
        if let Some(key) = &self.key {
            job = job.key(key.clone());
        }
        if self.single {
            job = job.unique(format!("schedule:{}", self.name), OnConflict::Keep);
        }
        job
    }
}
