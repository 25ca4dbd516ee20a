//! The order in which a run's namespace comes to be: first what guards it, last the Job. Each step is a server-side
//! apply under our own field manager, so that doing it again changes nothing.

use std::fmt::Debug;

use domain::port::PortError;
use domain::workload::Workload;
use k8s_openapi::NamespaceResourceScope;
use k8s_openapi::api::batch::v1::Job;
use k8s_openapi::api::core::v1::Namespace;
use kube::api::{Api, Patch, PatchParams, PostParams};
use kube::{Resource, ResourceExt as _};
use serde::Serialize;
use serde::de::DeserializeOwned;

use crate::calls::{PART, call, port_error};
use crate::cluster::KubeCluster;
use crate::manifest::{self, MANAGED_BY, MANAGER, RUN};

/// How long a namespace that is being removed usually needs.
const REMOVAL_MS: u64 = 5_000;

/// Makes the namespace with all that guards it, and the Job.
pub(crate) async fn launch(cluster: &KubeCluster, workload: &Workload) -> Result<(), PortError> {
    claim_namespace(cluster, workload).await?;
    apply(cluster, &manifest::deny_all(workload)).await?;
    apply(cluster, &manifest::allow_egress(workload)).await?;
    apply(cluster, &manifest::resource_quota(workload)).await?;
    apply(cluster, &manifest::limit_range(workload)).await?;
    apply(cluster, &manifest::service_account(workload)).await?;
    apply(cluster, &manifest::role(workload)).await?;
    apply(cluster, &manifest::role_binding(workload)).await?;
    start(cluster, workload).await
}

/// Makes the namespace, or brings ours up to date. Somebody else's is never touched: it is created, not applied,
/// where there is none, and applied only to the very one that was seen to be ours.
async fn claim_namespace(cluster: &KubeCluster, workload: &Workload) -> Result<(), PortError> {
    let namespaces: Api<Namespace> = Api::all(cluster.client.clone());
    let name = &workload.namespace;
    let failed = |error: kube::Error| port_error(&format!("namespace {name}"), &error);
    let mut wanted = manifest::namespace(workload);
    let seen = call("get", cluster.request_timeout, namespaces.get_opt(name))
        .await
        .map_err(failed)?;
    let Some(present) = seen else {
        let params = PostParams {
            field_manager: Some(MANAGER.to_owned()),
            ..PostParams::default()
        };
        // Lost to another creator: 409, so the job tries again and looks at whose it is.
        return call(
            "create",
            cluster.request_timeout,
            namespaces.create(&params, &wanted),
        )
        .await
        .map(drop)
        .map_err(failed);
    };
    check_ours(workload, &present)?;
    wanted.metadata.uid.clone_from(&present.metadata.uid);
    call(
        "apply",
        cluster.request_timeout,
        namespaces.patch(name, &apply_params(), &Patch::Apply(&wanted)),
    )
    .await
    .map(drop)
    .map_err(failed)
}

/// Refuses a namespace that isn't this run's, puts off one that is being removed.
fn check_ours(workload: &Workload, present: &Namespace) -> Result<(), PortError> {
    let name = &workload.namespace;
    let label = |key: &str| present.labels().get(key).map_or("", String::as_str);
    if label(MANAGED_BY) != MANAGER || label(RUN) != workload.run.to_string() {
        let reason = format!(
            "namespace {name} exists and isn't that of run {} (managed by `{}`, run `{}`): it is left alone; \
             rename or remove it",
            workload.run,
            label(MANAGED_BY),
            label(RUN),
        );
        return Err(PortError::Refused { part: PART, reason });
    }
    if present.metadata.deletion_timestamp.is_some() {
        let finalizers = present
            .spec
            .as_ref()
            .and_then(|spec| spec.finalizers.clone())
            .unwrap_or_default();
        let reason = format!(
            "namespace {name} is being removed (finalizers: {})",
            finalizers.join(", ")
        );
        return Err(PortError::Unavailable {
            part: PART,
            reason,
            retry_after_ms: Some(REMOVAL_MS),
        });
    }
    Ok(())
}

/// Creates the Job, unless the run has it already, in whatever state: a Job can't be changed, and a finished one
/// must not run again.
async fn start(cluster: &KubeCluster, workload: &Workload) -> Result<(), PortError> {
    let (namespace, name) = (&workload.namespace, &workload.job_name);
    let jobs: Api<Job> = Api::namespaced(cluster.client.clone(), namespace);
    let seen = call("get", cluster.request_timeout, jobs.get_opt(name)).await;
    let seen = seen.map_err(|error| port_error(&format!("Job {namespace}/{name}"), &error))?;
    match seen {
        None => apply(cluster, &manifest::job(workload)).await,
        Some(job) if job.labels().get(RUN) == Some(&workload.run.to_string()) => Ok(()),
        Some(_) => {
            let reason = format!(
                "Job {namespace}/{name} exists and isn't that of run {}",
                workload.run
            );
            Err(PortError::Refused { part: PART, reason })
        }
    }
}

async fn apply<K>(cluster: &KubeCluster, object: &K) -> Result<(), PortError>
where
    K: Resource<Scope = NamespaceResourceScope, DynamicType = ()>
        + Clone
        + Debug
        + Serialize
        + DeserializeOwned,
{
    let (namespace, name) = (object.namespace().unwrap_or_default(), object.name_any());
    let api: Api<K> = Api::namespaced(cluster.client.clone(), &namespace);
    let patch = Patch::Apply(object);
    call(
        "apply",
        cluster.request_timeout,
        api.patch(&name, &apply_params(), &patch),
    )
    .await
    .map(drop)
    .map_err(|error| port_error(&format!("{} {namespace}/{name}", K::kind(&())), &error))
}

fn apply_params() -> PatchParams {
    PatchParams::apply(MANAGER).force()
}
