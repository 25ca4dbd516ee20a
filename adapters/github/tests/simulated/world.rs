//! A simulated GitHub with one issue, and the adapter on it.
#![expect(clippy::unwrap_used, reason = "a test that can't be set up fails")]

use domain::Secret;
use domain::repository::RepositoryName;
use github::{GithubForge, GithubSettings};
use http::Method;
use testkit::github::Simulator;

pub(crate) const REPOSITORY: &str = "Codertocat/Hello-World";

pub(crate) struct World {
    pub github: Simulator,
    pub forge: GithubForge,
    pub repository: RepositoryName,
}

impl World {
    pub(crate) async fn new() -> Self {
        Self::with(|_| {}).await
    }

    /// With other settings than the usual.
    pub(crate) async fn with(change: impl FnOnce(&mut GithubSettings)) -> Self {
        let github = Simulator::builder().repository(REPOSITORY).start().await.unwrap();
        github
            .add_issue(
                REPOSITORY,
                1,
                "Spelling error",
                "It says comit.",
                &["run:dev", "bug"],
            )
            .unwrap();
        let token = Secret::new(github.token().to_owned());
        let mut settings = GithubSettings::new(github.url().parse().unwrap(), token);
        change(&mut settings);
        let forge = GithubForge::new(&settings).unwrap();
        Self {
            github,
            forge,
            repository: REPOSITORY.parse().unwrap(),
        }
    }

    /// The same world with the adapter's requests going through `address`.
    pub(crate) fn through(self, address: &str) -> Self {
        let token = Secret::new(self.github.token().to_owned());
        let forge = GithubForge::new(&GithubSettings::new(address.parse().unwrap(), token)).unwrap();
        Self { forge, ..self }
    }

    /// How many requests of this method ended in this path.
    pub(crate) fn count(&self, method: &Method, path: &str) -> usize {
        self.github
            .requests()
            .iter()
            .filter(|(m, p)| m == method && p.ends_with(path))
            .count()
    }
}
