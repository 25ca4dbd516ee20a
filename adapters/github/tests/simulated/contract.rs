//! The contract with GitHub: every request of the adapter and every answer of the simulator held against GitHub's
//! own OpenAPI description, by Prism as a validating proxy between the two.
//!
//! Runs with `CODEX_K8S_TEST_PRISM=1`, after `npm ci` in `testkit/prism`; it takes some seconds to start.

#![expect(clippy::unwrap_used, reason = "a test that can't be set up fails")]

use std::net::TcpListener;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use domain::port::Forge as _;
use domain::repository::Permission;

use crate::world::{REPOSITORY, World};

const PRISM: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../../testkit/prism");

/// Ends Prism with the test.
struct Running(Child);

impl Drop for Running {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// Starts Prism between a client and `upstream`; with `--errors` it answers a violation of the description with an
/// error of its own.
async fn prism(upstream: &str) -> (Running, String) {
    let prism = Path::new(PRISM);
    assert!(
        prism.join("node_modules").is_dir(),
        "run `npm ci` in testkit/prism first"
    );
    let description = Command::new("node")
        .arg(prism.join("describe.mjs"))
        .output()
        .unwrap();
    assert!(
        description.status.success(),
        "{}",
        String::from_utf8_lossy(&description.stderr)
    );
    let file = tempfile::Builder::new().suffix(".json").tempfile().unwrap();
    std::fs::write(file.path(), &description.stdout).unwrap();
    let port = TcpListener::bind("127.0.0.1:0")
        .unwrap()
        .local_addr()
        .unwrap()
        .port();
    let child = Command::new("node")
        .arg(prism.join("node_modules/.bin/prism"))
        .args([
            "proxy",
            "--errors",
            "--host",
            "127.0.0.1",
            "--port",
            &port.to_string(),
        ])
        .arg(file.path())
        .arg(upstream)
        .stdout(Stdio::null())
        .spawn()
        .unwrap();
    let running = Running(child);
    for _ in 0..600 {
        if tokio::net::TcpStream::connect(("127.0.0.1", port)).await.is_ok() {
            return (running, format!("http://127.0.0.1:{port}"));
        }
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    panic!("Prism doesn't listen after a minute");
}

#[tokio::test]
async fn requests_and_answers_are_as_github_describes_them() {
    if std::env::var("CODEX_K8S_TEST_PRISM").as_deref() != Ok("1") {
        println!("skipped: set CODEX_K8S_TEST_PRISM=1 to hold the adapter against GitHub's description");
        return;
    }
    let world = World::new().await;
    let (_prism, address) = prism(world.github.url()).await;
    let world = world.through(&address);
    for number in 0..101 {
        world
            .github
            .add_comment(REPOSITORY, 1, "ann", &format!("comment {number}"))
            .unwrap();
    }
    let (forge, repository) = (&world.forge, &world.repository);

    let issue = forge.issue(repository, 1).await.unwrap().unwrap();
    assert_eq!(issue.labels, ["run:dev", "bug"]);
    assert_eq!(forge.issue(repository, 404).await.unwrap(), None);
    assert_eq!(
        forge.permission(repository, "Codertocat").await.unwrap(),
        Permission::Admin
    );
    assert_eq!(
        forge.permission(repository, "renovate[bot]").await.unwrap(),
        Permission::Read
    );
    let id = forge
        .upsert_comment(repository, 1, None, "run:7", "one")
        .await
        .unwrap();
    assert_eq!(
        forge
            .upsert_comment(repository, 1, Some(id), "run:7", "two")
            .await
            .unwrap(),
        id
    );
    let text = "<!-- codex-k8s run:7 -->\ndouble";
    world
        .github
        .add_comment(REPOSITORY, 1, world.github.login(), text)
        .unwrap();
    assert_eq!(
        forge
            .upsert_comment(repository, 1, None, "run:7", "three")
            .await
            .unwrap(),
        id
    );
    assert_eq!(world.github.comments(REPOSITORY, 1).len(), 102);
}
