//! Stages of the work and the agent roles that carry them.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

macro_rules! named {
    ($(#[$doc:meta])* $name:ident { $($variant:ident = $text:literal),+ $(,)? }) => {
        $(#[$doc])*
        #[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
        pub enum $name {
            $(#[doc = concat!("`", $text, "`")] #[serde(rename = $text)] $variant,)+
        }

        impl $name {
            /// The name in labels, in the database and in the API.
            pub fn as_str(self) -> &'static str {
                match self { $(Self::$variant => $text,)+ }
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(self.as_str())
            }
        }

        impl FromStr for $name {
            type Err = Unknown;
            fn from_str(s: &str) -> Result<Self, Unknown> {
                match s { $($text => Ok(Self::$variant),)+ _ => Err(Unknown(s.to_owned())) }
            }
        }
    };
}

/// No stage or role has this name.
#[derive(Debug, thiserror::Error, PartialEq, Eq)]
#[error("`{0}` is not a known name")]
pub struct Unknown(pub String);

named! {
    /// A stage that this version can run.
    Stage { Dev = "dev" }
}

named! {
    /// The agent role that carries a stage.
    Role { Dev = "dev" }
}

impl Stage {
    /// Who carries this stage.
    pub fn role(self) -> Role {
        match self {
            Self::Dev => Role::Dev,
        }
    }
}
