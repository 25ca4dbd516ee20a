//! Flow events: appended in the transaction of what they tell of, never changed.

use domain::flow::{FlowActor, FlowEvent};
use sqlx::PgConnection;

use crate::error::Error;
use crate::text::{clean, clean_json};

/// The columns `actor_kind` and `actor`.
fn columns(actor: &FlowActor) -> (&'static str, Option<String>) {
    match actor {
        FlowActor::Human(login) => ("human", Some(clean(login).into_owned())),
        FlowActor::Agent(role) => ("agent", Some(clean(role).into_owned())),
        FlowActor::System => ("system", None),
    }
}

/// Reads the columns back.
pub(crate) fn actor(kind: &str, actor: Option<String>) -> Result<FlowActor, Error> {
    match (kind, actor) {
        ("human", Some(login)) => Ok(FlowActor::Human(login)),
        ("agent", Some(role)) => Ok(FlowActor::Agent(role)),
        ("system", None) => Ok(FlowActor::System),
        (kind, _) => Err(Error::Unreadable(format!(
            "a flow event has the unknown actor kind `{kind}`"
        ))),
    }
}

/// Appends an event.
pub(crate) async fn append(connection: &mut PgConnection, event: FlowEvent) -> Result<(), Error> {
    let (actor_kind, actor) = columns(&event.actor);
    sqlx::query!(
        "insert into audit.flow_event (correlation_id, run_id, kind, actor_kind, actor, data)
         values ($1, $2, $3, $4, $5, $6)",
        event.correlation_id.as_str(),
        event.run.map(|run| run.0),
        event.kind,
        actor_kind,
        actor,
        clean_json(event.data),
    )
    .execute(connection)
    .await?;
    Ok(())
}

/// Appends an event unless the same run (or, where it has none, the same cause) has one of its kind. Needs a
/// transaction: two callers at once wait for each other there.
pub(crate) async fn append_once(connection: &mut PgConnection, event: FlowEvent) -> Result<(), Error> {
    let run = event.run.map(|run| run.0);
    // A statement of its own: the next one's snapshot must be younger than the lock.
    sqlx::query!(
        r#"select 1 as "locked!" from pg_advisory_xact_lock(hashtextextended($1, 1))"#,
        format!("{}/{}/{}", event.correlation_id, run.unwrap_or(0), event.kind),
    )
    .fetch_one(&mut *connection)
    .await?;
    let known = sqlx::query_scalar!(
        r#"select exists (select 1 from audit.flow_event
           where correlation_id = $1 and run_id is not distinct from $2 and kind = $3) as "known!""#,
        event.correlation_id.as_str(),
        run,
        event.kind,
    )
    .fetch_one(&mut *connection)
    .await?;
    if known {
        Ok(())
    } else {
        append(connection, event).await
    }
}
