//! How one comment stays one. A comment is found again by its hidden line among those we wrote ourselves; whoever
//! creates one looks again afterwards and takes away every younger double, so that it converges to the oldest, even
//! if an answer was lost or two workers were at it at once.

use domain::CommentId;
use domain::port::PortError;
use domain::repository::RepositoryName;
use http::Method;
use serde_json::json;

use crate::transport::{CallError, PART, Transport, unavailable};
use crate::{marker, wire};

const PER_PAGE: usize = 100;
/// 20,000 comments; above that an issue isn't one that a person can read.
const MOST_PAGES: usize = 200;
/// How often a comment may vanish under our hands before we leave it to the job's retry.
const ROUNDS: usize = 3;

/// One comment to write.
pub(crate) struct Upsert<'a> {
    pub transport: &'a Transport,
    pub repository: &'a RepositoryName,
    pub issue: i64,
    /// Whose comments are ours.
    pub login: &'a str,
    /// The hidden line.
    pub line: &'a str,
    /// The whole text, the hidden line with it.
    pub text: &'a str,
}

/// Whether an edit found its comment.
enum Edited {
    Yes,
    Gone,
}

impl Upsert<'_> {
    /// Edits, or creates; returns the one comment that then carries the line.
    pub(crate) async fn run(&self, known: Option<CommentId>) -> Result<CommentId, PortError> {
        if let Some(id) = known
            && let Some(comment) = self.get(id).await?
            && self.is_ours(&comment)
            && matches!(self.bring_up_to_date(&comment).await?, Edited::Yes)
        {
            return Ok(id);
        }
        for _ in 0..ROUNDS {
            let mut found = self.find().await?;
            if found.is_empty() {
                self.create().await?;
                found = self.find().await?;
            }
            let mut ours = found.into_iter();
            let Some(oldest) = ours.next() else { continue };
            for double in ours {
                self.delete(double.id).await?;
            }
            if matches!(self.bring_up_to_date(&oldest).await?, Edited::Yes) {
                return Ok(CommentId(oldest.id));
            }
        }
        Err(unavailable(format!(
            "the comment on {}#{} vanishes as it is written",
            self.repository, self.issue
        )))
    }

    fn is_ours(&self, comment: &wire::Comment) -> bool {
        comment
            .user
            .as_ref()
            .is_some_and(|user| user.login.eq_ignore_ascii_case(self.login))
    }

    /// Our comments that carry the line, oldest first.
    async fn find(&self) -> Result<Vec<wire::Comment>, PortError> {
        let mut found = Vec::new();
        for page in 1..=MOST_PAGES {
            let path = format!(
                "/repos/{}/issues/{}/comments?per_page={PER_PAGE}&page={page}",
                self.repository, self.issue
            );
            let answer = self
                .transport
                .read("list_comments", &path)
                .await
                .map_err(|e| self.no_issue(e))?;
            let comments: Vec<wire::Comment> = answer.json().map_err(|e| self.no_issue(e))?;
            let carries = |c: &wire::Comment| c.body.as_deref().is_some_and(|body| body.contains(self.line));
            found.extend(comments.into_iter().filter(|c| self.is_ours(c) && carries(c)));
            if !answer.has_next() {
                found.sort_by_key(|comment| comment.id);
                return Ok(found);
            }
        }
        let reason = format!(
            "{}#{} has more than {} comments",
            self.repository,
            self.issue,
            PER_PAGE * MOST_PAGES
        );
        Err(PortError::Refused { part: PART, reason })
    }

    async fn get(&self, id: CommentId) -> Result<Option<wire::Comment>, PortError> {
        match self
            .transport
            .read("comment", &self.path(id.0))
            .await
            .and_then(|answer| answer.json())
        {
            Ok(comment) => Ok(Some(comment)),
            Err(CallError::Missing(_)) => Ok(None),
            Err(CallError::Port(error)) => Err(error),
        }
    }

    async fn create(&self) -> Result<(), PortError> {
        let path = format!("/repos/{}/issues/{}/comments", self.repository, self.issue);
        let body = json!({ "body": self.text });
        let created = self
            .transport
            .write("create_comment", Method::POST, &path, Some(&body))
            .await;
        created.map(drop).map_err(|error| self.no_issue(error))
    }

    /// Edits the comment, unless it says already what it should.
    async fn bring_up_to_date(&self, comment: &wire::Comment) -> Result<Edited, PortError> {
        if comment
            .body
            .as_deref()
            .is_some_and(|body| marker::same(self.text, body))
        {
            return Ok(Edited::Yes);
        }
        let body = json!({ "body": self.text });
        let path = self.path(comment.id);
        match self
            .transport
            .write("edit_comment", Method::PATCH, &path, Some(&body))
            .await
        {
            Ok(_) => Ok(Edited::Yes),
            Err(CallError::Missing(_)) => Ok(Edited::Gone),
            Err(CallError::Port(error)) => Err(error),
        }
    }

    async fn delete(&self, id: i64) -> Result<(), PortError> {
        match self
            .transport
            .write("delete_comment", Method::DELETE, &self.path(id), None)
            .await
        {
            // Somebody else saw the double too.
            Ok(_) | Err(CallError::Missing(_)) => Ok(()),
            Err(CallError::Port(error)) => Err(error),
        }
    }

    fn path(&self, id: i64) -> String {
        format!("/repos/{}/issues/comments/{id}", self.repository)
    }

    fn no_issue(&self, error: CallError) -> PortError {
        error.into_port(&format!("issue {}#{}", self.repository, self.issue))
    }
}
