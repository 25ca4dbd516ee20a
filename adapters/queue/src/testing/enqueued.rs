//! What was enqueued, and a readable failure where it wasn't.

use std::fmt::Write;

use serde_json::Value;

use crate::{Error, Filter, JobRow, Queue, State};

/// How many jobs a failure shows.
const SHOWN: i64 = 50;

/// The newest unfinished job of this kind whose arguments contain `args`: every field named there with the same
/// value, at any depth; `{}` matches all objects. It sees what is committed.
///
/// # Panics
/// If there is none. The message shows the unfinished jobs that there are.
pub async fn assert_enqueued(queue: &Queue, kind: &str, args: &Value) -> Result<JobRow, Error> {
    if let Some(job) = matching(queue, kind, args).await? {
        return Ok(job);
    }
    let jobs = unfinished(queue, None, None).await?;
    panic!(
        "no unfinished job of `{kind}` has arguments that contain {args}\n{}",
        listing(&jobs)
    );
}

/// The opposite of [`assert_enqueued`].
///
/// # Panics
/// If there is such a job. The message shows it.
pub async fn assert_not_enqueued(queue: &Queue, kind: &str, args: &Value) -> Result<(), Error> {
    if let Some(job) = matching(queue, kind, args).await? {
        panic!(
            "a job of `{kind}` has arguments that contain {args}\n{}",
            listing(&[job])
        );
    }
    Ok(())
}

async fn matching(queue: &Queue, kind: &str, args: &Value) -> Result<Option<JobRow>, Error> {
    let jobs = unfinished(queue, Some(kind.to_owned()), Some(args.clone())).await?;
    Ok(jobs.into_iter().next())
}

async fn unfinished(queue: &Queue, kind: Option<String>, args: Option<Value>) -> Result<Vec<JobRow>, Error> {
    let filter = Filter {
        states: vec![State::Ready, State::Scheduled, State::Running],
        kind,
        args,
        limit: SHOWN,
        ..Filter::default()
    };
    Ok(queue.list(&filter).await?.jobs)
}

fn listing(jobs: &[JobRow]) -> String {
    if jobs.is_empty() {
        return "no job is unfinished".into();
    }
    let mut text = String::from("unfinished jobs, newest first:");
    for job in jobs {
        let state = job.state().as_str();
        // Writing to a string can't fail.
        let _ = write!(
            text,
            "\n  {} `{}` in `{}`, {state}: {}",
            job.id, job.kind, job.queue, job.args
        );
    }
    text
}
