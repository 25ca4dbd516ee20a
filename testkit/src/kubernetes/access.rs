//! Who asks, and whether they may: bearer tokens, impersonation, RBAC.

pub(crate) mod escalation;

use std::collections::HashMap;

use http::HeaderMap;
use serde_json::Value;

use super::object::{self, items, str_of, strings};
use super::resource::{CLUSTER_ROLE, CLUSTER_ROLE_BINDING, ROLE, ROLE_BINDING, Resource};
use super::status::ApiError;
use super::store::Store;

/// One permission: every verb on every resource of every group named here; `*` is all.
#[derive(Debug, Clone)]
pub struct Rule {
    /// `get`, `list`, `watch`, `create`, `update`, `patch`, `delete`, `deletecollection`, `impersonate`.
    pub verbs: Vec<String>,
    /// API groups; the core group is the empty string.
    pub groups: Vec<String>,
    /// Plural names, with the subresource where there is one (`pods/log`).
    pub resources: Vec<String>,
}

impl Rule {
    /// A permission in all namespaces.
    pub fn new(verbs: &[&str], groups: &[&str], resources: &[&str]) -> Self {
        let owned = |list: &[&str]| list.iter().map(|text| (*text).to_owned()).collect();
        Self {
            verbs: owned(verbs),
            groups: owned(groups),
            resources: owned(resources),
        }
    }
}

/// Somebody with a token.
#[derive(Debug, Clone)]
pub struct Subject {
    name: String,
    groups: Vec<String>,
    rules: Vec<Rule>,
}

impl Subject {
    /// A user without any right but those that roles in the cluster give to it.
    pub fn user(name: &str) -> Self {
        Self {
            name: name.to_owned(),
            groups: vec!["system:authenticated".into()],
            rules: Vec::new(),
        }
    }

    /// A service account, with its groups.
    pub fn service_account(namespace: &str, name: &str) -> Self {
        let mut subject = Self::user(&format!("system:serviceaccount:{namespace}:{name}"));
        subject.groups.push("system:serviceaccounts".into());
        subject.groups.push(format!("system:serviceaccounts:{namespace}"));
        subject
    }

    /// Gives a right in all namespaces.
    pub fn allow(mut self, rule: Rule) -> Self {
        self.rules.push(rule);
        self
    }

    fn is_administrator(&self) -> bool {
        self.groups.iter().any(|group| group == "system:masters")
    }

    /// Somebody who may do everything.
    pub(crate) fn administrator() -> Self {
        let mut subject = Self::user("admin").allow(Rule::new(&["*"], &["*"], &["*"]));
        subject.groups.push("system:masters".into());
        subject
    }
}

/// What is asked for.
pub(crate) struct Attempt<'a> {
    pub verb: &'a str,
    pub resource: &'a Resource,
    pub subresource: &'a str,
    pub namespace: &'a str,
    pub name: &'a str,
}

/// Who stands behind the request's token, or whom they impersonate.
pub(crate) fn authenticate(
    tokens: &HashMap<String, Subject>,
    headers: &HeaderMap,
) -> Result<Subject, ApiError> {
    let text = |name: &str| headers.get(name).and_then(|value| value.to_str().ok());
    let caller = text("authorization")
        .and_then(|value| value.strip_prefix("Bearer "))
        .and_then(|token| tokens.get(token.trim()))
        .ok_or_else(ApiError::unauthorized)?;
    let Some(user) = text("impersonate-user") else {
        return Ok(caller.clone());
    };
    let may = caller.rules.iter().any(|rule| {
        rule.verbs.iter().any(|v| v == "*" || v == "impersonate")
            && rule.resources.iter().any(|r| r == "*" || r == "users")
    });
    if !may {
        return Err(ApiError {
            details: serde_json::json!({ "name": user, "kind": "users" }),
            ..ApiError::new(
                403,
                "Forbidden",
                format!(
                    "users {user:?} is forbidden: User {:?} cannot impersonate resource \"users\" in API group \"\" at the cluster scope",
                    caller.name
                ),
            )
        });
    }
    let mut subject = match user
        .strip_prefix("system:serviceaccount:")
        .and_then(|sa| sa.split_once(':'))
    {
        Some((namespace, name)) => Subject::service_account(namespace, name),
        None => Subject::user(user),
    };
    let groups = headers.get_all("impersonate-group");
    subject.groups.extend(
        groups
            .iter()
            .filter_map(|value| value.to_str().ok())
            .map(str::to_owned),
    );
    Ok(subject)
}

/// Refuses what the subject may not do.
pub(crate) fn authorize(store: &Store, subject: &Subject, attempt: &Attempt<'_>) -> Result<(), ApiError> {
    if allowed(store, subject, attempt) {
        return Ok(());
    }
    let resource = attempt.resource;
    let what = if attempt.subresource.is_empty() {
        resource.plural.to_owned()
    } else {
        format!("{}/{}", resource.plural, attempt.subresource)
    };
    let place = if attempt.namespace.is_empty() {
        "at the cluster scope".to_owned()
    } else {
        format!("in the namespace {:?}", attempt.namespace)
    };
    let why = format!(
        "User {:?} cannot {} resource {what:?} in API group {:?} {place}",
        subject.name, attempt.verb, resource.group
    );
    let mut refusal = ApiError::forbidden(resource, attempt.name, &why);
    if attempt.name.is_empty() {
        refusal.message = format!("{} is forbidden: {why}", resource.qualified());
    }
    Err(refusal)
}

fn allowed(store: &Store, subject: &Subject, attempt: &Attempt<'_>) -> bool {
    subject.is_administrator()
        || subject.rules.iter().any(|rule| allows(rule, attempt))
        || by_roles(store, subject, attempt)
}

fn matches_any(list: &[String], wanted: &str) -> bool {
    list.iter().any(|entry| entry == "*" || entry == wanted)
}

fn names_resource(list: &[String], attempt: &Attempt<'_>) -> bool {
    if attempt.subresource.is_empty() {
        return matches_any(list, attempt.resource.plural);
    }
    let whole = format!("{}/{}", attempt.resource.plural, attempt.subresource);
    let every = format!("*/{}", attempt.subresource);
    matches_any(list, &whole) || list.contains(&every)
}

fn allows(rule: &Rule, attempt: &Attempt<'_>) -> bool {
    matches_any(&rule.verbs, attempt.verb)
        && matches_any(&rule.groups, attempt.resource.group)
        && names_resource(&rule.resources, attempt)
}

fn by_roles(store: &Store, subject: &Subject, attempt: &Attempt<'_>) -> bool {
    let cluster_wide = store.list(&CLUSTER_ROLE_BINDING, None);
    let namespaced = store.list(&ROLE_BINDING, Some(attempt.namespace));
    let namespaced = namespaced.filter(|_| !attempt.namespace.is_empty());
    cluster_wide
        .chain(namespaced)
        .filter(|binding| binds(binding, subject))
        .any(|binding| {
            let role = &binding["roleRef"];
            let name = str_of(role, "name");
            let found = if role["kind"] == "ClusterRole" {
                store.get(&CLUSTER_ROLE, "", name)
            } else {
                store.get(&ROLE, object::namespace(binding), name)
            };
            found.is_some_and(|role| items(&role["rules"]).any(|rule| role_allows(rule, attempt)))
        })
}

fn binds(binding: &Value, subject: &Subject) -> bool {
    items(&binding["subjects"]).any(|bound| {
        let name = str_of(bound, "name");
        match str_of(bound, "kind") {
            "ServiceAccount" => {
                let namespace = match str_of(bound, "namespace") {
                    "" => object::namespace(binding),
                    namespace => namespace,
                };
                subject.name == format!("system:serviceaccount:{namespace}:{name}")
            }
            "Group" => subject.groups.iter().any(|group| group == name),
            _ => subject.name == name,
        }
    })
}

fn role_allows(rule: &Value, attempt: &Attempt<'_>) -> bool {
    let names = strings(&rule["resourceNames"]);
    let by_name = names.is_empty() || (!attempt.name.is_empty() && names.iter().any(|n| n == attempt.name));
    let rule = Rule {
        verbs: strings(&rule["verbs"]),
        groups: strings(&rule["apiGroups"]),
        resources: strings(&rule["resources"]),
    };
    by_name && allows(&rule, attempt)
}
