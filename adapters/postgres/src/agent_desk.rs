//! Agents as staff see them.

use async_trait::async_trait;
use domain::agent::{AgentSettings, AgentsAtWork, AnnouncedAgents, COUNTED_RUNS};
use domain::port::PortError;
use domain::port::staff::AgentDesk;

use crate::Store;
use crate::error::{db, refused};

#[async_trait]
impl AgentDesk for Store {
    async fn announce(&self, worker: &str, settings: &AgentSettings) -> Result<(), PortError> {
        let settings = serde_json::to_value(settings).map_err(|error| refused(error.to_string()))?;
        sqlx::query!(
            "insert into platform.agent_settings (worker, settings) values ($1, $2)
            on conflict (worker) do update set settings = excluded.settings, announced_at = clock_timestamp()",
            worker,
            settings,
        )
        .execute(&self.pool)
        .await
        .map_err(db)?;
        // Pods' names come and go.
        sqlx::query!(
            "delete from platform.agent_settings s where announced_at < clock_timestamp() - interval '1 day'
                and not exists (select from queue.worker w where w.name = s.worker and w.stopped_at is null)"
        )
        .execute(&self.pool)
        .await
        .map_err(db)?;
        Ok(())
    }

    async fn agents(&self) -> Result<AgentsAtWork, PortError> {
        let rows = sqlx::query!(
            "select s.worker, s.settings, s.announced_at from platform.agent_settings s
            where exists (select from queue.worker w where w.name = s.worker and w.stopped_at is null)
            order by s.worker"
        )
        .fetch_all(&self.pool)
        .await
        .map_err(db)?;
        let mut workers = Vec::with_capacity(rows.len());
        for row in rows {
            // What another version said differently is left out until that worker is of this version too.
            if let Ok(settings) = serde_json::from_value(row.settings) {
                workers.push(AnnouncedAgents {
                    worker: row.worker,
                    settings,
                    announced_at: row.announced_at,
                });
            }
        }
        let counts = sqlx::query!(
            r#"select stage, status, count(*) as "count!"
            from (select stage, status from runs.run order by id desc limit $1) as last
            group by stage, status order by stage, status"#,
            COUNTED_RUNS,
        )
        .fetch_all(&self.pool)
        .await
        .map_err(db)?;
        let runs = counts
            .into_iter()
            .filter_map(|row| Some((row.stage.parse().ok()?, row.status, row.count)));
        Ok(AgentsAtWork {
            workers,
            runs: runs.collect(),
        })
    }
}
