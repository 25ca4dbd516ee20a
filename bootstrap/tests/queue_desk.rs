//! `codex-k8s queue` against a real database: a job is enqueued, found, changed, and the change is audited.

#![allow(clippy::unwrap_used, reason = "a test that can't go on ends")]

use std::process::Command;

use serde_json::Value;
use testkit::postgres::TestDatabase;

fn said(url: &str, arguments: &[&str]) -> String {
    let mut command = Command::new(env!("CARGO_BIN_EXE_codex-k8s"));
    for (name, _) in std::env::vars().filter(|(name, _)| name.starts_with("CODEX_K8S_")) {
        command.env_remove(name);
    }
    let output = command
        .args(arguments)
        .env("CODEX_K8S_DATABASE_URL", url)
        .output()
        .unwrap();
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    let errors = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{arguments:?} said: {text}{errors}");
    text
}

#[tokio::test]
async fn a_job_is_admitted_and_changed_from_the_command_line() {
    let database = TestDatabase::create().await;
    let url = database.url();
    said(url, &["migrate"]);
    let enqueue = ["queue", "--json", "enqueue", "user.welcome", r#"{"user": "ada"}"#];
    let to_mail = ["--queue", "mail", "--unique-key", "welcome-ada"];
    let admit = || serde_json::from_str::<Value>(&said(url, &[&enqueue[..], &to_mail].concat())).unwrap();
    let first = admit();
    assert_eq!(first["verdict"], "inserted");
    let second = admit();
    assert_eq!(
        (&second["id"], &second["verdict"]),
        (&first["id"], &"kept".into())
    );
    let id = first["id"].to_string();
    let listed = said(url, &["queue", "list", "--queue", "mail", "--json"]);
    assert!(
        listed.contains("user.welcome") && listed.contains("ada"),
        "{listed}"
    );
    said(url, &["queue", "cancel", &id, "--reason", "nobody wants it"]);
    let audited = said(url, &["queue", "audit", "--job", &id, "--json"]);
    assert!(audited.contains("nobody wants it"), "{audited}");
    let drained = said(url, &["worker", "drain", "--name", "nobody", "--wait", "1s"]);
    assert!(drained.contains("asked 0 workers"), "{drained}");
}
