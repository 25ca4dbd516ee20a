//! How long finished jobs are kept, queue by queue.

use crate::{Error, Queue};

/// The most days that can be asked for, ten years.
const LONGEST: u16 = 3650;

impl Queue {
    /// Keeps the queue's jobs for so many days (1 to 3650; 30 unless said otherwise) after the day of their end:
    /// those that end from now on. Those in history already stay as long as was said when they ended. The
    /// days are UTC's, and each is dropped whole. Idempotent.
    pub async fn set_retention(&self, queue: &str, days: u16) -> Result<(), Error> {
        if !(1..=LONGEST).contains(&days) {
            return Err(Error::Invalid(format!(
                "finished jobs are kept for 1 to {LONGEST} days, not {days}"
            )));
        }
        self.names().queue(queue).await?;
        // Apart, though the second would do: a statement under way may see what commits a moment before it
        // hears of a new partition.
        let mut unit = self.own_unit().await?;
        sqlx::query("select queue.make_history($1)")
            .persistent(self.named())
            .bind(i32::from(days))
            .execute(&mut *unit)
            .await?;
        unit.end().await?;
        let mut unit = self.own_unit().await?;
        sqlx::query("select queue.set_retention($1, $2)")
            .persistent(self.named())
            .bind(queue)
            .bind(i32::from(days))
            .execute(&mut *unit)
            .await?;
        unit.end().await?;
        Ok(())
    }

    /// For how many days the queue's jobs are kept.
    pub async fn retention(&self, queue: &str) -> Result<u16, Error> {
        let queue_id = self.names().queue(queue).await?;
        let mut unit = self.own_unit().await?;
        let days: i16 = sqlx::query_scalar("select keep_days from queue.queue where id = $1")
            .persistent(self.named())
            .bind(queue_id)
            .fetch_one(&mut *unit)
            .await?;
        unit.end().await?;
        Ok(u16::try_from(days).unwrap_or_default())
    }
}
