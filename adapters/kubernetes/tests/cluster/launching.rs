//! What a launch makes, and what it leaves alone.
#![expect(clippy::unwrap_used, reason = "a test that can't be set up fails")]

use std::fmt::Debug;

use domain::port::{Cluster as _, PortError};
use domain::workload::{Observation, Workload};
use k8s_openapi::NamespaceResourceScope;
use k8s_openapi::api::batch::v1::Job;
use k8s_openapi::api::core::v1::{LimitRange, Namespace, ResourceQuota, ServiceAccount};
use k8s_openapi::api::networking::v1::NetworkPolicy;
use k8s_openapi::api::rbac::v1::{Role, RoleBinding};
use kube::ResourceExt as _;
use kube::api::{Api, DeleteParams, Patch, PatchParams, PostParams};
use serde::de::DeserializeOwned;
use serde_json::json;

use crate::place::{Place, place, workload};

/// The versions of all that a launch makes and nobody else writes to; the Job's is its identity, since its status
/// is written to by others.
async fn versions(place: &Place, workload: &Workload) -> Vec<Option<String>> {
    async fn get<K>(place: &Place, workload: &Workload, name: &str) -> K
    where
        K: kube::Resource<Scope = NamespaceResourceScope, DynamicType = ()>
            + Clone
            + Debug
            + DeserializeOwned,
    {
        Api::namespaced(place.client.clone(), &workload.namespace)
            .get(name)
            .await
            .unwrap()
    }
    vec![
        get::<NetworkPolicy>(place, workload, "deny-all")
            .await
            .resource_version(),
        get::<NetworkPolicy>(place, workload, "allow-dns-and-https")
            .await
            .resource_version(),
        get::<LimitRange>(place, workload, "run").await.resource_version(),
        get::<ServiceAccount>(place, workload, "agent")
            .await
            .resource_version(),
        get::<Role>(place, workload, "agent").await.resource_version(),
        get::<RoleBinding>(place, workload, "agent")
            .await
            .resource_version(),
        get::<Job>(place, workload, &workload.job_name).await.uid(),
    ]
}

#[tokio::test]
async fn makes_everything_and_a_repeat_changes_nothing() {
    let (place, workload) = (place().await, workload("exit 0"));
    place.cluster.launch(&workload).await.unwrap();
    let first = versions(&place, &workload).await;
    assert!(first.iter().all(Option::is_some), "{first:?}");
    place.cluster.launch(&workload).await.unwrap();
    assert_eq!(versions(&place, &workload).await, first);

    let namespace = Api::<Namespace>::all(place.client.clone())
        .get(&workload.namespace)
        .await
        .unwrap();
    let labels = namespace.labels();
    assert_eq!(labels["pod-security.kubernetes.io/enforce"], "restricted");
    assert_eq!(labels["codex-k8s.dev/run"], workload.run.to_string());
    assert_eq!(labels["codex-k8s.dev/issue"], "1");
    let annotations = namespace.annotations();
    assert_eq!(
        annotations["codex-k8s.dev/correlation-id"],
        workload.correlation_id.as_str()
    );
    assert!(
        annotations["codex-k8s.dev/expires-at"].ends_with('Z'),
        "{annotations:?}"
    );
    let quota = Api::<ResourceQuota>::namespaced(place.client.clone(), &workload.namespace);
    assert!(
        quota
            .get("run")
            .await
            .unwrap()
            .spec
            .unwrap()
            .hard
            .unwrap()
            .contains_key("pods")
    );
    let job = Api::<Job>::namespaced(place.client.clone(), &workload.namespace);
    let spec = job.get(&workload.job_name).await.unwrap().spec.unwrap();
    assert_eq!(
        (spec.backoff_limit, spec.active_deadline_seconds),
        (Some(0), Some(120))
    );
    place.tidy(&workload).await;
}

#[tokio::test]
async fn two_launches_at_once_make_one_job() {
    let (place, workload) = (place().await, workload("exit 0"));
    let (one, two) = tokio::join!(place.cluster.launch(&workload), place.cluster.launch(&workload));
    for result in [one, two] {
        assert!(!matches!(result, Err(PortError::Refused { .. })), "{result:?}");
    }
    place.cluster.launch(&workload).await.unwrap();
    let jobs = Api::<Job>::namespaced(place.client.clone(), &workload.namespace);
    assert_eq!(
        jobs.list(&kube::api::ListParams::default())
            .await
            .unwrap()
            .items
            .len(),
        1
    );
    place.tidy(&workload).await;
}

#[tokio::test]
async fn a_foreign_namespace_is_left_alone() {
    let place = place().await;
    for labels in [
        json!({}),
        json!({ "codex-k8s.dev/run": "1" }),
        json!({ "app.kubernetes.io/managed-by": "codex-k8s", "codex-k8s.dev/run": "1" }),
    ] {
        let workload = workload("exit 0");
        let namespaces: Api<Namespace> = Api::all(place.client.clone());
        let foreign = json!({ "metadata": { "name": workload.namespace, "labels": labels } });
        namespaces
            .create(&PostParams::default(), &serde_json::from_value(foreign).unwrap())
            .await
            .unwrap();
        let error = place.cluster.launch(&workload).await.unwrap_err();
        assert!(matches!(error, PortError::Refused { .. }), "{error:?}");
        assert!(error.to_string().contains("left alone"), "{error}");
        let after = namespaces.get(&workload.namespace).await.unwrap();
        assert!(
            !after.labels().contains_key("pod-security.kubernetes.io/enforce"),
            "{:?}",
            after.labels()
        );
        let seen = place
            .cluster
            .observe(&workload.namespace, &workload.job_name)
            .await
            .unwrap();
        assert_eq!(seen, Observation::Missing);
        place.tidy(&workload).await;
    }
}

#[tokio::test]
async fn a_namespace_being_removed_is_waited_for() {
    let (place, workload) = (place().await, workload("exit 0"));
    place.cluster.launch(&workload).await.unwrap();
    let namespaces: Api<Namespace> = Api::all(place.client.clone());
    let held = json!({ "metadata": { "finalizers": ["codex-k8s.dev/test"] } });
    let merge = |patch| Patch::Merge(patch);
    namespaces
        .patch(&workload.namespace, &PatchParams::default(), &merge(held))
        .await
        .unwrap();
    namespaces
        .delete(&workload.namespace, &DeleteParams::default())
        .await
        .unwrap();
    let error = place.cluster.launch(&workload).await.unwrap_err();
    assert!(
        matches!(
            error,
            PortError::Unavailable {
                retry_after_ms: Some(_),
                ..
            }
        ),
        "{error:?}"
    );
    let released = json!({ "metadata": { "finalizers": null } });
    namespaces
        .patch(&workload.namespace, &PatchParams::default(), &merge(released))
        .await
        .unwrap();
}

#[tokio::test]
async fn what_the_server_finds_invalid_is_refused_with_its_words() {
    let (place, mut workload) = (place().await, workload("exit 0"));
    workload.deadline_s = -1;
    let error = place.cluster.launch(&workload).await.unwrap_err();
    assert!(matches!(error, PortError::Refused { .. }), "{error:?}");
    assert!(error.to_string().contains("activeDeadlineSeconds"), "{error}");
    place.tidy(&workload).await;
}
