//! Who asks for a change, and why: what the audit is told.

use domain::flow::Author;
use serde::Deserialize;
use utoipa::IntoParams;

use crate::auth::guard::Who;
use crate::query::Text;

/// Why somebody asks for a change.
pub(crate) type Reason = Text<500>;

/// Why, where there is no body to say it in.
#[derive(Debug, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(crate) struct ReasonQuery {
    /// Why, for the audit: 1 to 500 characters.
    #[param(value_type = Option<String>)]
    pub(crate) reason: Option<Reason>,
}

/// The one who asks, with this reason.
pub(crate) fn author(who: &Who, reason: Option<Reason>) -> Author {
    Author {
        actor: who.actor(),
        reason: reason.map(|reason| reason.0),
    }
}
