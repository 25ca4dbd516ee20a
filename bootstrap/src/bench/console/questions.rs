//! Everything that the console's screens ask for.

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use postgres::bench::Landmarks;

use super::people::People;

/// A request.
pub(super) struct Question {
    /// For the report.
    pub(super) name: String,
    /// Below `/api/v1/staff/`.
    pub(super) path: String,
    /// Whose.
    pub(super) token: String,
}

/// Filters of jobs, each with a name. What matches nothing has to be looked for in all of them.
const JOB_FILTERS: [(&str, &str); 21] = [
    ("ready", "state=ready"),
    ("scheduled", "state=scheduled"),
    ("waiting, none", "state=waiting"),
    ("running", "state=running"),
    ("completed", "state=completed"),
    ("cancelled", "state=cancelled"),
    ("dead", "state=dead"),
    ("queue", "queue=mail"),
    ("kind", "kind=search.index"),
    ("kind, five in all", "kind=ledger.close"),
    ("kind, none", "kind=issue.comment"),
    ("dead of a kind", "state=dead&kind=mail.send"),
    ("dead of a kind, none", "state=dead&kind=run.report"),
    ("tag", "tag=shard-3"),
    ("tenant", "tenant=tenant-77"),
    ("key, none", "key=customer-none"),
    ("unique key, none", "unique_key=none"),
    ("error", "error=upstream-7."),
    ("error, none", "error=no+such+error"),
    ("args, one", r#"args={"order_id":500003}"#),
    ("args, none", r#"args={"order_id":"none"}"#),
];

/// Lists that have no million of lines, and what is asked for once.
const OTHERS: [(&str, &str); 20] = [
    ("jobs/counts", "jobs/counts"),
    ("overview: hour", "overview?window=1h"),
    ("overview: day", "overview?window=24h"),
    ("overview: week", "overview?window=7d"),
    ("overview: a queue", "overview?window=7d&queue=mail"),
    ("queues", "queues"),
    ("queues/pauses", "queues/pauses"),
    ("workers", "workers"),
    ("schedules", "schedules?limit=100"),
    ("schedules/one", "schedules/bench-01"),
    ("schedules/ticks", "schedules/bench-01/ticks?limit=100"),
    ("users", "users?limit=100"),
    ("projects", "projects?limit=100"),
    ("projects/one", "projects/bench-001"),
    ("projects/members", "projects/bench-001/members"),
    ("repositories", "repositories?limit=100"),
    (
        "repositories: of a project",
        "repositories?project=bench-001&limit=100",
    ),
    ("me", "me"),
    ("system", "system"),
    ("settings", "settings"),
];

/// Of people who see their own projects only.
const OF_MEMBERS: [(&str, &str); 6] = [
    ("jobs", "jobs?limit=100"),
    ("jobs: dead", "jobs?limit=100&state=dead"),
    ("runs", "runs?limit=100"),
    ("runs: failed", "runs?limit=100&status=failed"),
    ("deliveries", "deliveries?limit=100"),
    ("deliveries: event", "deliveries?limit=100&event=issues"),
];

/// All of them.
pub(super) fn all(landmarks: &Landmarks, people: &People) -> Vec<Question> {
    let others = OTHERS
        .iter()
        .map(|(name, path)| ((*name).to_owned(), (*path).to_owned()));
    let asked = jobs(landmarks)
        .into_iter()
        .chain(runs(landmarks))
        .chain(ledgers(landmarks))
        .chain(others);
    let of_staff = asked.map(|(name, path)| Question {
        name,
        path,
        token: people.staff.clone(),
    });
    let of_members = [("a member", &people.member), ("a member, none", &people.idle)].map(|(who, token)| {
        OF_MEMBERS.map(|(name, path)| Question {
            name: format!("{name}, for {who}"),
            path: path.to_owned(),
            token: token.clone(),
        })
    });
    of_staff.chain(of_members.into_iter().flatten()).collect()
}

/// A name and a path.
type Asked = (String, String);

fn named<const N: usize>(asked: [(&str, String); N]) -> Vec<Asked> {
    asked
        .into_iter()
        .map(|(name, path)| (name.to_owned(), path))
        .collect()
}

fn jobs(landmarks: &Landmarks) -> Vec<Asked> {
    let middle = cursor(&i64::midpoint(landmarks.first_job, landmarks.last_job).to_string());
    let (ready, dead) = (landmarks.ready_job, landmarks.dead_job);
    let week = week_until(landmarks.middle_delivery_us, "created_after", "created_before");
    let mut asked = named([
        ("jobs", "jobs?limit=100".into()),
        ("jobs: deep", format!("jobs?limit=100&before={middle}")),
        (
            "jobs: of a delivery",
            format!("jobs?limit=100&correlation_id={}", landmarks.delivery),
        ),
        ("jobs: of a week", format!("jobs?limit=100&{week}")),
        ("jobs/one: ready", format!("jobs/{ready}")),
        ("jobs/one: dead", format!("jobs/{dead}")),
        ("jobs/why", format!("jobs/{ready}/why")),
        ("jobs/log", format!("jobs/{dead}/log")),
        ("jobs/count: all", "jobs/count".into()),
        ("jobs/count: of a week", format!("jobs/count?{week}")),
    ]);
    for (name, filter) in JOB_FILTERS {
        asked.push((format!("jobs: {name}"), format!("jobs?limit=100&{filter}")));
        asked.push((format!("jobs/count: {name}"), format!("jobs/count?{filter}")));
    }
    asked
}

fn runs(landmarks: &Landmarks) -> Vec<Asked> {
    let run = landmarks.run;
    let middle = cursor(&(run / 2).to_string());
    named([
        ("runs", "runs?limit=100".into()),
        ("runs: deep", format!("runs?limit=100&before={middle}")),
        ("runs: failed", "runs?limit=100&status=failed".into()),
        ("runs: pending, none", "runs?limit=100&status=pending".into()),
        ("runs: of a project", "runs?limit=100&project=bench-001".into()),
        (
            "runs: of a project, none",
            "runs?limit=100&project=bench-040".into(),
        ),
        ("runs/one", format!("runs/{run}")),
        (
            "runs/log: its end",
            format!("runs/{run}/log?limit=1000&before=9007199254740991"),
        ),
        (
            "runs/log: its middle",
            format!("runs/{run}/log?limit=1000&after=50000"),
        ),
        (
            "runs/log: search, none",
            format!("runs/{run}/log?limit=100&search=no+such+text"),
        ),
    ])
}

/// Deliveries and the audit.
fn ledgers(landmarks: &Landmarks) -> Vec<Asked> {
    let middle = cursor(&format!(
        "{} {}",
        landmarks.middle_delivery_us, landmarks.middle_delivery
    ));
    let job = i64::midpoint(landmarks.first_job, landmarks.last_job);
    let week = week_until(landmarks.middle_delivery_us, "since", "until");
    named([
        ("deliveries", "deliveries?limit=100".into()),
        (
            "deliveries: deep",
            format!("deliveries?limit=100&before={middle}"),
        ),
        (
            "deliveries: processed",
            "deliveries?limit=100&status=processed".into(),
        ),
        (
            "deliveries: accepted, none",
            "deliveries?limit=100&status=accepted".into(),
        ),
        ("deliveries: event", "deliveries?limit=100&event=star".into()),
        (
            "deliveries: event, none",
            "deliveries?limit=100&event=fork".into(),
        ),
        ("deliveries/one", format!("deliveries/{}", landmarks.delivery)),
        ("audit", "audit?limit=100".into()),
        (
            "audit: actor",
            "audit?limit=100&actor=person-0005@bench.example".into(),
        ),
        ("audit: actor, none", "audit?limit=100&actor=nobody".into()),
        ("audit: action", "audit?limit=100&action=job.retry".into()),
        ("audit: action, none", "audit?limit=100&action=queue.pause".into()),
        ("audit: subject", "audit?limit=100&subject=project-7".into()),
        ("audit: job", format!("audit?limit=100&job={job}")),
        ("audit: of a week", format!("audit?limit=100&{week}")),
    ])
}

/// As the API's own `next`: what lies below this key.
fn cursor(key: &str) -> String {
    URL_SAFE_NO_PAD.encode(key)
}

/// A week's bounds.
fn week_until(until_us: i64, after: &str, before: &str) -> String {
    let text = |us: i64| {
        let at = chrono::DateTime::from_timestamp_micros(us).unwrap_or_default();
        at.format("%Y-%m-%dT%H:%M:%SZ").to_string()
    };
    format!(
        "{after}={}&{before}={}",
        text(until_us - 7 * 86_400_000_000),
        text(until_us)
    )
}
