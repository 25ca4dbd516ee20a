//! The suite of [`ChangeFeed`].

use anyhow::{Context, Result, ensure};
use async_trait::async_trait;
use domain::live::{Changes, LogTail, Watched};
use domain::port::{ChangeFeed, ChangeReader};
use domain::{DeliveryId, ProjectId, RunId};

/// What has to happen for the suite.
#[async_trait]
pub trait Deeds: Sync {
    /// A delivery of a repository of the project is accepted, with its job.
    async fn deliver(&self) -> Result<DeliveryId>;
    /// A run of the project is created.
    async fn create_run(&self) -> Result<RunId>;
    /// The agent writes the lines with these numbers.
    async fn write_log(&self, run: RunId, numbers: std::ops::RangeInclusive<i64>) -> Result<()>;
}

/// Each change is told once to each reader, with the project that it belongs to; a new reader goes back a minute,
/// and a log is told from the look on that first asked for it.
pub async fn change_feed(feed: &dyn ChangeFeed, deeds: &dyn Deeds, project: ProjectId) -> Result<()> {
    let mut watched = Watched::default();
    let mut reader = feed.open();
    let before = reader.read(&watched).await?;
    ensure!(
        before.began_at <= before.ended_at,
        "a look took less than no time"
    );

    let id = deeds.deliver().await?;
    let changes = reader.read(&watched).await?;
    ensure!(
        changes.began_at >= before.ended_at,
        "a look began before the last one ended"
    );
    let mine: Vec<_> = changes
        .deliveries
        .rows
        .iter()
        .filter(|owned| owned.row.id == id)
        .collect();
    ensure!(
        mine.len() == 1 && mine[0].project == Some(project) && !changes.deliveries.more,
        "a delivery is told as {mine:?}"
    );
    let is_its_job = |changes: &Changes| {
        let jobs = changes.jobs.rows.iter();
        jobs.filter(|job| {
            job.row.correlation_id.as_deref() == Some(id.as_str()) && job.project == Some(project)
        })
        .count()
    };
    ensure!(
        is_its_job(&changes) == 1,
        "its job isn't told once: {:?}",
        changes.jobs
    );
    let again = reader.read(&watched).await?;
    ensure!(
        again.deliveries.rows.iter().all(|owned| owned.row.id != id) && is_its_job(&again) == 0,
        "it was told twice"
    );

    let run = deeds.create_run().await?;
    let changes = reader.read(&watched).await?;
    let told = changes.runs.rows.iter().find(|owned| owned.row.id == run);
    let told = told.context("a new run isn't told")?;
    ensure!(
        told.project == Some(project),
        "the run belongs to {:?}",
        told.project
    );
    let mut events = changes.run_events.rows.iter();
    ensure!(
        events.any(|event| event.row.run_id == Some(run)
            && event.row.kind == "run.created"
            && event.project == Some(project)),
        "its event isn't told: {:?}",
        changes.run_events
    );

    let mut later = feed.open();
    let changes = later.read(&watched).await?;
    ensure!(
        changes.deliveries.rows.iter().any(|owned| owned.row.id == id)
            && changes.runs.rows.iter().any(|owned| owned.row.id == run)
            && is_its_job(&changes) == 1,
        "a new reader doesn't go back"
    );

    deeds.write_log(run, 1..=2).await?;
    ensure!(
        tails(&mut reader, &watched, run).await?.is_empty(),
        "nobody follows this log"
    );
    watched.runs.insert(run);
    ensure!(
        tails(&mut reader, &watched, run).await?.is_empty(),
        "what is there is read in pages"
    );
    deeds.write_log(run, 3..=5).await?;
    let lines = tails(&mut reader, &watched, run).await?;
    let numbers: Vec<i64> = lines
        .iter()
        .flat_map(|tail| &tail.lines)
        .map(|line| line.number)
        .collect();
    ensure!(numbers == [3, 4, 5], "the lines {numbers:?} were told");
    ensure!(
        tails(&mut reader, &watched, run).await?.is_empty(),
        "lines were told twice"
    );
    Ok(())
}

async fn tails(reader: &mut Box<dyn ChangeReader>, watched: &Watched, run: RunId) -> Result<Vec<LogTail>> {
    let logs = reader.read(watched).await?.logs.into_iter();
    Ok(logs
        .map(|owned| owned.row)
        .filter(|tail| tail.run == run)
        .collect())
}
