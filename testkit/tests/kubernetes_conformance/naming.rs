//! Names: given, generated, refused.

use k8s_openapi::api::core::v1::{ConfigMap, Namespace};
use kube::Client;
use kube::api::{Api, PostParams};
use serde_json::json;

use crate::stage::{Stage, causes, config_map, name, refused, typed};

#[tokio::test]
async fn generated_names_differ() {
    let stage = Stage::set("naming").await;
    let maps: Api<ConfigMap> = stage.api();
    let wanted: ConfigMap = typed(json!({ "metadata": { "generateName": "part-" } }));
    let first = maps.create(&PostParams::default(), &wanted).await.unwrap();
    let second = maps.create(&PostParams::default(), &wanted).await.unwrap();
    assert_ne!(name(&first), name(&second));
    for made in [first, second] {
        let name = name(&made);
        assert!(
            name.starts_with("part-") && name.len() == "part-".len() + 5,
            "{name}"
        );
        assert_eq!(made.metadata.generate_name.as_deref(), Some("part-"));
        assert!(made.metadata.uid.is_some() && made.metadata.creation_timestamp.is_some());
    }
    stage.clear().await;
}

#[tokio::test]
async fn wrong_names_and_labels_are_invalid() {
    let stage = Stage::set("naming").await;
    let maps: Api<ConfigMap> = stage.api();
    for (metadata, field) in [
        (json!({ "name": "Not_Valid" }), "metadata.name"),
        (
            json!({ "name": "a", "labels": { "k": "not valid!" } }),
            "metadata.labels",
        ),
    ] {
        let map: ConfigMap = typed(json!({ "metadata": metadata }));
        let status = refused(maps.create(&PostParams::default(), &map).await, 422, "Invalid");
        assert!(
            causes(&status).contains(&("FieldValueInvalid".into(), field.into())),
            "{status:?}"
        );
    }
    let namespaces: Api<Namespace> = Api::all(stage.client.clone());
    let dotted: Namespace = typed(json!({ "metadata": { "name": "a.b" } }));
    refused(
        namespaces.create(&PostParams::default(), &dotted).await,
        422,
        "Invalid",
    );
    stage.clear().await;
}

#[tokio::test]
async fn the_namespace_must_be_there_and_be_the_same() {
    let stage = Stage::set("naming").await;
    let elsewhere: Api<ConfigMap> = Api::namespaced(stage.client.clone(), "conformance-nowhere");
    refused(
        elsewhere
            .create(&PostParams::default(), &config_map("a", "1"))
            .await,
        404,
        "NotFound",
    );
    let maps: Api<ConfigMap> = stage.api();
    let mut other = config_map("a", "1");
    other.metadata.namespace = Some("default".into());
    refused(
        maps.create(&PostParams::default(), &other).await,
        400,
        "BadRequest",
    );
    maps.create(&PostParams::default(), &config_map("a", "1"))
        .await
        .unwrap();
    let renamed = put(&stage.client, &stage.namespace, "a", &config_map("b", "1")).await;
    refused(renamed, 400, "BadRequest");
    stage.clear().await;
}

/// kube itself would refuse to send the wrong name.
async fn put(client: &Client, namespace: &str, at: &str, map: &ConfigMap) -> kube::Result<ConfigMap> {
    let request = http::Request::put(format!("/api/v1/namespaces/{namespace}/configmaps/{at}"))
        .header("content-type", "application/json")
        .body(serde_json::to_vec(map).unwrap())
        .unwrap();
    client.request(request).await
}
