//! A connection of one engine task, made anew with backoff whenever it is lost.

use std::time::Duration;

use rand::Rng;
use sqlx::postgres::PgConnectOptions;
use sqlx::{ConnectOptions, PgConnection, PgPool};

/// A dedicated connection. The engine's tasks don't share the application's pool: a handler that holds all
/// its connections must not keep acknowledgements or heartbeats waiting.
#[derive(Debug)]
pub(crate) struct Session {
    options: PgConnectOptions,
    conn: Option<PgConnection>,
    failures: u32,
}

/// An answer later than this is a lost connection.
const ANSWER_WITHIN: Duration = Duration::from_secs(15);

impl Session {
    pub(crate) fn new(pool: &PgPool, name: &'static str) -> Self {
        let options = (*pool.connect_options()).clone().application_name(name).options([
            // The hot table's size jumps between empty and millions, faster than its statistics: the
            // planner must neither scan nor sort it whole because it was empty a minute ago.
            ("enable_seqscan", "off"),
            ("enable_sort", "off"),
            ("plan_cache_mode", "force_generic_plan"),
            // What is disabled above counts as endlessly dear, and dear statements would be compiled.
            ("jit", "off"),
            ("statement_timeout", "10s"),
            ("idle_in_transaction_session_timeout", "10s"),
        ]);
        Self {
            options,
            conn: None,
            failures: 0,
        }
    }

    /// Runs `work` on the connection, and connects first where there is none. After an error the connection
    /// is thrown away: whatever state it was in, the next one is clean.
    pub(crate) async fn run<T>(
        &mut self,
        work: impl AsyncFnOnce(&mut PgConnection) -> Result<T, sqlx::Error>,
    ) -> Result<T, sqlx::Error> {
        let answer = tokio::time::timeout(ANSWER_WITHIN, async {
            let mut conn = match self.conn.take() {
                Some(conn) => conn,
                None => self.options.connect().await?,
            };
            let done = work(&mut conn).await?;
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
