//! What a run's namespace may use in all, and what a container may use that doesn't say.

use std::collections::BTreeMap;

use domain::workload::Workload;
use k8s_openapi::api::core::v1::{
    LimitRange, LimitRangeItem, LimitRangeSpec, ResourceQuota, ResourceQuotaSpec, ResourceRequirements,
};
use k8s_openapi::apimachinery::pkg::api::resource::Quantity;

use super::meta;

/// What the agent's container is promised.
const REQUESTS: [(&str, &str); 3] = [("cpu", "250m"), ("memory", "512Mi"), ("ephemeral-storage", "1Gi")];
/// What it may use at most.
const LIMITS: [(&str, &str); 3] = [("cpu", "2"), ("memory", "2Gi"), ("ephemeral-storage", "8Gi")];

fn quantities(of: &[(&str, &str)]) -> BTreeMap<String, Quantity> {
    of.iter()
        .map(|(name, amount)| ((*name).to_owned(), Quantity((*amount).to_owned())))
        .collect()
}

/// What every agent's container is promised, and what it may use at most: quantities by resource.
pub fn agent_quantities() -> [BTreeMap<String, String>; 2] {
    [REQUESTS, LIMITS].map(|of| {
        of.iter()
            .map(|(name, amount)| ((*name).to_owned(), (*amount).to_owned()))
            .collect()
    })
}

/// The agent's container's share.
pub(crate) fn agent_resources() -> ResourceRequirements {
    ResourceRequirements {
        requests: Some(quantities(&REQUESTS)),
        limits: Some(quantities(&LIMITS)),
        ..ResourceRequirements::default()
    }
}

/// All of the namespace together: room for the agent and a pod or two that it starts. It counts pods, not Jobs: a quota
/// on these would stand in the way of our own Job until the quota's controller has first counted.
pub(crate) fn resource_quota(workload: &Workload) -> ResourceQuota {
    let hard = [
        ("pods", "4"),
        ("requests.cpu", "2"),
        ("requests.memory", "4Gi"),
        ("limits.cpu", "8"),
        ("limits.memory", "8Gi"),
        ("persistentvolumeclaims", "0"),
        ("services.loadbalancers", "0"),
        ("services.nodeports", "0"),
    ];
    ResourceQuota {
        metadata: meta(workload, "run"),
        spec: Some(ResourceQuotaSpec {
            hard: Some(quantities(&hard)),
            ..ResourceQuotaSpec::default()
        }),
        ..ResourceQuota::default()
    }
}

/// What holds for a container that doesn't say, and the most that one may ask for.
pub(crate) fn limit_range(workload: &Workload) -> LimitRange {
    LimitRange {
        metadata: meta(workload, "run"),
        spec: Some(LimitRangeSpec {
            limits: vec![LimitRangeItem {
                type_: "Container".to_owned(),
                default_request: Some(quantities(&[("cpu", "100m"), ("memory", "128Mi")])),
                default: Some(quantities(&[("cpu", "1"), ("memory", "1Gi")])),
                max: Some(quantities(&[("cpu", "4"), ("memory", "4Gi")])),
                ..LimitRangeItem::default()
            }],
        }),
    }
}
