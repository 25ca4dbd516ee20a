//! `codex-k8s dev`: the whole product on one machine that has nothing but Rust, Node and Python.

pub(crate) mod exec;
