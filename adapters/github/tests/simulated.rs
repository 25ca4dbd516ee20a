//! The adapter against the simulated GitHub of `testkit`.

#[path = "simulated/comments.rs"]
mod comments;
#[path = "simulated/contract.rs"]
mod contract;
#[path = "simulated/forge.rs"]
mod forge;
#[path = "simulated/identity.rs"]
mod identity;
#[path = "simulated/setup.rs"]
mod setup;
#[path = "simulated/world.rs"]
mod world;
