//! What the gateway lets itself be told. `bootstrap` fills this in from the environment; where the gateway
//! listens is not its business, it is handed a bound socket.

use domain::Secret;

/// Shortest secret that is accepted, in bytes: what is shorter can be guessed.
pub const MIN_SECRET_BYTES: usize = 16;

/// Settings of a gateway. [`Settings::new`] gives the documented defaults.
#[derive(Debug, Clone)]
pub struct Settings {
    /// Every webhook secret that is active now; a signature by any of them is good. Several are active while
    /// one replaces another. At least one, each of at least [`MIN_SECRET_BYTES`] bytes.
    pub webhook_secrets: Vec<Secret<String>>,
    /// The development token that opens the staff API; without one every staff route answers 403. At least
    /// [`MIN_SECRET_BYTES`] bytes. Default: none.
    pub staff_token: Option<Secret<String>>,
    /// Where people reach us, an origin like `https://codex.example.com`; https, but for this very machine. Needed
    /// where people can sign in. Default: none.
    pub public_url: Option<String>,
    /// The forge's web address, for links to issues and comments. Default: `https://github.com`.
    pub forge_url: String,
    /// Requests around signing in that one source may send, apart from `rate_limit`. Default: 10 per second with a
    /// burst of 100.
    pub sign_in_rate_limit: RateLimit,
    /// A session that isn't used for so long ends, in seconds. Default: 604,800, a week.
    pub session_idle_s: i64,
    /// A session ends after so long in any case, in seconds. Default: 2,592,000, 30 days.
    pub session_whole_s: i64,
    /// Largest webhook body, in bytes. Default: 25 MiB, GitHub's own limit.
    pub max_body_bytes: usize,
    /// Memory that all webhook bodies in flight may take together, in bytes; above it 503. Default: 256 MiB.
    pub body_memory_bytes: usize,
    /// A webhook body must have arrived within this time, else 408. Default: 8,000; GitHub gives up at
    /// 10,000.
    pub body_read_timeout_ms: u64,
    /// A request's head must have arrived within this time, else the connection is closed; also how long an
    /// idle connection is kept. Default: 30,000.
    pub header_read_timeout_ms: u64,
    /// A request must be answered within this time, else 503. Default: 9,500.
    pub request_timeout_ms: u64,
    /// Webhooks and staff requests that one source may send. A source is the address at the other end of the
    /// socket (for IPv6 its /64 network): behind a proxy that is the proxy, and headers that claim otherwise
    /// are ignored. Default: 10,000 per second with a burst of 20,000, which only stops a runaway.
    pub rate_limit: RateLimit,
    /// Above so many deliveries waiting for a worker, webhooks are answered 503. Default: 250,000.
    pub backlog_limit: i64,
    /// Connections served at a time; further ones wait to be accepted. Default: 4,096.
    pub max_connections: usize,
    /// Live streams that one person may have open. Default: 20.
    pub streams_per_user: usize,
    /// Live streams that may be open. Default: 1,000.
    pub streams: usize,
    /// When told to stop, go on serving for so long with `/readyz` already at 503, so that load balancers
    /// take notice before connections are refused. Default: 0.
    pub lame_duck_ms: u64,
    /// When told to stop, give requests in flight so long to finish. Default: 20,000.
    pub grace_period_ms: u64,
    /// How it was configured, to be shown to staff. Default: nothing.
    pub configuration: Vec<ConfigurationLine>,
}

/// A variable of the configuration, as staff see it.
#[derive(Debug, Clone)]
pub struct ConfigurationLine {
    /// Its name.
    pub name: String,
    /// What it means and what is allowed.
    pub meaning: String,
    /// What it is when it isn't set.
    pub default: String,
    /// Whether it is set.
    pub is_set: bool,
    /// Whether it holds a secret.
    pub is_secret: bool,
    /// Its value; leave it out where it is a secret.
    pub value: Option<String>,
}

/// A token bucket per source.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct RateLimit {
    /// Requests per second in the long run; at least 1.
    pub per_second: u32,
    /// Requests at once after a silence; at least 1.
    pub burst: u32,
}

/// The settings can't be used.
#[derive(Debug, thiserror::Error, PartialEq, Eq)]
pub enum SettingsError {
    /// Nothing could ever be verified.
    #[error(
        "no webhook secret is configured: set at least one, the same as in the repository's webhook settings"
    )]
    NoWebhookSecret,
    /// Too easy to guess.
    #[error("{what} has {bytes} bytes, at least {MIN_SECRET_BYTES} are needed; try `openssl rand -hex 32`")]
    SecretTooShort {
        /// Which one, for people.
        what: String,
        /// How long it is.
        bytes: usize,
    },
    /// Nobody could be sent back from the forge.
    #[error("signing in is configured, but not the address where people reach the gateway")]
    NoPublicUrl,
    /// Not an address to give to browsers.
    #[error(
        "the public address `{0}` can't be used: write the origin where people reach the gateway, like \
         https://codex.example.com, without a path; http is for this very machine only"
    )]
    PublicUrl(String),
    /// A limit that would let nothing through.
    #[error("{0} must be at least 1")]
    Zero(&'static str),
    /// The largest body could never be read.
    #[error("the memory for bodies must be at least the largest body, {max_body_bytes} bytes")]
    BodyMemory {
        /// The largest body.
        max_body_bytes: usize,
    },
}

impl Settings {
    /// The defaults, with these webhook secrets.
    pub fn new(webhook_secrets: Vec<Secret<String>>) -> Self {
        Self {
            webhook_secrets,
            staff_token: None,
            public_url: None,
            forge_url: "https://github.com".to_owned(),
            sign_in_rate_limit: RateLimit {
                per_second: 10,
                burst: 100,
            },
            session_idle_s: 7 * 24 * 3_600,
            session_whole_s: 30 * 24 * 3_600,
            max_body_bytes: 25 * 1024 * 1024,
            body_memory_bytes: 256 * 1024 * 1024,
            body_read_timeout_ms: 8_000,
            header_read_timeout_ms: 30_000,
            request_timeout_ms: 9_500,
            rate_limit: RateLimit {
                per_second: 10_000,
                burst: 20_000,
            },
            backlog_limit: 250_000,
            max_connections: 4_096,
            streams_per_user: 20,
            streams: 1_000,
            lame_duck_ms: 0,
            grace_period_ms: 20_000,
            configuration: Vec::new(),
        }
    }

    /// Refuses what can't work, with what to do about it.
    pub fn check(&self) -> Result<(), SettingsError> {
        if self.webhook_secrets.is_empty() {
            return Err(SettingsError::NoWebhookSecret);
        }
        let secrets = self.webhook_secrets.iter().enumerate();
        let named = secrets.map(|(i, secret)| (format!("webhook secret number {}", i + 1), secret));
        for (what, secret) in named.chain(self.staff_token.iter().map(|t| ("the staff token".to_owned(), t)))
        {
            let bytes = secret.expose().len();
            if bytes < MIN_SECRET_BYTES {
                return Err(SettingsError::SecretTooShort { what, bytes });
            }
        }
        for (name, zero) in [
            ("the largest body", self.max_body_bytes == 0),
            ("the body read timeout", self.body_read_timeout_ms == 0),
            ("the header read timeout", self.header_read_timeout_ms == 0),
            ("the request timeout", self.request_timeout_ms == 0),
            ("the rate limit per second", self.rate_limit.per_second == 0),
            ("the rate limit's burst", self.rate_limit.burst == 0),
            (
                "the sign-in rate limit per second",
                self.sign_in_rate_limit.per_second == 0,
            ),
            (
                "the sign-in rate limit's burst",
                self.sign_in_rate_limit.burst == 0,
            ),
            ("the time that an idle session lasts", self.session_idle_s < 1),
            ("the time that a session lasts", self.session_whole_s < 1),
            ("the backlog limit", self.backlog_limit < 1),
            ("the number of connections", self.max_connections == 0),
        ] {
            if zero {
                return Err(SettingsError::Zero(name));
            }
        }
        if self.body_memory_bytes < self.max_body_bytes {
            return Err(SettingsError::BodyMemory {
                max_body_bytes: self.max_body_bytes,
            });
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn secret(text: &str) -> Secret<String> {
        Secret::new(text.to_owned())
    }

    #[test]
    fn what_is_refused() {
        let good = || Settings::new(vec![secret("0123456789abcdef")]);
        assert_eq!(good().check(), Ok(()));
        assert_eq!(Settings::new(vec![]).check(), Err(SettingsError::NoWebhookSecret));
        let second_short = Settings::new(vec![secret("0123456789abcdef"), secret("short")]);
        let error = second_short.check().unwrap_err().to_string();
        assert!(
            error.starts_with("webhook secret number 2 has 5 bytes") && !error.contains("short"),
            "{error}"
        );
        let token = Settings {
            staff_token: Some(secret("tiny")),
            ..good()
        };
        assert!(token.check().unwrap_err().to_string().contains("the staff token"));
        let none = Settings {
            rate_limit: RateLimit {
                per_second: 0,
                burst: 1,
            },
            ..good()
        };
        assert_eq!(
            none.check(),
            Err(SettingsError::Zero("the rate limit per second"))
        );
        let cramped = Settings {
            body_memory_bytes: 1024,
            ..good()
        };
        assert!(matches!(cramped.check(), Err(SettingsError::BodyMemory { .. })));
    }

    #[test]
    fn secrets_are_not_printed() {
        let printed = format!("{:?}", Settings::new(vec![secret("0123456789abcdef")]));
        assert!(!printed.contains("0123456789abcdef"), "{printed}");
    }
}
