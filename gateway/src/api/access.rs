//! Users and access: people and what they are, members of projects, one's own sessions and tokens.

pub(crate) mod members;
pub(crate) mod own;
pub(crate) mod users;
pub(crate) mod view;
