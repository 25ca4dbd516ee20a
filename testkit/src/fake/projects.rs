//! [`ProjectDesk`], [`RepositoryDesk`] and [`RepositorySetup`] in memory.

use std::collections::BTreeMap;
use std::sync::Mutex;

use async_trait::async_trait;
use chrono::{DateTime, TimeDelta};
use domain::access::Projects as Seen;
use domain::flow::FlowActor;
use domain::id::{ProjectId, RepositoryId};
use domain::port::PortError;
use domain::port::staff::{ProjectDesk, RepositoryDesk, RepositorySetup};
use domain::project::{
    Check, CheckName, CheckState, HookSummary, Kept, NewProject, Preflight, ProjectEdit, ProjectSummary,
    RepositorySummary, TokenSummary,
};
use domain::repository::RepositoryName;
use domain::{Precondition, Secret};

use super::desks::{at_most, lock};
use super::staff::FakeStaff;

/// What is kept of projects.
#[derive(Debug, Default)]
pub(super) struct Projects {
    by_slug: BTreeMap<String, ProjectSummary>,
    repositories: BTreeMap<i64, RepositorySummary>,
    tokens: BTreeMap<i64, Secret<String>>,
    audit: Vec<(&'static str, FlowActor)>,
}

impl FakeStaff {
    /// Puts a project on the desk.
    pub fn put_project(&self, id: ProjectId, slug: &str) {
        let project = ProjectSummary {
            id,
            slug: slug.to_owned(),
            title: None,
            slots: 1,
            version: 1,
            created_at: DateTime::UNIX_EPOCH,
            archived_at: None,
            repositories: 0,
            members: 0,
            open_runs: 0,
        };
        lock(&self.kept).by_slug.insert(slug.to_owned(), project);
    }

    /// What was changed of projects and repositories, and by whom.
    pub fn changes(&self) -> Vec<(&'static str, FlowActor)> {
        lock(&self.kept).audit.clone()
    }

    fn note(&self, what: &'static str, by: &FlowActor) {
        lock(&self.kept).audit.push((what, by.clone()));
    }
}

#[async_trait]
impl ProjectDesk for FakeStaff {
    async fn projects(
        &self,
        seen: &Seen,
        archived: bool,
        after: Option<&str>,
        limit: i64,
    ) -> Result<Vec<ProjectSummary>, PortError> {
        let kept = lock(&self.kept);
        let listed = kept.by_slug.values().filter(|one| {
            seen.contains(one.id)
                && (archived || one.archived_at.is_none())
                && after.is_none_or(|after| one.slug.as_str() > after)
        });
        Ok(listed.take(at_most(limit)).cloned().collect())
    }

    async fn project(&self, slug: &str, seen: &Seen) -> Result<Option<ProjectSummary>, PortError> {
        let kept = lock(&self.kept);
        Ok(kept
            .by_slug
            .get(slug)
            .filter(|one| seen.contains(one.id))
            .cloned())
    }

    async fn create(&self, new: &NewProject, by: &FlowActor) -> Result<Kept<ProjectSummary>, PortError> {
        let slug = new.slug.as_str();
        if lock(&self.kept).by_slug.contains_key(slug) {
            return Ok(Kept::Taken);
        }
        let id = ProjectId(1_000 + lock(&self.kept).by_slug.len() as i64);
        self.put_project(id, slug);
        self.note("created", by);
        let mut kept = lock(&self.kept);
        let Some(project) = kept.by_slug.get_mut(slug) else {
            return Ok(Kept::NotFound);
        };
        project.title.clone_from(&new.title);
        project.slots = new.slots;
        Ok(Kept::Done(project.clone()))
    }

    async fn edit(
        &self,
        id: ProjectId,
        edit: &ProjectEdit,
        seen: &Precondition,
        by: &FlowActor,
    ) -> Result<Kept<ProjectSummary>, PortError> {
        let mut kept = lock(&self.kept);
        let Some(project) = kept.by_slug.values_mut().find(|one| one.id == id) else {
            return Ok(Kept::NotFound);
        };
        if !seen.holds(Some(&project.version())) {
            return Ok(Kept::Stale);
        }
        project.title.clone_from(&edit.title);
        project.slots = edit.slots;
        project.archived_at = edit.archived.then_some(DateTime::UNIX_EPOCH);
        project.version += 1;
        let after = project.clone();
        kept.audit.push(("edited", by.clone()));
        Ok(Kept::Done(after))
    }
}

#[async_trait]
impl RepositoryDesk for FakeStaff {
    async fn repositories(
        &self,
        project: Option<&str>,
        seen: &Seen,
        after: Option<&str>,
        limit: i64,
    ) -> Result<Vec<RepositorySummary>, PortError> {
        let kept = lock(&self.kept);
        let mut listed: Vec<RepositorySummary> = kept.repositories.values().cloned().collect();
        listed.sort_by_key(|one| one.name.to_string());
        listed.retain(|one| {
            seen.contains(one.project_id)
                && project.is_none_or(|project| one.project == project)
                && after.is_none_or(|after| one.name.to_string().as_str() > after)
        });
        listed.truncate(at_most(limit));
        Ok(listed)
    }

    async fn repository(
        &self,
        id: RepositoryId,
        seen: &Seen,
    ) -> Result<Option<RepositorySummary>, PortError> {
        let kept = lock(&self.kept);
        let found = kept.repositories.get(&id.0);
        Ok(found.filter(|one| seen.contains(one.project_id)).cloned())
    }

    async fn add(
        &self,
        project: ProjectId,
        name: &RepositoryName,
        by: &FlowActor,
    ) -> Result<Kept<RepositorySummary>, PortError> {
        let mut kept = lock(&self.kept);
        if let Some(there) = kept.repositories.values().find(|one| one.name == *name) {
            return Ok(if there.project_id == project {
                Kept::Done(there.clone())
            } else {
                Kept::Taken
            });
        }
        let Some(slug) = kept
            .by_slug
            .values()
            .find(|one| one.id == project)
            .map(|one| one.slug.clone())
        else {
            return Ok(Kept::NotFound);
        };
        let id = kept.repositories.len() as i64 + 1;
        let repository = RepositorySummary {
            id: RepositoryId(id),
            project: slug,
            project_id: project,
            name: name.clone(),
            created_at: DateTime::UNIX_EPOCH,
            token: None,
            preflight: None,
        };
        kept.repositories.insert(id, repository.clone());
        kept.audit.push(("added", by.clone()));
        Ok(Kept::Done(repository))
    }

    async fn remove(
        &self,
        id: RepositoryId,
        seen: &Precondition,
        by: &FlowActor,
    ) -> Result<Kept<()>, PortError> {
        let mut kept = lock(&self.kept);
        let Some(repository) = kept.repositories.get(&id.0) else {
            return Ok(Kept::NotFound);
        };
        if !seen.holds(Some(&repository.version())) {
            return Ok(Kept::Stale);
        }
        kept.repositories.remove(&id.0);
        kept.audit.push(("removed", by.clone()));
        Ok(Kept::Done(()))
    }

    async fn token(&self, id: RepositoryId) -> Result<Option<Secret<String>>, PortError> {
        Ok(lock(&self.kept).tokens.get(&id.0).cloned())
    }

    async fn set_token(
        &self,
        id: RepositoryId,
        token: Option<&Secret<String>>,
        found: &Preflight,
        seen: &Precondition,
        by: &FlowActor,
    ) -> Result<Kept<()>, PortError> {
        let mut kept = lock(&self.kept);
        // No two are set at the same time.
        let set_at = DateTime::UNIX_EPOCH + TimeDelta::seconds(kept.audit.len() as i64 + 1);
        let Some(repository) = kept.repositories.get_mut(&id.0) else {
            return Ok(Kept::NotFound);
        };
        if !seen.holds(Some(&repository.version())) {
            return Ok(Kept::Stale);
        }
        repository.token = token.map(|_| TokenSummary {
            login: found.login.clone(),
            set_at,
            expires_at: found.token_expires_at,
            sealed_with: "fake".to_owned(),
        });
        kept.tokens.remove(&id.0);
        if let Some(token) = token {
            kept.tokens.insert(id.0, token.clone());
        }
        let what = if token.is_some() {
            "token set"
        } else {
            "token removed"
        };
        kept.audit.push((what, by.clone()));
        Ok(Kept::Done(()))
    }

    async fn note_preflight(&self, id: RepositoryId, found: &Preflight) -> Result<(), PortError> {
        if let Some(repository) = lock(&self.kept).repositories.get_mut(&id.0) {
            repository.preflight = Some((found.clone(), DateTime::UNIX_EPOCH));
        }
        Ok(())
    }
}

/// The forge as it is set up for one repository, whose one good token is `a good token`.
#[derive(Debug, Default)]
pub struct FakeSetup {
    hook: Mutex<Option<(String, Secret<String>)>>,
}

impl FakeSetup {
    /// Where the webhook goes, and its secret.
    pub fn hook(&self) -> Option<(String, Secret<String>)> {
        lock(&self.hook).clone()
    }

    fn accept(token: Option<&Secret<String>>) -> Result<(), PortError> {
        if token.is_some_and(|token| token.expose() == "a good token") {
            return Ok(());
        }
        Err(PortError::Refused {
            part: "github",
            reason: "the token isn't accepted".to_owned(),
        })
    }

    fn summary(&self) -> Option<HookSummary> {
        lock(&self.hook).as_ref().map(|_| HookSummary {
            id: 1,
            active: true,
            events: vec!["issues".to_owned()],
            last_status: None,
        })
    }
}

#[async_trait]
impl RepositorySetup for FakeSetup {
    async fn preflight(
        &self,
        token: Option<&Secret<String>>,
        _: &RepositoryName,
        _: &str,
    ) -> Result<Preflight, PortError> {
        let good = Self::accept(token).is_ok();
        let check = |name, good, text: &str| Check {
            name,
            state: if good { CheckState::Ok } else { CheckState::Failed },
            text: text.to_owned(),
        };
        let hook = self.summary();
        Ok(Preflight {
            login: good.then(|| "octo".to_owned()),
            checks: vec![
                check(CheckName::Token, good, "whether it is accepted"),
                check(CheckName::Webhook, hook.is_some(), "whether there is one"),
            ],
            hook,
            ..Preflight::default()
        })
    }

    async fn ensure_webhook(
        &self,
        token: Option<&Secret<String>>,
        _: &RepositoryName,
        hook_url: &str,
        secret: &Secret<String>,
    ) -> Result<HookSummary, PortError> {
        Self::accept(token)?;
        *lock(&self.hook) = Some((hook_url.to_owned(), secret.clone()));
        self.summary().ok_or_else(|| PortError::Refused {
            part: "github",
            reason: "there is none".to_owned(),
        })
    }

    async fn ensure_labels(
        &self,
        token: Option<&Secret<String>>,
        _: &RepositoryName,
    ) -> Result<Vec<String>, PortError> {
        Self::accept(token)?;
        Ok(Vec::new())
    }
}
