//! Resource versions: every write has one, and a write from an outdated read is refused.

use k8s_openapi::api::core::v1::ConfigMap;
use kube::api::{Api, DeleteParams, ListParams, Patch, PatchParams, PostParams, Preconditions};
use serde_json::json;

use crate::stage::{Stage, config_map, refused, resource_version, typed, uid};

#[tokio::test]
async fn an_outdated_write_is_refused() {
    let stage = Stage::set("version").await;
    let maps: Api<ConfigMap> = stage.api();
    let first = maps
        .create(&PostParams::default(), &config_map("a", "1"))
        .await
        .unwrap();
    let mut second = first.clone();
    second.data = config_map("a", "2").data;
    let second = maps.replace("a", &PostParams::default(), &second).await.unwrap();
    assert_ne!(resource_version(&first), resource_version(&second));
    assert_eq!(uid(&first), uid(&second));

    let status = refused(
        maps.replace("a", &PostParams::default(), &first).await,
        409,
        "Conflict",
    );
    assert!(
        status.message.contains("the object has been modified"),
        "{}",
        status.message
    );
    let outdated =
        json!({ "metadata": { "resourceVersion": resource_version(&first) }, "data": { "key": "3" } });
    refused(
        maps.patch("a", &PatchParams::default(), &Patch::Merge(outdated))
            .await,
        409,
        "Conflict",
    );

    // Without a version the last writer wins.
    let unconditional = maps
        .replace("a", &PostParams::default(), &config_map("a", "4"))
        .await
        .unwrap();
    assert_eq!(unconditional.data, config_map("a", "4").data);
    stage.clear().await;
}

#[tokio::test]
async fn a_write_that_changes_nothing_keeps_the_version() {
    let stage = Stage::set("version").await;
    let maps: Api<ConfigMap> = stage.api();
    let first = maps
        .create(&PostParams::default(), &config_map("a", "1"))
        .await
        .unwrap();
    let again = maps.replace("a", &PostParams::default(), &first).await.unwrap();
    assert_eq!(resource_version(&first), resource_version(&again));
    let patch = Patch::Merge(json!({ "data": { "key": "1" } }));
    let again = maps.patch("a", &PatchParams::default(), &patch).await.unwrap();
    assert_eq!(resource_version(&first), resource_version(&again));
    stage.clear().await;
}

#[tokio::test]
async fn a_merge_patch_takes_away_what_is_null() {
    let stage = Stage::set("version").await;
    let maps: Api<ConfigMap> = stage.api();
    maps.create(&PostParams::default(), &config_map("a", "1"))
        .await
        .unwrap();
    let patch = Patch::Merge(json!({ "data": { "key": null, "other": "2" } }));
    let patched = maps.patch("a", &PatchParams::default(), &patch).await.unwrap();
    let data: Vec<_> = patched.data.unwrap().into_iter().collect();
    assert_eq!(data, [("other".to_owned(), "2".to_owned())]);
    stage.clear().await;
}

#[tokio::test]
async fn what_is_there_or_not_there() {
    let stage = Stage::set("version").await;
    let maps: Api<ConfigMap> = stage.api();
    refused(maps.get("a").await, 404, "NotFound");
    refused(
        maps.replace("a", &PostParams::default(), &config_map("a", "1"))
            .await,
        404,
        "NotFound",
    );
    let patch = Patch::Merge(json!({ "data": { "key": "1" } }));
    refused(
        maps.patch("a", &PatchParams::default(), &patch).await,
        404,
        "NotFound",
    );
    refused(maps.delete("a", &DeleteParams::default()).await, 404, "NotFound");
    maps.create(&PostParams::default(), &config_map("a", "1"))
        .await
        .unwrap();
    let status = refused(
        maps.create(&PostParams::default(), &config_map("a", "1")).await,
        409,
        "AlreadyExists",
    );
    let details = status.details.unwrap();
    assert_eq!(
        (details.kind.as_str(), details.name.as_str()),
        ("configmaps", "a")
    );
    stage.clear().await;
}

#[tokio::test]
async fn a_deletion_can_have_preconditions() {
    let stage = Stage::set("version").await;
    let maps: Api<ConfigMap> = stage.api();
    let map = maps
        .create(&PostParams::default(), &config_map("a", "1"))
        .await
        .unwrap();
    let with = |uid: Option<String>, resource_version: Option<String>| {
        DeleteParams::default().preconditions(Preconditions {
            uid,
            resource_version,
        })
    };
    let other = Some("00000000-0000-4000-8000-000000000000".to_owned());
    refused(maps.delete("a", &with(other, None)).await, 409, "Conflict");
    refused(
        maps.delete("a", &with(None, Some("1".into()))).await,
        409,
        "Conflict",
    );
    let exact = with(Some(uid(&map)), Some(resource_version(&map)));
    maps.delete("a", &exact).await.unwrap();
    refused(maps.get("a").await, 404, "NotFound");
    stage.clear().await;
}

#[tokio::test]
async fn lists_are_narrowed_and_paged() {
    let stage = Stage::set("list").await;
    let maps: Api<ConfigMap> = stage.api();
    for (name, colour) in [("a", "red"), ("b", "blue"), ("c", "red"), ("d", "green")] {
        let map: ConfigMap = typed(json!({ "metadata": { "name": name, "labels": { "colour": colour } } }));
        maps.create(&PostParams::default(), &map).await.unwrap();
    }
    for (labels, expected) in [
        ("colour=red", "ac"),
        ("colour!=red,colour", "bd"),
        ("colour in (blue,green)", "bd"),
        ("colour,colour notin (red)", "bd"),
    ] {
        let list = maps.list(&ListParams::default().labels(labels)).await.unwrap();
        let names: String = list.items.iter().map(crate::stage::name).collect();
        assert_eq!(names, expected, "{labels}");
    }
    let by_name = maps
        .list(&ListParams::default().fields("metadata.name=b"))
        .await
        .unwrap();
    assert_eq!(by_name.items.len(), 1);
    refused(
        maps.list(&ListParams::default().fields("data.key=1")).await,
        400,
        "BadRequest",
    );

    let page = ListParams::default().labels("colour").limit(3);
    let first = maps.list(&page).await.unwrap();
    let token = first.metadata.continue_.unwrap();
    let rest = maps.list(&page.continue_token(&token)).await.unwrap();
    let names: String = first
        .items
        .iter()
        .chain(&rest.items)
        .map(crate::stage::name)
        .collect();
    assert_eq!(names, "abcd");
    assert!(rest.metadata.continue_.is_none_or(|token| token.is_empty()));
    stage.clear().await;
}

#[tokio::test]
async fn a_collection_is_deleted_by_selector() {
    let stage = Stage::set("list").await;
    let maps: Api<ConfigMap> = stage.api();
    for (name, colour) in [("a", "red"), ("b", "blue")] {
        let map: ConfigMap = typed(json!({ "metadata": { "name": name, "labels": { "colour": colour } } }));
        maps.create(&PostParams::default(), &map).await.unwrap();
    }
    let red = ListParams::default().labels("colour=red");
    maps.delete_collection(&DeleteParams::default(), &red)
        .await
        .unwrap();
    crate::stage::gone(&maps, "a").await;
    maps.get("b").await.unwrap();
    stage.clear().await;
}

#[tokio::test]
async fn the_generation_counts_changes_of_the_spec() {
    use k8s_openapi::api::networking::v1::NetworkPolicy;
    let stage = Stage::set("version").await;
    let policies: Api<NetworkPolicy> = stage.api();
    let deny: NetworkPolicy = typed(
        json!({ "metadata": { "name": "deny" }, "spec": { "podSelector": {}, "policyTypes": ["Ingress"] } }),
    );
    let made = policies.create(&PostParams::default(), &deny).await.unwrap();
    assert_eq!(made.metadata.generation, Some(1));
    let label = Patch::Merge(json!({ "metadata": { "labels": { "a": "b" } } }));
    let labelled = policies
        .patch("deny", &PatchParams::default(), &label)
        .await
        .unwrap();
    assert_eq!(labelled.metadata.generation, Some(1));
    let spec = Patch::Merge(json!({ "spec": { "policyTypes": ["Ingress", "Egress"] } }));
    let changed = policies
        .patch("deny", &PatchParams::default(), &spec)
        .await
        .unwrap();
    assert_eq!(changed.metadata.generation, Some(2));
    stage.clear().await;
}
