//! A [`Forge`] in memory: issues, people and comments, with faults on order.

use std::collections::BTreeMap;
use std::sync::{Mutex, MutexGuard, PoisonError};

use async_trait::async_trait;
use domain::CommentId;
use domain::port::{Forge, ForgeIssue, PortError};
use domain::repository::{Permission, RepositoryName};

use super::faults::Faults;

/// A comment that we wrote.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FakeComment {
    /// Its identifier.
    pub id: CommentId,
    /// `owner/name`, in lower case.
    pub repository: String,
    /// The issue that it stands on.
    pub issue: i64,
    /// Its hidden marker.
    pub marker: String,
    /// Its text, without the marker.
    pub body: String,
    /// How often it was edited.
    pub edits: u32,
}

#[derive(Debug, Default)]
struct World {
    issues: BTreeMap<(String, i64), ForgeIssue>,
    permissions: BTreeMap<String, Permission>,
    comments: Vec<FakeComment>,
    comments_made: i64,
}

/// GitHub in memory. Who isn't known to it may do nothing.
#[derive(Debug)]
pub struct FakeForge {
    world: Mutex<World>,
    /// Faults of its methods: `issue`, `permission`, `upsert_comment`.
    pub faults: Faults,
}

impl Default for FakeForge {
    fn default() -> Self {
        Self {
            world: Mutex::default(),
            faults: Faults::new("github", &["issue", "permission", "upsert_comment"]),
        }
    }
}

/// Repositories don't differ by case.
fn folded(repository: &RepositoryName) -> String {
    repository.to_string().to_ascii_lowercase()
}

impl FakeForge {
    fn lock(&self) -> MutexGuard<'_, World> {
        self.world.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Puts an open issue with these labels in place of the one with its number.
    pub fn put_issue(&self, repository: &RepositoryName, number: i64, labels: &[&str]) {
        let issue = ForgeIssue {
            open: true,
            labels: labels.iter().map(|label| (*label).to_owned()).collect(),
            title: format!("Issue {number}"),
            body: String::new(),
        };
        self.lock().issues.insert((folded(repository), number), issue);
    }

    /// Closes an issue.
    pub fn close_issue(&self, repository: &RepositoryName, number: i64) {
        if let Some(issue) = self.lock().issues.get_mut(&(folded(repository), number)) {
            issue.open = false;
        }
    }

    /// Says what a person may do, in every repository.
    pub fn permit(&self, login: &str, permission: Permission) {
        self.lock().permissions.insert(login.to_owned(), permission);
    }

    /// Deletes a comment, as a person on the forge could.
    pub fn delete_comment(&self, id: CommentId) {
        self.lock().comments.retain(|comment| comment.id != id);
    }

    /// The comments that there are, the oldest first.
    pub fn comments(&self) -> Vec<FakeComment> {
        self.lock().comments.clone()
    }
}

#[async_trait]
impl Forge for FakeForge {
    async fn issue(&self, repository: &RepositoryName, number: i64) -> Result<Option<ForgeIssue>, PortError> {
        let call = self.faults.begin("issue")?;
        call.answer(self.lock().issues.get(&(folded(repository), number)).cloned())
    }

    async fn permission(&self, _: &RepositoryName, login: &str) -> Result<Permission, PortError> {
        let call = self.faults.begin("permission")?;
        let permission = self.lock().permissions.get(login).copied();
        call.answer(permission.unwrap_or(Permission::None))
    }

    async fn upsert_comment(
        &self,
        repository: &RepositoryName,
        issue: i64,
        known: Option<CommentId>,
        marker: &str,
        body: &str,
    ) -> Result<CommentId, PortError> {
        let call = self.faults.begin("upsert_comment")?;
        let repository = folded(repository);
        let mut world = self.lock();
        let has_marker = |comment: &FakeComment| {
            (
                comment.repository.as_str(),
                comment.issue,
                comment.marker.as_str(),
            ) == (repository.as_str(), issue, marker)
        };
        let by_id = world
            .comments
            .iter()
            .position(|comment| Some(comment.id) == known);
        let place = by_id.or_else(|| world.comments.iter().position(has_marker));
        let id = if let Some(place) = place {
            let comment = &mut world.comments[place];
            if comment.body != body || comment.marker != marker {
                body.clone_into(&mut comment.body);
                marker.clone_into(&mut comment.marker);
                comment.edits += 1;
            }
            comment.id
        } else {
            world.comments_made += 1;
            let id = CommentId(1_000 + world.comments_made);
            world.comments.push(FakeComment {
                id,
                repository,
                issue,
                marker: marker.to_owned(),
                body: body.to_owned(),
                edits: 0,
            });
            id
        };
        call.answer(id)
    }
}
