//! Server-side apply: fields belong to those who applied them.

use k8s_openapi::api::batch::v1::Job;
use k8s_openapi::api::core::v1::{ConfigMap, Namespace};
use kube::api::{Api, Patch, PatchParams, PostParams};
use serde_json::{Value, json};

use crate::stage::{Stage, causes, config_map, container, refusal, refused, resource_version};

fn map(data: &Value) -> Patch<Value> {
    Patch::Apply(
        json!({ "apiVersion": "v1", "kind": "ConfigMap", "metadata": { "name": "a" }, "data": data }),
    )
}

fn by(manager: &str) -> PatchParams {
    PatchParams::apply(manager)
}

fn data(map: &ConfigMap) -> Value {
    json!(map.data)
}

#[tokio::test]
async fn applying_creates_and_repeating_changes_nothing() {
    let stage = Stage::set("apply").await;
    let maps: Api<ConfigMap> = stage.api();
    let first = maps
        .patch("a", &by("one"), &map(&json!({ "k": "1" })))
        .await
        .unwrap();
    let managed = first.metadata.managed_fields.clone().unwrap();
    assert_eq!(managed.len(), 1);
    assert_eq!(managed[0].manager.as_deref(), Some("one"));
    assert_eq!(managed[0].operation.as_deref(), Some("Apply"));
    assert_eq!(
        managed[0].fields_v1.as_ref().unwrap().0,
        json!({ "f:data": { "f:k": {} } })
    );
    let again = maps
        .patch("a", &by("one"), &map(&json!({ "k": "1" })))
        .await
        .unwrap();
    assert_eq!(resource_version(&first), resource_version(&again));
    let changed = maps
        .patch("a", &by("one"), &map(&json!({ "k": "2" })))
        .await
        .unwrap();
    assert_ne!(resource_version(&first), resource_version(&changed));
    assert_eq!(data(&changed), json!({ "k": "2" }));
    stage.clear().await;
}

#[tokio::test]
async fn a_job_can_be_applied_again() {
    let stage = Stage::set("apply").await;
    let jobs: Api<Job> = stage.api();
    let job = Patch::Apply(json!({
        "apiVersion": "batch/v1", "kind": "Job", "metadata": { "name": "j", "labels": { "a": "b" } },
        "spec": { "suspend": true, "backoffLimit": 0, "template": { "metadata": { "labels": { "c": "d" } },
            "spec": { "restartPolicy": "Never", "containers": [container("true")] } } },
    }));
    let first = jobs.patch("j", &by("one"), &job).await.unwrap();
    let labels = first
        .spec
        .as_ref()
        .unwrap()
        .template
        .metadata
        .as_ref()
        .unwrap()
        .labels
        .clone()
        .unwrap();
    assert_eq!(labels["batch.kubernetes.io/job-name"], "j");
    assert_eq!(labels["c"], "d");
    let again = jobs.patch("j", &by("one"), &job).await.unwrap();
    assert_eq!(first.metadata.generation, again.metadata.generation);
    assert_eq!(first.spec, again.spec);
    let other = Patch::Apply(json!({
        "apiVersion": "batch/v1", "kind": "Job", "metadata": { "name": "j", "labels": { "a": "b" } },
        "spec": { "suspend": true, "backoffLimit": 0, "template": { "metadata": { "labels": { "c": "d" } },
            "spec": { "restartPolicy": "Never", "containers": [container("false")] } } },
    }));
    refused(jobs.patch("j", &by("one"), &other).await, 422, "Invalid");
    stage.clear().await;
}

#[tokio::test]
async fn what_is_not_applied_any_more_goes() {
    let stage = Stage::set("apply").await;
    let maps: Api<ConfigMap> = stage.api();
    maps.patch("a", &by("one"), &map(&json!({ "k": "1", "l": "1" })))
        .await
        .unwrap();
    maps.patch("a", &by("two"), &map(&json!({ "l": "1", "m": "1" })))
        .await
        .unwrap();
    let less = maps.patch("a", &by("one"), &map(&json!({}))).await.unwrap();
    // What the other one applies too, stays.
    assert_eq!(data(&less), json!({ "l": "1", "m": "1" }));
    stage.clear().await;
}

#[tokio::test]
async fn another_managers_field_is_a_conflict() {
    let stage = Stage::set("apply").await;
    let maps: Api<ConfigMap> = stage.api();
    maps.patch("a", &by("one"), &map(&json!({ "k": "1" })))
        .await
        .unwrap();
    // The same value is no conflict: both own it.
    maps.patch("a", &by("two"), &map(&json!({ "k": "1" })))
        .await
        .unwrap();
    let status = refused(
        maps.patch("a", &by("two"), &map(&json!({ "k": "2" }))).await,
        409,
        "Conflict",
    );
    assert_eq!(
        causes(&status),
        [("FieldManagerConflict".to_owned(), ".data.k".to_owned())]
    );
    assert!(
        status.message.contains("conflict with \"one\""),
        "{}",
        status.message
    );
    let forced = maps
        .patch("a", &by("two").force(), &map(&json!({ "k": "2" })))
        .await
        .unwrap();
    assert_eq!(data(&forced), json!({ "k": "2" }));
    let managers: Vec<_> = forced
        .metadata
        .managed_fields
        .unwrap()
        .into_iter()
        .filter_map(|entry| entry.manager)
        .collect();
    assert_eq!(managers, ["two"]);
    // The former owner may let go of what it has lost.
    let after = maps.patch("a", &by("one"), &map(&json!({}))).await.unwrap();
    assert_eq!(data(&after), json!({ "k": "2" }));
    stage.clear().await;
}

#[tokio::test]
async fn an_update_takes_ownership_too() {
    let stage = Stage::set("apply").await;
    let maps: Api<ConfigMap> = stage.api();
    maps.patch("a", &by("one"), &map(&json!({ "k": "1", "l": "1" })))
        .await
        .unwrap();
    let params = PatchParams {
        field_manager: Some("hand".into()),
        ..PatchParams::default()
    };
    let patch = Patch::Merge(json!({ "data": { "k": "2" } }));
    maps.patch("a", &params, &patch).await.unwrap();
    let status = refused(
        maps.patch("a", &by("one"), &map(&json!({ "k": "1", "l": "1" })))
            .await,
        409,
        "Conflict",
    );
    assert!(
        status.message.contains("conflict with \"hand\" using v1"),
        "{}",
        status.message
    );
    stage.clear().await;
}

#[tokio::test]
async fn creators_own_what_they_create() {
    let stage = Stage::set("apply").await;
    let maps: Api<ConfigMap> = stage.api();
    let params = PostParams {
        field_manager: Some("creator".into()),
        ..PostParams::default()
    };
    maps.create(&params, &config_map("a", "1")).await.unwrap();
    let conflict = maps.patch("a", &by("one"), &map(&json!({ "key": "2" }))).await;
    let status = refused(conflict, 409, "Conflict");
    assert_eq!(
        causes(&status),
        [("FieldManagerConflict".to_owned(), ".data.key".to_owned())]
    );
    stage.clear().await;
}

#[tokio::test]
async fn a_wrong_configuration_is_refused() {
    let stage = Stage::set("apply").await;
    let maps: Api<ConfigMap> = stage.api();
    let outdated = Patch::Apply(json!({ "apiVersion": "v1", "kind": "ConfigMap",
        "metadata": { "name": "a", "resourceVersion": "1" }, "data": {} }));
    maps.patch("a", &by("one"), &map(&json!({ "k": "1" })))
        .await
        .unwrap();
    refused(maps.patch("a", &by("one"), &outdated).await, 409, "Conflict");
    let renamed =
        Patch::Apply(json!({ "apiVersion": "v1", "kind": "ConfigMap", "metadata": { "name": "b" } }));
    let status = refusal(maps.patch("a", &by("one"), &renamed).await);
    assert!(matches!(status.code, 400 | 422), "{}", status.message);
    let wrong_type = Patch::Apply(
        json!({ "apiVersion": "v1", "kind": "ConfigMap", "metadata": { "name": "a" },
        "data": { "k": { "not": "text" } } }),
    );
    assert!(maps.patch("a", &by("one"), &wrong_type).await.is_err());
    stage.clear().await;
}

#[tokio::test]
async fn labels_of_a_namespace_are_applied_side_by_side() {
    let stage = Stage::set("apply").await;
    let namespaces: Api<Namespace> = Api::all(stage.client.clone());
    let label = |key: &str| {
        Patch::Apply(json!({ "apiVersion": "v1", "kind": "Namespace",
            "metadata": { "name": stage.namespace, "labels": { key: "yes" } } }))
    };
    namespaces
        .patch(&stage.namespace, &by("one"), &label("first"))
        .await
        .unwrap();
    let both = namespaces
        .patch(&stage.namespace, &by("two"), &label("second"))
        .await
        .unwrap();
    let labels = both.metadata.labels.unwrap();
    assert_eq!(
        (labels["first"].as_str(), labels["second"].as_str()),
        ("yes", "yes")
    );
    assert_eq!(labels["kubernetes.io/metadata.name"], stage.namespace);
    let moved = namespaces
        .patch(&stage.namespace, &by("one"), &label("third"))
        .await
        .unwrap();
    let labels = moved.metadata.labels.unwrap();
    assert!(!labels.contains_key("first") && labels.contains_key("second") && labels.contains_key("third"));
    stage.clear().await;
}

#[tokio::test]
async fn list_elements_are_merged_by_their_key() {
    let stage = Stage::set("apply").await;
    let jobs: Api<Job> = stage.api();
    let job = |env: Value| {
        let mut main = container("true");
        main["env"] = env;
        Patch::Apply(json!({
            "apiVersion": "batch/v1", "kind": "Job", "metadata": { "name": "j" },
            "spec": { "suspend": true, "template":
                { "spec": { "restartPolicy": "Never", "containers": [main] } } },
        }))
    };
    let env = |job: &Job| -> Value {
        json!(
            job.spec
                .as_ref()
                .unwrap()
                .template
                .spec
                .as_ref()
                .unwrap()
                .containers[0]
                .env
        )
    };
    let one = json!([{ "name": "A", "value": "1" }]);
    let made = jobs.patch("j", &by("one"), &job(one.clone())).await.unwrap();
    assert_eq!(env(&made), one);
    let fields = made.metadata.managed_fields.unwrap()[0]
        .fields_v1
        .clone()
        .unwrap()
        .0;
    let container = &fields["f:spec"]["f:template"]["f:spec"]["f:containers"]["k:{\"name\":\"main\"}"];
    assert_eq!(
        container["f:env"]["k:{\"name\":\"A\"}"],
        json!({ ".": {}, "f:name": {}, "f:value": {} })
    );
    assert_eq!(container["f:command"], json!({}));
    stage.clear().await;
}

#[tokio::test]
async fn a_status_is_written_apart() {
    let stage = Stage::set("apply").await;
    let jobs: Api<Job> = stage.api();
    let job = Patch::Apply(json!({
        "apiVersion": "batch/v1", "kind": "Job", "metadata": { "name": "j" },
        "spec": { "suspend": true, "template":
            { "spec": { "restartPolicy": "Never", "containers": [container("true")] } } },
        "status": { "active": 7 },
    }));
    let made = jobs.patch("j", &by("one"), &job).await.unwrap();
    assert_eq!(made.status.and_then(|status| status.active), None);
    let status = Patch::Merge(
        json!({ "metadata": { "labels": { "not": "written" } }, "spec": { "suspend": false },
        "status": { "conditions": [{ "type": "example.com/Seen", "status": "True" }] } }),
    );
    let patched = jobs
        .patch_status("j", &PatchParams::default(), &status)
        .await
        .unwrap();
    assert_eq!(patched.spec.unwrap().suspend, Some(true));
    let conditions = patched.status.unwrap().conditions.unwrap();
    assert!(
        conditions
            .iter()
            .any(|condition| condition.type_ == "example.com/Seen")
    );
    stage.clear().await;
}
