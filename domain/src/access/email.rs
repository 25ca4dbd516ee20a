//! E-mail addresses, by which people are allowed in.

use std::fmt;
use std::str::FromStr;

/// An address in lower case: at most 254 visible ASCII characters with one `@` inside.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Email(String);

/// That isn't an e-mail address.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("an e-mail address is at most 254 visible ASCII characters with one @ inside")]
pub struct InvalidEmail;

impl Email {
    /// The address.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl FromStr for Email {
    type Err = InvalidEmail;
    fn from_str(text: &str) -> Result<Self, InvalidEmail> {
        let (local, domain) = text.split_once('@').ok_or(InvalidEmail)?;
        let visible = text.bytes().all(|b| b.is_ascii_graphic());
        if local.is_empty() || domain.is_empty() || domain.contains('@') || text.len() > 254 || !visible {
            return Err(InvalidEmail);
        }
        Ok(Self(text.to_ascii_lowercase()))
    }
}

impl fmt::Display for Email {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_an_address() {
        assert_eq!(
            "Ann@Example.COM".parse::<Email>().unwrap().as_str(),
            "ann@example.com"
        );
        let long = format!("{}@example.com", "a".repeat(250));
        for bad in [
            "",
            "@",
            "ann",
            "ann@",
            "@example.com",
            "a@b@c",
            "a b@c",
            "a@b\n",
            "ü@example.com",
            &long,
        ] {
            assert_eq!(bad.parse::<Email>(), Err(InvalidEmail), "{bad}");
        }
    }
}
