//! What the program says before it does anything.

#![allow(clippy::unwrap_used, reason = "a test that can't go on ends")]

use std::process::Command;

fn said(arguments: &[&str], variables: &[(&str, &str)]) -> (bool, String) {
    let mut command = Command::new(env!("CARGO_BIN_EXE_codex-k8s"));
    for (name, _) in std::env::vars().filter(|(name, _)| name.starts_with("CODEX_K8S_")) {
        command.env_remove(name);
    }
    let output = command
        .args(arguments)
        .envs(variables.iter().copied())
        .output()
        .unwrap();
    let text = [output.stdout, output.stderr].concat();
    (
        output.status.success(),
        String::from_utf8_lossy(&text).into_owned(),
    )
}

#[test]
fn help_prints_every_variable() {
    let (ok, text) = said(&["--help"], &[]);
    assert!(ok);
    for name in [
        "CODEX_K8S_DATABASE_URL *",
        "CODEX_K8S_WEBHOOK_SECRETS *",
        "CODEX_K8S_LISTEN ",
        "CODEX_K8S_LOG_FORMAT",
    ] {
        assert!(text.contains(name), "{name} is missing in {text}");
    }
}

#[test]
fn wrong_use_is_explained() {
    let database = ("CODEX_K8S_DATABASE_URL", "postgres://u:p@127.0.0.1:1/d");
    let secrets = ("CODEX_K8S_WEBHOOK_SECRETS", "0123456789abcdef");
    for (arguments, variables, expected) in [
        (vec!["gateway"], vec![database, secrets], "CODEX_K8S_MODE=dev"),
        (
            vec!["gateway"],
            vec![("CODEX_K8S_LOG_FORMAT", "xml")],
            "text or json",
        ),
        (vec!["worker"], vec![database], "CODEX_K8S_GITHUB_TOKEN"),
        (vec!["worker", "--concurrency", "0"], vec![], "1..=10000"),
        (vec!["migrate"], vec![], "CODEX_K8S_DATABASE_URL"),
        (
            vec!["migrate"],
            vec![database, ("CODEX_K8S_QUEUE_WAKE", "sometimes")],
            "notify, or poll",
        ),
        (vec!["queue", "counts"], vec![], "CODEX_K8S_DATABASE_URL"),
        (
            vec!["queue", "retry", "--state", "died"],
            vec![database],
            "cancelled or dead",
        ),
        (
            vec!["queue", "reschedule", "1", "--now", "--after", "5"],
            vec![database],
            "cannot be used with",
        ),
        (vec!["jobs", "list", "--limit", "0"], vec![], "1..=200"),
        (
            vec!["runs", "list"],
            vec![("CODEX_K8S_DATA_DIR", "/nowhere")],
            "CODEX_K8S_STAFF_TOKEN",
        ),
        (vec!["deliveries", "show", "a/b"], vec![], "delivery identifier"),
        (
            vec!["runs", "list"],
            vec![
                ("CODEX_K8S_STAFF_TOKEN", "t"),
                ("CODEX_K8S_URL", "http://127.0.0.1:1"),
            ],
            "no gateway answers at http://127.0.0.1:1",
        ),
    ] {
        let (ok, text) = said(&arguments, &variables);
        assert!(!ok && text.contains(expected), "{arguments:?} said: {text}");
    }
}

#[test]
fn an_agent_without_a_program_prints_its_brief() {
    let brief = [("CODEX_K8S_RUN_ID", "7"), ("CODEX_K8S_STAGE", "dev")];
    let (ok, text) = said(&["agent"], &brief);
    assert!(ok && text.starts_with("run_id: 7\nstage: dev\n"), "{text}");
}

#[test]
fn an_agent_s_program_gets_the_brief_and_gives_its_exit_code() {
    let folder = tempfile::tempdir().unwrap();
    let script = folder.path().join("program");
    std::fs::write(&script, "read -r brief\necho \"got $brief\"\nexit 3\n").unwrap();
    let program = format!("sh {}", script.display());
    let output = Command::new(env!("CARGO_BIN_EXE_codex-k8s"))
        .arg("agent")
        .envs([
            ("CODEX_K8S_RUN_ID", "7"),
            ("CODEX_K8S_AGENT_PROGRAM", program.as_str()),
        ])
        .output()
        .unwrap();
    assert_eq!(output.status.code(), Some(3));
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    assert!(
        text.contains("got {") && text.contains(r#""run_id":"7""#),
        "{text}"
    );
}
