//! Who the agent's pod is in the cluster, and what it may do there: little, and nobody reads Secrets.

use domain::workload::Workload;
use k8s_openapi::api::core::v1::ServiceAccount;
use k8s_openapi::api::rbac::v1::{PolicyRule, Role, RoleBinding, RoleRef, Subject};

use super::meta;

/// The name of the service account, its role and their binding.
pub(crate) const ACCOUNT: &str = "agent";

/// The account; its token is never put into a pod by itself.
pub(crate) fn service_account(workload: &Workload) -> ServiceAccount {
    ServiceAccount {
        metadata: meta(workload, ACCOUNT),
        automount_service_account_token: Some(false),
        ..ServiceAccount::default()
    }
}

/// What the run's agent may do in its namespace: look at its own workload.
pub(crate) fn role(workload: &Workload) -> Role {
    Role {
        metadata: meta(workload, ACCOUNT),
        rules: Some(vec![
            look_at("", &["events", "pods", "pods/log"]),
            look_at("batch", &["jobs"]),
        ]),
    }
}

/// Gives the role to the account.
pub(crate) fn role_binding(workload: &Workload) -> RoleBinding {
    RoleBinding {
        metadata: meta(workload, ACCOUNT),
        role_ref: RoleRef {
            api_group: Some("rbac.authorization.k8s.io".to_owned()),
            kind: "Role".to_owned(),
            name: ACCOUNT.to_owned(),
        },
        subjects: Some(vec![Subject {
            kind: "ServiceAccount".to_owned(),
            name: ACCOUNT.to_owned(),
            namespace: Some(workload.namespace.clone()),
            ..Subject::default()
        }]),
    }
}

fn look_at(group: &str, resources: &[&str]) -> PolicyRule {
    let owned = |texts: &[&str]| texts.iter().map(|text| (*text).to_owned()).collect::<Vec<_>>();
    PolicyRule {
        api_groups: Some(owned(&[group])),
        resources: Some(owned(resources)),
        verbs: owned(&["get", "list", "watch"]),
        ..PolicyRule::default()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::manifest::tests::workload;

    #[test]
    fn nobody_reads_secrets() {
        for rule in role(&workload()).rules.unwrap() {
            let named = [rule.resources.unwrap(), rule.api_groups.unwrap(), rule.verbs].concat();
            assert!(
                !named.iter().any(|name| name == "secrets" || name == "*"),
                "{named:?}"
            );
        }
    }
}
