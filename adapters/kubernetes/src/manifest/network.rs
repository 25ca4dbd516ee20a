//! What an agent's pod may reach: names and https, nothing else; and nobody reaches it.

use std::collections::BTreeMap;

use domain::workload::Workload;
use k8s_openapi::api::networking::v1::{
    IPBlock, NetworkPolicy, NetworkPolicyEgressRule, NetworkPolicyPeer, NetworkPolicyPort, NetworkPolicySpec,
};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::LabelSelector;
use k8s_openapi::apimachinery::pkg::util::intstr::IntOrString;

use super::meta;

/// Nothing goes in or out, for every pod of the namespace.
pub(crate) fn deny_all(workload: &Workload) -> NetworkPolicy {
    NetworkPolicy {
        metadata: meta(workload, "deny-all"),
        spec: Some(NetworkPolicySpec {
            pod_selector: Some(LabelSelector::default()),
            policy_types: Some(vec!["Ingress".to_owned(), "Egress".to_owned()]),
            ..NetworkPolicySpec::default()
        }),
    }
}

/// The few allows: the cluster's name service, and https to anywhere but link-local addresses, where clouds keep
/// the machine's own credentials.
pub(crate) fn allow_egress(workload: &Workload) -> NetworkPolicy {
    let names = NetworkPolicyEgressRule {
        ports: Some(vec![port("UDP", 53), port("TCP", 53)]),
        to: Some(vec![
            NetworkPolicyPeer {
                namespace_selector: Some(LabelSelector {
                    match_labels: Some(BTreeMap::from([(
                        "kubernetes.io/metadata.name".to_owned(),
                        "kube-system".to_owned(),
                    )])),
                    ..LabelSelector::default()
                }),
                ..NetworkPolicyPeer::default()
            },
            // The node-local cache of the name service, where a cluster has one.
            block("169.254.20.10/32", &[]),
        ]),
    };
    let https = NetworkPolicyEgressRule {
        ports: Some(vec![port("TCP", 443)]),
        to: Some(vec![
            block("0.0.0.0/0", &["169.254.0.0/16"]),
            block("::/0", &["fd00:ec2::254/128", "fe80::/10"]),
        ]),
    };
    NetworkPolicy {
        metadata: meta(workload, "allow-dns-and-https"),
        spec: Some(NetworkPolicySpec {
            pod_selector: Some(LabelSelector::default()),
            policy_types: Some(vec!["Egress".to_owned()]),
            egress: Some(vec![names, https]),
            ..NetworkPolicySpec::default()
        }),
    }
}

fn port(protocol: &str, number: i32) -> NetworkPolicyPort {
    NetworkPolicyPort {
        protocol: Some(protocol.to_owned()),
        port: Some(IntOrString::Int(number)),
        ..NetworkPolicyPort::default()
    }
}

fn block(cidr: &str, except: &[&str]) -> NetworkPolicyPeer {
    NetworkPolicyPeer {
        ip_block: Some(IPBlock {
            cidr: cidr.to_owned(),
            except: (!except.is_empty()).then(|| except.iter().map(|text| (*text).to_owned()).collect()),
        }),
        ..NetworkPolicyPeer::default()
    }
}
