//! The store on a real PostgreSQL, a database per test.

mod contract;
mod deliveries;
mod operation;
mod runs;
mod world;
