//! Whether a repository is set up, and how it becomes so, on the simulated GitHub.
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

use domain::Secret;
use domain::port::staff::{RepositorySetup, RepositoryTokens};
use domain::port::{Forge, PortError};
use domain::project::{CheckName, CheckState, Preflight};
use domain::repository::RepositoryName;
use github::{GithubSettings, GithubSetup, TokenedForge};
use testkit::github::Simulator;

const HOOK: &str = "https://codex.test/api/v1/webhooks/github";

fn name() -> RepositoryName {
    "octo/demo".parse().unwrap()
}

fn secret(text: &str) -> Secret<String> {
    Secret::new(text.to_owned())
}

async fn github() -> Simulator {
    Simulator::builder()
        .repository("octo/demo")
        .person("octo", "token-of-the-owner")
        .person("eve", "token-of-a-stranger")
        .start()
        .await
        .unwrap()
}

fn settings(github: &Simulator, token: &str) -> GithubSettings {
    GithubSettings::new(github.url().parse().unwrap(), secret(token))
}

fn setup(github: &Simulator, own: Option<&str>) -> GithubSetup {
    GithubSetup::new(settings(github, ""), own.map(secret))
}

fn state(found: &Preflight, name: CheckName) -> CheckState {
    found
        .checks
        .iter()
        .find(|check| check.name == name)
        .unwrap()
        .state
}

#[tokio::test]
async fn a_repository_becomes_set_up_step_by_step() {
    let github = github().await;
    let setup = setup(&github, None);
    let token = secret("token-of-the-owner");
    let found = setup.preflight(Some(&token), &name(), HOOK).await.unwrap();
    assert_eq!(found.login.as_deref(), Some("octo"));
    for (name, expected) in [
        (CheckName::Token, CheckState::Ok),
        (CheckName::Repository, CheckState::Ok),
        (CheckName::Permission, CheckState::Ok),
        (CheckName::Webhook, CheckState::Failed),
        (CheckName::Labels, CheckState::Warning),
    ] {
        assert_eq!(state(&found, name), expected, "{name:?}");
    }
    assert_eq!(found.missing_labels.len(), 4);

    let secret = secret("the webhook's secret");
    let made = setup
        .ensure_webhook(Some(&token), &name(), HOOK, &secret)
        .await
        .unwrap();
    assert!(made.active && made.events == ["issues"]);
    let again = setup
        .ensure_webhook(Some(&token), &name(), HOOK, &secret)
        .await
        .unwrap();
    assert_eq!(made, again, "there is one");
    assert_eq!(setup.ensure_labels(Some(&token), &name()).await.unwrap().len(), 4);
    assert!(
        setup
            .ensure_labels(Some(&token), &name())
            .await
            .unwrap()
            .is_empty()
    );
    let found = setup.preflight(Some(&token), &name(), HOOK).await.unwrap();
    assert!(
        found.checks.iter().all(|check| check.state == CheckState::Ok),
        "{found:?}"
    );
    assert_eq!(found.hook, Some(made));
}

#[tokio::test]
async fn what_is_in_the_way_is_said() {
    let github = github().await;
    let none = setup(&github, None);
    let found = none.preflight(None, &name(), HOOK).await.unwrap();
    assert_eq!(state(&found, CheckName::Token), CheckState::Failed);
    assert_eq!(state(&found, CheckName::Webhook), CheckState::Unknown);
    let wrong = secret("token-of-nobody");
    let found = none.preflight(Some(&wrong), &name(), HOOK).await.unwrap();
    assert_eq!(state(&found, CheckName::Token), CheckState::Failed);
    let elsewhere = "octo/nowhere".parse().unwrap();
    let owner = secret("token-of-the-owner");
    let found = none.preflight(Some(&owner), &elsewhere, HOOK).await.unwrap();
    assert_eq!(state(&found, CheckName::Repository), CheckState::Failed);
    assert_eq!(state(&found, CheckName::Labels), CheckState::Unknown);
    // Who may only read.
    let found = none
        .preflight(Some(&secret("token-of-a-stranger")), &name(), HOOK)
        .await
        .unwrap();
    assert_eq!(state(&found, CheckName::Permission), CheckState::Failed);
    assert_eq!(state(&found, CheckName::Webhook), CheckState::Warning);
    // The platform's own token, where the repository has none.
    let own = setup(&github, Some(github.token()));
    let found = own.preflight(None, &name(), HOOK).await.unwrap();
    assert_eq!(found.login.as_deref(), Some(github.login()));
    let printed = format!("{found:?}");
    assert!(!printed.contains(github.token()), "{printed}");
}

struct Tokens(Option<Secret<String>>);

#[async_trait::async_trait]
impl RepositoryTokens for Tokens {
    async fn token_of(&self, _: &RepositoryName) -> Result<Option<Secret<String>>, PortError> {
        Ok(self.0.clone())
    }
}

#[tokio::test]
async fn a_repositorys_own_token_is_used_for_it() {
    let github = github().await;
    github.add_issue("octo/demo", 1, "A title", "", &[]).unwrap();
    for (own, author) in [(Some("token-of-the-owner"), "octo"), (None, github.login())] {
        let tokens = std::sync::Arc::new(Tokens(own.map(secret)));
        let forge = TokenedForge::new(settings(&github, github.token()), tokens).unwrap();
        let marker = format!("codex-k8s:{author}");
        forge
            .upsert_comment(&name(), 1, None, &marker, "Hello")
            .await
            .unwrap();
        assert_eq!(github.comments("octo/demo", 1).last().unwrap().login, author);
    }
}
