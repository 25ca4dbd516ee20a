//! The store: a pool of connections, and the queue that shares it.

use std::str::FromStr;
use std::sync::Arc;
use std::time::Duration;

use domain::port::PortError;
use queue::{Queue, Wake};
use sqlx::postgres::{PgConnectOptions, PgPoolOptions};
use sqlx::{Connection, PgPool};
use tokio::sync::OnceCell;

use crate::Options;
use crate::error::{DATABASE, db};
use crate::inbox::Intake;
use crate::keyring::Keyring;

/// A connection that was idle for longer is tried before it is used; a busy one shows by itself that it lives.
const TRUSTED_IDLE: Duration = Duration::from_secs(1);

/// A handle to the database: cheap to clone, implements the ports that are kept there.
#[derive(Debug, Clone)]
pub struct Store {
    pub(crate) pool: PgPool,
    pub(crate) queue: Queue,
    pub(crate) connect_options: PgConnectOptions,
    pub(crate) intake: Intake,
    pub(crate) keyring: Option<Arc<Keyring>>,
    /// Set once the queue has met the kinds that are enqueued here; see [`Store::begin`].
    pub(crate) kinds_known: Arc<OnceCell<()>>,
}

impl Store {
    /// Opens the pool and proves that the database answers. Tries once: a caller that wants to wait for a
    /// database calls again, with a backoff.
    ///
    /// # Errors
    /// [`PortError::Refused`] for a URL that can't be read, wrong credentials or a missing database;
    /// [`PortError::Unavailable`] where nobody answers.
    pub async fn connect(options: &Options) -> Result<Self, PortError> {
        // The parser's error may quote the URL, and the URL holds a password: not passed on.
        let base = PgConnectOptions::from_str(options.url.expose()).map_err(|_| PortError::Refused {
            part: DATABASE,
            reason: "the database's URL can't be read: write postgres://user:password@host:port/name"
                .to_owned(),
        })?;
        let base = base.application_name(&options.application_name);
        let (base, timed) = match options.wake {
            Wake::Notify => {
                let timed = base.clone().options([
                    ("statement_timeout", options.statement_timeout_ms.to_string()),
                    // Planning costs more than any of our statements can win by a plan of its own.
                    ("plan_cache_mode", "force_generic_plan".to_owned()),
                ]);
                (base, timed)
            }
            // A pooler in transaction mode refuses a connection that wants settings of its own.
            Wake::Poll => {
                let base = base.extra_float_digits(None);
                (base.clone(), base)
            }
        };
        let pool = PgPoolOptions::new()
            .max_connections(options.max_connections)
            .acquire_timeout(Duration::from_millis(options.acquire_timeout_ms))
            .test_before_acquire(false)
            .before_acquire(|connection, meta| {
                Box::pin(async move {
                    // `false` has the pool replace the connection; `?` would fail the caller instead.
                    Ok(meta.idle_for < TRUSTED_IDLE || connection.ping().await.is_ok())
                })
            })
            .connect_with(timed)
            .await
            .map_err(db)?;
        let intake = Intake::new(pool.clone());
        Ok(Self {
            queue: Queue::with_wake(pool.clone(), options.wake),
            pool,
            connect_options: base,
            intake,
            keyring: options.keyring.clone(),
            kinds_known: Arc::default(),
        })
    }

    /// The queue in the same database: what workers run from.
    pub fn queue(&self) -> &Queue {
        &self.queue
    }

    /// Waits until connections in use are given back, and closes them.
    pub async fn close(&self) {
        self.pool.close().await;
    }
}

/// A list's limit within what one answer should hold.
pub(crate) fn page(limit: i64) -> i64 {
    limit.clamp(0, 1_000)
}
