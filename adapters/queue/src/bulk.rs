//! Many jobs at once, by COPY: its batched inserts write less and cost less than any INSERT.

use serde_json::Value;
use sqlx::PgConnection;

use crate::enqueue::{millis, timeout_ms};
use crate::{Error, NewJob};

/// Identifiers and places in line, drawn ahead, with lanes and the database's time in microseconds since 2000.
const DRAW: &str = "
select nextval('queue.job_id'), nextval('queue.job_seq'),
    case when tenant is not null then queue.lane(tenant, key) end,
    (extract(epoch from statement_timestamp() - timestamptz '2000-01-01 00:00:00+00') * 1000000)::bigint
from unnest($1::text[], $2::text[]) as new (tenant, key)";

const COPY: &str = "
copy queue.job (id, seq, created_at, run_at, queue_id, kind_id, priority, max_attempts, timeout_ms, correlation_id,
    traceparent, tags, tenant, key, lane, args)
from stdin with (format binary)";
const COLUMNS: i16 = 16;

/// What every binary COPY begins with: signature, flags, no extension.
const HEAD: &[u8] = b"PGCOPY\n\xff\r\n\0\0\0\0\0\0\0\0\0";
const END: i16 = -1;
/// The type `text`, as arrays name it.
const TEXT_OID: u32 = 25;
/// So much is sent at a time.
const CHUNK: usize = 256 * 1024;

/// A job whose queue and kind are known by number.
#[derive(Debug)]
pub(crate) struct Numbered {
    pub(crate) queue_id: i16,
    pub(crate) kind_id: i32,
    pub(crate) job: NewJob,
}

/// Identifier, place in line, lane, time.
type Drawn = (i64, i64, Option<i64>, i64);

/// Inserts the jobs, none of which has a unique key, and returns their identifiers in order.
pub(crate) async fn insert(
    conn: &mut PgConnection,
    jobs: &[Numbered],
    named: bool,
) -> Result<Vec<i64>, Error> {
    let drawn: Vec<Drawn> = sqlx::query_as(DRAW)
        .persistent(named)
        .bind(
            jobs.iter()
                .map(|numbered| &numbered.job.tenant)
                .collect::<Vec<_>>(),
        )
        .bind(jobs.iter().map(|numbered| &numbered.job.key).collect::<Vec<_>>())
        .fetch_all(&mut *conn)
        .await?;
    let mut rows = Rows(HEAD.to_vec());
    let mut copy = conn.copy_in_raw(COPY).await?;
    for (numbered, drawn) in jobs.iter().zip(&drawn) {
        rows.push(numbered, drawn);
        if rows.0.len() >= CHUNK {
            copy.send(std::mem::take(&mut rows.0)).await?;
        }
    }
    rows.0.extend_from_slice(&END.to_be_bytes());
    copy.send(rows.0).await?;
    copy.finish().await?;
    Ok(drawn.into_iter().map(|(id, ..)| id).collect())
}

/// Rows in COPY's binary format: a count of fields, then each with its length.
struct Rows(Vec<u8>);

impl Rows {
    fn push(&mut self, numbered: &Numbered, &(id, seq, lane, now_us): &Drawn) {
        let Numbered {
            queue_id,
            kind_id,
            job,
        } = numbered;
        let delay_ms = millis(job.delay);
        self.0.extend_from_slice(&COLUMNS.to_be_bytes());
        self.field(Some(&id.to_be_bytes()));
        self.field((delay_ms == 0).then_some(&seq.to_be_bytes()));
        // Given, because a default of its own for each row would end the batching.
        self.field(Some(&now_us.to_be_bytes()));
        self.field((delay_ms > 0).then_some(&(now_us + delay_ms * 1_000).to_be_bytes()));
        self.field(Some(&queue_id.to_be_bytes()));
        self.field(Some(&kind_id.to_be_bytes()));
        self.field(Some(&job.priority.to_be_bytes()));
        self.field(Some(&job.max_attempts.to_be_bytes()));
        self.field(timeout_ms(job).map(i32::to_be_bytes).as_ref());
        self.text(job.correlation_id.as_ref());
        self.text(job.traceparent.as_ref());
        self.texts(&job.tags);
        self.text(job.tenant.as_ref());
        self.text(job.key.as_ref());
        self.field(lane.map(i64::to_be_bytes).as_ref());
        self.jsonb(&job.args);
    }

    fn field<const N: usize>(&mut self, value: Option<&[u8; N]>) {
        self.bytes(value.map(|value| &value[..]));
    }

    fn text(&mut self, value: Option<&String>) {
        self.bytes(value.map(String::as_bytes));
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
    fn jsonb(&mut self, value: &Value) {
        self.measured(|out| {
            out.push(1);
            // A value without maps of odd keys can't fail, and writing to memory neither.
            let _ = serde_json::to_writer(out, value);
        });
    }
}
