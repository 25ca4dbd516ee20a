//! The objects of a run's namespace, built from its [`Workload`]. Pure, and the same workload always gives the same
//! objects, so that applying them again changes nothing.

mod access;
mod job;
pub(crate) mod limits;
mod namespace;
mod network;

use std::collections::BTreeMap;

use domain::workload::Workload;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;

pub(crate) use access::{role, role_binding, service_account};
pub(crate) use job::{CONTAINER, job};
pub(crate) use limits::{limit_range, resource_quota};
pub(crate) use namespace::namespace;
pub(crate) use network::{allow_egress, deny_all};

/// Who applies: the field manager, and the value of [`MANAGED_BY`].
pub(crate) const MANAGER: &str = "codex-k8s";
/// Whose an object is.
pub(crate) const MANAGED_BY: &str = "app.kubernetes.io/managed-by";
/// The run's number.
pub(crate) const RUN: &str = "codex-k8s.dev/run";
const PROJECT: &str = "codex-k8s.dev/project";
const ISSUE: &str = "codex-k8s.dev/issue";
const AGENT: &str = "codex-k8s.dev/agent";
const CORRELATION_ID: &str = "codex-k8s.dev/correlation-id";
const EXPIRES_AT: &str = "codex-k8s.dev/expires-at";

/// The labels of everything that belongs to a run.
pub(crate) fn labels(workload: &Workload) -> BTreeMap<String, String> {
    [
        (MANAGED_BY, MANAGER.to_owned()),
        (RUN, workload.run.to_string()),
        (PROJECT, label_value(&workload.project)),
        (ISSUE, workload.issue.to_string()),
        (AGENT, label_value(&workload.role)),
    ]
    .into_iter()
    .map(|(key, value)| (key.to_owned(), value))
    .collect()
}

/// The name, namespace and labels of an object in the run's namespace.
fn meta(workload: &Workload, name: &str) -> ObjectMeta {
    ObjectMeta {
        name: Some(name.to_owned()),
        namespace: Some(workload.namespace.clone()),
        labels: Some(labels(workload)),
        annotations: Some(correlation(workload)),
        ..ObjectMeta::default()
    }
}

/// The cause, on everything. An annotation, because a delivery's identifier may be longer than a label's value.
fn correlation(workload: &Workload) -> BTreeMap<String, String> {
    BTreeMap::from([(CORRELATION_ID.to_owned(), workload.correlation_id.to_string())])
}

/// The text as a label's value: at most 63 of `[A-Za-z0-9._-]`, alphanumeric at both ends.
fn label_value(text: &str) -> String {
    let allowed = |c: char| c.is_ascii_alphanumeric() || matches!(c, '.' | '_' | '-');
    let kept: String = text
        .chars()
        .map(|c| if allowed(c) { c } else { '-' })
        .take(63)
        .collect();
    kept.trim_matches(|c: char| !c.is_ascii_alphanumeric()).to_owned()
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;
    use domain::{CorrelationId, RunId};

    pub(crate) fn workload() -> Workload {
        Workload {
            run: RunId(7),
            project: "demo".into(),
            issue: 1,
            role: "dev".into(),
            correlation_id: CorrelationId::new("72d3162e-cc78-11e3-81ab-4c9367dc0958").unwrap(),
            namespace: "codex-issue-demo-i1-r7".into(),
            job_name: "agent-r7".into(),
            image: "registry.example/agent:1".into(),
            command: vec!["/bin/agent".into(), "--stage=dev".into()],
            env: [("STAGE".to_owned(), "dev".to_owned())].into(),
            deadline_s: 600,
            expires_at: chrono::DateTime::from_timestamp(1_800_000_000, 0).unwrap(),
        }
    }

    #[test]
    fn label_values_are_always_valid() {
        for (text, expected) in [
            ("demo", "demo"),
            ("-x-", "x"),
            ("a b/c", "a-b-c"),
            ("é", ""),
            ("", ""),
        ] {
            assert_eq!(label_value(text), expected);
        }
        let long = label_value(&format!("{}-{}", "a".repeat(62), "b"));
        assert_eq!(long, "a".repeat(62));
    }

    #[test]
    fn everything_says_whose_it_is_and_is_the_same_twice() {
        let workload = workload();
        let all = || {
            let value = |object: serde_json::Result<serde_json::Value>| object.unwrap();
            vec![
                value(serde_json::to_value(namespace(&workload))),
                value(serde_json::to_value(deny_all(&workload))),
                value(serde_json::to_value(allow_egress(&workload))),
                value(serde_json::to_value(resource_quota(&workload))),
                value(serde_json::to_value(limit_range(&workload))),
                value(serde_json::to_value(service_account(&workload))),
                value(serde_json::to_value(role(&workload))),
                value(serde_json::to_value(role_binding(&workload))),
                value(serde_json::to_value(job(&workload))),
            ]
        };
        assert_eq!(all(), all());
        for object in all() {
            let meta = &object["metadata"];
            assert_eq!(meta["labels"][MANAGED_BY], "codex-k8s", "{object}");
            assert_eq!(meta["labels"][RUN], "7", "{object}");
            assert_eq!(
                meta["annotations"][CORRELATION_ID],
                workload.correlation_id.as_str(),
                "{object}"
            );
            assert!(
                object["apiVersion"].is_string() && object["kind"].is_string(),
                "{object}"
            );
        }
    }
}
