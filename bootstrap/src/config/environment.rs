//! Reads variables: trims, takes an empty one for one that isn't set, follows `_FILE`, and names the variable
//! in every complaint. Never prints a secret's value.

use std::str::FromStr;

use anyhow::{Context, Result, bail};
use domain::Secret;

use super::variables::{ALL, Variable};

type Lookup = Box<dyn Fn(&str) -> Option<String> + Send + Sync>;

/// Where values come from: the process's environment, in tests a map.
pub(crate) struct Environment {
    lookup: Lookup,
}

impl Environment {
    /// The process's own.
    pub(crate) fn of_this_process() -> Self {
        Self::new(|name| std::env::var(name).ok())
    }

    pub(crate) fn new(lookup: impl Fn(&str) -> Option<String> + Send + Sync + 'static) -> Self {
        Self {
            lookup: Box::new(lookup),
        }
    }

    fn get(&self, name: &str) -> Option<String> {
        (self.lookup)(name)
            .map(|value| value.trim().to_owned())
            .filter(|value| !value.is_empty())
    }

    /// The value, `None` if it isn't set.
    pub(crate) fn text(&self, variable: &Variable) -> Result<Option<String>> {
        let value = self.get(variable.name);
        if !variable.secret {
            return Ok(value);
        }
        let file_variable = format!("{}_FILE", variable.name);
        match (value, self.get(&file_variable)) {
            (Some(_), Some(_)) => bail!("set either {} or {file_variable}, not both", variable.name),
            (value, None) => Ok(value),
            (None, Some(file)) => {
                let text = std::fs::read_to_string(&file)
                    .with_context(|| format!("{file_variable} names {file}, which can't be read"))?;
                let text = text.trim().to_owned();
                if text.is_empty() {
                    bail!("{file_variable} names {file}, which is empty");
                }
                Ok(Some(text))
            }
        }
    }

    /// The value, or a complaint that it has to be set.
    pub(crate) fn required(&self, variable: &Variable) -> Result<String> {
        self.text(variable)?.with_context(|| {
            let or_file = if variable.secret {
                format!(" (or {}_FILE)", variable.name)
            } else {
                String::new()
            };
            format!("{}{or_file} isn't set: {}", variable.name, variable.meaning)
        })
    }

    /// A secret.
    pub(crate) fn secret(&self, variable: &Variable) -> Result<Option<Secret<String>>> {
        Ok(self.text(variable)?.map(Secret::new))
    }

    /// The value read as `T`, `None` if it isn't set.
    pub(crate) fn parsed<T: FromStr>(&self, variable: &Variable) -> Result<Option<T>> {
        let Some(text) = self.text(variable)? else {
            return Ok(None);
        };
        match text.parse() {
            Ok(value) => Ok(Some(value)),
            Err(_) => Err(wrong(variable, &text)),
        }
    }

    /// A number within limits, or its default.
    pub(crate) fn number(
        &self,
        variable: &Variable,
        default: u32,
        allowed: std::ops::RangeInclusive<u32>,
    ) -> Result<u32> {
        match self.parsed::<u32>(variable)? {
            None => Ok(default),
            Some(number) if allowed.contains(&number) => Ok(number),
            Some(number) => Err(wrong(variable, &number.to_string())),
        }
    }

    /// Names of variables that look like ours and aren't: typing errors.
    pub(crate) fn unknown(names: impl Iterator<Item = String>) -> Vec<String> {
        let ours = |name: &str| {
            ALL.iter().any(|variable| {
                let rest = name.strip_prefix(variable.name);
                rest == Some("") || (variable.secret && rest == Some("_FILE"))
            })
        };
        // Kubernetes puts the addresses of services into the environment (`CODEX_K8S_GATEWAY_PORT_80_TCP`, ...),
        // tests have variables of their own, and an agent gets its brief this way.
        let foreign = |name: &str| {
            name.contains("_PORT") || name.contains("_SERVICE_") || name.starts_with("CODEX_K8S_TEST_")
        };
        names
            .filter(|name| name.starts_with("CODEX_K8S_") && !ours(name) && !foreign(name))
            .collect()
    }
}

/// The complaint about a value. Secrets are named, not shown.
pub(crate) fn wrong(variable: &Variable, value: &str) -> anyhow::Error {
    let shown = if variable.secret {
        String::new()
    } else {
        format!(" `{value}`")
    };
    anyhow::anyhow!(
        "{}{shown} can't be used: {} (default: {})",
        variable.name,
        variable.meaning,
        variable.default
    )
}

#[cfg(test)]
pub(super) fn of(pairs: &[(&'static str, &str)]) -> Environment {
    let pairs: std::collections::HashMap<_, _> = pairs
        .iter()
        .map(|(name, value)| (*name, (*value).to_owned()))
        .collect();
    Environment::new(move |name| pairs.get(name).cloned())
}

#[cfg(test)]
mod tests {
    use super::super::variables::{CONCURRENCY, GITHUB_TOKEN, LISTEN, WEBHOOK_SECRETS};
    use super::*;

    #[test]
    fn numbers_and_their_limits() {
        let read = |text: &str| of(&[("CODEX_K8S_CONCURRENCY", text)]).number(&CONCURRENCY, 32, 1..=10_000);
        assert_eq!(read("").unwrap(), 32);
        assert_eq!(read(" 7 ").unwrap(), 7);
        for bad in ["0", "10001", "-1", "many", "1.5"] {
            let error = read(bad).unwrap_err().to_string();
            assert!(
                error.contains(&format!("CODEX_K8S_CONCURRENCY `{bad}`")) && error.contains("1 to 10000"),
                "{error}"
            );
        }
        let listen = of(&[("CODEX_K8S_LISTEN", "8080")]).parsed::<std::net::SocketAddr>(&LISTEN);
        assert!(
            listen
                .unwrap_err()
                .to_string()
                .starts_with("CODEX_K8S_LISTEN `8080` can't be used")
        );
    }

    #[test]
    fn secrets_come_from_files_too() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("token");
        std::fs::write(&file, "ghp_1\n").unwrap();
        let name = file.display().to_string();
        let read = of(&[("CODEX_K8S_GITHUB_TOKEN_FILE", &name)])
            .secret(&GITHUB_TOKEN)
            .unwrap();
        assert_eq!(
            read.map(|secret| secret.expose().clone()).as_deref(),
            Some("ghp_1")
        );

        let both = of(&[
            ("CODEX_K8S_GITHUB_TOKEN_FILE", &name),
            ("CODEX_K8S_GITHUB_TOKEN", "hunter2"),
        ]);
        let error = both.secret(&GITHUB_TOKEN).unwrap_err().to_string();
        assert!(
            error.contains("not both") && !error.contains("hunter2"),
            "{error}"
        );

        std::fs::write(&file, "\n").unwrap();
        let error = of(&[("CODEX_K8S_GITHUB_TOKEN_FILE", &name)])
            .secret(&GITHUB_TOKEN)
            .unwrap_err();
        assert!(error.to_string().contains("empty"), "{error}");
        let error = of(&[("CODEX_K8S_GITHUB_TOKEN_FILE", "/nowhere")])
            .secret(&GITHUB_TOKEN)
            .unwrap_err();
        assert!(
            error
                .to_string()
                .contains("CODEX_K8S_GITHUB_TOKEN_FILE names /nowhere"),
            "{error}"
        );

        let error = of(&[]).required(&WEBHOOK_SECRETS).unwrap_err().to_string();
        assert!(
            error.starts_with("CODEX_K8S_WEBHOOK_SECRETS (or CODEX_K8S_WEBHOOK_SECRETS_FILE) isn't set"),
            "{error}"
        );
    }

    #[test]
    fn typing_errors_are_noticed() {
        let names = [
            "CODEX_K8S_LISTEN",
            "CODEX_K8S_GITHUB_TOKEN_FILE",
            "CODEX_K8S_GATEWAY_PORT_80_TCP",
            "CODEX_K8S_TEST_DATABASE_URL",
            "HOME",
            "CODEX_K8S_LISTN",
            "CODEX_K8S_LISTEN_FILE",
        ];
        let unknown = Environment::unknown(names.into_iter().map(String::from));
        assert_eq!(unknown, ["CODEX_K8S_LISTN", "CODEX_K8S_LISTEN_FILE"]);
    }
}
