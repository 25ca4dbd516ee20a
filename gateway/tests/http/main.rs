//! The gateway over HTTP, on fakes of its ports: in process where that is enough, over a real socket where time,
//! breaking connections or draining matter.

mod client;
mod description;
mod socket;
mod staff;
mod staff_rows;
mod surroundings;
mod webhook;
mod world;
