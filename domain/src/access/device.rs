//! Signing in a program that has no browser: it shows a short code, a person who is signed in confirms it, and the
//! program collects a personal token. The code says nothing by itself: only the program has the secret to collect.

use std::fmt;
use std::str::FromStr;

use chrono::{DateTime, Utc};

use super::session::{ApiToken, Digest};
use super::{Email, Scope};

/// What a person types: eight letters without vowels, so that none reads as a word or as a digit.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct UserCode(String);

/// Not eight letters of ours.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("a code is eight letters such as BDFG-HJKL")]
pub struct InvalidUserCode;

impl UserCode {
    const LETTERS: &'static [u8; 20] = b"BCDFGHJKLMNPQRSTVWXZ";
    const LENGTH: usize = 8;

    /// A code of these random bytes; enough of them always make one.
    pub fn of(random: &[u8]) -> Option<Self> {
        // Bytes that would make some letters likelier than others are passed over.
        let even = random.iter().filter(|byte| **byte < 240);
        let letters = even.map(|byte| char::from(Self::LETTERS[usize::from(byte % 20)]));
        let text: String = letters.take(Self::LENGTH).collect();
        (text.len() == Self::LENGTH).then_some(Self(text))
    }

    /// As it is kept: without the dash.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for UserCode {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (front, back) = self.0.split_at(Self::LENGTH / 2);
        write!(f, "{front}-{back}")
    }
}

impl FromStr for UserCode {
    type Err = InvalidUserCode;

    fn from_str(text: &str) -> Result<Self, InvalidUserCode> {
        let plain: String = text
            .chars()
            .filter(|c| !matches!(c, '-' | ' '))
            .map(|c| c.to_ascii_uppercase())
            .collect();
        let good = plain.len() == Self::LENGTH && plain.bytes().all(|byte| Self::LETTERS.contains(&byte));
        good.then_some(Self(plain)).ok_or(InvalidUserCode)
    }
}

/// What a program asks for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DeviceWish {
    /// What it calls itself, 1 to 100 characters; anybody may write anything there.
    pub name: String,
    /// What its token is to be used for; at least one.
    pub scopes: Vec<Scope>,
    /// For how many days; 1 to 366.
    pub days: i32,
    /// The address that asked, where it is known.
    pub source: Option<String>,
}

/// A sign-in that nobody has decided on yet.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DeviceSignIn {
    /// What was asked for.
    pub wish: DeviceWish,
    /// When.
    pub created_at: DateTime<Utc>,
    /// Until when it can be decided and collected.
    pub expires_at: DateTime<Utc>,
}

/// What the program gets.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Collected {
    /// Nobody has decided yet.
    Pending,
    /// Somebody said no.
    Denied,
    /// It isn't one, or not any more: too late, or collected already.
    Gone,
    /// The token, and whose it is.
    Token(ApiToken, Email),
}

/// A sign-in to begin.
#[derive(Debug, Clone)]
pub struct NewDeviceSignIn {
    /// Of the secret that the program keeps.
    pub device: Digest,
    /// What the person types.
    pub code: UserCode,
    /// What is asked for.
    pub wish: DeviceWish,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn codes_are_read_as_people_type_them() {
        let code = UserCode::of(&[0, 255, 1, 2, 3, 4, 5, 6, 7, 8]).unwrap();
        assert_eq!(
            (code.as_str(), code.to_string().as_str()),
            ("BCDFGHJK", "BCDF-GHJK")
        );
        for text in ["BCDF-GHJK", "bcdfghjk", " bcdf ghjk "] {
            assert_eq!(text.parse(), Ok(code.clone()), "{text}");
        }
        for bad in [
            "",
            "BCDF-GHJ",
            "BCDF-GHJA",
            "BCDF-GHJ1",
            "BCDF-GHJKL",
            "ÜCDF-GHJK",
        ] {
            assert_eq!(bad.parse::<UserCode>(), Err(InvalidUserCode), "{bad}");
        }
        assert!(UserCode::of(&[255; 64]).is_none());
    }
}
