//! The staff API under `/api/v1/staff`: what staff see and steer, one file per subject. Each answers with
//! views of its own, so that the domain stays free of how it is shown.

pub(crate) mod deliveries;
pub(crate) mod jobs;
mod page;
pub(crate) mod runs;
