//! Owner references: dependents follow their owner.

use k8s_openapi::api::core::v1::ConfigMap;
use kube::api::{Api, DeleteParams, PostParams};
use serde_json::json;

use crate::stage::{Stage, config_map, eventually, gone, typed, uid};

async fn family(maps: &Api<ConfigMap>) {
    let owner = maps
        .create(&PostParams::default(), &config_map("owner", "1"))
        .await
        .unwrap();
    let dependent: ConfigMap = typed(json!({ "metadata": { "name": "dependent", "ownerReferences": [{
        "apiVersion": "v1", "kind": "ConfigMap", "name": "owner", "uid": uid(&owner), "blockOwnerDeletion": true,
    }] } }));
    maps.create(&PostParams::default(), &dependent).await.unwrap();
}

#[tokio::test]
async fn in_the_background_dependents_go_after_it() {
    let stage = Stage::set("owner").await;
    let maps: Api<ConfigMap> = stage.api();
    family(&maps).await;
    let status = maps.delete("owner", &DeleteParams::background()).await.unwrap();
    assert!(status.is_right(), "the owner waits");
    gone(&maps, "dependent").await;
    stage.clear().await;
}

#[tokio::test]
async fn in_the_foreground_they_go_before_it() {
    let stage = Stage::set("owner").await;
    let maps: Api<ConfigMap> = stage.api();
    family(&maps).await;
    let marked = maps
        .delete("owner", &DeleteParams::foreground())
        .await
        .unwrap()
        .left()
        .expect("it is gone");
    assert_eq!(marked.metadata.finalizers.unwrap(), ["foregroundDeletion"]);
    gone(&maps, "owner").await;
    assert!(maps.get_opt("dependent").await.unwrap().is_none());
    stage.clear().await;
}

#[tokio::test]
async fn orphans_stay() {
    let stage = Stage::set("owner").await;
    let maps: Api<ConfigMap> = stage.api();
    family(&maps).await;
    maps.delete("owner", &DeleteParams::orphan()).await.unwrap();
    gone(&maps, "owner").await;
    let orphan = maps.get("dependent").await.unwrap();
    assert!(
        orphan
            .metadata
            .owner_references
            .is_none_or(|references| references.is_empty())
    );
    stage.clear().await;
}

#[tokio::test]
async fn one_of_two_owners_is_enough() {
    let stage = Stage::set("owner").await;
    let maps: Api<ConfigMap> = stage.api();
    let mut references = Vec::new();
    for name in ["first", "second"] {
        let owner = maps
            .create(&PostParams::default(), &config_map(name, "1"))
            .await
            .unwrap();
        references.push(json!({ "apiVersion": "v1", "kind": "ConfigMap", "name": name, "uid": uid(&owner) }));
    }
    let dependent: ConfigMap =
        typed(json!({ "metadata": { "name": "dependent", "ownerReferences": references } }));
    maps.create(&PostParams::default(), &dependent).await.unwrap();
    maps.delete("first", &DeleteParams::background()).await.unwrap();
    eventually("one reference less", || async {
        let dependent = maps.get("dependent").await.unwrap();
        let left = dependent.metadata.owner_references.unwrap_or_default();
        (left.len() == 1 && left[0].name == "second").then_some(())
    })
    .await;
    maps.delete("second", &DeleteParams::background()).await.unwrap();
    gone(&maps, "dependent").await;
    stage.clear().await;
}
