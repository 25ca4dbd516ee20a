//! Numbers of queues and kinds. The hot table holds numbers instead of names; they never change, so a
//! process keeps those that it has met.

use std::collections::{HashMap, HashSet};
use std::sync::{PoisonError, RwLock};

use sqlx::{ConnectOptions, Connection, PgConnection, PgPool};

use crate::Error;

/// Names met so far. Numbers are made in a transaction of their own, never in the caller's: a number that
/// was rolled back must not be remembered.
#[derive(Debug)]
pub(crate) struct Names {
    pool: PgPool,
    queues: RwLock<HashMap<String, i16>>,
    kinds: RwLock<HashMap<String, i32>>,
    laned: RwLock<HashSet<i16>>,
}

impl Names {
    pub(crate) fn new(pool: PgPool) -> Self {
        Self {
            pool,
            queues: RwLock::default(),
            kinds: RwLock::default(),
            laned: RwLock::default(),
        }
    }

    /// Not from the pool: a caller in a transaction holds one of its connections, and might wait here for
    /// another one that never comes free.
    async fn connect(&self) -> Result<PgConnection, sqlx::Error> {
        self.pool.connect_options().connect().await
    }

    pub(crate) async fn queue(&self, name: &str) -> Result<i16, Error> {
        let known = self
            .queues
            .read()
            .unwrap_or_else(PoisonError::into_inner)
            .get(name)
            .copied();
        if let Some(id) = known {
            return Ok(id);
        }
        let valid = |b: u8| b.is_ascii_lowercase() || b.is_ascii_digit() || matches!(b, b'_' | b'.' | b'-');
        let first = |b: u8| b.is_ascii_lowercase() || b.is_ascii_digit();
        if name.len() > 63 || !name.bytes().all(valid) || !name.bytes().next().is_some_and(first) {
            return Err(Error::Invalid(format!(
                "`{name}` is no queue: 1 to 63 of a-z 0-9 _ . -, a letter or digit first"
            )));
        }
        let mut conn = self.connect().await?;
        let mut tx = conn.begin().await?;
        let id = sqlx::query_scalar("select queue.queue_id($1)")
            .persistent(false)
            .bind(name)
            .fetch_one(&mut *tx)
            .await?;
        tx.commit().await?;
        conn.close().await?;
        self.queues
            .write()
            .unwrap_or_else(PoisonError::into_inner)
            .insert(name.to_owned(), id);
        Ok(id)
    }

    pub(crate) async fn kind(&self, name: &str) -> Result<i32, Error> {
        let known = self
            .kinds
            .read()
            .unwrap_or_else(PoisonError::into_inner)
            .get(name)
            .copied();
        if let Some(id) = known {
            return Ok(id);
        }
        if name.is_empty() || name.len() > 128 || name.contains('\0') {
            return Err(Error::Invalid(format!(
                "`{}` is no kind: 1 to 128 bytes, none of them NUL",
                name.escape_debug()
            )));
        }
        let mut conn = self.connect().await?;
        let mut tx = conn.begin().await?;
        let id = sqlx::query_scalar("select queue.kind_id($1)")
            .persistent(false)
            .bind(name)
            .fetch_one(&mut *tx)
            .await?;
        tx.commit().await?;
        conn.close().await?;
        self.kinds
            .write()
            .unwrap_or_else(PoisonError::into_inner)
            .insert(name.to_owned(), id);
        Ok(id)
    }

    /// Notes that the queue has lanes: its fetchers look for them from then on.
    pub(crate) async fn lanes_of(&self, queue_id: i16) -> Result<(), Error> {
        let known = self
            .laned
            .read()
            .unwrap_or_else(PoisonError::into_inner)
            .contains(&queue_id);
        if known {
            return Ok(());
        }
        let mut conn = self.connect().await?;
        let mut tx = conn.begin().await?;
        sqlx::query("update queue.queue set laned = true where id = $1 and not laned")
            .persistent(false)
            .bind(queue_id)
            .execute(&mut *tx)
            .await?;
        tx.commit().await?;
        conn.close().await?;
        self.laned
            .write()
            .unwrap_or_else(PoisonError::into_inner)
            .insert(queue_id);
        Ok(())
    }
}
