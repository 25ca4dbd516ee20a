//! HTTP ingress: GitHub's webhook, the staff API, health, metrics, OpenAPI.
//!
//! The first stage of the flow: `webhook` proves that a delivery is genuine and hands it to
//! [`domain::port::Inbox`], which writes it down together with its job; workers do everything else. The staff
//! API (`api`) shows what became of it. The gateway holds no SQL and no Kubernetes rights: it knows ports.
//!
//! Everything else is the staff console (`console`), built into the binary.
//!
//! People sign in through GitHub (`auth`); every staff route demands a right of them.
//!
//! What people change has a version, so that nobody overwrites what they did not see (`precondition`).
//!
//! Every request passes `access` (request id, span, metrics, time limit, panics, problem+json) and every
//! error is an `ApiError`.

mod access;
mod api;
mod app;
mod auth;
mod backlog;
mod console;
mod health;
mod idempotency;
mod json;
mod live;
pub mod metrics;
mod openapi;
mod precondition;
mod problem;
mod query;
mod request_id;
mod serve;
mod settings;
mod source_limit;
mod traceparent;
mod webhook;

pub use app::{AccessPorts, Gateway, Ports, StaffPorts};
pub use openapi::openapi;
pub use settings::{ConfigurationLine, MIN_SECRET_BYTES, RateLimit, Settings, SettingsError};
