//! The server as its users meet it. Each test runs a server of its own.

use sqlx::Connection;

use super::{Installation, Server, Settings};

fn installation() -> Installation {
    Installation::ensure(&|line| eprintln!("{line}")).unwrap()
}

async fn scalar(server: &Server, sql: &'static str) -> Result<i64, sqlx::Error> {
    let mut connection = sqlx::PgConnection::connect(server.url()).await?;
    sqlx::query_scalar(sql).fetch_one(&mut connection).await
}

async fn run(server: &Server, sql: &'static str) {
    let mut connection = sqlx::PgConnection::connect(server.url()).await.unwrap();
    sqlx::raw_sql(sql).execute(&mut connection).await.unwrap();
}

#[tokio::test]
async fn data_survives_a_crash_and_a_stale_lock() {
    let folder = tempfile::Builder::new().permissions(open()).tempdir().unwrap();
    let data = folder.path().join("data");
    let mut server = Server::start(&installation(), &data, Settings::durable())
        .await
        .unwrap();
    run(
        &server,
        "CREATE EXTENSION vector; CREATE TABLE kept AS SELECT '[1,2,3]'::vector AS v",
    )
    .await;
    let port = server.port();

    server.crash().await;
    assert!(
        scalar(&server, "SELECT 1::bigint").await.is_err(),
        "it still answers"
    );
    // The number of a process that lives and is no PostgreSQL: ours.
    let pid = std::process::id();
    std::fs::write(
        data.join("postmaster.pid"),
        format!("{pid}\n{}\n", data.display()),
    )
    .unwrap();
    server.restart().await.unwrap();
    assert_eq!(server.port(), port);
    assert_eq!(
        scalar(&server, "SELECT count(*) FROM kept WHERE v <-> '[1,2,4]' = 1")
            .await
            .unwrap(),
        1
    );

    drop(server);
    let server = Server::start(&installation(), &data, Settings::durable())
        .await
        .unwrap();
    assert_eq!(scalar(&server, "SELECT count(*) FROM kept").await.unwrap(), 1);
    let url = server.create_database("again").await.unwrap();
    assert_eq!(server.create_database("again").await.unwrap(), url);
}

#[tokio::test]
async fn only_the_password_opens_it() {
    let server = Server::throwaway(&installation(), Settings::throwaway())
        .await
        .unwrap();
    let wrong = format!("postgres://postgres:wrong@127.0.0.1:{}/postgres", server.port());
    let refused = sqlx::PgConnection::connect(&wrong).await.unwrap_err();
    assert!(
        refused.to_string().contains("password authentication failed"),
        "{refused}"
    );
    let settings = "SELECT count(*) FROM pg_settings WHERE (name, setting) IN (('fsync', 'off'), \
                    ('listen_addresses', '127.0.0.1'), ('max_connections', '300'))";
    assert_eq!(scalar(&server, settings).await.unwrap(), 3);
}

#[tokio::test]
async fn a_taken_port_and_a_strange_folder_are_said() {
    let taken = std::net::TcpListener::bind(("127.0.0.1", 0)).unwrap();
    let port = taken.local_addr().unwrap().port();
    let settings = Settings {
        port: Some(port),
        ..Settings::throwaway()
    };
    let error = format!(
        "{:#}",
        Server::throwaway(&installation(), settings).await.unwrap_err()
    );
    assert!(
        error.contains(&format!("port {port} on 127.0.0.1 is taken")),
        "{error}"
    );

    let folder = tempfile::Builder::new().permissions(open()).tempdir().unwrap();
    std::fs::write(folder.path().join("thesis.txt"), "mine").unwrap();
    let error = Server::start(&installation(), folder.path(), Settings::durable())
        .await
        .unwrap_err();
    assert!(format!("{error:#}").contains("not empty"), "{error:#}");
    assert_eq!(
        std::fs::read_to_string(folder.path().join("thesis.txt")).unwrap(),
        "mine"
    );
}

#[tokio::test]
async fn a_second_server_on_the_same_data_is_refused() {
    let folder = tempfile::Builder::new().permissions(open()).tempdir().unwrap();
    let data = folder.path().join("data");
    let server = Server::start(&installation(), &data, Settings::throwaway())
        .await
        .unwrap();
    let error = Server::start(&installation(), &data, Settings::throwaway())
        .await
        .unwrap_err();
    let pid = server.pid().unwrap();
    assert!(
        error.to_string().contains(&format!("kill -INT {pid}")),
        "{error:#}"
    );
}

fn open() -> std::fs::Permissions {
    std::os::unix::fs::PermissionsExt::from_mode(0o711)
}
