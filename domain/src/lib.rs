//! What codex-k8s knows and decides, without a runtime, an SDK or SQL.
//!
//! * Types parsed at the edge: [`id`], [`delivery`], [`repository`], [`label`], [`stage`], [`event`].
//! * State machines and policies, all pure: [`run`], [`policy`].
//! * People, roles and rights: [`access`].
//! * Agents as staff see them: [`agent`].
//! * What is shown live: [`live`].
//! * What somebody saw before they change it: [`precondition`].
//! * The typed jobs that carry work from one step to the next: [`job`]; the queues that they stand in: [`queue`].
//! * Ports, the narrow interfaces that adapters fill in: [`port`].
//!
//! The flow of one webhook: [`delivery::NewDelivery`] is accepted by [`port::Inbox`]; its job
//! [`job::GithubDelivery`] parses it into an [`event::Event`], asks [`policy::decide`], and creates a
//! [`run::Run`]; [`job::RunStart`] and [`job::RunObserve`] drive it through [`port::Cluster`], and
//! [`job::RunReport`] writes the status comment through [`port::Forge`].

pub mod access;
pub mod agent;
pub mod audit;
pub mod clock;
pub mod delivery;
pub mod event;
pub mod flow;
pub mod id;
pub mod idempotency;
pub mod job;
pub mod label;
pub mod live;
pub mod overview;
pub mod policy;
pub mod port;
pub mod precondition;
pub mod project;
pub mod queue;
pub mod redact;
pub mod repository;
pub mod run;
pub mod secret;
pub mod stage;
pub mod system;
pub mod workload;

pub use clock::{Clock, SystemClock};
pub use id::{
    CommentId, CorrelationId, DeliveryId, JobId, ProjectId, RepositoryId, RunId, SessionId, TokenId, UserId,
};
pub use precondition::{Precondition, Version};
pub use redact::Redactor;
pub use secret::Secret;
