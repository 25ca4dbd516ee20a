//! The staff API under `/api/v1/staff`: what staff see and steer, one file per subject, and signing in (`auth`). Each
//! answers with views of its own, so that the domain stays free of how it is shown.

pub(crate) mod access;
pub(crate) mod agents;
pub(crate) mod audit;
pub(crate) mod auth;
mod author;
pub(crate) mod deliveries;
pub(crate) mod device;
pub(crate) mod jobs;
pub(crate) mod overview;
mod page;
pub(crate) mod projects;
pub(crate) mod queues;
pub(crate) mod repositories;
pub(crate) mod runs;
pub(crate) mod schedules;
pub(crate) mod stream;
pub(crate) mod system;
