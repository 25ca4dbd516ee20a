//! Development only: what stands in for the world outside, speaking its real wire protocols.

pub mod contract;
pub mod fake;
pub mod github;
pub mod kubernetes;
pub mod payloads;
pub mod postgres;
