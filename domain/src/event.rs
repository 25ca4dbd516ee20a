//! What happened on the forge, as far as it concerns us, read from a delivery's payload.

use serde::Deserialize;

use crate::repository::{InvalidRepositoryName, RepositoryName};

/// A person or a program on the forge.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Actor {
    /// The login.
    pub login: String,
    /// Whether it is a program (`Bot`), not a person.
    pub is_bot: bool,
}

/// An event that may lead to action.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Event {
    /// A label was put on an issue.
    IssueLabeled {
        /// Where.
        repository: RepositoryName,
        /// On which issue.
        issue: i64,
        /// Which label.
        label: String,
        /// Who did it.
        actor: Actor,
    },
    /// Nothing for us; a stable reason says why.
    Irrelevant(&'static str),
}

/// A payload that claims to concern us but can't be read. Never retried: it will not get better.
#[derive(Debug, thiserror::Error)]
pub enum ParseError {
    /// Not the JSON that the event's documentation promises.
    #[error("the payload is not a valid `{event}` event: {source}")]
    Json {
        /// The event's name.
        event: String,
        /// What the parser says.
        source: serde_json::Error,
    },
    /// The repository's name is malformed.
    #[error(transparent)]
    Repository(#[from] InvalidRepositoryName),
}

#[derive(Deserialize)]
struct Action {
    #[serde(default)]
    action: Option<String>,
}

#[derive(Deserialize)]
struct Named {
    full_name: String,
}

#[derive(Deserialize)]
struct User {
    login: String,
    #[serde(rename = "type", default)]
    kind: String,
}

#[derive(Deserialize)]
struct LabelName {
    name: String,
}

#[derive(Deserialize)]
struct Issue {
    number: i64,
    #[serde(default)]
    pull_request: Option<serde::de::IgnoredAny>,
}

#[derive(Deserialize)]
struct Labeled {
    repository: Named,
    issue: Issue,
    label: Option<LabelName>,
    sender: User,
}

impl Event {
    /// Reads GitHub's payload of `event` (the `X-GitHub-Event` header).
    ///
    /// Only `issues.labeled` leads to action in this version; everything else is [`Event::Irrelevant`].
    pub fn from_github(event: &str, payload: &[u8]) -> Result<Self, ParseError> {
        let json = |source| ParseError::Json {
            event: event.to_owned(),
            source,
        };
        if event != "issues" {
            return Ok(Self::Irrelevant("event_not_used"));
        }
        let Action { action } = serde_json::from_slice(payload).map_err(json)?;
        if action.as_deref() != Some("labeled") {
            return Ok(Self::Irrelevant("action_not_used"));
        }
        let labeled: Labeled = serde_json::from_slice(payload).map_err(json)?;
        if labeled.issue.pull_request.is_some() {
            return Ok(Self::Irrelevant("pull_request"));
        }
        // GitHub leaves the label out when it was deleted in the meantime.
        let Some(label) = labeled.label else {
            return Ok(Self::Irrelevant("label_gone"));
        };
        Ok(Self::IssueLabeled {
            repository: labeled.repository.full_name.parse()?,
            issue: labeled.issue.number,
            label: label.name,
            actor: Actor {
                is_bot: labeled.sender.kind == "Bot",
                login: labeled.sender.login,
            },
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const LABELED: &str = r#"{"action":"labeled","issue":{"number":7},"label":{"name":"run:dev"},
        "repository":{"full_name":"a/b"},"sender":{"login":"ann","type":"User"}}"#;

    #[test]
    fn issues_labeled() {
        assert_eq!(
            Event::from_github("issues", LABELED.as_bytes()).unwrap(),
            Event::IssueLabeled {
                repository: "a/b".parse().unwrap(),
                issue: 7,
                label: "run:dev".into(),
                actor: Actor {
                    login: "ann".into(),
                    is_bot: false
                },
            }
        );
    }

    #[test]
    fn irrelevant_says_why() {
        for (event, payload, reason) in [
            ("push", "{}", "event_not_used"),
            ("issues", r#"{"action":"opened"}"#, "action_not_used"),
            (
                "issues",
                &LABELED.replace(r#""number":7"#, r#""number":7,"pull_request":{}"#),
                "pull_request",
            ),
            (
                "issues",
                &LABELED.replace(r#""label":{"name":"run:dev"},"#, ""),
                "label_gone",
            ),
        ] {
            assert_eq!(
                Event::from_github(event, payload.as_bytes()).unwrap(),
                Event::Irrelevant(reason)
            );
        }
    }

    #[test]
    fn unreadable_is_an_error() {
        let error = Event::from_github("issues", br#"{"action":"labeled"}"#).unwrap_err();
        assert!(error.to_string().contains("`issues`"), "{error}");
        let bad = LABELED.replace("a/b", "a/b/c");
        assert!(matches!(
            Event::from_github("issues", bad.as_bytes()),
            Err(ParseError::Repository(_))
        ));
    }
}
