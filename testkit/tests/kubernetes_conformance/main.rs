//! What we rely on in Kubernetes, written down as tests against a `kube` client. They run on the simulator,
//! and with `CODEX_K8S_TEST_KUBECONFIG` (a path) on a real cluster: so the simulator is held to what real
//! API servers do.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    reason = "a test that fails may panic anywhere"
)]

mod access;
mod admission;
mod apply;
mod deletion;
mod job;
mod log;
mod namespace;
mod naming;
mod owner;
mod stage;
mod version;
mod watch;
