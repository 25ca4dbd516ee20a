//! What a person is: on the platform, and in a project.

use std::str::FromStr;

/// A name that isn't one of the few that there are.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("`{0}` is none of: {1}")]
pub struct UnknownName(pub String, pub &'static str);

/// Gives an enum its names in the database and the API.
macro_rules! named {
    ($name:ident, $names:literal, $($variant:ident = $text:literal),+) => {
        impl $name {
            /// Every one.
            pub const ALL: &'static [Self] = &[$(Self::$variant),+];

            /// Its name in the database and the API.
            pub const fn as_str(self) -> &'static str {
                match self { $(Self::$variant => $text),+ }
            }
        }

        impl FromStr for $name {
            type Err = UnknownName;
            fn from_str(text: &str) -> Result<Self, UnknownName> {
                let known = Self::ALL.iter().find(|one| one.as_str() == text);
                known.copied().ok_or_else(|| UnknownName(text.to_owned(), $names))
            }
        }
    };
}
pub(super) use named;

/// A person's role on the platform.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum PlatformRole {
    /// Only what projects give.
    None,
    /// Users, all projects, settings.
    Admin,
    /// Everything. Exactly one person, who can't be removed.
    Owner,
}

named!(
    PlatformRole,
    "none, admin, owner",
    None = "none",
    Admin = "admin",
    Owner = "owner"
);

/// A member's role in a project; a higher one includes the lower.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum ProjectRole {
    /// Sees.
    Read,
    /// Triggers, cancels and retries.
    ReadWrite,
    /// Members, repositories, tokens, settings of the project.
    Admin,
}

named!(
    ProjectRole,
    "read, read_write, admin",
    Read = "read",
    ReadWrite = "read_write",
    Admin = "admin"
);
