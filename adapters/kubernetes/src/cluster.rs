//! [`KubeCluster`]: the cluster port on Kubernetes.

use std::time::Duration;

use async_trait::async_trait;
use domain::RunId;
use domain::port::{Cluster, PortError};
use domain::workload::{Observation, Workload};
use k8s_openapi::api::batch::v1::Job;
use k8s_openapi::api::core::v1::Pod;
use kube::api::{Api, DeleteParams, ListParams};
use kube::{Client, ResourceExt};

use crate::access::{Access, ConnectError};
use crate::calls::{call, port_error};
use crate::{launch, log, observe, watch};

/// Time to connect to the API server.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(3);
/// Time for one request, whole; watches have none.
const REQUEST_TIMEOUT: Duration = Duration::from_secs(10);

/// A Kubernetes cluster behind the cluster port.
#[derive(Clone)]
pub struct KubeCluster {
    pub(crate) client: Client,
    pub(crate) request_timeout: Duration,
}

impl KubeCluster {
    /// Makes the client; asks nothing of the server yet. Call it inside a tokio runtime: the client keeps a task.
    pub async fn connect(access: &Access) -> Result<Self, ConnectError> {
        let client = access.client(CONNECT_TIMEOUT).await?;
        Ok(Self {
            client,
            request_timeout: REQUEST_TIMEOUT,
        })
    }

    /// Another time limit for a request than 10 s.
    pub fn with_request_timeout(mut self, limit: Duration) -> Self {
        self.request_timeout = limit;
        self
    }

    /// The API server's version, such as `v1.36.1`: whether it answers, and accepts us.
    pub async fn version(&self) -> Result<String, PortError> {
        let version = call("version", self.request_timeout, self.client.apiserver_version()).await;
        version
            .map(|info| info.git_version)
            .map_err(|error| port_error("the API server's version", &error))
    }

    /// The Job's newest pod, `None` while there is none.
    async fn pod(&self, namespace: &str, job_name: &str) -> Result<Option<Pod>, PortError> {
        let pods: Api<Pod> = Api::namespaced(self.client.clone(), namespace);
        let of_job = ListParams::default().labels(&format!("batch.kubernetes.io/job-name={job_name}"));
        let list = call("list", self.request_timeout, pods.list(&of_job)).await;
        let list =
            list.map_err(|error| port_error(&format!("the pods of Job {namespace}/{job_name}"), &error))?;
        Ok(list.items.into_iter().max_by_key(ResourceExt::creation_timestamp))
    }
}

#[async_trait]
impl Cluster for KubeCluster {
    async fn launch(&self, workload: &Workload) -> Result<(), PortError> {
        launch::launch(self, workload).await
    }

    async fn observe(&self, namespace: &str, job_name: &str) -> Result<Observation, PortError> {
        let jobs: Api<Job> = Api::namespaced(self.client.clone(), namespace);
        let job = call("get", self.request_timeout, jobs.get_opt(job_name)).await;
        let job = job.map_err(|error| port_error(&format!("Job {namespace}/{job_name}"), &error))?;
        let Some(job) = job else {
            return Ok(Observation::Missing);
        };
        let pod = match self.pod(namespace, job_name).await {
            // What the Job says itself must not wait for its pod.
            Err(error) if observe::is_finished(&job) => {
                tracing::warn!(namespace, job_name, %error, "the pod of a finished Job can't be read");
                None
            }
            pod => pod?,
        };
        Ok(observe::observation(&job, pod.as_ref()))
    }

    async fn log(&self, namespace: &str, job_name: &str, limit_bytes: i64) -> Result<Vec<String>, PortError> {
        // The pod first: a log read after the pod had ended is whole.
        match self.pod(namespace, job_name).await? {
            Some(pod) => log::lines(self, namespace, &pod, limit_bytes).await,
            None => Ok(Vec::new()),
        }
    }

    async fn stop(&self, namespace: &str, job_name: &str) -> Result<(), PortError> {
        let jobs: Api<Job> = Api::namespaced(self.client.clone(), namespace);
        match call(
            "delete",
            self.request_timeout,
            jobs.delete(job_name, &DeleteParams::background()),
        )
        .await
        {
            Ok(_) => Ok(()),
            Err(kube::Error::Api(status)) if status.is_not_found() => Ok(()),
            Err(error) => Err(port_error(&format!("ending Job {namespace}/{job_name}"), &error)),
        }
    }

    async fn watch(&self, hint: &(dyn Fn(RunId) + Send + Sync)) -> Result<(), PortError> {
        watch::watch(self.client.clone(), hint).await
    }
}
