//! The store on a real PostgreSQL, a database per test.
#![allow(clippy::unwrap_used, reason = "what a test can't do without may fail it")]

mod access;
mod contract;
mod deliveries;
mod operation;
mod preconditions;
mod queues;
mod runs;
mod staff;
mod world;
