//! RBAC: only what a role gives is allowed.

use k8s_openapi::api::core::v1::{ConfigMap, Namespace, Secret, ServiceAccount};
use k8s_openapi::api::rbac::v1::{Role, RoleBinding};
use kube::api::{Api, DeleteParams, ListParams, PostParams};
use kube::config::{KubeConfigOptions, Kubeconfig};
use kube::{Client, Config};
use serde_json::json;

use crate::stage::{Stage, config_map, eventually, refused, typed};

#[tokio::test]
async fn a_service_account_may_do_what_its_role_says() {
    let stage = Stage::set("access").await;
    let accounts: Api<ServiceAccount> = stage.api();
    let account: ServiceAccount = typed(json!({ "metadata": { "name": "agent" } }));
    accounts.create(&PostParams::default(), &account).await.unwrap();
    let agent = stage
        .client_as(&format!("system:serviceaccount:{}:agent", stage.namespace))
        .await;
    let maps: Api<ConfigMap> = Api::namespaced(agent.clone(), &stage.namespace);
    let status = refused(maps.list(&ListParams::default()).await, 403, "Forbidden");
    let expected = format!(
        "User \"system:serviceaccount:{}:agent\" cannot list resource \"configmaps\" in API group \"\" in the namespace {:?}",
        stage.namespace, stage.namespace
    );
    assert!(status.message.contains(&expected), "{}", status.message);

    let roles: Api<Role> = stage.api();
    let role: Role = typed(json!({ "metadata": { "name": "agent" }, "rules": [
        { "apiGroups": [""], "resources": ["configmaps"], "verbs": ["get", "list"] },
        { "apiGroups": [""], "resources": ["configmaps"], "resourceNames": ["mine"], "verbs": ["delete"] },
    ] }));
    roles.create(&PostParams::default(), &role).await.unwrap();
    let bindings: Api<RoleBinding> = stage.api();
    let binding: RoleBinding = typed(json!({
        "metadata": { "name": "agent" },
        "subjects": [{ "kind": "ServiceAccount", "name": "agent", "namespace": stage.namespace }],
        "roleRef": { "apiGroup": "rbac.authorization.k8s.io", "kind": "Role", "name": "agent" },
    }));
    bindings.create(&PostParams::default(), &binding).await.unwrap();
    eventually("the binding to count", || async {
        maps.list(&ListParams::default()).await.ok()
    })
    .await;

    let own: Api<ConfigMap> = stage.api();
    for name in ["mine", "yours"] {
        own.create(&PostParams::default(), &config_map(name, "1"))
            .await
            .unwrap();
    }
    refused(
        maps.create(&PostParams::default(), &config_map("new", "1")).await,
        403,
        "Forbidden",
    );
    refused(
        maps.delete("yours", &DeleteParams::default()).await,
        403,
        "Forbidden",
    );
    maps.delete("mine", &DeleteParams::default()).await.unwrap();
    let secrets: Api<Secret> = Api::namespaced(agent.clone(), &stage.namespace);
    refused(secrets.list(&ListParams::default()).await, 403, "Forbidden");
    let elsewhere: Api<ConfigMap> = Api::namespaced(agent.clone(), "default");
    refused(elsewhere.list(&ListParams::default()).await, 403, "Forbidden");
    let everywhere: Api<ConfigMap> = Api::all(agent.clone());
    refused(everywhere.list(&ListParams::default()).await, 403, "Forbidden");
    let namespaces: Api<Namespace> = Api::all(agent);
    let status = refused(namespaces.list(&ListParams::default()).await, 403, "Forbidden");
    assert!(
        status.message.contains("at the cluster scope"),
        "{}",
        status.message
    );
    stage.clear().await;
}

#[tokio::test]
async fn nobody_gives_a_right_away_that_they_lack() {
    let stage = Stage::set("access").await;
    let roles: Api<Role> = stage.api();
    let role = |name: &str, group: &str, resource: &str| -> Role {
        typed(json!({ "metadata": { "name": name },
            "rules": [{ "apiGroups": [group], "resources": [resource], "verbs": ["create", "get"] }] }))
    };
    let own = role("giver", "rbac.authorization.k8s.io", "roles");
    roles.create(&PostParams::default(), &own).await.unwrap();
    let bindings: Api<RoleBinding> = stage.api();
    let giver = format!("system:serviceaccount:{}:giver", stage.namespace);
    let binding: RoleBinding = typed(json!({
        "metadata": { "name": "giver" },
        "subjects": [{ "kind": "ServiceAccount", "name": "giver", "namespace": stage.namespace }],
        "roleRef": { "apiGroup": "rbac.authorization.k8s.io", "kind": "Role", "name": "giver" },
    }));
    bindings.create(&PostParams::default(), &binding).await.unwrap();
    let theirs: Api<Role> = Api::namespaced(stage.client_as(&giver).await, &stage.namespace);
    eventually("the binding to count", || async {
        theirs.get("giver").await.ok()
    })
    .await;
    let more = theirs
        .create(&PostParams::default(), &role("more", "", "secrets"))
        .await;
    let status = refused(more, 403, "Forbidden");
    assert!(
        status
            .message
            .contains("attempting to grant RBAC permissions not currently held")
    );
    let same = role("same", "rbac.authorization.k8s.io", "roles");
    theirs.create(&PostParams::default(), &same).await.unwrap();
    stage.clear().await;
}

#[tokio::test]
async fn a_binding_keeps_its_role() {
    let stage = Stage::set("access").await;
    let bindings: Api<RoleBinding> = stage.api();
    let binding = |role: &str| -> RoleBinding {
        typed(json!({ "metadata": { "name": "b" },
            "roleRef": { "apiGroup": "rbac.authorization.k8s.io", "kind": "Role", "name": role } }))
    };
    bindings
        .create(&PostParams::default(), &binding("first"))
        .await
        .unwrap();
    refused(
        bindings
            .replace("b", &PostParams::default(), &binding("second"))
            .await,
        422,
        "Invalid",
    );
    stage.clear().await;
}

#[tokio::test]
async fn a_wrong_token_is_nobody() {
    let stage = Stage::set("access").await;
    let url = stage.client_url().await;
    let kubeconfig = format!(
        "apiVersion: v1\nkind: Config\ncurrent-context: c\nclusters:\n- name: c\n  cluster:\n    server: {url}\n    insecure-skip-tls-verify: true\ncontexts:\n- name: c\n  context:\n    cluster: c\n    user: u\nusers:\n- name: u\n  user:\n    token: not-a-token\n"
    );
    let kubeconfig = Kubeconfig::from_yaml(&kubeconfig).unwrap();
    let config = Config::from_custom_kubeconfig(kubeconfig, &KubeConfigOptions::default())
        .await
        .unwrap();
    let maps: Api<ConfigMap> = Api::namespaced(Client::try_from(config).unwrap(), &stage.namespace);
    refused(maps.list(&ListParams::default()).await, 401, "Unauthorized");
    stage.clear().await;
}
