//! GitHub's JSON for what is in the [`super::world`]: as complete as GitHub's own description demands, so that
//! any client's models accept it.

use serde_json::{Value, json};

use super::world::{Comment, Issue, Repository};

/// A stable number for a login; the simulator keeps no accounts apart from their names.
fn user_id(login: &str) -> i64 {
    login
        .to_ascii_lowercase()
        .bytes()
        .fold(7, |id: i64, b| (id * 31 + i64::from(b)) % 90_000_000)
        + 1
}

fn node_id(kind: &str, id: i64) -> String {
    use base64::Engine as _;
    base64::engine::general_purpose::STANDARD.encode(format!("{kind}{id}"))
}

/// A person or a bot. `root` is the API's address without a slash at the end.
pub(super) fn user(root: &str, login: &str) -> Value {
    // `renovate[bot]` is `renovate%5Bbot%5D` in addresses.
    let name = login.replace('[', "%5B").replace(']', "%5D");
    let url = format!("{root}/users/{name}");
    let id = user_id(login);
    json!({
        "login": login,
        "id": id,
        "node_id": node_id("04:User", id),
        "avatar_url": format!("{root}/avatars/{id}"),
        "gravatar_id": "",
        "url": url,
        "html_url": format!("{root}/{name}"),
        "followers_url": format!("{url}/followers"),
        "following_url": format!("{url}/following{{/other_user}}"),
        "gists_url": format!("{url}/gists{{/gist_id}}"),
        "starred_url": format!("{url}/starred{{/owner}}{{/repo}}"),
        "subscriptions_url": format!("{url}/subscriptions"),
        "organizations_url": format!("{url}/orgs"),
        "repos_url": format!("{url}/repos"),
        "events_url": format!("{url}/events{{/privacy}}"),
        "received_events_url": format!("{url}/received_events"),
        "type": if login.ends_with("[bot]") { "Bot" } else { "User" },
        "user_view_type": "public",
        "site_admin": false,
    })
}

/// The signed-in account, as `GET /user` shows it.
pub(super) fn account(root: &str, login: &str) -> Value {
    let mut account = user(root, login);
    let more = json!({
        "name": login, "company": null, "blog": "", "location": null, "email": null, "hireable": null,
        "bio": null, "twitter_username": null, "public_repos": 1, "public_gists": 0, "followers": 0,
        "following": 0, "created_at": "2019-05-15T15:19:25Z", "updated_at": "2019-05-15T15:20:41Z",
    });
    extend(&mut account, more);
    account
}

fn extend(object: &mut Value, more: Value) {
    if let (Value::Object(object), Value::Object(more)) = (object, more) {
        object.extend(more);
    }
}

/// A label of a repository.
pub(super) fn label(root: &str, repository: &Repository, name: &str) -> Value {
    let id = repository.labels.get(name).copied().unwrap_or_default();
    // A label's name may hold anything, so it is the one part of an address that needs encoding.
    let encoded: String = url::form_urlencoded::byte_serialize(name.as_bytes()).collect();
    let url = format!(
        "{root}/repos/{}/labels/{}",
        repository.full_name,
        encoded.replace('+', "%20")
    );
    json!({
        "id": id,
        "node_id": node_id("05:Label", id),
        "url": url,
        "name": name,
        "color": "d73a4a",
        "default": false,
        "description": null,
    })
}

fn reactions(url: &str) -> Value {
    json!({
        "url": format!("{url}/reactions"), "total_count": 0, "+1": 0, "-1": 0, "laugh": 0, "hooray": 0,
        "confused": 0, "heart": 0, "rocket": 0, "eyes": 0,
    })
}

fn association(repository: &Repository, login: &str) -> &'static str {
    match repository.role(login) {
        _ if repository.owner().eq_ignore_ascii_case(login) => "OWNER",
        "admin" | "maintain" | "write" | "triage" => "COLLABORATOR",
        _ => "NONE",
    }
}

/// An issue.
pub(super) fn issue(root: &str, repository: &Repository, issue: &Issue) -> Value {
    let repository_url = format!("{root}/repos/{}", repository.full_name);
    let url = format!("{repository_url}/issues/{}", issue.number);
    let labels: Vec<Value> = issue
        .labels
        .iter()
        .map(|name| label(root, repository, name))
        .collect();
    json!({
        "url": url,
        "repository_url": repository_url,
        "labels_url": format!("{url}/labels{{/name}}"),
        "comments_url": format!("{url}/comments"),
        "events_url": format!("{url}/events"),
        "timeline_url": format!("{url}/timeline"),
        "html_url": format!("{root}/{}/issues/{}", repository.full_name, issue.number),
        "id": issue.id,
        "node_id": node_id("05:Issue", issue.id),
        "number": issue.number,
        "title": issue.title,
        "user": user(root, &issue.author),
        "labels": labels,
        "state": if issue.open { "open" } else { "closed" },
        "state_reason": if issue.open { Value::Null } else { json!("completed") },
        "locked": false,
        "active_lock_reason": null,
        "assignee": null,
        "assignees": [],
        "milestone": null,
        "comments": issue.comments.len(),
        "created_at": issue.created_at,
        "updated_at": issue.updated_at,
        "closed_at": if issue.open { Value::Null } else { json!(issue.updated_at) },
        "closed_by": null,
        "author_association": association(repository, &issue.author),
        "performed_via_github_app": null,
        "body": issue.body,
        "reactions": reactions(&url),
    })
}

/// A comment on an issue.
pub(super) fn comment(root: &str, repository: &Repository, number: i64, comment: &Comment) -> Value {
    let issue_url = format!("{root}/repos/{}/issues/{number}", repository.full_name);
    let url = format!(
        "{root}/repos/{}/issues/comments/{}",
        repository.full_name, comment.id
    );
    json!({
        "url": url,
        "html_url": format!("{root}/{}/issues/{number}#issuecomment-{}", repository.full_name, comment.id),
        "issue_url": issue_url,
        "id": comment.id,
        "node_id": node_id("12:IssueComment", comment.id),
        "user": user(root, &comment.login),
        "created_at": comment.created_at,
        "updated_at": comment.updated_at,
        "author_association": association(repository, &comment.login),
        "body": comment.body,
        "reactions": reactions(&url),
        "performed_via_github_app": null,
    })
}

/// What someone may do, as `GET .../collaborators/{login}/permission` shows it.
pub(super) fn permission(root: &str, repository: &Repository, login: &str) -> Value {
    let role = repository.role(login);
    let rank = ["none", "read", "triage", "write", "maintain", "admin"]
        .iter()
        .position(|r| *r == role);
    let at_least = |needed: usize| rank.is_some_and(|rank| rank >= needed);
    // The old three levels, as GitHub still shows them beside the role.
    let legacy = match role {
        "maintain" => "write",
        "triage" => "read",
        other => other,
    };
    let mut person = user(root, login);
    let more = json!({
        "permissions": {
            "pull": at_least(1), "triage": at_least(2), "push": at_least(3),
            "maintain": at_least(4), "admin": at_least(5),
        },
        "role_name": role,
    });
    extend(&mut person, more);
    json!({ "permission": legacy, "role_name": role, "user": person })
}

/// The members of a repository that are links made of its address.
const LINKS: [(&str, &str); 37] = [
    ("archive_url", "/{archive_format}{/ref}"),
    ("assignees_url", "/assignees{/user}"),
    ("blobs_url", "/git/blobs{/sha}"),
    ("branches_url", "/branches{/branch}"),
    ("collaborators_url", "/collaborators{/collaborator}"),
    ("comments_url", "/comments{/number}"),
    ("commits_url", "/commits{/sha}"),
    ("compare_url", "/compare/{base}...{head}"),
    ("contents_url", "/contents/{+path}"),
    ("contributors_url", "/contributors"),
    ("deployments_url", "/deployments"),
    ("downloads_url", "/downloads"),
    ("events_url", "/events"),
    ("forks_url", "/forks"),
    ("git_commits_url", "/git/commits{/sha}"),
    ("git_refs_url", "/git/refs{/sha}"),
    ("git_tags_url", "/git/tags{/sha}"),
    ("hooks_url", "/hooks"),
    ("issue_comment_url", "/issues/comments{/number}"),
    ("issue_events_url", "/issues/events{/number}"),
    ("issues_url", "/issues{/number}"),
    ("keys_url", "/keys{/key_id}"),
    ("labels_url", "/labels{/name}"),
    ("languages_url", "/languages"),
    ("merges_url", "/merges"),
    ("milestones_url", "/milestones{/number}"),
    ("notifications_url", "/notifications{?since,all,participating}"),
    ("pulls_url", "/pulls{/number}"),
    ("releases_url", "/releases{/id}"),
    ("stargazers_url", "/stargazers"),
    ("statuses_url", "/statuses/{sha}"),
    ("subscribers_url", "/subscribers"),
    ("subscription_url", "/subscription"),
    ("tags_url", "/tags"),
    ("teams_url", "/teams"),
    ("trees_url", "/git/trees{/sha}"),
    ("url", ""),
];

/// A repository.
pub(super) fn repository(root: &str, repository: &Repository) -> Value {
    let url = format!("{root}/repos/{}", repository.full_name);
    let html_url = format!("{root}/{}", repository.full_name);
    let mut value = json!({
        "id": repository.id,
        "node_id": node_id("010:Repository", repository.id),
        "name": repository.name(),
        "full_name": repository.full_name,
        "private": false,
        "owner": user(root, repository.owner()),
        "html_url": html_url,
        "description": null,
        "fork": false,
        "created_at": repository.created_at,
        "updated_at": repository.created_at,
        "pushed_at": repository.created_at,
        "git_url": format!("git://{}.git", repository.full_name),
        "ssh_url": format!("git@localhost:{}.git", repository.full_name),
        "clone_url": format!("{html_url}.git"),
        "svn_url": html_url,
        "mirror_url": null,
        "homepage": null,
    });
    let counts = json!({
        "size": 0,
        "stargazers_count": 0,
        "watchers_count": 0,
        "watchers": 0,
        "language": null,
        "has_issues": true,
        "has_projects": true,
        "has_downloads": true,
        "has_wiki": true,
        "has_pages": false,
        "has_discussions": false,
        "forks_count": 0,
        "forks": 0,
        "archived": false,
        "disabled": false,
        "open_issues_count": repository.issues.values().filter(|issue| issue.open).count(),
        "open_issues": repository.issues.values().filter(|issue| issue.open).count(),
        "license": null,
        "allow_forking": true,
        "is_template": false,
        "web_commit_signoff_required": false,
        "topics": [],
        "visibility": "public",
        "default_branch": "main",
        "network_count": 0,
        "subscribers_count": 0,
    });
    extend(&mut value, counts);
    for (name, tail) in LINKS {
        value[name] = json!(format!("{url}{tail}"));
    }
    value
}
