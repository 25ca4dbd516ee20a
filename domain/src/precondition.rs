//! What somebody saw before they change it: a change since is not overwritten.

use std::fmt;

/// How something is that people change. Another one is another state; what it is made of says nothing to others.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Version(String);

impl Version {
    /// As it was handed out, or as it follows from the state: visible ASCII characters without `"`.
    pub fn new(text: impl Into<String>) -> Self {
        Self(text.into())
    }

    /// The text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for Version {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// What has to hold for a change to be made. It is looked at in the change's own transaction, with the row held.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub enum Precondition {
    /// Nothing: the last one to write wins.
    #[default]
    Anything,
    /// It is there, however it is.
    Present,
    /// It isn't there.
    Absent,
    /// It is as one of these was.
    OneOf(Vec<Version>),
}

impl Precondition {
    /// As this was.
    pub fn is(version: Version) -> Self {
        Self::OneOf(vec![version])
    }

    /// Whether it holds for what is so; `None` if it isn't there.
    pub fn holds(&self, present: Option<&Version>) -> bool {
        match self {
            Self::Anything => true,
            Self::Present => present.is_some(),
            Self::Absent => present.is_none(),
            Self::OneOf(seen) => present.is_some_and(|present| seen.contains(present)),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_holds() {
        let (one, two) = (Version::new("1"), Version::new("2"));
        let either = Precondition::OneOf(vec![one.clone(), two.clone()]);
        for (precondition, absent, first, third) in [
            (Precondition::Anything, true, true, true),
            (Precondition::Present, false, true, true),
            (Precondition::Absent, true, false, false),
            (either, false, true, false),
            (Precondition::is(two), false, false, false),
            (Precondition::OneOf(vec![]), false, false, false),
        ] {
            assert_eq!(precondition.holds(None), absent, "{precondition:?}");
            assert_eq!(precondition.holds(Some(&one)), first, "{precondition:?}");
            let third_is = precondition.holds(Some(&Version::new("3")));
            assert_eq!(third_is, third, "{precondition:?}");
        }
    }
}
