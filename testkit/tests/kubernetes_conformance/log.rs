//! Pod logs.

use std::time::Duration;

use futures::{AsyncBufReadExt, TryStreamExt};
use k8s_openapi::api::core::v1::Pod;
use kube::api::{Api, DeleteParams, LogParams, PostParams};
use serde_json::json;

use crate::stage::{Stage, container, eventually, gone, pod, refused, typed};

async fn phase(pods: &Api<Pod>, name: &str, wanted: &str) -> Pod {
    eventually(&format!("{name} to be {wanted}"), || async {
        let pod = pods.get(name).await.unwrap();
        let phase = pod.status.as_ref().and_then(|status| status.phase.clone());
        (phase.as_deref() == Some(wanted)).then_some(pod)
    })
    .await
}

#[tokio::test]
async fn whole_and_in_part() {
    let stage = Stage::set("log").await;
    if stage.has_nodes().await {
        let pods: Api<Pod> = stage.api();
        let script = "echo one; echo two; echo three >&2; printf four";
        pods.create(&PostParams::default(), &pod("p", script))
            .await
            .unwrap();
        phase(&pods, "p", "Succeeded").await;
        let log = pods.logs("p", &LogParams::default()).await.unwrap();
        let mut lines: Vec<&str> = log.lines().collect();
        lines.sort_unstable();
        assert_eq!(lines, ["four", "one", "three", "two"]);
        let tail = pods
            .logs(
                "p",
                &LogParams {
                    tail_lines: Some(2),
                    ..LogParams::default()
                },
            )
            .await
            .unwrap();
        assert_eq!(tail.lines().count(), 2);
        let limited = pods
            .logs(
                "p",
                &LogParams {
                    limit_bytes: Some(6),
                    ..LogParams::default()
                },
            )
            .await
            .unwrap();
        assert_eq!(limited.len(), 6);
        let stamped = pods
            .logs(
                "p",
                &LogParams {
                    timestamps: true,
                    ..LogParams::default()
                },
            )
            .await
            .unwrap();
        assert!(
            stamped
                .lines()
                .all(|line| line.starts_with("20") && line.contains(' ')),
            "{stamped}"
        );
        let params = LogParams {
            container: Some("other".into()),
            ..LogParams::default()
        };
        refused(pods.logs("p", &params).await, 400, "BadRequest");
    }
    refused(
        stage.api::<Pod>().logs("nobody", &LogParams::default()).await,
        404,
        "NotFound",
    );
    stage.clear().await;
}

#[tokio::test]
async fn followed_to_the_end() {
    let stage = Stage::set("log").await;
    if stage.has_nodes().await {
        let pods: Api<Pod> = stage.api();
        let script = "for i in 1 2 3; do echo line $i; sleep 1; done";
        pods.create(&PostParams::default(), &pod("p", script))
            .await
            .unwrap();
        phase(&pods, "p", "Running").await;
        let params = LogParams {
            follow: true,
            ..LogParams::default()
        };
        let lines = pods.log_stream("p", &params).await.unwrap().lines();
        let all = tokio::time::timeout(Duration::from_mins(1), lines.try_collect::<Vec<_>>()).await;
        assert_eq!(
            all.expect("the log has no end").unwrap(),
            ["line 1", "line 2", "line 3"]
        );
    }
    stage.clear().await;
}

#[tokio::test]
async fn not_before_the_container_starts() {
    let stage = Stage::set("log").await;
    if stage.has_nodes().await {
        let pods: Api<Pod> = stage.api();
        let mut main = container("true");
        main["env"] =
            json!([{ "name": "A", "valueFrom": { "secretKeyRef": { "name": "absent", "key": "k" } } }]);
        let waiting: Pod = typed(
            json!({ "metadata": { "name": "p" }, "spec": { "restartPolicy": "Never", "containers": [main] } }),
        );
        pods.create(&PostParams::default(), &waiting).await.unwrap();
        eventually("the container to wait for the secret", || async {
            let status = pods.get("p").await.unwrap().status?.container_statuses?;
            let reason = status[0].state.clone()?.waiting?.reason?;
            (reason == "CreateContainerConfigError").then_some(())
        })
        .await;
        let status = refused(pods.logs("p", &LogParams::default()).await, 400, "BadRequest");
        assert!(
            status.message.contains("is waiting to start"),
            "{}",
            status.message
        );
    }
    stage.clear().await;
}

#[tokio::test]
async fn the_environment_reaches_the_container() {
    let stage = Stage::set("log").await;
    if stage.has_nodes().await {
        let secrets: Api<k8s_openapi::api::core::v1::Secret> = stage.api();
        let secret = typed(json!({ "metadata": { "name": "s" }, "stringData": { "k": "hidden" } }));
        secrets.create(&PostParams::default(), &secret).await.unwrap();
        let pods: Api<Pod> = stage.api();
        let mut main = container("true");
        main["command"] = json!(["sh", "-c", "echo \"$PLAIN $NAME $SECRET $BOTH $0\"", "$(BOTH)"]);
        main["env"] = json!([
            { "name": "PLAIN", "value": "a b" },
            { "name": "NAME", "valueFrom": { "fieldRef": { "fieldPath": "metadata.name" } } },
            { "name": "SECRET", "valueFrom": { "secretKeyRef": { "name": "s", "key": "k" } } },
            { "name": "BOTH", "value": "$(PLAIN)-$(NAME)-$(NONE)" },
        ]);
        let pod: Pod = typed(
            json!({ "metadata": { "name": "p" }, "spec": { "restartPolicy": "Never", "containers": [main] } }),
        );
        pods.create(&PostParams::default(), &pod).await.unwrap();
        phase(&pods, "p", "Succeeded").await;
        let log = pods.logs("p", &LogParams::default()).await.unwrap();
        assert_eq!(log.trim(), "a b p hidden a b-p-$(NONE) a b-p-$(NONE)");
    }
    stage.clear().await;
}

#[tokio::test]
async fn a_deleted_pod_is_asked_to_end() {
    let stage = Stage::set("log").await;
    if stage.has_nodes().await {
        let pods: Api<Pod> = stage.api();
        let script = "trap 'echo asked; exit 0' TERM; echo up; while true; do sleep 0.1; done";
        let mut wanted = pod("p", script);
        wanted.metadata.finalizers = Some(vec!["example.com/hold".into()]);
        pods.create(&PostParams::default(), &wanted).await.unwrap();
        phase(&pods, "p", "Running").await;
        eventually("its first line", || async {
            let log = pods.logs("p", &LogParams::default()).await.unwrap();
            log.contains("up").then_some(())
        })
        .await;
        pods.delete("p", &DeleteParams::default().grace_period(20))
            .await
            .unwrap();
        phase(&pods, "p", "Succeeded").await;
        let free = kube::api::Patch::Merge(json!({ "metadata": { "finalizers": null } }));
        pods.patch("p", &kube::api::PatchParams::default(), &free)
            .await
            .unwrap();
        gone(&pods, "p").await;
    }
    stage.clear().await;
}
