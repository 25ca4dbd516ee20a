//! Development only: what stands in for the world outside, speaking its real wire protocols.

pub mod fake;
pub mod github;
pub mod payloads;
pub mod postgres;
