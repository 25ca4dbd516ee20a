//! Configuration: one table of `CODEX_K8S_*` variables ([`variables`]), read through [`Environment`], which
//! says which variable is wrong and what is allowed, and parsed here into what each part is started with.
//!
//! Only the environment is read (and files that it names for secrets), so that a deployment has one place to
//! look at; the few command-line flags are for what one changes by hand.

mod counterparts;
mod environment;
mod gateway;
mod log;
mod process;
pub(crate) mod variables;
mod worker;

pub(crate) use self::gateway::{Gateway, SignIn};
pub(crate) use counterparts::{Cluster, Github};
pub(crate) use environment::Environment;
pub(crate) use log::{Log, LogFormat};
pub(crate) use process::Database;
pub(crate) use worker::{Worker, parse_queues};
