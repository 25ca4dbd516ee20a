//! What a run asks of the cluster: always the same for the same run, and as the settings say.

use std::collections::BTreeMap;

use chrono::TimeDelta;
use jobs::Settings;

use crate::world::World;

#[tokio::test]
async fn the_same_run_gives_the_same_workload() {
    let world = World::new();
    let settings = Settings::default();
    let run = world.preparing(1).await;
    let first = settings.workload(&run);
    assert_eq!(settings.clone().workload(&run.clone()), first);
    world.start(run.id).await.unwrap();
    let later = world.run(run.id);
    assert_ne!(later.state, run.state);
    assert_eq!(settings.workload(&later), first, "its state has no part in it");
    world.cancel(&later).await;
    let other = world.preparing(2).await;
    assert_ne!(settings.workload(&other).namespace, first.namespace);
}

#[tokio::test]
async fn settings_and_run_reach_the_workload() {
    let world = World::new();
    let mut run = world.preparing(1).await;
    run.revise = true;
    let settings = Settings {
        agent_image: "registry.example/agent:1".to_owned(),
        agent_command: vec!["agent".to_owned(), "--fast".to_owned()],
        agent_deadline_s: 77,
        namespace_lease_s: 120,
        ..Settings::default()
    };
    let workload = settings.workload(&run);
    assert_eq!((workload.run, workload.issue), (run.id, 1));
    assert_eq!(
        (workload.project.as_str(), workload.role.as_str()),
        ("demo", "dev")
    );
    assert_eq!(workload.correlation_id, run.correlation_id);
    assert_eq!(Some(&workload.namespace), run.namespace.as_ref());
    assert_eq!(workload.job_name, "agent-r1");
    assert_eq!(workload.image, "registry.example/agent:1");
    assert_eq!(workload.command, ["agent", "--fast"]);
    assert_eq!(workload.deadline_s, 77);
    assert_eq!(workload.expires_at - run.created_at, TimeDelta::seconds(120));
    let correlation = run.correlation_id.to_string();
    let expected = BTreeMap::from([
        ("CODEX_K8S_CORRELATION_ID", correlation.as_str()),
        ("CODEX_K8S_ISSUE", "1"),
        ("CODEX_K8S_PROJECT", "demo"),
        ("CODEX_K8S_REPOSITORY", "codertocat/hello-world"),
        ("CODEX_K8S_REVISE", "true"),
        ("CODEX_K8S_ROLE", "dev"),
        ("CODEX_K8S_RUN_ID", "1"),
        ("CODEX_K8S_STAGE", "dev"),
    ]);
    let env: BTreeMap<&str, &str> = workload
        .env
        .iter()
        .map(|(name, value)| (name.as_str(), value.as_str()))
        .collect();
    assert_eq!(env, expected);
}
