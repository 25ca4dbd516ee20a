//! A migrated database of a test's own, with one project of one slot, and a look behind the ports.

use std::sync::Arc;

use domain::Secret;
use domain::repository::Repository;
use postgres::{Options, Store};
use sqlx::PgPool;
use sqlx::postgres::PgPoolOptions;
use testkit::postgres::TestDatabase;

/// 32 bytes of 0 and of 1, of different names.
pub(crate) const KEYS: &str =
    "new:AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA=,old:AQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQE=";

pub(crate) struct World {
    pub(crate) store: Store,
    pub(crate) repository: Repository,
    /// Reads and breaks what the ports don't let a test reach.
    pub(crate) sql: PgPool,
    pub(crate) database: TestDatabase,
}

impl World {
    pub(crate) async fn create() -> Self {
        let database = TestDatabase::create().await;
        let store = Store::connect(&options(&database)).await.unwrap();
        store.migrate().await.unwrap();
        let name = "codertocat/hello-world".parse().unwrap();
        let repository = store.seed_project("demo", 1, &name).await.unwrap();
        let sql = PgPoolOptions::new()
            .max_connections(2)
            .connect(database.url())
            .await
            .unwrap();
        Self {
            store,
            repository,
            sql,
            database,
        }
    }

    pub(crate) async fn count(&self, query: &'static str) -> i64 {
        sqlx::query_scalar(query).fetch_one(&self.sql).await.unwrap()
    }

    pub(crate) async fn run(&self, statement: &'static str) -> u64 {
        sqlx::query(statement)
            .execute(&self.sql)
            .await
            .unwrap()
            .rows_affected()
    }
}

pub(crate) fn options(database: &TestDatabase) -> Options {
    Options {
        max_connections: 8,
        keyring: Some(Arc::new(KEYS.parse().unwrap())),
        ..Options::new(Secret::new(database.url().to_owned()))
    }
}
