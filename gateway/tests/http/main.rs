//! The gateway over HTTP, on fakes of its ports: in process where that is enough, over a real socket where
//! time, breaking connections or draining matter.
#![expect(
    clippy::unwrap_used,
    clippy::expect_used,
    reason = "a test stops at the first surprise"
)]

mod client;
mod description;
mod device;
mod examples;
mod idempotency;
mod log;
mod overview;
mod people;
mod preconditions;
mod projects;
mod rights;
mod sign_in;
mod socket;
mod staff;
mod staff_rows;
mod steering;
mod stream;
mod surroundings;
mod webhook;
mod world;
