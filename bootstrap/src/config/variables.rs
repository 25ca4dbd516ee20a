//! The table of variables. `--help` prints it, and every read goes through an entry of it.

use std::fmt::Write;

/// One variable.
#[derive(Debug)]
pub(crate) struct Variable {
    /// `CODEX_K8S_...`.
    pub(crate) name: &'static str,
    /// Who reads it.
    pub(crate) of: &'static str,
    /// What it is when it isn't set, for people.
    pub(crate) default: &'static str,
    /// What it means and what is allowed.
    pub(crate) meaning: &'static str,
    /// Whether `<name>_FILE` may name a file with the value instead.
    pub(crate) secret: bool,
}

macro_rules! variables {
    ($($ident:ident: $name:literal, $of:literal, $default:literal, $meaning:literal $(, $secret:ident)?;)+) => {
        $(pub(crate) const $ident: Variable = Variable {
            name: concat!("CODEX_K8S_", $name),
            of: $of,
            default: $default,
            meaning: $meaning,
            secret: variables!(@ $($secret)?),
        };)+
        /// Every variable, in the order of the table.
        pub(crate) const ALL: &[&Variable] = &[$(&$ident),+];
    };
    (@ secret) => { true };
    (@) => { false };
}

variables! {
    MODE: "MODE", "gateway", "production",
        "dev or production; outside dev the gateway wants people to sign in, and all that this needs";
    DATABASE_URL: "DATABASE_URL", "gateway worker migrate queue", "none",
        "postgres://user:password@host:port/database of a PostgreSQL 15 or newer with pgvector", secret;
    DATABASE_MAX_CONNECTIONS: "DATABASE_MAX_CONNECTIONS", "gateway worker", "20",
        "connections that one process may hold, 2 to 1000";
    LISTEN: "LISTEN", "gateway", "127.0.0.1:8080",
        "address and port of the webhook, the staff API, /healthz, /readyz and /metrics";
    WEBHOOK_SECRETS: "WEBHOOK_SECRETS", "gateway", "none",
        "webhook secrets, several separated by commas or (in a file) one a line; 16 bytes or more each", secret;
    STAFF_TOKEN: "STAFF_TOKEN", "gateway, staff commands", "none",
        "the development token that opens the staff API; 16 bytes or more; outside dev a personal token for the commands, \
         and none for the gateway", secret;
    PUBLIC_URL: "PUBLIC_URL", "gateway", "none",
        "where people reach the gateway, an origin like https://codex.example.com; http for this very machine only";
    OWNER_EMAIL: "OWNER_EMAIL", "gateway", "none",
        "verified e-mail address on GitHub of the one owner; counts until there is one";
    ENCRYPTION_KEYS: "ENCRYPTION_KEYS", "gateway worker", "none",
        "keys that secrets in the database are sealed with, <name>:<base64 of 32 bytes>, separated by commas or (in a \
         file) one a line; the first seals, all open", secret;
    GITHUB_OAUTH_CLIENT_ID: "GITHUB_OAUTH_CLIENT_ID", "gateway", "none",
        "the GitHub OAuth app that people sign in with; its callback is <public URL>/api/v1/auth/github/callback";
    GITHUB_OAUTH_CLIENT_SECRET: "GITHUB_OAUTH_CLIENT_SECRET", "gateway", "none",
        "its client secret", secret;
    GITHUB_WEB_URL: "GITHUB_WEB_URL", "gateway", "https://github.com",
        "GitHub's site; https://<host> for a GitHub Enterprise Server";
    METRICS_LISTEN: "METRICS_LISTEN", "worker", "127.0.0.1:9090",
        "address and port of the worker's /healthz, /readyz and /metrics";
    QUEUES: "QUEUES", "worker", "deliveries,runs",
        "the queues to work on, separated by commas";
    CONCURRENCY: "CONCURRENCY", "worker", "32",
        "jobs of each of its queues that one worker runs at once, 1 to 10000";
    GRACE_PERIOD: "GRACE_PERIOD", "gateway worker", "20",
        "seconds that work in flight gets to finish after SIGTERM, 0 to 3600";
    QUEUE_WAKE: "QUEUE_WAKE", "gateway worker migrate queue", "notify",
        "notify, or poll where a pooler in transaction mode stands before the database";
    QUEUE_KEEP_DAYS: "QUEUE_KEEP_DAYS", "worker", "as set in the database, at first 30",
        "days that the queues of this worker keep finished jobs, from the next on, 1 to 3650";
    PAYLOAD_RETENTION: "PAYLOAD_RETENTION", "worker", "30",
        "days that the payloads of webhooks are kept, 1 to 3650";
    GITHUB_API_URL: "GITHUB_API_URL", "gateway worker", "https://api.github.com",
        "GitHub's API; https://<host>/api/v3 for a GitHub Enterprise Server";
    GITHUB_TOKEN: "GITHUB_TOKEN", "gateway worker", "none",
        "a token that may read issues and collaborators and write comments, for repositories that have none of their own; \
         the gateway looks with it whether they are set up", secret;
    GITHUB_LOGIN: "GITHUB_LOGIN", "worker", "asked of GitHub",
        "whose comments are ours; needed for GitHub App tokens, for example codex-k8s[bot]";
    KUBECONFIG: "KUBECONFIG", "worker", "in-cluster, else ~/.kube/config",
        "a kubeconfig file";
    KUBERNETES_URL: "KUBERNETES_URL", "worker", "from the kubeconfig",
        "address of a Kubernetes API, together with CODEX_K8S_KUBERNETES_TOKEN";
    KUBERNETES_TOKEN: "KUBERNETES_TOKEN", "worker", "from the kubeconfig",
        "bearer token for CODEX_K8S_KUBERNETES_URL", secret;
    AGENT_IMAGE: "AGENT_IMAGE", "worker", "none",
        "image of the agent's container";
    AGENT_COMMAND: "AGENT_COMMAND", "worker", "the image's own",
        "command line of the agent: words, or a JSON array of strings";
    AGENT_DEADLINE: "AGENT_DEADLINE", "worker", "3600",
        "seconds that an agent may run, 10 to 86400";
    AGENT_PROGRAM: "AGENT_PROGRAM", "agent dev", "none",
        "the program that `codex-k8s agent` runs with the brief on its standard input";
    URL: "URL", "staff commands, webhook simulate", "the running `dev`, else http://127.0.0.1:8080",
        "the gateway";
    DATA_DIR: "DATA_DIR", "dev", "~/.local/state/codex-k8s (root: /var/lib/codex-k8s)",
        "where `dev` keeps its database, logs and tokens";
    CACHE_DIR: "CACHE_DIR", "dev", "~/.cache/codex-k8s (root: /var/cache/codex-k8s)",
        "where `dev` keeps what it can fetch again";
    LOG: "LOG", "gateway worker dev", "info",
        "what to log: a level, or directives such as info,queue=debug";
    LOG_FORMAT: "LOG_FORMAT", "gateway worker dev", "text",
        "text or json";
}

/// The table as `--help` prints it.
pub(crate) fn table() -> String {
    let mut text = String::from(
        "Configuration, all of it by environment variables. Those marked * are secrets: the variable with \
         _FILE at its end names a file that holds the value.\n",
    );
    for variable in ALL {
        let Variable {
            name,
            of,
            default,
            meaning,
            secret,
        } = variable;
        let mark = if *secret { " *" } else { "" };
        let _ = write!(
            text,
            "\n  {name}{mark}  [{of}]\n      {meaning}\n      default: {default}\n"
        );
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_documentation_has_every_variable_as_it_is() {
        let page = include_str!("../../../docs/configuration.md");
        for Variable {
            name,
            of,
            default,
            meaning,
            secret,
        } in ALL
        {
            let mark = if *secret { " *" } else { "" };
            let row = format!("| `{name}`{mark} | {of} | {default} | {meaning} |");
            assert!(
                page.contains(&row),
                "docs/configuration.md should have this row:\n{row}"
            );
        }
        let documented = page.matches("\n| `CODEX_K8S_").count();
        assert_eq!(
            documented,
            ALL.len(),
            "docs/configuration.md has a variable that isn't there"
        );
    }
}
