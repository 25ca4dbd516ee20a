//! The kinds that the simulator serves: only what the product uses, and what its tests look at.

/// One kind of object.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Resource {
    /// The place in [`RESOURCES`], which is also the order in the store.
    pub(crate) index: usize,
    pub(crate) group: &'static str,
    pub(crate) version: &'static str,
    pub(crate) kind: &'static str,
    pub(crate) plural: &'static str,
    pub(crate) namespaced: bool,
    /// Whether it has a `status` subresource.
    pub(crate) status: bool,
    /// Whether `metadata.generation` counts the changes of its spec.
    pub(crate) generation: bool,
}

const CORE: &str = "";
const BATCH: &str = "batch";
const NETWORKING: &str = "networking.k8s.io";
const RBAC: &str = "rbac.authorization.k8s.io";

const fn resource(index: usize, group: &'static str, kind: &'static str, plural: &'static str) -> Resource {
    Resource {
        index,
        group,
        version: "v1",
        kind,
        plural,
        namespaced: true,
        status: false,
        generation: false,
    }
}

const fn cluster_wide(mut resource: Resource) -> Resource {
    resource.namespaced = false;
    resource
}

const fn with_status(mut resource: Resource) -> Resource {
    resource.status = true;
    resource
}

const fn with_generation(mut resource: Resource) -> Resource {
    resource.generation = true;
    resource
}

pub(crate) static NAMESPACE: Resource =
    cluster_wide(with_status(resource(0, CORE, "Namespace", "namespaces")));
pub(crate) static POD: Resource = with_generation(with_status(resource(1, CORE, "Pod", "pods")));
pub(crate) static SECRET: Resource = resource(2, CORE, "Secret", "secrets");
pub(crate) static CONFIG_MAP: Resource = resource(3, CORE, "ConfigMap", "configmaps");
pub(crate) static SERVICE_ACCOUNT: Resource = resource(4, CORE, "ServiceAccount", "serviceaccounts");
pub(crate) static RESOURCE_QUOTA: Resource =
    with_status(resource(5, CORE, "ResourceQuota", "resourcequotas"));
pub(crate) static LIMIT_RANGE: Resource = resource(6, CORE, "LimitRange", "limitranges");
pub(crate) static EVENT: Resource = resource(7, CORE, "Event", "events");
pub(crate) static NODE: Resource = cluster_wide(with_status(resource(8, CORE, "Node", "nodes")));
pub(crate) static JOB: Resource = with_generation(with_status(resource(9, BATCH, "Job", "jobs")));
pub(crate) static NETWORK_POLICY: Resource =
    with_generation(resource(10, NETWORKING, "NetworkPolicy", "networkpolicies"));
pub(crate) static ROLE: Resource = resource(11, RBAC, "Role", "roles");
pub(crate) static ROLE_BINDING: Resource = resource(12, RBAC, "RoleBinding", "rolebindings");
pub(crate) static CLUSTER_ROLE: Resource = cluster_wide(resource(13, RBAC, "ClusterRole", "clusterroles"));
pub(crate) static CLUSTER_ROLE_BINDING: Resource =
    cluster_wide(resource(14, RBAC, "ClusterRoleBinding", "clusterrolebindings"));

/// All of them.
pub(crate) static RESOURCES: [&Resource; 15] = [
    &NAMESPACE,
    &POD,
    &SECRET,
    &CONFIG_MAP,
    &SERVICE_ACCOUNT,
    &RESOURCE_QUOTA,
    &LIMIT_RANGE,
    &EVENT,
    &NODE,
    &JOB,
    &NETWORK_POLICY,
    &ROLE,
    &ROLE_BINDING,
    &CLUSTER_ROLE,
    &CLUSTER_ROLE_BINDING,
];

impl Resource {
    /// The kind behind a path.
    pub(crate) fn find(group: &str, version: &str, plural: &str) -> Option<&'static Resource> {
        RESOURCES
            .iter()
            .copied()
            .find(|r| r.group == group && r.version == version && r.plural == plural)
    }

    /// The kind that an object or a reference names.
    pub(crate) fn of_kind(api_version: &str, kind: &str) -> Option<&'static Resource> {
        RESOURCES
            .iter()
            .copied()
            .find(|r| r.kind == kind && r.api_version() == api_version)
    }

    /// `v1`, `batch/v1`.
    pub(crate) fn api_version(&self) -> String {
        if self.group.is_empty() {
            self.version.to_owned()
        } else {
            format!("{}/{}", self.group, self.version)
        }
    }

    /// `pods`, `jobs.batch`: as error messages and quotas name it.
    pub(crate) fn qualified(&self) -> String {
        if self.group.is_empty() {
            self.plural.to_owned()
        } else {
            format!("{}.{}", self.plural, self.group)
        }
    }

    /// `Pod`, `Job.batch`: as messages about invalid objects name it.
    pub(crate) fn qualified_kind(&self) -> String {
        if self.group.is_empty() {
            self.kind.to_owned()
        } else {
            format!("{}.{}", self.kind, self.group)
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_index_is_the_place_in_the_table() {
        for (place, resource) in RESOURCES.iter().enumerate() {
            assert_eq!(resource.index, place, "{}", resource.kind);
        }
    }
}
