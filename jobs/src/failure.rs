//! Why a handler didn't succeed, and what the queue makes of it.

use std::time::Duration;

use domain::port::{ApplyError, PortError};
use queue::JobError;

/// A handler's failure.
#[derive(Debug, thiserror::Error)]
pub enum Failure {
    /// An outside part is unavailable or refuses.
    #[error(transparent)]
    Port(#[from] PortError),
    /// Somebody else changed the run meanwhile: read it again.
    #[error("the run changed in the meantime")]
    Stale,
    /// It will never succeed.
    #[error("{0}")]
    Hopeless(String),
}

impl From<ApplyError> for Failure {
    fn from(error: ApplyError) -> Self {
        match error {
            ApplyError::Stale => Self::Stale,
            ApplyError::Port(error) => Self::Port(error),
        }
    }
}

impl Failure {
    /// Whether a later attempt may succeed.
    pub fn is_passing(&self) -> bool {
        matches!(self, Self::Stale | Self::Port(PortError::Unavailable { .. }))
    }
}

impl From<Failure> for JobError {
    fn from(failure: Failure) -> Self {
        let error = failure.to_string();
        match failure {
            Failure::Port(PortError::Unavailable { retry_after_ms, .. }) => Self::Retry {
                error,
                after: retry_after_ms.map(Duration::from_millis),
            },
            Failure::Stale => Self::Retry {
                error,
                after: Some(Duration::from_millis(100)),
            },
            Failure::Port(PortError::Refused { .. }) | Failure::Hopeless(_) => Self::Fail { error },
        }
    }
}

/// How long a handler's work on the cluster may take; below the kinds' timeout, which would end the attempt
/// without the handler's knowing that it was its last.
const WITHIN: Duration = Duration::from_secs(50);

/// The work's result, or a failure that passes if it takes too long.
pub(crate) async fn in_time<T>(work: impl Future<Output = Result<T, Failure>>) -> Result<T, Failure> {
    tokio::time::timeout(WITHIN, work).await.unwrap_or_else(|_| {
        Err(Failure::Port(PortError::Unavailable {
            part: "kubernetes",
            reason: format!("not done within {} s", WITHIN.as_secs()),
            retry_after_ms: None,
        }))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_passes_is_tried_again_and_what_does_not_is_dead() {
        let unavailable = |retry_after_ms| {
            JobError::from(Failure::Port(PortError::Unavailable {
                part: "github",
                reason: "502".into(),
                retry_after_ms,
            }))
        };
        let error = "github is unavailable: 502".to_owned();
        assert_eq!(
            unavailable(None),
            JobError::Retry {
                error: error.clone(),
                after: None
            }
        );
        assert_eq!(
            unavailable(Some(1_500)),
            JobError::Retry {
                error,
                after: Some(Duration::from_millis(1_500))
            }
        );
        assert!(matches!(
            JobError::from(Failure::from(ApplyError::Stale)),
            JobError::Retry { .. }
        ));
        let refused = Failure::Port(PortError::Refused {
            part: "kubernetes",
            reason: "403".into(),
        });
        assert!(!refused.is_passing());
        assert_eq!(JobError::from(refused), JobError::fail("kubernetes refused: 403"));
    }

    #[tokio::test(start_paused = true)]
    async fn work_without_end_is_given_up_before_the_attempt_is() {
        let began = tokio::time::Instant::now();
        let endless = in_time(std::future::pending::<Result<(), Failure>>());
        let failure = endless.await.unwrap_err();
        assert!(failure.is_passing(), "{failure}");
        assert!(began.elapsed() < Duration::from_mins(1), "{:?}", began.elapsed());
        assert!(in_time(async { Ok(()) }).await.is_ok());
    }
}
