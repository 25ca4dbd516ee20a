//! Refusals by a namespace's policies: quotas, limits, pod security.

use k8s_openapi::api::core::v1::{ConfigMap, LimitRange, Pod, ResourceQuota};
use kube::api::{Api, PostParams};
use serde_json::{Value, json};

use crate::stage::{Stage, config_map, container, eventually, pod, refused, typed};

/// Waits until the cluster has counted: before, a quota isn't enforced.
async fn quota(stage: &Stage, hard: &Value) {
    let quotas: Api<ResourceQuota> = stage.api();
    let wanted: ResourceQuota = typed(json!({ "metadata": { "name": "limits" }, "spec": { "hard": hard } }));
    quotas.create(&PostParams::default(), &wanted).await.unwrap();
    eventually("the quota to be counted", || async {
        let status = quotas.get("limits").await.unwrap().status?;
        (status.hard.is_some() && status.used.is_some()).then_some(())
    })
    .await;
}

#[tokio::test]
async fn a_quota_on_pods() {
    let stage = Stage::set("quota").await;
    let pods: Api<Pod> = stage.api();
    quota(&stage, &json!({ "pods": "1" })).await;
    pods.create(&PostParams::default(), &pod("first", "sleep 300"))
        .await
        .unwrap();
    let second = pods
        .create(&PostParams::default(), &pod("second", "sleep 300"))
        .await;
    let status = refused(second, 403, "Forbidden");
    let expected = "exceeded quota: limits, requested: pods=1, used: pods=1, limited: pods=1";
    assert!(status.message.contains(expected), "{}", status.message);
    stage.clear().await;
}

#[tokio::test]
async fn a_quota_on_objects() {
    let stage = Stage::set("quota").await;
    let maps: Api<ConfigMap> = stage.api();
    // The cluster's own ConfigMap counts too.
    eventually("the cluster's own object", || async {
        maps.get_opt("kube-root-ca.crt").await.unwrap()
    })
    .await;
    quota(&stage, &json!({ "count/configmaps": "2" })).await;
    maps.create(&PostParams::default(), &config_map("first", "1"))
        .await
        .unwrap();
    let status = refused(
        maps.create(&PostParams::default(), &config_map("second", "1"))
            .await,
        403,
        "Forbidden",
    );
    assert!(
        status.message.contains("exceeded quota: limits"),
        "{}",
        status.message
    );
    let quotas: Api<ResourceQuota> = stage.api();
    eventually("the quota to show its use", || async {
        let used = quotas.get("limits").await.unwrap().status?.used?;
        (used["count/configmaps"].0 == "2").then_some(())
    })
    .await;
    stage.clear().await;
}

#[tokio::test]
async fn a_quota_on_cpu_asks_for_numbers() {
    let stage = Stage::set("quota").await;
    let pods: Api<Pod> = stage.api();
    quota(&stage, &json!({ "limits.cpu": "1" })).await;
    let silent = pods
        .create(&PostParams::default(), &pod("silent", "sleep 300"))
        .await;
    let status = refused(silent, 403, "Forbidden");
    assert!(
        status.message.contains("must specify limits.cpu"),
        "{}",
        status.message
    );
    let sized = |name: &str, cpu: &str| -> Pod {
        let mut main = container("sleep 300");
        main["resources"] = json!({ "limits": { "cpu": cpu } });
        typed(
            json!({ "metadata": { "name": name }, "spec": { "restartPolicy": "Never", "containers": [main] } }),
        )
    };
    pods.create(&PostParams::default(), &sized("small", "600m"))
        .await
        .unwrap();
    let status = refused(
        pods.create(&PostParams::default(), &sized("big", "500m")).await,
        403,
        "Forbidden",
    );
    assert!(
        status
            .message
            .contains("requested: limits.cpu=500m, used: limits.cpu=600m"),
        "{}",
        status.message
    );
    stage.clear().await;
}

#[tokio::test]
async fn a_limit_range_fills_in_and_refuses() {
    let stage = Stage::set("limit").await;
    let ranges: Api<LimitRange> = stage.api();
    let range: LimitRange = typed(json!({ "metadata": { "name": "limits" }, "spec": { "limits": [{
        "type": "Container", "default": { "memory": "256Mi" }, "defaultRequest": { "memory": "128Mi" },
        "max": { "memory": "1Gi" },
    }] } }));
    ranges.create(&PostParams::default(), &range).await.unwrap();
    let pods: Api<Pod> = stage.api();
    let too_big = |name: &str| -> Pod {
        let mut main = container("sleep 300");
        main["resources"] = json!({ "limits": { "memory": "2Gi" } });
        typed(
            json!({ "metadata": { "name": name }, "spec": { "restartPolicy": "Never", "containers": [main] } }),
        )
    };
    // The API server may take a moment to see the range.
    let mut count = 0;
    let status = eventually("the limit to hold", || {
        count += 1;
        let (pods, big) = (&pods, too_big(&format!("big-{count}")));
        async move { pods.create(&PostParams::default(), &big).await.err() }
    })
    .await;
    let status = refused::<Pod>(Err(status), 403, "Forbidden");
    let expected = "maximum memory usage per Container is 1Gi, but limit is 2Gi";
    assert!(status.message.contains(expected), "{}", status.message);
    let made = pods
        .create(&PostParams::default(), &pod("plain", "sleep 300"))
        .await
        .unwrap();
    let resources = made.spec.unwrap().containers[0].resources.clone().unwrap();
    assert_eq!(resources.limits.unwrap()["memory"].0, "256Mi");
    assert_eq!(resources.requests.unwrap()["memory"].0, "128Mi");
    stage.clear().await;
}

#[tokio::test]
async fn restricted_pods() {
    let labels = json!({ "pod-security.kubernetes.io/enforce": "restricted" });
    let stage = Stage::set_with("security", labels).await;
    let pods: Api<Pod> = stage.api();
    pods.create(&PostParams::default(), &pod("good", "sleep 300"))
        .await
        .unwrap();
    let with = |path: &str, value: Value| -> Pod {
        let mut spec = json!({ "restartPolicy": "Never", "containers": [container("true")] });
        *spec.pointer_mut(path).unwrap() = value;
        typed(json!({ "metadata": { "name": "bad" }, "spec": spec }))
    };
    for (path, value, complaint) in [
        (
            "/containers/0/securityContext/allowPrivilegeEscalation",
            json!(true),
            "allowPrivilegeEscalation != false",
        ),
        (
            "/containers/0/securityContext/capabilities/drop",
            json!([]),
            "unrestricted capabilities",
        ),
        (
            "/containers/0/securityContext/runAsNonRoot",
            json!(false),
            "runAsNonRoot != true",
        ),
        ("/containers/0/securityContext/runAsUser", json!(0), "runAsUser=0"),
        (
            "/containers/0/securityContext/seccompProfile/type",
            json!("Unconfined"),
            "seccompProfile",
        ),
    ] {
        let status = refused(
            pods.create(&PostParams::default(), &with(path, value)).await,
            403,
            "Forbidden",
        );
        assert!(
            status
                .message
                .contains("violates PodSecurity \"restricted:latest\""),
            "{}",
            status.message
        );
        assert!(status.message.contains(complaint), "{}", status.message);
    }
    let mut host: Pod = pod("bad", "true");
    host.spec.as_mut().unwrap().host_network = Some(true);
    let status = refused(pods.create(&PostParams::default(), &host).await, 403, "Forbidden");
    assert!(
        status.message.contains("host namespaces (hostNetwork=true)"),
        "{}",
        status.message
    );
    let mut path: Pod = pod("bad", "true");
    path.spec.as_mut().unwrap().volumes =
        serde_json::from_value(json!([{ "name": "v", "hostPath": { "path": "/" } }])).unwrap();
    let status = refused(pods.create(&PostParams::default(), &path).await, 403, "Forbidden");
    assert!(
        status.message.contains("restricted volume types"),
        "{}",
        status.message
    );
    stage.clear().await;
}
