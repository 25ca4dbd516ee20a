//! Namespaces: what comes with them, and how they end.

use k8s_openapi::api::core::v1::{ConfigMap, Namespace};
use kube::api::{Api, DeleteParams, Patch, PatchParams, PostParams};
use serde_json::json;

use crate::stage::{Stage, causes, config_map, eventually, gone, refused, typed};

#[tokio::test]
async fn a_new_namespace() {
    let stage = Stage::set("namespace").await;
    let namespaces: Api<Namespace> = Api::all(stage.client.clone());
    let namespace = namespaces.get(&stage.namespace).await.unwrap();
    assert_eq!(
        namespace.metadata.labels.unwrap()["kubernetes.io/metadata.name"],
        stage.namespace
    );
    assert_eq!(namespace.spec.unwrap().finalizers.unwrap(), ["kubernetes"]);
    assert_eq!(namespace.status.unwrap().phase.unwrap(), "Active");
    let again: Namespace = typed(json!({ "metadata": { "name": stage.namespace } }));
    refused(
        namespaces.create(&PostParams::default(), &again).await,
        409,
        "AlreadyExists",
    );
    stage.clear().await;
}

#[tokio::test]
async fn termination_waits_for_finalizers_and_says_so() {
    let stage = Stage::set("namespace").await;
    let namespaces: Api<Namespace> = Api::all(stage.client.clone());
    let maps: Api<ConfigMap> = stage.api();
    let held: ConfigMap =
        typed(json!({ "metadata": { "name": "held", "finalizers": ["example.com/hold"] } }));
    maps.create(&PostParams::default(), &held).await.unwrap();
    maps.create(&PostParams::default(), &config_map("free", "1"))
        .await
        .unwrap();
    let marked = namespaces
        .delete(&stage.namespace, &DeleteParams::default())
        .await
        .unwrap();
    let marked = marked.left().expect("the namespace is gone at once");
    assert_eq!(marked.status.unwrap().phase.unwrap(), "Terminating");

    let refusal = refused(
        maps.create(&PostParams::default(), &config_map("late", "1"))
            .await,
        403,
        "Forbidden",
    );
    assert!(
        causes(&refusal)
            .iter()
            .any(|(reason, _)| reason == "NamespaceTerminating"),
        "{refusal:?}"
    );
    gone(&maps, "free").await;
    let message = eventually("the condition that names the finalizer", || async {
        let namespace = namespaces.get(&stage.namespace).await.unwrap();
        let conditions = namespace.status.unwrap().conditions.unwrap_or_default();
        let remaining = conditions
            .into_iter()
            .find(|c| c.type_ == "NamespaceFinalizersRemaining");
        remaining.filter(|c| c.status == "True").and_then(|c| c.message)
    })
    .await;
    assert!(
        message.contains("example.com/hold in 1 resource instances"),
        "{message}"
    );
    // A second deletion is harmless.
    namespaces
        .delete(&stage.namespace, &DeleteParams::default())
        .await
        .unwrap();

    let free = Patch::Merge(json!({ "metadata": { "finalizers": null } }));
    maps.patch("held", &PatchParams::default(), &free).await.unwrap();
    gone(&namespaces, &stage.namespace).await;
}

#[tokio::test]
async fn the_systems_namespaces_stay() {
    let stage = Stage::set("namespace").await;
    let namespaces: Api<Namespace> = Api::all(stage.client.clone());
    refused(
        namespaces.delete("default", &DeleteParams::default()).await,
        403,
        "Forbidden",
    );
    refused(
        namespaces
            .delete("conformance-nowhere", &DeleteParams::default())
            .await,
        404,
        "NotFound",
    );
    stage.clear().await;
}
