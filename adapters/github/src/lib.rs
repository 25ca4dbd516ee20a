//! The forge port over GitHub's REST API, through octocrab.
//!
//! Where it stands in the flow: `github.delivery` asks it for an issue's present state and for what the sender
//! may do; `run.report` and `issue.comment` write their one comment through it. The gateway has it say who signs in.
//!
//! * [`forge`]: [`GithubForge`], the implementation of [`domain::port::Forge`].
//! * `identity`: [`GithubIdentity`], GitHub's sign-in.
//! * `own_tokens`: [`TokenedForge`], the same with each repository's own token.
//! * `setup`: [`GithubSetup`], whether a repository is set up for us, and how it becomes so.
//! * `comment`: how one comment stays one, whatever gets lost or raced.
//! * `marker`: the hidden line that makes a comment ours.
//! * `transport`: one request: time limit, retries of reads, metrics, what GitHub's refusals mean.
//! * `limits`: when GitHub wants to be left alone, and for how long.

mod comment;
pub mod forge;
mod identity;
mod limits;
mod marker;
mod own_tokens;
mod setup;
mod transport;
mod wire;

pub use forge::{GithubForge, GithubSettings, InvalidSettings};
pub use identity::{GithubIdentity, IdentitySettings};
pub use own_tokens::TokenedForge;
pub use setup::GithubSetup;
