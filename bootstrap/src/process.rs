//! The long-running processes, gateway and worker, and what both need: logging, metrics, signals, a database.

pub(crate) mod database;
mod drain;
pub(crate) mod gateway;
mod health;
pub(crate) mod migrate;
pub(crate) mod observe;
mod payloads;
pub(crate) mod signals;
pub(crate) mod worker;
