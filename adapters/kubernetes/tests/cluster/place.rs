//! A cluster to test on, and workloads that don't get into each other's way.
#![expect(clippy::unwrap_used, reason = "a test that can't be set up fails")]

use std::path::PathBuf;
use std::sync::atomic::{AtomicI64, Ordering};
use std::time::{Duration, Instant};

use domain::port::Cluster as _;
use domain::workload::{Observation, Workload, job_name, namespace_name};
use domain::{Clock as _, CorrelationId, RunId, Secret, SystemClock};
use k8s_openapi::api::core::v1::{Namespace, Node};
use kube::api::{Api, DeleteParams, ListParams};
use kube::config::{KubeConfigOptions, Kubeconfig};
use kube::{Client, Config};
use kubernetes::{Access, KubeCluster};
use testkit::kubernetes::Simulator;

pub(crate) struct Place {
    /// The simulator, unless the cluster is a real one.
    pub simulator: Option<Simulator>,
    pub cluster: KubeCluster,
    /// A second way in, to look at what the adapter did.
    pub client: Client,
}

/// The one place that decides where the tests run.
pub(crate) async fn place() -> Place {
    if let Some(path) = std::env::var_os("CODEX_K8S_TEST_KUBECONFIG") {
        let path = PathBuf::from(path);
        let client = client(Kubeconfig::read_from(&path).unwrap()).await;
        let cluster = KubeCluster::connect(&Access::Kubeconfig(path)).await.unwrap();
        return Place {
            simulator: None,
            cluster,
            client,
        };
    }
    simulated().await
}

/// The simulator, also where a real cluster is named: for what can't be done to a real one.
pub(crate) async fn simulated() -> Place {
    let simulator = Simulator::builder().start().await.unwrap();
    let access = Access::Token {
        url: simulator.url(),
        token: Secret::new(simulator.token().to_owned()),
    };
    let cluster = KubeCluster::connect(&access).await.unwrap();
    let client = client(Kubeconfig::from_yaml(&simulator.kubeconfig()).unwrap()).await;
    Place {
        simulator: Some(simulator),
        cluster,
        client,
    }
}

async fn client(file: Kubeconfig) -> Client {
    let config = Config::from_custom_kubeconfig(file, &KubeConfigOptions::default())
        .await
        .unwrap();
    Client::try_from(config).unwrap()
}

impl Place {
    /// A cluster on which agents run; `None`, with a word on why, if this one has nowhere to.
    pub(crate) async fn with_nodes() -> Option<Self> {
        let place = place().await;
        let nodes = Api::<Node>::all(place.client.clone())
            .list(&ListParams::default())
            .await
            .unwrap();
        let ready = nodes
            .items
            .into_iter()
            .filter_map(|node| node.status?.conditions)
            .any(|conditions| {
                conditions
                    .iter()
                    .any(|condition| condition.type_ == "Ready" && condition.status == "True")
            });
        if !ready {
            println!("skipped: the cluster has no ready node");
        }
        ready.then_some(place)
    }

    /// Looks until it is as wanted, for at most a minute.
    pub(crate) async fn until(
        &self,
        workload: &Workload,
        wanted: impl Fn(&Observation) -> bool,
    ) -> Observation {
        let begun = Instant::now();
        loop {
            let seen = self
                .cluster
                .observe(&workload.namespace, &workload.job_name)
                .await
                .unwrap();
            if wanted(&seen) {
                return seen;
            }
            assert!(begun.elapsed() < Duration::from_mins(1), "still {seen:?}");
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
    }

    /// Looks until the run has come to its end.
    pub(crate) async fn until_ended(&self, workload: &Workload) -> Observation {
        self.until(workload, |seen| {
            !matches!(seen, Observation::Active { .. } | Observation::Missing)
        })
        .await
    }

    /// Takes the namespace away again.
    pub(crate) async fn tidy(&self, workload: &Workload) {
        let namespaces: Api<Namespace> = Api::all(self.client.clone());
        let _ = namespaces
            .delete(&workload.namespace, &DeleteParams::default())
            .await;
    }
}

/// A workload of its own run that does this in a shell.
pub(crate) fn workload(script: &str) -> Workload {
    static NEXT: AtomicI64 = AtomicI64::new(0);
    let now = SystemClock.now();
    let run = RunId(now.timestamp_micros() * 10 + NEXT.fetch_add(1, Ordering::Relaxed));
    let image = std::env::var("CODEX_K8S_TEST_IMAGE").unwrap_or_else(|_| "busybox:1.37".to_owned());
    Workload {
        run,
        project: "adapter-test".into(),
        issue: 1,
        role: "dev".into(),
        correlation_id: CorrelationId::new(format!("test-{run}")).unwrap(),
        namespace: namespace_name("adapter-test", 1, run),
        job_name: job_name(run),
        image,
        command: vec!["/bin/sh".into(), "-c".into(), script.into()],
        env: [("GREETING".to_owned(), "hello".to_owned())].into(),
        deadline_s: 120,
        expires_at: now + chrono::Duration::hours(1),
    }
}
