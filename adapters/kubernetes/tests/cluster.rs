//! The adapter against the simulated cluster of `testkit`, or with `CODEX_K8S_TEST_KUBECONFIG` against a real one.
//! Tests that need an agent to run are skipped on a cluster without a ready node.

#[path = "cluster/faults.rs"]
mod faults;
#[path = "cluster/launching.rs"]
mod launching;
#[path = "cluster/place.rs"]
mod place;
#[path = "cluster/running.rs"]
mod running;
