//! Several jobs at once: a few by one INSERT, which is one round trip; many by COPY, whose batched inserts write
//! less and cost less than any INSERT.

use sqlx::PgConnection;

use crate::enqueue::{millis, timeout_ms};
use crate::job::MAX_ATTEMPTS;
use crate::{Error, NewJob};

/// Jobs that take so many bytes go by COPY. Its end can wait 40 ms for the acknowledgement of its data, because
/// sqlx 0.9.0 leaves Nagle's algorithm on: that has to be worth it.
const BY_COPY: usize = 1024 * 1024;
/// What a row takes beside its arguments, at least.
const ROW: usize = 57;

/// One element an array for each job, tags as JSON. The arrays are taken apart in step in the list of what is selected,
/// which keeps no copy of them as `from unnest(...)` does; and the identifiers come back as one row.
const INSERT: &str = "
with inserted as (
    insert into queue.job
        (queue_id, kind_id, priority, max_attempts, timeout_ms, correlation_id, traceparent, tags, seq, run_at, args,
         tenant, key, lane)
    select queue_id, kind_id, priority, max_attempts, timeout_ms, correlation_id, traceparent,
        case when tags is not null then array(select jsonb_array_elements_text(tags::jsonb)) end,
        case when delay_ms = 0 then nextval('queue.job_seq') end,
        case when delay_ms > 0 then clock_timestamp() + delay_ms * interval '1 millisecond' end, args::jsonb,
        tenant, key, case when tenant is not null then queue.lane(tenant, key) end
    from (select unnest($1::smallint[]) as queue_id, unnest($2::integer[]) as kind_id,
        unnest($3::smallint[]) as priority, unnest($4::integer[]) as max_attempts,
        unnest($5::integer[]) as timeout_ms, unnest($6::text[]) as correlation_id,
        unnest($7::text[]) as traceparent, unnest($8::text[]) as tags, unnest($9::bigint[]) as delay_ms,
        unnest($10::text[]) as args, unnest($11::text[]) as tenant, unnest($12::text[]) as key) as new
    returning id)
select coalesce(array_agg(id), '{}') from inserted";

/// `$1` identifiers and `$2` places in line, and the database's time in microseconds since 2000.
const DRAW: &str = "
select array(select nextval('queue.job_id') from generate_series(1, $1)),
    array(select nextval('queue.job_seq') from generate_series(1, $2)),
    (extract(epoch from statement_timestamp() - timestamptz '2000-01-01 00:00:00+00') * 1000000)::bigint";

const LANES: &str = "
select queue.lane(tenant, key)
from unnest($1::text[], $2::text[]) with ordinality as new (tenant, key, place) order by place";

/// A column that only some jobs need: left out where none of them does, it costs nothing.
struct Column {
    name: &'static str,
    is_used: fn(&NewJob) -> bool,
    write: fn(&mut Rows, &NewJob, Drawn),
}

/// The table's defaults are those of [`NewJob`]; none of them is volatile, which would end COPY's batching.
const COLUMNS: [Column; 10] = [
    Column {
        name: "run_at",
        is_used: |job| !is_ready(job),
        write: |rows, job, drawn| {
            let run_at = (!is_ready(job)).then(|| drawn.now_us + millis(job.delay) * 1_000);
            rows.field(run_at.map(i64::to_be_bytes).as_ref());
        },
    },
    Column {
        name: "priority",
        is_used: |job| job.priority != 0,
        write: |rows, job, _| rows.field(Some(&job.priority.to_be_bytes())),
    },
    Column {
        name: "max_attempts",
        is_used: |job| job.max_attempts != MAX_ATTEMPTS,
        write: |rows, job, _| rows.field(Some(&job.max_attempts.to_be_bytes())),
    },
    Column {
        name: "timeout_ms",
        is_used: |job| job.timeout.is_some(),
        write: |rows, job, _| rows.field(timeout_ms(job).map(i32::to_be_bytes).as_ref()),
    },
    Column {
        name: "correlation_id",
        is_used: |job| job.correlation_id.is_some(),
        write: |rows, job, _| rows.text(job.correlation_id.as_deref()),
    },
    Column {
        name: "traceparent",
        is_used: |job| job.traceparent.is_some(),
        write: |rows, job, _| rows.text(job.traceparent.as_deref()),
    },
    Column {
        name: "tags",
        is_used: |job| !job.tags.is_empty(),
        write: |rows, job, _| rows.texts(&job.tags),
    },
    Column {
        name: "tenant",
        is_used: NewJob::is_in_lane,
        write: |rows, job, _| rows.text(job.tenant.as_deref()),
    },
    Column {
        name: "key",
        is_used: |job| job.key.is_some(),
        write: |rows, job, _| rows.text(job.key.as_deref()),
    },
    Column {
        name: "lane",
        is_used: NewJob::is_in_lane,
        write: |rows, _, drawn| rows.field(drawn.lane.map(i64::to_be_bytes).as_ref()),
    },
];
/// Those that every job has.
const FIXED: [&str; 6] = ["id", "seq", "created_at", "queue_id", "kind_id", "args"];

/// What every binary COPY begins with: signature, flags, no extension.
const HEAD: &[u8] = b"PGCOPY\n\xff\r\n\0\0\0\0\0\0\0\0\0";
const END: i16 = -1;
/// The type `text`, as arrays name it.
const TEXT_OID: u32 = 25;
/// So much is sent at a time.
const CHUNK: usize = 256 * 1024;

/// A job whose queue and kind are known by number, with its arguments as JSON.
#[derive(Debug)]
pub(crate) struct Numbered {
    pub(crate) queue_id: i16,
    pub(crate) kind_id: i32,
    pub(crate) args: String,
    pub(crate) job: NewJob,
}

/// Whether these jobs go by one statement, which needs no transaction of its own.
pub(crate) fn is_one_statement(jobs: &[Numbered]) -> bool {
    let bytes: usize = jobs.iter().map(|numbered| numbered.args.len() + ROW).sum();
    bytes < BY_COPY
}

/// Inserts the jobs, none of which has a unique key, and returns their identifiers in order.
pub(crate) async fn insert(
    conn: &mut PgConnection,
    jobs: &[Numbered],
    named: bool,
) -> Result<Vec<i64>, Error> {
    if is_one_statement(jobs) {
        insert_few(conn, jobs, named).await
    } else {
        copy(conn, jobs, named).await
    }
}

async fn insert_few(conn: &mut PgConnection, jobs: &[Numbered], named: bool) -> Result<Vec<i64>, Error> {
    fn each<'j, T>(jobs: &'j [Numbered], of: impl Fn(&'j Numbered) -> T) -> Vec<T> {
        jobs.iter().map(of).collect()
    }
    let tags = each(jobs, |Numbered { job, .. }| {
        let tags = (!job.tags.is_empty()).then(|| serde_json::to_string(&job.tags));
        tags.transpose()
    });
    let tags = tags
        .into_iter()
        .collect::<Result<Vec<_>, _>>()
        .map_err(|error| invalid(&error))?;
    let inserted = sqlx::query_scalar(INSERT)
        .persistent(named)
        .bind(each(jobs, |numbered| numbered.queue_id))
        .bind(each(jobs, |numbered| numbered.kind_id))
        .bind(each(jobs, |numbered| numbered.job.priority))
        .bind(each(jobs, |numbered| numbered.job.max_attempts))
        .bind(each(jobs, |numbered| timeout_ms(&numbered.job)))
        .bind(each(jobs, |numbered| numbered.job.correlation_id.as_deref()))
        .bind(each(jobs, |numbered| numbered.job.traceparent.as_deref()))
        .bind(tags)
        .bind(each(jobs, |numbered| millis(numbered.job.delay)))
        .bind(each(jobs, |numbered| numbered.args.as_str()))
        .bind(each(jobs, |numbered| numbered.job.tenant.as_deref()))
        .bind(each(jobs, |numbered| numbered.job.key.as_deref()));
    Ok(inserted.fetch_one(conn).await?)
}

pub(crate) fn invalid(error: &serde_json::Error) -> Error {
    Error::Invalid(format!("the job's arguments are no JSON: {error}"))
}

/// What is known of a row besides the job itself.
#[derive(Debug, Clone, Copy)]
struct Drawn {
    id: i64,
    seq: Option<i64>,
    lane: Option<i64>,
    now_us: i64,
}

async fn copy(conn: &mut PgConnection, jobs: &[Numbered], named: bool) -> Result<Vec<i64>, Error> {
    let ready = jobs.iter().filter(|numbered| is_ready(&numbered.job)).count();
    let (ids, seqs, now_us): (Vec<i64>, Vec<i64>, i64) = sqlx::query_as(DRAW)
        .persistent(named)
        .bind(jobs.len() as i64)
        .bind(ready as i64)
        .fetch_one(&mut *conn)
        .await?;
    let (mut seqs, mut lanes) = (seqs.into_iter(), lanes(conn, jobs, named).await?.into_iter());
    let used = COLUMNS
        .into_iter()
        .filter(|column| jobs.iter().any(|numbered| (column.is_used)(&numbered.job)));
    let columns: Vec<Column> = used.collect();
    let list: Vec<&str> = FIXED
        .into_iter()
        .chain(columns.iter().map(|column| column.name))
        .collect();
    let statement = format!(
        "copy queue.job ({}) from stdin with (format binary)",
        list.join(", ")
    );
    let mut rows = Rows(HEAD.to_vec());
    let mut copy = conn.copy_in_raw(&statement).await?;
    for (numbered, &id) in jobs.iter().zip(&ids) {
        let drawn = Drawn {
            id,
            seq: is_ready(&numbered.job).then(|| seqs.next()).flatten(),
            lane: numbered.job.is_in_lane().then(|| lanes.next()).flatten(),
            now_us,
        };
        rows.push(numbered, drawn, &columns);
        if rows.0.len() >= CHUNK {
            copy.send(rows.0.as_slice()).await?;
            rows.0.clear();
        }
    }
    rows.0.extend_from_slice(&END.to_be_bytes());
    copy.send(rows.0).await?;
    copy.finish().await?;
    Ok(ids)
}

fn is_ready(job: &NewJob) -> bool {
    millis(job.delay) == 0
}

/// The lanes of those jobs that have a tenant.
async fn lanes(conn: &mut PgConnection, jobs: &[Numbered], named: bool) -> Result<Vec<i64>, Error> {
    let with_tenant = jobs.iter().filter(|numbered| numbered.job.is_in_lane());
    let (tenants, keys): (Vec<_>, Vec<_>) = with_tenant
        .map(|Numbered { job, .. }| (&job.tenant, &job.key))
        .unzip();
    if tenants.is_empty() {
        return Ok(Vec::new());
    }
    let lanes = sqlx::query_scalar(LANES)
        .persistent(named)
        .bind(tenants)
        .bind(keys);
    Ok(lanes.fetch_all(conn).await?)
}

/// Rows in COPY's binary format: a count of fields, then each with its length.
struct Rows(Vec<u8>);

impl Rows {
    fn push(&mut self, numbered: &Numbered, drawn: Drawn, columns: &[Column]) {
        let count = i16::try_from(FIXED.len() + columns.len()).unwrap_or(i16::MAX);
        self.0.extend_from_slice(&count.to_be_bytes());
        self.field(Some(&drawn.id.to_be_bytes()));
        self.field(drawn.seq.map(i64::to_be_bytes).as_ref());
        // Given, because a default of its own for each row would end the batching.
        self.field(Some(&drawn.now_us.to_be_bytes()));
        self.field(Some(&numbered.queue_id.to_be_bytes()));
        self.field(Some(&numbered.kind_id.to_be_bytes()));
        self.jsonb(&numbered.args);
        for column in columns {
            (column.write)(self, &numbered.job, drawn);
        }
    }

    fn field<const N: usize>(&mut self, value: Option<&[u8; N]>) {
        self.bytes(value.map(|value| &value[..]));
    }

    fn text(&mut self, value: Option<&str>) {
        self.bytes(value.map(str::as_bytes));
    }

    fn bytes(&mut self, value: Option<&[u8]>) {
        if let Some(value) = value {
            self.length(value.len());
            self.0.extend_from_slice(value);
        } else {
            self.0.extend_from_slice(&(-1_i32).to_be_bytes());
        }
    }

    fn length(&mut self, length: usize) {
        self.0
            .extend_from_slice(&i32::try_from(length).unwrap_or(i32::MAX).to_be_bytes());
    }

    /// Fills in the length of what `write` appends.
    fn measured(&mut self, write: impl FnOnce(&mut Vec<u8>)) {
        let start = self.0.len();
        self.length(0);
        write(&mut self.0);
        let length = i32::try_from(self.0.len() - start - 4).unwrap_or(i32::MAX);
        self.0[start..start + 4].copy_from_slice(&length.to_be_bytes());
    }

    /// An array of one dimension, counted from 1; null where it is empty.
    fn texts(&mut self, texts: &[String]) {
        if texts.is_empty() {
            return self.bytes(None);
        }
        self.measured(|out| {
            let mut inner = Rows(std::mem::take(out));
            for number in [1_u32, 0, TEXT_OID, texts.len() as u32, 1] {
                inner.0.extend_from_slice(&number.to_be_bytes());
            }
            for text in texts {
                inner.text(Some(text));
            }
            *out = inner.0;
        });
    }

    /// A version, 1, and the text.
    fn jsonb(&mut self, json: &str) {
        self.length(json.len() + 1);
        self.0.push(1);
        self.0.extend_from_slice(json.as_bytes());
    }
}
