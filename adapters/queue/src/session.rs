//! A connection of one engine task, made anew with backoff whenever it is lost.

use std::time::Duration;

use rand::Rng;
use sqlx::postgres::PgConnectOptions;
use sqlx::{AssertSqlSafe, ConnectOptions, Connection, PgConnection, PgPool};

use crate::{Queue, Wake};

/// A dedicated connection. The engine's tasks don't share the application's pool: a handler that holds all
/// its connections must not keep acknowledgements or heartbeats waiting.
#[derive(Debug)]
pub(crate) struct Session {
    options: PgConnectOptions,
    pooled: bool,
    conn: Option<PgConnection>,
    failures: u32,
}

/// Where engine tasks get their connections from.
#[derive(Debug, Clone)]
pub(crate) struct Sessions {
    pool: PgPool,
    pooled: bool,
}

impl Sessions {
    /// Whether a session's work is one transaction, which an error undoes.
    pub(crate) fn is_pooled(&self) -> bool {
        self.pooled
    }
}

impl Queue {
    pub(crate) fn sessions(&self) -> Sessions {
        Sessions {
            pool: self.pool().clone(),
            pooled: self.wake_mode() == Wake::Poll,
        }
    }
}

/// What the tasks' statements run with. The hot table's size jumps between empty and millions, faster than
/// its statistics: the planner must neither scan nor sort it whole because it was empty a minute ago.
const SETTINGS: [(&str, &str); 6] = [
    ("enable_seqscan", "off"),
    ("enable_sort", "off"),
    ("plan_cache_mode", "force_generic_plan"),
    // What is disabled above counts as endlessly dear, and dear statements would be compiled.
    ("jit", "off"),
    ("statement_timeout", "10s"),
    ("idle_in_transaction_session_timeout", "10s"),
];

/// An answer later than this is a lost connection.
const ANSWER_WITHIN: Duration = Duration::from_secs(15);

impl Session {
    pub(crate) fn new(sessions: &Sessions, name: &'static str) -> Self {
        let options = (*sessions.pool.connect_options()).clone().application_name(name);
        let options = if sessions.pooled {
            // A pooler in transaction mode takes no settings at startup. The statements of a unit are named
            // and remembered until it ends, whatever the application does with its own.
            options.extra_float_digits(None).statement_cache_capacity(100)
        } else {
            options.options(SETTINGS)
        };
        Self {
            options,
            pooled: sessions.pooled,
            conn: None,
            failures: 0,
        }
    }

    /// Runs `work` on the connection, and connects first where there is none. After an error the connection
    /// is thrown away: whatever state it was in, the next one is clean. Behind a pooler all of `work` is one
    /// transaction, so that an error undoes all of it; otherwise each statement stands for itself.
    pub(crate) async fn run<T>(
        &mut self,
        work: impl AsyncFnOnce(&mut PgConnection) -> Result<T, sqlx::Error>,
    ) -> Result<T, sqlx::Error> {
        let answer = tokio::time::timeout(ANSWER_WITHIN, async {
            let mut conn = match self.conn.take() {
                Some(conn) => conn,
                None => self.options.connect().await?,
            };
            let done = if self.pooled {
                unit(&mut conn, work).await?
            } else {
                work(&mut conn).await?
            };
            self.conn = Some(conn);
            Ok(done)
        });
        match answer.await {
            Ok(Ok(done)) => {
                self.failures = 0;
                Ok(done)
            }
            Ok(Err(error)) => {
                self.failures = self.failures.saturating_add(1);
                Err(error)
            }
            Err(_) => {
                self.failures = self.failures.saturating_add(1);
                Err(sqlx::Error::Io(std::io::Error::from(
                    std::io::ErrorKind::TimedOut,
                )))
            }
        }
    }

    /// How long to wait after the last failure: up to 2 s, doubling from 50 ms, jittered by half.
    pub(crate) fn pause(&self) -> Duration {
        let ceiling = Duration::from_millis(50 << self.failures.min(6)).min(Duration::from_secs(2));
        ceiling.mul_f64(rand::rng().random_range(0.5..=1.0))
    }
}

/// Runs `work` in a transaction, which is what keeps it on one server connection behind a pooler, and takes
/// its prepared statements with it: the next one on that connection uses the same names. A transaction that
/// is cut off here makes the pooler throw its server connection away.
async fn unit<T>(
    conn: &mut PgConnection,
    work: impl AsyncFnOnce(&mut PgConnection) -> Result<T, sqlx::Error>,
) -> Result<T, sqlx::Error> {
    let settings = SETTINGS.map(|(setting, value)| format!("set local {setting} = '{value}'"));
    let begin = format!("begin; {}", settings.join("; "));
    let mut tx = conn.begin_with(AssertSqlSafe(begin)).await?;
    let done = work(&mut tx).await?;
    tx.clear_cached_statements().await?;
    tx.commit().await?;
    Ok(done)
}
