//! What access changes leave in the audit: an event with what was before and after, in the change's transaction.

use domain::flow::{FlowActor, FlowEvent};
use domain::id::{CorrelationId, UserId};
use serde_json::{Value, json};
use sqlx::PgConnection;

use crate::error::Error;
use crate::flow;

/// Records a change about this person.
pub(crate) async fn about_user(
    tx: &mut PgConnection,
    user: UserId,
    kind: &'static str,
    by: &FlowActor,
    data: Value,
) -> Result<(), Error> {
    about(tx, &format!("user-{user}"), kind, by, data).await
}

/// Records a change about something, by the name under which its events are found.
pub(crate) async fn about(
    tx: &mut PgConnection,
    what: &str,
    kind: &'static str,
    by: &FlowActor,
    data: Value,
) -> Result<(), Error> {
    let correlation_id = CorrelationId::new(what).map_err(|e| Error::Unreadable(e.to_string()))?;
    let event = FlowEvent {
        correlation_id,
        run: None,
        kind,
        actor: by.clone(),
        data,
    };
    flow::append(tx, event).await
}

/// Before and after.
pub(crate) fn change(before: impl Into<Value>, after: impl Into<Value>) -> Value {
    json!({ "before": before.into(), "after": after.into() })
}
