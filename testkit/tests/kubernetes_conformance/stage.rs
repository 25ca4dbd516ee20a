//! Where the tests play: a simulator or a real cluster, and in it a namespace of their own.

use std::collections::BTreeMap;
use std::fmt::Debug;
use std::time::Duration;

use k8s_openapi::api::core::v1::{ConfigMap, Namespace, Node, Pod, ServiceAccount};
use kube::api::{Api, DeleteParams, ListParams, ObjectMeta, PostParams};
use kube::config::{KubeConfigOptions, Kubeconfig};
use kube::core::Status;
use kube::{Client, Config, Resource};
use serde::de::DeserializeOwned;
use serde_json::{Value, json};
use testkit::kubernetes::Simulator;

/// How long a cluster may take for anything.
const PATIENCE: Duration = Duration::from_secs(90);

/// A cluster and a namespace.
pub(crate) struct Stage {
    pub(crate) client: Client,
    pub(crate) namespace: String,
    kubeconfig: Kubeconfig,
    /// None on a real cluster.
    pub(crate) simulator: Option<Simulator>,
}

impl Stage {
    /// Sets the stage; `topic` becomes part of the namespace's name.
    pub(crate) async fn set(topic: &str) -> Self {
        Self::set_with(topic, json!({})).await
    }

    /// The same, with labels on the namespace.
    pub(crate) async fn set_with(topic: &str, labels: Value) -> Self {
        let (kubeconfig, simulator) = match std::env::var("CODEX_K8S_TEST_KUBECONFIG") {
            Ok(path) if !path.is_empty() => (Kubeconfig::read_from(path).unwrap(), None),
            _ => {
                let simulator = Simulator::builder()
                    .bookmark_interval(Duration::from_millis(500))
                    .job_backoff(Duration::from_millis(200))
                    .start()
                    .await
                    .unwrap();
                (
                    Kubeconfig::from_yaml(&simulator.kubeconfig()).unwrap(),
                    Some(simulator),
                )
            }
        };
        let client = connect(kubeconfig.clone()).await;
        let namespaces: Api<Namespace> = Api::all(client.clone());
        let wanted: Namespace = typed(json!({ "metadata": {
            "generateName": format!("conformance-{topic}-"), "labels": labels,
        }}));
        let namespace = namespaces.create(&PostParams::default(), &wanted).await.unwrap();
        let stage = Self {
            client,
            namespace: name(&namespace),
            kubeconfig,
            simulator,
        };
        let accounts: Api<ServiceAccount> = stage.api();
        eventually("the default service account", || async {
            accounts.get_opt("default").await.unwrap()
        })
        .await;
        stage
    }

    /// The client's view on a kind in this namespace.
    pub(crate) fn api<K>(&self) -> Api<K>
    where
        K: Resource<Scope = kube::core::NamespaceResourceScope>,
        K::DynamicType: Default,
    {
        Api::namespaced(self.client.clone(), &self.namespace)
    }

    /// A client that acts as somebody else.
    pub(crate) async fn client_as(&self, user: &str) -> Client {
        let mut kubeconfig = self.kubeconfig.clone();
        for auth in &mut kubeconfig.auth_infos {
            if let Some(auth) = &mut auth.auth_info {
                auth.impersonate = Some(user.to_owned());
            }
        }
        connect(kubeconfig).await
    }

    /// Where the API server is.
    pub(crate) async fn client_url(&self) -> String {
        let options = KubeConfigOptions::default();
        let config = Config::from_custom_kubeconfig(self.kubeconfig.clone(), &options)
            .await
            .unwrap();
        config.cluster_url.to_string()
    }

    /// Whether pods can run here; a test that needs it prints why it doesn't say more.
    pub(crate) async fn has_nodes(&self) -> bool {
        let nodes: Api<Node> = Api::all(self.client.clone());
        let list = nodes.list(&ListParams::default()).await.unwrap();
        let ready = list.items.iter().any(|node| {
            // Nodes that only pretend to run pods show nothing.
            let pretends = node
                .metadata
                .annotations
                .iter()
                .flatten()
                .any(|(key, _)| key.starts_with("kwok."));
            let conditions = node.status.iter().flat_map(|s| s.conditions.iter().flatten());
            !pretends
                && conditions
                    .into_iter()
                    .any(|c| c.type_ == "Ready" && c.status == "True")
        });
        if !ready {
            println!("skipped: the cluster has no ready node, so no pod runs");
        }
        ready
    }

    /// Takes the namespace away; only after a test that went well, so that a failure can be looked at.
    pub(crate) async fn clear(self) {
        let namespaces: Api<Namespace> = Api::all(self.client.clone());
        namespaces
            .delete(&self.namespace, &DeleteParams::default())
            .await
            .unwrap();
        if let Some(simulator) = self.simulator {
            simulator.stop().await;
        }
    }
}

async fn connect(kubeconfig: Kubeconfig) -> Client {
    let config = Config::from_custom_kubeconfig(kubeconfig, &KubeConfigOptions::default())
        .await
        .unwrap();
    Client::try_from(config).unwrap()
}

/// An object from JSON.
pub(crate) fn typed<K>(mut value: Value) -> K
where
    K: Resource + DeserializeOwned,
    K::DynamicType: Default,
{
    let kind = K::DynamicType::default();
    value["apiVersion"] = K::api_version(&kind).as_ref().into();
    value["kind"] = K::kind(&kind).as_ref().into();
    serde_json::from_value(value).unwrap()
}

/// A ConfigMap with one entry.
pub(crate) fn config_map(name: &str, value: &str) -> ConfigMap {
    ConfigMap {
        metadata: ObjectMeta {
            name: Some(name.into()),
            ..ObjectMeta::default()
        },
        data: Some(BTreeMap::from([("key".to_owned(), value.to_owned())])),
        ..ConfigMap::default()
    }
}

/// A container that satisfies the strictest pod security.
pub(crate) fn container(script: &str) -> Value {
    json!({
        "name": "main", "image": "docker.io/library/busybox:1.37", "command": ["sh", "-c", script],
        "securityContext": {
            "allowPrivilegeEscalation": false, "capabilities": { "drop": ["ALL"] }, "runAsNonRoot": true,
            "runAsUser": 65532, "seccompProfile": { "type": "RuntimeDefault" },
        },
    })
}

/// A pod that runs a script once.
pub(crate) fn pod(name: &str, script: &str) -> Pod {
    typed(json!({
        "metadata": { "name": name },
        "spec": { "restartPolicy": "Never", "containers": [container(script)] },
    }))
}

pub(crate) fn name<K: Resource>(object: &K) -> String {
    object.meta().name.clone().unwrap()
}

pub(crate) fn uid<K: Resource>(object: &K) -> String {
    object.meta().uid.clone().unwrap()
}

pub(crate) fn resource_version<K: Resource>(object: &K) -> String {
    object.meta().resource_version.clone().unwrap()
}

/// The refusal in a result.
#[track_caller]
pub(crate) fn refusal<T: Debug>(result: kube::Result<T>) -> Status {
    match result {
        Err(kube::Error::Api(status)) => *status,
        other => panic!("not a refusal: {other:?}"),
    }
}

/// The refusal, which must have this code and reason.
#[track_caller]
pub(crate) fn refused<T: Debug>(result: kube::Result<T>, code: u16, reason: &str) -> Status {
    let status = refusal(result);
    assert_eq!(
        (status.code, status.reason.as_str()),
        (code, reason),
        "{}",
        status.message
    );
    status
}

/// The reasons of a refusal's causes.
pub(crate) fn causes(status: &Status) -> Vec<(String, String)> {
    let causes = status.details.iter().flat_map(|details| &details.causes);
    causes
        .map(|cause| (cause.reason.clone(), cause.field.clone()))
        .collect()
}

/// Asks again until there is an answer.
pub(crate) async fn eventually<T, F>(what: &str, mut ask: impl FnMut() -> F) -> T
where
    F: Future<Output = Option<T>>,
{
    let deadline = tokio::time::Instant::now() + PATIENCE;
    loop {
        if let Some(answer) = ask().await {
            return answer;
        }
        assert!(
            tokio::time::Instant::now() < deadline,
            "waited in vain for {what}"
        );
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
}

/// Waits until an object is gone.
pub(crate) async fn gone<K>(api: &Api<K>, name: &str)
where
    K: Clone + DeserializeOwned + Debug,
{
    eventually(&format!("the end of {name}"), || async {
        api.get_opt(name).await.unwrap().is_none().then_some(())
    })
    .await;
}
