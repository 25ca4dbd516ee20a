//! Finalizers: an object stays until the last of them is gone.

use k8s_openapi::api::core::v1::ConfigMap;
use kube::api::{Api, DeleteParams, Patch, PatchParams, PostParams};
use serde_json::json;

use crate::stage::{Stage, gone, refused, typed};

#[tokio::test]
async fn a_finalizer_holds_an_object_back() {
    let stage = Stage::set("finalizer").await;
    let maps: Api<ConfigMap> = stage.api();
    let held: ConfigMap = typed(json!({ "metadata": { "name": "a", "finalizers": ["example.com/hold"] } }));
    maps.create(&PostParams::default(), &held).await.unwrap();
    let marked = maps
        .delete("a", &DeleteParams::default())
        .await
        .unwrap()
        .left()
        .expect("it is gone");
    assert!(marked.metadata.deletion_timestamp.is_some());
    let waiting = maps.get("a").await.unwrap();
    assert_eq!(waiting.metadata.finalizers.unwrap(), ["example.com/hold"]);
    assert_eq!(
        waiting.metadata.deletion_timestamp,
        marked.metadata.deletion_timestamp
    );
    // Nobody can hold it longer, and a second deletion changes nothing.
    let more =
        Patch::Merge(json!({ "metadata": { "finalizers": ["example.com/hold", "example.com/more"] } }));
    refused(
        maps.patch("a", &PatchParams::default(), &more).await,
        422,
        "Invalid",
    );
    maps.delete("a", &DeleteParams::default()).await.unwrap();
    maps.get("a").await.unwrap();
    let free = Patch::Merge(json!({ "metadata": { "finalizers": null } }));
    maps.patch("a", &PatchParams::default(), &free).await.unwrap();
    gone(&maps, "a").await;
    stage.clear().await;
}

#[tokio::test]
async fn without_one_it_goes_at_once() {
    let stage = Stage::set("finalizer").await;
    let maps: Api<ConfigMap> = stage.api();
    let plain: ConfigMap = typed(json!({ "metadata": { "name": "a" } }));
    maps.create(&PostParams::default(), &plain).await.unwrap();
    let status = maps
        .delete("a", &DeleteParams::default())
        .await
        .unwrap()
        .right()
        .expect("it is still there");
    assert_eq!(status.details.unwrap().name, "a");
    refused(maps.get("a").await, 404, "NotFound");
    stage.clear().await;
}

#[tokio::test]
async fn a_finalizer_needs_a_qualified_name() {
    let stage = Stage::set("finalizer").await;
    let maps: Api<ConfigMap> = stage.api();
    let wrong: ConfigMap = typed(json!({ "metadata": { "name": "a", "finalizers": ["hold"] } }));
    refused(maps.create(&PostParams::default(), &wrong).await, 422, "Invalid");
    stage.clear().await;
}
