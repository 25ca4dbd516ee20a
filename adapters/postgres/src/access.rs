//! People, sign-ins, members, tokens and signing keys: one file per port of [`domain::port::access`].

pub(crate) mod audit;
mod devices;
mod members;
mod own;
mod principals;
mod sign_ins;
mod signing_keys;
mod users;
