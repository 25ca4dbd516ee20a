//! Checks each repository's setup once, as an admin does in the console, and sets up the first: so that there is one in
//! order, and others with something left to do.

use anyhow::{Context, Result};
use serde::Deserialize;

use super::Demo;
use crate::dev::DEMO_REPOSITORY;

#[derive(Deserialize)]
struct Repositories {
    items: Vec<Repository>,
}

#[derive(Deserialize)]
struct Repository {
    id: i64,
    name: String,
}

/// Idempotent.
pub(super) async fn repositories(demo: &Demo) -> Result<()> {
    let base = format!("{}/api/v1/staff/repositories", demo.state.url);
    let http = reqwest::Client::new();
    let token = &demo.state.staff_token;
    let answer = http
        .get(&base)
        .bearer_auth(token)
        .send()
        .await?
        .error_for_status()?;
    let Repositories { items } = answer.json().await.context("the gateway lists no repositories")?;
    for Repository { id, name } in items {
        let steps: &[&str] = if name == DEMO_REPOSITORY {
            &["preflight", "webhook", "labels"]
        } else {
            &["preflight"]
        };
        for step in steps {
            let asked = http.post(format!("{base}/{id}/{step}")).bearer_auth(token);
            asked.send().await?.error_for_status()?;
        }
    }
    Ok(())
}
