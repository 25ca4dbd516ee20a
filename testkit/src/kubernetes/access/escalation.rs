//! Nobody gives away a right that they don't have themselves: for roles and for bindings to them.

use serde_json::Value;

use super::super::object::{items, str_of, strings};
use super::super::resource::{CLUSTER_ROLE, ROLE, Resource};
use super::super::status::ApiError;
use super::super::store::Store;
use super::super::writes::Target;
use super::{Attempt, Subject, allowed};

/// Refuses a role, or a binding to one, that gives more than the writer has.
pub(crate) fn check(store: &Store, subject: &Subject, target: &Target, body: &Value) -> Result<(), ApiError> {
    let (rules, exemption) = match target.resource.kind {
        "Role" | "ClusterRole" => (body["rules"].clone(), "escalate"),
        "RoleBinding" | "ClusterRoleBinding" => {
            let role = &body["roleRef"];
            let name = str_of(role, "name");
            let found = if role["kind"] == "ClusterRole" {
                store.get(&CLUSTER_ROLE, "", name)
            } else {
                store.get(&ROLE, &target.namespace, name)
            };
            (found.map_or(Value::Null, |role| role["rules"].clone()), "bind")
        }
        _ => return Ok(()),
    };
    let name = str_of(&body["metadata"], "name");
    let exempt = Attempt {
        verb: exemption,
        resource: target.resource,
        subresource: "",
        namespace: &target.namespace,
        name,
    };
    let missing: Vec<String> = items(&rules)
        .filter(|rule| !holds(store, subject, &target.namespace, rule))
        .map(|rule| {
            format!(
                "{{APIGroups:{:?}, Resources:{:?}, Verbs:{:?}}}",
                strings(&rule["apiGroups"]),
                strings(&rule["resources"]),
                strings(&rule["verbs"])
            )
        })
        .collect();
    if missing.is_empty() || allowed(store, subject, &exempt) {
        return Ok(());
    }
    let why = format!(
        "user {:?} (groups={:?}) is attempting to grant RBAC permissions not currently held:\n{}",
        subject.name,
        subject.groups,
        missing.join("\n")
    );
    Err(ApiError::forbidden(target.resource, name, &why))
}

/// Whether the subject has every right of the rule. Of kinds that aren't served here nobody has any, but the
/// administrators.
fn holds(store: &Store, subject: &Subject, namespace: &str, rule: &Value) -> bool {
    if subject.is_administrator() {
        return true;
    }
    let names = match strings(&rule["resourceNames"]) {
        names if names.is_empty() => vec![String::new()],
        names => names,
    };
    strings(&rule["verbs"]).iter().all(|verb| {
        strings(&rule["apiGroups"]).iter().all(|group| {
            strings(&rule["resources"]).iter().all(|plural| {
                let (plural, subresource) = plural.split_once('/').unwrap_or((plural, ""));
                let Some(resource) = Resource::find(group, "v1", plural) else {
                    return false;
                };
                names.iter().all(|name| {
                    let attempt = Attempt {
                        verb,
                        resource,
                        subresource,
                        namespace,
                        name,
                    };
                    allowed(store, subject, &attempt)
                })
            })
        })
    })
}
