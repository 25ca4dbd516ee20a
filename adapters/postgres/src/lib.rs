//! PostgreSQL behind the ports of the domain: one file per port, one transaction per method.
//!
//! * [`Store`] is the way in: [`Store::connect`], [`Store::migrate`], [`Store::seed_project`].
//! * Ingress: `inbox` implements [`domain::port::Inbox`], with `partitions` for the payloads beneath it.
//! * Workers: `ledger` and `run_store` implement [`domain::port::Ledger`] and [`domain::port::RunStore`].
//! * Staff: `job_desk`, `queue_desk`, `schedule_desk`, `run_desk` and `delivery_desk` implement the desks, `access`
//!   the ports of [`domain::port::access`]; `keyring` seals what is secret and has to be read back.
//!
//! What becomes other while people look on: `change_feed` implements [`domain::port::ChangeFeed`].
//!
//! What a method records commits together with the jobs that follow from it; `enqueue` is the only place
//! that knows how a [`domain::job::NewJob`] is put into the queue.

mod access;
mod agent_desk;
mod audit_desk;
pub mod bench;
mod change_feed;
mod delivery_desk;
mod enqueue;
mod error;
mod flow;
mod idempotent;
mod inbox;
mod job_desk;
mod keyring;
mod ledger;
mod migrate;
mod options;
mod overview_desk;
mod packing;
mod partitions;
mod project;
mod project_desk;
mod queue_desk;
mod repository_desk;
mod run_desk;
mod run_row;
mod run_store;
mod schedule_desk;
mod store;
mod system_desk;
mod text;
mod translate;

pub use keyring::{InvalidKeyring, Keyring};
pub use options::Options;
pub use partitions::Maintained;
pub use store::Store;
