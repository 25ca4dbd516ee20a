//! Jobs: their pods, their status, their end.

use k8s_openapi::api::batch::v1::Job;
use k8s_openapi::api::core::v1::{Event, Pod};
use kube::api::{Api, DeleteParams, ListParams, PostParams};
use serde_json::{Value, json};

use crate::stage::{Stage, causes, container, eventually, gone, name, refused, typed, uid};

/// A Job that runs a script, with more in its spec.
fn job(name: &str, script: &str, more: &Value) -> Job {
    let mut spec = json!({
        "backoffLimit": 0,
        "template": { "spec": { "restartPolicy": "Never", "terminationGracePeriodSeconds": 1,
            "containers": [container(script)] } },
    });
    for (field, value) in more.as_object().unwrap() {
        spec[field] = value.clone();
    }
    typed(json!({ "metadata": { "name": name }, "spec": spec }))
}

async fn condition(jobs: &Api<Job>, name: &str, kind: &str) -> (Job, String) {
    eventually(&format!("{name} to be {kind}"), || async {
        let job = jobs.get(name).await.unwrap();
        let conditions = job
            .status
            .clone()
            .unwrap_or_default()
            .conditions
            .unwrap_or_default();
        let found = conditions
            .into_iter()
            .find(|c| c.type_ == kind && c.status == "True")?;
        Some((job, found.reason.unwrap_or_default()))
    })
    .await
}

async fn pods(pods: &Api<Pod>, job: &str) -> Vec<Pod> {
    let of_job = ListParams::default().labels(&format!("batch.kubernetes.io/job-name={job}"));
    pods.list(&of_job).await.unwrap().items
}

async fn first_pod(all: &Api<Pod>, job: &str) -> Pod {
    eventually("a pod of the Job", || async {
        pods(all, job).await.into_iter().next()
    })
    .await
}

fn has_condition(job: &Job, kind: &str) -> bool {
    let conditions = job
        .status
        .iter()
        .flat_map(|status| status.conditions.iter().flatten());
    conditions
        .into_iter()
        .any(|c| c.type_ == kind && c.status == "True")
}

/// Phase, exit code and reason.
fn ending(pod: &Pod) -> (String, i32, Option<String>) {
    let status = pod.status.clone().unwrap();
    let container = status.container_statuses.unwrap()[0].clone();
    let ended = container.state.unwrap().terminated.unwrap();
    (status.phase.unwrap(), ended.exit_code, ended.reason)
}

#[tokio::test]
async fn a_job_makes_a_pod() {
    let stage = Stage::set("job").await;
    let (jobs, all): (Api<Job>, Api<Pod>) = (stage.api(), stage.api());
    let made = jobs
        .create(&PostParams::default(), &job("j", "sleep 300", &json!({})))
        .await
        .unwrap();
    let spec = made.spec.as_ref().unwrap();
    assert_eq!(
        (spec.completions, spec.parallelism, spec.suspend),
        (Some(1), Some(1), Some(false))
    );
    let selected = spec.selector.as_ref().unwrap().match_labels.as_ref().unwrap();
    assert_eq!(selected["batch.kubernetes.io/controller-uid"], uid(&made));

    let pod = first_pod(&all, "j").await;
    assert!(name(&pod).starts_with("j-"));
    let owner = &pod.metadata.owner_references.as_ref().unwrap()[0];
    assert_eq!(
        (owner.kind.as_str(), &owner.uid, owner.controller),
        ("Job", &uid(&made), Some(true))
    );
    assert_eq!(
        pod.metadata.labels.as_ref().unwrap()["batch.kubernetes.io/controller-uid"],
        uid(&made)
    );
    assert!(
        pod.metadata
            .finalizers
            .as_ref()
            .unwrap()
            .contains(&"batch.kubernetes.io/job-tracking".to_owned())
    );
    eventually("the Job to count it", || async {
        let status = jobs.get("j").await.unwrap().status?;
        (status.active == Some(1) && status.start_time.is_some()).then_some(())
    })
    .await;
    jobs.delete("j", &DeleteParams::background()).await.unwrap();
    gone(&jobs, "j").await;
    gone(&all, &name(&pod)).await;
    stage.clear().await;
}

#[tokio::test]
async fn success() {
    let stage = Stage::set("job").await;
    if stage.has_nodes().await {
        let (jobs, all): (Api<Job>, Api<Pod>) = (stage.api(), stage.api());
        jobs.create(&PostParams::default(), &job("j", "exit 0", &json!({})))
            .await
            .unwrap();
        let (ended, reason) = condition(&jobs, "j", "Complete").await;
        assert_eq!(reason, "CompletionsReached");
        assert!(has_condition(&ended, "SuccessCriteriaMet"));
        let status = ended.status.unwrap();
        assert_eq!((status.succeeded, status.active), (Some(1), None));
        assert!(status.completion_time.is_some());
        let pod = first_pod(&all, "j").await;
        assert_eq!(
            ending(&pod),
            ("Succeeded".to_owned(), 0, Some("Completed".to_owned()))
        );
    }
    stage.clear().await;
}

#[tokio::test]
async fn failure() {
    let stage = Stage::set("job").await;
    if stage.has_nodes().await {
        let (jobs, all): (Api<Job>, Api<Pod>) = (stage.api(), stage.api());
        jobs.create(&PostParams::default(), &job("j", "exit 3", &json!({})))
            .await
            .unwrap();
        let (ended, reason) = condition(&jobs, "j", "Failed").await;
        assert_eq!(reason, "BackoffLimitExceeded");
        assert!(has_condition(&ended, "FailureTarget"));
        assert_eq!(ended.status.unwrap().failed, Some(1));
        let made = pods(&all, "j").await;
        assert_eq!(made.len(), 1);
        assert_eq!(
            ending(&made[0]),
            ("Failed".to_owned(), 3, Some("Error".to_owned()))
        );
    }
    stage.clear().await;
}

#[tokio::test]
async fn another_try() {
    let stage = Stage::set("job").await;
    if stage.has_nodes().await {
        let (jobs, all): (Api<Job>, Api<Pod>) = (stage.api(), stage.api());
        let again = job("j", "exit 1", &json!({ "backoffLimit": 1 }));
        jobs.create(&PostParams::default(), &again).await.unwrap();
        let (ended, reason) = condition(&jobs, "j", "Failed").await;
        assert_eq!(
            (reason.as_str(), ended.status.unwrap().failed),
            ("BackoffLimitExceeded", Some(2))
        );
        assert_eq!(pods(&all, "j").await.len(), 2);
    }
    stage.clear().await;
}

#[tokio::test]
async fn the_deadline_ends_a_job() {
    let stage = Stage::set("job").await;
    if stage.has_nodes().await {
        let jobs: Api<Job> = stage.api();
        let late = job("j", "sleep 300", &json!({ "activeDeadlineSeconds": 2 }));
        jobs.create(&PostParams::default(), &late).await.unwrap();
        let (ended, reason) = condition(&jobs, "j", "Failed").await;
        assert_eq!(reason, "DeadlineExceeded");
        assert!(has_condition(&ended, "FailureTarget"));
        assert_eq!(ended.status.unwrap().active, None);
    }
    stage.clear().await;
}

#[tokio::test]
async fn the_deadline_needs_no_node() {
    let stage = Stage::set("job").await;
    let jobs: Api<Job> = stage.api();
    if let Some(simulator) = &stage.simulator {
        simulator.hold_pods(true);
    }
    // On a cluster with nodes the pod runs, which comes to the same.
    let late = job("j", "sleep 300", &json!({ "activeDeadlineSeconds": 2 }));
    jobs.create(&PostParams::default(), &late).await.unwrap();
    let (_, reason) = condition(&jobs, "j", "Failed").await;
    assert_eq!(reason, "DeadlineExceeded");
    stage.clear().await;
}

#[tokio::test]
async fn a_finished_job_goes_when_its_time_has_passed() {
    let stage = Stage::set("job").await;
    if stage.has_nodes().await {
        let (jobs, all): (Api<Job>, Api<Pod>) = (stage.api(), stage.api());
        let short = job("j", "exit 0", &json!({ "ttlSecondsAfterFinished": 1 }));
        jobs.create(&PostParams::default(), &short).await.unwrap();
        gone(&jobs, "j").await;
        assert!(pods(&all, "j").await.is_empty());
    }
    stage.clear().await;
}

#[tokio::test]
async fn deleting_a_job_without_a_policy_leaves_its_pods() {
    let stage = Stage::set("job").await;
    let (jobs, all): (Api<Job>, Api<Pod>) = (stage.api(), stage.api());
    jobs.create(&PostParams::default(), &job("j", "sleep 300", &json!({})))
        .await
        .unwrap();
    let pod = first_pod(&all, "j").await;
    jobs.delete("j", &DeleteParams::default()).await.unwrap();
    gone(&jobs, "j").await;
    let left = all.get(&name(&pod)).await.unwrap();
    assert!(
        left.metadata
            .owner_references
            .is_none_or(|references| references.is_empty())
    );
    all.delete(&name(&pod), &DeleteParams::default().grace_period(0))
        .await
        .unwrap();
    gone(&all, &name(&pod)).await;
    stage.clear().await;
}

#[tokio::test]
async fn a_refused_pod_is_reported_as_an_event() {
    let labels = json!({ "pod-security.kubernetes.io/enforce": "restricted" });
    let stage = Stage::set_with("job", labels).await;
    let (jobs, all, events): (Api<Job>, Api<Pod>, Api<Event>) = (stage.api(), stage.api(), stage.api());
    let mut bare = job("j", "true", &json!({}));
    let spec = bare.spec.as_mut().unwrap().template.spec.as_mut().unwrap();
    spec.containers[0].security_context = None;
    jobs.create(&PostParams::default(), &bare).await.unwrap();
    let message = eventually("the event", || async {
        let list = events
            .list(&ListParams::default().fields("involvedObject.name=j"))
            .await
            .unwrap();
        list.items
            .into_iter()
            .find(|e| e.reason.as_deref() == Some("FailedCreate"))
            .and_then(|e| e.message)
    })
    .await;
    assert!(
        message.contains("violates PodSecurity \"restricted:latest\""),
        "{message}"
    );
    assert!(pods(&all, "j").await.is_empty());
    assert!(!has_condition(&jobs.get("j").await.unwrap(), "Failed"));
    stage.clear().await;
}

#[tokio::test]
async fn wrong_jobs_are_invalid() {
    let stage = Stage::set("job").await;
    let jobs: Api<Job> = stage.api();
    let mut always = job("j", "true", &json!({}));
    always
        .spec
        .as_mut()
        .unwrap()
        .template
        .spec
        .as_mut()
        .unwrap()
        .restart_policy = Some("Always".into());
    let status = refused(jobs.create(&PostParams::default(), &always).await, 422, "Invalid");
    assert!(
        causes(&status)
            .iter()
            .any(|(_, field)| field == "spec.template.spec.restartPolicy"),
        "{status:?}"
    );
    let mut nameless = job("j", "true", &json!({}));
    nameless
        .spec
        .as_mut()
        .unwrap()
        .template
        .spec
        .as_mut()
        .unwrap()
        .containers[0]
        .image = None;
    let status = refused(
        jobs.create(&PostParams::default(), &nameless).await,
        422,
        "Invalid",
    );
    assert!(causes(&status).contains(&(
        "FieldValueRequired".into(),
        "spec.template.spec.containers[0].image".into()
    )));
    stage.clear().await;
}
