//! What only the simulator can: the faults that a test asks for, and leaving nothing behind.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    reason = "a test that fails may panic anywhere"
)]

use std::time::Duration;

use futures::{TryStreamExt, pin_mut};
use k8s_openapi::api::core::v1::{ConfigMap, Pod};
use kube::api::{Api, ListParams, LogParams, PostParams, WatchParams};
use kube::config::{KubeConfigOptions, Kubeconfig};
use kube::{Client, Config};
use serde_json::{Value, json};
use testkit::kubernetes::{Builder, Rule, Simulator, Subject};

async fn client(kubeconfig: &str) -> Client {
    let kubeconfig = Kubeconfig::from_yaml(kubeconfig).unwrap();
    let config = Config::from_custom_kubeconfig(kubeconfig, &KubeConfigOptions::default())
        .await
        .unwrap();
    // Its own repeats would hide the failures that are asked for.
    kube::client::ClientBuilder::try_from(config).unwrap().build()
}

async fn start(builder: Builder) -> (Simulator, Client) {
    let simulator = builder.start().await.unwrap();
    let client = client(&simulator.kubeconfig()).await;
    (simulator, client)
}

fn pod(name: &str, container: &Value) -> Pod {
    let mut container = container.clone();
    container["name"] = "main".into();
    serde_json::from_value(json!({
        "apiVersion": "v1", "kind": "Pod", "metadata": { "name": name },
        "spec": { "restartPolicy": "Never", "containers": [container] },
    }))
    .unwrap()
}

async fn phase(pods: &Api<Pod>, name: &str, wanted: &str) -> Pod {
    for _ in 0..400 {
        let pod = pods.get(name).await.unwrap();
        if pod.status.as_ref().and_then(|status| status.phase.as_deref()) == Some(wanted) {
            return pod;
        }
        tokio::time::sleep(Duration::from_millis(25)).await;
    }
    panic!("{name} doesn't become {wanted}");
}

async fn raw(simulator: &Simulator, token: &str) -> u16 {
    let url = format!("{}/api/v1/namespaces/default/configmaps", simulator.url());
    reqwest::Client::new()
        .get(url)
        .bearer_auth(token)
        .send()
        .await
        .unwrap()
        .status()
        .as_u16()
}

#[tokio::test]
async fn requests_fail_as_often_as_asked() {
    let (simulator, _) = start(Simulator::builder()).await;
    simulator.fail_requests(429, 1);
    let url = format!("{}/version", simulator.url());
    let answer = reqwest::Client::new()
        .get(&url)
        .bearer_auth(simulator.token())
        .send()
        .await
        .unwrap();
    assert_eq!(answer.status().as_u16(), 429);
    assert_eq!(answer.headers()["retry-after"], "1");
    simulator.fail_requests(500, 2);
    let mut codes = Vec::new();
    for _ in 0..3 {
        codes.push(raw(&simulator, simulator.token()).await);
    }
    assert_eq!(codes, [500, 500, 200]);
    simulator.stop().await;
}

#[tokio::test]
async fn requests_are_delayed() {
    let (simulator, _) = start(Simulator::builder()).await;
    simulator.delay_requests(Duration::from_millis(300));
    let begin = tokio::time::Instant::now();
    assert_eq!(raw(&simulator, simulator.token()).await, 200);
    assert!(begin.elapsed() >= Duration::from_millis(300));
    simulator.stop().await;
}

#[tokio::test]
async fn tokens_have_the_rights_they_were_given() {
    let reader = Subject::user("reader").allow(Rule::new(&["list"], &[""], &["configmaps"]));
    let builder = Simulator::builder()
        .subject("r", reader)
        .subject("n", Subject::user("nobody"));
    let (simulator, _) = start(builder).await;
    assert_eq!(raw(&simulator, "r").await, 200);
    assert_eq!(raw(&simulator, "n").await, 403);
    assert_eq!(raw(&simulator, "x").await, 401);
    let reader = client(&simulator.kubeconfig_for("r")).await;
    let maps: Api<ConfigMap> = Api::namespaced(reader, "default");
    maps.list(&ListParams::default()).await.unwrap();
    assert!(maps.get("kube-root-ca.crt").await.is_err());
    simulator.stop().await;
}

#[tokio::test]
async fn configurations_may_be_yaml() {
    let (simulator, client) = start(Simulator::builder()).await;
    let url = format!(
        "{}/api/v1/namespaces/default/configmaps/a?fieldManager=hand",
        simulator.url()
    );
    let answer = reqwest::Client::new()
        .patch(url)
        .bearer_auth(simulator.token())
        .header("content-type", "application/apply-patch+yaml")
        .body("apiVersion: v1\nkind: ConfigMap\nmetadata:\n  name: a\ndata:\n  k: 'yes'\n")
        .send()
        .await
        .unwrap();
    assert_eq!(answer.status().as_u16(), 201);
    let maps: Api<ConfigMap> = Api::namespaced(client, "default");
    assert_eq!(maps.get("a").await.unwrap().data.unwrap()["k"], "yes");
    simulator.stop().await;
}

#[tokio::test]
async fn watches_are_cut() {
    let (simulator, client) = start(Simulator::builder()).await;
    let maps: Api<ConfigMap> = Api::namespaced(client, "default");
    let version = maps
        .list(&ListParams::default())
        .await
        .unwrap()
        .metadata
        .resource_version
        .unwrap();
    let stream = maps.watch(&WatchParams::default(), &version).await.unwrap();
    pin_mut!(stream);
    simulator.drop_watches();
    let end = tokio::time::timeout(Duration::from_secs(5), stream.try_next()).await;
    assert!(!matches!(end.expect("the watch goes on"), Ok(Some(_))));
    simulator.stop().await;
}

#[tokio::test]
async fn held_pods_are_pending_and_go_on_later() {
    let (simulator, client) = start(Simulator::builder()).await;
    let pods: Api<Pod> = Api::namespaced(client, "default");
    simulator.hold_pods(true);
    let wanted = pod("p", &json!({ "image": "i", "command": ["true"] }));
    pods.create(&PostParams::default(), &wanted).await.unwrap();
    tokio::time::sleep(Duration::from_millis(400)).await;
    let held = phase(&pods, "p", "Pending").await;
    let conditions = held.status.unwrap().conditions.unwrap();
    assert_eq!(conditions[0].reason.as_deref(), Some("Unschedulable"));
    assert_eq!(pods.logs("p", &LogParams::default()).await.unwrap(), "");
    simulator.hold_pods(false);
    phase(&pods, "p", "Succeeded").await;
    simulator.stop().await;
}

#[tokio::test]
async fn images_stand_for_commands_on_an_extended_path() {
    use std::os::unix::fs::PermissionsExt;
    let dir = tempfile::tempdir().unwrap();
    let program = dir.path().join("greet");
    std::fs::write(&program, "#!/bin/sh\necho hello \"$1\" from \"$HOME\"; pwd\n").unwrap();
    std::fs::set_permissions(&program, std::fs::Permissions::from_mode(0o755)).unwrap();
    let builder = Simulator::builder()
        .with_path_dir(dir.path())
        .image_command("agent:1", &["greet", "you"]);
    let (simulator, client) = start(builder).await;
    let pods: Api<Pod> = Api::namespaced(client, "default");
    pods.create(&PostParams::default(), &pod("p", &json!({ "image": "agent:1" })))
        .await
        .unwrap();
    phase(&pods, "p", "Succeeded").await;
    let log = pods.logs("p", &LogParams::default()).await.unwrap();
    let lines: Vec<&str> = log.lines().collect();
    assert_eq!(lines[0], format!("hello you from {}", lines[1]));
    simulator.stop().await;
}

#[tokio::test]
async fn a_command_that_is_not_there() {
    let (simulator, client) = start(Simulator::builder()).await;
    let pods: Api<Pod> = Api::namespaced(client, "default");
    let wanted = pod(
        "p",
        &json!({ "image": "i", "command": ["no-such-command-anywhere"] }),
    );
    pods.create(&PostParams::default(), &wanted).await.unwrap();
    let status = phase(&pods, "p", "Failed")
        .await
        .status
        .unwrap()
        .container_statuses
        .unwrap();
    let ended = status[0].state.clone().unwrap().terminated.unwrap();
    assert_eq!(
        (ended.exit_code, ended.reason.as_deref()),
        (128, Some("StartError"))
    );
    simulator.stop().await;
}

#[tokio::test]
async fn nothing_is_left_behind() {
    let marks = tempfile::tempdir().unwrap();
    let mark = marks.path().join("mark");
    // The grandchild outlives its parent unless the whole group goes.
    let script = format!(
        "pwd; (while true; do date > {}; sleep 0.05; done) & sleep 300",
        mark.display()
    );
    let (simulator, client) = start(Simulator::builder()).await;
    let pods: Api<Pod> = Api::namespaced(client, "default");
    let wanted = pod("p", &json!({ "image": "i", "command": ["sh", "-c", script] }));
    pods.create(&PostParams::default(), &wanted).await.unwrap();
    phase(&pods, "p", "Running").await;
    let mut directory = String::new();
    while !mark.exists() || directory.is_empty() {
        pods.logs("p", &LogParams::default())
            .await
            .unwrap()
            .trim()
            .clone_into(&mut directory);
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    assert!(std::path::Path::new(&directory).is_dir());
    drop(simulator);
    tokio::time::sleep(Duration::from_millis(200)).await;
    std::fs::remove_file(&mark).unwrap();
    tokio::time::sleep(Duration::from_millis(300)).await;
    assert!(!mark.exists(), "the container's processes live on");
    assert!(
        !std::path::Path::new(&directory).exists(),
        "the container's directory is still there"
    );
}

#[tokio::test]
async fn a_snapshot_brings_the_objects_back_but_not_the_processes() {
    let (simulator, client) = start(Simulator::builder()).await;
    let pods: Api<Pod> = Api::namespaced(client, "default");
    let wanted = pod("p", &json!({ "image": "i", "command": ["sleep", "300"] }));
    pods.create(&PostParams::default(), &wanted).await.unwrap();
    let before = phase(&pods, "p", "Running").await;
    let snapshot = simulator.snapshot();
    simulator.stop().await;
    let (simulator, client) = start(Simulator::builder().restore(snapshot)).await;
    let pods: Api<Pod> = Api::namespaced(client, "default");
    let after = phase(&pods, "p", "Failed").await;
    assert_eq!(before.metadata.uid, after.metadata.uid);
    let version = |pod: &Pod| {
        pod.metadata
            .resource_version
            .clone()
            .unwrap()
            .parse::<u64>()
            .unwrap()
    };
    assert!(version(&after) > version(&before));
    simulator.stop().await;
}
