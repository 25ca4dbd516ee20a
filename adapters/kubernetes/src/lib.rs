//! The cluster port over the Kubernetes API, through kube.
//!
//! Where it stands in the flow: `run.start` launches a run's namespace and Job through it, `run.observe` asks it what
//! has become of the Job and reads the agent's log, and the worker's watch turns changes into hints.
//!
//! * [`cluster`]: [`KubeCluster`], the implementation of [`domain::port::Cluster`].
//! * [`access`]: how to reach an API server, and as whom.
//! * `launch`: the order in which a run's namespace comes to be, and what is never touched.
//! * `manifest`: the objects themselves, pure.
//! * `observe`: what a Job and its pod say about the run, pure.
//! * `log`: the agent's lines. `watch`: hints.
//! * `calls`: one request: time limit, metrics, what a refusal means.

pub mod access;
mod calls;
pub mod cluster;
mod launch;
mod log;
mod manifest;
mod observe;
mod watch;

pub use access::{Access, ConnectError};
pub use cluster::KubeCluster;
pub use manifest::limits::agent_quantities;
