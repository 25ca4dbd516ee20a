//! The Job that runs the agent: once, within its deadline, as nobody in particular.

use std::collections::BTreeMap;

use domain::workload::Workload;
use k8s_openapi::api::batch::v1::{Job, JobSpec};
use k8s_openapi::api::core::v1::{
    Capabilities, Container, EmptyDirVolumeSource, EnvVar, PodSecurityContext, PodSpec, PodTemplateSpec,
    SeccompProfile, SecurityContext, Volume, VolumeMount,
};
use k8s_openapi::apimachinery::pkg::api::resource::Quantity;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;

use super::access::ACCOUNT;
use super::limits::agent_resources;
use super::{correlation, labels, meta};

/// The agent's container.
pub(crate) const CONTAINER: &str = "agent";
/// Nobody, in the images that know such a user; any other number would do.
const USER: i64 = 65_532;
/// A finished Job and its log stay for a day, if the namespace does.
const KEEP_FINISHED_S: i32 = 86_400;
/// What the agent may write to, and how much: its root file system is read-only.
const WRITABLE: [(&str, &str, &str); 2] = [("tmp", "/tmp", "1Gi"), ("workspace", "/workspace", "6Gi")];

/// The Job. Its template can't be changed once it is there, so nothing in it may change from one call to the next.
pub(crate) fn job(workload: &Workload) -> Job {
    Job {
        metadata: meta(workload, &workload.job_name),
        spec: Some(JobSpec {
            backoff_limit: Some(0),
            active_deadline_seconds: Some(workload.deadline_s),
            ttl_seconds_after_finished: Some(KEEP_FINISHED_S),
            template: PodTemplateSpec {
                metadata: Some(ObjectMeta {
                    labels: Some(labels(workload)),
                    annotations: Some(correlation(workload)),
                    ..ObjectMeta::default()
                }),
                spec: Some(pod(workload)),
            },
            ..JobSpec::default()
        }),
        ..Job::default()
    }
}

fn pod(workload: &Workload) -> PodSpec {
    PodSpec {
        restart_policy: Some("Never".to_owned()),
        service_account_name: Some(ACCOUNT.to_owned()),
        automount_service_account_token: Some(false),
        enable_service_links: Some(false),
        security_context: Some(PodSecurityContext {
            run_as_non_root: Some(true),
            run_as_user: Some(USER),
            run_as_group: Some(USER),
            fs_group: Some(USER),
            seccomp_profile: Some(runtime_default()),
            ..PodSecurityContext::default()
        }),
        containers: vec![container(workload)],
        volumes: Some(WRITABLE.map(|(name, _, size)| volume(name, size)).to_vec()),
        ..PodSpec::default()
    }
}

fn container(workload: &Workload) -> Container {
    // A home that can be written to, unless the run says where.
    let mut env = BTreeMap::from([("HOME".to_owned(), "/tmp".to_owned())]);
    env.extend(workload.env.clone());
    let env = env.into_iter().map(|(name, value)| EnvVar {
        name,
        value: Some(value),
        ..EnvVar::default()
    });
    Container {
        name: CONTAINER.to_owned(),
        image: Some(workload.image.clone()),
        command: (!workload.command.is_empty()).then(|| workload.command.clone()),
        env: Some(env.collect()),
        working_dir: Some("/workspace".to_owned()),
        resources: Some(agent_resources()),
        volume_mounts: Some(
            WRITABLE
                .map(|(name, path, _)| VolumeMount {
                    name: name.to_owned(),
                    mount_path: path.to_owned(),
                    ..VolumeMount::default()
                })
                .to_vec(),
        ),
        security_context: Some(SecurityContext {
            allow_privilege_escalation: Some(false),
            capabilities: Some(Capabilities {
                drop: Some(vec!["ALL".to_owned()]),
                ..Capabilities::default()
            }),
            privileged: Some(false),
            read_only_root_filesystem: Some(true),
            run_as_non_root: Some(true),
            run_as_user: Some(USER),
            seccomp_profile: Some(runtime_default()),
            ..SecurityContext::default()
        }),
        ..Container::default()
    }
}

fn volume(name: &str, size: &str) -> Volume {
    Volume {
        name: name.to_owned(),
        empty_dir: Some(EmptyDirVolumeSource {
            size_limit: Some(Quantity(size.to_owned())),
            ..EmptyDirVolumeSource::default()
        }),
        ..Volume::default()
    }
}

fn runtime_default() -> SeccompProfile {
    SeccompProfile {
        type_: "RuntimeDefault".to_owned(),
        ..SeccompProfile::default()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::manifest::tests::workload;

    #[test]
    fn runs_once_as_nobody_with_no_token_and_no_secret() {
        let text = serde_json::to_string(&job(&workload())).unwrap();
        let spec = job(&workload()).spec.unwrap();
        assert_eq!(
            (spec.backoff_limit, spec.active_deadline_seconds),
            (Some(0), Some(600))
        );
        let pod = spec.template.spec.unwrap();
        assert_eq!(pod.automount_service_account_token, Some(false));
        assert_eq!(pod.restart_policy.as_deref(), Some("Never"));
        let security = pod.containers[0].security_context.clone().unwrap();
        assert_eq!(security.read_only_root_filesystem, Some(true));
        assert_eq!(security.capabilities.unwrap().drop, Some(vec!["ALL".to_owned()]));
        assert!(!text.contains("secret"), "{text}");
    }

    #[test]
    fn an_empty_command_leaves_the_images_own_and_a_home_may_be_chosen() {
        let mut workload = workload();
        workload.command.clear();
        workload.env.insert("HOME".into(), "/workspace/home".into());
        let pod = job(&workload).spec.unwrap().template.spec.unwrap();
        assert_eq!(pod.containers[0].command, None);
        let env = pod.containers[0].env.clone().unwrap();
        assert_eq!(env.iter().filter(|e| e.name == "HOME").count(), 1);
        assert!(env.iter().any(|e| e.value.as_deref() == Some("/workspace/home")));
    }
}
