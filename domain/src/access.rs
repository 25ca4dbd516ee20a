//! Access: people, what they are, and what that lets them do.
//!
//! [`role`] has the roles of the platform and of projects, [`right`] what a route can demand, [`principal`] the
//! one who asks, [`user`] people as they are kept, [`session`] sign-ins and personal tokens, [`device`]
//! the sign-in of programs.

pub mod device;
pub mod email;
pub mod principal;
pub mod right;
pub mod role;
pub mod session;
pub mod user;

pub use device::{Collected, DeviceSignIn, DeviceWish, InvalidUserCode, NewDeviceSignIn, UserCode};
pub use email::{Email, InvalidEmail};
pub use principal::{Principal, Projects, Via};
pub use right::{Right, Scope};
pub use role::{PlatformRole, ProjectRole, UnknownName};
pub use session::{
    ApiToken, Digest, Identity, NewApiToken, NewSignIn, NewSigningKey, Refreshed, Session, SessionTimes,
    SignedIn, SigningKey,
};
pub use user::{Change, Member, OwnerWish, User};
