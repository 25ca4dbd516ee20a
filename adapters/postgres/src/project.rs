//! Projects and repositories.

use domain::port::PortError;
use domain::repository::{Project, Repository, RepositoryName};
use domain::{ProjectId, RepositoryId};

use crate::Store;
use crate::error::{Error, db, refused};
use crate::run_store::start_waiting;

impl Store {
    /// Makes sure that there is a project with so many slots and that it has the repository. Idempotent;
    /// more slots than before start runs that wait for one.
    ///
    /// # Errors
    /// [`PortError::Refused`] for a slug that isn't 1 to 40 of `[a-z0-9-]`, negative slots, or a repository
    /// that belongs to another project.
    pub async fn seed_project(
        &self,
        slug: &str,
        slots: i32,
        repository: &RepositoryName,
    ) -> Result<Repository, PortError> {
        let mut tx = self.begin().await?;
        let project_id = sqlx::query_scalar!(
            "insert into platform.project as p (slug, slots) values ($1, $2)
             on conflict (slug) do update set slots = excluded.slots returning id",
            slug,
            slots,
        )
        .fetch_one(&mut *tx)
        .await
        .map_err(db)?;
        let row = sqlx::query!(
            "insert into platform.repository as r (project_id, name) values ($1, $2)
             on conflict (lower(name)) do update set name = excluded.name
             returning id, project_id",
            project_id,
            repository.to_string(),
        )
        .fetch_one(&mut *tx)
        .await
        .map_err(db)?;
        if row.project_id != project_id {
            return Err(refused(format!(
                "the repository {repository} belongs to another project"
            )));
        }
        start_waiting(&self.queue, &mut tx, ProjectId(project_id))
            .await
            .map_err(db)?;
        tx.commit().await.map_err(db)?;
        Ok(Repository {
            id: RepositoryId(row.id),
            project: Project {
                id: ProjectId(project_id),
                slug: slug.to_owned(),
                slots,
            },
            name: repository.clone(),
        })
    }
}

/// A repository's name as it was stored.
pub(crate) fn stored_name(name: &str) -> Result<RepositoryName, Error> {
    name.parse()
        .map_err(|e| Error::Unreadable(format!("a stored repository is named `{name}`: {e}")))
}
