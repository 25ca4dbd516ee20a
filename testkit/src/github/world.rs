//! The simulated GitHub's memory: repositories, issues, labels, comments, who may do what. Plain data that
//! serialises to the state file; [`super::shapes`] turns it into GitHub's JSON.

use std::collections::BTreeMap;

use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};

/// Everything there is.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
pub(super) struct World {
    /// By `owner/name` in lower case, since GitHub's names don't differ by case.
    repositories: BTreeMap<String, Repository>,
    last_id: i64,
}

/// A repository with its people and issues.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(super) struct Repository {
    pub id: i64,
    /// `owner/name` as it was created.
    pub full_name: String,
    pub created_at: DateTime<Utc>,
    /// Role names (`admin`, `maintain`, `write`, `triage`, `read`, `none`) by login in lower case.
    pub roles: BTreeMap<String, String>,
    /// Label ids by name.
    pub labels: BTreeMap<String, i64>,
    pub issues: BTreeMap<i64, Issue>,
    /// Webhooks that were made over the API.
    #[serde(default)]
    pub hooks: Vec<RepositoryHook>,
}

/// A webhook of a repository.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(super) struct RepositoryHook {
    pub id: i64,
    pub active: bool,
    pub events: Vec<String>,
    pub url: String,
    pub content_type: String,
    pub secret: String,
}

/// An issue.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(super) struct Issue {
    pub id: i64,
    pub number: i64,
    pub title: String,
    pub body: String,
    pub open: bool,
    pub author: String,
    pub labels: Vec<String>,
    pub created_at: DateTime<Utc>,
    pub updated_at: DateTime<Utc>,
    pub comments: Vec<Comment>,
}

/// A comment on an issue.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Comment {
    /// GitHub's identifier.
    pub id: i64,
    /// Who wrote it.
    pub login: String,
    /// Markdown.
    pub body: String,
    /// When it was written.
    pub created_at: DateTime<Utc>,
    /// When it was last edited.
    pub updated_at: DateTime<Utc>,
}

impl Repository {
    /// The account.
    pub(super) fn owner(&self) -> &str {
        self.full_name.split_once('/').map_or("", |(owner, _)| owner)
    }

    /// The name under its owner.
    pub(super) fn name(&self) -> &str {
        self.full_name.split_once('/').map_or("", |(_, name)| name)
    }

    /// What this person is to the repository; a stranger may read, as in any public one.
    pub(super) fn role(&self, login: &str) -> &str {
        if self.owner().eq_ignore_ascii_case(login) {
            return "admin";
        }
        self.roles
            .get(&login.to_ascii_lowercase())
            .map_or("read", String::as_str)
    }
}

impl World {
    pub(super) fn next_id(&mut self) -> i64 {
        // Far above issue numbers, so that one is never taken for the other.
        self.last_id = self.last_id.max(1_000_000) + 1;
        self.last_id
    }

    pub(super) fn repository(&self, full_name: &str) -> Option<&Repository> {
        self.repositories.get(&full_name.to_ascii_lowercase())
    }

    pub(super) fn repository_mut(&mut self, full_name: &str) -> Option<&mut Repository> {
        self.repositories.get_mut(&full_name.to_ascii_lowercase())
    }

    /// Adds the repository unless it is there.
    pub(super) fn add_repository(&mut self, full_name: &str, now: DateTime<Utc>) {
        if self.repository(full_name).is_none() {
            let repository = Repository {
                id: self.next_id(),
                full_name: full_name.to_owned(),
                created_at: now,
                roles: BTreeMap::new(),
                labels: BTreeMap::new(),
                issues: BTreeMap::new(),
                hooks: Vec::new(),
            };
            self.repositories
                .insert(full_name.to_ascii_lowercase(), repository);
        }
    }

    /// Adds or replaces an issue; an issue that is there keeps its comments.
    pub(super) fn put_issue(
        &mut self,
        full_name: &str,
        number: i64,
        (title, body): (&str, &str),
        labels: &[&str],
        now: DateTime<Utc>,
    ) -> bool {
        let id = self.next_id();
        let Some(repository) = self.repository_mut(full_name) else {
            return false;
        };
        let author = repository.owner().to_owned();
        let issue = repository.issues.entry(number).or_insert_with(|| Issue {
            id,
            number,
            title: String::new(),
            body: String::new(),
            open: true,
            author,
            labels: Vec::new(),
            created_at: now,
            updated_at: now,
            comments: Vec::new(),
        });
        title.clone_into(&mut issue.title);
        body.clone_into(&mut issue.body);
        issue.updated_at = now;
        self.set_labels(full_name, number, labels, now).is_some()
    }

    /// Gives an issue exactly these labels; says which are new. `None` if there is no such issue.
    pub(super) fn set_labels(
        &mut self,
        full_name: &str,
        number: i64,
        labels: &[&str],
        now: DateTime<Utc>,
    ) -> Option<Vec<String>> {
        let mut ids: Vec<i64> = labels.iter().map(|_| self.next_id()).collect();
        let repository = self.repository_mut(full_name)?;
        for label in labels {
            let id = ids.pop().unwrap_or_default();
            repository.labels.entry((*label).to_owned()).or_insert(id);
        }
        let issue = repository.issues.get_mut(&number)?;
        let wanted: Vec<String> = labels.iter().map(|label| (*label).to_owned()).collect();
        let new = wanted
            .iter()
            .filter(|label| !issue.labels.contains(label))
            .cloned()
            .collect();
        if issue.labels != wanted {
            issue.labels = wanted;
            issue.updated_at = now;
        }
        Some(new)
    }

    /// Writes a comment; `None` if there is no such issue.
    pub(super) fn add_comment(
        &mut self,
        full_name: &str,
        number: i64,
        (login, body): (&str, &str),
        now: DateTime<Utc>,
    ) -> Option<Comment> {
        let id = self.next_id();
        let issue = self.repository_mut(full_name)?.issues.get_mut(&number)?;
        let comment = Comment {
            id,
            login: login.to_owned(),
            body: body.to_owned(),
            created_at: now,
            updated_at: now,
        };
        issue.comments.push(comment.clone());
        issue.updated_at = now;
        Some(comment)
    }

    /// The number of the issue that has this comment, and the comment's place in it.
    pub(super) fn find_comment(&self, full_name: &str, id: i64) -> Option<(i64, usize)> {
        let mut issues = self.repository(full_name)?.issues.values();
        issues.find_map(|issue| Some((issue.number, issue.comments.iter().position(|c| c.id == id)?)))
    }
}
