//! A job kind as one type: its arguments, its policy and its handler.

use serde::Serialize;
use serde::de::DeserializeOwned;

use crate::{Error, Job, JobError, NewJob, Outcome, Policy};

/// A kind of job. The type holds the arguments; what it says here is the rest: its name, the queue that it goes
/// to, how failures are treated, and what is done.
///
/// ```
/// use queue::{Job, JobError, Kind, NewJob, Outcome, Policy, Registry};
/// use serde::{Deserialize, Serialize};
///
/// #[derive(Serialize, Deserialize)]
/// struct Welcome {
///     user: String,
/// }
///
/// impl Kind for Welcome {
///     /// What handlers share: pools, clients, settings.
///     type Context = ();
///     const NAME: &'static str = "user.welcome";
///     const QUEUE: &'static str = "mail";
///
///     fn policy() -> Policy {
///         Policy { max_attempts: 5, ..Policy::default() }
///     }
///
///     async fn run(job: Job<Self>, _context: ()) -> Result<Outcome, JobError> {
///         if job.args.user.is_empty() {
///             return Err(JobError::fail("nobody to welcome"));
///         }
///         Ok(Outcome::Done)
///     }
/// }
///
/// let registry = Registry::new().register::<Welcome>();
/// let job = NewJob::of(&Welcome { user: "ada".into() })?.tag("onboarding");
/// # Ok::<(), queue::Error>(())
/// ```
pub trait Kind: Serialize + DeserializeOwned + Send + 'static {
    /// What every handler of a registry gets a clone of.
    type Context: Clone + Send + Sync + 'static;

    /// What the kind is called in the database: 1 to 128 bytes. It outlives versions of the program.
    const NAME: &'static str;

    /// The queue that its jobs go to unless the job says otherwise.
    const QUEUE: &'static str = "default";

    /// How its attempts and failures are treated.
    fn policy() -> Policy {
        Policy::default()
    }

    /// Does the job. It may be run again after a failure, a lost worker or a timeout: a repeat must do no harm,
    /// or [`Job::complete_in`] tie its effects to its end.
    fn run(job: Job<Self>, context: Self::Context) -> impl Future<Output = Result<Outcome, JobError>> + Send
    where
        Self: Sized;
}

impl NewJob {
    /// A job with these arguments, for the kind's own queue and with the attempts of its policy. Fails if the
    /// arguments can't be written as JSON, and says of which kind.
    pub fn of<K: Kind>(args: &K) -> Result<Self, Error> {
        let args = serde_json::to_value(args).map_err(|error| {
            Error::Invalid(format!(
                "the arguments of `{}` can't be written as JSON: {error}",
                K::NAME
            ))
        })?;
        Ok(Self::new(K::QUEUE, K::NAME, args).max_attempts(K::policy().max_attempts))
    }

    /// To another queue than the kind's own.
    pub fn queue(mut self, queue: impl Into<std::borrow::Cow<'static, str>>) -> Self {
        self.queue = queue.into();
        self
    }
}
