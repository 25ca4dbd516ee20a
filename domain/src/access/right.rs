//! What a route demands of the one who asks.

use std::str::FromStr;

use super::role::{ProjectRole, UnknownName, named};

/// A right. Every route of the staff API declares one.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Right {
    /// To be known at all.
    SignedIn,
    /// One's own sessions and tokens; never by a token, which could otherwise make itself a stronger one.
    OwnAccess,
    /// See a project.
    ProjectRead,
    /// Trigger, cancel and retry in a project.
    ProjectWrite,
    /// A project's members, repositories, tokens, settings.
    ProjectAdmin,
    /// See what belongs to no project.
    PlatformRead,
    /// Steer what belongs to no project.
    PlatformWrite,
    /// Users and settings.
    PlatformAdmin,
    /// What only the owner may, signed in: to hand that over.
    PlatformOwner,
}

named!(
    Right,
    "signed_in, own_access, project_read, project_write, project_admin, platform_read, platform_write, \
     platform_admin, platform_owner",
    SignedIn = "signed_in",
    OwnAccess = "own_access",
    ProjectRead = "project_read",
    ProjectWrite = "project_write",
    ProjectAdmin = "project_admin",
    PlatformRead = "platform_read",
    PlatformWrite = "platform_write",
    PlatformAdmin = "platform_admin",
    PlatformOwner = "platform_owner"
);

impl Right {
    /// The role that gives it in a project; `None` for what no project gives.
    pub const fn project_role(self) -> Option<ProjectRole> {
        match self {
            Self::ProjectRead => Some(ProjectRole::Read),
            Self::ProjectWrite => Some(ProjectRole::ReadWrite),
            Self::ProjectAdmin => Some(ProjectRole::Admin),
            _ => None,
        }
    }

    /// The scope that a personal token needs for it; `None` where none is needed.
    pub const fn scope(self) -> Option<Scope> {
        match self {
            Self::SignedIn | Self::OwnAccess => None,
            Self::ProjectRead | Self::PlatformRead => Some(Scope::Read),
            Self::ProjectWrite | Self::PlatformWrite => Some(Scope::Write),
            Self::ProjectAdmin | Self::PlatformAdmin | Self::PlatformOwner => Some(Scope::Admin),
        }
    }
}

/// What a personal token may be used for, of what its owner may.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Scope {
    /// See.
    Read,
    /// Trigger, cancel, retry.
    Write,
    /// Members, users, settings.
    Admin,
}

named!(
    Scope,
    "read, write, admin",
    Read = "read",
    Write = "write",
    Admin = "admin"
);
