//! The namespace of a run, under the strictest of the Pod Security Standards.

use std::collections::BTreeMap;

use chrono::SecondsFormat;
use domain::workload::Workload;
use k8s_openapi::api::core::v1::Namespace;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;

use super::{EXPIRES_AT, correlation, labels};

/// The namespace: whose it is, until when it stays, and that its pods are `restricted`.
pub(crate) fn namespace(workload: &Workload) -> Namespace {
    let mut labels = labels(workload);
    for mode in ["enforce", "audit", "warn"] {
        labels.insert(
            format!("pod-security.kubernetes.io/{mode}"),
            "restricted".to_owned(),
        );
    }
    let mut annotations: BTreeMap<_, _> = correlation(workload);
    let expires_at = workload.expires_at.to_rfc3339_opts(SecondsFormat::Secs, true);
    annotations.insert(EXPIRES_AT.to_owned(), expires_at);
    Namespace {
        metadata: ObjectMeta {
            name: Some(workload.namespace.clone()),
            labels: Some(labels),
            annotations: Some(annotations),
            ..ObjectMeta::default()
        },
        ..Namespace::default()
    }
}
