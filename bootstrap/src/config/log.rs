//! How processes log.

use anyhow::Result;

use super::environment::{Environment, wrong};
use super::variables as v;

/// How a log line looks.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum LogFormat {
    /// For people.
    Text,
    /// For machines.
    Json,
}

/// Logging.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Log {
    /// Levels and directives.
    pub(crate) filter: String,
    pub(crate) format: LogFormat,
}

impl Log {
    pub(crate) fn read(env: &Environment) -> Result<Self> {
        let filter = env.text(&v::LOG)?.unwrap_or_else(|| "info".to_owned());
        if filter.parse::<tracing_subscriber::EnvFilter>().is_err() {
            return Err(wrong(&v::LOG, &filter));
        }
        let format = match env.text(&v::LOG_FORMAT)?.as_deref() {
            None | Some("text") => LogFormat::Text,
            Some("json") => LogFormat::Json,
            Some(other) => return Err(wrong(&v::LOG_FORMAT, other)),
        };
        Ok(Self { filter, format })
    }
}

#[cfg(test)]
mod tests {
    use super::super::environment::of;
    use super::*;

    #[test]
    fn log_settings() {
        let log = |name, text| Log::read(&of(&[(name, text)]));
        assert_eq!(
            log("CODEX_K8S_LOG", "").unwrap(),
            Log {
                filter: "info".into(),
                format: LogFormat::Text
            }
        );
        assert_eq!(
            log("CODEX_K8S_LOG_FORMAT", "json").unwrap().format,
            LogFormat::Json
        );
        assert!(log("CODEX_K8S_LOG", "queue=loud").is_err());
        assert!(
            log("CODEX_K8S_LOG_FORMAT", "xml")
                .unwrap_err()
                .to_string()
                .contains("text or json")
        );
    }
}
