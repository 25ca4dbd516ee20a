//! What the simulators would otherwise gather: old comments of issues, and the namespaces of runs that ended long
//! ago. As an administrator of GitHub and of the cluster would remove them, through their APIs.

use anyhow::{Context, Result};
use serde_json::Value;

use super::Demo;
use super::world::{ISSUES, repositories};

/// Comments that an issue keeps.
const COMMENTS: usize = 12;
/// Namespaces of runs that are kept, the youngest. More than can be running.
const NAMESPACES: usize = 80;
/// What a run's namespace begins with.
const PREFIX: &str = "codex-issue-";

/// Removes what is too much.
pub(super) async fn up(demo: &Demo) -> Result<()> {
    for repository in repositories() {
        for number in 1..=ISSUES {
            let comments = demo.github.comments(repository, number);
            for comment in comments.iter().rev().skip(COMMENTS) {
                demo.github.delete_comment(repository, comment.id)?;
            }
        }
    }
    namespaces(demo).await
}

async fn namespaces(demo: &Demo) -> Result<()> {
    let Some(cluster) = &demo.state.kubernetes else {
        return Ok(());
    };
    let http = reqwest::Client::new();
    let url = format!("{}/api/v1/namespaces", cluster.url);
    let list: Value = http
        .get(&url)
        .bearer_auth(&cluster.token)
        .send()
        .await?
        .error_for_status()?
        .json()
        .await?;
    for name in too_old(&list) {
        let answer = http
            .delete(format!("{url}/{name}"))
            .bearer_auth(&cluster.token)
            .send()
            .await;
        answer
            .and_then(reqwest::Response::error_for_status)
            .with_context(|| format!("can't remove the namespace {name}"))?;
    }
    Ok(())
}

/// The names of runs' namespaces beyond the youngest.
fn too_old(list: &Value) -> Vec<&str> {
    let items = list["items"].as_array().map_or(&[][..], Vec::as_slice);
    let of_runs = items.iter().filter_map(|namespace| {
        let metadata = &namespace["metadata"];
        let name = metadata["name"]
            .as_str()
            .filter(|name| name.starts_with(PREFIX))?;
        let alive = metadata["deletionTimestamp"].is_null();
        let run: i64 = name.rsplit_once("-r")?.1.parse().ok()?;
        alive.then_some((run, name))
    });
    let mut by_age: Vec<(i64, &str)> = of_runs.collect();
    by_age.sort_unstable_by(|one, other| other.cmp(one));
    by_age
        .into_iter()
        .skip(NAMESPACES)
        .map(|(_, name)| name)
        .collect()
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn the_oldest_runs_namespaces_go() {
        let item = |name: String| json!({ "metadata": { "name": name } });
        let mut items: Vec<Value> = (1..=82)
            .map(|run| item(format!("{PREFIX}demo-i1-r{run}")))
            .collect();
        items.push(item("kube-system".into()));
        items.push(item(format!("{PREFIX}somebody-else")));
        let list = json!({ "items": items });
        assert_eq!(
            too_old(&list),
            [format!("{PREFIX}demo-i1-r2"), format!("{PREFIX}demo-i1-r1")]
        );
    }
}
