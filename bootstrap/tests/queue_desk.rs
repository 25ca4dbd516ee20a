//! `codex-k8s queue` against a real database: jobs, queues and schedules are shown and changed, and every change is
//! audited.

#![allow(clippy::unwrap_used, reason = "a test that can't go on ends")]

use std::io::{BufRead, BufReader};
use std::process::{Command, Output, Stdio};

use domain::Secret;
use postgres::{Options, Store};
use queue::{Registry, Schedule, Worker, WorkerOptions};
use serde_json::{Value, json};
use testkit::postgres::TestDatabase;
use tokio_util::sync::CancellationToken;

fn run(url: &str, arguments: &[&str]) -> Output {
    let mut command = Command::new(env!("CARGO_BIN_EXE_codex-k8s"));
    for (name, _) in std::env::vars().filter(|(name, _)| name.starts_with("CODEX_K8S_")) {
        command.env_remove(name);
    }
    command.args(arguments).env("CODEX_K8S_DATABASE_URL", url);
    command.output().unwrap()
}

fn said(url: &str, arguments: &[&str]) -> String {
    let output = run(url, arguments);
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
}

#[tokio::test]
async fn a_drain_of_a_worker_that_never_was_fails_and_says_what_to_do() {
    let database = TestDatabase::create().await;
    let url = database.url();
    said(url, &["migrate"]);
    let unknown = refused(url, &["worker", "drain", "--name", "nobody", "--wait", "1s"]);
    assert!(
        unknown.contains("there is no worker named nobody") && unknown.contains("queue workers"),
        "{unknown}"
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_worker_is_drained_from_the_command_line() {
    let database = TestDatabase::create().await;
    let url = database.url();
    said(url, &["migrate"]);
    let unknown = refused(url, &["queue", "drain", "nobody"]);
    assert!(unknown.contains("no worker named nobody lives"), "{unknown}");
    let options = Options::new(Secret::new(url.to_owned()));
    let store = Store::connect(&options).await.unwrap();
    let options = WorkerOptions {
        name: "pod-0".to_owned(),
        queues: vec![("mail".to_owned(), 1)],
        ..WorkerOptions::default()
    };
    let worker = Worker::new(store.queue().clone(), Registry::new(), (), options);
    let running = tokio::spawn(worker.run(CancellationToken::new()));
    while !said(url, &["queue", "workers"]).contains("pod-0") {
        assert!(!running.is_finished(), "the worker ended by itself");
    }
    let answer = said(
        url,
        &["queue", "drain", "pod-0", "--reason", "its node is leaving"],
    );
    assert!(answer.contains("pod-0 drains"), "{answer}");
    running.await.unwrap().unwrap();
    refused(url, &["queue", "drain", "pod-0"]);
    let audited = said(url, &["queue", "audit", "--json"]);
    assert_eq!(audited.matches("its node is leaving").count(), 1, "{audited}");
}

/// What it complained about, with the exit code of a failure.
fn refused(url: &str, arguments: &[&str]) -> String {
    let output = run(url, arguments);
    assert_eq!(output.status.code(), Some(1), "{arguments:?}");
    String::from_utf8_lossy(&output.stderr).into_owned()
}

#[tokio::test]
async fn queues_are_paused_and_limited_from_the_command_line() {
    let database = TestDatabase::create().await;
    let url = database.url();
    said(url, &["migrate"]);
    said(url, &["queue", "enqueue", "user.welcome", "--queue", "mail"]);
    let typo = refused(url, &["queue", "pause", "mial"]);
    assert!(
        typo.contains("there is no queue mial; there are: ") && typo.contains("mail"),
        "{typo}"
    );

    let paused = said(url, &["queue", "pause", "mail", "--reason", "the relay is down"]);
    assert!(paused.contains("the queue mail is paused"), "{paused}");
    said(url, &["queue", "pause", "--kind", "user.welcome"]);
    said(url, &["queue", "pause", "mail", "--tenant", "acme"]);
    let list = said(url, &["queue", "pauses", "--json"]);
    let list: Value = serde_json::from_str(&list).unwrap();
    assert_eq!(list.as_array().unwrap().len(), 3, "{list}");
    let again = said(url, &["queue", "pause", "mail"]);
    assert!(again.contains("was paused already"), "{again}");
    for what in [
        &["mail"][..],
        &["--kind", "user.welcome"],
        &["mail", "--tenant", "acme"],
    ] {
        let resumed = said(url, &[&["queue", "resume"], what].concat());
        assert!(resumed.contains("goes on"), "{resumed}");
    }

    let limit = [
        "queue",
        "limits",
        "mail",
        "--max-running",
        "5",
        "--rate-per-key",
        "10/60s",
    ];
    said(url, &limit);
    let shown = said(url, &["queue", "limits", "mail", "--max-running", "none"]);
    assert!(
        shown.contains("10/60s") && !shown.contains('5'),
        "the other limit stays: {shown}"
    );

    let audited = said(url, &["queue", "audit", "--subject", "queue mail", "--json"]);
    let audited: Value = serde_json::from_str(&audited).unwrap();
    let actions: Vec<&str> = audited
        .as_array()
        .unwrap()
        .iter()
        .map(|e| e["action"].as_str().unwrap())
        .collect();
    assert_eq!(actions, ["limits", "limits", "resume", "pause"]);
    assert_eq!(audited[3]["reason"], "the relay is down");
    assert_eq!(
        (
            &audited[0]["before"]["max_running"],
            &audited[0]["after"]["max_running"]
        ),
        (&5.into(), &Value::Null)
    );
}

#[tokio::test]
async fn schedules_are_paused_and_run_from_the_command_line() {
    let database = TestDatabase::create().await;
    let url = database.url();
    said(url, &["migrate"]);
    let store = Store::connect(&Options::new(Secret::new(url.to_owned())))
        .await
        .unwrap();
    let nightly = Schedule::new("nightly", "0 3 * * *", "mail", "report.build", json!({}));
    let mut conn = store.queue().pool().acquire().await.unwrap();
    store.queue().put_schedule(&mut conn, nightly).await.unwrap();
    let schedules = |arguments: &[&str]| said(url, &[&["queue", "schedules"], arguments].concat());
    assert!(schedules(&["pause", "nightly"]).contains("is paused"));
    assert!(schedules(&["run-now", "nightly"]).contains("enqueued job "));
    assert!(schedules(&["ticks", "nightly"]).contains("true"));
    assert!(schedules(&["resume", "nightly"]).contains("next at "));
    let listed = schedules(&["list"]);
    assert!(
        listed.contains("nightly") && listed.contains("0 3 * * *"),
        "{listed}"
    );
    assert!(schedules(&["remove", "nightly"]).contains("is gone"));
    let unknown = refused(url, &["queue", "schedules", "run-now", "nightly"]);
    assert!(unknown.contains("there is no schedule nightly"), "{unknown}");
    let audited = said(url, &["queue", "audit", "--subject", "schedule nightly"]);
    assert!(
        audited.contains("trigger") && audited.contains("remove"),
        "{audited}"
    );
}

/// The worker that runs until it is killed, and the first line of its log that has the text.
fn says(url: &str, variables: &[(&str, &str)], text: &str) -> String {
    let mut worker = Command::new(env!("CARGO_BIN_EXE_codex-k8s"))
        .arg("worker")
        .envs([
            ("CODEX_K8S_DATABASE_URL", url),
            ("CODEX_K8S_METRICS_LISTEN", "127.0.0.1:0"),
            ("CODEX_K8S_GITHUB_TOKEN", "nobody"),
            ("CODEX_K8S_GITHUB_API_URL", "http://127.0.0.1:1"),
            ("CODEX_K8S_GITHUB_LOGIN", "nobody"),
            ("CODEX_K8S_KUBERNETES_URL", "http://127.0.0.1:1"),
            ("CODEX_K8S_KUBERNETES_TOKEN", "nobody"),
            ("CODEX_K8S_AGENT_IMAGE", "none"),
        ])
        .envs(variables.iter().copied())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let log = BufReader::new(worker.stderr.take().unwrap());
    let line = log.lines().map_while(Result::ok).find(|line| line.contains(text));
    worker.kill().unwrap();
    worker.wait().unwrap();
    line.unwrap_or_else(|| panic!("it never said `{text}`"))
}

#[tokio::test]
async fn a_worker_is_told_to_poll_and_says_so_at_its_start() {
    let database = TestDatabase::create().await;
    let url = database.url();
    said(url, &["migrate"]);
    let polls = says(url, &[("CODEX_K8S_QUEUE_WAKE", "poll")], "worker started");
    assert!(polls.contains("poll only"), "{polls}");
    let listens = says(url, &[], "worker started");
    assert!(listens.contains("notify"), "{listens}");
}
