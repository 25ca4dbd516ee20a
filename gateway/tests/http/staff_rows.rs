//! Rows for the desks.

use chrono::{DateTime, Utc};
use domain::delivery::{DeliveryDetail, DeliveryStatus, DeliverySummary};
use domain::flow::{FlowActor, RecordedEvent};
use domain::job::{JobAttempt, JobDetail, JobProgress, JobState, JobSummary};
use domain::run::{RunState, RunSummary};
use domain::stage::Stage;
use domain::{CommentId, DeliveryId, JobId, RunId};
use serde_json::json;

pub(crate) fn at(second: i64) -> DateTime<Utc> {
    DateTime::from_timestamp(1_700_000_000 + second, 0).unwrap()
}

pub(crate) fn id(text: &str) -> DeliveryId {
    DeliveryId::new(text).unwrap()
}

pub(crate) fn job(number: i64, state: JobState) -> JobDetail {
    JobDetail {
        summary: JobSummary {
            id: JobId(number),
            kind: if number % 2 == 0 {
                "run.start"
            } else {
                "github.delivery"
            }
            .to_owned(),
            queue: if number % 2 == 0 { "runs" } else { "deliveries" }.to_owned(),
            state,
            priority: 0,
            attempt: 1,
            max_attempts: 5,
            correlation_id: Some(format!("d-{number}")),
            tenant: None,
            key: None,
            tags: Vec::new(),
            worker: None,
            last_error: None,
            created_at: at(number),
            run_at: None,
            started_at: None,
            finished_at: None,
        },
        args: json!({"delivery_id": format!("d-{number}")}),
        result: None,
        attempts: vec![JobAttempt {
            attempt: 1,
            at: at(9),
            worker: "w-1".into(),
            error: "timed out".into(),
            traceparent: Some("00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01".into()),
        }],
        unique_key: None,
        traceparent: None,
        progress: Some(JobProgress {
            done: 3,
            total: 7,
            note: "seven steps".to_owned(),
            at: at(8),
            attempt: 1,
        }),
    }
}

pub(crate) fn run(number: i64, project: &str, state: RunState) -> RunSummary {
    RunSummary {
        id: RunId(number),
        project: project.to_owned(),
        repository: "octo/demo".to_owned(),
        issue: 7,
        stage: Stage::Dev,
        revise: false,
        state,
        correlation_id: id(&format!("d-{number}")),
        requested_by: "ann".to_owned(),
        namespace: Some(format!("codex-issue-{project}-i7-r{number}")),
        comment_id: Some(CommentId(99)),
        created_at: at(0),
        started_at: Some(at(1)),
        finished_at: None,
    }
}

pub(crate) fn event(number: i64, correlation_id: &str, kind: &str, actor: FlowActor) -> RecordedEvent {
    RecordedEvent {
        id: number,
        at: at(number),
        correlation_id: id(correlation_id),
        run_id: (number > 1).then_some(RunId(1)),
        kind: kind.to_owned(),
        actor,
        data: json!({"n": number}),
    }
}

pub(crate) fn delivery(number: i64, status: DeliveryStatus) -> DeliveryDetail {
    DeliveryDetail {
        summary: DeliverySummary {
            id: id(&format!("d-{number}")),
            event: "issues".to_owned(),
            action: Some("labeled".to_owned()),
            repository: Some("octo/demo".to_owned()),
            sender: Some("ann".to_owned()),
            status,
            reason: None,
            run_id: None,
            job_id: Some(JobId(number)),
            duplicates: 0,
            replays: 0,
            // Two at a time, so that paging must tell equal times apart.
            received_at: at(number / 2),
            processed_at: None,
        },
        body_sha256: "00".repeat(32),
        payload: Some(json!({"action": "labeled"})),
    }
}
