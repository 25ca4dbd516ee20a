//! A piece of work that needs one server connection throughout: on the caller's connection, or on one of
//! the pool. Behind a pooler in transaction mode that takes a transaction, and unnamed statements: parse and
//! execute are two messages, and a name given on one server connection means nothing on the next.

use std::ops::{Deref, DerefMut};

use sqlx::pool::MaybePoolConnection;
use sqlx::{Connection, PgConnection, Postgres, Transaction};

use crate::{Queue, Wake};

/// Where statements of one unit run. In [`Wake::Poll`] they have to be `.persistent(self.named())`.
pub(crate) enum Unit<'c> {
    /// A connection to the server itself, or the caller's transaction: nothing to add.
    Plain(MaybePoolConnection<'c, Postgres>),
    /// A transaction of our own, undone unless it is ended.
    Own(Transaction<'c, Postgres>),
}

impl Queue {
    /// On the caller's connection, in the caller's transaction where there is one.
    pub(crate) async fn unit<'c>(&self, conn: &'c mut PgConnection) -> Result<Unit<'c>, sqlx::Error> {
        if self.named() || conn.is_in_transaction() {
            return Ok(Unit::Plain(MaybePoolConnection::Connection(conn)));
        }
        Ok(Unit::Own(conn.begin().await?))
    }

    /// In the caller's transaction, or in one of our own where there is none: for several statements that
    /// belong together, which then share a commit.
    pub(crate) async fn transaction<'c>(&self, conn: &'c mut PgConnection) -> Result<Unit<'c>, sqlx::Error> {
        if conn.is_in_transaction() {
            return Ok(Unit::Plain(MaybePoolConnection::Connection(conn)));
        }
        Ok(Unit::Own(conn.begin().await?))
    }

    /// On a connection of the pool.
    pub(crate) async fn own_unit(&self) -> Result<Unit<'static>, sqlx::Error> {
        if self.named() {
            let conn = self.pool().acquire().await?;
            return Ok(Unit::Plain(MaybePoolConnection::PoolConnection(conn)));
        }
        Ok(Unit::Own(self.pool().begin().await?))
    }

    /// Whether prepared statements may have names and outlive their transaction.
    pub(crate) fn named(&self) -> bool {
        self.wake_mode() == Wake::Notify
    }
}

impl Unit<'_> {
    /// Makes it last, as far as that is not the caller's to do.
    pub(crate) async fn end(self) -> Result<(), sqlx::Error> {
        match self {
            Self::Plain(_) => Ok(()),
            Self::Own(transaction) => transaction.commit().await,
        }
    }
}

impl Deref for Unit<'_> {
    type Target = PgConnection;

    fn deref(&self) -> &PgConnection {
        match self {
            Self::Plain(conn) => conn,
            Self::Own(transaction) => transaction,
        }
    }
}

impl DerefMut for Unit<'_> {
    fn deref_mut(&mut self) -> &mut PgConnection {
        match self {
            Self::Plain(conn) => conn,
            Self::Own(transaction) => transaction,
        }
    }
}
