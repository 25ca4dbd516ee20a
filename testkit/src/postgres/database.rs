//! A database for one test.

use sqlx::{AssertSqlSafe, Connection, PgConnection};
use url::Url;

/// The variable that holds the superuser's URL of a throw-away server; `make test` sets it.
pub const TEST_DATABASE_URL: &str = "CODEX_K8S_TEST_DATABASE_URL";

/// An empty database with a name of its own, dropped with this value unless the test failed.
#[derive(Debug)]
pub struct TestDatabase {
    name: String,
    admin: String,
    url: String,
}

impl TestDatabase {
    /// Creates it on the server of `CODEX_K8S_TEST_DATABASE_URL`.
    ///
    /// # Panics
    /// If the variable isn't set or the server can't be reached: the test can't be run then, and says why.
    pub async fn create() -> Self {
        let Ok(admin) = std::env::var(TEST_DATABASE_URL) else {
            panic!(
                "{TEST_DATABASE_URL} isn't set: run the tests through `make test`, or set it to the superuser's \
                 URL of a throw-away PostgreSQL with pgvector (postgres://postgres@127.0.0.1:5432/postgres)"
            );
        };
        let mut url: Url = admin
            .parse()
            .unwrap_or_else(|error| panic!("{TEST_DATABASE_URL} is not a URL: {error}"));
        let name = format!("test_{}", hex::encode(rand::random::<[u8; 8]>()));
        url.set_path(&name);
        execute(&admin, format!("CREATE DATABASE {name} TEMPLATE template0"))
            .await
            .unwrap_or_else(|error| {
                panic!("can't create a database on the server of {TEST_DATABASE_URL}: {error}")
            });
        Self {
            name,
            admin,
            url: url.into(),
        }
    }

    /// Its URL, as the superuser.
    pub fn url(&self) -> &str {
        &self.url
    }

    /// Its name.
    pub fn name(&self) -> &str {
        &self.name
    }
}

impl Drop for TestDatabase {
    fn drop(&mut self) {
        if std::thread::panicking() {
            return;
        }
        let (admin, drop) = (
            self.admin.clone(),
            format!("DROP DATABASE IF EXISTS {} WITH (FORCE)", self.name),
        );
        // The test's runtime may be on its way out: a thread and a runtime of our own.
        let dropping = std::thread::spawn(move || {
            let runtime = tokio::runtime::Builder::new_current_thread()
                .enable_all()
                .build()?;
            runtime
                .block_on(execute(&admin, drop))
                .map_err(anyhow::Error::from)
        });
        // The server is throw-away: what isn't dropped goes with it.
        let _ = dropping.join();
    }
}

async fn execute(url: &str, statement: String) -> Result<(), sqlx::Error> {
    let mut connection = PgConnection::connect(url).await?;
    sqlx::raw_sql(AssertSqlSafe(statement))
        .execute(&mut connection)
        .await?;
    connection.close().await
}
