//! Looks whether a repository is set up: one thing after the other, in the order in which they have to be mended.

use chrono::{DateTime, NaiveDateTime, Utc};
use domain::port::PortError;
use domain::project::{Check, CheckName, CheckState, Preflight};
use domain::repository::RepositoryName;
use serde::Deserialize;

use super::{hooks, missing_labels};
use crate::transport::{Answer, CallError, Transport};
use crate::wire;

/// A classic token with this may do all that we do.
const CLASSIC_SCOPE: &str = "repo";

#[derive(Debug, Deserialize)]
struct Repository {
    #[serde(default)]
    has_issues: bool,
    #[serde(default)]
    archived: bool,
    #[serde(default)]
    permissions: Permissions,
}

#[derive(Debug, Default, Deserialize)]
struct Permissions {
    #[serde(default)]
    admin: bool,
    #[serde(default)]
    push: bool,
}

fn check(name: CheckName, state: CheckState, text: impl Into<String>) -> Check {
    Check {
        name,
        state,
        text: text.into(),
    }
}

/// Everything that couldn't be seen.
fn unseen(found: &mut Preflight, names: &[CheckName]) {
    for name in names {
        let text = "can't be seen before the above is mended";
        found.checks.push(check(*name, CheckState::Unknown, text));
    }
}

pub(super) fn without_token(why: &str) -> Preflight {
    let mut found = Preflight::default();
    found
        .checks
        .push(check(CheckName::Token, CheckState::Failed, why));
    let rest = [
        CheckName::Expiry,
        CheckName::Repository,
        CheckName::Permission,
        CheckName::Webhook,
        CheckName::Labels,
    ];
    unseen(&mut found, &rest);
    found
}

/// What went wrong, of something that is refused; an error where GitHub can't be asked at all.
fn refused(error: CallError) -> Result<String, PortError> {
    match error {
        CallError::Missing(said) => Ok(said),
        CallError::Port(PortError::Refused { reason, .. }) => Ok(reason),
        CallError::Port(error) => Err(error),
    }
}

pub(super) async fn look(
    client: &Transport,
    repository: &RepositoryName,
    hook_url: &str,
) -> Result<Preflight, PortError> {
    let answer = match client.read("token", "/user").await {
        Ok(answer) => answer,
        Err(error) => return Ok(without_token(&refused(error)?)),
    };
    let mut found = Preflight::default();
    token(&mut found, &answer)?;
    let path = format!("/repos/{repository}");
    let seen = client
        .read("repository", &path)
        .await
        .and_then(|answer| answer.json());
    let seen: Repository = match seen {
        Ok(seen) => seen,
        Err(error) => {
            let said = refused(error)?;
            let text = format!("the token doesn't see {repository}: {said}");
            found
                .checks
                .push(check(CheckName::Repository, CheckState::Failed, text));
            let rest = [CheckName::Permission, CheckName::Webhook, CheckName::Labels];
            unseen(&mut found, &rest);
            return Ok(found);
        }
    };
    found.checks.push(repository_check(repository, &seen));
    found.checks.push(permission_check(&seen));
    webhook(&mut found, client, repository, hook_url).await?;
    labels(&mut found, client, repository).await?;
    Ok(found)
}

fn token(found: &mut Preflight, answer: &Answer) -> Result<(), PortError> {
    let user: wire::User = answer
        .json()
        .map_err(|error| error.into_port("the token's user"))?;
    // Of a fine-grained token there is no such header; of a classic one without scopes it is empty.
    found.scopes = answer.header("x-oauth-scopes").map(|scopes| {
        let each = scopes.split(',').map(str::trim).filter(|scope| !scope.is_empty());
        each.map(str::to_owned).collect()
    });
    found.token_expires_at = answer
        .header("github-authentication-token-expiration")
        .and_then(expiry);
    let lacking = found
        .scopes
        .as_ref()
        .is_some_and(|scopes| !scopes.iter().any(|scope| scope == CLASSIC_SCOPE));
    found.checks.push(if lacking {
        let text = format!(
            "the token is {}'s and lacks the scope `{CLASSIC_SCOPE}`: private repositories, webhooks and labels \
             may be out of its reach",
            user.login
        );
        check(CheckName::Token, CheckState::Warning, text)
    } else {
        check(CheckName::Token, CheckState::Ok, format!("GitHub knows it as {}", user.login))
    });
    found.login = Some(user.login);
    found.checks.push(match (found.token_expires_at, answer.date()) {
        (None, _) => check(
            CheckName::Expiry,
            CheckState::Ok,
            "GitHub names no end of the token",
        ),
        (Some(end), Some(now)) if (end - now).num_days() < 14 => {
            let text = format!(
                "the token ends on {}: make its successor and set it here",
                end.date_naive()
            );
            check(CheckName::Expiry, CheckState::Warning, text)
        }
        (Some(end), _) => {
            let text = format!("the token lasts until {}", end.date_naive());
            check(CheckName::Expiry, CheckState::Ok, text)
        }
    });
    Ok(())
}

/// As GitHub writes it: `2026-12-01 09:00:00 UTC`, or with a numeric offset.
fn expiry(text: &str) -> Option<DateTime<Utc>> {
    let utc = text.strip_suffix(" UTC");
    let utc = utc.and_then(|time| NaiveDateTime::parse_from_str(time, "%Y-%m-%d %H:%M:%S").ok());
    utc.map(|time| time.and_utc()).or_else(|| {
        let time = DateTime::parse_from_str(text, "%Y-%m-%d %H:%M:%S %z").ok()?;
        Some(time.with_timezone(&Utc))
    })
}

fn repository_check(name: &RepositoryName, seen: &Repository) -> Check {
    let (state, text) = if seen.archived {
        (
            CheckState::Failed,
            format!("{name} is archived: nobody can comment there"),
        )
    } else if !seen.has_issues {
        (
            CheckState::Failed,
            format!("{name} has no issues: switch them on in its settings"),
        )
    } else {
        (CheckState::Ok, format!("{name} is there and has issues"))
    };
    check(CheckName::Repository, state, text)
}

fn permission_check(seen: &Repository) -> Check {
    let (state, text) = if seen.permissions.push || seen.permissions.admin {
        (CheckState::Ok, "the token may write")
    } else {
        (
            CheckState::Failed,
            "the token may only read: give its account write access, or a fine-grained token `issues: write`",
        )
    };
    check(CheckName::Permission, state, text)
}

async fn webhook(
    found: &mut Preflight,
    client: &Transport,
    repository: &RepositoryName,
    hook_url: &str,
) -> Result<(), PortError> {
    let hooks = match hooks(client, repository).await {
        Ok(hooks) => hooks,
        Err(error) => {
            let said = refused(error)?;
            let text = format!(
                "the token may not see webhooks ({said}): it needs `admin:repo_hook`, of a fine-grained token \
                 `webhooks: write`; or make the webhook by hand, to {hook_url}"
            );
            found
                .checks
                .push(check(CheckName::Webhook, CheckState::Warning, text));
            return Ok(());
        }
    };
    let ours = hooks.iter().find(|hook| hook.is_ours(hook_url));
    found.hook = ours.map(super::Hook::summary);
    let (state, text) = match ours {
        None => (CheckState::Failed, format!("there is no webhook to {hook_url}")),
        Some(hook) if !hook.is_right() => (
            CheckState::Failed,
            "the webhook is switched off, or doesn't tell of issues as JSON".to_owned(),
        ),
        Some(hook) => match hook.summary().last_status {
            Some(status) if !(200..300).contains(&status) => (
                CheckState::Warning,
                format!("the webhook's last delivery was answered with {status}"),
            ),
            _ => (CheckState::Ok, "the webhook tells us of issues".to_owned()),
        },
    };
    found.checks.push(check(CheckName::Webhook, state, text));
    Ok(())
}

async fn labels(
    found: &mut Preflight,
    client: &Transport,
    repository: &RepositoryName,
) -> Result<(), PortError> {
    let missing = match missing_labels(client, repository).await {
        Ok(missing) => missing,
        Err(error) => {
            let text = format!("the labels can't be seen: {}", refused(error)?);
            found
                .checks
                .push(check(CheckName::Labels, CheckState::Warning, text));
            return Ok(());
        }
    };
    let (state, text) = if missing.is_empty() {
        (CheckState::Ok, "every label is there".to_owned())
    } else {
        (CheckState::Warning, format!("missing: {}", missing.join(", ")))
    };
    found.missing_labels = missing;
    found.checks.push(check(CheckName::Labels, state, text));
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn when_a_token_ends() {
        let end = "2026-12-01T09:00:00Z".parse::<DateTime<Utc>>().unwrap();
        assert_eq!(expiry("2026-12-01 09:00:00 UTC"), Some(end));
        assert_eq!(expiry("2026-12-01 10:00:00 +0100"), Some(end));
        assert_eq!(expiry("soon"), None);
    }
}
