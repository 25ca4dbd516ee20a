//! Configuration: one table of `CODEX_K8S_*` variables ([`variables`]), read through [`Environment`], which
//! says which variable is wrong and what is allowed, and parsed here into what each part is started with.
//!
//! Only the environment is read (and files that it names for secrets), so that a deployment has one place to
//! look at; the few command-line flags are for what one changes by hand.

mod environment;
mod parts;
pub(crate) mod variables;

pub(crate) use environment::Environment;
pub(crate) use parts::{Cluster, Database, Gateway, Github, Log, LogFormat, SignIn, Worker, parse_queues};
